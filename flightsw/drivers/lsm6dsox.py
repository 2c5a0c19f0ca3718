"""ST LSM6DSOX accelerometer and gyroscope (DS12140): one burst of temperature, rates, acceleration.

104 Hz, +-4 g (0.122 mg a step) and +-500 deg/s (17.50 mdeg/s a step), data sheet tables 2 and 3.
"""

from __future__ import annotations

import struct

from flightsw.drivers.base import expect, i2c_registers
from flightsw.hal import Device, Hal

_WHO_AM_I = b"\x0f"
_CTRL1_XL = 0x10
_CTRL2_G = 0x11
_CTRL3_C = 0x12
_BURST = b"\x20"
_ROW = struct.Struct("<7h")
#: 104 Hz and +-4 g; 104 Hz and +-500 deg/s; block data update and address increment
_SETUP = (bytes((_CTRL3_C, 0x44)), bytes((_CTRL1_XL, 0x48)), bytes((_CTRL2_G, 0x44)))

#: micro-metres per second squared a step of 0.122 mg, in thousandths
_ACCEL_MILLI_UM_S2 = 1_196_411
#: micro-radians per second a step of 17.50 mdeg/s, in thousandths
_GYRO_MILLI_URAD_S = 305_433


class Lsm6dsox:
    """Driver. ``read`` costs one transaction."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self._device = device
        self._registers = i2c_registers(hal, device)
        self.traffic = self._registers.traffic

    def start(self) -> None:
        """Check WHO_AM_I and start both sensors."""
        expect(self._device, "WHO_AM_I", self._registers.transfer(_WHO_AM_I, 1)[0], 0x6C)
        for write in _SETUP:
            self._registers.transfer(write)

    def read(self) -> tuple[int, ...]:
        """Return raw (temperature, gyro x y z, accel x y z); raises ``BusError``."""
        return _ROW.unpack(self._registers.transfer(_BURST, 14))


def centidegrees(raw: int) -> int:
    """Convert raw temperature (256 steps a degree, 0 at 25 degC) to hundredths of a degree."""
    return 2500 + ((raw * 100 + 128) >> 8)


def urad_s(raw: int) -> int:
    """Convert a raw rate to micro-radians per second."""
    return (raw * _GYRO_MILLI_URAD_S + 500) // 1000


def um_s2(raw: int) -> int:
    """Convert a raw acceleration to micro-metres per second squared."""
    return (raw * _ACCEL_MILLI_UM_S2 + 500) // 1000
