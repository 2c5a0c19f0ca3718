"""Sunlight and shadow: how much of the Sun's disc the Earth leaves free, and when that changes.

A spherical Earth of equatorial radius and a spherical Sun, seen from the satellite as two discs
(Montenbruck and Gill, *Satellite Orbits*, section 3.4.2). Not modelled: the Earth's flattening
(shortens an eclipse by 10 to 20 s), the atmosphere (refraction, dust), the Moon's shadow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hil.world.edges import refine_edges
from hil.world.frames import EARTH_RADIUS_KM, Array, Vector
from hil.world.orbit import Orbit
from hil.world.sun import SUN_RADIUS_KM, sun_teme_km


class Eclipse(NamedTuple):
    """One crossing of the Earth's shadow, in ns after the start of the mission.

    ``umbra_in`` and ``umbra_out`` are None where the satellite only grazes the penumbra.
    """

    penumbra_in: int
    umbra_in: int | None
    umbra_out: int | None
    penumbra_out: int


def _discs(r: Vector, sun: Vector) -> tuple[Array, Array, Array]:
    """Return the angular radii of Sun and Earth and the angle between their centres, rad.

    arctan2 and sqrt only: unlike arcsin and arccos, their bits are the same on every CPU.
    """
    dx, dy, dz = sun.x - r.x, sun.y - r.y, sun.z - r.z
    d2 = dx * dx + dy * dy + dz * dz
    r2 = r.x * r.x + r.y * r.y + r.z * r.z
    sun_radius = np.arctan2(SUN_RADIUS_KM, np.sqrt(d2 - SUN_RADIUS_KM * SUN_RADIUS_KM))
    clear = np.maximum(r2 - EARTH_RADIUS_KM * EARTH_RADIUS_KM, 0.0)
    earth_radius = np.arctan2(EARTH_RADIUS_KM, np.sqrt(clear))
    cx, cy, cz = r.y * dz - r.z * dy, r.z * dx - r.x * dz, r.x * dy - r.y * dx
    cross = np.sqrt(cx * cx + cy * cy + cz * cz)
    angle = np.arctan2(cross, -(r.x * dx + r.y * dy + r.z * dz))
    return sun_radius, earth_radius, angle


def illumination(r_teme: Vector, sun_teme: Vector) -> Array:
    """Return the free share of the Sun's disc, 0 (umbra) to 1, rounded to 1e-9."""
    a, b, c = _discs(r_teme, sun_teme)
    share = np.ones_like(c)
    share[c <= b - a] = 0.0
    partly = (c > b - a) & (c < a + b)
    a, b, c = a[partly], b[partly], c[partly]
    x = (c * c + a * a - b * b) / (2.0 * c)
    y = np.sqrt(np.maximum(a * a - x * x, 0.0))
    covered = a * a * np.arctan2(y, x) + b * b * np.arctan2(y, c - x) - c * y
    share[partly] = 1.0 - covered / (np.pi * a * a)
    return np.round(share, 9)


def margins(r_teme: Vector, sun_teme: Vector) -> tuple[Array, Array]:
    """Return (angle outside the penumbra, angle outside the umbra), rad; negative inside."""
    a, b, c = _discs(r_teme, sun_teme)
    return c - (b + a), c - (b - a)


def find_eclipses(orbit: Orbit, t_s: Array) -> list[Eclipse]:
    """Return the eclipses that begin and end within the rising times ``t_s``.

    The step of ``t_s`` must be shorter than any eclipse or sunlit arc that is to be found; edges
    are refined to 1 us.
    """
    edges = []
    for which in (0, 1):

        def outside(t: Array, which: int = which) -> Array:
            r, _ = orbit.states_teme(t)
            return margins(r, sun_teme_km(orbit.epoch.days_since_j2000(t)))[which]

        edges.append(refine_edges(outside, t_s))
    penumbra, umbra = edges
    umbra_arcs = list(zip(umbra.falling, umbra.after_falling(), strict=True))
    eclipses = []
    for begin, end in zip(penumbra.falling, penumbra.after_falling(), strict=True):
        if end is None:
            continue
        inside = [(i, o) for i, o in umbra_arcs if o is not None and begin <= i and o <= end]
        umbra_in, umbra_out = inside[0] if inside else (None, None)
        eclipses.append(Eclipse(begin, umbra_in, umbra_out, end))
    return eclipses
