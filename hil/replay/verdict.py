"""What came of comparing two streams of records: identical, or where, what and how often not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from hil.printable import printable

#: kinds of divergence
CHANGED, MISSING, EXTRA, LATE, SWAPPED = "changed", "missing", "extra", "late", "swapped"
KINDS = (CHANGED, MISSING, EXTRA, LATE, SWAPPED)
#: fields that the text tells of a topic; JSON has them all
FIELDS_SHOWN = 8
#: fields of the first divergence that the text tells
_FIRST_FIELDS = 24
#: packets lost or added that the text tells
UNITS_SHOWN = 4
#: characters of what a record says in a line of text
LINE_LENGTH = 180
#: what is recorded of the world, which is seen and not done: no digest has it, nor a number
WORLD = "/world"
#: the units that people speak of
PACKETS = "packets"
#: value of a field as the decoder gives it
Value = int | float | str


@dataclass(frozen=True)
class FieldChange:
    """One field of a record: as recorded, and as replayed; None: not there."""

    name: str
    old: Value | None
    new: Value | None

    def line(self) -> str:
        """Return the change as text."""
        return printable(f"{self.name}: {_shown(self.old)} -> {_shown(self.new)}")


def changes(old: Mapping[str, Value], new: Mapping[str, Value]) -> list[FieldChange]:
    """Return the fields that differ, in their order."""
    return [
        FieldChange(name, old.get(name), new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
        and not (_is_nan(old.get(name)) and _is_nan(new.get(name)))
    ]


def _is_nan(value: Value | None) -> bool:
    """Tell whether a value is no number: two of these are the same and not equal."""
    return value != value


@dataclass(frozen=True)
class Divergence:
    """One place where the streams differ. Times are nanoseconds of virtual time."""

    #: changed, missing, extra, late or swapped
    kind: str
    topic: str
    #: running number on the topic, from 0, in the stream that has the record
    index: int
    seq_recorded: int | None
    seq_replayed: int | None
    t_ns_recorded: int | None
    t_ns_replayed: int | None
    fields: tuple[FieldChange, ...] = ()
    #: what the record is, as recorded and as replayed
    recorded: str = ""
    replayed: str = ""
    #: the packet that it completes or is part of: name, APID, when it was made
    packet: str = ""

    def lines(self) -> list[str]:
        """Return the divergence for people."""
        number = self.seq_replayed if self.seq_recorded is None else self.seq_recorded
        lines = [
            f"first divergence: {self.kind}, {self.topic} record {self.index}, #{number} "
            f"at {self.t_ns / 1e9:.9f} s"
        ]
        if self.t_ns_recorded is not None and self.t_ns_replayed is not None:
            late_ns = self.t_ns_replayed - self.t_ns_recorded
            way = "late" if late_ns > 0 else "early"
            lines[0] += f", {abs(late_ns) / 1e9:g} s {way}" if late_ns else ""
        if self.packet:
            lines[0] += printable(f": {self.packet}")
        lines += (f"  {change.line()}" for change in self.fields[:_FIRST_FIELDS])
        if len(self.fields) > _FIRST_FIELDS:
            lines.append(f"  and {_number(len(self.fields) - _FIRST_FIELDS, 'field')} more")
        if self.kind in (MISSING, EXTRA) and (said := self.recorded or self.replayed):
            lines.append(f"  {cut(said)}")
        return lines

    @property
    def t_ns(self) -> int:
        """The time at which the streams part: the earlier of the two."""
        return min(t for t in (self.t_ns_recorded, self.t_ns_replayed) if t is not None)


class UnitDifference(NamedTuple):
    """A difference of what spans records: a packet, a frame, a message."""

    kind: str
    topic: str
    #: packets, frames, idle or octets
    units: str
    #: number and time of the first record that it is in: of the recorded stream, if it is there
    seq: int
    t_ns: int
    fields: tuple[FieldChange, ...]

    def line(self) -> str:
        """Return the difference as text."""
        shown = "; ".join(change.line() for change in self.fields[:FIELDS_SHOWN])
        place = f"{self.kind}, {self.topic} {self.units}, #{self.seq} at {self.t_ns / 1e9:.9f} s"
        return cut(f"{place}: {shown}")


@dataclass
class TopicCount:
    """How the records of one topic compare."""

    recorded: int = 0
    replayed: int = 0
    changed: int = 0
    missing: int = 0
    extra: int = 0
    late: int = 0
    swapped: int = 0
    #: pairs that differ and that the rules let pass
    tolerated: int = 0
    #: how often each field differs beyond the rules
    fields: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Return the counts that are not 0."""
        kinds = {kind: getattr(self, kind) for kind in (*KINDS, "tolerated")}
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)
        return f"{self.recorded:,} -> {self.replayed:,}: {told or 'identical'}"

    def most(self, number: int) -> list[tuple[str, int]]:
        """Return the fields that differ most often and how often, in one order wherever it runs."""
        return sorted(self.fields.items(), key=lambda item: (-item[1], item[0]))[:number]

    def as_json(self) -> dict[str, Any]:
        """Return the counts ready for JSON."""
        return {**vars(self), "fields": dict(sorted(self.fields.items()))}

    @property
    def differences(self) -> int:
        """Number of divergences."""
        return sum(getattr(self, kind) for kind in KINDS)


