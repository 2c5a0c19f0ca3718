"""TT&C transceiver: a serial line both ways and a line that is high while the carrier is up."""

from __future__ import annotations

from flightsw.drivers.base import Traffic
from flightsw.drivers.pins import pin
from flightsw.hal import Device, Hal


class Ttc:
    """Driver."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self.traffic = Traffic()
        self._uart = hal.uart(device.channel)
        self._carrier = pin(hal, device, "carrier")
        self.read = self._uart.read
        self.write = self._uart.write

    def start(self) -> None:
        """Do nothing: a line has no identity, and units received before the start are good."""

    def carrier(self) -> bool:
        """Return whether the ground hears us now."""
        return bool(self._carrier.get())

    @property
    def overruns(self) -> int:
        """Octets lost in the receive buffer."""
        return self._uart.overruns
