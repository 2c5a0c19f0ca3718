"""GNSS receiver: what its messages tell, the limits of its firmware, time, and the time pulse."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from ublox_bench import EPOCH, SECOND_NS, Bench

from hil.parts.ublox import ubx
from hil.parts.ublox.messages import MESSAGES

#: payload octets of each message (those of NAV-SAT without its satellites)
NBYTES = {
    (0x01, 0x01): 20,
    (0x01, 0x02): 28,
    (0x01, 0x03): 16,
    (0x01, 0x04): 18,
    (0x01, 0x07): 92,
    (0x01, 0x11): 20,
    (0x01, 0x12): 36,
    (0x01, 0x20): 16,
    (0x01, 0x21): 20,
    (0x01, 0x22): 20,
    (0x01, 0x26): 24,
    (0x01, 0x61): 4,
    (0x0A, 0x09): 60,
    (0x0D, 0x01): 16,
}


@pytest.mark.parametrize("message", [m for m in MESSAGES if m[0] < 0xF0])
def test_every_message_can_be_polled(message: tuple[int, int]) -> None:
    """A message without payload asks for itself, and is answered with the last solution."""
    bench = Bench(ttff_s=0.0)
    assert bench.ask(message) == []  # there is none yet
    bench.run(1.5)
    ((found, payload),) = bench.command(message)
    assert found == message
    if message == (0x01, 0x35):
        assert len(payload) == 8 + 12 * payload[5]
        assert bench.receiver.touched["UBX_NAV_SAT tells of invented satellites"] == 1
    else:
        assert len(payload) == NBYTES[message]


def test_all_messages_of_an_epoch_tell_the_same_time_and_end_with_eoe() -> None:
    """With everything switched on, NMEA comes first, each UBX has one iTOW, NAV-EOE is last."""
    bench = Bench(ttff_s=0.0, tx_buffer=8192)
    names = [f"MSGOUT__{row.name}_UART1" for row in MESSAGES.values()]
    assert bench.set(**dict.fromkeys(names, 1))
    bench.sent.clear()
    bench.run(0.9)
    frames = bench.frames()
    kinds = [message for message, _ in frames]
    assert kinds[-1] == (0x01, 0x61)
    last_text = max(i for i, kind in enumerate(kinds) if kind == ubx.NMEA_LINE)
    assert last_text < kinds.index(ubx.NAV_PVT)
    times = {payload[:4] for (kind, _), payload in frames if kind == 0x01}
    assert len(times) == 1


def test_earth_fixed_position_and_velocity_agree_with_the_geodetic_ones() -> None:
    """At 0 N 90 E, 1 km high, x is 0 and y the radius; a velocity east points along -x."""
    bench = Bench(ttff_s=0.0, noise_m=0.0, velocity_noise_m_s=0.0)
    bench.receiver.set("lon_deg", 90.0)
    bench.receiver.set("alt_m", 1_000.0)
    bench.receiver.set("ve_m_s", 100.0)
    bench.run(0.5)
    ((_, payload),) = bench.command((0x01, 0x01))
    assert struct.unpack_from("<iii", payload, 4) == (0, 637_913_700, 0)
    ((_, payload),) = bench.command((0x01, 0x11))
    assert struct.unpack_from("<iii", payload, 4) == (-10_000, 0, 0)


@pytest.mark.parametrize(
    ("model", "values", "fixed"),
    [
        (0, {"alt_m": 11_990.0}, True),
        (0, {"alt_m": 12_010.0}, False),
        (0, {"vn_m_s": 320.0}, False),
        (0, {"vd_m_s": -60.0}, False),
        (4, {"ve_m_s": 101.0}, False),
        (8, {"alt_m": 79_990.0, "vn_m_s": 490.0}, True),
        (8, {"alt_m": 80_010.0}, False),
        (8, {"vn_m_s": 400.0, "vd_m_s": 400.0}, False),
    ],
)
def test_there_is_no_fix_beyond_the_limits(
    model: int, values: dict[str, float], fixed: bool
) -> None:
    """The platform model and the firmware's 80 km and 500 m/s bound what is solved."""
    bench = Bench(ttff_s=0.0, space=False)
    assert bench.set(NAVSPG__DYNMODEL=model)
    for name, value in values.items():
        bench.receiver.set(name, value)
    bench.run(2.5)
    assert (bench.solutions()[-1][1]["fix_type"] == 3) == fixed
    assert (bench.receiver.navigator.counters["outside_limits"] == 0) == fixed


