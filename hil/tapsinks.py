"""What a live tap makes of records: pcapng, or decoded lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flightsw.codec.wire import FIRST_DIGEST_KIND, Kind, Record, unpack_all
from hil.capture.export.naming import Names, matches
from hil.capture.export.pcapng import SNAPLEN, PcapngWriter
from hil.capture.follow import Follower
from hil.config import visible
from hil.replay.condition import Condition, Name, Value, parse
from hil.replay.decode import Decoder
from hil.replay.naming import HEADER, dictionary_words, meant
from hil.replay.stops import about

#: Makes the decoder for a capture, once its head is there.
MakeDecoder = Callable[[Follower], Decoder]


class Loose(dict[str, Value]):
    """Fields of a record that may be asked for by the end of their name, if that is one field."""

    def __missing__(self, name: str) -> Value | None:
        found = meant(name, self)
        return self[found[0]] if len(found) == 1 else None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field by its name or the end of it."""
        found = self[name]
        return default if found is None else found


class Filter:
    """A condition that records must meet (``status != 0 and topic == "/bus/i2c-1"``)."""

    def __init__(self, text: str) -> None:
        self.condition: Condition = parse(text)
        #: fields asked for that no record has had yet
        self.unmet: set[str] = set()
        for name in self.condition.names():
            assert isinstance(name, Name)
            words = dictionary_words() | set(Kind.__members__)
            name.is_word = name.text not in HEADER and name.text in words
            if not name.is_word:
                self.unmet.add(name.text)

    def takes(self, fields: Mapping[str, Value]) -> bool:
        """Tell whether the record with these fields meets it."""
        loose = Loose(fields)
        if self.unmet:
            self.unmet = {name for name in self.unmet if loose[name] is None}
        return self.condition.holds(loose)


def unmet(names: Names, topics: Collection[str], condition: Filter | None) -> list[str]:
    """Return what was asked for and never came: topics, and fields of the condition."""
    known = names.topics()
    found = [
        f"no channel is called {t!r}" for t in topics if not any(matches(k, [t]) for k in known)
    ]
    fields = sorted(condition.unmet) if condition is not None and known else []
    return found + [f"no record has a field {field!r}" for field in fields]


