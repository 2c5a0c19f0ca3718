"""What came of comparing two streams of records: identical, or where, what and how often not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
        return f"{self.name}: {_shown(self.old)} -> {_shown(self.new)}"


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

    @property
    def t_ns(self) -> int:
        """The time at which the streams part: the earlier of the two."""
        return min(t for t in (self.t_ns_recorded, self.t_ns_replayed) if t is not None)

    @property
    def order(self) -> tuple[int, int]:
        """Return what divergences are sorted by: time, then number."""
        seqs = (self.seq_recorded, self.seq_replayed)
        return self.t_ns, next(seq for seq in seqs if seq is not None)


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

    @property
    def differences(self) -> int:
        """Number of divergences."""
        return self.changed + self.missing + self.extra + self.late + self.swapped


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison."""

    first: Divergence | None
    counts: Mapping[str, TopicCount]
    #: by topic that diverged: number of the recorded record from which on it is identical again
    rejoined: Mapping[str, int | None] = field(default_factory=dict)
    #: lines: what came before the first divergence, in both
    context: tuple[str, ...] = ()
    #: the two streams are the same octets, numbers included
    same_octets: bool = False

    @property
    def identical(self) -> bool:
        """Nothing differs that counts."""
        return self.first is None

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        total = sum(count.recorded for count in self.counts.values())
        if self.first is None:
            return [f"identical: {total:,} records on {len(self.counts)} topics"]
        first = self.first
        lines = [
            f"first divergence: {first.kind} at {first.topic} #{first.index}, "
            f"seq {first.seq_recorded} -> {first.seq_replayed}, t {first.t_ns / 1e9:.9f} s"
        ]
        lines += [f"  {change.line()}" for change in first.fields]
        lines += [f"  {line}" for line in self.context]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return the verdict ready for JSON."""
        return {
            "identical": self.identical,
            "same_octets": self.same_octets,
            "first": None if self.first is None else asdict(self.first),
            "counts": {topic: asdict(count) for topic, count in self.counts.items()},
            "rejoined": dict(self.rejoined),
            "context": list(self.context),
        }


def _shown(value: Value | None) -> str:
    return "nothing" if value is None else str(value)
