"""The battery: open-circuit voltage by charge, one series resistance, coulomb counting.

Not modelled: hysteresis between charge and discharge, temperature, ageing, self-discharge.
"""

from __future__ import annotations

import math


class Battery:
    """State of charge and terminal voltage under a net power.

    ``curve_v`` are voltages from full to empty at equal steps of used charge, taken as
    open-circuit. The capacity in coulombs is the energy over the mean of the curve, so that a full
    discharge at no current gives exactly the stated energy. Currents are positive when charging.
    """

    __slots__ = (
        "_curve_v", "_segments", "capacity_c", "charge_limit_v", "current_a", "resistance_ohm",
        "soc", "voltage_v",
    )  # fmt: skip

    def __init__(
        self,
        curve_v: tuple[float, ...],
        energy_j: float,
        resistance_ohm: float,
        charge_limit_v: float,
        soc: float,
    ) -> None:
        self._curve_v = curve_v
        self._segments = len(curve_v) - 1
        mean_v = (0.5 * (curve_v[0] + curve_v[-1]) + sum(curve_v[1:-1])) / self._segments
        self.capacity_c = energy_j / mean_v
        self.resistance_ohm = resistance_ohm
        self.charge_limit_v = charge_limit_v
        self.soc = soc
        self.current_a = 0.0
        self.voltage_v = self.open_circuit_v()

    def open_circuit_v(self) -> float:
        """Return the voltage at no current, piecewise linear in the charge used."""
        place = (1.0 - self.soc) * self._segments
        at = min(int(place), self._segments - 1)
        upper = self._curve_v[at]
        return upper + (place - at) * (self._curve_v[at + 1] - upper)

    def load(self, net_w: float) -> float:
        """Put a net power on the terminals (positive charges); return the power that it takes.

        A full battery, or one at its charge limit, takes less than offered. One that cannot give
        what is asked (beyond its maximum power, or empty) gives what it can; the voltage shows it.
        """
        ocv, r = self.open_circuit_v(), self.resistance_ohm
        # net = (ocv + i r) i: the root that vanishes with net, in the form that does not cancel;
        # sqrt is exact to the last bit.
        root = ocv * ocv + 4.0 * r * net_w
        current = 2.0 * net_w / (ocv + math.sqrt(root)) if root > 0.0 else -ocv / (2.0 * r)
        if current > 0.0:
            if self.soc >= 1.0:
                current = 0.0
            else:
                current = min(current, max(0.0, (self.charge_limit_v - ocv) / r))
        elif current < 0.0 and self.soc <= 0.0:
            current = 0.0
        self.current_a = current
        self.voltage_v = ocv + current * r
        return self.voltage_v * current

    def advance(self, dt_s: float) -> None:
        """Count the charge of the present current over ``dt_s``."""
        self.soc = min(1.0, max(0.0, self.soc + self.current_a * dt_s / self.capacity_c))
