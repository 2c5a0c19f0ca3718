"""What a navigation epoch found, in the integer units of UBX, and the satellites it was found with.

The satellites are invented: their number is a parameter, they go round at fixed rates, and none of
them stands where a real one does. What sends them says so by a counter (see ``messages``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from hil.parts.ublox.ubx import NavPvt

#: WGS-84 (IS-GPS-200, table 20-IV names the frame): equatorial radius, first eccentricity squared
WGS84_RADIUS_M: Final = 6_378_137.0
WGS84_E2: Final = 0.006_694_379_990_14


class Dops(NamedTuple):
    """Dilutions of precision, hundredths. Horizontal and vertical make up the position's."""

    geometric: int
    position: int
    time: int
    vertical: int
    horizontal: int
    north: int
    east: int


GOOD_DOPS: Final = Dops(134, 120, 60, 89, 80, 57, 56)
NO_DOPS: Final = Dops(*[9999] * 7)


class System(NamedTuple):
    """A satellite system: ``gnssId`` of UBX, talker, system and signal of NMEA 4.11."""

    name: str
    gnss_id: int
    talker: str
    system_id: int
    signal_id: int
    #: number of its first satellite in NMEA, less one
    nmea_offset: int
    #: highest satellite number that is invented
    highest: int


SYSTEMS: Final = (
    System("GPS", 0, "GP", 1, 1, 0, 32),
    System("GLO", 6, "GL", 2, 1, 64, 24),
    System("GAL", 2, "GA", 3, 7, 0, 36),
    System("BDS", 3, "GB", 4, 1, 0, 37),
)


class Satellite(NamedTuple):
    """One satellite in the sky: degrees, dBHz."""

    system: System
    number: int
    elevation: int
    azimuth: int
    cno: int
    used: bool


@dataclass(frozen=True, slots=True)
class Solution:
    """One epoch: the fields of UBX-NAV-PVT and what other messages need beside them."""

    pvt: NavPvt
    #: UTC, None while the time is unknown
    utc: datetime | None
    fixed: bool
    week: int
    #: nanoseconds of the time of week beyond the millisecond
    ftow_ns: int
    leap_s: int
    leap_known: bool
    satellites: tuple[Satellite, ...]
    systems: tuple[System, ...]
    dops: Dops
    #: how long the fix took, and time since the receiver started, milliseconds
    ttff_ms: int
    msss_ms: int

    @property
    def used(self) -> int:
        """Return how many satellites are used."""
        return self.pvt.num_sv

    def ecef(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return position (cm) and velocity (cm/s) in the Earth-fixed frame."""
        pvt = self.pvt
        lat, lon = math.radians(pvt.lat_1e7 * 1e-7), math.radians(pvt.lon_1e7 * 1e-7)
        sf, cf, sl, cl = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
        normal = WGS84_RADIUS_M / math.sqrt(1 - WGS84_E2 * sf * sf)
        height = pvt.height_mm * 1e-3
        out = (normal + height) * cf
        place = (out * cl, out * sl, (normal * (1 - WGS84_E2) + height) * sf)
        north, east, down = pvt.vel_n_mm_s, pvt.vel_e_mm_s, pvt.vel_d_mm_s
        inward = -sf * north - cf * down
        speed = (inward * cl - sl * east, inward * sl + cl * east, cf * north - sf * down)
        x, y, z = (round(metres * 100) for metres in place)
        vx, vy, vz = (round(mm_s / 10) for mm_s in speed)
        return (x, y, z), (vx, vy, vz)


def sky(t_s: int, used: int, systems: tuple[System, ...]) -> tuple[Satellite, ...]:
    """Return the satellites in sight: those used, and one of each system that is too low.

    Each rises and sets along a triangle of 4 h and turns once in 12 h; whole degrees.
    """
    found = []
    for n, system in enumerate(systems):
        share = used // len(systems) + (n < used % len(systems))
        for rank in range(share + 1):
            number = (5 * rank + 3 * n) % system.highest + 1
            turn = (t_s + 5_003 * rank + 1_999 * n) % 14_400
            height = turn if turn < 7_200 else 14_400 - turn
            lit = rank < share
            elevation = 10 + 75 * height // 7_200 if lit else 3 + height // 2_400
            azimuth = (t_s // 120 + 137 * rank + 29 * n) % 360
            cno = 30 + elevation // 5 if lit else 18
            found.append(Satellite(system, number, elevation, azimuth, cno, lit))
    return tuple(found)
