"""TDK InvenSense ICM-20948: angular rate, acceleration, temperature, and an AK09916 magnetometer.

Source: data sheet DS-000189 Rev 1.3, sections 3 (sensitivity, noise), 5 (auxiliary controller), 7
to 11 (registers of four banks). The magnetometer sits behind the auxiliary I2C controller: it is
read into EXT_SLV_SENS_DATA, or with BYPASS_EN directly, at its own address on the main bus.

A sample is a function of its index on the grid of its sensor: the input plus noise of the stated
density over the noise bandwidth of the filter, rounded to an LSB. Both grids are of 1125 Hz (table
16 and 18; the text of GYRO_SMPLRT_DIV says 1.1 kHz). The magnetometer's axes are its own: y and z
point against those of the accelerometer (section 12.1).

Not modelled (touches are counted): FIFO, motion processor, wake on motion, self-test, user offsets,
interrupt pin (its flags are), frame synchronisation, low-power cycling and averaging of the two
sensors, SPI, clock sources, the shape and delay of the filters, start-up time.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts import ak09916, auxiliary_i2c
from hil.parts.ak09916 import Ak09916
from hil.parts.auxiliary_i2c import AuxiliaryI2C
from hil.parts.base import I2CTarget, Param, Quantity
from hil.parts.guide import Guide, Reading, axes
from hil.parts.registers import Register, RegisterFile, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import STANDARD_GRAVITY, Counts, Noise, peak

#: bank 0
USER_CTRL, LP_CONFIG, PWR_MGMT_1, PWR_MGMT_2, INT_PIN_CFG = 0x03, 0x05, 0x06, 0x07, 0x0F
MST_STATUS, INT_STATUS, INT_STATUS_1, OUT, EXTERNAL = 0x17, 0x19, 0x1A, 0x2D, 0x3B
BANK_SEL = 0x7F
#: bank 2
GYRO_DIV, GYRO_CONFIG, ACCEL_DIV, ACCEL_CONFIG = 0x00, 0x01, 0x10, 0x14
DEVICE_RESET, SLEEP, TEMP_DIS = 0x80, 0x40, 0x08
MST_EN, MST_RST, MST_CYCLE, BYPASS_EN, READ_CLEARS = 0x20, 0x02, 0x40, 0x02, 0x10
MAGNETOMETER = 0x0C

ACCEL_LSB_PER_G = (16384.0, 8192.0, 4096.0, 2048.0)
GYRO_LSB_PER_DPS = (131.0, 65.5, 32.8, 16.4)
GYRO_MAX_DPS = 32767 / 16.4
ACCEL_NOISE_G, GYRO_NOISE_DPS = 230e-6, 0.015
BASE_NS = 888_889
#: tables 16 and 18: noise bandwidth by DLPFCFG, and with FCHOICE 0 bandwidth and sample period
GYRO_HZ = (229.8, 187.6, 154.3, 73.3, 35.9, 17.8, 8.9, 376.5)
GYRO_OPEN = (12316.0, 111_111)
ACCEL_HZ = (265.0, 265.0, 136.0, 68.8, 34.4, 17.0, 8.3, 499.0)
ACCEL_OPEN = (1248.0, 222_222)

ACCELS = tuple(f"accel_{axis}_m_s2" for axis in "xyz")
GYROS = tuple(f"gyro_{axis}_rad_s" for axis in "xyz")
_SELECT = Register(BANK_SEL, "REG_BANK_SEL", writable=0x30)


def _slaves() -> list[Register]:
    rows = []
    for slave in range(4):
        base = auxiliary_i2c.SLAVE0 + 4 * slave
        for at, what in enumerate(("ADDR", "REG", "CTRL", "DO")):
            rows.append(Register(base + at, f"I2C_SLV{slave}_{what}"))
    return rows


BANKS = (
    RegisterMap(
        (
            ro(0x00, "WHO_AM_I", 0xEA),
            Register(USER_CTRL, "USER_CTRL", writable=0xFE, clearing=0x0E, unmodelled=0xDC),
            Register(LP_CONFIG, "LP_CONFIG", 0x40, 0x70, unmodelled=0x30),
            Register(PWR_MGMT_1, "PWR_MGMT_1", 0x41, 0xEF, clearing=0x80, unmodelled=0x27),
            Register(PWR_MGMT_2, "PWR_MGMT_2", writable=0x3F),
            Register(INT_PIN_CFG, "INT_PIN_CFG", writable=0xFE, unmodelled=0xEC),
            *(Register(0x10 + n, f"INT_ENABLE_{n}", unmodelled=0xFF) for n in range(4)),
            ro(MST_STATUS, "I2C_MST_STATUS"),
            ro(INT_STATUS, "INT_STATUS"),
            ro(INT_STATUS_1, "INT_STATUS_1"),
            *(ro(OUT + n, f"OUT_{n:X}") for n in range(14)),
            *(ro(EXTERNAL + n, f"EXT_SLV_SENS_DATA_{n:02d}") for n in range(24)),
            _SELECT,
        ),
        size=128,
    ),
    RegisterMap((_SELECT,), size=128),
    RegisterMap(
        (
            Register(GYRO_DIV, "GYRO_SMPLRT_DIV"),
            Register(GYRO_CONFIG, "GYRO_CONFIG_1", 0x01, 0x3F),
            Register(0x02, "GYRO_CONFIG_2", unmodelled=0x3F),
            Register(0x09, "ODR_ALIGN_EN", unmodelled=0x01),
            Register(ACCEL_DIV, "ACCEL_SMPLRT_DIV_1", writable=0x0F),
            Register(ACCEL_DIV + 1, "ACCEL_SMPLRT_DIV_2"),
            Register(ACCEL_CONFIG, "ACCEL_CONFIG", 0x01, 0x3F),
            Register(0x15, "ACCEL_CONFIG_2", unmodelled=0x1F),
            _SELECT,
        ),
        size=128,
    ),
    RegisterMap(
        (
            Register(auxiliary_i2c.ODR_CONFIG, "I2C_MST_ODR_CONFIG", writable=0x0F),
            Register(0x01, "I2C_MST_CTRL", writable=0x9F, unmodelled=0x9F),
            Register(auxiliary_i2c.DELAY_CTRL, "I2C_MST_DELAY_CTRL", unmodelled=0x80),
            *_slaves(),
            Register(0x13, "I2C_SLV4_ADDR"),
            Register(0x14, "I2C_SLV4_REG"),
            Register(0x15, "I2C_SLV4_CTRL"),
            Register(0x16, "I2C_SLV4_DO"),
            ro(0x17, "I2C_SLV4_DI"),
            _SELECT,
        ),
        size=128,
    ),
)
#: SI a count, by full scale
_GYRO_SCALES = tuple(math.radians(1 / lsb) for lsb in GYRO_LSB_PER_DPS)
_ACCEL_SCALES = tuple(STANDARD_GRAVITY / lsb for lsb in ACCEL_LSB_PER_G)


class Icm20948(RegisterTarget):
    """ICM-20948 at register level; ``bypass`` false: its auxiliary lines never reach the bus."""

    MAP = BANKS[0]
    # Epsilon: with the filters of the reset values and in any full scale that holds the value.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{
            name: Quantity(
                "rad/s",
                -math.radians(GYRO_MAX_DPS),
                math.radians(GYRO_MAX_DPS),
                math.radians(peak(GYRO_NOISE_DPS, GYRO_HZ[0], 1 / 16.4)),
            )
            for name in GYROS
        },
        **{
            name: Quantity(
                "m/s2",
                -16 * STANDARD_GRAVITY,
                16 * STANDARD_GRAVITY,
                peak(ACCEL_NOISE_G, ACCEL_HZ[0], 2 / 2048) * STANDARD_GRAVITY,
            )
            for name in ACCELS
        },
        **ak09916.QUANTITIES,
        "temperature_c": Quantity("degC", -40.0, 85.0, 0.5 / 333.87 + 1e-9),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {"bypass": Param(None, True)}
    #: pin AD0 low or high (section 6.2)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x68, 0x69)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("WHO_AM_I",),
        fields={
            "USER_CTRL": "DMP_EN 7, FIFO_EN 6, I2C_MST_EN 5, I2C_IF_DIS 4, DMP_RST 3, SRAM_RST 2, "
            "I2C_MST_RST 1",
            "PWR_MGMT_1": "RESET 7, SLEEP 6, LP_EN 5, TEMP_DIS 3, CLKSEL 2:0",
            "PWR_MGMT_2": "DISABLE_ACCEL 5:3, DISABLE_GYRO 2:0",
            "INT_PIN_CFG": "BYPASS_EN 1",
            "GYRO_CONFIG_1": "DLPF 5:3, FS_SEL 2:1, FCHOICE 0",
            "ACCEL_CONFIG": "DLPF 5:3, FS_SEL 2:1, FCHOICE 0",
            "REG_BANK_SEL": "BANK 5:4",
        },
        readings={
            "temperature_c": Reading("OUT_C", 1 / 333.87, 21.0, nbytes=2),
            **axes(
                GYROS,
                6,
                _GYRO_SCALES,
                "GYRO_CONFIG_1.FS_SEL",
            ),
            **axes(
                ACCELS,
                0,
                _ACCEL_SCALES,
                "ACCEL_CONFIG.FS_SEL",
            ),
        },
        setup=(("PWR_MGMT_1", 0x01), ("GYRO_CONFIG_1", 0x07), ("ACCEL_CONFIG", 0x07)),
        careful={"REG_BANK_SEL": "it shows other registers"},
        banks={number << 4: bank for number, bank in enumerate(BANKS)},
        bank_select="REG_BANK_SEL",
    )

    def __init__(self, name: str, seed: int = 0, bypass: bool = True) -> None:
        super().__init__(name, seed)
        self.banks = tuple(RegisterFile(bank) for bank in BANKS)
        self.file = self.banks[0]
        self.magnetometer = Ak09916(f"{name}/ak09916", seed)
        self.auxiliary = AuxiliaryI2C(self.banks[3].values, {MAGNETOMETER: self.magnetometer})
        self.i2c_also = {MAGNETOMETER: _Bypass(self)} if bypass else {}
        self.values = {**dict.fromkeys(self.QUANTITIES, 0.0), "temperature_c": 25.0}
        self.counts = Counts()
        self._noise = Noise(seed, f"{name}/accel", 3), Noise(seed, f"{name}/gyro", 3)
        self._index = [0, 0]
        self._configure(0)

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input; the next sample sees it."""
        super().set(quantity, value)
        if quantity in ak09916.QUANTITIES:
            self.magnetometer.values[quantity] = self.values[quantity]

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {
            **super().snapshot(),
            "saturated": self.counts.saturated + self.magnetometer.counts.saturated,
            "auxiliary_nacks": self.auxiliary.nacks,
            "magnetometer": dict(self.magnetometer.touched),
        }

    @property
    def bypassed(self) -> bool:
        """Whether the auxiliary lines are joined to the main bus (section 5.5)."""
        values = self.banks[0].values
        return bool(values[INT_PIN_CFG] & BYPASS_EN) and not values[USER_CTRL] & MST_EN

    def _configure(self, t_ns: int) -> None:
        """Take sample periods, scales and spreads from the registers."""
        own, two = self.banks[0].values, self.banks[2].values
        accel, gyro = two[ACCEL_CONFIG], two[GYRO_CONFIG]
        divider = (two[ACCEL_DIV] << 8 | two[ACCEL_DIV + 1]) & 0xFFF
        bandwidths = [ACCEL_HZ[accel >> 3 & 7], GYRO_HZ[gyro >> 3 & 7]]
        self._periods_ns = [(1 + divider) * BASE_NS, (1 + two[GYRO_DIV]) * BASE_NS]
        if not accel & 1:
            bandwidths[0], self._periods_ns[0] = ACCEL_OPEN
        if not gyro & 1:
            bandwidths[1], self._periods_ns[1] = GYRO_OPEN
        per_g, per_dps = ACCEL_LSB_PER_G[accel >> 1 & 3], GYRO_LSB_PER_DPS[gyro >> 1 & 3]
        self._lsb_per_unit = per_g / STANDARD_GRAVITY, math.degrees(1.0) * per_dps
        self._sigma = (
            ACCEL_NOISE_G * math.sqrt(bandwidths[0]) * per_g,
            GYRO_NOISE_DPS * math.sqrt(bandwidths[1]) * per_dps,
        )
        self._index = [t_ns // period_ns for period_ns in self._periods_ns]
        awake = own[PWR_MGMT_1] & SLEEP == 0
        period_ns = 0
        if own[USER_CTRL] & MST_EN and awake:
            cycled = own[LP_CONFIG] & MST_CYCLE or own[PWR_MGMT_2] == 0x3F
            samples_ns = self._periods_ns[own[PWR_MGMT_2] & 7 != 7]
            odr = self.banks[3].values[auxiliary_i2c.ODR_CONFIG]
            period_ns = auxiliary_i2c.BASE_NS << odr if cycled else samples_ns
        self.auxiliary.start(t_ns, period_ns)

    # Sampling -----------------------------------------------------------------------------------

    def refresh(self, t_ns: int) -> None:
        """Bring outputs, flags and what the auxiliary controller reads up to ``t_ns``."""
        values = self.banks[0].values
        self.auxiliary.run(t_ns)
        values[EXTERNAL : EXTERNAL + 24] = self.auxiliary.external
        values[MST_STATUS] |= self.auxiliary.status | (0x80 if self.bypassed else 0)
        values[INT_STATUS] |= self.auxiliary.interrupt
        self.auxiliary.status, self.auxiliary.interrupt = 0, False
        if values[PWR_MGMT_1] & SLEEP:
            return
        for sensor, names in enumerate((ACCELS, GYROS)):
            index = t_ns // self._periods_ns[sensor]
            if index > self._index[sensor]:
                self._index[sensor] = index
                self._sample(sensor, names, index)

    def _sample(self, sensor: int, names: tuple[str, ...], index: int) -> None:
        """Set the outputs of one sensor, and the temperature, to the sample of this index."""
        values = self.banks[0].values
        draws = self._noise[sensor].row(index)
        # DISABLE_ACCEL and DISABLE_GYRO have one code for all axes each.
        if values[PWR_MGMT_2] >> (0 if sensor else 3) & 7 != 7:
            for axis, name in enumerate(names):
                lsb = self.values[name] * self._lsb_per_unit[sensor]
                word = self.counts(lsb + draws[axis] * self._sigma[sensor])
                at = OUT + 6 * sensor + 2 * axis
                values[at : at + 2] = struct.pack(">h", word)
            values[INT_STATUS_1] = 1
        if not values[PWR_MGMT_1] & TEMP_DIS:
            word = self.counts((self.values["temperature_c"] - 21) * 333.87)
            values[OUT + 12 : OUT + 14] = struct.pack(">h", word)

    # Side effects of the bus --------------------------------------------------------------------

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading a status clears it; with INT_ANYRD_2CLEAR any read does."""
        own = self.banks[0]
        if self.file is not own:
            return
        if address in (MST_STATUS, INT_STATUS, INT_STATUS_1):
            own.values[address] = 0
        elif own.values[INT_PIN_CFG] & READ_CLEARS:
            own.values[INT_STATUS] = own.values[INT_STATUS_1] = 0

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on bank selection, resets, power, rates and scales."""
        own = self.banks[0]
        if address == BANK_SEL:
            for bank in self.banks:
                bank.values[BANK_SEL] = value & 0x30
            self.file = self.banks[value >> 4 & 3]
            return
        if self.file is own and address == PWR_MGMT_1 and value & DEVICE_RESET:
            for bank in self.banks:
                bank.reset()
            self.auxiliary.external[:] = bytes(24)
        if self.file is own and address == USER_CTRL and value & MST_RST:
            self.auxiliary.reset()
        if self.file in (own, self.banks[2], self.banks[3]):
            self._configure(t_ns)


class _Bypass:
    """The magnetometer as the main bus sees it: there only while the lines are joined."""

    def __init__(self, part: Icm20948) -> None:
        self._part = part
        self.name = part.magnetometer.name

    def _target(self) -> I2CTarget | None:
        return self._part.magnetometer if self._part.bypassed else None

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write to the magnetometer, or be absent."""
        target = self._target()
        return -1 if target is None else target.i2c_write(t_ns, data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read the magnetometer, or be absent."""
        target = self._target()
        return None if target is None else target.i2c_read(t_ns, nbytes)

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition: nothing waits for it."""
