"""LIS3MDL and MMC5603 at register level, against their data sheets."""

from __future__ import annotations

import struct

import pytest

from hil.parts.lis3mdl import Lis3mdl
from hil.parts.mmc5603 import Mmc5603
from hil.parts.registers import RegisterTarget
from hil.testing.contracts.part import check_part

MS = 1_000_000
GAUSS = 1e-4


def read(part: RegisterTarget, t_ns: int, address: int, nread: int = 1) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


def lis(**registers: int) -> Lis3mdl:
    """A LIS3MDL in continuous mode at 80 Hz unless told otherwise."""
    part = Lis3mdl("mag", 5)
    for name, value in {"c1": 0x7C, "c2": 0, "c4": 0x0C, "c3": 0, **registers}.items():
        part.i2c_write(0, bytes((0x1F + int(name[1]), value)))
    return part


@pytest.mark.parametrize("make", [Lis3mdl, Mmc5603])
def test_contract(make: type[Lis3mdl] | type[Mmc5603]) -> None:
    """Both pass the public contract suite."""
    check_part(lambda: make("mag", 3))


def test_lis3mdl_reset_values() -> None:
    """Table 16: identity and control registers after power-up."""
    expected = {0x0F: 0x3D, 0x20: 0x10, 0x21: 0, 0x22: 3, 0x23: 0, 0x24: 0, 0x27: 0, 0x30: 0xE8}
    assert {a: read(Lis3mdl("mag"), 0, a)[0] for a in expected} == expected


@pytest.mark.parametrize(("code", "per_gauss"), [(0, 6842), (1, 3421), (2, 2281), (3, 1711)])
def test_lis3mdl_scales(code: int, per_gauss: int) -> None:
    """Table 3: LSB per gauss by full scale."""
    part = lis(c2=code << 5)
    part.set("mag_y_t", -2 * GAUSS)
    word = struct.unpack("<3h", read(part, 20 * MS, 0x28, 6))[1]
    assert word == pytest.approx(-2 * per_gauss, abs=0.0165 * per_gauss + 1)


@pytest.mark.parametrize(
    ("c1", "period_ns"),
    [(0x00, 1600 * MS), (0x10, 100 * MS), (0x1C, 12_500_000), (0x02, MS), (0x62, 6_451_613)],
)
def test_lis3mdl_rates(c1: int, period_ns: int) -> None:
    """Table 18 to 20: 0.625 Hz times a power of two, or 1000 to 155 Hz with FAST_ODR by OM."""
    part = lis(c1=c1)
    assert read(part, period_ns - 1, 0x27) == b"\x00"
    assert read(part, period_ns, 0x27) == b"\x0f"


def test_lis3mdl_flags_follow_the_reads() -> None:
    """Data ready falls axis by axis with the second octet; overrun shows a sample lost."""
    part = lis()
    assert read(part, 13 * MS, 0x27) == b"\x0f"
    read(part, 13 * MS, 0x28, 2)
    assert read(part, 13 * MS, 0x27) == b"\x06"
    assert read(part, 25 * MS, 0x27) == b"\xef"
    read(part, 25 * MS, 0x28, 6)
    assert read(part, 25 * MS, 0x27) == b"\x00"


def test_lis3mdl_bursts_go_round_in_the_outputs() -> None:
    """After the sixth octet comes the first again, with or without the top bit of the address."""
    part = lis()
    octets = read(part, 13 * MS, 0xA8, 8)
    assert octets[6:] == octets[:2]
    assert read(part, 13 * MS, 0x28, 8) == octets


def test_lis3mdl_temperature_and_order() -> None:
    """Eight LSB a degree from 25; with BLE the magnetic words come high octet first."""
    part = lis(c1=0xFC, c4=0x0E)
    part.set("temperature_c", 30.5)
    part.set("mag_z_t", 1 * GAUSS)
    assert read(part, 20 * MS, 0x2E, 2) == (44).to_bytes(2, "little")
    word = struct.unpack(">h", read(part, 20 * MS, 0x2C, 2))[0]
    assert word == pytest.approx(6842, abs=150)


def test_lis3mdl_single_conversion_ends_in_power_down() -> None:
    """Mode 1 gives one sample of what was there when it was asked for, and then power-down."""
    part = lis(c3=3)
    part.set("mag_x_t", 1 * GAUSS)
    part.i2c_write(0, b"\x22\x01")
    part.set("mag_x_t", 0.0)
    assert read(part, 7 * MS, 0x27) == b"\x0f"
    assert read(part, 7 * MS, 0x22) == b"\x03"
    assert struct.unpack("<h", read(part, 7 * MS, 0x28, 2))[0] == pytest.approx(6842, abs=150)
    assert read(part, 700 * MS, 0x27) != b"\xff"


