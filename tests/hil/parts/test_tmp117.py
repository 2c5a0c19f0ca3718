"""TMP117 at register level, against its data sheet (SNOSD82D)."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.i2c import I2CBus
from hil.parts.tmp117 import Tmp117

SECOND = 1_000_000_000
#: first result after power-up: 8 averages of 15.5 ms
FIRST_NS = 125_000_000


def word(part: Tmp117, t_ns: int, address: int) -> int:
    answer = part.i2c_write_read(t_ns, bytes((address,)), 2)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Tmp117, t_ns: int, address: int, value: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *(value & 0xFFFF).to_bytes(2, "big")))) == 3


@pytest.fixture
def part() -> Tmp117:
    part = Tmp117("temp", seed=1)
    part.set("temperature_c", 21.5)
    return part


def test_reset_values(part: Tmp117) -> None:
    """Section 7.6, table 7-8: every register after power-up."""
    expected = {0: 0x8000, 1: 0x0220, 2: 0x6000, 3: 0x8000, 4: 0, 7: 0, 0x0F: 0x0117}
    assert {address: word(part, 0, address) for address in expected} == expected


def test_result_is_minus_256_until_the_first_conversion(part: Tmp117) -> None:
    """8000h stands in the result until 8 averages are done; then 7.8125 m°C a step."""
    assert word(part, FIRST_NS - 1, 0) == 0x8000
    assert word(part, FIRST_NS, 0) == 2752
    part.set("temperature_c", -25.0)
    assert word(part, FIRST_NS + SECOND - 1, 0) == 2752
    assert word(part, FIRST_NS + SECOND, 0) == (-3200) & 0xFFFF


@pytest.mark.parametrize(
    ("conv", "avg", "first_ns", "cycle_ns"),
    [
        (0, 0, 15_500_000, 15_500_000),
        (0, 1, 125_000_000, 125_000_000),
        (1, 0, 15_500_000, 125_000_000),
        (4, 3, SECOND, SECOND),
        (2, 2, SECOND // 2, SECOND // 2),
        (7, 0, 15_500_000, 16 * SECOND),
    ],
)
def test_conversion_times(part: Tmp117, conv: int, avg: int, first_ns: int, cycle_ns: int) -> None:
    """Table 7-7: conversion cycle by CONV and AVG, data ready at its end."""
    write(part, 500, 1, conv << 7 | avg << 5)
    assert not word(part, 500 + first_ns - 1, 1) & 0x2000
    assert word(part, 500 + first_ns, 1) & 0x2000
    assert not word(part, 500 + first_ns + cycle_ns - 1, 1) & 0x2000
    assert word(part, 500 + first_ns + cycle_ns, 1) & 0x2000


def test_data_ready_clears_on_either_read(part: Tmp117) -> None:
    """Reading the result or CONFIG clears data ready."""
    word(part, FIRST_NS, 0)
    assert not word(part, FIRST_NS, 1) & 0x2000
    assert word(part, FIRST_NS + SECOND, 1) & 0x2000
    assert not word(part, FIRST_NS + SECOND, 1) & 0x2000


def test_one_shot_returns_to_shutdown(part: Tmp117) -> None:
    """A one-shot measures what was there when it was asked, and leaves MOD at shutdown."""
    write(part, 0, 1, 0x0C20)
    part.set("temperature_c", 30.0)
    assert word(part, FIRST_NS - 1, 1) & 0x0C00 == 0x0C00
    assert word(part, FIRST_NS, 1) & 0x2C00 == 0x2400
    assert word(part, 9 * SECOND, 0) == 2752


def test_shutdown_measures_nothing(part: Tmp117) -> None:
    """In shutdown the last result stays."""
    word(part, FIRST_NS, 0)
    write(part, FIRST_NS, 1, 0x0620)
    part.set("temperature_c", 30.0)
    assert word(part, 9 * SECOND, 0) == 2752


def test_alert_mode_latches_until_read(part: Tmp117) -> None:
    """In alert mode each limit has its flag, and reading CONFIG clears both."""
    write(part, 0, 2, 20 * 128)
    write(part, 0, 3, 10 * 128)
    assert word(part, FIRST_NS, 1) & 0xC000 == 0x8000
    assert word(part, FIRST_NS, 1) & 0xC000 == 0
    part.set("temperature_c", 5.0)
    assert word(part, FIRST_NS + SECOND, 1) & 0xC000 == 0x4000


def test_therm_mode_has_hysteresis(part: Tmp117) -> None:
    """In therm mode the high flag stays, read or not, down to the low limit."""
    write(part, 0, 2, 20 * 128)
    write(part, 0, 3, 10 * 128)
    write(part, 0, 1, 0x0230)
    assert word(part, FIRST_NS, 1) & 0xC000 == 0x8000
    part.set("temperature_c", 15.0)
    assert word(part, FIRST_NS + SECOND, 1) & 0xC000 == 0x8000
    part.set("temperature_c", 5.0)
    assert word(part, FIRST_NS + 2 * SECOND, 1) & 0xC000 == 0


def test_offset_is_added_and_saturates(part: Tmp117) -> None:
    """The offset register shifts the result, which stops at the ends of its range."""
    write(part, 0, 7, -500)
    assert word(part, FIRST_NS, 0) == 2252
    write(part, FIRST_NS, 7, 0x7FFF)
    assert word(part, FIRST_NS + SECOND, 0) == 0x7FFF


def test_unlocked_writes_survive_a_reset(part: Tmp117) -> None:
    """With EUN set a write goes to the EEPROM too, which is busy for 7 ms and loaded at reset."""
    write(part, 0, 2, 0x1234)  # locked: lost at reset
    write(part, 0, 4, 0x8000)
    write(part, 0, 3, 0x0567)
    assert word(part, 6_999_999, 1) & 0x1000
    assert word(part, 6_999_999, 4) == 0xC000
    write(part, 6_999_999, 7, 0x0001)  # while busy: ignored by the EEPROM
    assert not word(part, 7_000_000, 1) & 0x1000
    assert part.eeprom_dropped == 1
    write(part, SECOND, 1, 0x0002)
    values = [word(part, SECOND + 2_000_000, address) for address in (1, 2, 3, 7)]
    assert values == [0x0220, 0x6000, 0x0567, 0]


def test_soft_reset_takes_two_milliseconds(part: Tmp117) -> None:
    """After a soft reset the first conversion starts 2 ms later."""
    write(part, SECOND, 1, 0x0002)
    due_ns = SECOND + 2_000_000 + FIRST_NS
    assert word(part, due_ns - 1, 0) == 0x8000
    assert word(part, due_ns, 0) == 2752


def test_identity_belongs_to_the_part() -> None:
    """EEPROM 1 to 3 hold an identity that depends on seed and name, and on nothing else."""
    identities = []
    for name, seed in (("a", 1), ("a", 1), ("b", 1), ("a", 2)):
        part = Tmp117(name, seed)
        identities.append([word(part, 0, address) for address in (5, 6, 8)])
    assert identities[0] == identities[1]
    assert len({tuple(identity) for identity in identities}) == 3


def test_the_general_call_resets_the_part() -> None:
    """06h behind address 00h brings the limits back to their EEPROM; another octet is refused."""
    part = Tmp117("t")
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x48, part)
    power_up = bus.transfer(0, 0x48, b"\x02", 2)[2]
    bus.transfer(0, 0x48, b"\x02\x12\x34", 0)
    assert bus.transfer(0, 0x00, b"\x04", 0)[0] == Status.NAK_DATA
    assert bus.transfer(0, 0x48, b"\x02", 2)[2] == b"\x12\x34"
    assert bus.transfer(0, 0x00, b"\x06", 0)[0] == Status.OK
    assert bus.transfer(0, 0x48, b"\x02", 2)[2] == power_up
