"""Microchip MCP9808: temperature sensor with a window and a critical limit.

Source: data sheet DS25095A, sections 5.1 (registers), 5.2.1 (shutdown), 5.2.3 (alert). Each result
latches after the conversion time of the resolution (section 1, 30 to 250 ms). The three flags in
TA compare the result with the limits, whatever the alert output does.

Not modelled: the Alert output and the bits of CONFIG about it (tagged), the hysteresis, which
belongs to it (tagged), the error of the sensor (0.25 °C), self-heating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro, signed

CONFIG, UPPER, LOWER, CRITICAL, AMBIENT, RESOLUTION = 1, 2, 3, 4, 5, 8
SHUTDOWN, CRITICAL_LOCK, WINDOW_LOCK = 1 << 8, 1 << 7, 1 << 6
#: conversion time by RESOLUTION: 0.5, 0.25, 0.125, 0.0625 degC
CONVERSION_NS = (30_000_000, 65_000_000, 130_000_000, 250_000_000)


class Mcp9808(RegisterTarget):
    """MCP9808 at register level."""

    MAP = RegisterMap(
        (
            ro(0, "RFU", 0x001F),
            Register(CONFIG, "CONFIG", writable=0x07CF, clearing=0x0020, unmodelled=0x062F),
            Register(UPPER, "T_UPPER", writable=0x1FFC),
            Register(LOWER, "T_LOWER", writable=0x1FFC),
            Register(CRITICAL, "T_CRIT", writable=0x1FFC),
            ro(AMBIENT, "T_A"),
            ro(6, "MANUFACTURER_ID", 0x0054),
            ro(7, "DEVICE_ID", 0x0400),
            Register(RESOLUTION, "RESOLUTION", 0x03, writable=0x03, width=8),
        ),
        width=16,
        increment=False,
        size=16,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -40.0, 125.0, 0.0625)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pins A2, A1, A0 (section 3.6)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x18, 0x20))
    GUIDE: ClassVar[Guide] = Guide(
        identity=("MANUFACTURER_ID", "DEVICE_ID"),
        fields={
            "CONFIG": "HYST 10:9, SHDN 8, CRIT_LOCK 7, WIN_LOCK 6, CLEAR 5, STAT 4, CNT 3, SEL 2, "
            "POL 1, MOD 0",
            "T_A": "CRIT 15, UPPER 14, LOWER 13",
            "RESOLUTION": "RES 1:0",
        },
        readings={"temperature_c": Reading("T_A", 0.0625, bits=13)},
        # The locks hold until power-up.
        volatile={"CONFIG": 0x00C0},
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {"temperature_c": 25.0}
        #: writes to a limit or to CONFIG that a lock kept out (section 5.1.1)
        self.locked_writes = 0
        self._converter = Converter()
        self._converter.start(0, CONVERSION_NS[3])

    def snapshot(self) -> dict[str, object]:
        """Return counters for the report."""
        return {**super().snapshot(), "locked_writes": self.locked_writes}

    def refresh(self, t_ns: int) -> None:
        """Latch the temperature."""
        if self._converter.ended(t_ns):
            coarse = 3 - self.file.values[RESOLUTION]
            counts = round(self.values["temperature_c"] * (16 >> coarse)) << coarse
            self._show(counts)

    def _show(self, counts: int) -> None:
        """Put a temperature into T_A, 1/16 degC, with the flags of table 5-3."""
        values = self.file.values
        upper, lower, critical = (signed(values[at] << 3) >> 3 for at in (UPPER, LOWER, CRITICAL))
        flags = (counts >= critical) << 15 | (counts > upper) << 14 | (counts < lower) << 13
        values[AMBIENT] = counts & 0x1FFF | flags

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write as usual, but for what a lock keeps out until the next power-up."""
        config = self.file.values[CONFIG]
        address = data[0] & 15 if data else 0
        locks = {UPPER: WINDOW_LOCK, LOWER: WINDOW_LOCK, CRITICAL: CRITICAL_LOCK}
        held = locks.get(address, 0)
        if len(data) > 2 and config & held:
            self.locked_writes += 1
            return super().i2c_write(t_ns, data[:1]) + len(data) - 1
        taken = super().i2c_write(t_ns, data)
        # A lock is not unlocked by writing, and a locked part cannot be shut down.
        lock = config & (CRITICAL_LOCK | WINDOW_LOCK)
        if lock:
            self.file.values[CONFIG] |= lock
            self.file.values[CONFIG] &= ~SHUTDOWN | config
        return taken

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Shutdown stops conversions; resolution and waking start one; limits move the flags."""
        values = self.file.values
        if address in (UPPER, LOWER, CRITICAL):
            self._show(signed(values[AMBIENT] << 3 & 0xFFFF) >> 3)
        elif address == CONFIG and value & SHUTDOWN:
            if not values[CONFIG] & (CRITICAL_LOCK | WINDOW_LOCK):
                self._converter.stop()
        elif values[CONFIG] & SHUTDOWN:
            pass
        elif address == RESOLUTION or (address == CONFIG and not self._converter.busy):
            self._converter.start(t_ns, CONVERSION_NS[values[RESOLUTION]])
