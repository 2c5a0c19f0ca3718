"""What a difference of two streams is: late, changed in which fields, lost, added, swapped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from flightsw.codec.wire import Record, unpack_from
from hil.capture.topics import topic_of
from hil.replay.align import MISSING, PAIR, SWAP
from hil.replay.context import Context, Ring
from hil.replay.decode import Decoder, octets
from hil.replay.lane import Found
from hil.replay.rules import HEADER_FIELDS, Rules, plain
from hil.replay.verdict import (
    CHANGED,
    LATE,
    SWAPPED,
    Divergence,
    FieldChange,
    TopicCount,
    Verdict,
    changes,
)
from hil.replay.verdict import EXTRA as EXTRA_KIND
from hil.replay.verdict import MISSING as MISSING_KIND

#: how many records later on its topic a lost record may come and only be late
NEAR = 64


class Judge:
    """Counts what is found, and keeps the first of it."""

    def __init__(self, decoder: Decoder | None, rules: Rules, names: Mapping[int, str]) -> None:
        self._decoder = decoder
        self._rules = rules
        self._names = names
        self._counts: dict[str, TopicCount] = {}
        self._rejoined: dict[str, int | None] = {}
        self._context: Context | None = None
        #: by topic: records that one stream lacks so far, by content
        self._lost: dict[tuple[str, int], OrderedDict[bytes, tuple[int, _Place]]] = {}
        self._first: _Place | None = None
        self._header = (*HEADER_FIELDS, *(["seq"] if rules.compare_seq else []))
        #: by how many records the new stream is shorter so far
        self.skew = 0

    @property
    def diverged(self) -> bool:
        """Something that counts differs."""
        return self._first is not None

    def count(self, topic: str) -> TopicCount:
        """Return the counts of a topic."""
        return self._counts.setdefault(topic, TopicCount())

    def found(self, topic: str, what: Found[bytes], rings: tuple[Ring, Ring]) -> None:
        """Take a difference of two records, or of their order."""
        old, new = (tuple(map(_record, side)) for side in (what.old, what.new))
        if what.op == PAIR:
            changes = self._changes(topic, old[0], new[0])
            if not changes:
                self.count(topic).tolerated += 1
                return
            kind = LATE if [change.name for change in changes] == ["t_ns"] else CHANGED
            self._add(_Place(kind, topic, what, old[0], new[0], changes), rings)
        elif what.op == SWAP:
            changes = [
                FieldChange(f"order[{n}]", self._text(a), self._text(b))
                for n, (a, b) in enumerate(zip(old, new, strict=True))
            ]
            self._add(_Place(SWAPPED, topic, what, old[0], new[0], changes), rings)
        else:
            self._one(topic, what, (*old, *new)[0], rings)

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
        lines = () if self._context is None else self._context.lines(self._describe)
        first = None if self._first is None else self._divergence(self._first)
        return Verdict(first, self._counts, self._rejoined, lines, same_octets)

    # --- differences ------------------------------------------------------------------------------

    def _one(
        self, topic: str, what: Found[bytes], record: Record, rings: tuple[Ring, Ring]
    ) -> None:
        """Take a record that only one stream has; it may be one that the other has elsewhere."""
        is_lost = what.op == MISSING
        index, octets_ = (what.a, what.old[0]) if is_lost else (what.b, what.new[0])
        content = octets_[:8] + octets_[16:24] + octets_[28:]
        self.skew += 1 if is_lost else -1
        before = self._lost.get((topic, not is_lost), OrderedDict()).pop(content, None)
        if before is not None and index - before[0] <= NEAR:
            self._moved(before[1], record, rings)
            return
        kind = MISSING_KIND if is_lost else EXTRA_KIND
        old, new = (record, None) if is_lost else (None, record)
        place = _Place(kind, topic, what, old, new, [])
        lost = self._lost.setdefault((topic, is_lost), OrderedDict())
        lost[content] = (index, place)
        if len(lost) > NEAR:
            lost.popitem(last=False)
        self._add(place, rings)

    def _moved(self, before: _Place, record: Record, rings: tuple[Ring, Ring]) -> None:
        """Make one difference of a record that came at another place of its topic."""
        count = self.count(before.topic)
        setattr(count, before.kind, getattr(count, before.kind) - 1)
        old, new = (before.old or record, before.new or record)
        changes = self._changes(before.topic, old, new)
        kind = LATE if changes else SWAPPED
        place = _Place(kind, before.topic, before.what, old, new, changes)
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
        if old.payload != new.payload:
            if self._decoder is None:
                pairs += changes(octets("payload", old.payload), octets("payload", new.payload))
            else:
                pairs += self._decoder.changes(old, new)
        passes = self._rules.passes
        return [one for one in pairs if not passes(topic, one.name, one.old, one.new)]

    def _add(self, place: _Place, rings: tuple[Ring, Ring]) -> None:
        """Count a difference, and keep it if it is the first."""
        count = self.count(place.topic)
        setattr(count, place.kind, getattr(count, place.kind) + 1)
        for change in place.fields:
            count.fields[plain(change.name)] += 1
        self._rejoined[place.topic] = None
        if self._first is None or place.order < self._first.order:
            self._first = place
            old, new = place.what.at
            self._context = Context(
                None if place.kind == EXTRA_KIND else old,
                None if place.kind == MISSING_KIND else new,
            )
            self._context.look(*rings)

    def _divergence(self, place: _Place) -> Divergence:
        old, new = place.old, place.new
        return Divergence(
            place.kind,
            place.topic,
            place.what.b if old is None else place.what.a,
            None if old is None else old.seq,
            None if new is None else new.seq,
            None if old is None else old.t_ns,
            None if new is None else new.t_ns,
            tuple(place.fields),
            "" if old is None else self._text(old),
            "" if new is None else self._text(new),
        )

    def _text(self, record: Record) -> str:
        """Return what a record says, without its topic."""
        return record.payload[:16].hex() if self._decoder is None else self._decoder.says(record)

    def _describe(self, record: Record) -> str:
        topic = topic_of(record.kind, record.channel, self._names)
        return f"{topic} {self._text(record)}".rstrip()


class _Place:
    """A difference as it was found."""

    __slots__ = ("fields", "kind", "new", "old", "order", "topic", "what")

    def __init__(
        self,
        kind: str,
        topic: str,
        what: Found[bytes],
        old: Record | None,
        new: Record | None,
        fields: list[FieldChange],
    ) -> None:
        self.kind, self.topic, self.what = kind, topic, what
        self.old, self.new, self.fields = old, new, fields
        first = old or new
        assert first is not None, "one of the streams has it"
        t_ns = first.t_ns if new is None else min(first.t_ns, new.t_ns)
        #: what comes first: the earlier time, then the number
        self.order = (t_ns, first.seq)


def _record(octets_: bytes) -> Record:
    return unpack_from(octets_)[0]
