"""The messages that the receiver sends, each as a row of one table.

u-blox M9 interface description (UBX-19035940), the payloads by name. Rows stand in the order in
which an epoch is sent: NMEA, then UBX, the end of the epoch last.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from hil.parts.ublox import nmea, ubx
from hil.parts.ublox.items import MSGOUT
from hil.parts.ublox.nmea import Style
from hil.parts.ublox.solution import Solution

Id = tuple[int, int]

UNKNOWN: Final = 0xFFFF_FFFF
TIM_TP: Final = (0x0D, 0x01)
#: flags of a satellite: quality (7: code and carrier locked, 4: code), used, healthy, smoothed,
#: orbit from an ephemeris, which is there
SV_USED, SV_SEEN = 0x1F | 1 << 7 | 1 << 8 | 1 << 11, 0x14


class Message(NamedTuple):
    """One message: name, how its octets come about, and whether satellites are named in it."""

    name: str
    build: Callable[[Solution, Style], bytes]
    has_satellites: bool = False

    @property
    def key(self) -> int:
        """Return the key of its rate on I2C."""
        return MSGOUT[self.name]


def _ubx(
    message: Id, layout: str, values: Callable[[Solution], tuple[int, ...]]
) -> Callable[[Solution, Style], bytes]:
    pack = struct.Struct("<" + layout).pack

    def build(solution: Solution, style: Style) -> bytes:
        return ubx.frame(message, pack(*values(solution)))

    return build


def _posllh(s: Solution) -> tuple[int, ...]:
    p = s.pvt
    place = (p.lon_1e7, p.lat_1e7, p.height_mm, p.msl_mm)
    return (p.itow_ms, *place, p.h_acc_mm, p.v_acc_mm)


def _velned(s: Solution) -> tuple[int, ...]:
    p = s.pvt
    north, east, down = (round(mm_s / 10) for mm_s in (p.vel_n_mm_s, p.vel_e_mm_s, p.vel_d_mm_s))
    speed = round((p.vel_n_mm_s**2 + p.vel_e_mm_s**2 + p.vel_d_mm_s**2) ** 0.5 / 10)
    ground = round(p.ground_mm_s / 10)
    accuracy = (-(-p.s_acc_mm_s // 10), p.head_acc_1e5)
    return (p.itow_ms, north, east, down, speed, ground, p.head_motion_1e5, *accuracy)


def _status(s: Solution) -> tuple[int, ...]:
    known = 0x0C if s.utc is not None else 0  # week number and time of week
    return (s.pvt.itow_ms, s.pvt.fix_type, int(s.fixed) | known, 0, 0x08, s.ttff_ms, s.msss_ms)


def _posecef(s: Solution) -> tuple[int, ...]:
    accuracy = 360 if s.fixed else UNKNOWN
    return (s.pvt.itow_ms, *s.ecef()[0], accuracy)


def _velecef(s: Solution) -> tuple[int, ...]:
    return (s.pvt.itow_ms, *s.ecef()[1], -(-s.pvt.s_acc_mm_s // 10))


def _timegps(s: Solution) -> tuple[int, ...]:
    valid = (0x03 if s.utc is not None else 0) | (0x04 if s.leap_known else 0)
    return (s.pvt.itow_ms, s.ftow_ns, s.week, s.leap_s, valid, s.pvt.t_acc_ns)


def _timeutc(s: Solution) -> tuple[int, ...]:
    p = s.pvt
    known = s.utc is not None
    # validTOW, validWKN, validUTC; bits 4 to 7: UTC as the US Naval Observatory has it
    valid = (0x03 if known else 0) | (0x34 if known and s.leap_known else 0)
    date = (p.year, p.month, p.day, p.hour, p.minute, p.second)
    return (p.itow_ms, p.t_acc_ns, p.nano, *date, valid)


def _timels(s: Solution) -> tuple[int, ...]:
    # srcOfCurrLs: 2 from GPS, 0 the firmware's default; no change is announced
    source = 2 if s.leap_known else 0
    valid = 0x01 if s.utc is not None else 0
    return (s.pvt.itow_ms, 0, source, s.leap_s, source, 0, 0, 0, 0, valid)


def _clock(s: Solution) -> tuple[int, ...]:
    # A bias that runs at the drift of the crystal and is folded every millisecond.
    drift = 87 if s.fixed else 0
    bias = s.msss_ms * drift // 1000 % 1_000_000 if s.fixed else 0
    return (s.pvt.itow_ms, bias, drift, s.pvt.t_acc_ns, 100 if s.fixed else 10_000)


def _sat(s: Solution, style: Style) -> bytes:
    rows = b"".join(
        struct.pack(
            "<BBBbhhI",
            sat.system.gnss_id,
            sat.number,
            sat.cno,
            sat.elevation,
            sat.azimuth,
            0,
            SV_USED if sat.used else SV_SEEN,
        )
        for sat in s.satellites
    )
    head = struct.pack("<IBBH", s.pvt.itow_ms, 1, len(s.satellites), 0)
    return ubx.frame((0x01, 0x35), head + rows)


def _tim_tp(s: Solution) -> tuple[int, ...]:
    # The next pulse is at the top of the next second; base UTC where it is known.
    tow_ms = (s.pvt.itow_ms // 1000 + 1) * 1000 % 604_800_000
    flags = 0x03 if s.leap_known else 0x00
    return (tow_ms, 0, 0, s.week, flags, 0)


def _mon_hw(s: Solution) -> tuple[int, ...]:
    # Antenna: status OK (2), power on (1); no jamming seen; pins at rest.
    pins = (0, 0, 0, 0x1_EFF7)
    return (*pins, 90, 6000, 2, 1, 1, 0x1_EBFF, *range(17), 6, 0, 0, 0)


def _pvt(s: Solution, style: Style) -> bytes:
    return ubx.nav_pvt(s.pvt)


#: Every message that can be sent in an epoch, in the order of sending.
MESSAGES: Final[dict[Id, Message]] = {
    (0xF0, 0x04): Message("NMEA_ID_RMC", nmea.rmc),
    (0xF0, 0x05): Message("NMEA_ID_VTG", nmea.vtg),
    (0xF0, 0x00): Message("NMEA_ID_GGA", nmea.gga),
    (0xF0, 0x02): Message("NMEA_ID_GSA", nmea.gsa, True),
    (0xF0, 0x03): Message("NMEA_ID_GSV", nmea.gsv, True),
    (0xF0, 0x01): Message("NMEA_ID_GLL", nmea.gll),
    (0xF0, 0x0D): Message("NMEA_ID_GNS", nmea.gns),
    (0xF0, 0x08): Message("NMEA_ID_ZDA", nmea.zda),
    (0xF1, 0x00): Message("PUBX_ID_POLYP", nmea.pubx_position),
    (0xF1, 0x03): Message("PUBX_ID_POLYS", nmea.pubx_satellites, True),
    (0xF1, 0x04): Message("PUBX_ID_POLYT", nmea.pubx_time),
    ubx.NAV_PVT: Message("UBX_NAV_PVT", _pvt),
    (0x01, 0x01): Message("UBX_NAV_POSECEF", _ubx((0x01, 0x01), "IiiiI", _posecef)),
    (0x01, 0x02): Message("UBX_NAV_POSLLH", _ubx((0x01, 0x02), "IiiiiII", _posllh)),
    (0x01, 0x03): Message("UBX_NAV_STATUS", _ubx((0x01, 0x03), "IBBBBII", _status)),
    (0x01, 0x04): Message(
        "UBX_NAV_DOP", _ubx((0x01, 0x04), "I7H", lambda s: (s.pvt.itow_ms, *s.dops))
    ),
    (0x01, 0x11): Message("UBX_NAV_VELECEF", _ubx((0x01, 0x11), "IiiiI", _velecef)),
    (0x01, 0x12): Message("UBX_NAV_VELNED", _ubx((0x01, 0x12), "IiiiIIiII", _velned)),
    (0x01, 0x20): Message("UBX_NAV_TIMEGPS", _ubx((0x01, 0x20), "IihbBI", _timegps)),
    (0x01, 0x21): Message("UBX_NAV_TIMEUTC", _ubx((0x01, 0x21), "IIiH6B", _timeutc)),
    (0x01, 0x26): Message("UBX_NAV_TIMELS", _ubx((0x01, 0x26), "IB3xBbBbiHH3xB", _timels)),
    (0x01, 0x22): Message("UBX_NAV_CLOCK", _ubx((0x01, 0x22), "IiiII", _clock)),
    (0x01, 0x35): Message("UBX_NAV_SAT", _sat, True),
    (0x0A, 0x09): Message("UBX_MON_HW", _ubx((0x0A, 0x09), "4IHHBBBxI17BBxx3I", _mon_hw)),
    TIM_TP: Message("UBX_TIM_TP", _ubx(TIM_TP, "IIiHBB", _tim_tp)),
    (0x01, 0x61): Message("UBX_NAV_EOE", _ubx((0x01, 0x61), "I", lambda s: (s.pvt.itow_ms,))),
}


#: numbers of what NMEA polls name
NMEA_NUMBERS: Final = {
    row.name.removeprefix("NMEA_ID_"): message
    for message, row in MESSAGES.items()
    if message[0] == 0xF0
}
