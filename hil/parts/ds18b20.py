"""Maxim DS18B20 digital thermometer on 1-Wire, from its data sheet (19-7487, revision 6).

Modelled: conversion of 93.75 to 750 ms by resolution with the read slots that tell of it, the
scratchpad with CRC, TH, TL and configuration with their EEPROM (copy takes 10 ms, recall), power-on
value of 85 degC, alarm flag of the last conversion and the alarm search.

A conversion takes the temperature of its end. Bits that a resolution leaves undefined read 0. Not
modelled: parasite supply and the strong pull-up, wear of the EEPROM, self-heating, the accuracy of
half a degree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from flightsw.codec.bus_payload import crc8
from hil.parts.base import Param, Quantity
from hil.parts.guide import Command, Guide
from hil.parts.onewire import OneWirePart

CONVERT, WRITE_SCRATCHPAD, READ_SCRATCHPAD = 0x44, 0x4E, 0xBE
COPY_SCRATCHPAD, RECALL, READ_POWER = 0x48, 0xB8, 0xB4
#: time of a conversion at 12 bits; each bit less halves it (table 2)
CONVERSION_NS: Final = 750_000_000
COPY_NS: Final = 10_000_000
#: temperature register at power-on: 85 degC
POWER_ON_RAW: Final = 0x0550
#: octets 5 to 7 of the scratchpad (figure 9)
RESERVED: Final = bytes((0xFF, 0x0C, 0x10))


class Ds18b20(OneWirePart):
    """The thermometer. ``serial`` tells one from another on the same line."""

    FAMILY: ClassVar[int] = 0x28
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -55.0, 125.0, 0.0313)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "serial": Param(None, 1),
        "resolution": Param(None, 12),
    }
    GUIDE: ClassVar[Guide] = Guide(
        commands={
            "rom": Command(b"\x33", 8, "family, serial number, CRC; alone on the line"),
            "scratchpad": Command(b"\xcc\xbe", 9, "temperature, limits, configuration, CRC"),
        },
        note="send cc44 wait 0.75 read scratchpad: a conversion and its result",
    )

    def __init__(self, name: str, seed: int = 0, *, serial: int = 1, resolution: int = 12) -> None:
        super().__init__(name, seed, serial=serial)
        if not 9 <= resolution <= 12:
            raise ValueError(f"resolution of {resolution} bits; give 9 to 12")
        self.values["temperature_c"] = 25.0
        #: TH, TL, configuration: as they are in EEPROM, and as they are now
        self.eeprom = bytes((0x4B, 0x46, (resolution - 9) << 5 | 0x1F))
        self.registers = self.eeprom
        self.raw = POWER_ON_RAW
        self.alarm = False
        self.counters: dict[str, int] = dict.fromkeys(("conversions", "copies"), 0)
        self._due_ns = -1  # end of the conversion under way
        self._busy_ns = 0  # until when read slots show 0
        self._expects = 0  # octets of a Write Scratchpad still to come

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "counters": self.counters}

    @property
    def resolution(self) -> int:
        """Bits of a conversion, 9 to 12."""
        return 9 + (self.registers[2] >> 5 & 3)

    def settle(self, t_ns: int) -> None:
        """Finish a conversion whose time has come."""
        if not 0 <= self._due_ns <= t_ns:
            return
        self._due_ns = -1
        dropped = 12 - self.resolution
        raw = round(self.values["temperature_c"] * 16) >> dropped << dropped
        self.raw = raw & 0xFFFF
        whole = raw >> 4  # TH and TL are compared with bits 11 to 4
        high, low = (int.from_bytes(self.registers[n : n + 1], signed=True) for n in (0, 1))
        self.alarm = whole >= high or whole <= low

    def scratchpad(self, t_ns: int) -> bytes:
        """Return the nine octets of the scratchpad."""
        self.settle(t_ns)
        octets = self.raw.to_bytes(2, "little") + self.registers + RESERVED
        return octets + bytes((crc8(octets),))

    def alarmed(self, t_ns: int) -> bool:
        """Tell whether the last conversion was at or beyond TH or TL."""
        self.settle(t_ns)
        return self.alarm

    def begin(self, t_ns: int) -> None:
        """See a reset: the data of an unfinished Write Scratchpad is as it is."""
        self._expects = 0

    def idle_bit(self, t_ns: int) -> int:
        """Show 0 while a conversion or a copy is under way."""
        self.settle(t_ns)
        return int(t_ns >= self._busy_ns)

    def function(self, t_ns: int, octet: int) -> bytes:
        """Take a function command, or an octet of Write Scratchpad."""
        self.settle(t_ns)
        if self._expects:
            at = 3 - self._expects
            value = octet & 0x60 | 0x1F if at == 2 else octet
            self.registers = self.registers[:at] + bytes((value,)) + self.registers[at + 1 :]
            self._expects -= 1
            return b""
        if octet == CONVERT:
            self.counters["conversions"] += 1
            self._due_ns = t_ns + (CONVERSION_NS >> 12 - self.resolution)
            self._busy_ns = self._due_ns
        elif octet == WRITE_SCRATCHPAD:
            self._expects = 3
        elif octet == READ_SCRATCHPAD:
            return self.scratchpad(t_ns)
        elif octet == COPY_SCRATCHPAD:
            self.counters["copies"] += 1
            self.eeprom = self.registers
            self._busy_ns = t_ns + COPY_NS
        elif octet == RECALL:
            self.registers = self.eeprom
        elif octet == READ_POWER:
            return b"\xff"  # supplied from outside
        else:
            self.touch(f"function command {octet:02X}h")
        return b""
