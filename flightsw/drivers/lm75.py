"""NXP LM75B temperature sensor (data sheet of 2015) and the many that follow it, such as TMP105.

The result stands in the upper bits of 16, 1/256 degC a step of the whole word; how many of them
carry it (9 to 12) is the part's own, and the rest are zero.
"""

from __future__ import annotations

from flightsw.drivers.base import expect, i2c_registers
from flightsw.hal import Device, Hal

_TEMP, _CONF, _THYST, _TOS = b"\x00", b"\x01", b"\x02", b"\x03"
#: bits of a limit that no LM75 has (section 7.4.4: 9 bits, left-aligned)
_UNUSED = 0x007F


class Lm75:
    """Driver. ``read`` costs one transaction and tells what ``tmp117.centidegrees`` converts."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self._device = device
        self._registers = i2c_registers(hal, device)
        self.traffic = self._registers.traffic

    def start(self) -> None:
        """Set continuous conversion. There is no identity: what its registers cannot be is asked.

        Configuration bits 7:5 read as zero after zero was written, and limits have 9 bits.
        """
        registers = self._registers
        registers.transfer(_CONF + b"\x00")
        expect(self._device, "configuration", registers.transfer(_CONF, 1)[0], 0)
        for name, pointer in (("THYST", _THYST), ("TOS", _TOS)):
            limit = int.from_bytes(registers.transfer(pointer, 2), "big")
            expect(self._device, f"{name} below its 9 bits", limit & _UNUSED, 0)

    def read(self) -> int:
        """Return the result in 1/128 degC, the steps of a TMP117; raises ``BusError``."""
        return int.from_bytes(self._registers.transfer(_TEMP, 2), "big", signed=True) >> 1
