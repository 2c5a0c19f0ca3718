"""DS3231 at register level, against its data sheet (19-5170)."""

from __future__ import annotations

import pytest

from hil.errors import ConfigError
from hil.parts.ds3231 import Ds3231
from hil.testing.contracts.part import check_part
from hil.testing.simple_scheduler import SimpleScheduler

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def read(part: Ds3231, t_ns: int, address: int, nread: int = 1) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


def shown(part: Ds3231, t_ns: int) -> str:
    """Return the seven time registers, seconds first, as the BCD digits that they are."""
    return read(part, t_ns, 0, 7).hex()


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ds3231("clock", 3))
    check_part(lambda: Ds3231("clock", 3, time="2026-02-28T23:59:50"))


def test_without_battery_it_starts_at_2000_and_says_so() -> None:
    """Power-up: 2000-01-01 00:00:00, day 1, oscillator stop flag and INTCN, RS2, RS1 set."""
    part = Ds3231("clock")
    assert shown(part, 0) == "00000001010100"
    assert read(part, SECOND, 0x0E, 3) == b"\x1c\x88\x00"
    assert read(Ds3231("clock", time="2026-01-31T12:00:00"), SECOND, 0x0F) == b"\x08"


@pytest.mark.parametrize(
    ("start", "after"),
    [
        ("2026-02-28T23:59:59", "00000007010326"),
        ("2028-02-28T23:59:59", "00000002290228"),
        ("2026-12-31T23:59:59", "00000005010127"),
        ("2099-12-31T23:59:59", "00000005018100"),
        ("2026-06-15T09:59:59", "00001001150626"),
    ],
)
def test_calendar(start: str, after: str) -> None:
    """Months, leap years and the century roll over; the day of the week counts at midnight."""
    assert shown(Ds3231("clock", time=start), SECOND) == after


