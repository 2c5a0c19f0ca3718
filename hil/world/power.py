"""The electrical side of the bus: array, battery, loads.

The array hangs on a regulator that takes all the power there is until the battery reaches its
charge limit, then only what loads and battery take. The rest is *curtailed* and counted.
"""

from __future__ import annotations

import numpy as np

from hil.missions.mission import Mission
from hil.world.battery import Battery
from hil.world.frames import Array, Vector
from hil.world.sun import AU_KM


def available_w(mission: Mission, light: Array, r_teme: Vector, sun_teme: Vector) -> Array:
    """Return the array's power in time: sunlight, distance of the Sun, and incidence.

    ``power.array_pointing``: ``sun`` keeps the array normal to the Sun; ``zenith`` has one fixed
    panel on the zenith side of a nadir-pointing body (cosine of the Sun's zenith angle). Panel
    temperature and albedo are not modelled.
    """
    distance = sun_teme.norm()
    full = mission.number("power.array") * light * (AU_KM / distance) * (AU_KM / distance)
    if mission.text("power.array_pointing") == "zenith":
        along = r_teme.x * sun_teme.x + r_teme.y * sun_teme.y + r_teme.z * sun_teme.z
        full = full * np.maximum(along / (r_teme.norm() * distance), 0.0)
    return np.round(full, 9)


class PowerBus:
    """Solves the bus once a step and keeps the ledger, in joules."""

    __slots__ = (
        "_array_v", "_brown_out_v", "_loads_w", "_recovery_v", "_transmitter_w", "available_w",
        "battery", "brown_outs", "browned_out", "ledger_j", "load_w", "mode", "shortfall_w",
        "solar_w", "transmitting",
    )  # fmt: skip

    def __init__(self, mission: Mission) -> None:
        self.battery = Battery(
            mission.curve("power.battery_curve"),
            mission.number("power.battery_capacity"),
            mission.number("power.battery_resistance"),
            mission.number("power.battery_charge_limit"),
            mission.number("power.battery_initial_soc"),
        )
        self._loads_w = {
            "nominal": mission.number("power.bus_nominal"),
            "safe": mission.number("power.bus_safe"),
        }
        self._transmitter_w = mission.number("link.transmitter")
        self._array_v = mission.number("power.array_voltage")
        self._brown_out_v = mission.number("power.brown_out")
        self._recovery_v = mission.number("power.brown_out_recovery")
        #: "nominal" or "safe": which of the bus's own loads are on
        self.mode = "nominal"
        self.transmitting = False
        #: the payload has no supply: from the brown-out voltage down to the recovery voltage up
        self.browned_out = False
        #: how often the battery fell below the brown-out voltage
        self.brown_outs = 0
        self.solar_w = self.load_w = self.available_w = self.shortfall_w = 0.0
        self.ledger_j = {
            "available": 0.0, "solar": 0.0, "curtailed": 0.0, "load": 0.0, "shortfall": 0.0,
            "charged": 0.0, "discharged": 0.0, "resistance": 0.0,
        }  # fmt: skip

    def solve(self, available_w: float, payload_w: float) -> None:
        """Balance array, loads and battery for the coming step."""
        load_w = self._loads_w[self.mode] + payload_w
        if self.transmitting:
            load_w += self._transmitter_w
        taken_w = self.battery.load(available_w - load_w)
        self.available_w = available_w
        self.load_w = load_w
        surplus_w = available_w - load_w
        # Charging less than the surplus: the regulator backs off. Discharging less than the
        # deficit: the battery is empty, and the difference is not served.
        self.solar_w = available_w if surplus_w <= 0.0 else load_w + taken_w
        self.shortfall_w = max(0.0, taken_w - surplus_w) if surplus_w < 0.0 else 0.0
        # Without the hysteresis the voltage that the load's going gives would bring it back.
        enough_v = self._recovery_v if self.browned_out else self._brown_out_v
        low = self.battery.voltage_v < enough_v or self.shortfall_w > 1e-6
        if low and not self.browned_out:
            self.brown_outs += 1
        self.browned_out = low

    def advance(self, dt_s: float) -> None:
        """Count the energies of the step, and the battery's charge."""
        battery, ledger = self.battery, self.ledger_j
        terminal_j = battery.voltage_v * battery.current_a * dt_s
        ledger["available"] += self.available_w * dt_s
        ledger["solar"] += self.solar_w * dt_s
        ledger["curtailed"] += (self.available_w - self.solar_w) * dt_s
        ledger["load"] += self.load_w * dt_s
        ledger["shortfall"] += self.shortfall_w * dt_s
        ledger["charged" if terminal_j > 0.0 else "discharged"] += abs(terminal_j)
        ledger["resistance"] += (
            battery.current_a * battery.current_a * battery.resistance_ohm * dt_s
        )
        battery.advance(dt_s)

    @property
    def array_voltage_v(self) -> float:
        """Return the array's working voltage; none in the dark."""
        return self._array_v if self.solar_w > 0.0 else 0.0
