"""An external watchdog timer: MAX6369 to MAX6374 (Maxim 19-1676).

"Detailed Description": the timer clears at each rising or falling edge of WDI; if it runs out, WDO
pulses low and the startup delay begins anew. "Watchdog Startup Delay": edges within the delay and
while WDO is low are ignored; in the first-edge settings of MAX6373/MAX6374 the timer stands still
until the first edge. The defaults are MAX6373 with SET2..0 = 111 (delay 60 s, timeout 10 s) and its
100 ms open-drain pulse; ``startup_s = 0`` is SET2..0 = 110, the first-edge setting.

Pins: ``kick`` is WDI, ``reset`` is WDO. Not modelled: the setup time of 300 us after a change of
settings, the 100 ns minimum pulse, the spread of the timeouts, supply supervision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from hil.parts.base import Param, Part, Scheduler, unwired
from hil.parts.limits import check_limits
from hil.time.phase import Phase


class Watchdog(Part):
    """The timer. ``on_reset(t_ns)`` is set by the rig: what WDO does to the payload computer."""

    PARAMS: ClassVar[Mapping[str, Param]] = {
        "timeout_s": Param("s", 10.0),
        "startup_s": Param("s", 60.0),
        "pulse_s": Param("s", 0.100),
    }
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"kick": "in", "reset": "out"}
    #: WDO rests high
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"reset": 1}

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        timeout_s: float = 10.0,
        startup_s: float = 60.0,
        pulse_s: float = 0.100,
    ) -> None:
        super().__init__(name, seed)
        check_limits(
            name,
            {
                "timeout_s": (timeout_s, 1e-6, 1e6),
                "startup_s": (startup_s, 0, 1e6),
                "pulse_s": (pulse_s, 1e-6, 1e3),
            },
        )
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self.on_reset: Callable[[int], None] = unwired
        self.counters: dict[str, int] = dict.fromkeys(("kicks", "ignored", "resets"), 0)
        self._timeout_ns = round(timeout_s * 1e9)
        self._startup_ns = round(startup_s * 1e9)
        self._pulse_ns = round(pulse_s * 1e9)
        self._low = False  # WDO asserted
        self._armed = False
        self._ignore_until_ns = 0
        self._deadline_ns = 0
        self._check_ns = -1  # when the one outstanding check is due
        self._life = 0  # marks callbacks of a startup phase that is over

    @property
    def acts_within_s(self) -> float:
        """The longest that a computer can be dead before a reset, once the timer is armed."""
        return (self._startup_ns + self._timeout_ns) / 1e9

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Power the timer on: the startup delay begins now."""
        self._scheduler, self._source = scheduler, source
        self._begin(scheduler.now_ns)

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See an edge of WDI."""
        if self._low or t_ns < self._ignore_until_ns:
            self.counters["ignored"] += 1
            return
        self.counters["kicks"] += 1
        self._armed = True
        self._deadline_ns = t_ns + self._timeout_ns
        if self._check_ns < 0:
            self._check_at(self._deadline_ns)

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters)}

    def _begin(self, t_ns: int) -> None:
        """Enter the startup phase: a delay, or waiting for the first edge."""
        self._life += 1
        self._armed = False
        self._check_ns = -1
        self._ignore_until_ns = t_ns + self._startup_ns
        if self._startup_ns:
            self._armed = True
            self._deadline_ns = self._ignore_until_ns + self._timeout_ns
            self._check_at(self._deadline_ns)

    def _check_at(self, t_ns: int) -> None:
        """Look at the deadline at ``t_ns``; one check is outstanding however often it is kicked."""
        self._check_ns = t_ns
        self._scheduler.at(t_ns, Phase.PART, self._source, partial(self._check, self._life))

    def _check(self, life: int, t_ns: int) -> None:
        if life != self._life or not self._armed:
            return
        self._check_ns = -1
        if t_ns < self._deadline_ns:
            self._check_at(self._deadline_ns)
            return
        self.counters["resets"] += 1
        self._low = True
        self.gpio_drive(t_ns, "reset", 0)
        self._scheduler.at(t_ns + self._pulse_ns, Phase.PART, self._source, self._release)
        self.on_reset(t_ns)

    def _release(self, t_ns: int) -> None:
        self._low = False
        self.gpio_drive(t_ns, "reset", 1)
        self._begin(t_ns)
