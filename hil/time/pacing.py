"""Paces: how fast virtual time may run against the wall clock. The only place that reads one.

``max`` runs as fast as it can, ``real`` one second a second, ``xN`` N seconds a second. A pace is a
gate in front of the kernel's next step (``Kernel.gate``): it sleeps until the wall clock has
reached the instant to which time is about to move. Targets are absolute, so that a late wake-up
delays one step and no later one. It never changes what happens, only when on the wall.

How late each step was released is kept as a histogram; lateness beyond a limit is an overrun.

While it waits, real things may be watched (:class:`Watch`), such as boards on serial lines. What
they bring is stamped with the virtual time that belongs to the wall's now (:meth:`Pacer.stamp`) and
becomes an event like any other; time is never held back for them. Nor does it hurry: a run that
overruns makes up for it by running faster than the wall, and what is real would then seem to take
longer than it does. So while something is watched, lost time stays lost and is counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from hil.errors import UsageError
from hil.time.kernel import Kernel
from hil.time.phase import Phase

#: A step that is due within this time is released at once: the kernel of the host would only wake
#: us later than that (its timer slack is 50 us).
SLACK_NS = 50_000
#: Longest sleep at a time, so that a change of pace or a lost participant is noticed.
SLICE_NS = 50_000_000
#: Lateness from which on a step counts as an overrun.
OVERRUN_NS = 10_000_000
#: A lateness of 2**n to 2**(n+1) ns is split into this many buckets: 9 % wide.
_STEPS = 8


class Histogram:
    """Counts of durations in buckets of a fixed ratio; integers only."""

    __slots__ = ("counts", "max_ns", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0
        self.max_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration; below 0 counts as 0."""
        ns = max(ns, 0)
        self.total += 1
        self.max_ns = max(self.max_ns, ns)
        octave = ns.bit_length()
        # The bits behind the leading one say where in its octave the value lies.
        part = ((ns << 3) >> (octave - 1)) & (_STEPS - 1) if octave else 0
        bucket = octave * _STEPS + part
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def percentile_ns(self, percent: float) -> int:
        """Return the upper edge of the bucket in which the percentile lies; 0 without data."""
        rank = percent / 100 * self.total
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                octave, part = divmod(bucket, _STEPS)
                edge = ((_STEPS + part + 1) << octave >> 1) // _STEPS if octave else 0
                return min(edge, self.max_ns)
        return 0

    def octaves(self) -> list[tuple[int, int]]:
        """Return (upper edge in ns, count) of each power of two that holds something."""
        counts: dict[int, int] = {}
        for bucket, count in self.counts.items():
            edge_ns = 1 << bucket // _STEPS
            counts[edge_ns] = counts.get(edge_ns, 0) + count
        return sorted(counts.items())


def parse_pace(text: str) -> float | None:
    """Return how many virtual seconds go into one of the wall; None for ``max``.

    Raises :class:`~hil.errors.UsageError` for what is no pace.
    """
    if text == "max":
        return None
    if text == "real":
        return 1.0
    try:
        factor = float(text.removeprefix("x"))
    except ValueError:
        factor = 0.0
    if not text.startswith("x") or not 1e-3 <= factor <= 1e6:
        raise UsageError(f"pace {text!r} is none: use max, real, or xN such as x10 or x0.5")
    return factor


