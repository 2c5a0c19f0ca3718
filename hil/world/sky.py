"""What the world is at each second of a run whatever the payload does: orbit, light, field, passes.

It is a function of mission and duration alone and costs a tenth of a second, so that it is kept:
a suite of tests flies the same mission a thousand times.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from hil.missions.mission import Mission
from hil.world.attitude import pitch_rate_rad_s
from hil.world.eclipse import Eclipse, find_eclipses, illumination
from hil.world.field import body_axes, decimal_year, field_ecef_t
from hil.world.frames import (
    Array,
    Vector,
    ecef_to_geodetic,
    north_east_down,
    teme_to_ecef,
    velocity_to_ecef,
)
from hil.world.orbit import Orbit
from hil.world.passes import Pass, elevation_deg, find_passes
from hil.world.power import available_w
from hil.world.sun import sun_teme_km

#: computed before the start and after the end, so that arcs which reach over them are whole
MARGIN_S: Final = 2700
#: Skies that are kept, and the longest run whose sky is: one day takes 11 MB.
KEPT, KEPT_S = 4, 86400.0
#: Decimals that are kept of what depends on time alone. The last bits of a sine differ between
#: processors and C libraries (by 3e-14 deg, 4e-12 m/s here); rounded, the state does not.
DECIMALS: Final = {
    "orbit.lat_deg": 7,
    "orbit.lon_deg": 7,
    "orbit.alt_km": 6,
    "orbit.alt_m": 3,
    "orbit.vn_m_s": 5,
    "orbit.ve_m_s": 5,
    "orbit.vd_m_s": 5,
    "sun.illumination": 9,
    "sun.beta_deg": 6,
    "att.gyro_y_rad_s": 12,
    **dict.fromkeys(("att.mag_x_t", "att.mag_y_t", "att.mag_z_t"), 12),
    "link.elevation_deg": 9,
    "link.locked": 0,
    "available_w": 9,
}


class Sky(NamedTuple):
    """The tables of a run; whoever has it shares it and writes nothing."""

    #: name -> value at each second from 0 on
    columns: Mapping[str, memoryview]
    eclipses: tuple[Eclipse, ...]
    passes: tuple[Pass, ...]
    #: share of the first orbit (of what the run covers of it) without sunlight
    eclipse_fraction: float


_kept: OrderedDict[str, Sky] = OrderedDict()


def steps_of(duration_s: float) -> int:
    """Return how many seconds from 0 on are computed for a run."""
    return math.ceil(duration_s) + MARGIN_S


def sky_of(mission: Mission, orbit: Orbit, duration_s: float) -> Sky:
    """Return the sky of a run; the last few are kept."""
    if duration_s > KEPT_S:
        return compute(mission, orbit, duration_s)
    # What the profile says, not which object says it: tests change values of a mission.
    key = repr((duration_s, mission.start_utc, mission.stations, mission.values))
    sky = _kept.get(key)
    if sky is None:
        sky = _kept[key] = compute(mission, orbit, duration_s)
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    else:
        _kept.move_to_end(key)
    return sky


def compute(mission: Mission, orbit: Orbit, duration_s: float) -> Sky:
    """Compute everything that depends on time alone, at each second of the run."""
    t_s = np.arange(-MARGIN_S, steps_of(duration_s) + 1, dtype=np.float64)
    r, v = orbit.states_teme(t_s)
    gmst = orbit.gmst(t_s)
    r_ecef = teme_to_ecef(r, gmst)
    latitude, longitude, height = ecef_to_geodetic(r_ecef)
    ned = north_east_down(velocity_to_ecef(r_ecef, v, gmst), latitude, longitude)
    field = body_axes(
        field_ecef_t(r_ecef, decimal_year(orbit.epoch)), r_ecef, teme_to_ecef(v, gmst)
    )
    sun = sun_teme_km(orbit.epoch.days_since_j2000(t_s))
    light = illumination(r, sun)
    elevation, locked, passes = _see(mission, orbit, t_s, r_ecef)
    one_orbit = light[MARGIN_S : MARGIN_S + max(1, round(orbit.period_s))]
    columns = {
        "orbit.lat_deg": np.degrees(latitude),
        "orbit.lon_deg": np.degrees(longitude),
        "orbit.alt_km": height,
        "orbit.alt_m": height * 1000.0,
        "orbit.vn_m_s": ned.x * 1000.0,
        "orbit.ve_m_s": ned.y * 1000.0,
        "orbit.vd_m_s": ned.z * 1000.0,
        "sun.illumination": light,
        "sun.beta_deg": _beta_deg(r, v, sun),
        "att.gyro_y_rad_s": pitch_rate_rad_s(r, v),
        "att.mag_x_t": field.x,
        "att.mag_y_t": field.y,
        "att.mag_z_t": field.z,
        "link.elevation_deg": elevation,
        "link.locked": locked,
        "available_w": available_w(mission, light, r, sun),
    }
    run_ns = round(duration_s * 1e9)
    eclipses = find_eclipses(orbit, t_s)
    return Sky(
        # Indexing a memoryview gives a Python float, three times faster than numpy does.
        {
            name: np.ascontiguousarray(np.round(c[MARGIN_S:], DECIMALS[name])).data
            for name, c in columns.items()
        },
        tuple(e for e in eclipses if e.penumbra_out > 0 and e.penumbra_in < run_ns),
        tuple(p for p in passes if p.los_ns > 0 and p.aos_ns < run_ns),
        1.0 - math.fsum(one_orbit.tolist()) / len(one_orbit),
    )


def _see(
    mission: Mission, orbit: Orbit, t_s: Array, r_ecef: Vector
) -> tuple[Array, Array, list[Pass]]:
    """Return the best elevation and whether any station has lock, in time, and every pass."""
    best = np.full(t_s.shape, -90.0)
    locked = np.zeros(t_s.shape)
    passes: list[Pass] = []
    for station in mission.stations:
        elevation = np.round(elevation_deg(r_ecef, station), 9)
        passes += find_passes(orbit, station, t_s, elevation)
        best = np.maximum(best, elevation)
        locked[elevation >= station.min_elevation_deg] = 1.0
    return best, locked, sorted(passes, key=lambda p: p.aos_ns)


def _beta_deg(r: Vector, v: Vector, sun: Vector) -> Array:
    """Return the Sun's elevation over the orbit plane, positive towards the orbit normal."""
    hx, hy, hz = r.y * v.z - r.z * v.y, r.z * v.x - r.x * v.z, r.x * v.y - r.y * v.x
    along = hx * sun.x + hy * sun.y + hz * sun.z
    cx, cy, cz = hy * sun.z - hz * sun.y, hz * sun.x - hx * sun.z, hx * sun.y - hy * sun.x
    across = np.sqrt(cx * cx + cy * cy + cz * cz)
    return np.degrees(np.arctan2(along, across))
