"""INA228 at register level, against its data sheet (SLYS021A)."""

from __future__ import annotations

import pytest

from hil.parts.ina228 import Ina228
from hil.testing.contracts.part import check_part

#: bus, shunt and temperature of 1052 us each
CYCLE_NS = 3 * 1_052_000
SECOND = 1_000_000_000


def read(part: Ina228, t_ns: int, address: int) -> int:
    nbytes = {4: 3, 5: 3, 7: 3, 8: 3, 9: 5, 10: 5}.get(address, 2)
    answer = part.i2c_write_read(t_ns, bytes((address,)), nbytes)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Ina228, t_ns: int, address: int, value: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *value.to_bytes(2, "big")))) == 3


@pytest.fixture
def part() -> Ina228:
    return Ina228("power", seed=1, shunt=0.0162)


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ina228("power", 3))


def test_reset_values(part: Ina228) -> None:
    """Table 7-3: every register after power-up and after the reset bit."""
    expected = {
        0x00: 0,
        0x01: 0xFB68,
        0x02: 0x1000,
        0x03: 0,
        0x0B: 1,
        0x0C: 0x7FFF,
        0x0D: 0x8000,
        0x0E: 0x7FFF,
        0x0F: 0,
        0x10: 0x7FFF,
        0x11: 0xFFFF,
        0x3E: 0x5449,
        0x3F: 0x2281,
    }
    assert {address: read(part, 0, address) for address in expected} == expected
    write(part, 0, 2, 1234)
    write(part, 0, 0, 0x8000)
    assert read(part, 0, 2) == 0x1000


def test_design_example(part: Ina228) -> None:
    """Section 8.2: 16.2 mohm, SHUNT_CAL 4050, 48 V and 6 A give 6 A and 288 W in their LSB."""
    lsb_a = 10 / (1 << 19)
    write(part, 0, 2, 4050)
    part.set("bus_v", 48.0)
    part.set("current_a", 6.0)
    assert read(part, CYCLE_NS, 5) >> 4 == round(48 / 195.3125e-6)
    assert read(part, CYCLE_NS, 4) >> 4 == round(6 * 0.0162 / 312.5e-9)
    assert (read(part, CYCLE_NS, 7) >> 4) * lsb_a == pytest.approx(6.0, rel=2e-4)
    assert read(part, CYCLE_NS, 8) * 3.2 * lsb_a == pytest.approx(288.0, rel=2e-4)


def test_accumulators(part: Ina228) -> None:
    """Section 7.3.2: an hour of the example is 288 Wh and 6 Ah; RSTACC starts over."""
    lsb_a = 10 / (1 << 19)
    write(part, 0, 2, 4050)
    part.set("bus_v", 48.0)
    part.set("current_a", -6.0)
    joules = read(part, 3600 * SECOND, 9) * 16 * 3.2 * lsb_a
    assert joules == pytest.approx(288 * 3600, rel=2e-4)
    counts = read(part, 3600 * SECOND, 10) - (1 << 40)
    assert counts * lsb_a == pytest.approx(-6 * 3600, rel=2e-4)
    write(part, 3600 * SECOND, 0, 0x4000)
    assert read(part, 3600 * SECOND, 9) == read(part, 3600 * SECOND, 10) == 0


def test_ranges(part: Ina228) -> None:
    """ADCRANGE 1 has steps of 78.125 nV and ends at 40.96 mV."""
    part.set("current_a", 1.0)
    write(part, 0, 0, 0x10)
    assert read(part, CYCLE_NS, 4) >> 4 == round(0.0162 / 78.125e-9)
    part.set("current_a", -10.0)
    assert read(part, 2 * CYCLE_NS, 4) == 0x800000


@pytest.mark.parametrize("code", range(8))
def test_cycle_time(part: Ina228, code: int) -> None:
    """Table 7-6: conversion times and averages make the cycle; CNVRF is set at its end."""
    times_us = (50, 84, 150, 280, 540, 1052, 2074, 4120)
    averages = (1, 4, 16, 64, 128, 256, 512, 1024)
    write(part, 0, 1, 0xB000 | code << 9 | code << 6 | code)
    due_ns = 2 * times_us[code] * 1000 * averages[code]
    assert not read(part, due_ns - 1, 11) & 2
    assert read(part, due_ns, 11) & 2
    assert not read(part, due_ns, 11) & 2


def test_triggered_mode(part: Ina228) -> None:
    """A triggered mode measures what was there when it was written, once."""
    part.set("bus_v", 10.0)
    write(part, 0, 1, 0x1B68)
    part.set("bus_v", 20.0)
    assert read(part, SECOND, 5) >> 4 == 51200
    assert read(part, 2 * SECOND, 9) == 0


def test_temperature_compensation(part: Ina228) -> None:
    """Section 7.3.6: at 125 degC a shunt of 100 ppm/degC is 1 % larger, its current 1 % less."""
    part.set("temperature_c", 125.0)
    part.set("current_a", 5.0)
    plain = read(part, CYCLE_NS, 7) >> 4
    write(part, CYCLE_NS, 3, 100)
    write(part, CYCLE_NS, 0, 0x20)
    assert read(part, 3 * CYCLE_NS, 7) >> 4 == pytest.approx(plain / 1.01, abs=1)


def test_limits_latch_only_when_told(part: Ina228) -> None:
    """Flags follow the comparison; with ALATCH they stay until DIAG_ALRT is read."""
    write(part, 0, 0x0E, 1600)  # 5 V
    part.set("bus_v", 6.0)
    assert read(part, CYCLE_NS, 11) & 0x10
    part.set("bus_v", 4.0)
    assert not read(part, 2 * CYCLE_NS, 11) & 0x10
    write(part, 2 * CYCLE_NS, 11, 0x8000)
    part.set("bus_v", 6.0)
    read(part, 3 * CYCLE_NS, 5)
    part.set("bus_v", 4.0)
    assert read(part, 4 * CYCLE_NS, 11) & 0x10
    assert not read(part, 5 * CYCLE_NS, 11) & 0x10


def test_arithmetic_overflow(part: Ina228) -> None:
    """A current that does not fit its register sets MATHOF and holds at the end."""
    write(part, 0, 2, 100)
    part.set("current_a", 8.0)
    assert read(part, CYCLE_NS, 7) == 0x7FFFF0
    assert read(part, CYCLE_NS, 11) & 0x200


@pytest.mark.parametrize("amperes", [16.0, -16.0])
def test_accumulators_roll_over_and_tell_of_it_once(part: Ina228, amperes: float) -> None:
    """Section 7.3.2: ENERGY and CHARGE go on from the other end; reading each clears its flag."""
    part.set("bus_v", 85.0)
    part.set("current_a", amperes)
    later = 4 * 10**17 // CYCLE_NS * CYCLE_NS
    read(part, CYCLE_NS, 11)
    whole = [part.file.values[8], (part.file.values[7] >> 4) - (amperes < 0) * (1 << 20)]
    assert read(part, later, 11) & 0xC00 == 0xC00
    assert read(part, later, 9) == whole[0] * later // (16 * SECOND) % (1 << 40)
    assert read(part, later, 10) == whole[1] * later // SECOND % (1 << 40)
    assert not read(part, later + SECOND, 11) & 0xC00
