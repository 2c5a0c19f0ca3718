"""Frames, edges and the formulas of the orbit facts, against published figures."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.world.eclipse import illumination
from hil.world.edges import refine_edges
from hil.world.frames import Epoch, Vector, ecef_to_geodetic, geodetic_to_ecef, gmst_rad
from hil.world.sun import AU_KM


def vector(x: float, y: float, z: float) -> Vector:
    """Return one vector as arrays of one element."""
    return Vector(np.array([x]), np.array([y]), np.array([z]))


def test_sidereal_time_is_that_of_vallado() -> None:
    """GMST on 1992-08-20 12:14 UT1 is 152.578787886 deg (Vallado, example 3-5)."""
    epoch = Epoch.of(datetime(1992, 8, 20, 12, 14, tzinfo=UTC))
    gmst = gmst_rad(epoch.days_since_j2000(np.array([0.0])))
    assert math.degrees(float(gmst[0])) == pytest.approx(152.578787886, abs=1e-6)


def test_geodetic_place_is_that_of_vallado() -> None:
    """Vallado's example 3-3 lies at 34.352496 N, 46.4464 E, 5085.22 km."""
    latitude, longitude, height = ecef_to_geodetic(vector(6524.834, 6862.875, 6448.296))
    assert math.degrees(float(latitude[0])) == pytest.approx(34.352496, abs=1e-6)
    assert math.degrees(float(longitude[0])) == pytest.approx(46.4464, abs=1e-4)
    assert float(height[0]) == pytest.approx(5085.22, abs=0.01)


@given(
    latitude=st.floats(-math.pi / 2, math.pi / 2),
    longitude=st.floats(-3.14, 3.14),
    height=st.floats(-1.0, 40_000.0),
)
def test_geodetic_and_earth_fixed_are_inverse(
    latitude: float, longitude: float, height: float
) -> None:
    """Any place from below the ground to beyond geostationary comes back within a millimetre."""
    place = geodetic_to_ecef(latitude, longitude, height)
    back = ecef_to_geodetic(vector(float(place.x), float(place.y), float(place.z)))
    assert float(back[0][0]) == pytest.approx(latitude, abs=1e-10)
    assert float(back[2][0]) == pytest.approx(height, abs=1e-6)


def test_epochs_are_two_part_julian_dates() -> None:
    """J2000.0 is JD 2451545.0; the fraction stands apart."""
    assert Epoch.of(datetime(2000, 1, 1, 12, tzinfo=UTC)) == (2451544.5, 0.5)
    later = Epoch.of(datetime(2023, 4, 4, 2, 38, tzinfo=UTC))
    assert later.jd == 2460038.5
    assert later.fraction == pytest.approx((2 * 60 + 38) / 1440.0, abs=1e-15)


@pytest.mark.parametrize(
    ("height_km", "beta_deg", "share"),
    [(500.0, 0.0, 0.378), (650.0, 0.0, 0.362), (475.0, 0.0, 0.381), (500.0, 70.0, 0.0)],
)
def test_dark_share_of_circular_orbits(height_km: float, beta_deg: float, share: float) -> None:
    """The dark share of a circular orbit is (1/pi) acos(sqrt(h2 + 2Rh) / ((R + h) cos beta))."""
    turn = np.linspace(0.0, 2.0 * np.pi, 20_001)[:-1]
    radius, beta = 6378.137 + height_km, math.radians(beta_deg)
    r = Vector(radius * np.cos(turn), radius * np.sin(turn), turn * 0.0)
    sun = Vector(
        np.full(turn.shape, AU_KM * math.cos(beta)),
        np.zeros(turn.shape),
        np.full(turn.shape, AU_KM * math.sin(beta)),
    )
    dark = 1.0 - float(np.mean(illumination(r, sun)))
    assert dark == pytest.approx(share, abs=0.001)


@given(x=st.floats(-20_000.0, 20_000.0), y=st.floats(0.0, 20_000.0))
def test_illumination_is_a_share(x: float, y: float) -> None:
    """Anywhere outside the Earth the free share of the Sun lies in 0 to 1; behind it is dark."""
    if math.hypot(x, y) < 6378.2:
        return
    light = float(illumination(vector(x, y, 0.0), vector(AU_KM, 0.0, 0.0))[0])
    assert 0.0 <= light <= 1.0
    if x > 0.0 or y > 6600.0:
        assert light == 1.0
    elif y < 6200.0:
        assert light == 0.0


@given(phase=st.floats(0.0, 6.28), period_s=st.floats(120.0, 6000.0), offset=st.floats(-0.9, 0.9))
def test_edges_are_where_the_function_changes_sign(
    phase: float, period_s: float, offset: float
) -> None:
    """Edges of a sine lie within a microsecond of its zeros, in order, falling and rising."""

    def wave(t: np.ndarray) -> np.ndarray:
        return np.sin(2.0 * np.pi * t / period_s + phase) + offset

    edges = refine_edges(wave, np.arange(0.0, 3.0 * period_s, min(10.0, period_s / 40.0)))
    slope = 2.0 * math.pi / period_s * math.sqrt(1.0 - offset * offset)
    for t_ns, falls in [(t, True) for t in edges.falling] + [(t, False) for t in edges.rising]:
        t = np.array([t_ns * 1e-9])
        assert abs(float(wave(t)[0])) < 3e-6 * slope
        after = float(wave(t + 0.01)[0])
        assert (after < 0.0) == falls
    assert abs(len(edges.falling) - len(edges.rising)) <= 1
