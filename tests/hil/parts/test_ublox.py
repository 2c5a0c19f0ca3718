"""GNSS receiver: fix, time pulse, configuration, stream."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ublox_bench import EPOCH, SECOND_NS, Bench

from hil.errors import ConfigError
from hil.parts.base import Active, GPIODevice, UARTDevice, stream
from hil.parts.pps import PulseFault
from hil.parts.ublox import Ublox, nmea, ubx
from hil.parts.ublox.gps_time import leap_seconds, time_of_week_ms
from hil.parts.ublox.messages import MESSAGES
from hil.parts.ublox.navigator import Navigator, Noise, Timing
from hil.parts.ublox.solution import GOOD_DOPS, SYSTEMS, sky
from hil.testing.simple_scheduler import SimpleScheduler


def test_before_the_first_fix_there_is_no_pulse_and_no_position() -> None:
    """Until the time to first fix, solutions say fix 0 with unknown accuracy and no time."""
    bench = Bench()
    assert isinstance(bench.receiver, UARTDevice)
    assert isinstance(bench.receiver, GPIODevice)
    assert isinstance(bench.receiver, Active)
    bench.run(2.9)
    assert bench.edges == []
    solutions = bench.solutions()
    assert len(solutions) == 3
    for _, fields in solutions:
        assert (fields["fix_type"], fields["flags"], fields["valid"]) == (0, 0, 0)
        assert (fields["num_sv"], fields["h_acc_mm"]) == (0, 0xFFFF_FFFF)
    assert b"$GNRMC,,V,,,,,,,,,,N,V*37\r\n" in bench.sent[0][1]


def test_with_a_fix_the_pulse_marks_the_second_and_the_solution_follows() -> None:
    """Rising edge at the second, falling 100 ms later, octets 60 ms after the second."""
    bench = Bench()
    bench.run(4.5)
    seconds = [3 * SECOND_NS, 4 * SECOND_NS]
    assert bench.edges == [
        (t_ns + width, level) for t_ns in seconds for width, level in ((0, 1), (100_000_000, 0))
    ]
    assert [t_ns for t_ns, f in bench.solutions() if f["fix_type"] == 3] == [
        t_ns + 60_000_000 for t_ns in seconds
    ]


def test_a_solution_is_of_its_epoch_not_of_its_sending() -> None:
    """What the world does during the computation does not show."""
    bench = Bench(noise_m=0.0)
    bench.receiver.set("lat_deg", 10.0)
    bench.run(3.01)
    bench.receiver.set("lat_deg", 20.0)
    bench.run(0.5)
    assert bench.solutions()[-1][1]["lat_1e7"] == 100_000_000


def test_time_is_that_of_the_epoch() -> None:
    """UTC fields and GPS time of week (18 leap seconds in 2023) belong to the top of second."""
    bench = Bench()
    bench.run(5.5)
    fields = bench.solutions()[-1][1]
    utc = EPOCH + timedelta(seconds=5)
    names = ("year", "month", "day", "hour", "minute", "second")
    assert tuple(fields[name] for name in names) == utc.timetuple()[:6]
    # 2023-04-03 was a Monday: one day into the week, and 18 s.
    assert fields["itow_ms"] == (86_400 + 10 * 3_600 + 20 * 60 + 35 + 18) * 1000
    assert fields["valid"] == 0x07


def test_an_epoch_within_a_second_moves_the_pulse_to_the_utc_second() -> None:
    """If t = 0 lies 0.25 s after a second, pulses come at 0.75 s and so on."""
    bench = Bench(EPOCH + timedelta(milliseconds=250), ttff_s=0.0)
    bench.run(2.5)
    assert [t_ns for t_ns, level in bench.edges if level] == [750_000_000, 1_750_000_000]
    assert bench.solutions()[-1][1]["nano"] == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_solutions_carry_the_world_within_epsilon(share: float) -> None:
    """Over the range of each quantity a solution is within epsilon, at an orbit's height too."""
    bench = Bench(ttff_s=0.0)
    wanted = {}
    for name, quantity in Ublox.QUANTITIES.items():
        if name != "fix":
            wanted[name] = quantity.lower + share * (quantity.upper - quantity.lower)
            bench.receiver.set(name, wanted[name])
    bench.run(20.5)
    names = {
        "lat_deg": ("lat_1e7", 1e-7),
        "lon_deg": ("lon_1e7", 1e-7),
        "alt_m": ("height_mm", 1e-3),
        "vn_m_s": ("vel_n_mm_s", 1e-3),
        "ve_m_s": ("vel_e_mm_s", 1e-3),
        "vd_m_s": ("vel_d_mm_s", 1e-3),
    }
    solutions = bench.solutions()
    assert len(solutions) == 21
    for _, fields in solutions:
        for name, (field, scale) in names.items():
            off = fields[field] * scale - wanted[name]
            if name == "lon_deg":
                off = (off + 180) % 360 - 180
            assert abs(off) <= Ublox.QUANTITIES[name].epsilon, name


