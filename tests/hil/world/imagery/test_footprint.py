"""Where the camera's pixels meet the Earth."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from hil.world.imagery.footprint import (
    EQUATOR_KM,
    POLE_KM,
    Camera,
    Pose,
    atan2_deg,
    sine_cosine,
)


def ecef_km(lat_deg: float, lon_deg: float, alt_km: float) -> np.ndarray:
    """Return Earth-fixed kilometres of geodetic coordinates (the textbook formula)."""
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    e2 = 1 - (POLE_KM / EQUATOR_KM) ** 2
    n = EQUATOR_KM / math.sqrt(1 - e2 * math.sin(lat) ** 2)
    ring = (n + alt_km) * math.cos(lat)
    up = (n * (1 - e2) + alt_km) * math.sin(lat)
    return np.array([ring * math.cos(lon), ring * math.sin(lon), up])


@pytest.mark.parametrize("angle", [0.0, 30.0, -45.0, 45.0, 89.999999, 135.0, 180.0, 271.5, -720.25])
def test_sine_and_cosine_are_those_of_the_library(angle: float) -> None:
    """Our own series must agree with libm to 1e-15 in every quadrant."""
    sine, cosine = sine_cosine(angle)
    assert sine == pytest.approx(math.sin(math.radians(angle)), abs=1e-15)
    assert cosine == pytest.approx(math.cos(math.radians(angle)), abs=1e-15)


def test_arc_tangent_is_within_its_stated_error() -> None:
    """The polynomial must stay within 5e-6 deg of the library, in all quadrants."""
    angle = np.linspace(-math.pi, math.pi, 20001)[1:]
    found = atan2_deg(np.sin(angle), np.cos(angle))
    assert np.abs(found - np.degrees(angle)).max() < 5e-6
    assert atan2_deg(np.array([0.0]), np.array([0.0]))[0] == 0.0


@pytest.mark.parametrize(
    ("lat", "lon", "heading"),
    [(0.0, 0.0, 0.0), (51.3, -0.1, 192.0), (-77.0, 179.9, 330.0), (89.9, 45.0, 90.0)],
)
def test_every_ray_ends_where_it_points(lat: float, lon: float, heading: float) -> None:
    """The ground point of each pixel, made Earth-fixed again, must lie on that pixel's ray."""
    camera = Camera(9, 7, 100.0)
    seen = Pose(lat, lon, 507.0, heading).footprint(camera.starboard, camera.forward)
    eye = ecef_km(lat, lon, 507.0)
    phi, lam, azimuth = map(math.radians, (lat, lon, heading))
    up = np.array([math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)])
    east = np.array([-math.sin(lam), math.cos(lam), 0.0])
    north = np.cross(up, east)
    ahead = north * math.cos(azimuth) + east * math.sin(azimuth)
    starboard = np.cross(ahead, up)
    latitude, longitude = seen.latitude_deg(), seen.longitude_deg()
    for row in range(7):
        for column in range(9):
            ray = -up + camera.forward[row] * ahead + camera.starboard[column] * starboard
            to = ecef_km(latitude[row, column], longitude[row, column], 0.0) - eye
            miss_km = np.linalg.norm(np.cross(to, ray)) / np.linalg.norm(ray)
            assert miss_km < 0.005
            assert np.dot(to, ray) > 0


def test_the_centre_is_the_subsatellite_point() -> None:
    """The middle pixel of an odd camera must see the point below the satellite."""
    camera = Camera(5, 5, 60.0)
    seen = Pose(-33.9, 18.4, 550.0, 12.0).footprint(camera.starboard, camera.forward)
    assert seen.latitude_deg()[2, 2] == pytest.approx(-33.9, abs=1e-5)
    assert seen.longitude_deg()[2, 2] == pytest.approx(18.4, abs=1e-5)


def test_up_is_ahead_and_right_is_starboard() -> None:
    """Flying north, the first row must see higher latitudes, the last column eastern longitudes."""
    camera = Camera(5, 5, 60.0)
    seen = Pose(10.0, 20.0, 550.0, 0.0).footprint(camera.starboard, camera.forward)
    assert seen.latitude_deg()[0, 2] > 10.5
    assert seen.longitude_deg()[2, 4] > 20.5


def test_rays_past_the_horizon_see_space() -> None:
    """From 500 km the horizon stands 68 deg from nadir; beyond it a ray must see space."""
    camera = Camera(1001, 3, 160.0)
    seen = Pose(0.0, 0.0, 500.0, 0.0).footprint(camera.starboard, camera.forward)
    limb = math.degrees(math.asin(EQUATOR_KM / (EQUATOR_KM + 500.0)))
    off_nadir = np.degrees(np.arctan(np.abs(camera.starboard)))
    expected = off_nadir > limb
    near = np.abs(off_nadir - limb) < 0.2
    assert (seen.space[1] == expected)[~near].all()
    assert expected.any()


@pytest.mark.parametrize("bad", [(1, 512, 60.0), (512, 1, 60.0), (512, 512, 0.0), (8, 8, 170.0)])
def test_an_impossible_camera_is_refused(bad: tuple[int, int, float]) -> None:
    """A camera without pixels or with an impossible lens must not be made."""
    with pytest.raises(ValueError, match="camera"):
        Camera(*bad)


def test_the_footprint_is_the_same_on_every_machine() -> None:
    """Only correctly rounded operations are used, so the bits of a footprint are a constant."""
    camera = Camera(64, 64, 100.0)
    seen = Pose(47.123456, -121.5, 507.25, 191.75).footprint(camera.starboard, camera.forward)
    octets = seen.latitude_deg().astype("<f8").tobytes()
    octets += seen.longitude_deg().astype("<f8").tobytes()
    assert hashlib.blake2b(octets, digest_size=8).hexdigest() == "e2d64cdb3c96a483"
