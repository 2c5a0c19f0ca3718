"""From octets to packets to columns, in one object on bounded memory.

    stream = Stream(channel)
    for chunk in chunks:                     of any size: the result is the same
        batch = stream.feed(chunk)
        batch.packets.apid, batch.columns["housekeeping"].columns["bus_v"]
        stream.counters                      readable at any time
    batch = stream.finish()

Nothing is dropped silently: what does not come out is in ``counters``, by stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.layout import Layout
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link.receiver import Units
from flightsw.codec.native import lib
from flightsw.codec.octets import Octets, view_of
from flightsw.codec.packet.pus_format import PusColumns
from flightsw.codec.packet.sequence import Sequence, Tracker
from flightsw.codec.packet.table import IDLE_APID, PacketTable, table_at
from flightsw.codec.packet.table import MAX_NBYTES as _MAX_NBYTES
from flightsw.codec.stream.channel import Channel, Packets, Rule
from flightsw.codec.stream.front import make_front
from flightsw.codec.stream.lines import Counters

CHUNK_NBYTES = 1 << 20
_PEC_NBYTES = 2


class Part(NamedTuple):
    """What a layout made of a batch: ``rows`` (int64) are the packets, by their place in it.

    Columns of a layout of varying size mark packets that they could not decode in ``faults``.
    """

    rows: npt.NDArray[np.int64]
    columns: Any


@dataclass(frozen=True)
class Batch:
    """What some octets completed, one element a packet in every array.

    ``good`` is False where packet error control failed. ``vcid`` (uint8) and ``frame`` (uint64: the
    frame in which the packet ends, from 0) are zeros where there are no frames. ``units`` is what
    virtual channels carry other than packets.
    """

    packets: PacketTable
    good: npt.NDArray[np.bool_]
    sequence: Sequence
    vcid: npt.NDArray[np.uint8]
    frame: npt.NDArray[np.uint64]
    pus: PusColumns | None = None
    units: Units | None = None
    columns: dict[str, Part] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.packets)


class Stream:
    """Runs a :class:`channel.Channel`.

    Raises FieldRangeError for a channel whose stages do not go together.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.octets = 0  #: fed so far
        self._front = make_front(channel)
        self._tracker = Tracker(channel.packets.late_window)
        names = [rule.name for rule in channel.rules]
        if len(set(names)) < len(names):
            raise FieldRangeError(
                f"channel {channel.name}: layouts called {', '.join(names)}; each needs a name"
                " of its own"
            )
        self._rules = tuple(_Columns(rule, channel.packets) for rule in channel.rules)
        self._empty: tuple[Any, ...] | None = None
        self._totals = {"packets": 0, "idle_packets": 0, "bad_error_control": 0, "no_pus_header": 0}

    def feed(self, octets: Octets) -> Batch:
        """Return what ``octets`` complete.

        Raises CodecError for what are no octets, or bits that are neither 0 nor 1; none was taken.
        """
        nbytes = len(octets) if type(octets) is bytes else len(view_of("stream", octets))
        delivered = self._front.feed(octets)
        self.octets += nbytes
        return self._batch(delivered)

    def finish(self) -> Batch:
        """Return what waited for more; call it once, behind the last octet."""
        return self._batch(self._front.finish())

    def read(self, file: BinaryIO, chunk_nbytes: int = CHUNK_NBYTES) -> Iterator[Batch]:
        """Yield a batch for each piece of a file, and the last one at its end."""
        while chunk := file.read(chunk_nbytes):
            yield self.feed(chunk)
        yield self.finish()

    @property
    def counters(self) -> Counters:
        """Totals since the start, by stage and name; packets by APID as ``apid 5`` (telemetry) and
        ``apid 5 tc``, layouts as ``layout NAME``."""
        found = {"input": {"octets": self.octets}} | self._front.counters
        found["packets"] = self._totals | self._tracker.totals
        del found["packets"]["idle"]  # those are the idle_packets
        for (telecommand, apid), counters in self._tracker.channels().items():
            found[f"apid {apid}{' tc' if telecommand else ''}"] = counters
        for rule in self._rules:
            found[f"layout {rule.rule.name}"] = dict(rule.counters)
        return found

    @property
    def reasons(self) -> dict[str, dict[str, int]]:
        """Why packets were undecodable, and how many, by the name of the layout."""
        return {rule.rule.name: dict(rule.reasons) for rule in self._rules}

    def _batch(self, delivered: Units | PacketTable) -> Batch:
        if not len(delivered if isinstance(delivered, PacketTable) else delivered.rows):
            return self._nothing()
        if isinstance(delivered, PacketTable):
            table, units, rows = delivered, None, None
        else:
            table, units, rows = _packets_of(delivered)
        idle = table.apid == IDLE_APID
        self._totals["packets"] += len(table)
        self._totals["idle_packets"] += int(idle.sum())
        if idle.any() and not self.channel.packets.keep_idle:
            self._tracker.follow(table.select(where=idle))
            table = table.select(where=~idle)
            rows = None if rows is None else rows[~idle]
        good = self._check(table)
        self._totals["bad_error_control"] += len(good) - int(good.sum())
        sequence = self._tracker.follow(table, good)
        nothing = np.zeros(len(table), np.uint8)
        batch = Batch(
            table,
            good,
            sequence,
            nothing if rows is None else rows["vcid"],
            nothing.astype(np.uint64) if rows is None else rows["frame"],
            self._pus(table),
            units,
        )
        for rule in self._rules:
            part = rule.take(batch)
            if part is not None:
                batch.columns[rule.rule.name] = part
        return batch

    def _nothing(self) -> Batch:
        """Return a batch without packets: most feeds of a slow link complete none."""
        if self._empty is None:
            table = table_at(b"", np.empty(0, np.uint64))
            sequence, none = self._tracker.follow(table), np.empty(0, np.uint8)
            good, frame = none.view(np.bool_), np.empty(0, np.uint64)
            self._empty = (table, good, sequence, none, frame, self._pus(table))
        return Batch(*self._empty)

    def _check(self, table: PacketTable) -> npt.NDArray[np.bool_]:
        packets = self.channel.packets
        if not packets.error_control:
            return np.ones(len(table), np.bool_)
        without = (IDLE_APID, *packets.no_error_control)
        return np.logical_or(table.ok, np.isin(table.apid, without))

    def _pus(self, table: PacketTable) -> PusColumns | None:
        packets = self.channel.packets
        if packets.pus is None:
            return None
        apids = set(np.unique(table.apid).tolist()) - packets.no_pus - {IDLE_APID}
        found = packets.pus.tm_columns(table, apids)
        commands = table.telecommand
        if commands.any():
            other = packets.pus.tc_columns(table, apids)
            pairs: Any = zip(other, found, strict=True)
            found = PusColumns._make(np.where(commands, tc, tm) for tc, tm in pairs)
        wanted = np.isin(table.apid, list(apids))
        self._totals["no_pus_header"] += int((wanted & ~found.good).sum())
        return found


