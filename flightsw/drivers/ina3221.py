"""TI INA3221 triple power monitor (SBOS576B): bus and shunt voltage of three rails.

Shunt registers hold 13 bits left-aligned, 40 uV a step; bus registers 13 bits, 8 mV a step (8.6.2).
"""

from __future__ import annotations

from flightsw.drivers.base import expect, i2c_registers
from flightsw.errors import DeviceTableError
from flightsw.hal import Device, Hal

_CONFIGURATION = 0x00
_MANUFACTURER_ID = 0xFE
_DIE_ID = 0xFF
#: all channels on, 16 averages, 1.1 ms conversions, shunt and bus continuously (8.6.2.1)
_CONFIGURATION_WORD = 0x7527
_SHUNT_UV_PER_STEP = 40
_BUS_MV_PER_STEP = 8

_WRITES = tuple((bytes((1 + 2 * n,)), bytes((2 + 2 * n,))) for n in range(3))


class Ina3221:
    """Driver. ``read`` costs six transactions."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self._device = device
        self._registers = i2c_registers(hal, device)
        self.traffic = self._registers.traffic
        shunts = device.params.get("shunts", (0.01, 0.01, 0.01))
        if len(shunts) != 3 or not all(ohm > 0 for ohm in shunts):
            raise DeviceTableError(
                f"{device.role}: ina3221 wants three shunts above 0 ohm, has {list(shunts)}"
            )
        # shunt steps of 40 uV through micro-ohms give milliamperes in integers
        self._shunts_uohm = tuple(round(ohm * 1e6) for ohm in shunts)

    def start(self) -> None:
        """Check both identity registers and start continuous conversion."""
        transfer = self._registers.transfer
        maker = int.from_bytes(transfer(bytes((_MANUFACTURER_ID,)), 2), "big")
        expect(self._device, "manufacturer id", maker, 0x5449)
        die = int.from_bytes(transfer(bytes((_DIE_ID,)), 2), "big")
        expect(self._device, "die id", die, 0x3220)
        transfer(bytes((_CONFIGURATION,)) + _CONFIGURATION_WORD.to_bytes(2, "big"))

    def read(self) -> tuple[int, int, int, int, int, int]:
        """Return (mV, mA) of channels 1, 2, 3 in one row; raises ``BusError``."""
        row = []
        transfer = self._registers.transfer
        for (shunt, bus), uohm in zip(_WRITES, self._shunts_uohm, strict=True):
            steps = int.from_bytes(transfer(shunt, 2), "big", signed=True) >> 3
            volts = int.from_bytes(transfer(bus, 2), "big", signed=True) >> 3
            row.append(volts * _BUS_MV_PER_STEP)
            row.append((steps * _SHUNT_UV_PER_STEP * 1000 + uohm // 2) // uohm)
        return (row[0], row[1], row[2], row[3], row[4], row[5])
