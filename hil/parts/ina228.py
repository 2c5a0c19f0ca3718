"""Texas Instruments INA228: 20-bit power monitor with energy and charge accumulators.

Source: data sheet SLYS021A (May 2022), sections 7.3 (accumulation, shunt temperature), 7.6
(registers), 8.1.2 (calibration). Outputs latch at the end of a cycle: averages times the sum of the
conversion times that the mode enables. In continuous mode each cycle adds its power and current
over its time to ENERGY and CHARGE.

Not modelled: the ALERT pin and its polarity and delay (bits APOL, SLOWALERT, CNVR are tagged; the
flags themselves are), the delay CONVDLY (tagged), the memory check (it stays good), offset, gain
error and noise. All averages of a cycle see the input as it is when the cycle is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed

CONFIG, ADC_CONFIG, SHUNT_CAL, SHUNT_TEMPCO, VSHUNT, VBUS, DIETEMP, CURRENT = range(8)
POWER, ENERGY, CHARGE, DIAG, SOVL, SUVL, BOVL, BUVL, TEMP_LIMIT, PWR_LIMIT = range(8, 18)
RESET, RESET_ACCUMULATORS, TEMPCOMP, ADCRANGE = 1 << 15, 1 << 14, 1 << 5, 1 << 4
LATCH, ENERGYOF, CHARGEOF, MATHOF, CNVRF = 1 << 15, 1 << 11, 1 << 10, 1 << 9, 1 << 1
#: TMPOL, SHNTOL, SHNTUL, BUSOL, BUSUL, POL
LIMIT_FLAGS = 0xFC
SHUNT_LSB_V, BUS_LSB_V, TEMPERATURE_LSB_C = 312.5e-9, 195.3125e-6, 7.8125e-3
#: VBUSCT, VSHCT and VTCT; AVG (table 7-6)
CONVERSION_NS = (50_000, 84_000, 150_000, 280_000, 540_000, 1_052_000, 2_074_000, 4_120_000)
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
_FULL = 1 << 19
#: where the accumulators roll over, in LSB of power and of current times nanoseconds
_ENERGY_END, _CHARGE_END = 16_000_000_000 << 40, 1_000_000_000 << 39


class Ina228(RegisterTarget):
    """INA228 at register level; ``shunt`` is the shunt resistor in ohm."""

    MAP = RegisterMap(
        (
            Register(
                *(CONFIG, "CONFIG", 0, 0xFFF0, 0, RESET | RESET_ACCUMULATORS), unmodelled=0x3FC0
            ),
            Register(ADC_CONFIG, "ADC_CONFIG", 0xFB68),
            Register(SHUNT_CAL, "SHUNT_CAL", 0x1000, writable=0x7FFF),
            Register(SHUNT_TEMPCO, "SHUNT_TEMPCO", writable=0x3FFF),
            ro(VSHUNT, "VSHUNT", width=24),
            ro(VBUS, "VBUS", width=24),
            ro(DIETEMP, "DIETEMP"),
            ro(CURRENT, "CURRENT", width=24),
            ro(POWER, "POWER", width=24),
            ro(ENERGY, "ENERGY", width=40),
            ro(CHARGE, "CHARGE", width=40),
            Register(DIAG, "DIAG_ALRT", 0x0001, writable=0xF000, unmodelled=0x7000),
            Register(SOVL, "SOVL", 0x7FFF),
            Register(SUVL, "SUVL", 0x8000),
            Register(BOVL, "BOVL", 0x7FFF, writable=0x7FFF),
            Register(BUVL, "BUVL", 0x0000, writable=0x7FFF),
            Register(TEMP_LIMIT, "TEMP_LIMIT", 0x7FFF),
            Register(PWR_LIMIT, "PWR_LIMIT", 0xFFFF),
            ro(0x3E, "MANUFACTURER_ID", 0x5449),
            ro(0x3F, "DEVICE_ID", 0x2281),
        ),
        width=16,
        increment=False,
        size=64,
    )
    # For 10 mohm; each part has its own current range.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "bus_v": Quantity("V", 0.0, 85.0, BUS_LSB_V),
        "current_a": Quantity("A", -16.384, 16.384, SHUNT_LSB_V / 0.01),
        "temperature_c": Quantity("degC", -40.0, 125.0, TEMPERATURE_LSB_C),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {"shunt": Param("ohm", 0.01)}
    #: pins A1 and A0, each at GND, VS, SDA, SCL (table 7-2)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x40, 0x50))
    GUIDE: ClassVar[Guide] = Guide(
        identity=("MANUFACTURER_ID", "DEVICE_ID"),
        fields={
            "CONFIG": "RST 15, RSTACC 14, CONVDLY 13:6, TEMPCOMP 5, ADCRANGE 4",
            "ADC_CONFIG": "MODE 15:12, VBUSCT 11:9, VSHCT 8:6, VTCT 5:3, AVG 2:0",
            "DIAG_ALRT": "LATCH 15, CNVR 14, SLOW 13, POL 12, ENERGYOF 11, CHARGEOF 10, MATHOF 9, "
            "TMPOL 7, SHNTOL 6, SHNTUL 5, BUSOL 4, BUSUL 3, POL_F 2, CNVRF 1, MEMSTAT 0",
        },
        readings={
            "bus_v": Reading("VBUS", BUS_LSB_V, shift=4),
            "current_a": Reading("VSHUNT", SHUNT_LSB_V, shift=4, per="shunt"),
            "temperature_c": Reading("DIETEMP", TEMPERATURE_LSB_C),
        },
    )

    def __init__(self, name: str, seed: int = 0, shunt: float = 0.01) -> None:
        super().__init__(name, seed)
        check_limits(name, {"shunt": (shunt, 1e-6, 1e3)})
        self.shunt = shunt
        full_a = 0.16384 / shunt
        current = Quantity("A", -full_a, full_a, SHUNT_LSB_V / shunt)
        self.QUANTITIES = {**Ina228.QUANTITIES, "current_a": current}  # type: ignore[misc]
        self.values = {"bus_v": 0.0, "current_a": 0.0, "temperature_c": 25.0}
        self._converter = Converter()
        self._reset(0)

    def _reset(self, t_ns: int) -> None:
        self.file.reset()
        self._energy = self._charge = 0  # in power or current LSB times nanoseconds
        self._configure(t_ns)

    def _configure(self, t_ns: int) -> None:
        """Start over with ADC_CONFIG (section 7.6.1.2)."""
        config = self.file.values[ADC_CONFIG]
        mode = config >> 12
        # bus, shunt, temperature: bits of the mode 0, 1, 2
        time_ns = sum(
            CONVERSION_NS[config >> shift & 7] for n, shift in enumerate((9, 6, 3)) if mode >> n & 1
        )
        time_ns *= AVERAGES[config & 7]
        self.file.values[DIAG] &= ~CNVRF
        if not time_ns:
            self._converter.stop()
        elif mode & 8:
            self._converter.start(t_ns, time_ns)
        else:
            self._converter.once(t_ns, time_ns, self.values)

    def refresh(self, t_ns: int) -> None:
        """Latch the outputs if a cycle has ended since the last access."""
        cycles = self._converter.ended(t_ns)
        if cycles:
            self._latch(self._converter.held or self.values)
            if self._converter.period_ns:
                self._accumulate(cycles * self._converter.period_ns)

    def _latch(self, inputs: Mapping[str, float]) -> None:
        values = self.file.values
        mode = values[ADC_CONFIG] >> 12
        if mode & 1:
            values[VBUS] = clamp(round(inputs["bus_v"] / BUS_LSB_V), 0, _FULL - 1) << 4
        if mode & 2:
            lsb_v = SHUNT_LSB_V / 4 if values[CONFIG] & ADCRANGE else SHUNT_LSB_V
            counts = round(inputs["current_a"] * self.shunt / lsb_v)
            values[VSHUNT] = (clamp(counts, -_FULL, _FULL - 1) << 4) & 0xFFFFFF
        if mode & 4:
            counts = round(inputs["temperature_c"] / TEMPERATURE_LSB_C)
            values[DIETEMP] = clamp(counts, -0x8000, 0x7FFF) & 0xFFFF
        self._compute()

    def _compute(self) -> None:
        """Section 8.1.2: with SHUNT_CAL 4096 a step of current is one of shunt voltage."""
        values = self.file.values
        shunt, calibration = signed(values[VSHUNT], 24) >> 4, values[SHUNT_CAL]
        if values[CONFIG] & TEMPCOMP:
            # Section 7.3.6: the shunt grows by SHUNT_TEMPCO ppm/degC from 25 degC.
            warmer = signed(values[DIETEMP]) - 3200
            shunt = shunt * 128_000_000 // (128_000_000 + warmer * values[SHUNT_TEMPCO])
        current = shunt * 4096 // calibration if calibration else 0
        power = abs(current) * (values[VBUS] >> 4) >> 14
        fits = -_FULL <= current < _FULL and power < 1 << 24
        values[CURRENT] = (clamp(current, -_FULL, _FULL - 1) << 4) & 0xFFFFFF
        values[POWER] = min(power, 0xFFFFFF)
        self._flags(0 if fits else MATHOF)

    def _flags(self, raised: int) -> None:
        """Compare with the limits (sections 7.6.1.12 to 7.6.1.18)."""
        values = self.file.values
        shunt, bus = signed(values[VSHUNT], 24) >> 8, values[VBUS] >> 8
        for bit, over in (
            (7, signed(values[DIETEMP]) > signed(values[TEMP_LIMIT])),
            (6, shunt > signed(values[SOVL])),
            (5, shunt < signed(values[SUVL])),
            (4, bus > values[BOVL]),
            (3, bus < values[BUVL]),
            (2, values[POWER] >> 8 > values[PWR_LIMIT]),
        ):
            raised |= over << bit
        keep = 0xFFFF if values[DIAG] & LATCH else ~(LIMIT_FLAGS | MATHOF)
        values[DIAG] = values[DIAG] & keep | raised | CNVRF

    def _accumulate(self, time_ns: int) -> None:
        """Section 7.3.2: ENERGY counts 16 power LSB seconds, CHARGE current LSB seconds."""
        values = self.file.values
        self._energy += values[POWER] * time_ns
        self._charge += (signed(values[CURRENT], 24) >> 4) * time_ns
        if self._energy >= _ENERGY_END:
            self._energy %= _ENERGY_END
            values[DIAG] |= ENERGYOF
        if not -_CHARGE_END <= self._charge < _CHARGE_END:
            self._charge = (self._charge + _CHARGE_END) % (2 * _CHARGE_END) - _CHARGE_END
            values[DIAG] |= CHARGEOF
        values[ENERGY] = self._energy // 16_000_000_000
        values[CHARGE] = self._charge // 1_000_000_000 & (1 << 40) - 1

    # Side effects of the bus --------------------------------------------------------------------

    def on_read(self, t_ns: int, address: int) -> None:
        """DIAG_ALRT clears what it latched; the accumulators clear their overflow."""
        values = self.file.values
        if address == DIAG:
            values[DIAG] &= ~(CNVRF | (LIMIT_FLAGS if values[DIAG] & LATCH else 0))
        elif address == ENERGY:
            values[DIAG] &= ~ENERGYOF
        elif address == CHARGE:
            values[DIAG] &= ~CHARGEOF

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """ADC_CONFIG starts over, CONFIG can reset the part or its accumulators."""
        if address == CONFIG and value & RESET:
            self._reset(t_ns)
        elif address == CONFIG and value & RESET_ACCUMULATORS:
            self._energy = self._charge = 0
            self.file.values[ENERGY] = self.file.values[CHARGE] = 0
            self.file.values[DIAG] &= ~(ENERGYOF | CHARGEOF)
        elif address in (CONFIG, ADC_CONFIG):
            self._configure(t_ns)
