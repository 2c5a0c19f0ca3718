"""When a ground station sees the satellite.

Geometric elevation over the WGS-84 horizon of the station: no refraction, no terrain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hil.missions.mission import Station
from hil.world.edges import refine_edges
from hil.world.frames import Array, Vector, geodetic_to_ecef
from hil.world.orbit import Orbit


class Pass(NamedTuple):
    """One pass: times in ns after the start of the mission."""

    station: str
    aos_ns: int
    los_ns: int
    max_elevation_deg: float
    max_t_ns: int


def elevation_deg(r_ecef: Vector, station: Station) -> Array:
    """Return the elevation of Earth-fixed positions (km) over a station's horizon."""
    latitude, longitude = math.radians(station.lat_deg), math.radians(station.lon_deg)
    place = geodetic_to_ecef(latitude, longitude, station.alt_m / 1000.0)
    dx, dy, dz = r_ecef.x - place.x, r_ecef.y - place.y, r_ecef.z - place.z
    c = math.cos(latitude)
    ux, uy, uz = c * math.cos(longitude), c * math.sin(longitude), math.sin(latitude)
    up = ux * dx + uy * dy + uz * dz
    along = np.sqrt(np.maximum(dx * dx + dy * dy + dz * dz - up * up, 0.0))
    return np.degrees(np.arctan2(up, along))


def find_passes(
    orbit: Orbit, station: Station, t_s: Array, elevation: Array | None = None
) -> list[Pass]:
    """Return the passes that begin and end within the rising times ``t_s``, edges to 1 us.

    Passes shorter than the step of ``t_s`` may be missed. ``elevation`` are the elevations at
    ``t_s`` where they are known already.
    """

    def below(t: Array) -> Array:
        return station.min_elevation_deg - elevation_deg(orbit.ecef(t), station)

    if elevation is None:
        elevation = elevation_deg(orbit.ecef(t_s), station)
    edges = refine_edges(below, t_s, station.min_elevation_deg - elevation)
    passes = []
    for aos_ns, los_ns in zip(edges.falling, edges.after_falling(), strict=True):
        if los_ns is not None:
            top_s, top_deg = _culmination(below, aos_ns * 1e-9, los_ns * 1e-9)
            # At its flat top the elevation says no more than this of the time.
            top_ns = round(top_s) * 1_000_000_000
            top_deg = round(station.min_elevation_deg - top_deg, 6)
            passes.append(Pass(station.name, aos_ns, los_ns, top_deg, top_ns))
    return passes


def _culmination(
    below: Callable[[Array], Array], lower_s: float, upper_s: float
) -> tuple[float, float]:
    """Return (time s, least value) of a function with one minimum, by ternary search."""
    for _ in range(40):
        a, b = lower_s + (upper_s - lower_s) / 3.0, upper_s - (upper_s - lower_s) / 3.0
        low, high = below(np.array([a, b]))
        if low < high:
            upper_s = b
        else:
            lower_s = a
    middle = 0.5 * (lower_s + upper_s)
    return middle, float(below(np.array([middle]))[0])