class Seen:
    """Counts what came: records by topic, and numbers that are missing."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._by_key: Counter[tuple[int, int]] = Counter()
        self._next: int | None = None
        self.lost = 0

    def add(self, record: Record) -> None:
        """Take in a record."""
        gap = 0 if self._next is None else (record.seq - self._next) & 0xFFFFFFFF
        self.lost += gap if gap < 1 << 31 else 0
        numbered = record.kind >= FIRST_DIGEST_KIND and record.kind != Kind.WORLD
        self._next = record.seq + numbered
        self._by_key[record.kind, record.channel] += 1

    @property
    def counts(self) -> dict[str, int]:
        """Records by name of their channel."""
        found: Counter[str] = Counter()
        for key, count in self._by_key.items():
            found[self._names.name(*key)] += count
        return dict(found)


class LineSink:
    """Decoded lines, or objects of JSON, one a record."""

    def __init__(
        self,
        put: Callable[[str], object],
        decoder: MakeDecoder,
        *,
        topics: Collection[str] = (),
        condition: Filter | None = None,
        as_json: bool = False,
    ) -> None:
        self._put, self._make, self._as_json = put, decoder, as_json
        self._topics, self._condition = tuple(topics), condition
        self._names = Names()
        self._seen = Seen(self._names)
        self._decoder: Decoder | None = None
        self._follower: Follower | None = None
        self.written = 0

    @property
    def counts(self) -> dict[str, int]:
        """Records that came, by name of their channel."""
        return self._seen.counts

    @property
    def lost(self) -> int:
        """Records whose numbers are missing."""
        return self._seen.lost

    @property
    def unmet(self) -> list[str]:
        """What was asked for and never came."""
        return unmet(self._names, self._topics, self._condition)

    def begin(self, follower: Follower) -> None:
        """Begin, once the head of the capture is there."""
        self._follower, self._decoder = follower, self._make(follower)

    def write(self, records: bytes) -> None:
        """Print the records that are wanted."""
        assert self._follower is not None
        self._names.learn(self._follower.channels.values())
        lines = [line for record in unpack_all(records) if (line := self._line(record))]
        if lines:
            self.written += len(lines)
            self._put("\n".join(lines) + "\n")

    def finish(self) -> None:
        """Write what belongs at the end: nothing."""

    def _line(self, record: Record) -> str:
        """Return the line of a record, ``""`` for one that is not wanted."""
        assert self._decoder is not None
        self._seen.add(record)
        topic = self._names.topic(record.kind, record.channel)
        if self._topics and not matches(topic, self._topics):
            return ""
        fields: dict[str, Value] = {}
        if self._as_json or self._condition is not None:
            fields = {**about(record, topic), **self._decoder.fields(record)}
        if self._condition is not None and not self._condition.takes(fields):
            return ""
        if self._as_json:
            return json.dumps(fields)
        said = visible(self._decoder.describe(record))
        return f"{record.seq:>8} {record.t_ns / 1e9:>14.6f}  {said}"


class PacketSink:
    """pcapng; ``written`` packets came of the records in ``counts``."""

    def __init__(
        self,
        put: Callable[[bytes], object],
        decoder: MakeDecoder,
        *,
        topics: Collection[str] = (),
        condition: Filter | None = None,
        snaplen: int = SNAPLEN,
    ) -> None:
        self._put, self._make, self._snaplen = put, decoder, snaplen
        self._topics, self._condition = tuple(topics), condition
        self._names = Names()
        self._seen = Seen(self._names)
        self._writer: PcapngWriter | None = None
        self._follower: Follower | None = None
        self._decoder: Decoder | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Packets, or with a condition records that came, by name of their channel."""
        if self._condition is not None:
            return self._seen.counts
        return {} if self._writer is None else self._writer.counts

    @property
    def lost(self) -> int:
        """Records whose numbers are missing."""
        if self._condition is not None:
            return self._seen.lost
        return 0 if self._writer is None else self._writer.lost

    @property
    def unmet(self) -> list[str]:
        """What was asked for and never came."""
        return unmet(self._names, self._topics, self._condition)

    @property
    def written(self) -> int:
        """Packets written."""
        return 0 if self._writer is None else sum(self._writer.counts.values())

    def begin(self, follower: Follower) -> None:
        """Write the section header, once the head of the capture is there."""
        self._follower = follower
        if self._condition is not None:
            self._decoder = self._make(follower)
        self._writer = PcapngWriter(
            self._put,
            self._names,
            follower.metadata["flatsat"],
            wanted=lambda topic: not self._topics or matches(topic, self._topics),
            selection=bool(self._topics) or self._condition is not None,
            counting=self._condition is None,
            snaplen=self._snaplen,
        )

    def write(self, records: bytes) -> None:
        """Write the packets of the records that are wanted."""
        assert self._writer is not None
        assert self._follower is not None
        self._names.learn(self._follower.channels.values())
        if self._condition is None:
            self._writer.write(records)
            return
        kept = [record.pack() for record in unpack_all(records) if self._takes(record)]
        if kept:
            self._writer.write(b"".join(kept))

    def finish(self) -> None:
        """Write the statistics of every interface."""
        if self._writer is not None and self._follower is not None:
            self._writer.finish(self._follower.metadata)

    def _takes(self, record: Record) -> bool:
        """Tell whether a record meets the condition; all of them are counted and decoded."""
        assert self._decoder is not None
        assert self._condition is not None
        self._seen.add(record)
        topic = self._names.topic(record.kind, record.channel)
        return self._condition.takes({**about(record, topic), **self._decoder.fields(record)})
