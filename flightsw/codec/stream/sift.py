"""From what a front delivers to batches: the C side is ``csrc/stream/sift.h``.

Everything that does not change from chunk to chunk is made once: the table of rules, what the
channel says of packets, the room to work in.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.link.units import UNIT_DTYPE, Units
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet.sequence import Tracker
from flightsw.codec.packet.table import IDLE_APID, MAX_NBYTES, apid_bits
from flightsw.codec.room import Room
from flightsw.codec.stream.batch import PLAIN, WITH_PUS, Batch, DecodedPart, Delivered, Part
from flightsw.codec.stream.channel import Packets, Rule

_from_buffer, _buffer = ffi.from_buffer, ffi.buffer
_take, _columns = lib.fs_sift_take, lib.fs_sift_columns
_LINE = 64
_LEAST_ROWS = 256
_APIDS = range(IDLE_APID)


class Sift:
    """Packets of a channel at work: checks, counts, headers, layouts.

    Raises FieldRangeError for a rule that no packet can meet, CodecError for a time in PUS headers
    that is not read into columns.
    """

    def __init__(self, packets: Packets, rules: tuple[Rule, ...]) -> None:
        self.tracker = Tracker(packets.late_window)
        self.state = state = ffi.new("fs_sift *")
        self._rules = ffi.new("fs_sift_rule[]", max(len(rules), 1))
        state.tracker, state.rules, state.nrules = self.tracker.state, self._rules, len(rules)
        state.error_control, state.keep_idle = packets.error_control, packets.keep_idle
        state.no_check = apid_bits(packets.no_error_control)
        self._keep: list[Any] = []
        if packets.pus is not None:
            state.has_pus = apid_bits(apid for apid in _APIDS if apid not in packets.no_pus)
            self._keep = [packets.pus.described(telecommand=False)]
            self._keep += [packets.pus.described(telecommand=True)]
            state.telemetry, state.commands = self._keep
            if lib.fs_pus_header_nbytes(state.telemetry) < 0:
                raise CodecError(
                    f"PUS columns: {packets.pus.time} is not read into columns; unpack one by one"
                )
        self.rules = tuple(
            RuleAtWork(rule, packets, self._rules + k) for k, rule in enumerate(rules)
        )
        self._places = PLAIN if packets.pus is None else WITH_PUS
        self._row_nbytes: int = lib.fs_sift_row_nbytes(state)
        self._make_room(_LEAST_ROWS)
        self._tables, self._arenas = Room(), Room()
        self._nothing = np.empty(0, np.uint8)

    def _make_room(self, nrows: int) -> None:
        """Have room for so many packets, a multiple of 8, and for those of every rule."""
        self._nrows = nrows
        numbers = np.empty(max(3 * len(self.rules) * nrows, 1), np.uint64)
        self._work = _from_buffer("uint64_t[]", numbers)

    def batch(self, given: Delivered) -> Batch:
        """Return the packets among what was delivered, and the columns of those with a layout."""
        octets, consumed, count, units, offsets = given
        if not count:
            return Batch(0, b"", 0, self._nothing, 0, self._places, None, {})
        capacity, state = (count + 7) & ~7, self.state
        if capacity > self._nrows:
            self._make_room(2 * capacity)
        view, nbytes = _from_buffer(octets), len(octets)
        table = self._tables.array(capacity * self._row_nbytes)
        room = _from_buffer("uint8_t[]", table)
        found = _take(state, view, nbytes, units, offsets, count, room, capacity, self._work)
        if found < 0:
            raise _refused(found, count, nbytes)
        columns = self._columns_of(octets, view, nbytes) if state.hits else {}
        others = _others(octets, units, count) if state.others else None
        return Batch(found, octets, consumed, table, capacity, self._places, others, columns)

    def _columns_of(self, octets: Any, view: Any, nbytes: int) -> dict[str, Part]:
        columns, state, rules, skip = {}, self.state, self._rules, 0
        arena = self._arenas.array(state.columns_nbytes + _LINE)
        if state.columns_nbytes:
            skip = _columns(state, view, nbytes, _from_buffer("uint8_t[]", arena), len(arena))
        for k in range(state.hits):
            rule = self.rules[rules[k].hit]
            columns[rule.name] = rule.part(octets, arena, skip)
        return columns

    @property
    def totals(self) -> dict[str, int]:
        """Packets in all, since the start."""
        names = ("packets", "idle_packets", "bad_error_control", "no_pus_header")
        return {name: getattr(self.state, name) for name in names}


class RuleAtWork:
    """A rule: its side of C's table, and its counters."""

    def __init__(self, rule: Rule, packets: Packets, state: Any) -> None:
        self.name, self._layout, self._state = rule.name, rule.layout, state
        if rule.longer and not rule.layout.fixed:
            raise FieldRangeError(
                f"layout {rule.name}: longer packets go with fixed layouts only; let this one end"
                " with the rest of the packet"
            )
        _check_rule(rule, packets)
        for name in ("apid", "telecommand", "vcid", "service", "subtype"):
            value = getattr(rule, name)
            setattr(state, name, -1 if value is None else value)
        state.skip_nbytes, state.longer = rule.skip_nbytes, rule.longer
        if rule.layout.fixed:
            prepared = rule.layout.prepared
            self._pointers = ffi.new(prepared.pointers_type)
            state.layout, state.columns = prepared.pointer, self._pointers
        self._undecodable = 0
        self.reasons: Counter[str] = Counter()

    def part(self, octets: Any, arena: npt.NDArray[np.uint8], skip: int) -> Part:
        """Return what the rule found in the last call, whose fixed columns are in ``arena``."""
        state, found = self._state, self._state.found
        if self._layout.fixed:
            return Part(self._layout, found, arena[skip + state.place :])
        numbers = [
            np.frombuffer(bytearray(_buffer(each, 8 * found)), np.uint64)
            for each in (state.rows, state.at, state.lengths)
        ]
        columns = self._layout.decode_columns(octets, offsets=numbers[1], lengths=numbers[2])
        self._undecodable += columns.bad_count
        self.reasons.update(columns.reasons())
        return DecodedPart(numbers[0].view(np.int64), columns)

    @property
    def counters(self) -> dict[str, int]:
        """Packets that match, since the start, and what became of them."""
        packets, wrong, bad = self._state.packets, self._state.wrong_length, self._undecodable
        found = {"packets": packets, "rows": packets - wrong - bad}
        return found | {"wrong_length": wrong, "undecodable": bad}


