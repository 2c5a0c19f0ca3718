"""What a difference of two streams is: late, changed in which fields, lost, added, swapped."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Generic, TypeVar

from flightsw.codec.wire import Record, unpack_from
from hil.capture.topics import topic_of
from hil.replay.align import EXTRA, MISSING, PAIR, SWAP
from hil.replay.context import Context, Ring
from hil.replay.decode import Decoder
from hil.replay.decoding.flat import Fields, octets, said
from hil.replay.lane import Found
from hil.replay.rules import HEADER_FIELDS, Rules, plain
from hil.replay.tracks import Placed
from hil.replay.verdict import (
    CHANGED,
    LATE,
    SWAPPED,
    Divergence,
    FieldChange,
    Line,
    TopicCount,
    UnitDifference,
    Verdict,
    changes,
)
from hil.replay.verdict import EXTRA as EXTRA_KIND
from hil.replay.verdict import MISSING as MISSING_KIND

#: how many records later on its topic a lost record may come and only be late
NEAR = 64
#: units that differ, kept of each topic for its first divergence
_UNITS_KEPT = 256
#: kinds of units by what tells most
_TELLING = ("packets", "frames", "idle", "octets")
#: differences of records kept for the list
LISTED = 400
Rings = tuple[Ring, Ring]
T = TypeVar("T")
_NAMES = {PAIR: CHANGED, MISSING: MISSING_KIND, EXTRA: EXTRA_KIND, SWAP: SWAPPED}


class _Place:
    """A difference as it was found: ``at`` are the records at that place in both streams."""

    __slots__ = ("at", "fields", "index", "kind", "new", "old", "order", "topic")

    def __init__(
        self,
        kind: str,
        topic: str,
        index: int,
        old: Record | None,
        new: Record | None,
        fields: list[FieldChange],
        at: tuple[bytes | None, bytes | None],
    ) -> None:
        self.kind, self.topic, self.index, self.at = kind, topic, index, at
        self.old, self.new, self.fields = old, new, fields
        first = old or new
        assert first is not None, "one of the streams has it"
        t_ns = first.t_ns if new is None else min(first.t_ns, new.t_ns)
        #: what comes first: the earlier time, then the number
        self.order = (t_ns, first.seq)


class _Lost(Generic[T]):
    """What one stream has not had so far of the other, the earliest first."""

    def __init__(self) -> None:
        #: what tells it, its running number, and the difference that it is so far
        self._rows: deque[tuple[bytes, int, T]] = deque(maxlen=NEAR)

    def add(self, content: bytes, index: int, difference: T) -> None:
        """Note one more."""
        self._rows.append((content, index, difference))

    def take(self, content: bytes, index: int) -> T | None:
        """Return the difference that ends with ``content`` at number ``index``, if that is near."""
        for row in self._rows:
            if row[0] == content and index - row[1] <= NEAR:
                self._rows.remove(row)
                return row[2]
        return None


class Judge:
    """Counts what is found, and keeps the first of it."""

    def __init__(self, decoder: Decoder | None, rules: Rules, names: Mapping[int, str]) -> None:
        self._decoder = decoder
        self._rules = rules
        self._names = names
        self._counts: dict[str, TopicCount] = {}
        self._units: dict[str, TopicCount] = {}
        self._rejoined: dict[str, int | None] = {}
        self._context: Context | None = None
        #: by topic: records that one stream lacks so far, by content
        self._lost: defaultdict[tuple[str, bool], _Lost[_Place]] = defaultdict(_Lost)
        #: the same by topic and kind of unit
        self._lost_units: defaultdict[tuple[str, str, bool], _Lost[UnitDifference]]
        self._lost_units = defaultdict(_Lost)
        self._first: _Place | None = None
        self._header = (*HEADER_FIELDS, *(["seq"] if rules.compare_seq else []))
        #: the first differences, of records and of units, as they were found
        self._places: list[_Place] = []
        self._unit_list: list[UnitDifference] = []
        #: topics whose units are compared
        self.followed: set[str] = set()
        self._unit_places: dict[str, list[tuple[str, tuple[Placed, ...], list[FieldChange]]]] = {}
        #: by how many records the new stream is shorter so far
        self.skew = 0

    @property
    def diverged(self) -> bool:
        """Something that counts differs."""
        return self._first is not None

    def count(self, topic: str) -> TopicCount:
        """Return the counts of a topic."""
        return self._counts.setdefault(topic, TopicCount())

    def found(self, topic: str, what: Found[bytes], rings: Rings) -> None:
        """Take a difference of two records, or of their order."""
        old, new = (tuple(map(_record, side)) for side in (what.old, what.new))
        if what.op == PAIR:
            fields = self._changes(topic, old[0], new[0])
            if not fields:
                self.count(topic).tolerated += 1
                return
            kind = LATE if [change.name for change in fields] == ["t_ns"] else CHANGED
            self._add(_Place(kind, topic, what.a, old[0], new[0], fields, what.at), rings)
        elif what.op == SWAP:
            fields = [
                FieldChange(f"order[{n}]", self._text(a), self._text(b))
                for n, (a, b) in enumerate(zip(old, new, strict=True))
            ]
            self._add(_Place(SWAPPED, topic, what.a, old[0], new[0], fields, what.at), rings)
        else:
            self._one(topic, what, (*old, *new)[0], rings)

    def found_unit(self, topic: str, kind: str, what: Found[Placed], rings: Rings) -> None:
        """Take a difference of two units, such as packets, or of their order."""
        count = self._units.setdefault(f"{topic} {kind}", TopicCount())
        fields = [
            one
            for one in _unit_changes(what)
            if not self._rules.passes(topic, one.name, one.old, one.new)
        ]
        if not fields:
            count.tolerated += 1
            return
        first = (*what.old, *what.new)[0].first
        found = UnitDifference(_NAMES[what.op], topic, kind, first.seq, first.t_ns, tuple(fields))
        before = self._unit_before(found, what) if what.op in (MISSING, EXTRA) else None
        if before is not None:
            setattr(count, before.kind, getattr(count, before.kind) - 1)
            if before in self._unit_list:
                self._unit_list.remove(before)
            found = found._replace(kind=SWAPPED)
        _tally(count, found.kind, fields)
        self._rejoined[f"{topic} {kind}"] = None
        kept = self._unit_places.setdefault(topic, [])
        if len(kept) < _UNITS_KEPT:
            kept.append((kind, (*what.old, *what.new), fields))
            self._unit_list.append(found)
        if self._rules.about_units:
            old, new = (side[0].first if side else None for side in (what.old, what.new))
            at = (old and old.pack(), new and new.pack())
            self._add(_Place(found.kind, topic, what.a, old, new, fields, at), rings)

    def _unit_before(self, found: UnitDifference, what: Found[Placed]) -> UnitDifference | None:
        """Return where a unit that one stream lacks came at another place of it before."""
        (placed,) = (*what.old, *what.new)
        index = what.a if what.old else what.b
        key, octets_ = (found.topic, found.units), placed.unit.octets
        before = self._lost_units[*key, not what.old].take(octets_, index)
        if before is None:
            self._lost_units[*key, bool(what.old)].add(octets_, index, found)
        return before

    def count_units(self, topic: str, kind: str, side: int, number: int) -> None:
        """Note that units have come on one side."""
        count = self._units.setdefault(f"{topic} {kind}", TopicCount())
        count.replayed += number if side else 0
        count.recorded += 0 if side else number

    def joined(self, topic: str, record: Record) -> None:
        """Note that a topic is identical again from a recorded record on."""
        if topic in self._rejoined:
            self._rejoined[topic] = record.seq

    def look(self, old: Ring, new: Ring) -> None:
        """Take what has come behind the first divergence."""
        if self._context is not None:
            self._context.look(old, new)

    def verdict(self, same_octets: bool) -> Verdict:
        """Return what it all comes to."""
        lines: tuple[Line, ...] = ()
        if self._context is not None:
            free = self._rules.ignore or self._rules.tolerate
            lines = self._context.lines(self._describe, whole=not free)
        first = None if self._first is None else self._divergence(self._first)
        units = {name: count for name, count in self._units.items() if first is not None}
        listed = sorted(self._places, key=lambda place: place.order)
        return Verdict(
            first,
            self._counts,
            units,
            self._rejoined,
            lines,
            same_octets,
            tuple(map(self._divergence, listed)),
            tuple(sorted(self._unit_list, key=lambda unit: (unit.t_ns, unit.seq))),
        )

    # --- differences ------------------------------------------------------------------------------

    def _one(self, topic: str, what: Found[bytes], record: Record, rings: Rings) -> None:
        """Take a record that only one stream has; it may be one that the other has elsewhere."""
        is_lost = what.op == MISSING
        index, octets_ = (what.a, what.old[0]) if is_lost else (what.b, what.new[0])
        content = octets_[:8] + octets_[16:24] + octets_[28:]
        self.skew += 1 if is_lost else -1
        before = self._lost[topic, not is_lost].take(content, index)
        if before is not None:
            self._moved(before, record, rings)
            return
        kind = MISSING_KIND if is_lost else EXTRA_KIND
        old, new = (record, None) if is_lost else (None, record)
        place = _Place(kind, topic, index, old, new, [], what.at)
        self._lost[topic, is_lost].add(content, index, place)
        self._add(place, rings)

    def _moved(self, before: _Place, record: Record, rings: Rings) -> None:
        """Make one difference of a record that came at another place of its topic."""
        count = self.count(before.topic)
        setattr(count, before.kind, getattr(count, before.kind) - 1)
        if before in self._places:
            self._places.remove(before)
        old, new = (before.old or record, before.new or record)
        fields = self._changes(before.topic, old, new)
        kind = LATE if fields else SWAPPED
        place = _Place(kind, before.topic, before.index, old, new, fields, before.at)
        if self._first is before:
            self._first = place
        self._add(place, rings)

    def _changes(self, topic: str, old: Record, new: Record) -> list[FieldChange]:
        """Return the fields that differ and that no rule lets pass."""
        pairs = [
            FieldChange(name, getattr(old, name), getattr(new, name))
            for name in self._header
            if getattr(old, name) != getattr(new, name)
        ]
        is_judged_by_units = self._rules.about_units and topic in self.followed
        if old.payload != new.payload and not is_judged_by_units:
            if self._decoder is None:
                pairs += changes(octets("payload", old.payload), octets("payload", new.payload))
            else:
                pairs += self._decoder.changes(old, new)
        passes = self._rules.passes
        left = [one for one in pairs if not passes(topic, one.name, one.old, one.new)]
        if self._decoder is None or not left or len(left) == len(pairs):
            return left
        # What a reading may differ by shows in the octets that it is made of, too.
        passed = {one.name for one in pairs} - {one.name for one in left}
        covered: dict[str, int] = {}
        for name in sorted(passed):
            for register, rest in self._decoder.made_of(name).items():
                covered[register] = covered.get(register, rest) & rest
        return [one for one in left if not _is_covered(one, covered)]

    def _add(self, place: _Place, rings: Rings) -> None:
        """Count a difference, and keep it if it is the first."""
        _tally(self.count(place.topic), place.kind, place.fields)
        if len(self._places) < LISTED:
            self._places.append(place)
        self._rejoined[place.topic] = None
        if self._first is None or place.order < self._first.order:
            self._first = place
            old, new = place.at
            is_lost, is_new = place.kind == MISSING_KIND, place.kind == EXTRA_KIND
            self._context = Context(None if is_new else old, None if is_lost else new)
            self._context.look(*rings)

    def _divergence(self, place: _Place) -> Divergence:
        old, new = place.old, place.new
        return Divergence(
            place.kind,
            place.topic,
            place.index,
            None if old is None else old.seq,
            None if new is None else new.seq,
            None if old is None else old.t_ns,
            None if new is None else new.t_ns,
            tuple(self._telling(place)),
            "" if old is None else self._text(old),
            "" if new is None else self._text(new),
            self._packet(place),
        )

    def _packet(self, place: _Place) -> str:
        """Return which packet it is that differs, if one does."""
        rows = self._unit_places.get(place.topic, [])
        packets = [units for kind, units, _ in rows if kind == _TELLING[0]]
        touching = [units for units in packets if any(_touches(unit, place) for unit in units)]
        return _heading(touching[0][0].unit.fields) if touching else ""

    def _telling(self, place: _Place) -> list[FieldChange]:
        """Return the fields of a difference: those of the units that its records carry, if any;
        when something was made tells more than how it is counted."""
        units = self._unit_places.get(place.topic, [])
        touching = [row for row in units if any(_touches(unit, place) for unit in row[1])]
        for kind in _TELLING:
            rows = [row for row in touching or units[:1] if row[0] == kind]
            if rows:
                header = [change for change in place.fields if change.name in self._header]
                told = [change for row in rows for change in row[2]]
                return header + sorted(told, key=lambda change: not change.name.endswith(".t_ns"))
        return place.fields

    def _text(self, record: Record) -> str:
        """Return what a record says, without its topic."""
        return record.payload[:16].hex() if self._decoder is None else self._decoder.says(record)

    def _describe(self, record: Record) -> str:
        topic = topic_of(record.kind, record.channel, self._names)
        return f"{topic} {self._text(record)}".rstrip()


def _tally(count: TopicCount, kind: str, fields: list[FieldChange]) -> None:
    setattr(count, kind, getattr(count, kind) + 1)
    for name in {plain(change.name) for change in fields}:
        count.fields[name] += 1


def _unit_changes(what: Found[Placed]) -> list[FieldChange]:
    """Return what differs between two units, or what the one is that only one stream has."""
    if what.op == PAIR:
        old, new = what.old[0].unit, what.new[0].unit
        return changes(old.fields, new.fields) or changes(
            octets("octets", old.octets), octets("octets", new.octets)
        )
    if what.op == SWAP:
        pairs = zip(what.old, what.new, strict=True)
        return [
            FieldChange(f"order[{n}]", said(a.unit.fields), said(b.unit.fields))
            for n, (a, b) in enumerate(pairs)
        ]
    (placed,) = (*what.old, *what.new)
    name, text = _title(placed.unit.fields)
    return [FieldChange(name, text, None) if what.old else FieldChange(name, None, text)]


def _title(fields: Fields) -> tuple[str, str]:
    """Return name and text of a unit: ``tm.power`` and what its header says."""
    lead = next(iter(fields), "octets").partition(".")[0].partition("[")[0]
    name = fields.get(f"{lead}.name")
    head = {field: value for field, value in fields.items() if field.count(".") == 1}
    return (f"{lead}.{name}" if name else lead), said(head or fields)


def _heading(fields: Fields) -> str:
    """Return what a packet is: its name, its APID, and when it was made."""
    lead = next(iter(fields), "octets").partition(".")[0].partition("[")[0]
    words = [_title(fields)[0]]
    if (apid := fields.get(f"{lead}.apid")) is not None:
        words.append(f"APID {apid}")
    if isinstance(t_ns := fields.get(f"{lead}.t_ns"), int):
        words.append(f"made at {t_ns / 1e9:.9g} s")
    return ", ".join(words)


def _is_covered(change: FieldChange, covered: Mapping[str, int]) -> bool:
    """Tell whether a register differs only in what a reading that may differ is made of."""
    if not isinstance(change.old, int) or not isinstance(change.new, int):
        return False
    return change.name in covered and not (change.old ^ change.new) & covered[change.name]


def _touches(placed: Placed, place: _Place) -> bool:
    """Tell whether a unit has octets in the record of a difference."""
    records = [record for record in (place.old, place.new) if record is not None]
    return any(
        placed.first.seq <= record.seq <= placed.last.seq
        and placed.first.t_ns <= record.t_ns <= placed.last.t_ns
        for record in records
    )


def _record(octets_: bytes) -> Record:
    return unpack_from(octets_)[0]
