"""The magnetic field: values of other programs, symmetry, axes, and a magnetometer on a board."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hil.board import load_board
from hil.missions import load
from hil.parts import part_class
from hil.world import World
from hil.world.field import body_axes, coefficients_nt, field_ecef_t
from hil.world.frames import Vector, geodetic_to_ecef, north_east_down
from hil.world.igrf14 import COEFFICIENTS_NT

#: geodetic latitude, longitude (deg), height (km), decimal year -> north, east, down (nT), as
#: ppigrf 2.1.0 (Laundal, IAGA V-MOD) gives them with the published coefficients
PPIGRF = [
    ((40, 116, 300, 2025 + 181 / 365), (24098.13, -2800.49, 40285.03)),
    ((-20, -50, 480, 2023 + 92 / 365), (15264.82, -5026.59, -9645.16)),
    ((85, 30, 550, 2021), (2838.52, 870.14, 44914.46)),
    ((-70, 150, 0, 2020), (-3641.51, 3187.63, -65365.66)),
    ((0, 0, 35786, 2027 + 151 / 365), (98.5, -14.63, 4.75)),
    ((60, -100, 480, 2016 + 125 / 366), (7841.58, 559.06, 46209.42)),
]


def local_nt(lat: float, lon: float, height_km: float, year: float) -> tuple[float, float, float]:
    """Return north, east, down at one place, nT."""
    phi, lam = np.array([math.radians(lat)]), np.array([math.radians(lon)])
    place = Vector(*(np.atleast_1d(x) for x in geodetic_to_ecef(phi[0], lam[0], height_km)))
    ned = north_east_down(field_ecef_t(place, year), phi, lam)
    return tuple(float(x[0]) * 1e9 for x in ned)  # type: ignore[return-value]


@pytest.mark.parametrize(("place", "wanted"), PPIGRF)
def test_the_field_is_that_of_ppigrf(
    place: tuple[float, ...], wanted: tuple[float, float, float]
) -> None:
    """From the ground to geostationary height, within 0.3 nT: a day of secular variation."""
    assert local_nt(*place) == pytest.approx(wanted, abs=0.3)


def test_the_field_is_near_the_world_magnetic_model() -> None:
    """Another model of the same field, WMM-2025 by pygeomag, differs by less than 60 nT."""
    pygeomag = pytest.importorskip("pygeomag", reason="pygeomag is not installed")
    model = pygeomag.GeoMag(coefficients_file="wmm/WMM_2025.COF")
    for lat in range(-80, 81, 20):
        for lon in range(-180, 180, 45):
            one = model.calculate(glat=lat, glon=lon, alt=480, time=2025.5)
            assert local_nt(lat, lon, 480, 2025.5) == pytest.approx((one.x, one.y, one.z), abs=60)


@pytest.mark.parametrize("latitude", [90.0, -90.0])
def test_at_the_poles_the_longitude_does_not_matter(latitude: float) -> None:
    """On the axis the horizontal field turns with the longitude and is one vector."""
    places = [geodetic_to_ecef(math.radians(latitude), lon, 480.0) for lon in (0.0, 1.0, 2.5)]
    fields = field_ecef_t(Vector(*(np.array(x) for x in zip(*places, strict=True))), 2025.0)
    for component in fields:
        assert np.ptp(component) < 1e-12


def test_coefficients_are_held_outside_of_their_years() -> None:
    """Between two years they are linear; before the first and after the last they stay."""
    assert coefficients_nt(1990.0) == list(COEFFICIENTS_NT[2010])
    assert coefficients_nt(2050.0) == pytest.approx(COEFFICIENTS_NT[2030])
    assert coefficients_nt(2022.5)[0] == pytest.approx((-29403.41 - 29350.0) / 2)


def test_body_axes_follow_the_flight() -> None:
    """Over the equator eastwards: x is east, y south, z down."""
    one = Vector(*(np.array([x]) for x in (1.0, 2.0, 3.0)))
    r = Vector(*(np.array([x]) for x in (7000.0, 0.0, 0.0)))
    v = Vector(*(np.array([x]) for x in (0.1, 7.5, 0.0)))
    assert [float(x[0]) for x in body_axes(one, r, v)] == pytest.approx([2.0, -3.0, -1.0])


def test_the_world_has_the_field_of_its_place() -> None:
    """The length of the body vector is that of the field at the orbit's position, at any time."""
    world = World(load("tiansuan_bupt1"), duration_s=600.0)
    for t_s in (0, 300, 600):
        world.step(t_s * 10**9)
        state = world.state
        told = math.hypot(*(state[f"att.mag_{axis}_t"] for axis in "xyz"))
        place = [state[f"orbit.{name}"] for name in ("lat_deg", "lon_deg", "alt_km")]
        start = world.mission.start_utc
        year = start.year + start.timetuple().tm_yday / 365.25
        assert told * 1e9 == pytest.approx(math.hypot(*local_nt(*place, year)), abs=0.5)


@pytest.mark.parametrize("type_name", ["lis3mdl", "mmc5603", "ak09916", "icm20948"])
def test_a_magnetometer_can_be_bound_to_the_field(type_name: str, tmp_path: Path) -> None:
    """A board file binds the three axes of each magnetometer to the world's field."""
    part = part_class(type_name)
    address = (part.ADDRESSES or (0x30,))[0]
    lines = [
        "[board]",
        'name = "x"',
        'title = "x"',
        'adapter = "ideal"',
        "[bus.i2c-1]",
        'kind = "i2c"',
    ]
    lines += ["[part.mag]", f'type = "{type_name}"', 'bus = "i2c-1"', f"address = {address}"]
    lines += ["[part.mag.world]", *(f'mag_{axis}_t = "att.mag_{axis}_t"' for axis in "xyz")]
    file = tmp_path / "x.toml"
    file.write_text("\n".join(lines))
    (spec,) = load_board(file).parts
    assert spec.world == {f"mag_{axis}_t": f"att.mag_{axis}_t" for axis in "xyz"}
    for axis in "xyz":
        quantity = part.QUANTITIES[f"mag_{axis}_t"]
        assert quantity.upper >= 65e-6, "the field near the ground fits the range"
