"""TI TMP117 temperature sensor (SNOSD82D): 16 bits, 7.8125 mdegC a step."""

from __future__ import annotations

from flightsw.drivers.base import expect, i2c_registers
from flightsw.hal import Device, Hal

_RESULT = b"\x00"
_DEVICE_ID = b"\x0f"


class Tmp117:
    """Driver. ``read`` costs one transaction."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self._device = device
        self._registers = i2c_registers(hal, device)
        self.traffic = self._registers.traffic

    def start(self) -> None:
        """Check the identity; the reset configuration converts continuously, one a second."""
        found = int.from_bytes(self._registers.transfer(_DEVICE_ID, 2), "big")
        expect(self._device, "device id", found & 0x0FFF, 0x117)

    def read(self) -> int:
        """Return the raw result, 1/128 degC a step; raises ``BusError``."""
        return int.from_bytes(self._registers.transfer(_RESULT, 2), "big", signed=True)


def centidegrees(raw: int) -> int:
    """Convert a raw result to hundredths of a degree Celsius."""
    return (raw * 100 + 64) >> 7
