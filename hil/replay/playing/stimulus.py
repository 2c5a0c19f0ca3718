"""What a recording has in store for play: its stimulus, in order, with its times.

Stimulus is what came from outside of whoever is stimulated: towards the payload computer the
octets, frames and edges that it received (``Flag.INPUT``), towards the ground the frames of the
downlink. A unit is due when its last bit came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flightsw.codec.wire import Flag, Kind, Record
from hil.capture.reader import Capture
from hil.replay.outcome import ReplayOptions
from hil.time.kernel import NEVER_NS, Kernel
from hil.time.pacing import OVERRUN_NS, Histogram
from hil.time.phase import Phase
from hil.wiring import BUS_SOURCE

_SENT = frozenset((int(Kind.UART), int(Kind.CAN), int(Kind.GPIO)))
_INPUT = int(Flag.INPUT)
_TM = int(Kind.TM)


def is_input(record: Record) -> bool:
    """Tell whether a record came in at the payload computer by itself."""
    return record.kind in _SENT and bool(record.flags & _INPUT)


def is_sent(record: Record) -> bool:
    """Tell whether a record is what the payload computer sent by itself, without being asked."""
    return record.kind in _SENT and not record.flags & _INPUT


def is_downlink(record: Record) -> bool:
    """Tell whether a record is a unit of the downlink."""
    return record.kind == _TM


def stimulus(
    capture: Capture, options: ReplayOptions, wanted: Callable[[Record], bool]
) -> Iterator[Record]:
    """Yield the records of a capture that are stimulus, from ``--from`` and up to ``--until``."""
    for record in capture.records(first_seq=options.start or 0):
        if options.until is not None and record.seq > options.until:
            return
        if wanted(record):
            yield record


@dataclass
class Delivered:
    """What was delivered, by topic, and how late."""

    #: of the capture, by kind and channel
    topics: Mapping[tuple[int, int], str]
    counts: Counter[str] = field(default_factory=Counter)
    octets: Counter[str] = field(default_factory=Counter)
    lateness: Histogram = field(default_factory=Histogram)
    overruns: int = 0

    @classmethod
    def of(cls, capture: Capture) -> Delivered:
        """Return the counts of nothing yet, by the topics of a capture."""
        infos = capture.channels.values()
        return cls({(info.kind, info.channel): info.topic for info in infos})

    def note(self, record: Record) -> None:
        """Count a record that was delivered."""
        topic = self.topics[record.kind, record.channel]
        self.counts[topic] += 1
        self.octets[topic] += len(record.payload)

    def late(self, late_ns: int) -> None:
        """Count how late one was."""
        self.lateness.add(late_ns)
        self.overruns += late_ns > OVERRUN_NS

    def figures(self) -> dict[str, Any]:
        """Return the lateness in microseconds; nothing where nobody waited for the wall."""
        found = self.lateness
        if not found.total:
            return {}
        shares = {"p50": 50, "p99": 99, "p99.9": 99.9}
        late: dict[str, Any] = {
            name: round(found.percentile_ns(percent) / 1000, 1) for name, percent in shares.items()
        }
        late |= {"worst": round(found.max_ns / 1000, 1), "overruns": self.overruns}
        return {"lateness_us": late | {"records": found.total}}


class Player:
    """Delivers stimulus on a kernel, each record when it is due, and never before.

    ``bring`` delivers one; ``late`` says how late the wall is, nanoseconds, None: it is not waited
    for. ``offset_ns`` is added to recorded times.
    """

    def __init__(
        self,
        kernel: Kernel,
        records: Iterator[Record],
        bring: Callable[[Record], None],
        delivered: Delivered,
        late: Callable[[int], int] | None = None,
    ) -> None:
        self.kernel = kernel
        self.delivered = delivered
        self._records = records
        self._bring = bring
        self.late = late
        self._offset_ns = 0
        self._next: Record | None = next(records, None)
        #: when the next one is due, virtual time; NEVER_NS: there is none
        self.due_ns = NEVER_NS
        #: called when the last one was delivered
        self.ended: Callable[[int], None] = lambda t_ns: None

    def rest(self) -> int:
        """Give up what was not delivered; return how many records that were."""
        left = (self._next is not None) + sum(1 for _ in self._records)
        self._next, self.due_ns = None, NEVER_NS
        return left

    @property
    def first_ns(self) -> int:
        """When the first record is due in its recording; 0 if there is none."""
        return 0 if self._next is None else _due(self._next)

    def begin(self, offset_ns: int = 0) -> None:
        """Start; the kernel does the rest."""
        self._offset_ns = offset_ns
        self._schedule(self.kernel.now_ns)

    def _schedule(self, now_ns: int) -> None:
        record = self._next
        self.due_ns = NEVER_NS
        if record is not None:
            self.due_ns = min(max(_due(record) + self._offset_ns, now_ns), NEVER_NS)
        if record is None or self.due_ns == NEVER_NS:
            self.ended(now_ns)
            return
        self.kernel.at(self.due_ns, Phase.BUS, BUS_SOURCE + record.channel, self._deliver)

    def _deliver(self, t_ns: int) -> None:
        record = self._next
        if record is None:
            return  # given up meanwhile
        if self.late is not None:
            self.delivered.late(self.late(t_ns))
        if self._offset_ns:
            record = record._replace(t_ns=max(0, t_ns - record.duration_ns))
        self._bring(record)
        self.delivered.note(record)
        self._next = next(self._records, None)
        self._schedule(t_ns)


def _due(record: Record) -> int:
    """Return when the last bit of a record came."""
    return record.t_ns + record.duration_ns
