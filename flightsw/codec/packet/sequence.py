"""Space packets in sequence (CCSDS 133.0-B-2 section 4.1.3.4): gaps, and segments put together.

    tracker = Tracker()
    seen = tracker.follow(table)                  table by table, as the stream comes
    seen.missing, seen.verdict                    one element a packet
    tracker.totals["lost"], tracker.channels()    since the start, over all and of each APID

    joiner = Joiner()
    for unit in joiner.join(table): ...           unit.apid, unit.parts, unit.data

Both hold a fixed amount of memory, whatever comes in.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib

if TYPE_CHECKING:
    from flightsw.codec.packet.table import PacketTable

_from_buffer = ffi.from_buffer

COUNTERS = (
    "packets",
    "octets",
    "gaps",
    "lost",
    "duplicates",
    "late",
    "restarts",
    "jumps",
    "bad",
)
_CHANNEL = np.dtype(
    [*((name, "u8") for name in COUNTERS), ("count", "u2"), ("seen", "u2"), ("", "u4")]
)
assert ffi.sizeof("fs_packet_channel") == _CHANNEL.itemsize


#: C clears a channel when it is met: few of the 4,096 ever are.
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)
_NONE_MET = (0,) * 64


class Verdict(IntEnum):
    """What a packet's sequence count says, by the counts of its type and APID before it."""

    NEXT = lib.FS_SEQUENCE_NEXT
    FIRST = lib.FS_SEQUENCE_FIRST
    GAP = lib.FS_SEQUENCE_GAP
    DUPLICATE = lib.FS_SEQUENCE_DUPLICATE
    LATE = lib.FS_SEQUENCE_LATE
    RESTART = lib.FS_SEQUENCE_RESTART
    JUMP = lib.FS_SEQUENCE_JUMP
    IDLE = lib.FS_SEQUENCE_IDLE
    BAD = lib.FS_SEQUENCE_BAD


class Sequence(NamedTuple):
    """Packets lost right in front of each packet (uint16), and its :class:`Verdict` (uint8)."""

    missing: npt.NDArray[np.uint16]
    verdict: npt.NDArray[np.uint8]


class Tracker:
    """Follows the sequence counts of every packet type and APID.

    The step from 16,383 to 0 is none. A count up to 8,191 ahead is a gap, up to ``late_window``
    back a packet out of order, further back a jump; 0 out of turn is a restart. A gap of more than
    8,191 packets, or one that ends at 0, cannot be told from these. Idle packets have no order.
    Raises FieldRangeError for a window above 8,191.
    """

    def __init__(self, late_window: int = 64) -> None:
        if not 0 <= late_window < 8192:
            raise FieldRangeError(f"packet tracker: a late window of {late_window}, at most 8191")
        self.state = _uncleared("fs_packet_tracker *")
        self.state.late_window = late_window
        self.state.met = _NONE_MET
        octets = ffi.buffer(ffi.addressof(self.state, "channel"))
        self._channels = np.frombuffer(octets, _CHANNEL)

    def follow(self, table: PacketTable, ok: npt.NDArray[np.bool_] | None = None) -> Sequence:
        """Take the packets of ``table``, which come behind all that came before.

        Where ``ok`` (one element a packet) is False the header is not believed: the packet is
        counted as bad, and as lost in front of the next good one.
        """
        n = len(table)
        found = Sequence(np.empty(n, np.uint16), np.empty(n, np.uint8))
        columns, *_keep = table._pointers()
        flags = None if ok is None else np.ascontiguousarray(ok, np.bool_).view(np.uint8)
        if flags is not None and flags.shape != (n,):
            raise FieldRangeError(f"packet tracker: {len(flags)} verdicts for {n} packets")
        lib.fs_packet_track(
            self.state,
            columns,
            ffi.NULL if flags is None else _from_buffer("uint8_t[]", flags),
            n,
            _from_buffer("uint16_t[]", found.missing),
            _from_buffer("uint8_t[]", found.verdict),
        )
        return found

    def channels(self) -> dict[tuple[bool, int], dict[str, int]]:
        """Return the counters by (is telecommand, APID), of those that were met."""
        return {
            (key >= 2048, key & 0x7FF): {name: int(self._channels[name][key]) for name in COUNTERS}
            for key in self._met().tolist()
        }

    def _met(self) -> npt.NDArray[np.int64]:
        """Return the places of the channels that are in use."""
        words = np.frombuffer(ffi.buffer(self.state.met), np.uint64)
        octets = words.astype("<u8").view(np.uint8)
        return np.flatnonzero(np.unpackbits(octets, bitorder="little"))

    @property
    def totals(self) -> dict[str, int]:
        """The counters over all packet types and APIDs, and ``idle`` packets among them."""
        met = self._met()
        sums = {name: int(self._channels[name][met].sum()) for name in COUNTERS}
        idle = self._channels[met[(met & 0x7FF) == 0x7FF]]
        return sums | {"idle": int(idle["packets"].sum()) - int(idle["bad"].sum())}