def _packets_of(units: Units) -> tuple[PacketTable, Units | None, npt.NDArray[Any]]:
    """Return the packets among units as a table, the other units, and the rows of the packets."""
    kind, first = units.rows["kind"], units.octets[units.rows["offset"]]
    idle_packet = (kind == lib.FS_UNIT_IDLE) & (first >> 5 == 0)  # not idle encapsulation
    is_packet = (kind == lib.FS_UNIT_PACKET) | idle_packet
    others = None
    if not is_packet.all():
        others = Units(units.rows[~is_packet], units.octets, units.frames)
    rows = units.rows[is_packet] if others else units.rows
    table = table_at(units.octets, rows["offset"])
    return table, others, rows


def _check_rule(rule: Rule, packets: Packets) -> None:
    """Raise FieldRangeError for a rule that no packet can meet."""
    limits = (("apid", 2047), ("vcid", 63), ("service", 255), ("subtype", 255))
    for name, limit in (*limits, ("skip_nbytes", _MAX_NBYTES)):
        value = getattr(rule, name)
        if value is not None and not 0 <= value <= limit:
            raise FieldRangeError(f"layout {rule.name}: {name} {value}, must be 0 to {limit}")
    if packets.pus is None and (rule.service is not None or rule.subtype is not None):
        raise FieldRangeError(
            f"layout {rule.name}: a service or subtype, and packets without PUS headers; say which"
            " PUS format they have"
        )


