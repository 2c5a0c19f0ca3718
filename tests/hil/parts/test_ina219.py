"""INA219 at register level, against its data sheet (SBOS448G)."""

from __future__ import annotations

import pytest

from hil.errors import ConfigError
from hil.parts.ina219 import Ina219
from hil.testing.contracts.part import check_part

#: shunt and bus at 12 bits
CYCLE_NS = 1_064_000


def word(part: Ina219, t_ns: int, address: int) -> int:
    answer = part.i2c_write_read(t_ns, bytes((address,)), 2)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Ina219, t_ns: int, address: int, value: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *value.to_bytes(2, "big")))) == 3


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ina219("power", 3))


def test_reset_values() -> None:
    """Section 8.6.2, table 2: every register after power-up and after the reset bit."""
    part = Ina219("power")
    write(part, 0, 5, 0x1235)
    assert word(part, 0, 5) == 0x1234
    write(part, 0, 0, 0xB99F)
    assert [word(part, 0, address) for address in range(6)] == [0x399F, 0, 0, 0, 0, 0]


def test_example_of_the_data_sheet() -> None:
    """Table 8: 10 A in 2 mohm at 11.98 V with calibration 5000h reads as the example says."""
    part = Ina219("power", shunt=0.002)
    part.set("bus_v", 11.98)
    part.set("current_a", 10.0)
    write(part, 0, 5, 0x5000)
    words = [word(part, CYCLE_NS, address) for address in (1, 2, 4, 3)]
    assert words == [0x07D0, 0x5D98 | 2, 0x2710, 0x1766]


@pytest.mark.parametrize(
    ("adc", "time_us"),
    [(0, 84), (1, 148), (2, 276), (3, 532), (8, 532), (9, 1060), (12, 8510), (15, 68100)],
)
def test_conversion_times(adc: int, time_us: int) -> None:
    """Table 5: both conversions take their time before conversion ready is set."""
    part = Ina219("power")
    write(part, 500, 0, 0x2007 | adc << 7 | adc << 3)
    due_ns = 500 + 2 * time_us * 1000
    assert not word(part, due_ns - 1, 2) & 2
    assert word(part, due_ns, 2) & 2


def test_ready_clears_when_power_is_read_or_the_mode_written() -> None:
    """Section 8.6.3.2: the ready bit goes with a read of POWER and with a new mode."""
    part = Ina219("power")
    assert word(part, CYCLE_NS, 2) & 2
    word(part, CYCLE_NS, 3)
    assert not word(part, CYCLE_NS, 2) & 2
    assert word(part, 2 * CYCLE_NS, 2) & 2
    write(part, 2 * CYCLE_NS, 0, 0x399F)
    assert not word(part, 2 * CYCLE_NS, 2) & 2


@pytest.mark.parametrize("gain", [0, 1, 2, 3])
def test_shunt_holds_at_the_ends_of_the_gain(gain: int) -> None:
    """Table 4: the shunt register ends at 40, 80, 160 and 320 mV, both ways."""
    part = Ina219("power")
    write(part, 0, 0, 0x219F | gain << 11)
    full = 4000 << gain
    for sign in (1, -1):
        part.set("current_a", sign * 3.2)
        t_ns = CYCLE_NS if sign == 1 else 2 * CYCLE_NS
        assert word(part, t_ns, 1) == sign * full & 0xFFFF


def test_overflow_flag() -> None:
    """A current that does not fit its register sets OVF, and one that fits clears it."""
    part = Ina219("power")
    write(part, 0, 0, 0x019F)
    write(part, 0, 5, 33586)
    part.set("current_a", 0.4)
    assert word(part, CYCLE_NS, 2) & 1
    part.set("current_a", 0.39)
    assert not word(part, 2 * CYCLE_NS, 2) & 1


def test_bus_voltage_ends_at_the_range() -> None:
    """With BRNG 0 the bus register ends at 16 V."""
    part = Ina219("power")
    part.set("bus_v", 20.0)
    assert word(part, CYCLE_NS, 2) >> 3 == 5000
    write(part, CYCLE_NS, 0, 0x199F)
    assert word(part, 3 * CYCLE_NS, 2) >> 3 == 4000


def test_triggered_mode_measures_once() -> None:
    """A triggered conversion holds what was there when CONFIG was written."""
    part = Ina219("power")
    part.set("bus_v", 3.0)
    write(part, 0, 0, 0x399B)
    part.set("bus_v", 9.0)
    assert word(part, 10 * CYCLE_NS, 2) == 750 << 3 | 2
    assert word(part, 99 * CYCLE_NS, 2) == 750 << 3 | 2


def test_bad_shunt_is_refused() -> None:
    """A shunt of zero ohm is an error of the board file."""
    with pytest.raises(ConfigError, match="shunt"):
        Ina219("power", shunt=0.0)
