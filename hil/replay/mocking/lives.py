"""The incarnations of the flight software, as they were recorded."""

from __future__ import annotations

import json
from functools import partial

import numpy as np

from flightsw.codec.wire import Kind
from hil.replay.mocking.bench import MockBench
from hil.supervisor import Flight
from hil.time.phase import Phase

#: Order of ties at one instant.
LIFE_SOURCE = 50


#: In which phase the supply fails, by the event that says so.
_POWER_EVENTS = {"WATCHDOG_RESET": Phase.PART, "BROWN_OUT": Phase.PHYSICS}
_POWER_EVENTS |= {"EPS_SWITCH": Phase.BUS}
#: In which phase a loss happens, by the words of its event; any other: at the end of its instant.
_LOSSES = {"brown-out": Phase.PHYSICS, "reset by the watchdog": Phase.PART}
_LOSSES |= {"switched off by the EPS": Phase.BUS}
_KILLED = "SIGKILL"


class Lives:
    """The incarnations of the flight software, as recorded; stands where a supervisor does."""

    def __init__(self, bench: MockBench) -> None:
        self.rig = bench
        self.flight: Flight | None = None
        self.starts = 0
        self.alive = False
        #: losses that were not recorded: (when, why)
        self.crashes: list[tuple[int, str]] = []
        heads = bench.recording.heads
        self._cuts: set[int] = set()
        self._losses: set[int] = set()
        for index in np.flatnonzero(heads["kind"] == Kind.EVENT).tolist():
            self._plan(index, int(heads["t_ns"][index]))
        bench.stream.cut_ns = frozenset(self._cuts)

    def _plan(self, index: int, t_ns: int) -> None:
        try:
            event = json.loads(self.rig.recording.payload(index))
        except ValueError:
            return
        if not isinstance(event, dict) or event.get("source") != "bench":
            return
        at, name = self.rig.kernel.at, event.get("name")
        if name == "UUT_START" and event.get("boot") != 1:
            at(t_ns, Phase.CHECK, LIFE_SOURCE, self._start)
        elif name == "UUT_LOST":
            reason = str(event.get("reason"))
            phase = _LOSSES.get(reason, Phase.CHECK)
            at(t_ns, phase, LIFE_SOURCE, partial(self._lose, reason))
            self._losses.add(t_ns)
            if reason not in _LOSSES and reason != _KILLED:
                self._cuts.add(t_ns)
        elif name in _POWER_EVENTS and event.get("on") != 1 and not event.get("switch"):
            at(t_ns, _POWER_EVENTS[str(name)], LIFE_SOURCE, self._power_off)

    # --- what the flight says ----------------------------------------------------------------

    def started(self) -> int:
        """Count a start; return the boot count that the new incarnation is told."""
        self.alive = True
        self.starts += 1
        self.rig.exchange.identity["boot_count"] = self.starts
        return self.starts

    def lost(self, reason: str, cause: str) -> None:
        """Note that the present incarnation has gone by itself."""
        if self.alive:
            self.alive = False
            now_ns = self.rig.kernel.now_ns
            if now_ns not in self._losses:
                self.crashes.append((now_ns, reason))

    # --- what was recorded -------------------------------------------------------------------

    def _start(self, t_ns: int) -> None:
        if not self.alive and self.flight is not None:
            self.flight.start()

    def _lose(self, reason: str, t_ns: int) -> None:
        if self.alive and self.flight is not None:
            self.flight.stop(reason)
            self.alive = False

    def _power_off(self, t_ns: int) -> None:
        self.rig.power_off()
