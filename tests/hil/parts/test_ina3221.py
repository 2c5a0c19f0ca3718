"""INA3221 at register level, against its data sheet (SBOS576B)."""

from __future__ import annotations

import pytest

from hil.errors import ConfigError
from hil.parts.ina3221 import Ina3221

#: one cycle at the reset configuration: 3 channels, shunt and bus, 1.1 ms each
CYCLE_NS = 6_600_000


def word(part: Ina3221, t_ns: int, address: int) -> int:
    answer = part.i2c_write_read(t_ns, bytes((address,)), 2)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Ina3221, t_ns: int, address: int, value: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *value.to_bytes(2, "big")))) == 3


@pytest.fixture
def part() -> Ina3221:
    part = Ina3221("power", shunts=(0.01, 0.1, 0.05))
    for number, volts, amperes in ((1, 5.0, 2.0), (2, 3.3, -0.4), (3, 12.0, 0.1)):
        part.set(f"bus{number}_v", volts)
        part.set(f"current{number}_a", amperes)
    return part


def test_reset_values(part: Ina3221) -> None:
    """Section 8.6.1, table 3: every register after power-up."""
    expected = {0x00: 0x7127, 0x0D: 0, 0x0E: 0x7FFE, 0x0F: 0x0002, 0x10: 0x2710, 0x11: 0x2328}
    expected |= dict.fromkeys(range(1, 7), 0) | dict.fromkeys(range(7, 13), 0x7FF8)
    expected |= {0xFE: 0x5449, 0xFF: 0x3220}
    assert {address: word(part, 0, address) for address in expected} == expected


def test_registers_are_left_aligned_twos_complement(part: Ina3221) -> None:
    """40 uV and 8 mV a step, shifted by three; negative shunt voltages in two's complement."""
    got = [word(part, CYCLE_NS, address) for address in range(1, 7)]
    steps = [500, 625, -1000, 412, 125, 1500]  # 20 mV, 5 V, -40 mV, 3.3 V, 5 mV, 12 V
    assert got[:3] == [500 << 3, 625 << 3, (-1000 << 3) & 0xFFFF]
    assert got[3] in (412 << 3, 413 << 3)  # 412.5 steps
    assert got[4:] == [step << 3 for step in steps[4:]]


def test_nothing_changes_before_a_cycle_has_ended(part: Ina3221) -> None:
    """Outputs latch at the end of a cycle, and again only at the end of the next."""
    assert word(part, CYCLE_NS - 1, 0x02) == 0
    assert word(part, CYCLE_NS, 0x02) == 625 << 3
    part.set("bus1_v", 6.0)
    assert word(part, 2 * CYCLE_NS - 1, 0x02) == 625 << 3
    assert word(part, 2 * CYCLE_NS, 0x02) == 750 << 3


@pytest.mark.parametrize(
    ("config", "cycle_ns"),
    [
        (0x7127, 6_600_000),  # 3 channels, 1.1 + 1.1 ms
        (0x4007, 280_000),  # channel 1, 140 + 140 us
        (0x4005, 140_000),  # shunt only
        (0x4006, 140_000),  # bus only
        (0x6E07, 2 * 280_000 * 1024),  # two channels, 1024 averages
        (0x71FF, 3 * 2 * 8_244_000),
    ],
)
def test_cycle_time_follows_the_configuration(part: Ina3221, config: int, cycle_ns: int) -> None:
    """CVRF rises when averages times enabled conversions have passed, not a moment earlier."""
    write(part, 1000, 0x00, config)
    assert not word(part, 1000 + cycle_ns - 1, 0x0F) & 1
    assert word(part, 1000 + cycle_ns, 0x0F) & 1
    assert not word(part, 1000 + cycle_ns, 0x0F) & 1  # reading cleared it


def test_disabled_channels_and_measurements_keep_their_value(part: Ina3221) -> None:
    """Only what is enabled is measured."""
    write(part, 0, 0x00, 0x4126)  # channel 1, bus only
    late = 10 * CYCLE_NS
    assert [word(part, late, address) for address in range(1, 7)] == [0, 625 << 3, 0, 0, 0, 0]


