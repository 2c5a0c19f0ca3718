"""The whole way down in one call: octets off the air to packets (CCSDS 131.0-B-5 over 132.0-B-3,
732.0-B-4 or 732.1-B-3).

    chain = Chain(FrameReceiver(Frames("aos", 1115)), reed_solomon=BlockCode(interleave=5))
    for chunk in chunks:
        units = chain.feed(chunk)

Sync marker, randomiser, Reed-Solomon code, frames, packets: chunks may have any size, memory is
bounded by a unit and a few chunks, and everything that is not given is in ``counters``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.randomiser import number_of
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.sync import COUNTERS, STATES, Marker
from flightsw.codec.link.units import UNIT_DTYPE, Units
from flightsw.codec.native import ffi, lib, octets_of, with_octets
from flightsw.codec.octets import Octets, view_of
from flightsw.codec.room import Room

#: Of the Reed-Solomon code. Failed codewords may have more wrong octets than can be corrected, or
#: would have been corrected in their virtual fill.
CODE_COUNTERS = (
    "corrected_octets",
    "corrected_codewords",
    "failed_codewords",
    "fill_codewords",
    "failed_units",
    "failed_octets",
    "parity_octets",
)

#: Up to so many octets of units go through memory that is kept: less work, and one copy more.
_SMALL_NBYTES = 1 << 16

_PLAIN_MARKER = Marker()

#: of the C side to memory of its own and to the frame receiver
_POINTERS = ("frames", "pn", "unit")
_OWN = (*_POINTERS, "unit_nbytes", "frame_nbytes", "rows_room", "octets_room")
_SETTINGS_NBYTES: int = ffi.offsetof("fs_chain", "sync") + ffi.sizeof("fs_sync_settings")

_feed = lib.fs_chain_feed
_from_buffer = ffi.from_buffer


class Code(Protocol):
    """Parameters of a Reed-Solomon code (CCSDS 131.0-B-5 section 4)."""

    @property
    def e(self) -> int:
        """Octets that can be corrected in a codeword: 16 or 8."""

    @property
    def dual(self) -> bool:
        """Octets on the wire are in the dual basis, as the standard says."""

    @property
    def interleave(self) -> int:
        """Codewords of a block: 1, 2, 3, 4, 5 or 8."""

    @property
    def fill(self) -> int:
        """Virtual zeros in front of each codeword, never sent."""

    @property
    def lenient(self) -> bool:
        """Codewords whose corrections fall into the fill are accepted."""


@dataclass(frozen=True)
class BlockCode:
    """A Reed-Solomon code by its numbers; see :class:`Code`."""

    e: int = 16
    dual: bool = True
    interleave: int = 1
    fill: int = 0
    lenient: bool = False


class Line:
    """What stands in front of a frame receiver: marker, randomiser, code; the C side of a chain.

    ``frames`` is the receiver's C state. Raises FieldRangeError for settings that do not go
    together.
    """

    def __init__(
        self,
        frames: Any,
        marker: Marker,
        *,
        randomiser: str | None = "tm",
        reed_solomon: Code | None = None,
    ) -> None:
        settings: Any = ffi.new("fs_chain_settings *")
        settings.sync = marker.made()[0]
        if randomiser == "tc":
            raise FieldRangeError(
                "chain: randomiser 'tc' on a downlink, where tm and tm17 are used"
            )
        settings.randomiser = -1 if randomiser is None else number_of(randomiser)
        nbytes = frames.settings.nbytes
        if reed_solomon is not None:
            _set_code(settings.rs, reed_solomon, nbytes)
        if not self._begin(frames, settings):
            raise FieldRangeError(
                f"chain: frames of {nbytes} octets behind {marker}: no more wrong bits in search"
                " than in lock, and fewer than half of a marker of 8 to 64 bits; steps are 1 or 8,"
                " and marker and slip whole steps"
            )

    def _begin(self, frames: Any, settings: Any) -> bool:
        """Make the C side; False for settings that cannot be."""
        room = lib.fs_chain_work_nbytes(settings, frames.settings.nbytes)
        self.state: Any = ffi.new("fs_chain *")
        self._keep = frames, ffi.new("uint8_t[]", room)
        if lib.fs_chain_reset(self.state, settings, *self._keep, room) < 0:
            return False
        self._settings = settings
        self.unit_nbytes: int = self.state.unit_nbytes
        self._least_nbytes = self.unit_nbytes + settings.sync.marker_nbits // 8
        self._large_nbytes = max(_SMALL_NBYTES, 2 * self._least_nbytes)
        self._consumed = ffi.new("uint64_t *")
        self.held = b""
        return True

    def kept(self) -> tuple[bytes, bytes, bytes]:
        """Return what :meth:`again` needs to go on from here."""
        return octets_of(self._settings), octets_of(self.state, *_POINTERS), self.held

    @classmethod
    def again(cls, frames: Any, kept: tuple[bytes, bytes, bytes]) -> Line:
        """Return a line that was kept, in front of ``frames``; CodecError if it cannot be one."""
        settings, octets, held = kept
        made = cls.__new__(cls)
        if not made._begin(frames, with_octets(ffi.new("fs_chain_settings *"), settings)):
            raise CodecError("chain: its settings do not go together with its frames")
        own = {name: getattr(made.state, name) for name in _OWN}
        if octets[:_SETTINGS_NBYTES] != octets_of(made.state)[:_SETTINGS_NBYTES]:
            raise CodecError("chain: it was kept with other settings")
        with_octets(made.state, octets)
        for name, value in own.items():
            setattr(made.state, name, value)
        made.held = held
        return made

    def feed(self, octets: Any, sink: Any, full: Any) -> None:
        """Pass octets down. ``full`` is called when the sink has no room left, and makes some."""
        held, at = self.held, 0
        if type(octets) is not bytes:
            octets = ffi.buffer(view_of("chain", octets))
        if held and len(octets) > self._large_nbytes:
            # Rather than all of a large input, copy what completes the unit that waits.
            head = held + octets[: self._large_nbytes]
            at = self._through(head, 0, sink, full) - len(held)
            assert at >= 0, "no more waits than one unit and its marker"
        elif held:
            octets = b"".join((held, octets))
        self.held = octets[self._through(octets, at, sink, full) :]

    def _through(self, octets: Any, at: int, sink: Any, full: Any) -> int:
        """Pass the octets from ``at`` on down; return where those begin that wait for more."""
        view, left = _from_buffer(octets), len(octets) - at
        while True:
            code = _feed(self.state, view + at, left, self._consumed, sink)
            consumed = self._consumed[0]
            at, left = at + consumed, left - consumed
            if code < 0:
                full()
            elif not consumed or left < self._least_nbytes:
                return at

    @property
    def held_bits(self) -> int:
        """Bits that wait for more."""
        return 8 * len(self.held) - int(self.state.at)


def _set_code(made: Any, code: Code, nbytes: int) -> None:
    """Write a code for C; FieldRangeError if it is none, or is not for frames of ``nbytes``."""
    sound = ReedSolomon(code.e, code.interleave, code.dual, code.fill, code.lenient)
    if sound.data_nbytes != nbytes:
        raise FieldRangeError(
            f"chain: frames of {nbytes} octets, but blocks of {code} hold {sound.data_nbytes}; a"
            " block is one frame"
        )
    for name in ("e", "dual", "interleave", "fill", "lenient"):
        setattr(made, name, getattr(sound, name))


class Chain:
    """Takes what comes off the air, in chunks of any size, and gives what its frames carry.

    ``receiver`` takes the frames; it tells their kind and length. In front of it stand ``marker``,
    then ``randomiser`` (``"tm"`` or ``"tm17"``, or None), then ``reed_solomon``, whose data must be
    one frame. Units with a failed codeword do not reach the receiver. Where there is a frame check
    or a code, its verdict steers the synchroniser.

    A chain belongs to one thread at a time. Raises FieldRangeError for settings that do not go
    together.
    """

    def __init__(
        self,
        receiver: FrameReceiver,
        *,
        marker: Marker = _PLAIN_MARKER,
        randomiser: str | None = "tm",
        reed_solomon: Code | None = None,
    ) -> None:
        self.receiver = receiver
        self._frames: Any = receiver._state
        self._line = Line(self._frames, marker, randomiser=randomiser, reed_solomon=reed_solomon)
        self._memory = Room(), Room()
        self._rows_a_unit = 8  # as many as a feed has met so far
        self._small_count = max(1, _SMALL_NBYTES // self._line.unit_nbytes)
        self._small = self._room_for(self._small_count)

    def feed(self, octets: Octets) -> Units:
        """Return the packets and other units that ``octets`` complete, of all virtual channels."""
        out, count = self._pass(octets)
        units = out.units(copied=out is self._small)
        self._rows_a_unit = max(self._rows_a_unit, len(units.rows) // count + 2)
        return units

    def take(self, octets: Octets) -> tuple[Any, int, npt.NDArray[np.uint8]]:
        """Return what :meth:`feed` does as rows in C, how many they are, and their octets.

        The rows last until the next call, the octets for good.
        """
        out, count = self._pass(octets)
        rows, found, given = out.rows(copied=out is self._small)
        if found > count * self._rows_a_unit:
            self._rows_a_unit = found // count + 2
        return rows, found, given

    def _pass(self, octets: Octets) -> tuple[_Output, int]:
        """Pass octets down; return where the units are, and how many code blocks there may be."""
        line = self._line
        nbytes = len(octets) if type(octets) is bytes else len(view_of("chain", octets))
        count = (nbytes + len(line.held)) // line.unit_nbytes + 1
        if count <= self._small_count:
            out = self._small
            out.rewind()
        else:
            out = self._room_for(count)
        line.feed(octets, out.sink, out.next)
        return out, count

    def _room_for(self, count: int) -> _Output:
        """Return room for what ``count`` units hold, as a rule."""
        frames = self._frames
        noctets = count * frames.settings.nbytes + lib.fs_frame_octets_room(frames)
        nrows = lib.fs_frame_rows_room(frames) + self._rows_a_unit * count
        return _Output(nrows, noctets, self._memory)

    @property
    def unit_nbytes(self) -> int:
        """Octets behind each marker."""
        return self._line.unit_nbytes

    @property
    def state(self) -> str:
        """The synchroniser's state: one of :data:`flightsw.codec.link.sync.STATES`."""
        return STATES[self._line.state.sync.state]

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name: of synchroniser, code and frames.

        ``8 * octets fed == unit_bits + marker_bits + bad_bits + skipped_bits + held_bits``, and
        ``units * unit_nbytes == failed_octets + parity_octets + octets given to the receiver``.
        By virtual channel they are in ``receiver.channels``.
        """
        state = self._line.state
        found = {name: int(getattr(state.sync, name)) for name in COUNTERS}
        found["air_units"] = found.pop("units")
        found["held_bits"] = self._line.held_bits
        found |= {name: int(getattr(state, name)) for name in CODE_COUNTERS}
        return found | self.receiver.counters


class _Output:
    """Room for what frames hold. As a rule it is enough; if not, the rest goes to further parts."""

    def __init__(self, nrows: int, noctets: int, memory: tuple[Room, Room]) -> None:
        self._memory = memory
        self.sink: Any = ffi.new("fs_frame_sink *")
        self.sink.nrows, self.sink.noctets = nrows, noctets
        self._parts: list[Units] = []
        self._begin()

    def _begin(self) -> None:
        sink = self.sink
        noctets, nrows = sink.noctets, sink.nrows
        self._octets = self._memory[0].array(noctets)[:noctets]
        rows = self._memory[1].array(nrows * UNIT_DTYPE.itemsize)
        self._rows = rows[: nrows * UNIT_DTYPE.itemsize].view(UNIT_DTYPE)
        self._row_view = self._rows.view(np.uint8).data
        sink.rows = _from_buffer("fs_frame_row[]", self._rows)
        sink.octets = _from_buffer("uint8_t[]", self._octets)
        self.rewind()

    def rewind(self) -> None:
        """Begin anew in the same memory."""
        self.sink.rows_used = self.sink.octets_used = 0

    def next(self) -> None:
        """Lay what is full aside and begin another part."""
        self._parts.append(self._used())
        self._begin()

    def _used(self) -> Units:
        sink = self.sink
        return Units(self._rows[: sink.rows_used], self._octets[: sink.octets_used], None)

    def rows(self, *, copied: bool) -> tuple[Any, int, npt.NDArray[np.uint8]]:
        """Return the rows in C, how many they are, and their octets; copied as :meth:`units`."""
        sink = self.sink
        if self._parts:
            found = self.units(copied=copied)
            return _from_buffer("fs_frame_row[]", found.rows), len(found.rows), found.octets
        octets = self._octets[: sink.octets_used]
        if copied:
            return sink.rows, sink.rows_used, octets.copy()
        return _from_buffer("fs_frame_row[]", self._rows), sink.rows_used, octets

    def units(self, *, copied: bool) -> Units:
        """Return everything, for good: what stands in memory that is used again is copied."""
        last = self._used()
        if not self._parts:
            if not copied:
                return last
            # A copy of numpy's own goes field by field.
            rows = bytearray(self._row_view[: len(last.rows) * UNIT_DTYPE.itemsize])
            return Units(np.frombuffer(rows, UNIT_DTYPE), last.octets.copy(), None)
        parts, at = [*self._parts, last], 0
        self._parts = []
        for part in parts:
            part.rows["offset"] += np.uint64(at)
            at += len(part.octets)
        # As octets: numpy joins structured rows field by field.
        joined = np.concatenate([part.rows.view(np.uint8) for part in parts]).view(UNIT_DTYPE)
        return Units(joined, np.concatenate([part.octets for part in parts]), None)
