"""The life of the unit under test: start, loss, watchdog, power cycle, boot.

When it dies the bench goes on, the external watchdog runs out, the supply is cycled, and a new
incarnation starts when the computer has booted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from hil.errors import UsageError
from hil.rig import SECOND, Rig
from hil.time.phase import Phase

#: Switch of the EPS that feeds the payload computer.
PAYLOAD_SWITCH = 0
#: How long the supply stays off in a reset, virtual seconds.
SUPPLY_OFF_S = 1
#: What a restart may take beyond the delays of watchdog and boot, virtual seconds.
RESTART_SLACK_S = 10
SOURCE = 50


class Flight(Protocol):
    """One way to run the flight software on a rig."""

    def run(self) -> None:
        """Fly to the end of the run."""

    def start(self) -> None:
        """Start the first or the next incarnation, at the present virtual time."""

    def stop(self, reason: str) -> None:
        """Take the present incarnation away at once, as SIGKILL and a power cut do."""

    def close(self) -> None:
        """Leave nothing behind: processes, sockets."""


class Supervisor:
    """Follows the life of the unit under test: loss, watchdog, power cycle, boot."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.flight: Flight | None = None
        self.alive = False
        self._lost_ns = 0
        self.starts = 0
        #: what keeps the supply of the payload computer off: ``reset``, ``switch``, ``supply``
        self.off: set[str] = set()
        #: counts power cycles, so that a boot which another one has cut does not end
        self.cycle = 0
        #: why it stopped, each time: ``injected`` by a fault plan, from ``outside`` (SIGKILL of a
        #: person or of the host), ``supply`` (EPS, brown-out), or by a ``crash`` of its own
        self.stops: Counter[str] = Counter()
        #: tells whether silence is no fault of the payload computer: its link to us is away
        self.excused: Callable[[], bool] = lambda: False
        #: kills of the fault plan that found nothing to kill
        self.kills_missed = 0
        #: parts that can reset the payload computer
        self.watchdogs: list[Any] = [
            part for part in rig.wiring.parts.values() if hasattr(part, "on_reset")
        ]
        for watchdog in self.watchdogs:
            watchdog.on_reset = self._watchdog_reset
        eps = rig.wiring.of_type("eps_node")
        if eps is not None:
            eps.on_switch = self._switched
        rig.on_supply = self._supply

    def started(self) -> int:
        """Count a start; return the boot count that the new incarnation is told."""
        self.alive = True
        self.starts += 1
        self.rig.exchange.identity["boot_count"] = self.starts
        now_ns = self.rig.kernel.now_ns
        self.rig.event(now_ns, "bench", 1, "UUT_START", boot=self.starts)
        return self.starts

    def lost(self, reason: str, cause: str) -> None:
        """Note that the present incarnation is gone; the watchdog will do the rest."""
        if not self.alive:
            return
        self.alive = False
        self.stops[cause] += 1
        self._lost_ns = now_ns = self.rig.kernel.now_ns
        self.rig.event(now_ns, "bench", 3, "UUT_LOST", reason=reason, boot=self.starts)
        self.rig.world.payload.end()

    @property
    def down_ns(self) -> int:
        """How long it has been down by now; 0 while it runs."""
        return 0 if self.alive else self.rig.kernel.now_ns - self._lost_ns

    @property
    def restart_limit_s(self) -> float:
        """How long a restart may take: until a watchdog acts, and the boot."""
        limits_s = [watchdog.acts_within_s for watchdog in self.watchdogs]
        acts_s = min((limit_s for limit_s in limits_s if limit_s), default=0.0)
        return float(acts_s + self.rig.world.payload.boot_time_s + RESTART_SLACK_S)

    def inject_kills(self, kills: Iterable[int]) -> None:
        """Schedule the kills of a fault plan. Raises ``UsageError`` for one after the end."""
        for t_ns in kills:
            if t_ns > self.rig.end_ns:
                end_s = self.rig.end_ns / SECOND
                raise UsageError(f"fault kill@{t_ns / SECOND:g}: the run ends at {end_s:g} s")
            self.inject_kill(t_ns)

    def inject_kill(self, t_ns: int) -> Any:
        """Schedule a SIGKILL of the flight software at ``t_ns``; return what the kernel cancels."""
        return self.rig.kernel.at(t_ns, Phase.CHECK, SOURCE, self._kill)

    def _kill(self, t_ns: int) -> None:
        if not self.alive or self.flight is None:
            self.rig.fault(t_ns, kind="kill", took_effect=0)
            self.kills_missed += 1
            return
        self.rig.fault(t_ns, kind="kill", took_effect=1)
        self.flight.stop("SIGKILL")
        self.lost("SIGKILL", "injected")

    def _watchdog_reset(self, t_ns: int) -> None:
        """Cycle the supply: what runs stops now, and starts anew after off time and boot."""
        if self.excused():
            self.rig.event(t_ns, "bench", 2, "WATCHDOG_EXCUSED", boot=self.starts)
            return
        self.rig.event(t_ns, "bench", 3, "WATCHDOG_RESET", boot=self.starts)
        self._power_off("reset", "reset by the watchdog", "crash")
        on_ns = t_ns + SUPPLY_OFF_S * SECOND
        self.rig.kernel.at(on_ns, Phase.PHYSICS, SOURCE, partial(self._power_on, "reset"))

    def _switched(self, t_ns: int, switch: int, on: bool) -> None:
        """Follow a switch of the EPS; number 0 feeds the payload computer."""
        self.rig.event(t_ns, "bench", 2, "EPS_SWITCH", switch=switch, on=int(on))
        if switch != PAYLOAD_SWITCH:
            return
        if on:
            self._power_on("switch", t_ns)
        else:
            self._power_off("switch", "switched off by the EPS", "supply")

    def _supply(self, t_ns: int, good: bool) -> None:
        """Follow a brown-out of the bus: it takes the payload computer with it."""
        if good:
            self._power_on("supply", t_ns)
        else:
            self._power_off("supply", "brown-out", "supply")

    def _power_off(self, why: str, reason: str, cause: str) -> None:
        """Take the supply away: the software stops, and what the controllers hold is lost."""
        self.off.add(why)
        self.cycle += 1
        if self.alive and self.flight is not None:
            self.flight.stop(reason)
            self.lost(reason, cause)
        for bus in self.rig.wiring.buses.values():
            power_off = getattr(bus, "power_off", None)
            if power_off is not None:
                power_off()
        self.rig.world.payload.set_powered(False)

    def _power_on(self, why: str, t_ns: int) -> None:
        """Take away one thing that keeps the supply off; boot if it was the last."""
        if why not in self.off:
            return
        self.off.remove(why)
        if self.off:
            return
        payload = self.rig.world.payload
        payload.set_powered(True)
        boot_ns = round(payload.boot_time_s * SECOND)
        boot = partial(self._boot, self.cycle)
        self.rig.kernel.at(t_ns + boot_ns, Phase.CHECK, SOURCE, boot)

    def _boot(self, cycle: int, t_ns: int) -> None:
        if cycle == self.cycle and not self.alive and self.flight is not None:
            self.flight.start()
