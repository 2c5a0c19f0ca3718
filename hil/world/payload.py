"""The payload computer as a load: cores, jobs, boot, leakage and thermal throttling.

Power of a running computer::

    core_power[0] + leakage (chip - reference) + ((core_power[n] - core_power[0]) + job) * throttle

``core_power[n]`` is the power with n busy cores at full clock and the reference temperature. A job
(``begin``) adds its own marginal power instead of whole cores. A throttled clock stretches jobs by
the ratio of clocks and scales dynamic power by the profile's factor (clock times voltage squared).

A power that a real computer has measured of itself (``measure``) goes in place of all this while it
is fresh; temperature, and the clock that follows it, stay the world's.

Not modelled: the idle governor's lower clocks, power noise, contention between jobs (a job that is
begun while another runs queues behind it).
"""

from __future__ import annotations

from collections.abc import Mapping

from hil.config import nearest
from hil.errors import UsageError
from hil.missions.mission import Mission, ModelClass

#: one physics step in seconds; what a job still owes at its end is at most this much power
_STEP_S = 1.0
#: how long a measured power holds
MEASURED_HOLDS_S = 30.0


class Payload:
    """What the computer draws. The world calls :meth:`advance` once a step; the rig, the rest."""

    def __init__(self, mission: Mission) -> None:
        self.classes: Mapping[str, ModelClass] = mission.model_classes
        self.core_power_w = mission.curve("payload.core_power")
        self.reference_c = mission.number("payload.core_power_reference")
        self.leakage_w_k = mission.number("payload.leakage")
        self.boot_time_s = mission.number("payload.boot_time")
        self.boot_power_w = mission.number("payload.boot_power")
        self.onset_c = mission.curve("payload.throttle_onset")
        self.clock_hz = mission.curve("payload.throttle_clock")
        self.power_factor = mission.curve("payload.throttle_power")
        self.hysteresis_k = mission.number("payload.throttle_hysteresis")
        self.powered = True
        self.active_cores = 0
        #: 0 at full clock, up to len(onset_c)
        self.clock_step = 0
        self.power_w = 0.0
        self.boot_left_s = self.boot_time_s
        self._owed_j = 0.0
        self._rate_w = 0.0
        self._measured_w = 0.0
        self._measured_left_s = 0.0
        self.counters = {"jobs": 0, "throttle_begins": 0, "throttled_s": 0, "power_cycles": 0}

    @property
    def booting(self) -> bool:
        """Return whether the computer is powered and not up yet."""
        return self.powered and self.boot_left_s > 0.0

    def begin(self, model_class: str, units: int) -> tuple[int, int]:
        """Start a job; return (duration ns, energy uJ over idle) at the present clock."""
        if units < 1:
            raise UsageError(f"payload: begin of {units} units of {model_class!r}: at least one")
        if not self.powered:
            raise UsageError(f"payload: begin of {model_class!r} while powered off")
        spec = self.classes.get(model_class)
        if spec is None:
            known = ", ".join(self.classes)
            hint = nearest(model_class, self.classes)
            raise UsageError(f"payload: unknown model class {model_class!r}: known: {known}{hint}")
        stretch = self.clock_hz[0] / self.clock_hz[self.clock_step]
        time_s = units * spec.time_s * stretch
        energy_j = units * spec.energy_j * stretch * self.power_factor[self.clock_step]
        self._owed_j += energy_j
        self._rate_w = energy_j / time_s
        self.counters["jobs"] += 1
        return round(time_s * 1e9), round(energy_j * 1e6)

    def end(self) -> None:
        """End the job. What it did within the running step is still drawn; the rest is not."""
        self._owed_j = min(self._owed_j, self._rate_w * _STEP_S)

    def measure(self, power_w: float) -> None:
        """Draw what a real computer has measured, for as long as that holds."""
        self._measured_w = power_w
        self._measured_left_s = MEASURED_HOLDS_S

    def set_powered(self, on: bool) -> None:
        """Switch the rail. Off stops everything; on begins a boot."""
        if on and not self.powered:
            self.boot_left_s = self.boot_time_s
            self.counters["power_cycles"] += 1
        if not on:
            self._owed_j = 0.0
            self._measured_left_s = 0.0
            self.active_cores = 0
        self.powered = on

    def set_active_cores(self, count: int) -> None:
        """Say how many cores are busy beside any job."""
        if not 0 <= count < len(self.core_power_w):
            raise UsageError(f"payload: {count} active cores: 0 to {len(self.core_power_w) - 1}")
        self.active_cores = count

    def advance(self, chip_c: float, dt_s: float) -> float:
        """Return the power drawn over the next ``dt_s`` with the chip at ``chip_c``."""
        if not self.powered:
            self.power_w = 0.0
            self.clock_step = 0
            return 0.0
        self._set_clock(chip_c)
        leak_w = self.leakage_w_k * (chip_c - self.reference_c)
        if self.boot_left_s > 0.0:
            self.boot_left_s -= dt_s
            self.power_w = max(0.0, self.boot_power_w + leak_w)
            return self.power_w
        idle_w = self.core_power_w[0]
        dynamic_w = (self.core_power_w[self.active_cores] - idle_w) * self.power_factor[
            self.clock_step
        ]
        if self._owed_j > 0.0:
            # Job energies were scaled by the clock of their beginning already.
            spent_j = min(self._owed_j, self._rate_w * dt_s)
            self._owed_j -= spent_j
            dynamic_w += spent_j / dt_s
        if self.clock_step:
            self.counters["throttled_s"] += 1
        self.power_w = max(0.0, idle_w + leak_w + dynamic_w)
        if self._measured_left_s > 0.0:
            self._measured_left_s -= dt_s
            self.power_w = self._measured_w
        return self.power_w

    def _set_clock(self, chip_c: float) -> None:
        """Step the clock down at each onset, and up again a hysteresis below it."""
        step = self.clock_step
        while step < len(self.onset_c) and chip_c >= self.onset_c[step]:
            step += 1
        while step > 0 and chip_c < self.onset_c[step - 1] - self.hysteresis_k:
            step -= 1
        if step and not self.clock_step:
            self.counters["throttle_begins"] += 1
        self.clock_step = step
