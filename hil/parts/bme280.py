"""Bosch BME280: temperature, pressure and humidity, as raw counts that the driver compensates.

Source: data sheet BST-BME280-DS001 (revision 1.24), sections 3.3 to 3.5 (modes, measurement,
filter), 4.2.2 and 4.2.3 (trimming, compensation), 5 (registers), 6.2 and 6.3 (I2C and SPI), 9.1
(times). The part searches the count whose compensation, in the integer formulas of section 4.2.3,
comes nearest to what the world says. Pressure and humidity counts are sought with the ``t_fine`` of
the temperature count, as the sensing elements depend on the temperature that they have. Each part
has trimming values of its own near those of a typical one.

A write to CONFIG in normal mode, which the data sheet says may be ignored, is, and is counted.

Not modelled: three-wire SPI (tagged), the switch from I2C to SPI at the first low of CSB (a board
wires one of them), noise, the spread of the measurement time (typical values are used), the
humidity element's lag of 1 s, self-heating, the ranges outside the quantities below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro

ID, RESET, CTRL_HUM, STATUS, CTRL_MEAS, CONFIG, DATA = 0xD0, 0xE0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF7
MEASURING, SOFT_RESET = 1 << 3, 0xB6
#: oversampling by osrs (section 5.4): samples
SAMPLES = (0, 1, 2, 4, 8, 16, 16, 16)
#: t_sb (table 27)
STANDBY_NS = tuple(round(ms * 1e6) for ms in (0.5, 62.5, 125.0, 250.0, 500.0, 1000.0, 10.0, 20.0))
#: IIR coefficient by filter (table 28)
FILTER = (1, 2, 4, 8, 16, 16, 16, 16)
#: T1..T3, P1..P9, H1..H6 of a typical part, and how far a part may be from it
TYPICAL = (
    *(27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000),
    *(75, 362, 0, 313, 50, 30),
)
SPREAD = (600, 300, 20, 400, 150, 60, 300, 30, 3, 100, 100, 50, 0, 8, 0, 8, 3, 2)
_BITS = 20
_SKIPPED = 1 << 19  # what a measurement that is left out reads (section 5.4.5)


def t_fine(trim: tuple[int, ...], adc: int) -> int:
    """Return the fine temperature of a count, 1/5120 degC (section 4.2.3)."""
    t1, t2, t3 = trim[:3]
    one = (((adc >> 3) - (t1 << 1)) * t2) >> 11
    two = (((((adc >> 4) - t1) * ((adc >> 4) - t1)) >> 12) * t3) >> 14
    return one + two


def pressure(trim: tuple[int, ...], adc: int, fine: int) -> int:
    """Return the pressure of a count, 1/256 Pa (section 4.2.3); 0 where it has none."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    one = fine - 128000
    two = one * one * p6 + ((one * p5) << 17) + (p4 << 35)
    one = ((one * one * p3) >> 8) + ((one * p2) << 12)
    one = (((1 << 47) + one) * p1) >> 33
    if one == 0:
        return 0
    p = (((1048576 - adc) << 31) - two) * 3125 // one
    return ((p + ((p9 * (p >> 13) * (p >> 13)) >> 25) + ((p8 * p) >> 19)) >> 8) + (p7 << 4)


def humidity(trim: tuple[int, ...], adc: int, fine: int) -> int:
    """Return the relative humidity of a count, 1/1024 % (section 4.2.3)."""
    h1, h2, h3, h4, h5, h6 = trim[12:]
    x = fine - 76800
    gain = (((((x * h6) >> 10) * (((x * h3) >> 11) + 32768)) >> 10) + 2097152) * h2 + 8192
    x = (((adc << 14) - (h4 << 20) - h5 * x + 16384) >> 15) * (gain >> 14)
    x -= ((((x >> 15) * (x >> 15)) >> 7) * h1) >> 4
    return min(max(x, 0), 419430400) >> 12


def count_for(target: float, of: Callable[[int], int], bits: int, falling: bool = False) -> int:
    """Return the count of ``bits`` bits at which the monotonic ``of`` comes nearest to target."""
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        if (of(middle) < target) != falling:
            low = middle + 1
        else:
            high = middle
    return min((max(low - 1, 0), low), key=lambda adc: abs(of(adc) - target))