def test_lis3mdl_noise_has_the_stated_spread() -> None:
    """Over a thousand samples the spread is 3.2, 3.2 and 4.1 mG."""
    part = lis()
    rows = [struct.unpack("<3h", read(part, n * 12_500_000, 0x28, 6)) for n in range(1, 1001)]
    for axis, sigma in enumerate((3.2e-3, 3.2e-3, 4.1e-3)):
        column = [row[axis] / 6842 for row in rows]
        mean = sum(column) / len(column)
        spread = (sum((value - mean) ** 2 for value in column) / len(column)) ** 0.5
        assert spread == pytest.approx(sigma, rel=0.08)


def test_lis3mdl_soft_reset() -> None:
    """SOFT_RST restores the control registers and stops conversion."""
    part = lis()
    part.i2c_write(0, b"\x21\x04")
    assert read(part, 500 * MS, 0x20, 4) == b"\x10\x00\x03\x00"
    assert read(part, 500 * MS, 0x27) == b"\x00"


def field(part: Mmc5603, t_ns: int) -> list[int]:
    raw = read(part, t_ns, 0x00, 9)
    return [
        (raw[2 * n] << 12 | raw[2 * n + 1] << 4 | raw[6 + n] >> 4) - (1 << 19) for n in range(3)
    ]


@pytest.mark.parametrize(("bw", "us"), [(0, 6600), (1, 3500), (2, 2000), (3, 1200)])
def test_mmc5603_measurement_time(bw: int, us: int) -> None:
    """A measurement takes 6.6, 3.5, 2.0 or 1.2 ms by bandwidth; done rises with it."""
    part = Mmc5603("mag", 5)
    part.i2c_write(0, bytes((0x1C, bw)))
    part.set("mag_x_t", 3 * GAUSS)
    part.i2c_write(0, b"\x1b\x01")
    assert read(part, us * 1000 - 1, 0x18) == b"\x10"
    assert read(part, us * 1000, 0x18) == b"\x50"
    assert field(part, us * 1000)[0] == pytest.approx(3 * 16384, abs=165)
    part.i2c_write(us * 1000, b"\x1b\x01")
    assert read(part, us * 1000, 0x18) == b"\x10"


def test_mmc5603_temperature() -> None:
    """0.8 degrees an LSB from -75."""
    part = Mmc5603("mag", 5)
    part.set("temperature_c", 21.0)
    part.i2c_write(0, b"\x1b\x02")
    assert read(part, 10 * MS, 0x18) == b"\x90"
    assert read(part, 10 * MS, 0x09) == bytes((120,))


def test_mmc5603_continuous_mode() -> None:
    """Rate, then its enable, then continuous: each period shows a new field."""
    part = Mmc5603("mag", 5)
    for write in (b"\x1a\x32", b"\x1b\x80", b"\x1d\x10"):
        part.i2c_write(0, write)
    first = field(part, 10 * MS)
    assert field(part, 26 * MS) == first
    assert field(part, 27 * MS) != first
    part.i2c_write(30 * MS, b"\x1d\x00")
    last = field(part, 30 * MS)
    assert field(part, 900 * MS) == last


def test_mmc5603_control_registers_read_zero() -> None:
    """What was written to control cannot be read back; the identity can."""
    part = Mmc5603("mag", 5)
    part.i2c_write(0, b"\x1a\x32\x80\x01\x10")
    assert read(part, 0, 0x1A, 4) == bytes(4)
    assert read(part, 0, 0x39) == b"\x10"


def test_mmc5603_self_test_registers_are_named_when_touched() -> None:
    """Thresholds at 1Eh to 20h and values at 27h to 29h are not modelled, which is counted."""
    part = Mmc5603("mag", 5)
    for address in (0x1E, 0x20, 0x27, 0x29):
        read(part, 0, address)
    assert set(part.touched) == {f"read ST_{name}" for name in ("X_TH", "Z_TH", "X", "Z")}


def test_mmc5603_software_reset_stops_everything() -> None:
    """SW_RST gives up what is under way and clears the done bits."""
    part = Mmc5603("mag", 5)
    part.i2c_write(0, b"\x1b\x01")
    part.i2c_write(MS, b"\x1c\x80")
    assert read(part, 50 * MS, 0x18) == b"\x10"
