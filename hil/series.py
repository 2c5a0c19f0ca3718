"""What the report draws: the world at intervals, and the extremes of every second."""

from __future__ import annotations

from collections.abc import Mapping

SECOND = 1_000_000_000
#: name in the report -> name in the state of the world
DRAWN = {
    "battery_v": "power.battery_v",
    "battery_soc": "power.battery_soc",
    "solar_w": "power.solar_w",
    "load_w": "power.load_w",
    "payload_w": "power.payload_w",
    "chip_c": "thermal.chip_c",
    "board_c": "thermal.board_c",
    "environment_c": "thermal.environment_c",
    "illumination": "sun.illumination",
    "elevation_deg": "link.elevation_deg",
}


class Series:
    """Columns of samples, and the extremes that the verdict needs."""

    def __init__(self) -> None:
        self.t_s: list[float] = []
        self.columns: dict[str, list[float]] = {name: [] for name in DRAWN}
        self.min_battery_v = float("inf")
        self.max_chip_c = float("-inf")
        self.max_board_c = float("-inf")

    def add(self, t_ns: int, state: Mapping[str, float]) -> None:
        """Keep one sample of every drawn value."""
        self.t_s.append(t_ns / SECOND)
        for name, world in DRAWN.items():
            self.columns[name].append(round(state[world], 4))

    def extremes(self, state: Mapping[str, float]) -> None:
        """Follow the lowest battery voltage and the highest temperatures."""
        self.min_battery_v = min(self.min_battery_v, state["power.battery_v"])
        self.max_chip_c = max(self.max_chip_c, state["thermal.chip_c"])
        self.max_board_c = max(self.max_board_c, state["thermal.board_c"])
