"""MEMSIC MMC5603NJ: three axes of magnetic flux density to 30 gauss, 20 bits, temperature.

Source: data sheet MMC5603NJ Rev B (formal release 2020), sections "Specifications", "Register map",
"Operation". The control registers can only be written and read 0. Noise is the 2 mG that is stated,
at every bandwidth.

Not modelled (touches are counted): the polarity and offset that SET and RESET act upon (a field
reads as it is, after either), periodic SET, self-test and its thresholds, inhibited axes, the
interrupt, I3C, output rates above what a bandwidth can do (the measurement time holds).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import PEAK, Counts, Noise

OUT, TEMP, STATUS, ODR, CTRL0, CTRL1, CTRL2 = 0x00, 0x09, 0x18, 0x1A, 0x1B, 0x1C, 0x1D
T_DONE, M_DONE, SATURATED, OTP_DONE = 0x80, 0x40, 0x20, 0x10
FREQUENCY_EN, TAKE_T, TAKE_M = 0x80, 0x02, 0x01
RESET, HIGH_POWER, CONTINUOUS = 0x80, 0x80, 0x10
#: measurement time by BW
MEASURE_NS = (6_600_000, 3_500_000, 2_000_000, 1_200_000)
LSB_PER_GAUSS, NULL = 16384.0, 1 << 19
GAUSS_T, NOISE_GAUSS, LIMIT_T = 1e-4, 2e-3, 30e-4
AXES = ("mag_x_t", "mag_y_t", "mag_z_t")


class Mmc5603(RegisterTarget):
    """MMC5603NJ at register level."""

    MAP = RegisterMap(
        (
            *(ro(OUT + n, f"OUT_{n}") for n in range(9)),
            ro(TEMP, "TOUT"),
            ro(STATUS, "STATUS1", OTP_DONE),
            Register(ODR, "ODR", clearing=0xFF),
            Register(CTRL0, "CONTROL_0", clearing=0xFF, unmodelled=0x7C),
            Register(CTRL1, "CONTROL_1", clearing=0xFF, unmodelled=0x7C),
            Register(CTRL2, "CONTROL_2", clearing=0xFF, unmodelled=0x6F),
            ro(0x39, "PRODUCT_ID", 0x10),
        ),
        size=64,
        tagged=(
            *((0x1E + n, f"ST_{axis}_TH") for n, axis in enumerate("XYZ")),
            *((0x27 + n, f"ST_{axis}") for n, axis in enumerate("XYZ")),
        ),
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{
            axis: Quantity(
                "T", -LIMIT_T, LIMIT_T, (PEAK * NOISE_GAUSS + 0.5 / LSB_PER_GAUSS) * GAUSS_T
            )
            for axis in AXES
        },
        "temperature_c": Quantity("degC", -40.0, 85.0, 0.4 + 1e-9),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x30,)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("PRODUCT_ID",),
        fields={"STATUS1": "T_DONE 7, M_DONE 6, SAT 5, OTP_DONE 4"},
        note="write CONTROL_0 1 (field) or 2 (temperature), then read OUT_0 to OUT_8 or TOUT",
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {**dict.fromkeys(AXES, 0.0), "temperature_c": 25.0}
        self.counts = Counts()
        self._noise = Noise(seed, f"{name}/noise", 3)
        self._field, self._heat = Converter(), Converter()
        self._index = 0
        self._control = dict.fromkeys((ODR, CTRL1, CTRL2), 0)
        self._period_ns = 0  # set by FREQUENCY_EN

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "saturated": self.counts.saturated}

    def refresh(self, t_ns: int) -> None:
        """Latch the measurements that ended since the last access."""
        values = self.file.values
        if done := self._field.ended(t_ns):
            self._index += done
            self._latch(self._field.held or self.values)
            values[STATUS] |= M_DONE
        if self._heat.ended(t_ns):
            assert self._heat.held is not None, "temperature is measured once at a time"
            values[TEMP] = self.counts((self._heat.held["temperature_c"] + 75) / 0.8, 0, 0xFF)
            values[STATUS] |= T_DONE

    def _latch(self, inputs: Mapping[str, float]) -> None:
        """Set the outputs: 16 bits of each axis, then the low four of each."""
        values = self.file.values
        draws = self._noise.row(self._index)
        before = self.counts.saturated
        for axis, name in enumerate(AXES):
            gauss = inputs[name] / GAUSS_T + draws[axis] * NOISE_GAUSS
            word = self.counts(gauss * LSB_PER_GAUSS, -NULL, NULL - 1) + NULL
            values[OUT + 2 * axis] = word >> 12
            values[OUT + 2 * axis + 1] = word >> 4 & 0xFF
            values[OUT + 6 + axis] = (word & 0xF) << 4
        values[STATUS] &= ~SATURATED
        if self.counts.saturated > before:
            values[STATUS] |= SATURATED

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on what was written; the registers read 0."""
        if address not in (ODR, CTRL0, CTRL1, CTRL2):
            return
        if address == CTRL1 and value & RESET:
            self.file.reset()
            self._control = dict.fromkeys(self._control, 0)
            self._field.stop()
            self._heat.stop()
            self._period_ns = 0
            return
        if address != CTRL0:
            self._control[address] = value
        measure_ns = MEASURE_NS[self._control[CTRL1] & 3]
        values = self.file.values
        if address == CTRL0:
            rate = self._control[ODR]
            if value & FREQUENCY_EN and rate:
                hz = 1000 if self._control[CTRL2] & HIGH_POWER and rate == 0xFF else rate
                self._period_ns = max(1_000_000_000 // hz, measure_ns)
            if value & TAKE_M:
                values[STATUS] &= ~M_DONE
                self._field.once(t_ns, measure_ns, self.values)
            if value & TAKE_T:
                values[STATUS] &= ~T_DONE
                self._heat.once(t_ns, measure_ns, self.values)
        elif address == CTRL2:
            self._field.stop()
            if value & CONTINUOUS and self._period_ns:
                self._field.start(t_ns, self._period_ns, measure_ns)