class Unit(NamedTuple):
    """The data field of a packet, or of ``parts`` segmented ones; ``seq`` is that of the first.

    ``data`` of an unsegmented packet is a view of the table's buffer.
    """

    apid: int
    seq: int
    telecommand: bool
    parts: int
    data: bytes | memoryview


class Joiner:
    """Puts segmented packets together.

    Up to ``groups`` groups may be open at once, each of at most ``group_nbytes`` octets of data.
    Of the parts behind the first, ``secondary_nbytes`` octets of secondary header are left out.
    Idle packets give nothing. Nothing is dropped without being counted; see :attr:`counters`.
    """

    _UNITS = 1024

    def __init__(
        self, groups: int = 64, group_nbytes: int = 1 << 20, *, secondary_nbytes: int = 0
    ) -> None:
        fits = 0 < groups < 0xFFFF and 0 < group_nbytes < 1 << 31
        if not (fits and 0 <= secondary_nbytes < 1 << 16):
            raise FieldRangeError(
                f"packet joiner: {groups} groups of {group_nbytes} octets, secondary headers of"
                f" {secondary_nbytes}; 1 to 65,534 groups, 1 octet to 2 GiB, headers below 64 KiB"
            )
        self._slots = ffi.new("fs_packet_slot[]", groups)
        self._memory = np.empty(groups * group_nbytes, np.uint8)
        self._out = np.empty(2 * group_nbytes, np.uint8)
        self._units = ffi.new("fs_packet_unit[]", self._UNITS)
        self._taken = ffi.new("uint64_t *")
        self._state = ffi.new("fs_packet_joiner *")
        self._state.slots, self._state.nslots = self._slots, groups
        self._state.memory = _from_buffer("uint8_t[]", self._memory)
        self._state.slot_nbytes = group_nbytes
        self._state.secondary_nbytes = secondary_nbytes

    def join(self, table: PacketTable) -> list[Unit]:
        """Return what the packets of ``table`` complete, in the order of completion.

        Raises TruncatedError if a packet of the table ends behind its buffer.
        """
        view, octets = memoryview(table.buf).cast("B"), _from_buffer(table.buf)
        _, offset, nbytes, *_ = table._pointers()
        out, at, left = _from_buffer("uint8_t[]", self._out), 0, len(table)
        units: list[Unit] = []
        while left:
            found = lib.fs_packet_join(
                self._state,
                octets,
                len(octets),
                offset + at,
                nbytes + at,
                left,
                self._units,
                self._UNITS,
                out,
                len(self._out),
                self._taken,
            )
            if found < 0:
                raise TruncatedError(
                    f"packet joiner: of {left} packets one ends behind the {len(octets)} octets"
                )
            units += [self._unit(self._units[i], view) for i in range(found)]
            at, left = at + self._taken[0], left - self._taken[0]
        return units

    def _unit(self, unit: Any, view: memoryview) -> Unit:
        start, end = unit.offset, unit.offset + unit.nbytes
        data = view[start:end] if unit.parts == 1 else self._out[start:end].tobytes()
        kind = bool(unit.id & 0x1000)
        return Unit(unit.id & 0x7FF, unit.sequence & 0x3FFF, kind, unit.parts, data)

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start.

        Of the groups ``begun``, some are ``complete``, ``interrupted`` (a part is missing, or
        another group began), ``evicted`` (the oldest when all slots were taken), ``too_long`` or
        ``open``.
        ``parts_dropped`` counts packets of groups that are lost, and those without a first one.
        """
        names = ("begun", "complete", "interrupted", "evicted", "too_long", "parts_dropped")
        found = {name: getattr(self._state, name) for name in (*names, "unsegmented", "idle")}
        ended = ("complete", "interrupted", "evicted", "too_long")
        return found | {"open": found["begun"] - sum(found[name] for name in ended)}