class Bme280(RegisterTarget):
    """BME280 at register level."""

    MAP = RegisterMap(
        (
            *(ro(at, f"CALIB_{at:02X}") for at in (*range(0x88, 0xA2), *range(0xE1, 0xF1))),
            ro(ID, "ID", 0x60),
            Register(RESET, "RESET", clearing=0xFF),
            Register(CTRL_HUM, "CTRL_HUM", writable=0x07),
            ro(STATUS, "STATUS"),
            Register(CTRL_MEAS, "CTRL_MEAS"),
            Register(CONFIG, "CONFIG", writable=0xFD, unmodelled=0x01),
            *(
                ro(DATA + n, f"DATA_{DATA + n:02X}", 0 if n in (1, 2, 4, 5, 7) else 0x80)
                for n in range(8)
            ),
        )
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -40.0, 85.0, 0.01),
        "pressure_pa": Quantity("Pa", 30_000.0, 110_000.0, 2.0),
        "humidity_pct": Quantity("%", 0.0, 100.0, 0.02),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pin SDO at GND, VDDIO (section 6.2)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x76, 0x77)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("ID",),
        fields={
            "CTRL_HUM": "OSRS_H 2:0",
            "STATUS": "MEASURING 3, IM_UPDATE 0",
            "CTRL_MEAS": "OSRS_T 7:5, OSRS_P 4:2, MODE 1:0",
            "CONFIG": "T_SB 7:5, FILTER 4:2, SPI3W 0",
        },
        volatile={f"CALIB_{at:02X}": 0xFF for at in (*range(0x88, 0xA2), *range(0xE1, 0xF1))},
        spi=(0x80, 0x00),
        note="its counts become SI by trimming values that each part has of its own",
    )
    #: section 6.3
    spi_modes: frozenset[int] = frozenset({0, 3})

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {"temperature_c": 25.0, "pressure_pa": 101_325.0, "humidity_pct": 50.0}
        #: trimming values, in the order of TYPICAL
        self.trim = tuple(
            value + (int(self.random.integers(-spread, spread + 1)) if spread else 0)
            for value, spread in zip(TYPICAL, SPREAD, strict=True)
        )
        self._converter = Converter()
        self._control = -1  # SPI: the control octet of the access under way
        self._reset()

    def _reset(self) -> None:
        """Power up: trimming values are copied from the memory, everything else is as it was."""
        self.file.reset()
        self._converter.stop()
        self._osrs_h = 0  # CTRL_HUM as the last write of CTRL_MEAS found it
        self._filtered: list[int] | None = None  # filter memory: temperature, pressure, each << 8
        self._sought: tuple[object, tuple[int, int, int]] = ((), (0, 0, 0))
        values, trim = self.file.values, self.trim
        for n, word in enumerate(trim[:12]):
            values[0x88 + 2 * n], values[0x89 + 2 * n] = word & 0xFF, word >> 8 & 0xFF
        h1, h2, h3, h4, h5, h6 = trim[12:]
        values[0xA1] = h1
        shared = h4 & 15 | (h5 & 15) << 4
        row = (h2 & 0xFF, h2 >> 8 & 0xFF, h3, h4 >> 4 & 0xFF, shared, h5 >> 4 & 0xFF, h6 & 0xFF)
        values[0xE1:0xE8] = row

    # Measurement --------------------------------------------------------------------------------

    def _measure_ns(self) -> int:
        """Return the typical time of one measurement (section 9.1)."""
        meas = self.file.values[CTRL_MEAS]
        t, p, h = SAMPLES[meas >> 5], SAMPLES[meas >> 2 & 7], SAMPLES[self._osrs_h]
        half_ms = 2 + 4 * t + (4 * p + 1 if p else 0) + (4 * h + 1 if h else 0)
        return half_ms * 500_000

    def refresh(self, t_ns: int) -> None:
        """Latch the data of the last measurement that ended."""
        converter, values = self._converter, self.file.values
        count = converter.ended(t_ns)
        if count:
            self._latch(converter.held or self.values, count)
            if not converter.busy:
                values[CTRL_MEAS] &= ~3  # forced mode falls back to sleep (section 3.3.3)
        measure_ns = self._measure_ns()
        values[STATUS] = (
            MEASURING if converter.busy and t_ns >= converter.due_ns - measure_ns else 0
        )

    def _raw(self, inputs: Mapping[str, float]) -> tuple[int, int, int]:
        """Return the counts of the three elements."""
        key = tuple(inputs.values())
        if self._sought[0] != key:
            trim = self.trim
            temperature, pascals, percent = key
            t = count_for(temperature * 5120, lambda adc: t_fine(trim, adc), _BITS)
            fine = t_fine(trim, t)
            p = count_for(pascals * 256, lambda adc: pressure(trim, adc, fine), _BITS, falling=True)
            h = count_for(percent * 1024, lambda adc: humidity(trim, adc, fine), 16)
            self._sought = (key, (t, p, h))
        return self._sought[1]

    def _latch(self, inputs: Mapping[str, float], count: int) -> None:
        values = self.file.values
        meas = values[CTRL_MEAS]
        t, p, h = self._raw(inputs)
        coefficient = FILTER[values[CONFIG] >> 2 & 7]
        if coefficient == 1:
            # Without the filter a result has 16 bits and one more for each doubling (3.4.4).
            self._filtered = None
            t, p = (_rounded(adc, 5 - osrs) for adc, osrs in ((t, meas >> 5), (p, meas >> 2 & 7)))
        else:
            t, p = self._filter((t, p), coefficient, count)
        t = t if meas >> 5 else _SKIPPED
        p = p if meas >> 2 & 7 else _SKIPPED
        h = h if self._osrs_h else _SKIPPED >> 4
        words = (p << 4).to_bytes(3) + (t << 4).to_bytes(3) + h.to_bytes(2)
        values[DATA : DATA + 8] = words

    def _filter(self, adc: tuple[int, int], coefficient: int, count: int) -> list[int]:
        """Section 3.4.4: each result moves the memory by one part in ``coefficient``."""
        if self._filtered is None:
            self._filtered = [value << 8 for value in adc]
        for index, value in enumerate(adc):
            memory = self._filtered[index]
            for _ in range(min(count, 32 * coefficient)):
                memory = (
                    memory * (coefficient - 1) + (value << 8) + coefficient // 2
                ) // coefficient
            self._filtered[index] = memory
        return [memory + 128 >> 8 for memory in self._filtered]

    # Bus face -----------------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take pairs of address and value (section 6.2.1); an address alone is for reading."""
        for at in range(0, len(data), 2):
            pair = data[at : at + 2]
            if pair[0] == CONFIG and pair[1:] and self.file.values[CTRL_MEAS] & 3 == 3:
                self.touch("write CONFIG in normal mode")
                continue
            super().i2c_write(t_ns, pair)
        return len(data)

    def spi_select(self, t_ns: int) -> None:
        """Await a control octet."""
        self._control = -1

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Section 6.3.1: addresses have 7 bits; bit 7 of the control octet is set for reading."""
        out = bytearray()
        for octet in tx:
            if self._control & 0x80 and self._control >= 0:
                out += self.i2c_read(t_ns, 1) or b""
                continue
            out.append(0xFF)
            if self._control < 0:
                self._control = octet
                self.pointer = octet | 0x80
            else:
                self.i2c_write(t_ns, bytes((self._control | 0x80, octet)))
                self._control = -1
        return bytes(out)

    def spi_deselect(self, t_ns: int) -> None:
        """Nothing waits for it."""

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """CTRL_MEAS starts measurements and takes CTRL_HUM in (section 5.4.3)."""
        values = self.file.values
        if address == RESET and value == SOFT_RESET:
            self._reset()
        elif address == CTRL_MEAS:
            self._osrs_h = values[CTRL_HUM]
            mode, time_ns = value & 3, self._measure_ns()
            if mode == 0:
                self._converter.stop()
            elif mode == 3:
                standby_ns = STANDBY_NS[values[CONFIG] >> 5]
                self._converter.start(t_ns, time_ns + standby_ns, time_ns)
            else:
                self._converter.once(t_ns, time_ns, self.values)


def _rounded(adc: int, bits: int) -> int:
    """Return ``adc`` with its lowest ``bits`` bits cleared, to the nearest."""
    if bits <= 0:
        return adc
    half = 1 << bits - 1
    return min(adc + half, (1 << _BITS) - 1) >> bits << bits
