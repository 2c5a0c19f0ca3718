"""The temperature of the payload computer over the body around it.

Two first-order terms in parallel to ground (a Foster network): the chip over its board (minutes)
and the board over the body (ten minutes), both driven by the computer's power. The environment
follows sunlight with a lag of its own. Explicit Euler at the step of the world; the shortest time
constant is hundreds of steps, and the error below 0.1 K.
"""

from __future__ import annotations

from typing import NamedTuple


class ThermalParameters(NamedTuple):
    """Constants of the two nodes and of the environment."""

    fast_tau_s: float
    fast_k_w: float
    slow_tau_s: float
    slow_k_w: float
    environment_sun_c: float
    environment_eclipse_c: float
    environment_tau_s: float


class Thermal:
    """Temperatures in degrees Celsius."""

    __slots__ = ("_p", "board_c", "chip_c", "environment_c", "fast_k", "slow_k")

    def __init__(self, parameters: ThermalParameters, sunlight: float) -> None:
        """Start with the computer cold, the environment between its limits by mean sunlight."""
        self._p = parameters
        self.fast_k = 0.0
        self.slow_k = 0.0
        self.environment_c = self.environment_target_c(sunlight)
        self._add_up()

    def environment_target_c(self, sunlight: float) -> float:
        """Return where the environment tends to under a share of sunlight."""
        p = self._p
        return p.environment_eclipse_c + sunlight * (p.environment_sun_c - p.environment_eclipse_c)

    def preheat(self, chip_c: float) -> None:
        """Set the chip's temperature, the rise put on the fast node, as after a short start."""
        self.fast_k = chip_c - self.environment_c
        self.slow_k = 0.0
        self._add_up()

    def advance(self, power_w: float, sunlight: float, dt_s: float) -> None:
        """Advance by ``dt_s`` under the power and sunlight of that interval."""
        p = self._p
        self.fast_k += (p.fast_k_w * power_w - self.fast_k) * (dt_s / p.fast_tau_s)
        self.slow_k += (p.slow_k_w * power_w - self.slow_k) * (dt_s / p.slow_tau_s)
        target = self.environment_target_c(sunlight)
        self.environment_c += (target - self.environment_c) * (dt_s / p.environment_tau_s)
        self._add_up()

    def _add_up(self) -> None:
        self.board_c = self.environment_c + self.slow_k
        self.chip_c = self.board_c + self.fast_k
