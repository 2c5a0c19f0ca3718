"""Where the Sun is, in TEME.

The Earth's heliocentric longitude and distance from the largest terms of VSOP87 (as in Meeus,
*Astronomical Algorithms*, chapters 25 and 32, and Reda and Andreas, NREL/TP-560-34302, table A4.2);
its latitude, below 1.2 arcseconds, is left out. About two arcseconds in the decades around 2025.
The position is *apparent* (light time and aberration included), since the shadow lies where the
light comes from.
"""

from __future__ import annotations

import numpy as np

from hil.world.frames import Array, Vector

AU_KM = 149_597_870.7
SUN_RADIUS_KM = 695_700.0
#: TT - UTC since 2017-01-01 (37 leap seconds + 32.184 s)
TT_MINUS_UTC_S = 69.184

#: (a, b, c) of a cos(b + c t): a in 1e-8 rad or 1e-8 AU, t in Julian millennia from J2000.0
_Terms = tuple[tuple[float, float, float], ...]
_LONGITUDE_0: _Terms = (
    (175347046.0, 0.0, 0.0),
    (3341656.0, 4.6692568, 6283.07585),
    (34894.0, 4.6261, 12566.1517),
    (3497.0, 2.7441, 5753.3849),
    (3418.0, 2.8289, 3.5231),
    (3136.0, 3.6277, 77713.7715),
    (2676.0, 4.4181, 7860.4194),
    (2343.0, 6.1352, 3930.2097),
    (1324.0, 0.7425, 11506.7698),
    (1273.0, 2.0371, 529.691),
    (1199.0, 1.1096, 1577.3435),
    (990.0, 5.233, 5884.927),
    (902.0, 2.045, 26.298),
    (857.0, 3.508, 398.149),
    (780.0, 1.179, 5223.694),
    (753.0, 2.533, 5507.553),
    (505.0, 4.583, 18849.228),
    (492.0, 4.205, 775.523),
)
_LONGITUDE_1: _Terms = (
    (628331966747.0, 0.0, 0.0),
    (206059.0, 2.678235, 6283.07585),
    (4303.0, 2.6351, 12566.1517),
    (425.0, 1.59, 3.523),
)
_LONGITUDE_2: _Terms = ((8720.0, 1.0721, 6283.0758), (309.0, 0.867, 12566.152))
_DISTANCE_0: _Terms = (
    (100013989.0, 0.0, 0.0),
    (1670700.0, 3.0984635, 6283.07585),
    (13956.0, 3.05525, 12566.1517),
    (3084.0, 5.1985, 77713.7715),
    (1628.0, 1.1739, 5753.3849),
    (1576.0, 2.8469, 7860.4194),
)
_DISTANCE_1: _Terms = ((103019.0, 1.10749, 6283.07585), (1721.0, 1.0644, 12566.1517))


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
    millennia = t / 10.0
    longitude = np.pi + 1e-8 * (
        _series(_LONGITUDE_0, millennia)
        + millennia
        * (
            _series(_LONGITUDE_1, millennia)
            + millennia * (52919.0 + _series(_LONGITUDE_2, millennia))
        )
    )
    distance = 1e-8 * (
        _series(_DISTANCE_0, millennia) + millennia * _series(_DISTANCE_1, millennia)
    )
    # FK5 frame (Meeus, eq. 32.3), and aberration for the Sun's distance.
    return longitude - np.radians((0.09033 + 20.4898 / distance) / 3600.0), distance


def _series(terms: _Terms, millennia: Array) -> Array:
    """Return the sum of a cos(b + c t)."""
    total = millennia * 0.0
    for a, b, c in terms:
        total = total + a * np.cos(b + c * millennia)
    return total