def _refused(code: int, count: int, nbytes: int) -> CodecError:
    if code == lib.FS_E_FORMAT:
        return SyncError(f"packet table: one of {count} packets has a version that is not 0")
    return TruncatedError(f"packet table: one of {count} packets ends behind {nbytes} octets")


def _others(octets: Any, units: Any, count: int) -> Units:
    """Return the units that are no packets."""
    rows = np.frombuffer(_buffer(units, count * UNIT_DTYPE.itemsize), UNIT_DTYPE)
    kind, first = rows["kind"], octets[rows["offset"]]
    idle_packet = (kind == lib.FS_UNIT_IDLE) & (first >> 5 == 0)  # not idle encapsulation
    return Units(rows[~idle_packet & (kind != lib.FS_UNIT_PACKET)], octets, None)


def _check_rule(rule: Rule, packets: Packets) -> None:
    """Raise FieldRangeError for a rule that no packet can meet."""
    limits = (("apid", 2047), ("vcid", 63), ("service", 255), ("subtype", 255))
    for name, limit in (*limits, ("skip_nbytes", MAX_NBYTES)):
        value = getattr(rule, name)
        if value is not None and not 0 <= value <= limit:
            raise FieldRangeError(f"layout {rule.name}: {name} {value}, must be 0 to {limit}")
    if packets.pus is None and (rule.service is not None or rule.subtype is not None):
        raise FieldRangeError(
            f"layout {rule.name}: a service or subtype, and packets without PUS headers; say which"
            " PUS format they have"
        )