def test_time_is_known_before_the_fix_and_its_leap_seconds_after() -> None:
    """First no time, then time without certainty, with the firmware's leap seconds, then UTC."""
    epoch = datetime(2012, 3, 1, 12, 0, 0, tzinfo=UTC)  # 15 leap seconds, the firmware says 18
    bench = Bench(epoch, ttff_s=10.0, time_before_fix_s=4.0, utc_s=5.0)
    bench.run(20.5)
    told = [(f["valid"], f["second"]) for _, f in bench.solutions()]
    assert [valid for valid, _ in told] == [0] * 6 + [3] * 9 + [7] * 6
    assert told[14] == (3, 11)  # three seconds behind
    assert told[15] == (7, 15)
    ((_, leap),) = bench.command((0x01, 0x26))
    assert (leap[8], leap[9]) == (2, 15)


@pytest.mark.parametrize(
    ("items", "rises"),
    [
        ({}, [3.0, 4.0]),
        ({"TP__PERIOD_LOCK_TP1": 250_000}, [3 + n / 4 for n in range(8)]),
        ({"TP__PERIOD_LOCK_TP1": 2_000_000}, [4.0]),
        ({"TP__PULSE_DEF": 1, "TP__FREQ_LOCK_TP1": 2}, [3.0, 3.5, 4.0, 4.5]),
        ({"TP__TP1_ENA": 0}, []),
        ({"TP__LEN_TP1": 1000}, [0.0, 1.0, 2.0, 3.0, 4.0]),
        ({"TP__USE_LOCKED_TP1": 0}, []),
    ],
)
def test_the_time_pulse_is_what_its_items_say(items: dict[str, int], rises: list[float]) -> None:
    """Period or frequency, locked or not, enabled or not; without a lock length 0 means none."""
    bench = Bench()
    if items:
        assert bench.set(**items)
    bench.run(4.95)
    assert [t_ns / SECOND_NS for t_ns, level in bench.edges if level] == rises


def test_duty_cycle_and_polarity_shape_the_pulse() -> None:
    """25 per cent of a second, low while it lasts, high between."""
    bench = Bench(ttff_s=0.0)
    quarter = int.from_bytes(struct.pack("<d", 25.0), "little")
    assert bench.set(TP__PULSE_LENGTH_DEF=0, TP__DUTY_LOCK_TP1=quarter, TP__POL_TP1=0)
    bench.run(1.5)
    shape = [(0, 1), (0, 0), (SECOND_NS // 4, 1), (SECOND_NS, 0), (SECOND_NS * 5 // 4, 1)]
    assert bench.edges == shape


def test_tim_tp_announces_the_next_pulse() -> None:
    """Sent once a second, even at ten solutions a second, it tells the next second of the week."""
    bench = Bench(ttff_s=0.0, send_nmea=False, send_ubx=False)
    assert bench.set(MSGOUT__UBX_TIM_TP_UART1=1, RATE__MEAS=100)
    bench.sent.clear()
    bench.run(2.5)
    tows = [struct.unpack_from("<I", payload)[0] for _, payload in bench.frames()]
    tow_ms = (86_400 + 10 * 3_600 + 20 * 60 + 30 + 18) * 1000
    assert tows == [tow_ms + 1000 * n for n in (1, 2, 3)]
    assert EPOCH.weekday() == 0


@pytest.mark.parametrize(
    ("version", "tails"),
    [
        (21, ("", "")),
        (23, (",A", "")),
        (40, (",A", "")),
        (41, (",A,V", ",1")),
        (42, (",A,V", ",1")),
    ],
)
def test_nmea_versions_have_their_fields(version: int, tails: tuple[str, str]) -> None:
    """Mode since 2.3, navigational status and system since 4.10."""
    bench = Bench(ttff_s=0.0, send_ubx=False)
    assert bench.set(NMEA__PROTVER=version, MSGOUT__NMEA_ID_GSA_UART1=1)
    bench.run(1.5)
    lines = bench.sentences()
    rmc = next(line for line in lines if line.startswith("GNRMC,") and ",A," in line)
    assert rmc.endswith(",,," + tails[0].removeprefix(",") if tails[0] else ",,")
    assert rmc.count(",") == 11 + tails[0].count(",")
    gsa = next(line for line in lines if line.startswith("GNGSA"))
    assert gsa.count(",") == 17 + tails[1].count(",")


def test_high_precision_writes_seven_decimals() -> None:
    """Minutes have seven decimals and the altitude three, as far as 1e-7 degree and 1 mm go."""
    bench = Bench(ttff_s=0.0, noise_m=0.0)
    bench.receiver.set("lat_deg", 47.123_456_7)
    bench.receiver.set("alt_m", 499.123)
    assert bench.set(NMEA__HIGHPREC=1, NMEA__MAINTALKERID=1)
    bench.run(0.5)
    gga = next(line for line in bench.sentences() if line.startswith("GPGGA"))
    assert gga.split(",")[2] == "4707.4074020"
    assert gga.split(",")[9] == "499.123"
