"""MPU-6050 at register level, against PS-MPU-6000A and RM-MPU-6000A."""

from __future__ import annotations

import struct

import pytest

from hil.parts.mpu6050 import Mpu6050
from hil.testing.contracts.part import check_part

MS = 1_000_000
G = 9.80665


def make(setup: dict[int, int] | None = None) -> Mpu6050:
    """Awake, at 1 kHz with the 5 Hz filter, unless told otherwise."""
    part = Mpu6050("imu", 5)
    for address, value in {0x6B: 0, 0x1A: 6, **(setup or {})}.items():
        part.i2c_write(0, bytes((address, value)))
    return part


def read(part: Mpu6050, t_ns: int, address: int, nread: int = 1) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


def sample(part: Mpu6050, t_ns: int) -> tuple[int, ...]:
    return struct.unpack(">7h", read(part, t_ns, 0x3B, 14))


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Mpu6050("imu", 3))


def test_reset_values() -> None:
    """Section 3: every register is 0 after power-up but PWR_MGMT_1 (40h) and WHO_AM_I (68h)."""
    part = Mpu6050("imu")
    for address in (*range(0x19, 0x1D), 0x23, *range(0x37, 0x49), 0x6A, 0x6C, 0x72, 0x73):
        if address != 0x39:
            assert read(part, 0, address) == b"\0", hex(address)
    assert (read(part, 0, 0x6B), read(part, 0, 0x75)) == (b"\x40", b"\x68")
    assert not part.touched


def test_asleep_nothing_moves() -> None:
    """Until SLEEP is cleared outputs and data ready stand still."""
    part = Mpu6050("imu", 5)
    part.set("accel_z_m_s2", G)
    assert sample(part, 100 * MS) == (0,) * 7
    part.i2c_write(100 * MS, b"\x6b\x00")
    assert sample(part, 101 * MS)[2] == pytest.approx(16384, abs=600)


@pytest.mark.parametrize(("code", "per_g"), [(0, 16384), (1, 8192), (2, 4096), (3, 2048)])
def test_accelerometer_scales(code: int, per_g: int) -> None:
    """Section 6.2: one g is 16384, 8192, 4096 or 2048 LSB by AFS_SEL."""
    part = make({0x1C: code << 3})
    part.set("accel_x_m_s2", -G)
    assert sample(part, 10 * MS)[0] == pytest.approx(-per_g, abs=per_g * 0.005)


@pytest.mark.parametrize(("code", "per_dps"), [(0, 131), (1, 65.5), (2, 32.8), (3, 16.4)])
def test_gyroscope_scales(code: int, per_dps: float) -> None:
    """Section 6.1: one degree per second is 131, 65.5, 32.8 or 16.4 LSB by FS_SEL."""
    part = make({0x1B: code << 3})
    part.set("gyro_y_rad_s", 1.7453292519943295)
    assert sample(part, 10 * MS)[5] == pytest.approx(100 * per_dps, abs=per_dps * 0.06)


def test_temperature_scale() -> None:
    """Section 4.18 of the register map: degrees are raw / 340 + 36.53."""
    part = make()
    part.set("temperature_c", -10.0)
    assert sample(part, 10 * MS)[3] == round(-46.53 * 340)


@pytest.mark.parametrize(
    ("dlpf", "divider", "period_ns"),
    [(0, 0, 125_000), (0, 7, MS), (1, 0, MS), (6, 9, 10 * MS), (7, 39, 5 * MS)],
)
def test_sample_rate(dlpf: int, divider: int, period_ns: int) -> None:
    """Section 4.2: 8 kHz without filter, 1 kHz with it, over 1 + SMPLRT_DIV; a flag a sample."""
    part = make({0x1A: dlpf, 0x19: divider})
    read(part, 40 * period_ns, 0x3A)
    assert read(part, 41 * period_ns - 1, 0x3A) == b"\x00"
    assert read(part, 41 * period_ns, 0x3A) == b"\x01"
    assert read(part, 41 * period_ns, 0x3A) == b"\x00"