@contextlib.contextmanager
def first_in_line() -> Iterator[bool]:
    """Have this thread run as soon as its sleep is over, before others that wait for a processor.

    It is then SCHED_FIFO; programs that it starts are not. For threads that sleep most of the time.
    Where the host does not allow it (``ulimit -r``, CAP_SYS_NICE), it yields False.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        try:
            os.sched_setscheduler(0, *before)
        except PermissionError:  # by ``ulimit -r`` alone the flag cannot be taken off again
            os.sched_setscheduler(0, before[0] | os.SCHED_RESET_ON_FORK, before[1])


@contextlib.contextmanager
def fine_sleep() -> Iterator[None]:
    """Have sleeps of this thread end when they are over, while this lasts.

    The kernel of the host gathers wake-ups within the timer slack of a thread, 50 us as a rule;
    where that cannot be set it stays.
    """
    slack = Path("/proc/self/timerslack_ns")
    try:
        before = slack.read_text()
        slack.write_text("1000")
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            slack.write_text(before)


class Wall(NamedTuple):
    """The wall: ``clock`` counts nanoseconds and never goes back, ``sleep`` blocks for seconds."""

    clock: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], None] = time.sleep


class Watch(Protocol):
    """Something real that is looked after while a run waits for the wall clock."""

    def wait(self, seconds: float) -> None:
        """Serve what is there, or comes within this time; return once something was served."""


class Pacer:
    """The pace of one run; may be changed at any time, by any thread.

    ``idle`` is called between slices of a long sleep: to look after participants, or to draw.
    ``clock`` counts nanoseconds of a steady clock and ``sleep`` blocks for so many seconds.
    """

    def __init__(
        self,
        kernel: Kernel,
        pace: str = "max",
        idle: Callable[[], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.kernel = kernel
        self.idle = idle
        self._clock = clock
        self._sleep = sleep
        self.lateness = Histogram()
        self.overruns = 0
        #: time of the wall that a run with something real has not made up for
        self.slipped_ns = 0
        self._wall_ns = 0
        self._virtual_ns = 0
        #: how late the step was released to which time has moved last, in virtual time
        self.late_by_ns = 0
        self._wanted = self._pace = "max"
        self._factor: float | None = None
        #: what is waited for besides the clock, instead of ``sleep``
        self.watch: Watch | None = None
        # the time to which time is about to move; None: it is not
        self._target_ns: int | None = None
        self._news = False
        # the late step for which what is watched has been looked after; -1: none
        self._looked_ns = -1
        self.set_pace(pace)

    @property
    def pace(self) -> str:
        """The pace now: ``max``, ``real`` or ``xN``."""
        return self._wanted

    def set_pace(self, pace: str) -> None:
        """Change the pace from the present time on."""
        parse_pace(pace)
        self._wanted = pace
        # Taken over by the gate itself, in the thread of the run.
        self.kernel.gate = self.gate

    def anew(self) -> None:
        """Count from the present on: the run stood still on purpose, and is not late."""
        self._take_over()

    def _take_over(self) -> None:
        self._pace = self._wanted
        self._factor = parse_pace(self._pace)
        self._wall_ns = self._clock()
        self._virtual_ns = self.kernel.now_ns
        if self._factor is None:
            self.kernel.gate = None
            self.late_by_ns = 0

    def gate(self, t_ns: int) -> bool:
        """Return False when the wall clock has reached ``t_ns``, True when something was stamped.

        Whatever is watched is looked after at least once a step, however late the step is, and
        once only when it is late: what never falls silent cannot hold time back.
        """
        if self._pace is not self._wanted:
            self._take_over()
        self._target_ns = t_ns
        try:
            while True:
                if self._factor is None:
                    self.kernel.gate = None
                    return False
                late_ns = self._late_ns(t_ns)
                is_late = late_ns >= -SLACK_NS
                if is_late and (self.watch is None or self._looked_ns == t_ns):
                    break
                wait_s = min(max(-late_ns, 0), SLICE_NS) / 1e9
                if self.watch is None:
                    self._sleep(wait_s)
                else:
                    self._looked_ns = t_ns if is_late else -1
                    self.watch.wait(0.0 if is_late else wait_s)
                    if self._news:
                        self._news = False
                        return True
                    if is_late:
                        break
                if self.idle is not None:
                    self.idle()
                if self._pace is not self._wanted:
                    self._take_over()
        finally:
            self._target_ns = None
        self.lateness.add(late_ns)
        self.late_by_ns = max(0, int(late_ns * self._factor))
        if late_ns > OVERRUN_NS:
            self.overruns += 1
            if self.watch is not None:
                self._wall_ns += late_ns
                self.slipped_ns += late_ns
        return False

    def _late_ns(self, t_ns: int) -> int:
        """Return by how much of the wall's time ``t_ns`` is past."""
        assert self._factor is not None
        return self._clock() - self._wall_ns - int((t_ns - self._virtual_ns) / self._factor)

    def due_ns(self, t_ns: int) -> int:
        """Return what the wall's clock shows when ``t_ns`` is due."""
        assert self._factor is not None, "at pace max nothing is due"
        return self._wall_ns + int((t_ns - self._virtual_ns) / self._factor)

    def late_ns(self, t_ns: int) -> int:
        """Return by how much of the wall's time ``t_ns`` is past; 0 where nothing is waited for."""
        return 0 if self._factor is None else self._late_ns(t_ns)

    def now_ns(self) -> int:
        """Return the virtual time that belongs to the wall's now.

        Never before the kernel's present, nor beyond the time to which that is about to move.
        """
        target_ns, now_ns = self._target_ns, self.kernel.now_ns
        if target_ns is None or self._factor is None:
            return now_ns
        passed_ns = int((self._clock() - self._wall_ns) * self._factor)
        return min(max(self._virtual_ns + passed_ns, now_ns), target_ns)

    def stamp(self, source: int, act: Callable[[int], None]) -> None:
        """Make something real that has just happened an event of now; who runs looks around."""
        self.kernel.at(self.now_ns(), Phase.BUS, source, act)
        self.kernel.halt()
        self._news = True

    def lateness_now_ns(self) -> int:
        """Return how late the present was released, in virtual time."""
        return self.late_by_ns

    def snapshot(self) -> dict[str, int | str]:
        """Return pace, steps released, lateness in nanoseconds, and overruns, for the report."""
        lateness = self.lateness
        return {
            "pace": self.pace,
            "steps": lateness.total,
            "lateness_p50_ns": lateness.percentile_ns(50),
            "lateness_p99_ns": lateness.percentile_ns(99),
            "lateness_p99_9_ns": lateness.percentile_ns(99.9),
            "lateness_max_ns": lateness.max_ns,
            "overruns": self.overruns,
            **({"slipped_ns": self.slipped_ns} if self.slipped_ns else {}),
        }
