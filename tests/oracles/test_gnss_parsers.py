"""pyubx2 and pynmea2 read the receiver's stream and find what the world holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pynmea2
import pytest
from pyubx2 import ERR_RAISE, NMEA_PROTOCOL, SET, UBX_PROTOCOL, UBXMessage, UBXReader

from flightsw.codec.wire import Flag
from hil.buses.uart import UARTBus
from hil.parts.ublox import Ublox
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9
KNOT_M_S = 1852 / 3600
EPOCH = datetime(2023, 4, 3, 11, 59, 58, tzinfo=UTC)

#: latitude, longitude, height of an orbit like BUPT-1's, velocity north, east, down
WORLDS = [
    (48.137, 11.575, 477_700.0, 7_512.25, -1_034.5, -3.25),
    (-63.25, -179.99995, 491_234.5, -6_900.0, 3_100.0, 12.0),
    (81.9, 179.99999, 359_700.0, 10.0, -7_700.0, 0.0),
    (0.00001, -0.00001, 250.0, 0.0, 0.0, 0.0),
]


class Stream:
    """A receiver on a serial line, and the octets that the payload computer gets of it."""

    def __init__(self, world: tuple[float, ...] = WORLDS[0], baud: int = 38_400) -> None:
        self.scheduler = SimpleScheduler()
        self.octets = bytearray()
        self.bus = UARTBus("uart", self.scheduler, 1, self._emit, baud)
        self.receiver = Ublox("gnss", seed=5, ttff_s=2.0, space=True)
        self.receiver.epoch_utc = EPOCH
        self.bus.attach(self.receiver)
        names = ("lat_deg", "lon_deg", "alt_m", "vn_m_s", "ve_m_s", "vd_m_s")
        for name, value in zip(names, world, strict=True):
            self.receiver.set(name, value)
        self.receiver.start(self.scheduler, 2)

    def _emit(
        self, t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
    ) -> None:
        if flags & Flag.INPUT:
            self.octets += payload

    def run(self, for_s: float) -> Stream:
        self.scheduler.run_until(self.scheduler.now_ns + round(for_s * SECOND_NS))
        return self

    def ubx(self) -> list[UBXMessage]:
        """Parse as pyubx2 does, raising at the first thing it does not like."""
        reader = UBXReader(
            io.BytesIO(bytes(self.octets)),
            protfilter=UBX_PROTOCOL | NMEA_PROTOCOL,
            quitonerror=ERR_RAISE,
        )
        return [message for _, message in reader if isinstance(message, UBXMessage)]

    def nmea(self) -> list[pynmea2.NMEASentence]:
        """Parse the NMEA lines as pynmea2 does, with their checksums."""
        lines = bytes(self.octets).split(b"\r\n")
        found = [line[line.index(b"$GN") :].decode() for line in lines if b"$GN" in line]
        return [pynmea2.parse(line, check=True) for line in found]


def near(name: str, value: float, wanted: float, coarser: float = 0.0) -> None:
    """Assert that a reading is within the epsilon of its quantity and the field's resolution."""
    off = value - wanted
    if name == "lon_deg":
        off = (off + 180) % 360 - 180
    assert abs(off) <= Ublox.QUANTITIES[name].epsilon + coarser, name


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world[0]:.0f}N")
def test_pyubx2_reads_the_world(world: tuple[float, ...]) -> None:
    """Position, height, velocity and time of each fix are those of the world within epsilon."""
    stream = Stream(world).run(6.5)
    fixes = [message for message in stream.ubx() if message.fixType == 3]
    assert len(fixes) == 5
    lat, lon, alt, vn, ve, vd = world
    for i, message in enumerate(fixes):
        near("lat_deg", message.lat, lat)
        near("lon_deg", message.lon, lon)
        near("alt_m", message.height / 1e3, alt)
        near("vn_m_s", message.velN / 1e3, vn)
        near("ve_m_s", message.velE / 1e3, ve)
        near("vd_m_s", message.velD / 1e3, vd)
        near("vn_m_s", message.gSpeed / 1e3, (vn * vn + ve * ve) ** 0.5, 0.08)
        utc = EPOCH + timedelta(seconds=2 + i)
        assert (message.hour, message.min, message.second) == (utc.hour, utc.minute, utc.second)
        assert (message.validDate, message.validTime, message.gnssFixOk) == (1, 1, 1)
        assert message.numSV == 14


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world[0]:.0f}N")
def test_pynmea2_reads_the_world(world: tuple[float, ...]) -> None:
    """GGA and RMC tell the same position, height, speed and time within their resolution."""
    stream = Stream(world).run(6.5)
    lat, lon, alt, vn, ve, _ = world
    speed = (vn * vn + ve * ve) ** 0.5
    fixes = 0
    for sentence in stream.nmea():
        if sentence.sentence_type == "GGA" and sentence.gps_qual:
            fixes += 1
            near("alt_m", float(sentence.altitude), alt, 0.05)
        elif sentence.sentence_type == "RMC" and sentence.status == "A":
            near("vn_m_s", float(sentence.spd_over_grnd) * KNOT_M_S, speed, 0.08)
            assert sentence.datetime >= EPOCH
        else:
            continue
        near("lat_deg", sentence.latitude, lat, 1e-7)
        near("lon_deg", sentence.longitude, lon, 1e-7)
    assert fixes == 5


