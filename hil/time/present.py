"""The present of programs that keep their own time: virtual time follows the wall clock.

Such a program cannot be told to wait, so what it does is stamped when it arrives. Between its acts
virtual time passes at ``factor`` times the wall's pace. Without ``wait`` nothing is slept for: the
present jumps to the end of each transaction, and passes at the wall's pace in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hil.time.kernel import NEVER_NS, Kernel
from hil.time.pacing import OVERRUN_NS, Histogram, parse_pace


class Present:
    """Virtual time as a function of the wall clock; never goes back."""

    #: the clock that programs read: ``wall``, ``paced`` or ``virtual``
    clock = "wall"

    def __init__(
        self, kernel: Kernel, pace: str = "real", clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """``pace`` is ``real``, ``xN``, or ``max``: as real, but nothing is waited for."""
        factor = parse_pace(pace)
        self.pace = pace
        #: False: the present jumps to what would have to be waited for
        self.wait = factor is not None
        self.lateness = Histogram()
        self.overruns = 0
        self._kernel = kernel
        self._factor = 1.0 if factor is None else factor
        self._clock = clock
        self._wall_ns = clock()
        self._virtual_ns = kernel.now_ns

    def now_ns(self) -> int:
        """Return the virtual time now; not before that of the kernel."""
        passed_ns = self._clock() - self._wall_ns
        if self._factor != 1.0:
            passed_ns = int(passed_ns * self._factor)
        return max(self._virtual_ns + passed_ns, self._kernel.now_ns)

    def jump(self, t_ns: int) -> None:
        """Make ``t_ns`` the present."""
        self._wall_ns = self._clock()
        self._virtual_ns = t_ns

    def wait_s(self, t_ns: int) -> float:
        """Return the seconds of the wall until ``t_ns``; below 0: it is past."""
        if t_ns >= NEVER_NS:
            return 3600.0
        target_ns = (t_ns - self._virtual_ns) / self._factor - (self._clock() - self._wall_ns)
        return target_ns / 1e9

    def wall_ns(self, t_ns: int, realtime: bool = False) -> int:
        """Return CLOCK_MONOTONIC, or CLOCK_REALTIME, when it is or was ``t_ns``."""
        wall_ns = self._wall_ns + int((t_ns - self._virtual_ns) / self._factor)
        return wall_ns + (time.time_ns() - self._clock() if realtime else 0)

    def late_ns(self, t_ns: int) -> int:
        """Return by how much of the wall's time ``t_ns`` is past."""
        return self._clock() - self._wall_ns - int((t_ns - self._virtual_ns) / self._factor)

    def late(self, ns: int) -> None:
        """Count how late something was done."""
        self.lateness.add(ns)
        if ns > OVERRUN_NS:
            self.overruns += 1

    def snapshot(self) -> dict[str, int | str]:
        """Return pace, what was released, lateness in nanoseconds, and overruns."""
        return {
            "pace": self.pace,
            "steps": self.lateness.total,
            "lateness_p50_ns": self.lateness.percentile_ns(50),
            "lateness_p99_ns": self.lateness.percentile_ns(99),
            "lateness_p99_9_ns": self.lateness.percentile_ns(99.9),
            "lateness_max_ns": self.lateness.max_ns,
            "overruns": self.overruns,
        }