class Line(NamedTuple):
    """One event of the context: ``mark`` is ``-`` for recorded only, ``+`` for replayed only."""

    mark: str
    seq: int
    t_ns: int
    text: str

    def line(self) -> str:
        """Return the event as text."""
        return cut(f"{self.mark or ' '} {self.seq:>9} {self.t_ns / 1e9:>15.9f} s  {self.text}")


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison."""

    first: Divergence | None
    counts: Mapping[str, TopicCount]
    #: the same for frames, packets and messages that span records, by topic and their name
    units: Mapping[str, TopicCount] = field(default_factory=dict)
    #: by topic that diverged: number of the recorded record from which on it is identical again
    rejoined: Mapping[str, int | None] = field(default_factory=dict)
    #: events before and behind the first divergence, of both streams
    context: tuple[Line, ...] = ()
    #: the two streams are the same octets, numbers included
    same_octets: bool = False
    #: the first differences in order of time, of records and of what spans them
    listed: tuple[Divergence, ...] = ()
    listed_units: tuple[UnitDifference, ...] = ()

    @property
    def identical(self) -> bool:
        """Nothing differs that counts."""
        return self.first is None

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        records = sum(count.recorded for count in self.counts.values())
        if self.first is None:
            how = "octet for octet" if self.same_octets else "topic by topic"
            told = f"identical {how}: {_number(records, 'record')} on "
            told += _number(len(self.counts), "topic")
            if WORLD in self.counts:  # they have no numbers of their own
                told += f", {self.counts[WORLD].recorded:,} of them samples of the world"
            if not records:
                told = "identical: there are no records, neither in the one nor in the other"
            tolerated = sum(count.tolerated for count in self.counts.values())
            return [told + (f"; {tolerated:,} differ within the rules" if tolerated else "")]
        parts = (self._then(), self._around(), self._table(), self._again())
        return [*self.first.lines(), *(line for part in parts for line in part)]

    def _then(self) -> list[str]:
        """Return what else differs among packets: what was lost or added says more there."""
        told = [unit for unit in self.listed_units if unit.units == PACKETS]
        rows = [unit for unit in told if unit.kind in (MISSING, EXTRA)][:UNITS_SHOWN]
        return ["packets lost or added:", *(f"  {unit.line()}" for unit in rows)] if rows else []

    def _around(self) -> list[str]:
        if not self.context:
            return []
        return ["around it (- recorded only, + replayed only):", *(e.line() for e in self.context)]

    def _table(self) -> list[str]:
        """Return what differs on each topic, and how often each field."""
        parted = {topic: count for topic, count in self.counts.items() if count.differences}
        same = len(self.counts) - len(parted)
        parted |= self.units
        width = max(map(len, parted), default=0)
        lines = ["differences by topic:"]
        for topic, count in parted.items():
            lines.append(f"  {topic:<{width}}  {count.line()}")
            most = count.most(FIELDS_SHOWN)
            lines += (f"  {'':<{width}}    {printable(name)} {number:,}" for name, number in most)
            if len(count.fields) > FIELDS_SHOWN:
                more = len(count.fields) - FIELDS_SHOWN
                lines.append(f"  {'':<{width}}    and {_number(more, 'field')} more")
        are = "is" if same == 1 else "are"
        return [*lines, f"  {_number(same, 'other topic')} {are} identical"] if same else lines

    def _again(self) -> list[str]:
        return [
            f"{topic}: never identical again"
            if seq is None
            else f"{topic}: identical again from #{seq}"
            for topic, seq in self.rejoined.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict ready for JSON."""
        return {
            "identical": self.identical,
            "same_octets": self.same_octets,
            "first": None if self.first is None else asdict(self.first),
            "counts": {topic: count.as_json() for topic, count in self.counts.items()},
            "units": {name: count.as_json() for name, count in self.units.items()},
            "rejoined": dict(self.rejoined),
            "context": [event._asdict() for event in self.context],
            "differences": [asdict(one) for one in self.listed],
            "unit_differences": [
                {**unit._asdict(), "fields": [asdict(change) for change in unit.fields]}
                for unit in self.listed_units
            ],
        }


def cut(text: str) -> str:
    """Return a text that fits a line."""
    return text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 3] + "..."


def _number(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where there is not exactly one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _shown(value: Value | None) -> str:
    return "nothing" if value is None else str(value)
