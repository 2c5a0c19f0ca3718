"""Sync markers in a stream of bits, and the units behind them (CCSDS 131.0-B-5 section 9).

:func:`search` finds a marker at any bit, inverted or not, with a few wrong bits.
:class:`Synchroniser` takes a stream in chunks of any size and cuts it into units, with lock states
and a flywheel; every bit is accounted for in its counters.

Bit 0 is the most significant bit of the first octet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, joined, view_of

#: Of TM and AOS frames, uncoded or with convolutional, Reed-Solomon or concatenated coding.
ASM = bytes.fromhex("1ACFFC1D")
#: With turbo code of rate 1/2 and LDPC of rate 1/2, 2/3 and 4/5.
ASM_64 = bytes.fromhex("034776C7272895B0")
#: Of Proximity-1 frames (CCSDS 211.2-B).
ASM_PROXIMITY = bytes.fromhex("FAF320")
#: Start sequence of a CLTU with BCH code (CCSDS 231.0-B-4).
CLTU_START = bytes.fromhex("EB90")

#: A place where a marker stands: its first bit, its wrong bits, whether it is inverted.
HIT = np.dtype(
    {
        "names": ["bit", "wrong", "inverted"],
        "formats": ["<u8", "u1", "?"],
        "offsets": [0, 8, 9],
        "itemsize": 16,
    }
)
#: A unit that was found; ``bit`` is its first bit behind the marker, in the stream.
UNIT = np.dtype(
    [
        ("bit", "<u8"),
        ("inverted", "?"),
        ("wrong", "u1"),
        ("missed", "?"),
        ("state", "u1"),
        ("slip", "<i4"),
    ]
)

STATES = ("search", "check", "lock", "flywheel")

#: Of :class:`Synchroniser`; the last four together are the bits that it passed.
COUNTERS = (
    "units",
    "inverted_units",
    "flywheel_units",
    "bad_units",
    "wrong_marker_bits",
    "missed_markers",
    "locks",
    "locks_lost",
    "checks_failed",
    "slips",
    "turns",
    "unit_bits",
    "marker_bits",
    "bad_bits",
    "skipped_bits",
)

_BATCH = 512

Judge = Callable[[npt.NDArray[np.uint8]], bool]

_search = lib.fs_marker_search
_next = lib.fs_sync_next
_units = lib.fs_sync_units
_from_buffer = ffi.from_buffer


def search(
    buf: Octets | npt.NDArray[np.uint8],
    marker: bytes = ASM,
    *,
    nbits: int | None = None,
    max_wrong: int = 0,
    inverted: bool = False,
    step: int = 1,
    first_bit: int = 0,
    end_bit: int | None = None,
) -> npt.NDArray[Any]:
    """Return where ``marker`` stands in the bits ``first_bit`` to ``end_bit`` of ``buf``.

    The marker is the first ``nbits`` bits (8 to 64; default: all) of ``marker``. ``max_wrong`` bits
    may differ, fewer than half. With ``inverted`` its complement counts too. ``step`` 8 looks at
    the beginnings of octets only. The answer has dtype :data:`HIT`, in ascending order of ``bit``.

    Raises FieldRangeError for a marker, tolerance, step or range that cannot be.
    """
    view = view_of("marker search", buf)
    nbytes = len(view)
    value, size = _marker(marker, nbits)
    at, end = first_bit, 8 * nbytes if end_bit is None else end_bit
    sane = 0 <= max_wrong <= 64 and 0 < step <= 8
    if not (0 <= at < 1 << 64 and 0 <= end <= 8 * nbytes and sane):
        raise FieldRangeError(
            f"marker search: bits {at} to {end} of {8 * nbytes} in steps of {step} with"
            f" {max_wrong} wrong; a step is 1 or 8, and fewer than half of a marker may be wrong"
        )
    parts, capacity, searched = [], 1024, ffi.new("uint64_t *")
    while True:
        hits = np.empty(capacity, HIT)
        room = _from_buffer("fs_marker_hit[]", hits)
        found = _search(
            view, nbytes, at, end, value, size, max_wrong, step, inverted, room, capacity, searched
        )
        if found < 0:
            raise FieldRangeError(
                f"marker search: {size} bits with {max_wrong} wrong, step {step}; a marker has 8 to"
                " 64 bits of which fewer than half may be wrong, and a step is 1 or 8"
            )
        parts.append(hits[:found])
        if found < capacity:
            return np.concatenate(parts) if len(parts) > 1 else parts[0]
        at, capacity = searched[0], 1 << 17


def _marker(marker: bytes, nbits: int | None) -> tuple[int, int]:
    """Return a marker as the number and the size that C takes; a wrong size is left to C."""
    size = 8 * len(marker) if nbits is None else nbits
    if not 0 <= size <= min(64, 8 * len(marker)):
        raise FieldRangeError(
            f"marker of {size} bits out of {len(marker)} octets: it has 8 to 64 of them"
        )
    return int.from_bytes(marker, "big") >> 8 * len(marker) - size, size


@dataclass(frozen=True)
class Marker:
    """What stands in front of each unit, and how it is looked for.

    A synchroniser begins in SEARCH. As many more markers as ``verify`` must follow where they are
    expected (CHECK); then it is in LOCK, and in FLYWHEEL while markers are missing.
    """

    octets: bytes = ASM
    #: of these only so many bits, 8 to 64; None for all
    nbits: int | None = None
    #: wrong bits that a marker may have in SEARCH; not above ``lock_wrong``
    search_wrong: int = 0
    #: the same where one is expected; fewer than half of its bits
    lock_wrong: int = 3
    #: markers that must follow the first before there is lock
    verify: int = 0
    #: markers in a row that may be missing in lock; the units behind them are cut out all the same
    misses: int = 0
    #: bits that a marker may stand beside its place in lock
    slip: int = 0
    #: take a stream whose bits are turned over, too, and turn them back
    inverted: bool = False
    #: 1 searches at every bit, 8 at octets of the stream only
    step: int = 1

    def made(self) -> Any:
        """Return C's settings but for the length of units; FieldRangeError for wrong numbers."""
        made: Any = ffi.new("fs_sync_settings *")
        made.marker, made.marker_nbits = _marker(self.octets, self.nbits)
        for name in ("search_wrong", "lock_wrong", "verify", "misses", "slip", "inverted", "step"):
            value = getattr(self, name)
            if not (hasattr(value, "__index__") and 0 <= index(value) < 256):
                raise FieldRangeError(
                    f"marker {self.octets.hex()}: {name} is {value!r}, must be a number from 0 to"
                    " 255"
                )
            setattr(made, name, index(value))
        return made