def test_any_read_clears_the_flags_when_asked() -> None:
    """Section 4.13: with INT_RD_CLEAR any read clears the interrupt status."""
    part = make({0x37: 0x10})
    read(part, 5 * MS, 0x3B)
    assert read(part, 5 * MS, 0x3A) == b"\x00"


def test_acceleration_repeats_above_1_khz() -> None:
    """Section 4.2: at 8 kHz the same accelerometer sample comes eight times."""
    part = make({0x1A: 0})
    rows = [sample(part, 8 * MS + n * 125_000) for n in range(16)]
    assert len({row[:3] for row in rows}) == 2
    assert len({row[4:] for row in rows}) == 16


def test_fifo_holds_records_in_register_order() -> None:
    """Section 4.29: what FIFO_EN names is queued with each sample; the count tells how much."""
    part = make({0x23: 0x78, 0x6A: 0x40})
    rows = []
    plain = make()
    for n in range(1, 4):
        rows.append(sample(plain, n * MS))
    assert read(part, 3 * MS, 0x72, 2) == b"\x00\x24"
    octets = read(part, 3 * MS, 0x74, 36)
    queued = [struct.unpack(">6h", octets[at : at + 12]) for at in range(0, 36, 12)]
    assert queued == [row[:3] + row[4:] for row in rows]
    assert read(part, 3 * MS, 0x72, 2) == b"\x00\x00"


def test_fifo_overflow_loses_the_oldest() -> None:
    """Section 4.14: 1024 octets at most; the flag rises, the newest record is the last."""
    part = make({0x23: 0x08, 0x6A: 0x40})
    assert read(part, 500 * MS, 0x72, 2) == b"\x04\x00"
    assert read(part, 500 * MS, 0x3A) == b"\x11"
    newest = sample(part, 500 * MS)[:3]
    assert struct.unpack(">3h", read(part, 500 * MS, 0x74, 1024)[-6:]) == newest
    assert part.snapshot()["fifo_lost"] == 500 * 6 - 1024
    part.i2c_write(500 * MS, b"\x6a\x44")
    assert read(part, 500 * MS, 0x72, 2) == b"\x00\x00"


def test_cycle_mode_samples_acceleration_only() -> None:
    """Section 4.31: in cycle mode acceleration comes at the wake rate and the gyroscope is off."""
    part = make({0x6C: 0x47, 0x6B: 0x20})
    part.set("gyro_x_rad_s", 1.0)
    first = sample(part, 200 * MS)
    assert first[:3] != (0, 0, 0)
    assert first[4:] == (0, 0, 0)
    assert sample(part, 399 * MS) == first
    assert sample(part, 400 * MS) != first


def test_device_reset_restores_everything() -> None:
    """Section 4.30: DEVICE_RESET clears itself, and the part is asleep again."""
    part = make({0x1B: 0x18})
    sample(part, 10 * MS)
    part.i2c_write(10 * MS, b"\x6b\x80")
    assert read(part, 11 * MS, 0x6B) == b"\x40"
    assert read(part, 11 * MS, 0x1B) == b"\x00"
    assert sample(part, 20 * MS) == (0,) * 7


def test_the_auxiliary_controller_is_not_modelled() -> None:
    """A write to the auxiliary controller is stored and counted by name."""
    part = make({0x25: 0x8C, 0x6A: 0x20})
    assert part.touched == {"write I2C_MST_1": 1, "write USER_CTRL bits 20h": 1}


def test_full_scale_saturates_and_is_counted() -> None:
    """An input beyond the full scale reads as its end."""
    part = make()
    part.set("accel_x_m_s2", 3 * G)
    assert sample(part, 10 * MS)[0] == 0x7FFF
    assert part.snapshot()["saturated"] == 1
