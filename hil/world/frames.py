"""Reference frames and Earth rotation. Every function names the frame that it takes and gives.

* **TEME**: true equator, mean equinox of date; the frame that SGP4 propagates in.
* **ECEF**: Earth-fixed, obtained from TEME by Greenwich mean sidereal time alone (the
  pseudo-Earth-fixed frame of Vallado, *Fundamentals of Astrodynamics and Applications*, 4th ed.,
  section 3.7).
* **geodetic**: latitude, longitude and height on WGS-84.

UT1 is taken as UTC and polar motion is left out. |UT1 - UTC| stays below 0.9 s by definition, and
below 0.05 s in 2022 to 2025: at most 0.4 km along the equator, 15 m from polar motion.

Functions take numpy arrays. Components stand as separate arrays: sums of products are written out,
so no BLAS routine (whose last bits depend on the CPU) takes part.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Earth's equatorial radius and flattening on WGS-84 (NIMA TR8350.2, table 3.1)
EARTH_RADIUS_KM = 6378.137
FLATTENING = 1.0 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2.0 - FLATTENING)
#: Earth's rotation rate as GMST runs (Vallado, eq. 3-40)
EARTH_RATE_RAD_S = 7.292115146706979e-5
#: Julian date of J2000.0
J2000_JD = 2451545.0
DAY_S = 86400.0
NS_PER_DAY = 86_400_000_000_000


class Vector(NamedTuple):
    """Components of many vectors: three arrays of one shape."""

    x: Array
    y: Array
    z: Array

    def norm(self) -> Array:
        """Return the lengths."""
        return np.sqrt(self.x * self.x + self.y * self.y + self.z * self.z)


class Epoch(NamedTuple):
    """A UTC instant as a two-part Julian date; ``fraction`` is kept apart for precision."""

    jd: float
    fraction: float

    @classmethod
    def of(cls, instant: datetime) -> Epoch:
        """Return the epoch of an aware datetime."""
        elapsed = instant.astimezone(UTC) - datetime(2000, 1, 1, tzinfo=UTC)
        days, rest = divmod(elapsed, timedelta(days=1))
        return cls(2451544.5 + days, rest / timedelta(days=1))

    def days_since_j2000(self, t_s: Array) -> Array:
        """Return UTC days since J2000.0 at ``t_s`` seconds after the epoch."""
        return (self.jd - J2000_JD) + (self.fraction + t_s / DAY_S)


def gmst_rad(days_ut1: Array) -> Array:
    """Return Greenwich mean sidereal time, IAU 1982 (Vallado, eq. 3-47), in 0 to 2 pi.

    ``days_ut1`` counts from J2000.0.
    """
    t = days_ut1 / 36525.0
    seconds = 67310.54841 + t * ((876600.0 * 3600.0 + 8640184.812866) + t * (0.093104 - t * 6.2e-6))
    return np.mod(seconds * (2.0 * math.pi / DAY_S), 2.0 * math.pi)


def teme_to_ecef(v: Vector, gmst: Array) -> Vector:
    """Rotate positions from TEME to ECEF."""
    c, s = np.cos(gmst), np.sin(gmst)
    return Vector(c * v.x + s * v.y, c * v.y - s * v.x, v.z)


def velocity_to_ecef(r_ecef: Vector, v_teme: Vector, gmst: Array) -> Vector:
    """Turn TEME velocities (km/s) into velocities over ground, in ECEF axes."""
    v = teme_to_ecef(v_teme, gmst)
    return Vector(v.x + EARTH_RATE_RAD_S * r_ecef.y, v.y - EARTH_RATE_RAD_S * r_ecef.x, v.z)


def ecef_to_geodetic(r: Vector) -> tuple[Array, Array, Array]:
    """Return (latitude rad, longitude rad, height km) on WGS-84.

    Bowring's method, iterated twice: below 1e-11 rad from the surface to geostationary height.
    """
    b = EARTH_RADIUS_KM * (1.0 - FLATTENING)
    second = ECCENTRICITY_SQUARED / (1.0 - ECCENTRICITY_SQUARED)
    p = np.sqrt(r.x * r.x + r.y * r.y)
    tan_beta_z, tan_beta_p = r.z * EARTH_RADIUS_KM, p * b
    latitude = p * 0.0
    for _ in range(3):
        h = np.sqrt(tan_beta_z * tan_beta_z + tan_beta_p * tan_beta_p)
        s, c = tan_beta_z / h, tan_beta_p / h
        latitude = np.arctan2(
            r.z + second * b * s * s * s,
            p - ECCENTRICITY_SQUARED * EARTH_RADIUS_KM * c * c * c,
        )
        tan_beta_z, tan_beta_p = (1.0 - FLATTENING) * np.sin(latitude), np.cos(latitude)
    s, c = np.sin(latitude), np.cos(latitude)
    normal = EARTH_RADIUS_KM / np.sqrt(1.0 - ECCENTRICITY_SQUARED * s * s)
    # p cos + z sin stays well conditioned at the poles, where p / cos does not.
    height = p * c + r.z * s - normal * (1.0 - ECCENTRICITY_SQUARED * s * s)
    return latitude, np.arctan2(r.y, r.x), height


def geodetic_to_ecef(latitude_rad: float, longitude_rad: float, height_km: float) -> Vector:
    """Return the ECEF position (km) of one place on WGS-84."""
    s, c = math.sin(latitude_rad), math.cos(latitude_rad)
    normal = EARTH_RADIUS_KM / math.sqrt(1.0 - ECCENTRICITY_SQUARED * s * s)
    p = (normal + height_km) * c
    polar_km = normal * (1.0 - ECCENTRICITY_SQUARED) + height_km
    return Vector(
        np.float64(p * math.cos(longitude_rad)),  # type: ignore[arg-type]  # scalars broadcast
        np.float64(p * math.sin(longitude_rad)),  # type: ignore[arg-type]
        np.float64(polar_km * s),  # type: ignore[arg-type]
    )


def north_east_down(v_ecef: Vector, latitude_rad: Array, longitude_rad: Array) -> Vector:
    """Turn ECEF vectors into north, east, down at the given geodetic places."""
    sf, cf = np.sin(latitude_rad), np.cos(latitude_rad)
    sl, cl = np.sin(longitude_rad), np.cos(longitude_rad)
    outward = cl * v_ecef.x + sl * v_ecef.y
    return Vector(
        cf * v_ecef.z - sf * outward,
        cl * v_ecef.y - sl * v_ecef.x,
        -(cf * outward + sf * v_ecef.z),
    )
