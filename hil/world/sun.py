"""Where the Sun is, in TEME.

The low-precision solar theory of Meeus, *Astronomical Algorithms*, chapter 25, with the five
planetary terms of his earlier *Astronomical Formulae for Calculators*, chapter 18: a few arcseconds
over a century around J2000. The position is *apparent* (light time and aberration included), since
the shadow lies where the light comes from.
"""

from __future__ import annotations

import numpy as np

from hil.world.frames import Array, Vector

AU_KM = 149_597_870.7
SUN_RADIUS_KM = 695_700.0
#: TT - UTC since 2017-01-01 (37 leap seconds + 32.184 s)
TT_MINUS_UTC_S = 69.184


def sun_teme_km(days_utc: Array) -> Vector:
    """Return the apparent geocentric Sun in TEME, km; ``days_utc`` counts from J2000.0.

    Nutation (its two largest terms) enters as TEME wants it: true equator, mean equinox.
    """
    t = (days_utc + TT_MINUS_UTC_S / 86400.0) / 36525.0
    longitude, distance = _ecliptic_of_date(t)
    node = np.radians(125.04 - 1934.136 * t)
    moon = np.radians(2.0 * (218.3165 + 481267.8813 * t))
    sun = np.radians(2.0 * (280.4665 + 36000.7698 * t))
    arcsec = np.pi / 648000.0
    d_psi = arcsec * (-17.20 * np.sin(node) - 1.32 * np.sin(sun) - 0.23 * np.sin(moon))
    d_eps = arcsec * (9.20 * np.cos(node) + 0.57 * np.cos(sun) + 0.10 * np.cos(moon))
    mean_obliquity = np.radians(23.4392911 - 0.0130042 * t)
    obliquity = mean_obliquity + d_eps
    lam = longitude + d_psi
    x = np.cos(lam)
    y = np.cos(obliquity) * np.sin(lam)
    z = np.sin(obliquity) * np.sin(lam)
    # From the true to the mean equinox, along the true equator (equation of the equinoxes).
    shift = d_psi * np.cos(mean_obliquity)
    c, s = np.cos(shift), np.sin(shift)
    r = distance * AU_KM
    return Vector(r * (c * x + s * y), r * (c * y - s * x), r * z)


def _ecliptic_of_date(t: Array) -> tuple[Array, Array]:
    """Return the apparent longitude (rad, mean equinox of date) and the distance (AU)."""
    mean_longitude = 280.46646 + t * (36000.76983 + t * 0.0003032)
    anomaly = np.radians(357.52911 + t * (35999.05029 - t * 0.0001537))
    e = 0.016708634 - t * 0.000042037
    centre = (
        (1.914602 - t * 0.004817) * np.sin(anomaly)
        + (0.019993 - t * 0.000101) * np.sin(2.0 * anomaly)
        + 0.000289 * np.sin(3.0 * anomaly)
    )
    # Venus (two terms), Jupiter, the Moon, and a long-period term; t in centuries from 1900.
    u = t + 1.0
    perturbation = (
        0.00134 * np.cos(np.radians(153.23 + 22518.7541 * u))
        + 0.00154 * np.cos(np.radians(216.57 + 45037.5082 * u))
        + 0.00200 * np.cos(np.radians(312.69 + 32964.3577 * u))
        + 0.00179 * np.sin(np.radians(350.74 + 445267.1142 * u))
        + 0.00178 * np.sin(np.radians(231.19 + 20.20 * u))
    )
    true_anomaly = anomaly + np.radians(centre)
    distance = 1.000001018 * (1.0 - e * e) / (1.0 + e * np.cos(true_anomaly))
    aberration = 0.005691 / distance
    return np.radians(mean_longitude + centre + perturbation - aberration), distance
