"""Orbit, Sun, eclipses and passes against Skyfield with DE421: offline, no formula in common.

Skyfield turns TEME into GCRS with IAU precession and nutation, takes the Sun from DE421, and Earth
rotation from its built-in UT1 table. It does not know about polar motion unless told, as here. Our
own side takes UT1 as UTC, so pass edges differ by |UT1 - UTC| x 0.06 at most. The cones of shadow
are drawn by this test in GCRS, from Skyfield's positions, and searched by Skyfield.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skyfield_data
from skyfield.api import EarthSatellite, load, load_file, wgs84
from skyfield.searchlib import find_discrete

from hil.missions import Station
from hil.missions import load as load_mission
from hil.world.eclipse import find_eclipses
from hil.world.frames import Epoch
from hil.world.orbit import Orbit
from hil.world.passes import find_passes
from hil.world.sun import sun_teme_km

MISSION = load_mission("tiansuan_bupt1")
START = datetime(2023, 4, 4, tzinfo=UTC)
#: days after START that the quick test looks at, spread over the year
SAMPLE_DAYS = (0, 93, 181, 274, 364)
TOLERANCE_S = 1.0
EARTH_KM, SUN_KM = 6378.137, 695_700.0


class Sky:
    """Skyfield's view of the satellite of the mission."""

    def __init__(self) -> None:
        self.ts = load.timescale(builtin=True)
        self.ephemeris = load_file(str(Path(skyfield_data.__file__).parent / "data" / "de421.bsp"))
        self.satellite = EarthSatellite(*MISSION.tle, "bupt-1", self.ts)
        self.earth, self.sun = self.ephemeris["earth"], self.ephemeris["sun"]

    def time(self, start_s: float) -> Any:
        """Return a Skyfield time at seconds after START."""
        return self.ts.from_datetime(START + timedelta(seconds=start_s))

    def seconds(self, t: Any) -> np.ndarray:
        """Return seconds after START of a Skyfield time array."""
        origin = self.time(0.0)
        return np.asarray((t.whole - origin.whole) + (t.tt_fraction - origin.tt_fraction)) * 86400.0

    def shadow(self, t: Any, which: str) -> np.ndarray:
        """Return whether the satellite is inside the ``penumbra`` or ``umbra`` cone."""
        r = self.satellite.at(t).position.km
        to_sun = self.earth.at(t).observe(self.sun).apparent().position.km - r
        distance, radius = np.linalg.norm(to_sun, axis=0), np.linalg.norm(r, axis=0)
        separation = np.arccos(-(r * to_sun).sum(axis=0) / (distance * radius))
        earth, sun = np.arcsin(EARTH_KM / radius), np.arcsin(SUN_KM / distance)
        return separation < (earth + sun if which == "penumbra" else earth - sun)

    def shadow_edges(self, begin_s: float, end_s: float, which: str) -> np.ndarray:
        """Return the times of all changes of :meth:`shadow`, s after START."""

        def inside(t: Any) -> np.ndarray:
            return self.shadow(t, which)

        inside.step_days = 240.0 / 86400.0  # type: ignore[attr-defined]
        times, _ = find_discrete(
            self.time(begin_s), self.time(end_s), inside, epsilon=0.005 / 86400.0
        )
        return self.seconds(times)

    def pass_edges(self, begin_s: float, end_s: float, station: Station) -> np.ndarray:
        """Return the times of all rises and sets over a station's mask, s after START."""
        place = wgs84.latlon(station.lat_deg, station.lon_deg, station.alt_m)
        times, kinds = self.satellite.find_events(
            place, self.time(begin_s), self.time(end_s), station.min_elevation_deg
        )
        return self.seconds(times)[kinds != 1]


@pytest.fixture(scope="module")
def sky() -> Iterator[Sky]:
    """Skyfield with its data files, closed after the module."""
    view = Sky()
    yield view
    view.ephemeris.close()


def orbit() -> Orbit:
    """Return our own orbit, timed from START."""
    return Orbit(*MISSION.tle, Epoch.of(START))


def match(ours_ns: list[int], theirs_s: np.ndarray, begin_s: float, end_s: float) -> float:
    """Return the largest difference of two lists of edges inside a span; they must pair up."""
    guard = 2.0
    ours = np.array(sorted(ours_ns)) * 1e-9
    ours = ours[(ours > begin_s + guard) & (ours < end_s - guard)]
    theirs = theirs_s[(theirs_s > begin_s + guard) & (theirs_s < end_s - guard)]
    assert len(ours) == len(theirs), "an edge is missing on one side"
    return float(np.max(np.abs(ours - theirs))) if len(ours) else 0.0