class _Columns:
    """A rule at work."""

    def __init__(self, rule: Rule, packets: Packets) -> None:
        self.rule = rule
        self._layout: Layout = rule.layout
        if rule.longer and not self._layout.fixed:
            raise FieldRangeError(
                f"layout {rule.name}: longer packets go with fixed layouts only; let this one end"
                " with the rest of the packet"
            )
        _check_rule(rule, packets)
        self._ends_in_crc = packets.pus is None and packets.error_control
        self._no_crc = (IDLE_APID, *packets.no_error_control)
        self._after_pus = packets.pus is not None
        self.counters = {"packets": 0, "rows": 0, "wrong_length": 0, "undecodable": 0}
        self.reasons: Counter[str] = Counter()

    def take(self, batch: Batch) -> Part | None:
        """Return the columns of the packets that the rule describes, None if there are none."""
        rows = np.flatnonzero(self._matches(batch))
        if not len(rows):
            return None
        self.counters["packets"] += len(rows)
        at, nbytes = self._places(batch, rows)
        buf = batch.packets.buf
        if self._layout.fixed:
            rows, at = self._of_right_length(rows, at, nbytes)
            columns = self._layout.decode_columns(buf, offsets=at)
        else:
            lengths = np.maximum(nbytes, 0).astype(np.uint64)
            columns = self._layout.decode_columns(buf, offsets=at, lengths=lengths)
            self.counters["undecodable"] += columns.bad_count
            self.reasons.update(columns.reasons())
        self.counters["rows"] += int(np.count_nonzero(columns.good))
        return Part(rows, columns)

    def _matches(self, batch: Batch) -> npt.NDArray[np.bool_]:
        rule, packets = self.rule, batch.packets
        found = batch.good.copy()
        if rule.apid is not None:
            found &= packets.apid == rule.apid
        if rule.telecommand is not None:
            found &= packets.telecommand == rule.telecommand
        if rule.vcid is not None:
            found &= batch.vcid == rule.vcid
        if self._after_pus:
            assert batch.pus is not None
            found &= batch.pus.good
            for wanted, column in (
                (rule.service, batch.pus.service),
                (rule.subtype, batch.pus.subtype),
            ):
                if wanted is not None:
                    found &= column == wanted
        return found

    def _places(self, batch: Batch, rows: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Return where the octets of the layout begin, and how many there are."""
        skip = self.rule.skip_nbytes
        if self._after_pus:
            assert batch.pus is not None
            at, nbytes = batch.pus.data_offset[rows], batch.pus.data_nbytes[rows].astype(np.int64)
        else:
            at, nbytes = batch.packets.offset[rows], batch.packets.nbytes[rows].astype(np.int64)
        if self._ends_in_crc:
            nbytes -= _PEC_NBYTES * ~np.isin(batch.packets.apid[rows], self._no_crc)
        return at + np.uint64(skip), nbytes - skip

    def _of_right_length(
        self, rows: npt.NDArray[np.int64], at: Any, nbytes: Any
    ) -> tuple[npt.NDArray[np.int64], Any]:
        want = self._layout.nbytes
        fits = nbytes >= want if self.rule.longer else nbytes == want
        self.counters["wrong_length"] += len(fits) - int(fits.sum())
        return rows[fits], at[fits]