def test_speed_and_heading_follow_from_the_velocity() -> None:
    """Ground speed is the horizontal one; heading runs clockwise from north, 0 to 360 degrees."""
    bench = Bench(ttff_s=0.0, velocity_noise_m_s=0.0)
    bench.receiver.set("vn_m_s", -3_000.0)
    bench.receiver.set("ve_m_s", -4_000.0)
    bench.run(0.5)
    fields = bench.solutions()[-1][1]
    assert fields["ground_mm_s"] == 5_000_000
    assert abs(fields["head_motion_1e5"] * 1e-5 - 233.1301) < 1e-4


def test_a_lost_fix_stops_pulse_and_fix_until_it_is_reacquired() -> None:
    """Time stays valid, the last position stays with a mark, and a fix takes its time to return."""
    bench = Bench()
    bench.receiver.set("lat_deg", 45.0)
    bench.run(4.5)
    bench.receiver.set("fix", 0)
    bench.receiver.set("lat_deg", 50.0)
    bench.run(3)  # epochs 5, 6, 7
    fields = bench.solutions()[-1][1]
    assert (fields["fix_type"], fields["valid"], fields["flags3"] & 1) == (0, 0x07, 1)
    assert abs(fields["lat_1e7"] - 450_000_000) < 300
    bench.receiver.set("fix", 1)
    bench.run(3)  # epochs 8, 9, 10
    assert [t_ns // SECOND_NS for t_ns, level in bench.edges if level] == [3, 4, 9, 10]
    assert [bench.receiver.navigator.counters[name] for name in ("fixes", "losses")] == [2, 1]


def test_no_sky_at_the_start_delays_the_first_fix() -> None:
    """The time to first fix counts from the moment that the sky is there."""
    bench = Bench()
    bench.receiver.set("fix", 0)
    bench.run(5.5)
    bench.receiver.set("fix", 1)
    bench.run(4)
    assert [t_ns // SECOND_NS for t_ns, level in bench.edges if level] == [8, 9]


def test_ten_hertz_solutions_move_with_the_velocity() -> None:
    """Between the world's seconds a position is carried on, so that it does not stand still."""
    bench = Bench(ttff_s=0.0, noise_m=0.0, velocity_noise_m_s=0.0)
    bench.receiver.set("alt_m", 480_000.0)
    bench.receiver.set("vn_m_s", 7_600.0)
    bench.ask(ubx.CFG_RATE, b"\x64\x00\x01\x00\x01\x00")
    bench.run(1.0)
    bench.sent.clear()
    bench.run(0.85)
    metres = [f["lat_1e7"] * 1e-7 * 111_194.9 * (6851 / 6371) for _, f in bench.solutions()]
    steps = [after - before for before, after in pairwise(metres)]
    assert len(steps) >= 6
    assert all(abs(step - 760) < 1 for step in steps)


def test_message_rates_are_obeyed_and_acknowledged() -> None:
    """UBX-CFG-MSG in both forms and UBX-CFG-VALSET switch messages off and thin them out."""
    bench = Bench(ttff_s=0.0)
    assert bench.ask(ubx.CFG_MSG, bytes((*ubx.NMEA_GGA, 0))) == [ubx.ACK_ACK]
    assert bench.ask(ubx.CFG_MSG, bytes((*ubx.NMEA_RMC, 0, 0, 9, 9, 9, 0))) == [ubx.ACK_ACK]
    value = (0x2091_0007).to_bytes(4, "little") + b"\x02"
    assert bench.ask(ubx.CFG_VALSET, b"\x00\x01\x00\x00" + value) == [ubx.ACK_ACK]
    bench.sent.clear()
    bench.run(4.5)
    assert [t_ns // SECOND_NS for t_ns, _ in bench.sent] == [0, 2, 4]
    assert all(data.startswith(ubx.SYNC) for _, data in bench.sent)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (ubx.CFG_MSG, b"\x02\x15\x01"),
        (ubx.CFG_MSG, b"\x01"),
        (ubx.CFG_RATE, b"\x0a\x00\x01\x00\x01\x00"),
        (ubx.CFG_RATE, b"\x00"),
        (ubx.CFG_VALSET, b"\x00\x01\x00\x00\x01\x00\x00\x10\x01"),
        (ubx.CFG_VALSET, b"\x00\x01\x00\x00\x07\x00"),
        (ubx.CFG_VALSET, b""),
        (ubx.CFG_NAV5, bytes(35)),
        ((0x06, 0x13), bytes(4)),
    ],
)
def test_what_is_malformed_or_unmodelled_is_refused(
    message: tuple[int, int], payload: bytes
) -> None:
    """A configuration that cannot be carried out is answered with UBX-ACK-NAK."""
    assert Bench().ask(message, payload) == [ubx.ACK_NAK]


def test_polls_are_answered() -> None:
    """Version, navigation rate and message rate can be read."""
    bench = Bench()
    assert bench.ask(ubx.MON_VER) == [ubx.MON_VER]
    assert bench.ask(ubx.CFG_RATE) == [ubx.CFG_RATE, ubx.ACK_ACK]
    assert bench.ask(ubx.CFG_MSG, bytes(ubx.NAV_PVT)) == [ubx.CFG_MSG, ubx.ACK_ACK]
    assert bench.ask((0x0A, 0x02)) == []
    assert bench.receiver.touched["UBX 0A 02"] == 1


@pytest.mark.parametrize(
    ("fault", "rises"),
    [
        (PulseFault("missing"), []),
        (PulseFault("shifted", value_ns=SECOND_NS), [4.0, 5.0]),
        (PulseFault("duplicate", value_ns=50_000_000), [3.0, 3.15, 4.0, 4.15]),
    ],
    ids=lambda value: value.kind if isinstance(value, PulseFault) else None,
)
def test_pulse_faults_do_what_they_say(fault: PulseFault, rises: list[float]) -> None:
    """A missing pulse is not there, a shifted one late, a duplicate one twice; each counted."""
    bench = Bench()
    bench.receiver.pulse.faults.add(fault)
    bench.run(5.0 - 1e-3)
    seen = [t_ns / SECOND_NS for t_ns, level in bench.edges if level]
    bench.run(0.5)
    assert seen == [t for t in rises if t < 5.0 - 1e-3]
    assert bench.receiver.pulse.counters[fault.kind] >= 2


def test_a_receiver_without_an_epoch_does_not_start() -> None:
    """Missing UTC of t = 0 is an error that says what to set."""
    with pytest.raises(ConfigError, match="part gnss: start without epoch_utc; set it first"):
        Ublox("gnss").start(SimpleScheduler(), 1)


@given(
    noise=st.lists(st.binary(max_size=12), min_size=3, max_size=3),
    split=st.integers(1, 40),
)
def test_frames_are_found_in_noise(noise: list[bytes], split: int) -> None:
    """However the stream is cut and dirtied, a frame after noise without a marker is found."""
    clean = [octets.replace(b"\xb5", b"").replace(b"$", b"") for octets in noise]
    frames = [ubx.frame(ubx.CFG_MSG, bytes((1, 7, i))) for i in range(2)]
    stream_octets = clean[0] + frames[0] + clean[1] + frames[1] + clean[2]
    splitter = ubx.Splitter()
    found = []
    for i in range(0, len(stream_octets), split):
        found += splitter.feed(stream_octets[i : i + split])
    assert found == [(ubx.CFG_MSG, bytes((1, 7, i))) for i in range(2)]
    assert splitter.counters["skipped_octets"] == sum(map(len, clean))


def test_a_damaged_frame_is_counted_and_the_next_one_found() -> None:
    """A wrong checksum costs that frame only; a length beyond any message is noise."""
    splitter = ubx.Splitter()
    good = ubx.frame(ubx.MON_VER)
    bad = bytearray(ubx.frame(ubx.CFG_MSG, b"\x01\x07\x01"))
    bad[-1] ^= 1
    assert splitter.feed(bytes(bad) + ubx.SYNC + b"\x01\x07\xff\xff" + good) == [(ubx.MON_VER, b"")]
    assert splitter.counters["bad_checksum"] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0000.00000,N"),
        (485_000_000, "4830.00000,N"),
        (-899_999_999, "8959.99999,S"),
        (-1, "0000.00001,S"),
        (999_999_999, "9959.99999,N"),
        (900_000_000, "9000.00000,N"),
    ],
)
def test_angles_are_degrees_and_minutes(value: int, text: str) -> None:
    """Minutes have five decimals, rounded, and never reach sixty."""
    assert nmea.angle(value, 2, "NS") == text


