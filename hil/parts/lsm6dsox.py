"""STMicroelectronics LSM6DSOX: three axes of angular rate and of acceleration, temperature.

Sources: data sheet DS12814 Rev 3, table 2 (sensitivity, noise density), section 9 (registers);
application note AN5272 Rev 3, sections 3 (modes, rates), 4 (reading, block data update), 6.4
(timestamp). The rates are 6667 Hz divided by powers of two, and both sensors sample on one grid.

A sample is a function of its index on that grid: the physical input plus noise of the stated
density over half the rate, drawn by index, rounded to an LSB. How often a driver polls changes
nothing. Temperature is taken with each sample, without noise (the part refreshes it at 52 Hz). A
burst read is atomic: registers do not change inside one message.

Not modelled (touches are counted): FIFO, embedded functions, finite state machine and machine
learning core, sensor hub, OIS and I3C, interrupt pins, self-test, digital filters beyond the first
low-pass, low-power modes and their noise, user offset, start-up and settling time, zero-rate and
zero-g offset, sensitivity tolerance.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hil.parts.base import Param, Quantity, stream
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import NOISE_MEAN, NOISE_SIGMA, STANDARD_GRAVITY, peak

FUNC_CFG_ACCESS, CTRL1_XL, CTRL2_G, CTRL3_C = 0x01, 0x10, 0x11, 0x12
CTRL6_C, CTRL8_XL, CTRL10_C, STATUS = 0x15, 0x17, 0x19, 0x1E
OUT_TEMP, OUT_G, OUT_A = 0x20, 0x22, 0x28
TIMESTAMP0, TIMESTAMP2 = 0x40, 0x42
IF_INC, BDU, TIMESTAMP_EN = 0x04, 0x40, 0x20

#: One sample at 6667 Hz, to the nanosecond; slower rates take every 2**n-th.
BASE_NS = 149_993
_GYRO = ("gyro_x_rad_s", "gyro_y_rad_s", "gyro_z_rad_s")
_ACCEL = ("accel_x_m_s2", "accel_y_m_s2", "accel_z_m_s2")
TIMESTAMP_LSB_NS = 25_000
#: g per LSB by FS_XL: 2, 16, 4, 8 g
ACCEL_LSB_G = (0.061e-3, 0.488e-3, 0.122e-3, 0.244e-3)
#: g per root hertz by FS_XL, high-performance mode
ACCEL_NOISE_G = (70e-6, 110e-6, 75e-6, 80e-6)
#: degrees per second per LSB by FS_G: 250, 500, 1000, 2000; FS_125 comes last
GYRO_LSB_DPS = (8.75e-3, 17.5e-3, 35e-3, 70e-3, 4.375e-3)
GYRO_NOISE_DPS = 3.8e-3

#: samples of noise drawn at a time, and samples quantised at a time
BLOCK, CHUNK = 1024, 32
#: fractional bits of the fixed-point sum of input and noise, in LSB
_FRACTION = 8
_SHIFT, _WORD = np.int64(_FRACTION), np.dtype("<i2")
_ROW = struct.Struct("=7q")

_FROM_TEMP, _FROM_G = bytes((OUT_TEMP,)), bytes((OUT_G,))
_OUT_END = OUT_A + 6

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
            name: Quantity(
                "rad/s",
                math.radians(-2000.0),
                math.radians(2000.0),
                math.radians(peak(GYRO_NOISE_DPS, 104.2 / 2, 70e-3)),
            )
            for name in _GYRO
        },
        **{
            name: Quantity(
                "m/s2",
                -16 * STANDARD_GRAVITY,
                16 * STANDARD_GRAVITY,
                peak(110e-6, 104.2 / 2, 0.488e-3) * STANDARD_GRAVITY,
            )
            for name in _ACCEL
        },
        "temperature_c": Quantity("degC", -40.0, 85.0, 1 / 256),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pin SDO/SA0 low or high (section 5.1.1, "I2C operation")
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x6A, 0x6B)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("WHO_AM_I",),
        fields={
            "CTRL1_XL": "ODR_XL 7:4, FS_XL 3:2, LPF2_EN 1",
            "CTRL2_G": "ODR_G 7:4, FS_G 3:2, FS_125 1",
            "CTRL3_C": "BOOT 7, BDU 6, H_LACTIVE 5, PP_OD 4, SIM 3, IF_INC 2, SW_RESET 0",
            "STATUS_REG": "TDA 2, GDA 1, XLDA 0",
        },
        readings={
            "temperature_c": Reading("OUT_0", 1 / 256, 25.0, nbytes=2, order="little"),
            **{
                name: Reading(
                    f"OUT_{2 + 2 * axis:X}",
                    tuple(math.radians(lsb * 1e-3) for lsb in (8.75, 17.5, 35.0, 70.0)),
                    nbytes=2,
                    order="little",
                    by="CTRL2_G.FS_G",
                )
                for axis, name in enumerate(_GYRO)
            },
            **{
                name: Reading(
                    f"OUT_{8 + 2 * axis:X}",
                    tuple(lsb * 1e-3 * STANDARD_GRAVITY for lsb in (0.061, 0.488, 0.122, 0.244)),
                    nbytes=2,
                    order="little",
                    by="CTRL1_XL.FS_XL",
                )
                for axis, name in enumerate(_ACCEL)
            },
        },
        setup=(("CTRL1_XL", 0x44), ("CTRL2_G", 0x4C)),  # 104 Hz, 16 g, 2000 degrees per second
        careful={"FUNC_CFG_ACCESS": "it shows other registers"},
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.seed = seed
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self.values["temperature_c"] = 25.0
        #: samples of either sensor at the end of its range
        self.saturated = 0
        self._shadow: dict[tuple[int, int], int] = {}  # the embedded and sensor hub banks
        self._half: dict[int, int] = {}  # BDU: high octets that wait for their read, by address
        self._out = bytes(14)  # OUT_TEMP_L to OUTZ_H_A
        # Noise of the current blocks: columns temperature (none), gyro, accelerometer.
        self._noise = np.zeros((BLOCK, 7), np.int64)
        self._chunk = b""  # samples that are ready, from index _chunk_from to before _chunk_end
        self._chunk_from, self._chunk_end = 0, -1
        self._index_g = self._index_a = 0
        self._read_g = self._read_a = 0
        self._fresh_t = False
        self._timestamp_ns = 0
        self._shift_g = self._shift_a = -1
        self._configure(0)

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input; the next sample sees it."""
        before = self.values.get(quantity)
        super().set(quantity, value)
        if self.values[quantity] != before:
            self._stale = True
            self._chunk_end = -1

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "saturated": self.saturated}

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
        if shift_a != self._shift_a:
            self._index_a = self._read_a = tick >> max(shift_a, 0)
        self._shift_g, self._shift_a = shift_g, shift_a
        scale_a = values[CTRL1_XL] >> 2 & 3
        if values[CTRL8_XL] & 2 and scale_a == 1:
            scale_a = 0  # XL_FS_MODE: the code of 16 g means 2 g
        self._lsb_a = ACCEL_LSB_G[scale_a] * STANDARD_GRAVITY
        scale_g = 4 if values[CTRL2_G] & 2 else values[CTRL2_G] >> 2 & 3
        self._lsb_g = math.radians(GYRO_LSB_DPS[scale_g])
        self._sigma_g = _sigma(GYRO_NOISE_DPS / GYRO_LSB_DPS[scale_g], shift_g)
        self._sigma_a = _sigma(ACCEL_NOISE_G[scale_a] / ACCEL_LSB_G[scale_a], shift_a)
        self._block_g = self._block_a = self._chunk_end = -1
        self._stale = True
        self._period_ns = BASE_NS << max(shift_g, 0)
        self._choose_way()

    def _rescale(self) -> None:
        """Turn the physical inputs into fixed-point LSB, with the half that rounds."""
        values, half = self.values, 1 << (_FRACTION - 1)
        scale_g, scale_a = (1 << _FRACTION) / self._lsb_g, (1 << _FRACTION) / self._lsb_a
        base = (
            round((values["temperature_c"] - 25.0) * 256) << _FRACTION,
            round(values["gyro_x_rad_s"] * scale_g) + half,
            round(values["gyro_y_rad_s"] * scale_g) + half,
            round(values["gyro_z_rad_s"] * scale_g) + half,
            round(values["accel_x_m_s2"] * scale_a) + half,
            round(values["accel_y_m_s2"] * scale_a) + half,
            round(values["accel_z_m_s2"] * scale_a) + half,
        )
        self._base = np.frombuffer(_ROW.pack(*base), np.int64)  # half the time of np.array
        room = (0x7FFF << _FRACTION) - (NOISE_MEAN * max(self._sigma_g, self._sigma_a) >> 16)
        self._inside = -room < min(base) and max(base) < room
        self._stale = False

    def _draw(self, sensor: str, columns: slice, block: int, sigma: int) -> None:
        """Draw the noise of one block of sample indices, in fixed-point LSB."""
        generator = stream(self.seed, f"{self.name}/{sensor}/{block}").bit_generator
        words = generator.random_raw(3 * BLOCK)
        low = np.uint64(0x00FF00FF00FF00FF)
        pairs = (words & low) + ((words >> np.uint64(8)) & low)
        total = ((pairs * np.uint64(0x0001000100010001)) >> np.uint64(48)).astype(np.int64)
        scaled = ((total - NOISE_MEAN) * sigma + (1 << 15)) >> 16
        self._noise[:, columns] = scaled.reshape(BLOCK, 3)

    # Sampling -----------------------------------------------------------------------------------

    def refresh(self, t_ns: int) -> None:
        """Bring outputs and status up to ``t_ns``."""
        tick = t_ns // BASE_NS
        values = self.file.values
        if self._shift_g >= 0 and tick >> self._shift_g > self._index_g:
            self._index_g = tick >> self._shift_g
            self._prepare(self._index_g, -1)
            self._out = self._counts(self._index_g, 1, slice(0, 4)) + self._out[8:]
            self._fresh_t = True
        if self._shift_a >= 0 and tick >> self._shift_a > self._index_a:
            self._index_a = tick >> self._shift_a
            self._prepare(-1, self._index_a)
            temperature = self._counts(self._index_a, 1, slice(0, 1))
            acceleration = self._counts(self._index_a, 1, slice(4, 7))
            self._out = temperature + self._out[2:8] + acceleration
            self._fresh_t = True
        fresh_a, fresh_g = self._index_a > self._read_a, self._index_g > self._read_g
        values[STATUS] = fresh_a | fresh_g << 1 | self._fresh_t << 2
        values[OUT_TEMP:_OUT_END] = self._out
        if values[CTRL10_C] & TIMESTAMP_EN:
            ticks = (t_ns - self._timestamp_ns) // TIMESTAMP_LSB_NS & 0xFFFFFFFF
            values[TIMESTAMP0 : TIMESTAMP0 + 4] = ticks.to_bytes(4, "little")

    def _prepare(self, index_g: int, index_a: int) -> None:
        """Have scales and noise ready for these samples; -1: not for that sensor."""
        if self._stale:
            self._rescale()
        if index_g >= 0 and index_g // BLOCK != self._block_g:
            self._block_g = index_g // BLOCK
            self._draw("gyro", slice(1, 4), self._block_g, self._sigma_g)
        if index_a >= 0 and index_a // BLOCK != self._block_a:
            self._block_a = index_a // BLOCK
            self._draw("accel", slice(4, 7), self._block_a, self._sigma_a)

    def _counts(self, index: int, number: int, columns: slice) -> bytes:
        """Return the octets of ``number`` samples from ``index`` on."""
        first = index % BLOCK
        counts = (self._noise[first : first + number, columns] + self._base[columns]) >> _SHIFT
        if not self._inside:
            clipped = np.clip(counts, -0x8000, 0x7FFF)
            self.saturated += int(np.count_nonzero(clipped != counts))
            counts = clipped
        return counts.astype(_WORD).tobytes()

    def _make_chunk(self, index: int) -> None:
        """Quantise the next samples of both sensors at once, until an input changes."""
        self._prepare(index, index)
        # Near the end of the range one at a time, so that only samples that are taken count.
        number = min(CHUNK, BLOCK - index % BLOCK) if self._inside else 1
        self._chunk = self._counts(index, number, slice(0, 7))
        self._chunk_from, self._chunk_end = index, index + number

    # Bus face -----------------------------------------------------------------------------------

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Run a whole transaction; bursts over both sensors go the short way."""
        if not self._plain or not (
            (nread == 14 and data == _FROM_TEMP) or (nread == 12 and data == _FROM_G)
        ):
            return super().i2c_write_read(t_ns, data, nread)
        self.pointer = _OUT_END
        index = t_ns // self._period_ns
        if index > self._index_g:
            if not self._chunk_from <= index < self._chunk_end:
                self._make_chunk(index)
            at = 14 * (index - self._chunk_from)
            self._out = self._chunk[at : at + 14]
            self._index_g = self._index_a = index
            self._fresh_t = True
        self._read_g = self._read_a = self._index_g
        if nread == 12:
            return self._out[2:]
        self._fresh_t = False
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
            elif OUT_TEMP <= address < _OUT_END:
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
            self._fresh_t = False
        octet = half.pop(address, values[address])
        if half.pop(address - 1, None) is not None and not half:
            self._choose_way()
        return octet

    def _choose_way(self) -> None:
        """Decide whether the short way of ``i2c_write_read`` holds: one index, nothing pending."""
        values = self.file.values
        self._plain = (
            0 <= self._shift_g == self._shift_a
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
    return round(sigma_lsb * (1 << _FRACTION) / NOISE_SIGMA * 65536)
