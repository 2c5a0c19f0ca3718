"""STMicroelectronics LSM6DSOX: three axes of angular rate and of acceleration, temperature.

Sources: data sheet DS12814 Rev 3, table 2 (sensitivity, noise density), section 9 (registers);
application note AN5272 Rev 3, sections 3 (modes, rates), 4 (reading, block data update), 6.4
(timestamp). The rates are 6667 Hz divided by powers of two, and both sensors sample on one grid.

A sample is a function of its index on that grid: the physical input plus noise of the stated
density over half the rate, drawn by index, rounded to an LSB. How often a driver polls changes
nothing. A burst read is atomic: registers do not change inside one message.

Not modelled (touches are counted): FIFO, embedded functions, finite state machine and machine
learning core, sensor hub, OIS and I3C, interrupt pins, self-test, digital filters beyond the first
low-pass, low-power modes and their noise, user offset, start-up and settling time, zero-rate and
zero-g offset, sensitivity tolerance. Temperature carries no noise.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from hil.parts.base import Param, Quantity, stream
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro

FUNC_CFG_ACCESS, CTRL1_XL, CTRL2_G, CTRL3_C = 0x01, 0x10, 0x11, 0x12
CTRL6_C, CTRL8_XL, CTRL10_C, STATUS = 0x15, 0x17, 0x19, 0x1E
OUT_TEMP, OUT_G, OUT_A = 0x20, 0x22, 0x28
TIMESTAMP0, TIMESTAMP2 = 0x40, 0x42
IF_INC, BDU, TIMESTAMP_EN = 0x04, 0x40, 0x20

#: One sample at 6667 Hz, to the nanosecond; slower rates take every 2**n-th.
BASE_NS = 149_993
TEMPERATURE_SHIFT = 7  # 52 Hz
TIMESTAMP_LSB_NS = 25_000
STANDARD_GRAVITY = 9.80665
#: g per LSB by FS_XL: 2, 16, 4, 8 g
ACCEL_LSB_G = (0.061e-3, 0.488e-3, 0.122e-3, 0.244e-3)
#: g per root hertz by FS_XL, high-performance mode
ACCEL_NOISE_G = (70e-6, 110e-6, 75e-6, 80e-6)
#: degrees per second per LSB by FS_G: 250, 500, 1000, 2000; FS_125 comes last
GYRO_LSB_DPS = (8.75e-3, 17.5e-3, 35e-3, 70e-3, 4.375e-3)
GYRO_NOISE_DPS = 3.8e-3

#: samples of noise made at a time
BLOCK = 1024
#: Noise is the sum of the eight octets of a random word: bounded at 4.9 standard deviations,
#: exact in integers, and the same on every machine.
_NOISE_MEAN = 8 * 255 // 2
_NOISE_SIGMA = math.sqrt(8 * (256 * 256 - 1) / 12)
_PEAK = _NOISE_MEAN / _NOISE_SIGMA
#: fractional bits of the fixed-point sum of input and noise, in LSB
_FRACTION = 8

_PACK = struct.Struct("<6h").pack
_PACK3 = struct.Struct("<3h").pack
_BURST = bytes((OUT_G,))
_BURST_END = OUT_G + 12

Triple = tuple[int, int, int]

_TAGGED = (
    (0x07, "FIFO_CTRL1"),
    (0x08, "FIFO_CTRL2"),
    (0x09, "FIFO_CTRL3"),
    (0x0A, "FIFO_CTRL4"),
    (0x0D, "INT1_CTRL"),
    (0x0E, "INT2_CTRL"),
    (0x1A, "ALL_INT_SRC"),
    (0x35, "EMB_FUNC_STATUS_MAINPAGE"),
    (0x38, "MLC_STATUS_MAINPAGE"),
    (0x3A, "FIFO_STATUS1"),
    (0x3B, "FIFO_STATUS2"),
    (0x4B, "STEP_COUNTER"),
    (0x56, "TAP_CFG0"),
    (0x58, "TAP_CFG2"),
    (0x70, "CTRL1_OIS"),
    (0x73, "X_OFS_USR"),
    (0x78, "FIFO_DATA_OUT_TAG"),
)


def epsilon(density: float, lsb: float, rate_hz: float) -> float:
    """Return how far a sample can be from its input: the peak of the noise and half an LSB."""
    return _PEAK * density * math.sqrt(rate_hz / 2) + lsb / 2


class Lsm6dsox(RegisterTarget):
    """LSM6DSOX at register level."""

    MAP = RegisterMap(
        (
            Register(FUNC_CFG_ACCESS, "FUNC_CFG_ACCESS", writable=0xC0),
            Register(0x02, "PIN_CTRL", 0x3F, unmodelled=0xFF),
            ro(0x0F, "WHO_AM_I", 0x6C),
            Register(CTRL1_XL, "CTRL1_XL", writable=0xFE, unmodelled=0x02),
            Register(CTRL2_G, "CTRL2_G", writable=0xFE),
            Register(CTRL3_C, "CTRL3_C", 0x04, clearing=0x81, unmodelled=0x38),
            Register(0x13, "CTRL4_C", unmodelled=0xFF),
            Register(0x14, "CTRL5_C", unmodelled=0xFF),
            Register(CTRL6_C, "CTRL6_C", unmodelled=0xFF),
            Register(0x16, "CTRL7_G", unmodelled=0xFF),
            Register(CTRL8_XL, "CTRL8_XL", unmodelled=0xFD),
            Register(0x18, "CTRL9_XL", 0xE0, unmodelled=0x1C),
            Register(CTRL10_C, "CTRL10_C", unmodelled=0xDF),
            ro(STATUS, "STATUS_REG"),
            *(ro(OUT_TEMP + n, f"OUT_{n:X}") for n in range(14)),
            *(Register(TIMESTAMP0 + n, f"TIMESTAMP{n}", writable=0) for n in range(4)),
            ro(0x63, "INTERNAL_FREQ_FINE"),
        ),
        tagged=_TAGGED,
        size=128,
    )
    # Epsilon: at rates up to 104 Hz and in any full scale that holds the value.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{
            f"gyro_{axis}_rad_s": Quantity(
                "rad/s",
                math.radians(-2000.0),
                math.radians(2000.0),
                math.radians(epsilon(GYRO_NOISE_DPS, 70e-3, 104.2)),
            )
            for axis in "xyz"
        },
        **{
            f"accel_{axis}_m_s2": Quantity(
                "m/s2",
                -16 * STANDARD_GRAVITY,
                16 * STANDARD_GRAVITY,
                epsilon(110e-6, 0.488e-3, 104.2) * STANDARD_GRAVITY,
            )
            for axis in "xyz"
        },
        "temperature_c": Quantity("degC", -40.0, 85.0, 1 / 256),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.seed = seed
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self.values["temperature_c"] = 25.0
        #: samples of either sensor at the end of its range
        self.saturated = 0
        self._shadow: dict[tuple[int, int], int] = {}  # the embedded and sensor hub banks
        self._half: dict[int, int] = {}  # BDU: high octets that wait for their read, by address
        self._out = bytes(12)
        self._temperature = 0
        self._noise_g: list[Triple] = []
        self._noise_a: list[Triple] = []
        self._index_g = self._index_a = self._index_t = 0
        self._read_g = self._read_a = self._read_t = 0
        self._timestamp_ns = 0
        self._shift_g = self._shift_a = -1
        self._configure(0)

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input; the next sample sees it."""
        super().set(quantity, value)
        self._stale = True

    # Configuration ------------------------------------------------------------------------------

    def _configure(self, t_ns: int) -> None:
        """Take rates and full scales from the control registers."""
        values = self.file.values
        shift_a, shift_g = _shift(values[CTRL1_XL] >> 4), _shift(values[CTRL2_G] >> 4)
        if values[CTRL1_XL] >> 4 == 11 and values[CTRL6_C] & 0x10:
            shift_a = 12  # 1.6 Hz, in low-power mode only
        tick = t_ns // BASE_NS
        if shift_g != self._shift_g:
            self._index_g = self._read_g = tick >> max(shift_g, 0)
            self._block_g = -1
        if shift_a != self._shift_a:
            self._index_a = self._read_a = tick >> max(shift_a, 0)
            self._block_a = -1
        self._shift_g, self._shift_a = shift_g, shift_a
        scale_a = values[CTRL1_XL] >> 2 & 3
        if values[CTRL8_XL] & 2 and scale_a == 1:
            scale_a = 0  # XL_FS_MODE: the code of 16 g means 2 g
        self._lsb_a = ACCEL_LSB_G[scale_a] * STANDARD_GRAVITY
        scale_g = 4 if values[CTRL2_G] & 2 else values[CTRL2_G] >> 2 & 3
        self._lsb_g = math.radians(GYRO_LSB_DPS[scale_g])
        self._sigma_g = _sigma(GYRO_NOISE_DPS / GYRO_LSB_DPS[scale_g], shift_g)
        self._sigma_a = _sigma(ACCEL_NOISE_G[scale_a] / ACCEL_LSB_G[scale_a], shift_a)
        self._block_g = self._block_a = -1
        self._stale = True
        self._period_ns = BASE_NS << max(shift_g, 0)
        self._choose_way()

    def _rescale(self) -> None:
        """Turn the physical inputs into fixed-point LSB, with the half that rounds."""
        values, half = self.values, 1 << (_FRACTION - 1)
        scale_g, scale_a = (1 << _FRACTION) / self._lsb_g, (1 << _FRACTION) / self._lsb_a
        self._base = (
            round(values["gyro_x_rad_s"] * scale_g) + half,
            round(values["gyro_y_rad_s"] * scale_g) + half,
            round(values["gyro_z_rad_s"] * scale_g) + half,
            round(values["accel_x_m_s2"] * scale_a) + half,
            round(values["accel_y_m_s2"] * scale_a) + half,
            round(values["accel_z_m_s2"] * scale_a) + half,
        )
        self._stale = False

    def _noise(self, sensor: str, block: int, sigma: int) -> list[Triple]:
        """Return the noise of one block of sample indices, in fixed-point LSB."""
        generator = stream(self.seed, f"{self.name}/{sensor}/{block}").bit_generator
        words = generator.random_raw(3 * BLOCK)
        low = np.uint64(0x00FF00FF00FF00FF)
        pairs = (words & low) + ((words >> np.uint64(8)) & low)
        total = ((pairs * np.uint64(0x0001000100010001)) >> np.uint64(48)).astype(np.int64)
        scaled = ((total - _NOISE_MEAN) * sigma + (1 << 15)) >> 16
        flat = iter(scaled.tolist())
        return list(zip(flat, flat, flat, strict=True))

    # Sampling -----------------------------------------------------------------------------------

    def refresh(self, t_ns: int) -> None:
        """Bring outputs and status up to ``t_ns``."""
        tick = t_ns // BASE_NS
        values = self.file.values
        if self._shift_g >= 0 and tick >> self._shift_g > self._index_g:
            self._sample_g(tick >> self._shift_g)
        if self._shift_a >= 0 and tick >> self._shift_a > self._index_a:
            self._sample_a(tick >> self._shift_a)
        if max(self._shift_g, self._shift_a) >= 0 and tick >> TEMPERATURE_SHIFT > self._index_t:
            self._index_t = tick >> TEMPERATURE_SHIFT
            counts = round((self.values["temperature_c"] - 25.0) * 256)
            self._temperature = min(max(counts, -0x8000), 0x7FFF) & 0xFFFF
        values[STATUS] = (
            (self._index_a > self._read_a)
            | (self._index_g > self._read_g) << 1
            | (self._index_t > self._read_t) << 2
        )
        values[OUT_TEMP], values[OUT_TEMP + 1] = self._temperature & 0xFF, self._temperature >> 8
        values[OUT_G : OUT_G + 12] = self._out
        if values[CTRL10_C] & TIMESTAMP_EN:
            ticks = (t_ns - self._timestamp_ns) // TIMESTAMP_LSB_NS & 0xFFFFFFFF
            values[TIMESTAMP0 : TIMESTAMP0 + 4] = ticks.to_bytes(4, "little")

    def _sample_g(self, index: int) -> None:
        self._index_g = index
        self._prepare_g(index)
        n0, n1, n2 = self._noise_g[index % BLOCK]
        b0, b1, b2, _, _, _ = self._base
        self._out = self._clamp((b0 + n0, b1 + n1, b2 + n2)) + self._out[6:]

    def _sample_a(self, index: int) -> None:
        self._index_a = index
        self._prepare_a(index)
        n0, n1, n2 = self._noise_a[index % BLOCK]
        _, _, _, b0, b1, b2 = self._base
        self._out = self._out[:6] + self._clamp((b0 + n0, b1 + n1, b2 + n2))

    def _prepare_g(self, index: int) -> None:
        if self._stale:
            self._rescale()
        if index // BLOCK != self._block_g:
            self._block_g = index // BLOCK
            self._noise_g = self._noise("gyro", self._block_g, self._sigma_g)

    def _prepare_a(self, index: int) -> None:
        if self._stale:
            self._rescale()
        if index // BLOCK != self._block_a:
            self._block_a = index // BLOCK
            self._noise_a = self._noise("accel", self._block_a, self._sigma_a)

    def _clamp(self, triple: Triple) -> bytes:
        words = []
        for fixed in triple:
            counts = fixed >> _FRACTION
            inside = min(max(counts, -0x8000), 0x7FFF)
            self.saturated += inside != counts
            words.append(inside)
        return _PACK3(*words)

    # Bus face -----------------------------------------------------------------------------------

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Run a whole transaction; the burst over both sensors is the short way."""
        if nread != 12 or data != _BURST or not self._plain:
            return super().i2c_write_read(t_ns, data, nread)
        self.pointer = _BURST_END
        index = t_ns // self._period_ns
        if index > self._index_g:
            if self._stale or index // BLOCK != self._block_g or self._block_a != self._block_g:
                self._prepare_g(index)
                self._prepare_a(index)
            at = index % BLOCK
            n0, n1, n2 = self._noise_g[at]
            n3, n4, n5 = self._noise_a[at]
            b0, b1, b2, b3, b4, b5 = self._base
            try:
                self._out = _PACK(
                    (b0 + n0) >> 8,
                    (b1 + n1) >> 8,
                    (b2 + n2) >> 8,
                    (b3 + n3) >> 8,
                    (b4 + n4) >> 8,
                    (b5 + n5) >> 8,
                )
            except struct.error:
                self._sample_g(index)
                self._sample_a(index)
            self._index_g = self._index_a = index
        self._read_g = self._read_a = index
        return self._out

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write registers; while another bank is selected, into that bank."""
        if len(data) < 2 or not self.file.values[FUNC_CFG_ACCESS]:
            return super().i2c_write(t_ns, data)
        for at, octet in enumerate(data[1:], data[0]):
            self._store_banked(t_ns, at & 0x7F, octet)
        self.pointer = (data[0] + len(data) - 1) & 0x7F
        return len(data)

    def _store_banked(self, t_ns: int, address: int, octet: int) -> None:
        bank = self.file.values[FUNC_CFG_ACCESS]
        if address == FUNC_CFG_ACCESS:
            self.file.store(address, octet, self)
            self._configure(t_ns)
        elif bank:
            self._shadow[bank, address] = octet
            self.touch(f"write bank {bank:02X}h register {address:02X}h")
        else:
            self.file.store(address, octet, self)
            self.on_write(t_ns, address, octet)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read registers; each pair of output octets stays together under BDU."""
        self.refresh(t_ns)
        control = self.file.values[CTRL3_C]
        bank = self.file.values[FUNC_CFG_ACCESS]
        out = bytearray()
        for _ in range(nbytes):
            address = self.pointer
            if bank and address != FUNC_CFG_ACCESS:
                self.touch(f"read bank {bank:02X}h register {address:02X}h")
                out.append(self._shadow.get((bank, address), 0))
            elif OUT_TEMP <= address < _BURST_END:
                out.append(self._load_output(address, bool(control & BDU)))
            else:
                out.append(self.file.load(address, self))
            if control & IF_INC:
                self.pointer = (address + 1) & 0x7F
        return bytes(out)

    def _load_output(self, address: int, block_update: bool) -> int:
        """Read one output octet; the high one clears data ready (DS12814 section 9.27)."""
        values, half = self.file.values, self._half
        if not address & 1:
            if not block_update:
                return values[address]
            # AN5272 section 4.4: a pair is not updated between the reads of its two octets.
            if address + 1 not in half:
                half[address], half[address + 1] = values[address], values[address + 1]
                self._plain = False
            return half[address]
        if address >= OUT_A:
            self._read_a = self._index_a
        elif address >= OUT_G:
            self._read_g = self._index_g
        else:
            self._read_t = self._index_t
        octet = half.pop(address, values[address])
        if half.pop(address - 1, None) is not None and not half:
            self._choose_way()
        return octet

    def _choose_way(self) -> None:
        """Decide whether the short way of ``i2c_write_read`` holds: one index, nothing pending."""
        values = self.file.values
        self._plain = (
            self._shift_g == self._shift_a >= 0
            and bool(values[CTRL3_C] & IF_INC)
            and not values[FUNC_CFG_ACCESS]
            and not self._half
        )

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on reset, rates, full scales and the timestamp counter."""
        if address == CTRL3_C and value & 0x81:
            self.file.reset()
            self._half.clear()
        if address == CTRL10_C and value & TIMESTAMP_EN:
            self._timestamp_ns = t_ns
        if address == TIMESTAMP2 and value == 0xAA:
            self._timestamp_ns = t_ns  # AN5272 section 6.4: the counter restarts
        if address <= CTRL10_C:
            self._configure(t_ns)


def _shift(code: int) -> int:
    """Return by which power of two a rate code divides 6667 Hz; -1 for off."""
    return 10 - code if 1 <= code <= 10 else -1


def _sigma(density_lsb: float, shift: int) -> int:
    """Return the factor from a sum of octets to fixed-point LSB, times 65536."""
    rate_hz = 1e9 / (BASE_NS << max(shift, 0))
    sigma_lsb = density_lsb * math.sqrt(rate_hz / 2)
    return round(sigma_lsb * (1 << _FRACTION) / _NOISE_SIGMA * 65536)
