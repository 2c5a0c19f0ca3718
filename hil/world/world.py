"""The world around the payload computer: one state vector, advanced in steps of one second.

What only depends on time (orbit, sunlight, elevations) is computed for the whole run at the start,
vectorised; what depends on what the rig does (battery, heat, the payload's draw) is integrated in
plain floats, explicit Euler, so that the same run gives the same bits.
"""

from __future__ import annotations

import math
from datetime import timedelta

from hil.errors import ConfigError, UsageError
from hil.missions.mission import Mission
from hil.world.frames import (
    Epoch,
)
from hil.world.orbit import Orbit
from hil.world.payload import Payload
from hil.world.point import geodetic_point
from hil.world.power import PowerBus
from hil.world.sky import sky_of, steps_of
from hil.world.thermal import Thermal, ThermalParameters

STEP_NS = 1_000_000_000
_STEP_S = 1.0
_DURATION_LIMIT_S = 10 * 86400
#: An element set this far from its epoch, either way, is off by its along-track growth: hundreds
#: of kilometres in a low orbit, so that passes and eclipses are no longer those of the spacecraft.
_AGE_LIMIT_S = 60 * 86400


class World:
    """Physics of one run. Times are integer ns after the mission's start.

    ``state`` maps names such as ``power.battery_v`` to floats; it holds the values at the last
    whole second not after the time given to :meth:`step`.
    """

    def __init__(self, mission: Mission, seed: int = 0, duration_s: float | None = None) -> None:
        """Prepare a run of ``duration_s`` (default: the mission's own, or one orbit).

        ``seed`` is kept for models that draw random numbers; none of the present ones do.
        """
        self.mission = mission
        self.seed = seed
        self.orbit = Orbit(*mission.tle, Epoch.of(mission.start_utc), mission.path)
        _check_age(mission, self.orbit.age_s)
        self.period_s = self.orbit.period_s
        wanted = duration_s if duration_s is not None else mission.duration_s
        self.duration_s = float(self.period_s if wanted is None else wanted)
        if not 0.0 < self.duration_s <= _DURATION_LIMIT_S:
            raise UsageError(f"world: duration of {self.duration_s:g} s: 0 to {_DURATION_LIMIT_S}")
        self.t_ns = 0
        self._steps = steps_of(self.duration_s)
        sky = sky_of(mission, self.orbit, self.duration_s)
        self._columns = sky.columns
        self.eclipses, self.passes = list(sky.eclipses), list(sky.passes)
        self.eclipse_fraction = sky.eclipse_fraction
        self.power = PowerBus(mission)
        self.payload = Payload(mission)
        self.thermal = Thermal(_thermal_parameters(mission), 1.0 - self.eclipse_fraction)
        self._payload_v = mission.number("payload.voltage")
        self.state: dict[str, float] = {}
        self._publish(0)

    def step(self, t_ns: int) -> None:
        """Advance the physics through every whole second up to ``t_ns``."""
        while self.t_ns + STEP_NS <= t_ns:
            self._advance()

    def _advance(self) -> None:
        """Integrate over one second under what held during it, then publish the new state."""
        second = self.t_ns // STEP_NS
        if second + 1 > self._steps:
            raise UsageError(
                f"world: step to {second + 1} s: the run was prepared for {self.duration_s:g} s"
            )
        self.power.advance(_STEP_S)
        light = self._columns["sun.illumination"][second]
        self.thermal.advance(self.payload.power_w, light, _STEP_S)
        self.t_ns += STEP_NS
        self._publish(second + 1)

    def _publish(self, second: int) -> None:
        """Solve the electrical side at a whole second and fill the state."""
        state, columns, power, thermal = self.state, self._columns, self.power, self.thermal
        for name, column in columns.items():
            state[name] = column[second]
        payload_w = self.payload.advance(thermal.chip_c, _STEP_S)
        power.transmitting = state["link.locked"] > 0.0
        power.solve(state.pop("available_w"), payload_w)
        battery = power.battery
        payload_v = self._payload_v if self.payload.powered else 0.0
        array_v = power.array_voltage_v
        state["power.solar_w"] = power.solar_w
        state["power.solar_v"] = array_v
        state["power.solar_a"] = power.solar_w / array_v if array_v else 0.0
        state["power.battery_v"] = battery.voltage_v
        state["power.battery_soc"] = battery.soc
        state["power.battery_a"] = battery.current_a
        state["power.load_w"] = power.load_w
        state["power.bus_v"] = battery.voltage_v
        state["power.bus_a"] = power.load_w / battery.voltage_v
        state["power.payload_w"] = payload_w
        state["power.payload_v"] = payload_v
        state["power.payload_a"] = payload_w / payload_v if payload_v else 0.0
        state["thermal.chip_c"] = thermal.chip_c
        state["thermal.board_c"] = thermal.board_c
        state["thermal.environment_c"] = thermal.environment_c
        state["att.gyro_x_rad_s"] = state["att.gyro_z_rad_s"] = 0.0
        state["att.accel_x_m_s2"] = state["att.accel_y_m_s2"] = state["att.accel_z_m_s2"] = 0.0

    def position_at(
        self, t_ns: int
    ) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return (r km, v km/s) in TEME at any time, not bound to the step, not rounded."""
        return self.orbit.at(t_ns)

    def geodetic(self, t_ns: int) -> tuple[float, float, float]:
        """Return (latitude deg, longitude deg, height km) on WGS-84 at any time, as rounded."""
        latitude, longitude, height = geodetic_point(self.orbit, t_ns)
        return round(latitude, 7), round(longitude, 7), round(height, 6)

    def orbit_phase(self, t_ns: int) -> float:
        """Return the argument of latitude as a share of a turn: 0 at the ascending node."""
        (x, y, z), (vx, vy, vz) = self.orbit.at(t_ns)
        hx, hy, hz = y * vz - z * vy, z * vx - x * vz, x * vy - y * vx
        h = math.sqrt(hx * hx + hy * hy + hz * hz)
        # Node direction n = z cross h; the angle from n to r in the orbit plane.
        turn = math.atan2(z * h, -hy * x + hx * y) / (2.0 * math.pi)
        return turn % 1.0

    def counters(self) -> dict[str, float]:
        """Return what the report may want to show: energies in joules, counts."""
        return {
            **{f"energy.{name}_j": value for name, value in self.power.ledger_j.items()},
            **{f"payload.{name}": float(value) for name, value in self.payload.counters.items()},
            "power.brown_outs": float(self.power.brown_outs),
        }


def _check_age(mission: Mission, age_s: float) -> None:
    """Raise ConfigError if the elements say nothing about the start of the mission."""
    if abs(age_s) <= _AGE_LIMIT_S:
        return
    epoch = mission.start_utc - timedelta(seconds=round(age_s))
    way = "after" if age_s > 0.0 else "before"
    raise ConfigError(
        f"{mission.path}: time.start_utc {mission.start_utc:%Y-%m-%d} is {abs(age_s) / 86400:.1f} "
        f"days {way} the epoch of the element set, {epoch:%Y-%m-%d}; take an element set of the "
        f"catalogue within {_AGE_LIMIT_S // 86400} days of the start, or move the start"
    )


def _thermal_parameters(mission: Mission) -> ThermalParameters:
    """Return the thermal constants of a mission."""
    return ThermalParameters(
        mission.number("thermal.fast_time_constant"),
        mission.number("thermal.fast_resistance"),
        mission.number("thermal.slow_time_constant"),
        mission.number("thermal.slow_resistance"),
        mission.number("thermal.environment_sun"),
        mission.number("thermal.environment_eclipse"),
        mission.number("thermal.environment_time_constant"),
    )
