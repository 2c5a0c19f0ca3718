"""The virtual clock: one integer of nanoseconds, one heap of events.

The key of an event is (time, phase, source, sequence): events of one instant go by phase, then by
the id of their source, then in the order in which they were scheduled. Nothing else decides, so a
run depends on no socket, thread, hash or wall clock. A *gate*, if one is set, is called before time
moves on and may hold it back (see ``hil.time.pacing``); it cannot change the order. While it holds
time back something real may happen and be put into the heap: the gate then says so, and what is due
first is looked up again.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from hil.errors import HilError
from hil.time.phase import Phase

#: An event as it lies in the heap: [t_ns, phase, source, sequence, callback or None if cancelled].
#: A plain list, because the heap compares it without a call into Python.
Event = list[Any]

#: Called with the next time before time moves there; True: look again, something new may be due
#: earlier.
Gate = Callable[[int], bool | None]

#: A phase behind every phase: ``run_before(t, AFTER_ALL)`` runs all events up to and including t.
AFTER_ALL = 255
#: Later than any event: 292 years.
NEVER_NS = 2**63 - 1
_CHECK = int(Phase.CHECK)


class PastEventError(HilError):
    """An event was scheduled before the present; its source has a wrong idea of the time."""


class Kernel:
    """The clock and event heap of one run. Not thread-safe: a run is one thread."""

    __slots__ = ("_gate", "_halted", "_heap", "_seq", "due_ns", "now_ns")

    def __init__(self, now_ns: int = 0) -> None:
        #: time now, nanoseconds since the mission epoch
        self.now_ns = now_ns
        #: nothing is due before this time (-1: ask ``run_before`` every time); callers in a hurry
        #: compare with it and skip a call that would do nothing
        self.due_ns = NEVER_NS
        self._gate: Gate | None = None
        self._halted = False
        # The last event never runs and never leaves, so that heap[0] always exists.
        self._heap: list[Event] = [[NEVER_NS, AFTER_ALL, 0, 0, None]]
        self._seq = 0

    def at(self, t_ns: int, phase: int, source: int, callback: Callable[[int], None]) -> Event:
        """Call ``callback(t_ns)`` at ``t_ns``; the result can be given to :meth:`cancel`.

        Raises :class:`PastEventError` when ``t_ns`` lies before the present.
        """
        if t_ns < self.now_ns:
            raise PastEventError(
                f"source {source} scheduled an event at t={t_ns} ns when it was already "
                f"{self.now_ns} ns: schedule at the present or later"
            )
        self._seq = seq = self._seq + 1
        event = [t_ns, phase, source, seq, callback]
        heappush(self._heap, event)
        if t_ns < self.due_ns:
            self.due_ns = t_ns
        return event

    def cancel(self, event: Event) -> None:
        """Make a scheduled event do nothing; harmless when it has already run."""
        event[4] = None

    def next_key(self) -> tuple[int, int]:
        """Return (time, phase) of the next event; (NEVER_NS, AFTER_ALL) when there is none."""
        heap = self._heap
        while heap[0][4] is None and heap[0][0] != NEVER_NS:
            heappop(heap)
        return heap[0][0], heap[0][1]

    def run_before(self, t_ns: int, phase: int) -> None:
        """Run every event ordered before (t_ns, phase); the time is then ``t_ns``.

        The phase of the caller's own act keeps what happens at the same instant in order: all
        earlier phases of that instant have run, the later ones have not. After :meth:`halt` it
        returns at the end of phase FLIGHT of the present instant, short of ``t_ns``.
        """
        heap = self._heap
        gate = self._gate
        while True:
            if self._halted:
                self._halted = False
                t_ns, phase = min((t_ns, phase), (self.now_ns, _CHECK))
            head = heap[0]
            t = head[0]
            if t >= t_ns and (t > t_ns or head[1] >= phase):
                if gate is not None and t_ns > self.now_ns and gate(t_ns):
                    gate = self._gate
                    continue
                break
            if gate is not None and t > self.now_ns and head[4] is not None and gate(t):
                gate = self._gate
                continue
            heappop(heap)
            callback = head[4]
            if callback is None:
                continue
            if t > self.now_ns:
                self.now_ns = t
            callback(t)
            gate = self._gate
        if gate is None:
            self.due_ns = heap[0][0]
        if t_ns > self.now_ns:
            self.now_ns = t_ns

    def halt(self) -> None:
        """Make time stand at the present instant: whoever runs the kernel looks around first."""
        self._halted = True
        self.due_ns = -1

    def run_until(self, t_ns: int) -> None:
        """Run every event up to and including ``t_ns``."""
        if self.due_ns > t_ns > self.now_ns:
            self.now_ns = t_ns
        while self.now_ns < t_ns or self._heap[0][0] <= t_ns:
            self.run_before(t_ns, AFTER_ALL)

    @property
    def gate(self) -> Gate | None:
        """What is called with the next time before time moves there; None: time runs free."""
        return self._gate

    @gate.setter
    def gate(self, gate: Gate | None) -> None:
        self._gate = gate
        self.due_ns = self._heap[0][0] if gate is None else -1
