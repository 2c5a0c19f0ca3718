"""Communications link transmission units: what carries a telecommand frame (CCSDS 231.0-B-4).

Start sequence EB90, codeblocks of 7 octets and one of BCH(63,56) parity, tail C5 x 7, 79. The
receiver looks for the start at octet boundaries, or at every bit and inverted too if told so, takes
it with one wrong bit, and corrects one wrong bit in each codeblock; a codeblock beyond correction,
which the tail is made to be, ends the unit. Where a link randomises, that comes before the parity
on the way out and after the correction on the way in (section 6).
"""

from __future__ import annotations

from typing import Any

from flightsw.codec.coding.randomiser import tc_randomise
from flightsw.codec.errors import CodecError, TruncatedError
from flightsw.codec.native import ffi, lib, octets_of, with_octets
from flightsw.codec.octets import Octets, bytes_of, view_of

COUNTERS = (
    "units",
    "empty_units",
    "overlong_units",
    "tails",
    "rejected_codeblocks",
    "codeblocks",
    "corrected_bits",
    "start_errors",
    "slipped_starts",
    "inverted_starts",
    "skipped_octets",
)


def encode(tc_frame: Octets, *, randomised: bool = False) -> bytes:
    """Return the unit around ``tc_frame``; 55 fills the last codeblock.

    ``randomised`` puts the frame, not the fill, under the telecommand sequence. Raises
    TruncatedError for an empty frame.
    """
    frame = bytes_of("CLTU", tc_frame)
    if not frame:
        raise TruncatedError("CLTU: no octets to carry; give a telecommand frame")
    if randomised:
        frame = tc_randomise(frame)
    capacity = lib.fs_cltu_nbytes(len(frame))
    out = ffi.new("uint8_t[]", capacity)
    nbytes = lib.fs_cltu_encode(frame, len(frame), out, capacity)
    assert nbytes == capacity
    return bytes(ffi.buffer(out, nbytes))


class Receiver:
    """Takes octets from the uplink in chunks of any size and gives the octets of each unit.

    A unit's octets still hold the fill behind the frame: the frame's own length says where it ends.
    ``randomised`` takes the telecommand sequence off again. ``any_bit`` finds units that begin
    anywhere in an octet or are inverted, for modems that hand on bits as they come; it takes more
    noise for a start. ``counters`` tells what was corrected, refused or passed over.
    """

    def __init__(self, *, randomised: bool = False, any_bit: bool = False) -> None:
        self._state = ffi.new("fs_cltu_receiver *")
        self._state.any_bit = any_bit
        self._randomised = randomised

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs to go on from here."""
        return {**self.__dict__, "_state": octets_of(self._state)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on from there; CodecError for what no receiver can have kept."""
        self.__dict__.update(state)
        made = self._state = with_octets(ffi.new("fs_cltu_receiver *"), state["_state"])
        if made.nbytes > len(made.data) or made.nheld >= len(made.held) or made.bit > 8:
            raise CodecError("CLTU receiver: it holds more than it has room for")

    def feed(self, octets: Octets) -> list[bytes]:
        """Return the octets of every unit that ends within ``octets``."""
        state, units = self._state, []
        view, at = view_of("CLTU receiver", octets), 0
        nbytes = len(view)
        while at < nbytes:
            at += lib.fs_cltu_feed(state, view + at, nbytes - at)
            if state.ready:
                units.append(bytes(ffi.buffer(state.data, state.nbytes)))
        return [tc_randomise(unit) for unit in units] if self._randomised else units

    @property
    def held_nbytes(self) -> int:
        """Octets of a unit that has not ended: those corrected, and those of its next codeblock."""
        state: Any = self._state
        return int(state.nbytes + state.nheld) if state.inside else 0

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name."""
        return {name: getattr(self._state, name) for name in COUNTERS}


def decode(octets: Octets, *, randomised: bool = False, any_bit: bool = False) -> list[bytes]:
    """Return the octets of every complete unit in ``octets``, by a fresh receiver."""
    return Receiver(randomised=randomised, any_bit=any_bit).feed(octets)
