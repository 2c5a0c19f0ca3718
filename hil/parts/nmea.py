"""NMEA 0183 sentences as a u-blox receiver writes them.

u-blox M9 interface description (UBX-19035940), chapter "NMEA protocol": GGA and RMC of version
4.11, five digits of minutes, talker GN. A sentence may hold 82 characters from ``$`` to line feed;
speed and altitude have no fixed width, so an orbit's 14,800 knots and 480,000 m fit.

Numbers come in as integers in the units of UBX-NAV-PVT, so that both protocols tell the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

SENTENCE_MAX_NBYTES: Final = 82
#: One knot is 1852 m/h: mm/s to thousandths of a knot is times 3600/1852.
_KNOT_NUMERATOR, _KNOT_DENOMINATOR = 3600, 1852


def sentence(body: str) -> bytes:
    """Frame ``body`` with ``$``, checksum and line end."""
    check = 0
    for octet in body.encode("ascii"):
        check ^= octet
    return f"${body}*{check:02X}\r\n".encode("ascii")


def angle(value_1e7: int, degrees_width: int, hemispheres: str) -> str:
    """Write degrees * 1e7 as degrees and minutes with five decimals, comma, hemisphere."""
    magnitude = abs(value_1e7)
    degrees, rest = divmod(magnitude, 10_000_000)
    # 1e-7 degree is 6e-6 minute: to 1e-5 minute, half up.
    minutes_1e5 = (rest * 6 + 5) // 10
    if minutes_1e5 == 6_000_000:
        degrees, minutes_1e5 = degrees + 1, 0
    whole, fraction = divmod(minutes_1e5, 100_000)
    hemisphere = hemispheres[value_1e7 < 0]
    return f"{degrees:0{degrees_width}d}{whole:02d}.{fraction:05d},{hemisphere}"


def decimal(value: int, places: int) -> str:
    """Write an integer of 10**-places units as a decimal number."""
    unit = 10**places
    whole, fraction = divmod(abs(value), unit)
    return f"{'-' if value < 0 else ''}{whole}.{fraction:0{places}d}"


def clock(utc: datetime) -> str:
    """Write hhmmss.ss."""
    return f"{utc:%H%M%S}.{utc.microsecond // 10_000:02d}"


def gga(
    utc: datetime | None,
    fix: bool,
    lat_1e7: int,
    lon_1e7: int,
    satellites: int,
    hdop_centi: int,
    height_mm: int,
    msl_mm: int,
) -> bytes:
    """Write GNGGA: time, position, fix quality, satellites, HDOP, altitude, geoid separation."""
    time = "" if utc is None else clock(utc)
    if not fix:
        return sentence(f"GNGGA,{time},,,,,0,00,99.99,,,,,,")
    altitude = decimal(_tenths(msl_mm), 1)
    separation = decimal(_tenths(height_mm - msl_mm), 1)
    position = f"{angle(lat_1e7, 2, 'NS')},{angle(lon_1e7, 3, 'EW')}"
    # The field for satellites saturates at 12 (NMEA 0183 v4.x, u-blox's compatibility note).
    return sentence(
        f"GNGGA,{time},{position},1,{min(satellites, 12):02d},{decimal(hdop_centi, 2)},"
        f"{altitude},M,{separation},M,,"
    )


def rmc(
    utc: datetime | None, fix: bool, lat_1e7: int, lon_1e7: int, speed_mm_s: int, course_1e5: int
) -> bytes:
    """Write GNRMC: time, status, position, speed over ground in knots, course, date, modes."""
    time, date = ("", "") if utc is None else (clock(utc), f"{utc:%d%m%y}")
    if not fix:
        return sentence(f"GNRMC,{time},V,,,,,,,{date},,,N,V")
    knots_milli = (speed_mm_s * _KNOT_NUMERATOR + _KNOT_DENOMINATOR // 2) // _KNOT_DENOMINATOR
    course = decimal((course_1e5 + 500) // 1000 % 36_000, 2)
    position = f"{angle(lat_1e7, 2, 'NS')},{angle(lon_1e7, 3, 'EW')}"
    return sentence(f"GNRMC,{time},A,{position},{decimal(knots_milli, 3)},{course},{date},,,A,V")


def _tenths(value_mm: int) -> int:
    """Return millimetres as tenths of a metre, half away from zero."""
    tenths = (abs(value_mm) + 50) // 100
    return -tenths if value_mm < 0 else tenths
