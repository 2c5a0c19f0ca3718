"""InvenSense MPU-6050: three axes of angular rate and of acceleration, temperature, FIFO.

Sources: product specification PS-MPU-6000A-00 Rev 3.4, section 6 (sensitivity, noise); register map
RM-MPU-6000A-00 Rev 4.2, section 4.

A sample is a function of its index on the part's grid: the input plus noise of the stated density
over the bandwidth of the low-pass filter, rounded to an LSB. Temperature has no noise. A burst read
is atomic. The part wakes up asleep; asleep, its outputs stand still.

Not modelled (touches are counted): the auxiliary I2C controller, external frame synchronisation,
self-test, the motion processor and its memory, high-pass filter and motion detection, the interrupt
pin (its flags are), clock sources and their accuracy, the shape and delay of the filter, start-up
time, offsets and sensitivity tolerance.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.guide import Guide, Reading, axes
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import STANDARD_GRAVITY, Counts, Fifo, Noise, peak

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG = 0x19, 0x1A, 0x1B, 0x1C
FIFO_EN, INT_PIN_CFG, INT_STATUS, OUT = 0x23, 0x37, 0x3A, 0x3B
SIGNAL_PATH_RESET, USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x68, 0x6A, 0x6B, 0x6C
FIFO_COUNT, FIFO_R_W = 0x72, 0x74
DEVICE_RESET, SLEEP, CYCLE, TEMP_DIS = 0x80, 0x40, 0x20, 0x08
DATA_RDY, FIFO_OFLOW, INT_RD_CLEAR = 0x01, 0x10, 0x10

#: LSB per g and per degree per second, by full scale
ACCEL_LSB_PER_G = (16384.0, 8192.0, 4096.0, 2048.0)
GYRO_LSB_PER_DPS = (131.0, 65.5, 32.8, 16.4)
#: section 4.3: bandwidth by DLPF_CFG
ACCEL_HZ = (260, 184, 94, 44, 21, 10, 5, 260)
GYRO_HZ = (256, 188, 98, 42, 20, 10, 5, 256)
ACCEL_NOISE_G = 400e-6
GYRO_NOISE_DPS = 0.005
#: section 4.31: time between samples in cycle mode, by LP_WAKE_CTRL
CYCLE_NS = (800_000_000, 200_000_000, 50_000_000, 25_000_000)
ACCEL_NS = 1_000_000
GYRO_MAX_DPS = 32767 / 16.4

ACCELS = tuple(f"accel_{axis}_m_s2" for axis in "xyz")
GYROS = tuple(f"gyro_{axis}_rad_s" for axis in "xyz")
_TAGGED = (
    *((0x0D + n, f"SELF_TEST_{axis}") for n, axis in enumerate("XYZA")),
    *((0x24 + n, f"I2C_MST_{n}") for n in range(0x13)),
    *((0x49 + n, f"EXT_SENS_DATA_{n:02d}") for n in range(24)),
    *((0x63 + n, f"I2C_SLV{n}_DO") for n in range(4)),
    (0x67, "I2C_MST_DELAY_CTRL"),
    (0x6D, "BANK_SEL"),
    (0x6F, "MEM_R_W"),
)
#: SI a count, by full scale
_GYRO_SCALES = tuple(math.radians(1 / lsb) for lsb in GYRO_LSB_PER_DPS)
_ACCEL_SCALES = tuple(STANDARD_GRAVITY / lsb for lsb in ACCEL_LSB_PER_G)


class Mpu6050(RegisterTarget):
    """MPU-6050 at register level."""

    MAP = RegisterMap(
        (
            Register(SMPLRT_DIV, "SMPLRT_DIV"),
            Register(CONFIG, "CONFIG", writable=0x3F, unmodelled=0x38),
            Register(GYRO_CONFIG, "GYRO_CONFIG", writable=0xF8, unmodelled=0xE0),
            Register(ACCEL_CONFIG, "ACCEL_CONFIG", unmodelled=0xE7),
            Register(FIFO_EN, "FIFO_EN", unmodelled=0x07),
            Register(INT_PIN_CFG, "INT_PIN_CFG", writable=0xFE, unmodelled=0xEE),
            Register(0x38, "INT_ENABLE", writable=0x59, unmodelled=0x59),
            ro(INT_STATUS, "INT_STATUS"),
            *(ro(OUT + n, f"OUT_{n:X}") for n in range(14)),
            Register(SIGNAL_PATH_RESET, "SIGNAL_PATH_RESET", clearing=0xFF),
            Register(USER_CTRL, "USER_CTRL", writable=0x77, clearing=0x07, unmodelled=0x32),
            Register(PWR_MGMT_1, "PWR_MGMT_1", SLEEP, 0xEF, 0, DEVICE_RESET, unmodelled=0x07),
            Register(PWR_MGMT_2, "PWR_MGMT_2"),
            ro(FIFO_COUNT, "FIFO_COUNTH"),
            ro(FIFO_COUNT + 1, "FIFO_COUNTL"),
            Register(FIFO_R_W, "FIFO_R_W"),
            ro(0x75, "WHO_AM_I", 0x68),
        ),
        tagged=_TAGGED,
        size=128,
    )
    # Epsilon: with the widest filter and in any full scale that holds the value.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{
            name: Quantity(
                "rad/s",
                -math.radians(GYRO_MAX_DPS),
                math.radians(GYRO_MAX_DPS),
                math.radians(peak(GYRO_NOISE_DPS, 256, 1 / 16.4)),
            )
            for name in GYROS
        },
        **{
            name: Quantity(
                "m/s2",
                -16 * STANDARD_GRAVITY,
                16 * STANDARD_GRAVITY,
                peak(ACCEL_NOISE_G, 260, 2 / 2048) * STANDARD_GRAVITY,
            )
            for name in ACCELS
        },
        "temperature_c": Quantity("degC", -40.0, 85.0, 0.5 / 340 + 1e-9),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pin AD0 low or high (section 9.2)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x68, 0x69)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("WHO_AM_I",),
        fields={
            "CONFIG": "EXT_SYNC 5:3, DLPF 2:0",
            "GYRO_CONFIG": "ST 7:5, FS_SEL 4:3",
            "ACCEL_CONFIG": "ST 7:5, AFS_SEL 4:3, HPF 2:0",
            "INT_STATUS": "FIFO_OFLOW 4, I2C_MST 3, DATA_RDY 0",
            "USER_CTRL": "FIFO_EN 6, I2C_MST_EN 5, FIFO_RESET 2, I2C_MST_RESET 1, SIG_RESET 0",
            "PWR_MGMT_1": "RESET 7, SLEEP 6, CYCLE 5, TEMP_DIS 3, CLKSEL 2:0",
        },
        readings={
            "temperature_c": Reading("OUT_6", 1 / 340, 36.53, nbytes=2),
            **axes(GYROS, 8, _GYRO_SCALES, "GYRO_CONFIG.FS_SEL"),
            **axes(
                ACCELS,
                0,
                _ACCEL_SCALES,
                "ACCEL_CONFIG.AFS_SEL",
            ),
        },
        # awake, in the widest full scales
        setup=(("PWR_MGMT_1", 0), ("GYRO_CONFIG", 0x18), ("ACCEL_CONFIG", 0x18)),
        careful={"FIFO_R_W": "it is the FIFO"},
        consumed=("FIFO_R_W",),
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {**dict.fromkeys(self.QUANTITIES, 0.0), "temperature_c": 25.0}
        self.file.after[FIFO_R_W] = FIFO_R_W
        self.counts = Counts()
        self.fifo = Fifo(1024)
        self._noise = Noise(seed, f"{name}/noise", 6)
        self._configure(0)

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        lost = {"saturated": self.counts.saturated, "fifo_lost": self.fifo.lost}
        return {**super().snapshot(), **lost}

    def _configure(self, t_ns: int) -> None:
        """Take the sample period from the registers; the grid of a new one starts at zero."""
        values = self.file.values
        base_ns = 125_000 if values[CONFIG] & 7 in (0, 7) else 1_000_000
        self._period_ns = base_ns * (1 + values[SMPLRT_DIV])
        self._cycling = bool(values[PWR_MGMT_1] & CYCLE)
        if self._cycling:
            self._period_ns = CYCLE_NS[values[PWR_MGMT_2] >> 6]
        self._index = t_ns // self._period_ns

    def refresh(self, t_ns: int) -> None:
        """Take the samples that fell due since the last access."""
        index = t_ns // self._period_ns
        values = self.file.values
        if index <= self._index:
            return
        first, self._index = self._index + 1, index
        if values[PWR_MGMT_1] & SLEEP:
            return
        queued = values[FIFO_EN] & 0xF8 if values[USER_CTRL] & 0x40 else 0
        if queued:
            # The FIFO holds no more than so many records, whatever came before them.
            for each in range(max(first, index - self.fifo.size // 2), index):
                self._sample(each)
                self._queue(queued)
        self._sample(index)
        values[INT_STATUS] |= DATA_RDY
        if queued:
            self._queue(queued)
        self._show_fifo()

    def _sample(self, index: int) -> None:
        """Set the output registers to the sample of this index."""
        values, inputs = self.file.values, self.values
        draws = self._noise.row(index)
        slow = draws
        if self._period_ns < ACCEL_NS:  # section 4.2: above 1 kHz acceleration repeats
            slow = self._noise.row(index * self._period_ns // ACCEL_NS)
        dlpf, standby = values[CONFIG] & 7, values[PWR_MGMT_2]
        per_g = ACCEL_LSB_PER_G[values[ACCEL_CONFIG] >> 3 & 3]
        per_dps = GYRO_LSB_PER_DPS[values[GYRO_CONFIG] >> 3 & 3]
        old = struct.unpack(">7h", bytes(values[OUT : OUT + 14]))
        new = list(old)
        sigma = ACCEL_NOISE_G * math.sqrt(ACCEL_HZ[dlpf]) * per_g
        for axis, name in enumerate(ACCELS):
            if not standby & 0x20 >> axis:
                lsb = inputs[name] / STANDARD_GRAVITY * per_g
                new[axis] = self.counts(lsb + slow[axis] * sigma)
        if not values[PWR_MGMT_1] & TEMP_DIS:
            new[3] = self.counts((inputs["temperature_c"] - 36.53) * 340)
        sigma = GYRO_NOISE_DPS * math.sqrt(GYRO_HZ[dlpf]) * per_dps
        for axis, name in enumerate(GYROS):
            if not standby & 4 >> axis and not self._cycling:
                lsb = math.degrees(inputs[name]) * per_dps
                new[4 + axis] = self.counts(lsb + draws[3 + axis] * sigma)
        values[OUT : OUT + 14] = struct.pack(">7h", *new)

    # FIFO ---------------------------------------------------------------------------------------

    def _queue(self, enabled: int) -> None:
        """Append what FIFO_EN names, in the order of the registers (section 4.29)."""
        out = self.file.values[OUT : OUT + 14]
        record = out[:6] if enabled & 0x08 else []
        for bit, at in ((0x80, 6), (0x40, 8), (0x20, 10), (0x10, 12)):
            if enabled & bit:
                record += out[at : at + 2]
        if self.fifo.push(record):
            self.file.values[INT_STATUS] |= FIFO_OFLOW

    def _show_fifo(self) -> None:
        values = self.file.values
        values[FIFO_COUNT], values[FIFO_COUNT + 1] = divmod(len(self.fifo), 256)
        values[FIFO_R_W] = self.fifo.head

    # Side effects of the bus --------------------------------------------------------------------

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading takes an octet from the FIFO, and clears the flags (section 4.14)."""
        if address == FIFO_R_W:
            self.fifo.pop()
            self._show_fifo()
        if address == INT_STATUS or self.file.values[INT_PIN_CFG] & INT_RD_CLEAR:
            self.file.values[INT_STATUS] = 0

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on resets, rates and power."""
        values = self.file.values
        if address == PWR_MGMT_1 and value & DEVICE_RESET:
            self.file.reset()
            self.fifo.clear()
        elif address == USER_CTRL:
            if value & 0x04:
                self.fifo.clear()
            if value & 0x01:  # SIG_COND_RESET also clears the outputs
                values[OUT : OUT + 14] = bytes(14)
        elif address == FIFO_R_W:
            self.fifo.push((value,))
        self._show_fifo()
        if address in (SMPLRT_DIV, CONFIG, PWR_MGMT_1, PWR_MGMT_2):
            self._configure(t_ns)
