"""The GNSS stream: good messages are found in any surroundings, bad ones counted."""

from __future__ import annotations

from functools import reduce
from operator import xor

from fake_hal import PPS, SECOND, FakeHal
from hypothesis import given
from hypothesis import strategies as st

from flightsw.drivers.ublox import Stream, Ublox, message
from flightsw.hal import Edge


def _nmea(body: bytes) -> bytes:
    return b"$" + body + b"*%02X\r\n" % reduce(xor, body, 0)


def _pvt(second: int = 30, nano: int = 0, valid: int = 0x37, year: int = 2023) -> bytes:
    head = year.to_bytes(2, "little") + bytes((4, 3, 10, 11, second, valid))
    body = (0).to_bytes(4, "little") + head + bytes(4) + nano.to_bytes(4, "little", signed=True)
    body += bytes((3, 1, 0, 11))
    for value in (1_234_567_890, -450_000_000, 500_123_456, 500_000_000):
        body += value.to_bytes(4, "little", signed=True)
    body += bytes(8)
    for value in (-7_000_000, 1_000, -3):
        body += value.to_bytes(4, "little", signed=True)
    return message(0x01, 0x07, body.ljust(92, b"\0"))


GGA = _nmea(b"GNGGA,101130.00,4500.0,S,12320.7,E,1,11,0.8,500123.4,M,0.0,M,,")


@given(
    pieces=st.lists(
        st.one_of(
            st.just(_pvt()),
            st.just(GGA),
            st.binary(max_size=12).filter(lambda b: not set(b) & {0xB5, 0x24}),
        ),
        max_size=12,
    ),
    chunk=st.integers(1, 200),
)
def test_messages_are_found_between_noise_in_chunks_of_any_size(
    pieces: list[bytes], chunk: int
) -> None:
    """Every good message is counted, every other octet is skipped, nothing is lost or kept."""
    stream, octets, found = Stream(), b"".join(pieces), 0
    for at in range(0, len(octets), chunk):
        found += len(stream.feed(octets[at : at + chunk]))
    assert found == stream.good_ubx == pieces.count(_pvt())
    assert stream.good_nmea == pieces.count(GGA)
    assert stream.skipped == sum(len(p) for p in pieces if p not in (_pvt(), GGA))
    assert stream.bad == 0


@given(at=st.integers(0, 99), bit=st.integers(0, 7))
def test_one_wrong_bit_costs_one_message_at_most(at: int, bit: int) -> None:
    """Whatever bit of a UBX message flips, the messages behind it are still found."""
    good = _pvt()
    spoiled = bytearray(good)
    spoiled[at] ^= 1 << bit
    stream = Stream()
    found = stream.feed(bytes(spoiled) + good * 12)
    assert found == [good[2:-2]] * 12


@given(st.binary(max_size=600))
def test_any_octets_are_taken_without_error_and_in_bounds(octets: bytes) -> None:
    """Noise never raises and never makes the buffer grow beyond one message."""
    stream = Stream()
    for _ in range(10):
        stream.feed(octets)
    assert len(stream._buffer) <= 1024 + 8


def _receiver(hal: FakeHal) -> Ublox:
    device = next(d for d in hal.devices if d.role == "gnss")
    return Ublox(hal, device)


def test_a_solution_is_read_in_its_units() -> None:
    """Position, velocity, fix and time of a NAV-PVT message."""
    hal = FakeHal()
    gnss = _receiver(hal)
    hal.uart("ttyAMA1").rx += _pvt()
    assert gnss.poll(123)
    fix = gnss.fix
    assert fix is not None
    assert (fix.longitude, fix.latitude, fix.height_mm) == (
        1_234_567_890,
        -450_000_000,
        500_123_456,
    )
    assert (fix.north_mm_s, fix.east_mm_s, fix.down_mm_s) == (-7_000_000, 1_000, -3)
    assert (fix.fix, fix.satellites, fix.t_ns) == (3, 11, 123)
    assert fix.unix_s == 1_680_516_690
    assert fix.time_valid


def test_a_solution_without_valid_time_or_place_is_no_time() -> None:
    """Invalid date and time flags are respected."""
    hal = FakeHal()
    gnss = _receiver(hal)
    hal.uart("ttyAMA1").rx += _pvt(valid=0)
    gnss.poll(1)
    assert gnss.fix is not None
    assert not gnss.fix.time_valid


def test_the_clock_offset_comes_from_the_pulse_and_the_solution_behind_it() -> None:
    """A pulse 1.5 ms late and the second that the next solution names give +2.0015 s."""
    hal = FakeHal()
    gnss = _receiver(hal)
    epoch = 1_680_516_690 - 50
    assert gnss.offset_ns(epoch) is None
    hal.gpio(*PPS).pending.append(Edge(52 * SECOND + 1_500_000, 1))
    gnss.pulses()
    assert gnss.offset_ns(-1) == 1_500_000
    hal.uart("ttyAMA1").rx += _pvt()
    gnss.poll(52 * SECOND + 200_000_000)
    assert gnss.offset_ns(epoch) == 2 * SECOND + 1_500_000


def test_a_year_beyond_the_calendar_is_no_time_and_no_crash() -> None:
    """A receiver that raves is not believed: the position is taken, the time is not valid."""
    hal = FakeHal()
    driver = Ublox(hal, next(d for d in hal.devices if d.role == "gnss"))
    hal.uart("ttyAMA1").rx += _pvt(year=65535)
    assert driver.poll(SECOND)
    assert driver.fix is not None
    assert not driver.fix.time_valid
