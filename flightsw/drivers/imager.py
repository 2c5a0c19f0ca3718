"""Imager that delivers whole RGB frames."""

from __future__ import annotations

from flightsw.drivers.base import Traffic
from flightsw.errors import BusError
from flightsw.hal import Device, Hal, Image


class Imager:
    """Driver; a failed frame is not tried again here, the job decides."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self.traffic = Traffic()
        self._imager = hal.imager(device.channel)

    def start(self) -> None:
        """Do nothing: the imager is powered for a frame only, its identity comes with the frame."""

    def capture(self, exposure_us: int) -> Image:
        """Return one frame; raises ``BusError``."""
        try:
            return self._imager.capture(exposure_us)
        except BusError:
            self.traffic.errors += 1
            raise
