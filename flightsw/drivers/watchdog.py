"""Watchdog on a GPIO line: every change of the line restarts its time."""

from __future__ import annotations

from flightsw.drivers.base import Traffic
from flightsw.drivers.pins import pin
from flightsw.hal import Device, Hal


class Watchdog:
    """Driver."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self.traffic = Traffic()
        self._line = pin(hal, device, "kick")
        self._level = 0

    def start(self) -> None:
        """Bring the line to its idle level; an output cannot be asked for its identity."""
        self._line.set(self._level)

    def kick(self) -> None:
        """Restart the watchdog's time."""
        self._level ^= 1
        self._line.set(self._level)