def shadow_error(sky: Sky, begin_s: float, end_s: float) -> tuple[float, int]:
    """Return the largest error of a shadow edge in a span of time, and how many there are."""
    eclipses = find_eclipses(orbit(), np.arange(begin_s - 6000.0, end_s + 6000.0, 20.0))
    penumbra = [t for e in eclipses for t in (e.penumbra_in, e.penumbra_out)]
    umbra = [t for e in eclipses for t in (e.umbra_in, e.umbra_out) if t is not None]
    worst = 0.0
    for ours, which in ((penumbra, "penumbra"), (umbra, "umbra")):
        theirs = sky.shadow_edges(begin_s, end_s, which)
        worst = max(worst, match(ours, theirs, begin_s, end_s))
    return worst, len(penumbra) + len(umbra)


def pass_error(sky: Sky, begin_s: float, end_s: float) -> tuple[float, int]:
    """Return the largest error of a pass edge in a span of time, and how many there are."""
    worst, count = 0.0, 0
    for station in MISSION.stations:
        times = np.arange(begin_s - 1000.0, end_s + 1000.0, 5.0)
        ours = [t for p in find_passes(orbit(), station, times) for t in (p.aos_ns, p.los_ns)]
        theirs = sky.pass_edges(begin_s, end_s, station)
        worst = max(worst, match(ours, theirs, begin_s, end_s))
        count += len(ours)
    return worst, count


@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_shadow_edges_agree_within_a_second(sky: Sky, day: int) -> None:
    """Penumbra and umbra edges of a day lie within a second of Skyfield's."""
    error_s, count = shadow_error(sky, day * 86400.0, (day + 1) * 86400.0)
    assert count > 56
    assert error_s < TOLERANCE_S


@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_pass_edges_agree_within_a_second(sky: Sky, day: int) -> None:
    """Rise and set over every station of the mission lie within a second of Skyfield's."""
    error_s, count = pass_error(sky, day * 86400.0, (day + 1) * 86400.0)
    assert count > 20
    assert error_s < TOLERANCE_S


def test_sun_agrees_within_five_arcseconds(sky: Sky) -> None:
    """Our Sun in TEME is DE421's apparent Sun within 5 arcseconds and 1e-4 AU all year."""
    days = np.arange(0.0, 366.0, 1.5)
    t = sky.ts.tt_jd(sky.time(0.0).tt + days)
    theirs = sky.earth.at(t).observe(sky.sun).apparent().frame_xyz(_Teme()).km
    ours = sun_teme_km(Epoch.of(START).days_since_j2000(days * 86400.0))
    ours_xyz = np.stack([ours.x, ours.y, ours.z])
    unit = ours_xyz / np.linalg.norm(ours_xyz, axis=0)
    other = theirs / np.linalg.norm(theirs, axis=0)
    arcsec = np.degrees(np.linalg.norm(unit - other, axis=0)) * 3600.0
    assert arcsec.max() < 5.0
    distance = np.linalg.norm(ours_xyz, axis=0) / np.linalg.norm(theirs, axis=0)
    assert np.abs(distance - 1.0).max() < 1e-4


class _Teme:
    """Skyfield's own rotation from GCRS to TEME, as a frame."""

    def rotation_at(self, t: Any) -> np.ndarray:
        """Return the rotation matrices."""
        from skyfield.sgp4lib import TEME

        return np.asarray(TEME.rotation_at(t))


def test_geodetic_places_agree(sky: Sky) -> None:
    """Latitude, longitude and height lie within 60 m of Skyfield's over a day."""
    times = np.arange(0.0, 86400.0, 307.0)
    latitude, longitude, height = orbit().geodetic(times)
    t = sky.ts.tt_jd(sky.time(0.0).tt + times / 86400.0)
    place = wgs84.geographic_position_of(sky.satellite.at(t))
    turn = (longitude - place.longitude.degrees + 180.0) % 360.0 - 180.0
    metres = 111_320.0
    assert np.abs(latitude - place.latitude.degrees).max() * metres < 60.0
    assert (np.abs(turn) * np.cos(np.radians(latitude))).max() * metres < 60.0
    assert np.abs(height - place.elevation.km).max() < 0.001


@pytest.mark.soak
def test_edges_agree_within_a_second_over_a_year(
    sky: Sky, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every shadow and pass edge of a whole year lies within a second of Skyfield's."""
    if "soak" not in request.config.option.markexpr:
        pytest.skip("takes four minutes: run it with -m soak")
    worst = {"shadow": 0.0, "pass": 0.0}
    count = {"shadow": 0, "pass": 0}
    for day in range(0, 366, 6):
        begin_s, end_s = day * 86400.0, (day + 6) * 86400.0
        for what, check in (("shadow", shadow_error), ("pass", pass_error)):
            error_s, edges = check(sky, begin_s, end_s)
            worst[what] = max(worst[what], error_s)
            count[what] += edges
    with capsys.disabled():
        print(f"\nlargest differences over a year, s: {worst}; edges: {count}")
    assert max(worst.values()) < TOLERANCE_S
