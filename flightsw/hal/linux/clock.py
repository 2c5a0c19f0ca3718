"""Mission time on this computer: its own monotonic clock, or a bench's that it keeps company."""

from __future__ import annotations

import time
from collections.abc import Callable

from flightsw.hal import Charge, Clock

#: Mission time of a bench may run ahead of this computer's by one part in twenty, no more: enough
#: to make up for what was late, and within what oscillators of parts differ by.
_LEAST = 0.95


class WallClock:
    """Mission time that begins with ``start_ns`` when it is made, by CLOCK_MONOTONIC."""

    def __init__(self, start_ns: int = 0) -> None:
        self._zero_ns = time.monotonic_ns() - start_ns

    def now_ns(self) -> int:
        """Return the time now, nanoseconds since the mission epoch."""
        return time.monotonic_ns() - self._zero_ns

    def sleep_until(self, t_ns: int) -> None:
        """Block until ``t_ns``."""
        _sleep_until(self._zero_ns + t_ns)


class SharedClock:
    """The clock of a bench, for a program that has real parts too.

    Real parts take their time on the wall. So a bench that runs faster, as at pace ``max``, is held
    back to the wall's pace: a conversion that a driver waits for is over when it looks.
    """

    def __init__(self, bench: Clock) -> None:
        self._bench = bench
        self._wall_ns = time.monotonic_ns()
        self._t_ns = bench.now_ns()
        self.now_ns: Callable[[], int] = bench.now_ns

    def sleep_until(self, t_ns: int) -> None:
        """Block until ``t_ns``, by the bench's clock and by the wall's."""
        self._bench.sleep_until(t_ns)
        now_ns = self.now_ns()
        _sleep_until(self._wall_ns + int((now_ns - self._t_ns) * _LEAST))
        self._wall_ns, self._t_ns = time.monotonic_ns(), now_ns


def _sleep_until(wall_ns: int) -> None:
    left_ns = wall_ns - time.monotonic_ns()
    while left_ns > 0:
        time.sleep(left_ns / 1e9)
        left_ns = wall_ns - time.monotonic_ns()


class OwnProcessor:
    """The processor of this computer: work takes what it takes."""

    def begin(self, model_class: str, units: int) -> Charge:
        """Charge nothing: whoever computes is late by as much."""
        return Charge(0, 0.0)

    def end(self) -> None:
        """Note nothing."""
