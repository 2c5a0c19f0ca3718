"""The Earth's magnetic field along the orbit: IGRF-14 (see ``igrf14``), in body axes.

The field is that of the Earth's core to degree 13 on the day that the run starts; it moves by less
than 0.5 nT a day. Before 2010 and after 2030 the table's first and last year are taken. Not
modelled: the crust beyond degree 13, currents in the ionosphere and the magnetosphere (20 nT, in a
storm hundreds), the spacecraft's own field.

The sums are those of Langel, *The Main Field*, in Geomagnetism vol. 1 (1987), with Schmidt's
normalisation; a magnetometer is bound to ``att.mag_x_t`` and so on (see ``attitude`` for the axes).
"""

from __future__ import annotations

import math

import numpy as np

from hil.world.frames import J2000_JD, Array, Epoch, Vector
from hil.world.igrf14 import COEFFICIENTS_NT, DEGREE, RADIUS_KM

#: keeps the division by the sine of the colatitude defined at the poles
_POLE = 1e-9


def coefficients_nt(year: float) -> list[float]:
    """Return the Gauss coefficients (nT) at a decimal year, linear between the years of the table.

    Order: g(1,0) g(1,1) h(1,1) g(2,0) and so on.
    """
    years = sorted(COEFFICIENTS_NT)
    year = min(max(year, years[0]), years[-1])
    before = max(one for one in years[:-1] if one <= year)
    after = years[years.index(before) + 1]
    share = (year - before) / (after - before)
    pairs = zip(COEFFICIENTS_NT[before], COEFFICIENTS_NT[after], strict=True)
    return [one + share * (other - one) for one, other in pairs]


def decimal_year(epoch: Epoch) -> float:
    """Return an instant as a decimal year, to a day."""
    return 2000.0 + (epoch.jd + epoch.fraction - J2000_JD) / 365.25


def field_ecef_t(r: Vector, year: float) -> Vector:
    """Return the flux density (T) at Earth-fixed positions (km), in Earth-fixed axes."""
    rho = np.sqrt(r.x * r.x + r.y * r.y)
    radius = r.norm()
    c, s = r.z / radius, np.maximum(rho / radius, _POLE)  # of the colatitude
    cos_lon = np.where(rho > 0.0, r.x / np.maximum(rho, _POLE), 1.0)
    sin_lon = np.where(rho > 0.0, r.y / np.maximum(rho, _POLE), 0.0)
    outward, south, east = _sum(coefficients_nt(year), RADIUS_KM / radius, c, s, cos_lon, sin_lon)
    level = outward * s + south * c
    return Vector(
        (level * cos_lon - east * sin_lon) * 1e-9,
        (level * sin_lon + east * cos_lon) * 1e-9,
        (outward * c - south * s) * 1e-9,
    )


def _sum(
    gauss: list[float], ratio: Array, c: Array, s: Array, cos_lon: Array, sin_lon: Array
) -> tuple[Array, Array, Array]:
    """Return outward, southward, eastward components, nT, by recursion over degree and order.

    ``p[m]`` and ``q[m]`` hold Schmidt's functions of the last two degrees and their derivatives by
    the colatitude: those of degree n follow from those of n - 1 and n - 2.
    """
    zero = np.zeros_like(c)
    outward, south, east = zero.copy(), zero.copy(), zero.copy()
    lon = [(np.ones_like(c), zero)]
    for _ in range(DEGREE):
        cos_m, sin_m = lon[-1]
        lon.append((cos_m * cos_lon - sin_m * sin_lon, sin_m * cos_lon + cos_m * sin_lon))
    p1, q1 = [np.ones_like(c)], [zero]  # degree n - 1
    p2: list[Array] = []
    q2: list[Array] = []
    scale = ratio * ratio
    at = 0
    for n in range(1, DEGREE + 1):
        scale = scale * ratio
        p, q = [], []
        for m in range(n):
            root = math.sqrt(n * n - m * m)
            up = (2 * n - 1) / root
            pm, qm = up * c * p1[m], up * (c * q1[m] - s * p1[m])
            if m < n - 1:
                down = math.sqrt((n - 1) * (n - 1) - m * m) / root
                pm, qm = pm - down * p2[m], qm - down * q2[m]
            p.append(pm)
            q.append(qm)
        side = math.sqrt((2 * n - 1) / (2 * n)) if n > 1 else 1.0
        p.append(side * s * p1[n - 1])
        q.append(side * (s * q1[n - 1] + c * p1[n - 1]))
        for m in range(n + 1):
            g, h = gauss[at], gauss[at + 1] if m else 0.0
            at += 2 if m else 1
            cos_m, sin_m = lon[m]
            along = scale * (g * cos_m + h * sin_m)
            outward += (n + 1) * along * p[m]
            south -= along * q[m]
            if m:
                east += m * scale * (g * sin_m - h * cos_m) * p[m] / s
        p2, q2, p1, q1 = p1, q1, p, q
    return outward, south, east


def body_axes(vector: Vector, r: Vector, v: Vector) -> Vector:
    """Turn vectors into body axes, all three given in one frame; ``v`` is the inertial velocity.

    x along the flight direction, y against the orbit normal, z to the Earth's centre.
    """
    hx, hy, hz = r.y * v.z - r.z * v.y, r.z * v.x - r.x * v.z, r.x * v.y - r.y * v.x
    h = np.sqrt(hx * hx + hy * hy + hz * hz)
    radius = r.norm()
    y = Vector(-hx / h, -hy / h, -hz / h)
    z = Vector(-r.x / radius, -r.y / radius, -r.z / radius)
    x = Vector(y.y * z.z - y.z * z.y, y.z * z.x - y.x * z.z, y.x * z.y - y.y * z.x)
    return Vector(*(vector.x * one.x + vector.y * one.y + vector.z * one.z for one in (x, y, z)))