def test_single_shot_measures_once_and_what_was_there_when_it_was_triggered(part: Ina3221) -> None:
    """A single shot ends with one result that stays until the next trigger."""
    write(part, 0, 0x00, 0x7123)
    part.set("bus1_v", 6.0)
    assert word(part, CYCLE_NS - 1, 0x02) == 0
    assert word(part, 5 * CYCLE_NS, 0x02) == 625 << 3
    assert word(part, 50 * CYCLE_NS, 0x02) == 625 << 3
    write(part, 50 * CYCLE_NS, 0x00, 0x7123)
    assert word(part, 52 * CYCLE_NS, 0x02) == 750 << 3


def test_power_down_stops_conversions(part: Ina3221) -> None:
    """In power-down the outputs stay, and CVRF does not rise."""
    assert word(part, CYCLE_NS, 0x02) == 625 << 3
    word(part, CYCLE_NS, 0x0F)
    write(part, CYCLE_NS, 0x00, 0x7120)
    part.set("bus1_v", 6.0)
    assert word(part, 100 * CYCLE_NS, 0x02) == 625 << 3
    assert not word(part, 100 * CYCLE_NS, 0x0F) & 1


def test_software_reset_restores_every_register(part: Ina3221) -> None:
    """Writing the top bit of CONFIG resets the part; the bit reads back 0."""
    write(part, 0, 0x08, 0x1000)
    write(part, 0, 0x00, 0xFFFF)
    assert word(part, 1, 0x00) == 0x7127
    assert word(part, 1, 0x08) == 0x7FF8


def test_converter_saturates_at_full_scale(part: Ina3221) -> None:
    """More than 163.8 mV across a shunt reads as full scale in either direction."""
    part.set("current2_a", 16.0)
    assert word(part, CYCLE_NS, 0x03) == 4095 << 3
    part.set("current2_a", -16.0)
    assert word(part, 2 * CYCLE_NS, 0x03) == (-4096 << 3) & 0xFFFF


def test_critical_and_warning_flags_latch_by_their_enable_bits(part: Ina3221) -> None:
    """CEN and WEN decide whether a flag stays after the current has fallen again."""
    write(part, 0, 0x07, 400 << 3)
    write(part, 0, 0x08, 300 << 3)
    assert word(part, CYCLE_NS, 0x0F) & 0x0220 == 0x0220
    part.set("current1_a", 0.0)
    assert word(part, 2 * CYCLE_NS, 0x0F) & 0x0220 == 0
    write(part, 2 * CYCLE_NS, 0x0F, 0x0C00)
    part.set("current1_a", 2.0)
    word(part, 3 * CYCLE_NS, 0x01)
    part.set("current1_a", 0.0)
    word(part, 4 * CYCLE_NS, 0x01)
    assert word(part, 5 * CYCLE_NS, 0x0F) & 0x0220 == 0x0220
    assert word(part, 6 * CYCLE_NS, 0x0F) & 0x0220 == 0


def test_shunt_sum_adds_the_selected_channels(part: Ina3221) -> None:
    """Section 8.3.2.1.1: bits 14 to 12 of MASK_ENABLE select; SF rises above the limit."""
    write(part, 0, 0x0F, 0x5000)  # channels 1 and 3
    assert word(part, CYCLE_NS, 0x0D) == 625 << 1
    assert not word(part, CYCLE_NS, 0x0F) & 0x40
    write(part, CYCLE_NS, 0x0E, 624 << 1)
    assert word(part, 2 * CYCLE_NS, 0x0F) & 0x40


def test_power_valid_has_hysteresis(part: Ina3221) -> None:
    """PVF rises with all channels above the upper limit, falls with one below the lower."""
    for number in (1, 2, 3):
        part.set(f"bus{number}_v", 10.1)
    assert word(part, CYCLE_NS, 0x0F) & 4
    part.set("bus2_v", 9.5)
    assert word(part, 2 * CYCLE_NS, 0x0F) & 4
    part.set("bus2_v", 8.9)
    assert not word(part, 3 * CYCLE_NS, 0x0F) & 4
    part.set("bus2_v", 9.5)
    assert not word(part, 4 * CYCLE_NS, 0x0F) & 4


@pytest.mark.parametrize("shunts", [(0.01, 0.01), (0.01, 0.0, 0.01), (0.01, -1.0, 0.01)])
def test_impossible_shunts_are_refused(shunts: tuple[float, ...]) -> None:
    """Anything but three positive resistances is a configuration error."""
    with pytest.raises(ConfigError, match="three positive resistances"):
        Ina3221("power", shunts=shunts)
