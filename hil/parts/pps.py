"""A time pulse: one rising edge at the top of each second, and what may go wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from hil.parts.base import Scheduler
from hil.parts.fault_windows import FOREVER_NS, FaultWindows
from hil.time.phase import Phase

#: What a fault of a time pulse may be, and the counter that it moves.
FAULT_KINDS: Final = ("missing", "shifted", "duplicate", "jittered", "runt")


class PulseFault(NamedTuple):
    """One fault of a time pulse.

    ``missing`` leaves pulses out; ``shifted`` moves them ``value_ns`` late (1e9: the wrong second);
    ``duplicate`` adds a second pulse ``value_ns`` after the first has ended; ``jittered`` moves the
    rising edge by 0 to ``value_ns``, drawn; ``runt`` leaves it only ``value_ns`` long.
    """

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    value_ns: int = 0


class TimePulse:
    """Drives one pin high for ``width_ns`` at each :meth:`fire`.

    ``jitter_ns`` bounds a uniform error of each rising edge; ``draw`` returns a number of 0..n-1.
    """

    __slots__ = ("_draw", "_drive", "_jitter_ns", "counters", "faults", "width_ns")

    def __init__(
        self,
        drive: Callable[[int, int], None],
        draw: Callable[[int], int],
        width_ns: int = 100_000_000,
        jitter_ns: int = 0,
    ) -> None:
        self._drive = drive
        self._draw = draw
        #: how long a pulse is; may change between pulses
        self.width_ns = width_ns
        self._jitter_ns = jitter_ns
        self.faults: FaultWindows[PulseFault] = FaultWindows("time pulse", FAULT_KINDS)
        self.counters: dict[str, int] = dict.fromkeys(("given", *FAULT_KINDS), 0)

    def fire(self, scheduler: Scheduler, source: int, t_ns: int) -> None:
        """Give the pulse whose nominal edge is at ``t_ns``, which is now."""
        rise_ns = t_ns + (self._draw(self._jitter_ns + 1) if self._jitter_ns else 0)
        again_ns, width_ns = -1, self.width_ns
        for fault in self.faults.at(t_ns):
            self.counters[fault.kind] += 1
            if fault.kind == "missing":
                return
            if fault.kind == "shifted":
                rise_ns += fault.value_ns
            elif fault.kind == "jittered":
                rise_ns += self._draw(fault.value_ns + 1)
            elif fault.kind == "runt":
                width_ns = max(fault.value_ns, 1)
            else:
                again_ns = fault.value_ns
        self._pulse(scheduler, source, rise_ns, width_ns)
        if again_ns >= 0:
            behind_ns = rise_ns + width_ns + max(again_ns, 1)
            self._pulse(scheduler, source, behind_ns, width_ns)

    def _pulse(self, scheduler: Scheduler, source: int, rise_ns: int, width_ns: int) -> None:
        self.counters["given"] += 1
        if rise_ns == scheduler.now_ns:
            self._drive(rise_ns, 1)
        else:
            scheduler.at(rise_ns, Phase.PART, source, partial(self._edge, 1))
        scheduler.at(rise_ns + width_ns, Phase.PART, source, partial(self._edge, 0))

    def _edge(self, level: int, t_ns: int) -> None:
        self._drive(t_ns, level)
