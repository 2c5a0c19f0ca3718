"""Rate groups and one-shot tasks on mission time, in one thread and without preemption.

A rate group is released every ``period_ns``; the callables of the group run one after the other.
When several are due the one with the shorter period goes first; one-shot tasks run when no group
is due. A group that ends after its next release has overrun: it is counted and reported, and the
releases that it covered are skipped rather than piled up. Where the clock tells how late on the
wall a release was (:class:`flightsw.hal.PacedClock`), that counts as time that the group took; what
the clock was late by before the first release, the start of the program, does not.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from flightsw.hal import Clock, PacedClock

Task = Callable[[int], None]
_NEVER_NS = 1 << 63


class Spec(NamedTuple):
    """What a rate group is: times in nanoseconds of mission time."""

    number: int
    name: str
    period_ns: int
    offset_ns: int = 0


class Group:
    """A rate group at run time."""

    __slots__ = (
        "ended_ns",
        "next_ns",
        "overruns",
        "peak_ns",
        "runs",
        "skipped",
        "spec",
        "tasks",
        "worst_ns",
    )

    def __init__(self, spec: Spec, now_ns: int) -> None:
        assert spec.period_ns > 0, f"rate group {spec.name} has no period"
        self.spec = spec
        self.tasks: list[Task] = []
        self.runs = 0
        self.overruns = 0
        #: releases that never ran because an overrun covered them
        self.skipped = 0
        #: latest end, measured from the release
        self.worst_ns = 0
        #: the same since the monitors last looked
        self.peak_ns = 0
        self.ended_ns = now_ns
        periods = -((spec.offset_ns - now_ns) // spec.period_ns)
        self.next_ns = spec.offset_ns + periods * spec.period_ns
        assert self.next_ns >= now_ns, "a rate group starts in the past"


class Scheduler:
    """Runs groups and one-shot tasks until the clock raises Shutdown."""

    def __init__(self, clock: Clock, on_overrun: Callable[[Group, int], None]) -> None:
        """``on_overrun(group, late_ns)`` is called after each overrun."""
        self._clock = clock
        self._lateness = clock.late_ns if isinstance(clock, PacedClock) else None
        # the least that the clock was late by: what is more has come since
        self._late_ns = _NEVER_NS
        self._on_overrun = on_overrun
        self.groups: list[Group] = []
        self._once: list[tuple[int, int, Task]] = []
        self._order = 0

    def add_group(self, spec: Spec) -> Group:
        """Add a rate group; its first release is the next multiple of its period."""
        group = Group(spec, self._clock.now_ns())
        self.groups.append(group)
        self.groups.sort(key=lambda g: (g.spec.period_ns, g.spec.number))
        return group

    def at(self, t_ns: int, task: Task) -> None:
        """Run ``task(now_ns)`` once, not before ``t_ns``; equal times in order of asking."""
        self._order += 1
        heappush(self._once, (t_ns, self._order, task))

    def run(self) -> None:
        """Run for ever; leaves with whatever a task or the clock raises."""
        clock = self._clock
        while True:
            self.step(clock.now_ns())

    def step(self, now_ns: int) -> None:
        """Run the one thing that is due first, or sleep until something is."""
        wake_ns = self._once[0][0] if self._once else _NEVER_NS
        for group in self.groups:
            if group.next_ns <= now_ns:
                self._release(group)
                return
            if group.next_ns < wake_ns:
                wake_ns = group.next_ns
        if self._once and wake_ns <= now_ns:
            heappop(self._once)[2](now_ns)
            return
        assert self.groups or self._once, "a scheduler with nothing to do would sleep for ever"
        self._clock.sleep_until(wake_ns)

    def _release(self, group: Group) -> None:
        release_ns, period_ns = group.next_ns, group.spec.period_ns
        now_ns = self._clock.now_ns
        late_ns = self._late() if self._lateness is not None else 0
        for task in group.tasks:
            task(now_ns())
        ended_ns = now_ns()
        group.runs += 1
        group.ended_ns = ended_ns
        group.next_ns = release_ns + period_ns
        took_ns = ended_ns - release_ns + late_ns
        if took_ns > group.peak_ns:
            group.peak_ns = took_ns
            group.worst_ns = max(group.worst_ns, took_ns)
        if took_ns > period_ns:
            covered = took_ns // period_ns - (took_ns % period_ns == 0)
            group.overruns += 1
            group.skipped += covered - 1
            group.next_ns += (covered - 1) * period_ns
            self._on_overrun(group, took_ns - period_ns)

    def _late(self) -> int:
        """Return how late the clock is, beyond what it was late by before."""
        assert self._lateness is not None, "asked of a clock that does not tell"
        late_ns = self._lateness()
        self._late_ns = min(self._late_ns, late_ns)
        return late_ns - self._late_ns
