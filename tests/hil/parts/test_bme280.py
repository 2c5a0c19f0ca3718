"""BME280 at register level, against its data sheet (BST-BME280-DS001)."""

from __future__ import annotations

import pytest

from hil.parts.bme280 import TYPICAL, Bme280, count_for, humidity, pressure, t_fine
from hil.testing.contracts.part import check_part

MS = 1_000_000


def read(part: Bme280, t_ns: int, address: int, nread: int = 1) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


@pytest.fixture
def part() -> Bme280:
    return Bme280("env", seed=1)


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Bme280("env", 3))


def test_the_trimming_registers_are_those_of_the_memory_map(part: Bme280) -> None:
    """Table 18: calib00 to 25 at 88h to A1h, calib26 to 41 at E1h to F0h; reading them is fine."""
    read(part, 0, 0x88, 26)
    read(part, 0, 0xE1, 16)
    assert not part.touched


def test_compensation_example() -> None:
    """The worked example of Bosch's data sheets: 25.08 degC and 100653.27 Pa from its counts."""
    fine = t_fine(TYPICAL, 519888)
    assert (fine, (fine * 5 + 128) >> 8) == (128422, 2508)
    assert pressure(TYPICAL, 415148, fine) / 256 == pytest.approx(100653.27, abs=0.02)


def test_counts_are_inverted_to_the_nearest() -> None:
    """The count that is sought is the nearest of all, for rising and falling characteristics."""
    fine = t_fine(TYPICAL, 519888)
    for percent in (0.5, 33.3, 99.0):
        count = count_for(percent * 1024, lambda adc: humidity(TYPICAL, adc, fine), 16)
        off = [abs(humidity(TYPICAL, count + d, fine) - percent * 1024) for d in (-1, 0, 1)]
        assert off[1] == min(off)
    for pascals in (30_000, 101_325, 110_000):
        target = pascals * 256
        count = count_for(target, lambda adc: pressure(TYPICAL, adc, fine), 20, falling=True)
        off = [abs(pressure(TYPICAL, count + d, fine) - target) for d in (-1, 0, 1)]
        assert off[1] == min(off)


def test_reset_values(part: Bme280) -> None:
    """Table 18: identity, control registers and data after power-up."""
    assert read(part, 0, 0xD0) == b"\x60"
    assert read(part, 0, 0xF2, 4) == b"\0\0\0\0"
    assert read(part, 0, 0xF7, 8).hex() == "8000008000008000"


def test_forced_mode_measures_once_and_sleeps(part: Bme280) -> None:
    """Section 3.3.3: measuring is shown while it lasts, 8 ms at oversampling 1, then sleep."""
    part.i2c_write(0, bytes((0xF2, 1, 0xF4, 0x25)))
    assert read(part, 8 * MS - 1, 0xF3) == b"\x08"
    assert read(part, 8 * MS - 1, 0xF7) == b"\x80"
    assert read(part, 8 * MS, 0xF3, 2) == b"\x00\x24"
    assert read(part, 8 * MS, 0xF7) != b"\x80"


def test_humidity_setting_waits_for_ctrl_meas(part: Bme280) -> None:
    """Section 5.4.3: CTRL_HUM takes effect with the next write of CTRL_MEAS."""
    part.i2c_write(0, b"\xf4\x25")
    part.i2c_write(0, b"\xf2\x01")
    assert read(part, 20 * MS, 0xFD, 2) == b"\x80\x00"
    part.i2c_write(20 * MS, b"\xf4\x25")
    assert read(part, 40 * MS, 0xFD, 2) != b"\x80\x00"


def test_what_is_skipped_reads_80000h(part: Bme280) -> None:
    """Section 5.4.5: a measurement with oversampling 0 reads 80000h, 8000h for humidity."""
    part.i2c_write(0, b"\xf4\x21")
    data = read(part, 20 * MS, 0xF7, 8)
    assert (data[:3], data[6:]) == (b"\x80\0\0", b"\x80\0")
    assert data[3:6] != b"\x80\0\0"


def test_normal_mode_repeats_after_the_standby_time(part: Bme280) -> None:
    """Section 3.3.4: a result every measurement plus standby time; measuring shows in between."""
    part.i2c_write(0, bytes((0xF5, 0x40, 0xF2, 1, 0xF4, 0x27)))
    first = read(part, 8 * MS, 0xF7, 8)
    part.set("temperature_c", 30.0)
    assert (read(part, 132 * MS, 0xF3), read(part, 133 * MS, 0xF3)) == (b"\0", b"\x08")
    assert read(part, 141 * MS - 1, 0xF7, 8) == first
    assert read(part, 141 * MS, 0xF7, 8) != first


def test_resolution_grows_with_oversampling(part: Bme280) -> None:
    """Section 3.4: without filter 16 bits at oversampling 1 and one more for each doubling."""
    for osrs, low_bits in ((1, 0xF0), (2, 0x70), (3, 0x30), (4, 0x10), (5, 0)):
        part.i2c_write(osrs * 1000 * MS, bytes((0xF4, osrs << 5 | osrs << 2 | 1)))
        data = read(part, osrs * 1000 * MS + 500 * MS, 0xF7, 6)
        assert not data[2] & low_bits
        assert not data[5] & low_bits


def test_config_is_ignored_in_normal_mode_and_counted(part: Bme280) -> None:
    """Section 5.4.6: a write to CONFIG in normal mode has no effect here, and is reported."""
    part.i2c_write(0, b"\xf4\x27")
    part.i2c_write(0, b"\xf5\xa0")
    assert read(part, 0, 0xF5) == b"\0"
    assert part.touched == {"write CONFIG in normal mode": 1}


def test_soft_reset(part: Bme280) -> None:
    """Section 5.4.2: B6h to RESET powers up anew, other values do nothing."""
    part.i2c_write(0, b"\xf4\x27")
    part.i2c_write(MS, b"\xe0\x55")
    assert read(part, MS, 0xF4) == b"\x27"
    part.i2c_write(MS, b"\xe0\xb6")
    assert read(part, MS, 0xF4) == b"\0"


def test_trimming_values_belong_to_the_part() -> None:
    """Trimming values depend on seed and name, and on nothing else."""
    trims = [Bme280(name, seed).trim for name, seed in (("a", 1), ("a", 1), ("b", 1), ("a", 2))]
    assert trims[0] == trims[1]
    assert len(set(trims)) == 3


def test_spi_reads_in_a_row_and_writes_in_pairs(part: Bme280) -> None:
    """Section 6.3: a read goes on from its address, a write takes control and data in turn."""
    part.spi_select(0)
    assert part.spi_exchange(0, bytes((0x72, 0x01, 0x74, 0x25))) == b"\xff" * 4
    part.spi_deselect(0)
    part.spi_select(0)
    assert part.spi_exchange(0, b"\xf2\0\0\0") == b"\xff\x01\x08\x25"
    part.spi_select(0)
    assert part.spi_exchange(0, b"\xd0") + part.spi_exchange(0, b"\0") == b"\xff\x60"
