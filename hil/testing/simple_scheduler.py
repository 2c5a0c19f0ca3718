"""A scheduler for tests of buses and parts: a heap of callbacks and a clock that it moves.

It orders events as the bench's kernel does: by time, phase, source, then order of arrival.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class SimpleScheduler:
    """The smallest :class:`hil.parts.base.Scheduler`; ``now_ns`` is the virtual time, ns."""

    __slots__ = ("_heap", "_order", "now_ns")

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns
        self._heap: list[tuple[int, int, int, int, Callable[[int], None]]] = []
        self._order = 0

    def at(self, t_ns: int, phase: int, source: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(t_ns)`` at ``t_ns``, which must not lie in the past."""
        assert t_ns >= self.now_ns, f"event for {t_ns} ns, but it is {self.now_ns} ns already"
        heapq.heappush(self._heap, (t_ns, phase, source, self._order, callback))
        self._order += 1

    def run_until(self, t_ns: int) -> int:
        """Run every event up to and including ``t_ns``; return how many there were."""
        heap = self._heap
        count = 0
        while heap and heap[0][0] <= t_ns:
            due_ns, _, _, _, callback = heapq.heappop(heap)
            self.now_ns = due_ns
            callback(due_ns)
            count += 1
        self.now_ns = max(self.now_ns, t_ns)
        return count

    @property
    def pending(self) -> int:
        """How many events are still to come."""
        return len(self._heap)
