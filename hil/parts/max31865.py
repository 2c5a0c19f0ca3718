"""Maxim MAX31865: resistance of a platinum sensor against a reference, 15 bits, SPI modes 1 and 3.

Source: data sheet 19-6478 revision 3, sections "Serial Interface", "Internal Registers" (table 1 to
8), "Fault Detection"; the platinum is IEC 60751 (Callendar-Van Dusen).

A result latches at the end of its conversion: 52 ms after a one-shot, every 16.7 ms in automatic
mode (62.5 ms and 20 ms with the 50 Hz filter). Without bias voltage it is 0.

Not modelled (touches are counted): the pin DRDY, settling of the bias, resistance of the leads,
wiring faults other than an open element, over- and undervoltage, noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Part, Quantity
from hil.parts.guide import Guide, Reading
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterFile, RegisterMap, ro

CONFIG, RTD, HIGH, LOW, FAULTS = 0x00, 0x01, 0x03, 0x05, 0x07
BIAS, AUTO, ONE_SHOT, CYCLE, CLEAR, HZ50 = 0x80, 0x40, 0x20, 0x0C, 0x02, 0x01
ABOVE, BELOW, OPEN = 0x80, 0x40, 0x20
ONE_SHOT_NS = (52_000_000, 62_500_000)
PERIOD_NS = (16_666_667, 20_000_000)
FAULT_CYCLE_NS = 550_000
_A, _B, _C = 3.9083e-3, -5.775e-7, -4.183e-12


def platinum_ratio(temperature_c: float) -> float:
    """Return resistance over resistance at 0 degrees of platinum (IEC 60751)."""
    t = temperature_c
    return 1 + _A * t + _B * t * t + (_C * (t - 100) * t * t * t if t < 0 else 0.0)


class Max31865(Part):
    """MAX31865 with a platinum element of ``nominal_ohm`` and a reference of ``reference_ohm``."""

    MAP = RegisterMap(
        (
            Register(CONFIG, "CONFIG", clearing=ONE_SHOT | CLEAR, unmodelled=0x10),
            ro(RTD, "RTD_MSB"),
            ro(RTD + 1, "RTD_LSB"),
            Register(HIGH, "HIGH_FAULT_MSB", 0xFF),
            Register(HIGH + 1, "HIGH_FAULT_LSB", 0xFF),
            Register(LOW, "LOW_FAULT_MSB"),
            Register(LOW + 1, "LOW_FAULT_LSB"),
            ro(FAULTS, "FAULT_STATUS"),
        ),
        size=128,
    )
    # Epsilon: half a count of 430 ohm / 32768 where platinum is least steep.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -200.0, 850.0, 0.0227),
        "open_circuit": Quantity("1", 0.0, 1.0, 0.5),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "nominal_ohm": Param("ohm", 100.0),
        "reference_ohm": Param("ohm", 430.0),
    }
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "CONFIG": "VBIAS 7, AUTO 6, ONE_SHOT 5, WIRE3 4, FAULT_CYCLE 3:2, CLEAR 1, HZ50 0",
            "FAULT_STATUS": "HIGH 7, LOW 6, REFIN_HIGH 5, REFIN_LOW 4, RTDIN_LOW 3, VOLTAGE 2",
        },
        readings={
            "rtd_ohm": Reading(
                "RTD_MSB", 1 / 32768, 0.0, 1, False, 2, times="reference_ohm", unit="ohm"
            )
        },
        setup=(("CONFIG", 0xC0),),  # bias on, over and over
        volatile={"CONFIG": 0x0C},  # a fault cycle ends by itself
        spi=(0x00, 0x80),
    )
    spi_modes: frozenset[int] = frozenset({1, 3})
    spi_max_hz = 5_000_000

    def __init__(
        self, name: str, seed: int = 0, nominal_ohm: float = 100.0, reference_ohm: float = 430.0
    ) -> None:
        super().__init__(name, seed)
        limits = {"nominal_ohm": (nominal_ohm, 1.0, 1e4), "reference_ohm": (reference_ohm, 1, 4e4)}
        check_limits(name, limits)
        self.nominal_ohm, self.reference_ohm = nominal_ohm, reference_ohm
        self.values = {"temperature_c": 25.0, "open_circuit": 0.0}
        self.file = RegisterFile(self.MAP)
        #: results at the end of the scale, and conversions without bias
        self.saturated = self.unbiased = 0
        self._head = -1  # the address octet of this selection, -1 before it came
        self._due_ns = -1  # end of the conversion under way
        self._cycle_ns = -1  # end of the fault detection cycle under way

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "saturated": self.saturated, "unbiased": self.unbiased}

    # Conversion -----------------------------------------------------------------------------------

    def refresh(self, t_ns: int) -> None:
        """Bring what changes by itself up to ``t_ns``: latch what ended since the last access."""
        values = self.file.values
        if 0 <= self._cycle_ns <= t_ns:
            self._cycle_ns = -1
            self._end_fault_cycle()
        if 0 <= self._due_ns <= t_ns:
            if values[CONFIG] & AUTO:
                period_ns = PERIOD_NS[values[CONFIG] & HZ50]
                self._due_ns += ((t_ns - self._due_ns) // period_ns + 1) * period_ns
            else:
                self._due_ns = -1
            self._latch()

    def _latch(self) -> None:
        values = self.file.values
        ohm = self.nominal_ohm * platinum_ratio(self.values["temperature_c"])
        counts = round(ohm / self.reference_ohm * 32768)
        if self.values["open_circuit"] >= 0.5 or counts > 0x7FFF:
            counts = 0x7FFF
            self.saturated += 1
        if not values[CONFIG] & BIAS:
            counts = 0
            self.unbiased += 1
        word = counts << 1
        if word >= values[HIGH] << 8 | values[HIGH + 1] & 0xFE:
            values[FAULTS] |= ABOVE
        if word <= values[LOW] << 8 | values[LOW + 1] & 0xFE:
            values[FAULTS] |= BELOW
        values[RTD] = word >> 8
        values[RTD + 1] = word & 0xFE | bool(values[FAULTS])

    def _end_fault_cycle(self) -> None:
        values = self.file.values
        values[CONFIG] &= ~CYCLE
        if self.values["open_circuit"] >= 0.5 and values[CONFIG] & BIAS:
            values[FAULTS] |= OPEN
            values[RTD + 1] |= 1

    # Bus face -------------------------------------------------------------------------------------

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active: the next octet is an address."""
        self._head = -1

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Take the address, its top bit for a write, then registers one after the other."""
        rx = bytearray()
        for octet in tx:
            if self._head < 0:
                self._head = octet
                self.refresh(t_ns)
                rx.append(0xFF)
                continue
            address = self._head & 0x7F
            if self._head & 0x80:
                self._write(t_ns, address, octet)
                rx.append(0xFF)
            else:
                rx.append(
                    self.file.load(address, self) if address <= FAULTS else self._none(address)
                )
            self._head = self._head & 0x80 | (address + 1) & 0x7F
        return bytes(rx)

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive."""

    def _none(self, address: int) -> int:
        self.touch(f"read {self.file.names[address]}")
        return 0xFF

    def _write(self, t_ns: int, address: int, octet: int) -> None:
        """Write a register; addresses beyond the table are ignored and counted."""
        if address > FAULTS:
            self.touch(f"write {self.file.names[address]}")
            return
        values = self.file.values
        before = values[CONFIG]
        self.file.store(address, octet, self)
        if address != CONFIG:
            return
        if octet & CLEAR and not octet & (ONE_SHOT | CYCLE):
            values[FAULTS] = 0
            values[RTD + 1] &= 0xFE
        elif octet & CYCLE in (0x04, 0x0C):
            self._cycle_ns = t_ns + (FAULT_CYCLE_NS if octet & CYCLE == 0x04 else 0)
        if octet & AUTO:
            if not before & AUTO:
                self._due_ns = t_ns + ONE_SHOT_NS[octet & HZ50]
        elif octet & ONE_SHOT:
            self._due_ns = t_ns + ONE_SHOT_NS[octet & HZ50]
        elif before & AUTO:
            self._due_ns = -1
