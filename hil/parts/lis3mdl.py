"""STMicroelectronics LIS3MDL: three axes of magnetic flux density to 16 gauss, temperature.

Source: data sheet DocID024204 Rev 6, sections 2 (sensitivity, noise), 5 (I2C), 7 (registers). Noise
is the 3.2 and 4.1 mG that table 3 states for ultra-high performance, in every mode.

A burst goes round in the six output registers and never reaches the temperature, as parts on boards
do (PX4-Autopilot issue 12514); nor does the part mind the top bit of the address that section 5.1.1
asks for, which drivers in wide use leave out.

Not modelled (touches are counted): interrupt generator and pins, self-test, SPI, block data update
between separate reads, FAST_READ, offset and sensitivity tolerance, heating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import PEAK, Counts, Noise

CTRL1, CTRL2, CTRL3, CTRL4, STATUS, OUT, TEMP = 0x20, 0x21, 0x22, 0x23, 0x27, 0x28, 0x2E
TEMP_EN, SOFT_RESET, LOW_POWER, BIG_ENDIAN = 0x80, 0x04, 0x20, 0x02
CONTINUOUS, SINGLE, POWER_DOWN = 0, 1, 3
GAUSS_T = 1e-4
#: LSB per gauss by FS, and the slowest rate by OM with FAST_ODR
LSB_PER_GAUSS = (6842.0, 3421.0, 2281.0, 1711.0)
FAST_NS = (1_000_000, 1_785_714, 3_333_333, 6_451_613)
SLOWEST_NS = 1_600_000_000
NOISE_GAUSS = (3.2e-3, 3.2e-3, 4.1e-3)
AXES = ("mag_x_t", "mag_y_t", "mag_z_t")


class Lis3mdl(RegisterTarget):
    """LIS3MDL at register level."""

    MAP = RegisterMap(
        (
            ro(0x0F, "WHO_AM_I", 0x3D),
            Register(CTRL1, "CTRL_REG1", 0x10, unmodelled=0x01),
            Register(CTRL2, "CTRL_REG2", 0x00, 0x6C, clearing=0x0C),
            Register(CTRL3, "CTRL_REG3", 0x03, 0x27, unmodelled=0x04),
            Register(CTRL4, "CTRL_REG4", 0x00, 0x0E),
            Register(0x24, "CTRL_REG5", 0x00, 0xC0, unmodelled=0xC0),
            ro(STATUS, "STATUS_REG"),
            *(ro(OUT + n, f"OUT_{n}") for n in range(6)),
            ro(TEMP, "TEMP_OUT_L"),
            ro(TEMP + 1, "TEMP_OUT_H"),
            Register(0x30, "INT_CFG", 0xE8, unmodelled=0xFF),
            ro(0x31, "INT_SRC"),
            Register(0x32, "INT_THS_L", unmodelled=0xFF),
            Register(0x33, "INT_THS_H", unmodelled=0x7F),
        ),
        size=128,
    )
    # Epsilon: in the widest full scale.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{
            axis: Quantity("T", -16e-4, 16e-4, (PEAK * sigma + 0.5 / 1711) * GAUSS_T)
            for axis, sigma in zip(AXES, NOISE_GAUSS, strict=True)
        },
        "temperature_c": Quantity("degC", -40.0, 85.0, 1 / 16),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pin SDO/SA1 low or high (section 5.1.1)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x1C, 0x1E)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("WHO_AM_I",),
        fields={
            "CTRL_REG1": "TEMP_EN 7, OM 6:5, DO 4:2, FAST_ODR 1, ST 0",
            "CTRL_REG2": "FS 6:5, REBOOT 3, SOFT_RST 2",
            "CTRL_REG3": "LP 5, SIM 2, MD 1:0",
            "CTRL_REG4": "OMZ 3:2, BLE 1",
            "STATUS_REG": "ZYXOR 7, ZOR 6, YOR 5, XOR 4, ZYXDA 3, ZDA 2, YDA 1, XDA 0",
        },
        readings={
            **{
                name: Reading(
                    f"OUT_{2 * axis}",
                    tuple(GAUSS_T / lsb for lsb in LSB_PER_GAUSS),
                    nbytes=2,
                    order="little",
                    by="CTRL_REG2.FS",
                )
                for axis, name in enumerate(AXES)
            },
            "temperature_c": Reading("TEMP_OUT_L", 1 / 8, 25.0, nbytes=2, order="little"),
        },
        # temperature, ultra-high performance, 10 Hz, 16 gauss, continuous
        setup=(("CTRL_REG1", 0xF0), ("CTRL_REG2", 0x60), ("CTRL_REG3", 0x00)),
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.file.after[OUT + 5] = OUT
        self.values = {**dict.fromkeys(AXES, 0.0), "temperature_c": 25.0}
        self.counts = Counts()
        self._noise = Noise(seed, f"{name}/noise", 3)
        self._converter = Converter()
        self._index = 0

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "saturated": self.counts.saturated}

    def _period_ns(self) -> int:
        """Return the time between samples (table 17 to 20)."""
        one = self.file.values[CTRL1]
        if self.file.values[CTRL3] & LOW_POWER:
            return SLOWEST_NS
        return FAST_NS[one >> 5 & 3] if one & 2 else SLOWEST_NS >> (one >> 2 & 7)

    def refresh(self, t_ns: int) -> None:
        """Take the samples that fell due since the last access."""
        done = self._converter.ended(t_ns)
        if not done:
            return
        values = self.file.values
        self._index += done
        draws = self._noise.row(self._index)
        per_gauss = LSB_PER_GAUSS[values[CTRL2] >> 5 & 3]
        order = "big" if values[CTRL4] & BIG_ENDIAN else "little"
        inputs = self._converter.held or self.values
        for axis, name in enumerate(AXES):
            gauss = inputs[name] / GAUSS_T + draws[axis] * NOISE_GAUSS[axis]
            word = self.counts(gauss * per_gauss) & 0xFFFF
            at = OUT + 2 * axis
            values[at : at + 2] = word.to_bytes(2, order)  # type: ignore[arg-type]
        if values[CTRL1] & TEMP_EN:
            word = self.counts((inputs["temperature_c"] - 25) * 8) & 0xFFFF
            values[TEMP : TEMP + 2] = word.to_bytes(2, "little")
        overrun = values[STATUS] & 0x07 if done == 1 else 0x07
        values[STATUS] = 0x0F | overrun << 4 | (0x80 if overrun else 0)
        if self._converter.held is not None:
            values[CTRL3] |= POWER_DOWN  # section 7.4: idle after a single conversion

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading the second octet of an axis clears its flags."""
        axis, second = divmod(address - OUT, 2)
        if 0 <= axis < 3 and second:
            self.file.values[STATUS] &= ~(0x88 | 0x11 << axis)

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on reset, mode and rate."""
        if address == CTRL2 and value & SOFT_RESET:
            self.file.reset()
        if address not in (CTRL1, CTRL2, CTRL3):
            return
        mode = self.file.values[CTRL3] & 3
        self._converter.stop()
        if mode == CONTINUOUS:
            self._converter.start(t_ns, self._period_ns())
        elif mode == SINGLE and address == CTRL3:
            self._converter.once(t_ns, FAST_NS[self.file.values[CTRL1] >> 5 & 3], self.values)

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Set the pointer, without its top bit, and write what follows."""
        if data:
            data = bytes((data[0] & 0x7F,)) + data[1:]
        return super().i2c_write(t_ns, data)
