"""Comparing a new stream of records with a recorded one, topic by topic, in order.

Records are paired by topic and running number there, never by time. As long as both streams are the
same octets, comparing costs what comparing octets costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from flightsw.codec.wire import Record, unpack_all
from hil.capture.topics import topic_of
from hil.replay.decode import Decoder, octets
from hil.replay.rules import HEADER_FIELDS, Rules
from hil.replay.verdict import Divergence, FieldChange, TopicCount, Value, Verdict


class Comparison:
    """Feed it the new stream; it pulls the recorded one as far as it needs."""

    def __init__(
        self,
        recorded: Iterable[bytes],
        decoder: Decoder | None,
        rules: Rules,
        names: Mapping[int, str],
    ) -> None:
        self._recorded: Iterator[bytes] = iter(recorded)
        self._decoder = decoder
        self._rules = rules
        self._names = names
        self._counts: dict[str, TopicCount] = {}
        self._queues: dict[str, tuple[list[Record], list[Record]]] = {}
        self._first: Divergence | None = None
        self._same_octets = True
        self._pending = b""

    def feed(self, octets: bytes) -> None:
        """Take whole records of the new stream, in order."""
        while len(self._pending) < len(octets):
            more = next(self._recorded, None)
            if more is None:
                break
            self._pending += more
        old = self._pending[: len(octets)]
        if old != octets:
            self._same_octets = False
        taken = self._whole(len(octets))
        self._take(self._pending[:taken], 0)
        self._pending = self._pending[taken:]
        self._take(octets, 1)
        self._settle()

    def finish(self, stopped: bool = False) -> Verdict:
        """Return the verdict; ``stopped``: the new stream was ended before its time, so that what
        is recorded after its end is not missing."""
        if not stopped:
            self._take(self._pending, 0)
            for more in self._recorded:
                self._same_octets = False
                self._take(more, 0)
        self._settle()
        for topic, (old, new) in self._queues.items():
            for a, b in zip_longest(old, new):
                if b is not None or not stopped:
                    self._pair(topic, a, b)
        return Verdict(self._first, self._counts, same_octets=self._same_octets)

    def _whole(self, nbytes: int) -> int:
        """Return where the record ends that holds octet ``nbytes`` of what is pending."""
        at = 0
        for record in unpack_all(self._pending):
            if at >= nbytes:
                break
            at += 32 + len(record.payload)
        return at

    def _take(self, buffer: bytes, side: int) -> None:
        for record in unpack_all(buffer):
            topic = topic_of(record.kind, record.channel, self._names)
            if self._rules.compares(topic):
                self._queues.setdefault(topic, ([], []))[side].append(record)
                count = self._counts.setdefault(topic, TopicCount())
                if side:
                    count.replayed += 1
                else:
                    count.recorded += 1

    def _settle(self) -> None:
        for topic, (old, new) in self._queues.items():
            n = min(len(old), len(new))
            for a, b in zip(old[:n], new[:n], strict=True):
                self._pair(topic, a, b)
            del old[:n], new[:n]

    def _pair(self, topic: str, a: Record | None, b: Record | None) -> None:
        count = self._counts[topic]
        changes: tuple[FieldChange, ...] = ()
        if a is None or b is None:
            kind = "extra" if a is None else "missing"
        else:
            if a[:6] == b[:6] and a[7:] == b[7:] and not self._rules.compare_seq:
                return
            changes = self._changes(topic, a, b)
            if not changes:
                count.tolerated += 1
                return
            kind = "late" if {change.name for change in changes} == {"t_ns"} else "changed"
        setattr(count, kind, getattr(count, kind) + 1)
        count.fields.update(change.name for change in changes)
        found = Divergence(
            kind,
            topic,
            (count.recorded if a is not None else count.replayed) - 1,
            a and a.seq,
            b and b.seq,
            a and a.t_ns,
            b and b.t_ns,
            changes,
        )
        if self._first is None or found.order < self._first.order:
            self._first = found

    def _changes(self, topic: str, a: Record, b: Record) -> tuple[FieldChange, ...]:
        old, new = self._fields(a), self._fields(b)
        return tuple(
            FieldChange(name, old.get(name), new.get(name))
            for name in {**old, **new}
            if old.get(name) != new.get(name)
            and not self._rules.passes(topic, name, old.get(name), new.get(name))
        )

    def _fields(self, record: Record) -> dict[str, Value]:
        told: dict[str, Value] = {"seq": record.seq} if self._rules.compare_seq else {}
        if self._decoder is not None:
            return told | self._decoder.fields(record)
        told |= {name: getattr(record, name) for name in HEADER_FIELDS}
        return told | octets("payload", record.payload)
