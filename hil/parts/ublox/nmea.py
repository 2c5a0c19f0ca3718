"""NMEA 0183 sentences as a u-blox receiver writes them.

u-blox M9 interface description (UBX-19035940), chapter "NMEA protocol", versions 2.1 to 4.11: five
digits of minutes, seven with CFG-NMEA-HIGHPREC. A sentence may hold 82 characters from ``$`` to
line feed; speed and altitude have no fixed width, so an orbit's 14,800 knots and 480,000 m fit.

Numbers come in as integers in the units of UBX-NAV-PVT, so that both protocols tell the same.
"""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import xor
from typing import Final, NamedTuple

from hil.parts.ublox.solution import Satellite, Solution, System

SENTENCE_MAX_NBYTES: Final = 82
#: One knot is 1852 m/h: mm/s to thousandths of a knot is times 3600/1852.
_KNOT_NUMERATOR, _KNOT_DENOMINATOR = 3600, 1852
#: CFG-NMEA-PROTVER of the versions where fields were added
MODE_SINCE, SIGNAL_SINCE = 23, 41
TALKERS: Final = ("", "GP", "GL", "GN", "GA", "GB")


class Style(NamedTuple):
    """How sentences are written: the items of CFG-NMEA that have an effect."""

    version: int = 42
    high_precision: bool = False
    talker: str = "GN"
    gsv_talker: str = ""
    #: satellites told of a system in GSV; 0: all
    max_satellites: int = 0
    #: systems that no sentence tells of
    hidden: frozenset[str] = frozenset()


def sentence(body: str) -> bytes:
    """Frame ``body`` with ``$``, checksum and line end."""
    check = reduce(xor, body.encode("ascii"), 0)
    return f"${body}*{check:02X}\r\n".encode("ascii")


def angle(value_1e7: int, degrees_width: int, hemispheres: str, places: int = 5) -> str:
    """Write degrees * 1e7 as degrees and minutes with five or seven decimals, comma, hemisphere."""
    degrees, rest = divmod(abs(value_1e7), 10_000_000)
    # 1e-7 degree is 60e-7 minute: to 1e-5 minute, half up.
    unit = 10**places
    minutes = rest * 60 if places == 7 else (rest * 6 + 5) // 10
    if minutes == 60 * unit:
        degrees, minutes = degrees + 1, 0
    whole, fraction = divmod(minutes, unit)
    hemisphere = hemispheres[value_1e7 < 0]
    return f"{degrees:0{degrees_width}d}{whole:02d}.{fraction:0{places}d},{hemisphere}"


def decimal(value: int, places: int) -> str:
    """Write an integer of 10**-places units as a decimal number."""
    unit = 10**places
    whole, fraction = divmod(abs(value), unit)
    return f"{'-' if value < 0 else ''}{whole}.{fraction:0{places}d}"


def clock(utc: datetime | None) -> str:
    """Write hhmmss.ss, or nothing while the time is unknown."""
    return "" if utc is None else f"{utc:%H%M%S}.{utc.microsecond // 10_000:02d}"