def test_time_is_what_was_written_plus_what_passed() -> None:
    """Writing the seconds restarts the second: the next one is a whole second later."""
    part = Ds3231("clock")
    part.i2c_write(SECOND // 2, bytes.fromhex("00 58 59 23 03 31 12 26"))
    assert shown(part, SECOND // 2 + SECOND - 1) == "58592303311226"
    assert shown(part, SECOND // 2 + 2 * SECOND) == "00000004010127"
    assert shown(part, SECOND // 2 + 400 * DAY) == "58592304040228"


@pytest.mark.parametrize(
    ("hour", "later"), [(0x72, 0x61), (0x52, 0x41), (0x51, 0x72), (0x71, 0x52), (0x49, 0x50)]
)
def test_twelve_hour_mode(hour: int, later: int) -> None:
    """With bit 6 set hours go 12, 1 to 11, and noon and midnight turn AM and PM."""
    part = Ds3231("clock")
    part.i2c_write(0, bytes((0, 0, 0, hour)))
    assert read(part, 3600 * SECOND, 2)[0] == later


def test_pointer_wraps_after_12h() -> None:
    """A read past 12h goes on at 00h."""
    part = Ds3231("clock", time="2026-01-31T12:00:07")
    assert read(part, 0, 0x12, 2)[1] == 0x07


@pytest.mark.parametrize(
    ("fields", "first_s"),
    [
        ("80808080", 1),
        ("30808080", 30),
        ("00058080", 300),
        ("00000280", 7200),
        ("00000002", 86_400),
        ("00000045", 4 * 86_400),
    ],
)
def test_alarm_1(fields: str, first_s: int) -> None:
    """Table 2: each mask of alarm 1 matches when it says, and not a second before."""
    part = Ds3231("clock")
    part.i2c_write(0, bytes((7, *bytes.fromhex(fields))))
    part.i2c_write(0, b"\x0f\x00")
    assert not read(part, first_s * SECOND - 1, 0x0F)[0] & 1
    assert read(part, first_s * SECOND, 0x0F)[0] & 1
    part.i2c_write(first_s * SECOND, b"\x0f\x00")
    assert not read(part, first_s * SECOND, 0x0F)[0] & 1


@pytest.mark.parametrize(
    ("fields", "first_s"), [("808080", 60), ("108080", 600), ("000380", 3 * 3600)]
)
def test_alarm_2(fields: str, first_s: int) -> None:
    """Table 2: alarm 2 has no seconds and matches at 00 of its minute, however long nobody asks."""
    part = Ds3231("clock")
    part.i2c_write(0, bytes((0x0B, *bytes.fromhex(fields))))
    part.i2c_write(0, b"\x0f\x00")
    assert not read(part, first_s * SECOND - 1, 0x0F)[0] & 2
    assert read(part, first_s * SECOND + 40 * DAY, 0x0F)[0] & 2


def test_flags_can_only_be_cleared() -> None:
    """Writing 1 to OSF, A1F or A2F leaves them as they are."""
    part = Ds3231("clock", time="2026-01-31T12:00:00")
    part.i2c_write(0, b"\x0f\x8b")
    assert read(part, SECOND // 2, 0x0F) == b"\x08"
    lost = Ds3231("clock")
    lost.i2c_write(0, b"\x0f\x88")
    assert read(lost, SECOND // 2, 0x0F)[0] & 0x80
    lost.i2c_write(0, b"\x0f\x08")
    assert not read(lost, SECOND // 2, 0x0F)[0] & 0x80


def test_temperature_every_64_seconds_and_on_demand() -> None:
    """BSY shows 125 ms of conversion every 64 s; CONV asks for one more and then reads 0."""
    part = Ds3231("clock")
    part.set("temperature_c", 10.25)
    assert read(part, 0, 0x0F)[0] & 4
    assert read(part, SECOND, 0x11, 2) == b"\x0a\x40"
    assert not read(part, SECOND, 0x0F)[0] & 4
    part.set("temperature_c", -0.25)
    assert read(part, 63 * SECOND, 0x11, 2) == b"\x0a\x40"
    part.i2c_write(63 * SECOND, b"\x0e\x3c")
    assert read(part, 63 * SECOND + 124_999_999, 0x0E, 2)[1] & 4
    assert read(part, 63 * SECOND + 125_000_000, 0x0E) == b"\x1c"
    assert read(part, 63 * SECOND + 125_000_000, 0x11, 2) == b"\xff\xc0"


def test_busy_shows_a_conversion_on_demand_two_milliseconds_late() -> None:
    """Special-purpose registers, CONV: it does not affect BSY for about 2 ms; CONV itself stays."""
    part = Ds3231("clock")
    asked = 10 * SECOND
    part.i2c_write(asked, b"\x0e\x3c")
    assert read(part, asked + 1_999_999, 0x0E, 2) == b"\x3c\x88"
    assert read(part, asked + 2_000_000, 0x0E, 2) == b"\x3c\x8c"
    # Nor does asking again within those two milliseconds start it anew.
    part.i2c_write(asked + 1_000_000, b"\x0e\x3c")
    assert read(part, asked + 125_000_000, 0x0E, 2) == b"\x1c\x88"


def test_drift_and_aging() -> None:
    """A crystal 10 ppm fast gains 0.864 s a day; 100 steps of aging take 10 ppm away."""
    part = Ds3231("clock", time="2026-01-01T00:00:00", drift_ppm=10)
    assert shown(part, 100 * DAY)[:6] == "260100"
    part.i2c_write(100 * DAY, b"\x10\x64")
    assert shown(part, 200 * DAY)[:6] == "260100"


def test_a_time_that_is_none_is_refused() -> None:
    """A start time that cannot be shown is an error that names the key."""
    for text in ("yesterday", "1999-12-31T00:00:00"):
        with pytest.raises(ConfigError, match="time"):
            Ds3231("clock", time=text)


def test_interrupt_pin_follows_the_alarm_at_its_second() -> None:
    """With INTCN and A1IE the pin falls at the second of the alarm and rises with A1F cleared."""
    part, clock = Ds3231("clock", drift_ppm=100), SimpleScheduler()
    edges: list[tuple[int, int]] = []
    part.gpio_drive = lambda t_ns, pin, level: edges.append((t_ns, level))
    part.start(clock, 200)
    part.i2c_write(0, bytes.fromhex("07 30 80 80 80"))
    clock.run_until(40 * SECOND)
    assert (edges, clock.pending) == ([], 0)
    part.i2c_write(clock.now_ns, b"\x0f\x00")
    part.i2c_write(clock.now_ns, b"\x0e\x1d")
    clock.run_until(100 * SECOND)
    due_ns = -(-90 * SECOND * SECOND // (SECOND + 100_000))
    assert edges == [(due_ns, 0)]
    part.i2c_write(clock.now_ns, b"\x0f\x00")
    assert edges[1:] == [(100 * SECOND, 1)]
