"""One place at one time, in plain floats: what a GNSS receiver or an imager asks for."""

from __future__ import annotations

import math

from hil.world.frames import (
    EARTH_RADIUS_KM,
    ECCENTRICITY_SQUARED,
    FLATTENING,
    J2000_JD,
    NS_PER_DAY,
)
from hil.world.orbit import Orbit


def geodetic_point(orbit: Orbit, t_ns: int) -> tuple[float, float, float]:
    """Return (latitude deg, longitude deg, height km) on WGS-84.

    The same formulas as :mod:`hil.world.frames`, which a test holds it to.
    """
    (x, y, z), _ = orbit.at(t_ns)
    days = (orbit.epoch.jd - J2000_JD) + (orbit.epoch.fraction + t_ns / NS_PER_DAY)
    t = days / 36525.0
    seconds = 67310.54841 + t * (3155760000.0 + 8640184.812866 + t * (0.093104 - t * 6.2e-6))
    gmst = seconds * (2.0 * math.pi / 86400.0)
    c, s = math.cos(gmst), math.sin(gmst)
    x, y = c * x + s * y, c * y - s * x
    a, e2, b = EARTH_RADIUS_KM, ECCENTRICITY_SQUARED, EARTH_RADIUS_KM * (1.0 - FLATTENING)
    p = math.sqrt(x * x + y * y)
    up, out, latitude = z * a, p * b, 0.0
    for _ in range(3):
        h = math.sqrt(up * up + out * out)
        sb, cb = up / h, out / h
        latitude = math.atan2(z + e2 / (1.0 - e2) * b * sb * sb * sb, p - e2 * a * cb * cb * cb)
        up, out = (1.0 - FLATTENING) * math.sin(latitude), math.cos(latitude)
    s, c = math.sin(latitude), math.cos(latitude)
    normal = a / math.sqrt(1.0 - e2 * s * s)
    height = p * c + z * s - normal * (1.0 - e2 * s * s)
    return math.degrees(latitude), math.degrees(math.atan2(y, x)), height