def test_pyubx2_sees_the_cold_start() -> None:
    """Before the first fix pyubx2 reads fix type 0 and no valid time, pynmea2 no fix quality."""
    stream = Stream().run(1.5)
    assert [(m.fixType, m.validTime) for m in stream.ubx()] == [(0, 0), (0, 0)]
    qualities = [s.gps_qual for s in stream.nmea() if s.sentence_type == "GGA"]
    assert qualities == [0, 0]


CFG_MSG_GGA_OFF: Callable[[], UBXMessage] = lambda: UBXMessage(  # noqa: E731 - a table entry
    "CFG", "CFG-MSG", SET, msgClass=0xF0, msgID=0x00, rateUART1=0
)
CFG_RATE_5HZ: Callable[[], UBXMessage] = lambda: UBXMessage(  # noqa: E731 - a table entry
    "CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=1
)
RMC_OFF = [("CFG_MSGOUT_NMEA_ID_RMC_UART1", 0)]
CFG_VALSET_RMC_OFF: Callable[[], UBXMessage] = partial(UBXMessage.config_set, 1, 0, RMC_OFF)


@pytest.mark.parametrize(
    "command", [CFG_MSG_GGA_OFF, CFG_RATE_5HZ, CFG_VALSET_RMC_OFF], ids=["msg", "rate", "valset"]
)
def test_commands_of_pyubx2_are_acknowledged(command: Callable[[], UBXMessage]) -> None:
    """A configuration message that pyubx2 builds is accepted with UBX-ACK-ACK naming it."""
    stream = Stream()
    message = command()
    stream.bus.write(0, message.serialize())
    stream.run(0.05)
    answers = stream.ubx()
    assert [answer.identity for answer in answers] == ["ACK-ACK"]
    assert (answers[0].clsID, answers[0].msgID) == tuple(message.serialize()[2:4])


def test_pyubx2_reads_the_version() -> None:
    """UBX-MON-VER parses with its extensions."""
    stream = Stream()
    stream.bus.write(0, UBXMessage("MON", "MON-VER", SET).serialize())
    stream.run(0.055)
    (version,) = stream.ubx()
    assert version.identity == "MON-VER"
    assert version.swVersion.startswith(b"EXT CORE")
    assert version.extension_02.startswith(b"PROTVER=32.01")


def test_a_slow_line_still_carries_a_second() -> None:
    """At 9600 baud the three messages of a second fit into it, and every fix arrives whole."""
    stream = Stream(baud=9_600).run(20.9)
    assert sum(message.fixType == 3 for message in stream.ubx()) == 19
    assert stream.bus.rx_backlog == 0