def knots(speed_mm_s: int) -> str:
    """Write a speed in knots with three decimals."""
    milli = (speed_mm_s * _KNOT_NUMERATOR + _KNOT_DENOMINATOR // 2) // _KNOT_DENOMINATOR
    return decimal(milli, 3)


def course(heading_1e5: int) -> str:
    """Write a course in degrees with two decimals."""
    return decimal((heading_1e5 + 500) // 1000 % 36_000, 2)


def gga(s: Solution, style: Style) -> bytes:
    """Write GGA: time, position, fix quality, satellites, HDOP, altitude, geoid separation."""
    if not s.fixed:
        return _write(style, f"GGA,{clock(s.utc)},,,,,0,00,99.99,,,,,,")
    # The field for satellites saturates at 12 (NMEA 0183 v4.x, u-blox's compatibility note).
    return _write(
        style,
        f"GGA,{clock(s.utc)},{_place(s, style)},1,{min(s.used, 12):02d},"
        f"{decimal(s.dops.horizontal, 2)},{_heights(s, style, ',M,')},M,,",
    )


def rmc(s: Solution, style: Style) -> bytes:
    """Write RMC: time, status, position, speed over ground in knots, course, date, modes."""
    date = "" if s.utc is None else f"{s.utc:%d%m%y}"
    tail = _mode(s, style) + (",V" if style.version >= SIGNAL_SINCE else "")
    if not s.fixed:
        return _write(style, f"RMC,{clock(s.utc)},V,,,,,,,{date},,{tail}")
    over_ground = f"{knots(s.pvt.ground_mm_s)},{course(s.pvt.head_motion_1e5)}"
    return _write(style, f"RMC,{clock(s.utc)},A,{_place(s, style)},{over_ground},{date},,{tail}")


def vtg(s: Solution, style: Style) -> bytes:
    """Write VTG: course and speed over ground, in knots and kilometres per hour."""
    tail = _mode(s, style)
    if not s.fixed:
        return _write(style, f"VTG,,,,,,,,{tail}")
    speed = s.pvt.ground_mm_s
    kmh = decimal((speed * 36 + 5) // 10, 3)
    return _write(style, f"VTG,{course(s.pvt.head_motion_1e5)},T,,M,{knots(speed)},N,{kmh},K{tail}")


def gll(s: Solution, style: Style) -> bytes:
    """Write GLL: position, time, status, mode."""
    place = _place(s, style) if s.fixed else ",,,"
    return _write(style, f"GLL,{place},{clock(s.utc)},{'VA'[s.fixed]}{_mode(s, style)}")


def gns(s: Solution, style: Style) -> bytes:
    """Write GNS: position, a mode for each of GPS, GLONASS, Galileo and BeiDou, altitude."""
    tail = ",V" if style.version >= SIGNAL_SINCE else ""
    if not s.fixed:
        return _write(style, f"GNS,{clock(s.utc)},,,,,NNNN,00,99.99,,,,{tail}")
    names = {system.name for system in s.systems}
    modes = "".join("NA"[name in names] for name in ("GPS", "GLO", "GAL", "BDS"))
    return _write(
        style,
        f"GNS,{clock(s.utc)},{_place(s, style)},{modes},{min(s.used, 99):02d},"
        f"{decimal(s.dops.horizontal, 2)},{_heights(s, style, ',')},,{tail}",
    )


def gsa(s: Solution, style: Style) -> bytes:
    """Write GSA, one for each system: mode, satellites used, dilutions of precision."""
    dops = ",".join(
        decimal(dop, 2) for dop in (s.dops.position, s.dops.horizontal, s.dops.vertical)
    )
    out = b""
    for system in _told(s, style):
        used = [f"{number(sat):02d}" for sat in s.satellites if sat.used and sat.system is system]
        tail = f",{system.system_id}" if style.version >= SIGNAL_SINCE else ""
        twelve = ",".join((used + [""] * 12)[:12])
        out += _write(style, f"GSA,A,{3 if s.fixed else 1},{twelve},{dops}{tail}")
    return out


def gsv(s: Solution, style: Style) -> bytes:
    """Write GSV, four satellites a sentence, each system under its own talker."""
    out = b""
    for system in _told(s, style):
        seen = [sat for sat in s.satellites if sat.system is system]
        seen = seen[: style.max_satellites or None]
        tail = f",{system.signal_id}" if style.version >= SIGNAL_SINCE else ""
        talker = style.gsv_talker or system.talker
        count = max(-(-len(seen) // 4), 1)
        for i in range(count):
            four = "".join(
                f",{number(sat):02d},{sat.elevation:02d},{sat.azimuth:03d},{sat.cno:02d}"
                for sat in seen[4 * i : 4 * i + 4]
            )
            out += sentence(f"{talker}GSV,{count},{i + 1},{len(seen):02d}{four}{tail}")
    return out


def zda(s: Solution, style: Style) -> bytes:
    """Write ZDA: time and date; the local zone is UTC."""
    date = ",,," if s.utc is None else f",{s.utc:%d,%m,%Y}"
    return _write(style, f"ZDA,{clock(s.utc)}{date},00,00")


def txt(kind: int, text: str, talker: str = "GN") -> bytes:
    """Write TXT: 0 an error, 1 a warning, 2 a notice."""
    return sentence(f"{talker}TXT,01,01,{kind:02d},{text}")


def pubx_position(s: Solution, style: Style) -> bytes:
    """Write PUBX,00: position, accuracy, speed, dilutions of precision."""
    pvt, dops = s.pvt, s.dops
    place = _place(s, style) if s.fixed else "0000.00000,N,00000.00000,E"
    accuracy = [min(mm, 9_999_000) // 100 for mm in (pvt.h_acc_mm, pvt.v_acc_mm)]
    kmh = (pvt.ground_mm_s * 36 + 5) // 10
    return sentence(
        f"PUBX,00,{clock(s.utc)},{place},{decimal(pvt.height_mm, 3)},{'G3' if s.fixed else 'NF'},"
        f"{decimal(accuracy[0], 1)},{decimal(accuracy[1], 1)},{decimal(kmh, 3)},"
        f"{course(pvt.head_motion_1e5)},{decimal(pvt.vel_d_mm_s, 3)},,"
        f"{decimal(dops.horizontal, 2)},{decimal(dops.vertical, 2)},{decimal(dops.time, 2)},"
        f"{s.used},0,0"
    )


def pubx_satellites(s: Solution, style: Style) -> bytes:
    """Write PUBX,03: number, state, azimuth, elevation, signal and lock time of each satellite."""
    rows = "".join(
        f",{number(sat)},{'U' if sat.used else '-'},{sat.azimuth:03d},{sat.elevation:02d},"
        f"{sat.cno:02d},{64 if sat.used else 0:03d}"
        for sat in s.satellites
    )
    return sentence(f"PUBX,03,{len(s.satellites):02d}{rows}")


def pubx_time(s: Solution, style: Style) -> bytes:
    """Write PUBX,04: time, date, time of week, week, leap seconds (D: the firmware's default)."""
    date = "" if s.utc is None else f"{s.utc:%d%m%y}"
    leap = f"{s.leap_s}{'' if s.leap_known else 'D'}"
    tow = decimal(s.pvt.itow_ms // 10, 2)
    return sentence(f"PUBX,04,{clock(s.utc)},{date},{tow},{s.week},{leap},0,0.000,21,")


def number(satellite: Satellite) -> int:
    """Return the number of a satellite in NMEA's strict numbering."""
    return satellite.system.nmea_offset + satellite.number


def _write(style: Style, body: str) -> bytes:
    return sentence(style.talker + body)


def _told(s: Solution, style: Style) -> tuple[System, ...]:
    return tuple(system for system in s.systems if system.name not in style.hidden)


def _place(s: Solution, style: Style) -> str:
    places = 7 if style.high_precision else 5
    return f"{angle(s.pvt.lat_1e7, 2, 'NS', places)},{angle(s.pvt.lon_1e7, 3, 'EW', places)}"


def _heights(s: Solution, style: Style, between: str) -> str:
    """Write altitude above mean sea level and separation of the geoid."""
    separation = decimal(_tenths(s.pvt.height_mm - s.pvt.msl_mm), 1)
    if style.high_precision:
        return f"{decimal(s.pvt.msl_mm, 3)}{between}{separation}"
    return f"{decimal(_tenths(s.pvt.msl_mm), 1)}{between}{separation}"


def _mode(s: Solution, style: Style) -> str:
    return f",{'NA'[s.fixed]}" if style.version >= MODE_SINCE else ""


def _tenths(value_mm: int) -> int:
    """Return millimetres as tenths of a metre, half away from zero."""
    tenths = (abs(value_mm) + 50) // 100
    return -tenths if value_mm < 0 else tenths