@given(
    lat=st.integers(-900_000_000, 900_000_000),
    lon=st.integers(-1_800_000_000, 1_800_000_000),
    height=st.integers(-1_000_000, 2_000_000_000),
    geoid=st.integers(-120_000, 120_000),
    speed=st.integers(0, 12_000_000),
    course=st.integers(0, 35_999_999),
)
def test_no_sentence_exceeds_the_limit_of_nmea(
    lat: int, lon: int, height: int, geoid: int, speed: int, course: int
) -> None:
    """Any state that an orbit can have fits the 82 characters of a sentence."""
    empty = Navigator({}, stream(0, "x"), Timing(*[0.0] * 5), Noise(0, 0, 0), 14, True)
    empty.epoch_utc = EPOCH
    solution = empty.solve(0)
    found = replace(
        solution,
        pvt=solution.pvt._replace(
            lat_1e7=lat,
            lon_1e7=lon,
            height_mm=height,
            msl_mm=height - geoid,
            ground_mm_s=speed,
            head_motion_1e5=course,
            num_sv=14,
        ),
        utc=EPOCH,
        fixed=True,
        satellites=sky(0, 14, SYSTEMS),
        dops=GOOD_DOPS,
    )
    for message, row in MESSAGES.items():
        if message[0] == 0xF0:
            for text in row.build(found, nmea.Style()).splitlines(keepends=True):
                assert len(text) <= nmea.SENTENCE_MAX_NBYTES, row.name


def test_leap_seconds_and_weeks() -> None:
    """13 s in 2000, 18 s since 2017; the week starts on Sunday in GPS time."""
    assert leap_seconds(datetime(2000, 1, 1, tzinfo=UTC)) == 13
    assert leap_seconds(datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)) == 17
    assert leap_seconds(datetime(2017, 1, 1, tzinfo=UTC)) == 18
    assert time_of_week_ms(datetime(2023, 4, 1, 23, 59, 42, tzinfo=UTC)) == 0
    with pytest.raises(ValueError, match="leap seconds of 1998-12-31"):
        leap_seconds(datetime(1998, 12, 31, tzinfo=UTC))


def test_the_report_has_every_counter() -> None:
    """Epochs, fixes, pulses and what was skipped of the input stand side by side."""
    bench = Bench()
    bench.receiver.uart_receive(0, b"noise")
    bench.run(4.5)
    counters = bench.receiver.snapshot()["counters"]
    assert counters["epochs"] == 5
    assert counters["pulse_given"] == 2
    assert counters["skipped_octets"] == 5