class Synchroniser:
    """Cuts a stream of bits into the units of ``unit_nbytes`` octets that stand behind markers.

    Units are given in every state, which :attr:`found` tells. ``randomiser``, a name of
    :data:`flightsw.codec.coding.randomiser.RANDOMISERS`, is taken off each unit.

    ``counters`` can be read at any time; of the octets fed,
    ``8 * octets == unit_bits + marker_bits + bad_bits + skipped_bits + held_bits``.

    A synchroniser belongs to one thread at a time. Raises FieldRangeError for settings that cannot
    be.
    """

    def __init__(self, marker: Marker, unit_nbytes: int, *, randomiser: str | None = None) -> None:
        self.unit_nbytes = unit_nbytes
        self._state = ffi.new("fs_sync *")
        settings = marker.made()
        settings.unit_nbits = 8 * unit_nbytes if 0 < unit_nbytes < 1 << 28 else 0
        if lib.fs_sync_reset(self._state, settings) < 0:
            raise FieldRangeError(
                f"synchroniser: {marker}, units of {unit_nbytes} octets: no more wrong bits in"
                " search than in lock, and fewer than half of a marker of 8 to 64 bits; steps are"
                " 1 or 8, and marker and slip whole steps"
            )
        pn = None if randomiser is None else sequence(randomiser, unit_nbytes)
        self._pn = ffi.NULL if pn is None else _from_buffer(pn)
        self._at = ffi.new("uint64_t *")
        self._dropped = 0
        self._held = b""
        #: What is known of each unit that the last feed gave, of dtype :data:`UNIT`.
        self.found: npt.NDArray[Any] = np.empty(0, UNIT)

    def feed(self, octets: Octets, judge: Judge | None = None) -> npt.NDArray[np.uint8]:
        """Return the units that ``octets`` complete: an array of shape (units, unit_nbytes).

        ``judge`` is given each unit and tells whether its frame check is right. A bad unit is
        searched for the next marker, and is returned like a good one.
        """
        held = joined("synchroniser", self._held, octets)
        nbits = 8 * len(held)
        units, rows = [], []
        take = 1 if judge else min(_BATCH, len(held) // self.unit_nbytes + 1)
        view = _from_buffer(held)
        while True:
            unit = np.empty((take, self.unit_nbytes), np.uint8)
            row = np.empty(take, UNIT)
            into = _from_buffer("uint8_t[]", unit.reshape(-1))
            known = _from_buffer("fs_unit[]", row)
            count = _units(self._state, view, nbits, self._at, self._pn, into, known, take)
            units.append(unit[:count])
            rows.append(row[:count])
            row["bit"] += np.uint64(self._dropped)
            if count < take:
                break
            if judge:
                lib.fs_sync_judge(self._state, bool(judge(unit[0])), self._at)
        done = self._at[0] >> 3
        self._held = held[done:]
        self._at[0] &= 7
        self._dropped += 8 * done
        self.found = np.concatenate(rows)
        return np.concatenate(units)

    @property
    def state(self) -> str:
        """The state: one of :data:`STATES`."""
        return STATES[self._state.state]

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name."""
        state: Any = self._state
        return {name: getattr(state, name) for name in COUNTERS}

    @property
    def held_bits(self) -> int:
        """Bits that wait for more."""
        return 8 * len(self._held) - int(self._at[0])
