"""Which ground the network learns on, which ground judges it, and how views are drawn.

The globe is split by longitude: three bands of 40 degrees, 120 degrees apart, are held out. They
hold a third of the ground and every climate: the Great Lakes, Caribbean, Andes and Hudson Bay; the
Baltic, Sahara, Arabia and Madagascar; eastern Australia, New Zealand, Kamchatka and the ice east of
the Ross Sea. No pixel within a degree of them is ever learned from, so that neither the
interpolation nor the width of a shoreline carries knowledge across.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.parts.base import stream
from hil.world.imagery.footprint import Camera, Floats, Pose, atan2_deg, sine_cosine
from hil.world.imagery.scene import Bytes, GroundScene

#: west and east edge of each held-out band, degrees
HELD_OUT = ((-100.0, -60.0), (20.0, 60.0), (140.0, 180.0))
MARGIN_DEG = 1.0
TILE = 128

_Scalar = TypeVar("_Scalar", bound=np.generic)


class View(NamedTuple):
    """One exposure: seed of cloud and noise, and the pose and light of the camera."""

    seed: int
    lat_deg: float
    lon_deg: float
    alt_km: float
    heading_deg: float
    sun_elevation_deg: float


def held_out(lon_deg: Floats, margin_deg: float = 0.0) -> NDArray[np.bool_]:
    """Say for each longitude, -180..180, whether it lies in a held-out band widened by a margin."""
    inside = np.zeros(lon_deg.shape, np.bool_)
    for west, east in HELD_OUT:
        offset = lon_deg - (west - margin_deg)
        offset %= 360.0
        inside |= offset <= east - west + 2 * margin_deg
    return inside


def draw_views(seed: int, name: str, latitude_deg: float, held: bool | None) -> Iterator[View]:
    """Yield views without end, subsatellite points uniform over the area up to a latitude.

    ``held``: only points inside held-out bands, only points outside them, or (None) both. Altitude
    450..600 km, solar elevation 10..90 deg, any heading, each uniform; each view has its own
    cloud.
    """
    random = stream(seed, name)
    top = sine_cosine(latitude_deg)[0]
    while True:
        z, lon, alt, heading, sun = random.random(5)
        height = np.array([(2 * z - 1) * top])
        lat = float(atan2_deg(height, np.sqrt(1.0 - height * height))[0])
        view = View(
            int(random.integers(1 << 62)),
            lat,
            360.0 * lon - 180.0,
            450.0 + 150.0 * alt,
            360.0 * heading,
            10.0 + 80.0 * sun,
        )
        if held is None or bool(held_out(np.array([view.lon_deg]))[0]) == held:
            yield view


def render(view: View, camera: Camera) -> tuple[Bytes, Bytes, Floats, Floats]:
    """Return pixels, truth, and the latitude and longitude of each pixel of a view."""
    pose = (view.lat_deg, view.lon_deg, view.alt_km, view.heading_deg)
    pixels, truth = GroundScene(view.seed, camera).image(0, *pose, view.sun_elevation_deg)
    seen = Pose(*pose).footprint(camera.starboard, camera.forward)
    return pixels, truth, seen.latitude_deg(), seen.longitude_deg()


def tiles(image: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Cut an image whose sides are multiples of 128 into [N, 128, 128, ...], row by row."""
    rows, columns = image.shape[0] // TILE, image.shape[1] // TILE
    cut = image.reshape(rows, TILE, columns, TILE, *image.shape[2:]).swapaxes(1, 2)
    return np.ascontiguousarray(cut).reshape(rows * columns, TILE, TILE, *image.shape[2:])


def training_tiles(seed: int, count: int, camera: Camera) -> tuple[Bytes, Bytes]:
    """Return ``count`` tiles uint8[N, 128, 128, 3] and their truth, none touching held-out ground.

    Views reach to 84 degrees. Tiles that show both water and land are all kept, those of one
    surface one time in three, those of cloud alone one time in eight.
    """
    random = stream(seed, "training.keep")
    images = np.empty((count, TILE, TILE, 3), np.uint8)
    truths = np.empty((count, TILE, TILE), np.uint8)
    filled = 0
    for view in draw_views(seed, "training.views", 84.0, None):
        pixels, truth, _, lon = render(view, camera)
        for image, classes, east in zip(tiles(pixels), tiles(truth), tiles(lon), strict=True):
            chance = float(random.random())
            if held_out(east, MARGIN_DEG).any() or chance > _keep(classes):
                continue
            images[filled], truths[filled] = image, classes
            filled += 1
            if filled == count:
                return images, truths
    raise AssertionError("views have no end")


def _keep(classes: Bytes) -> float:
    """Return the chance that a tile is worth learning from."""
    water, land, *_ = np.bincount(classes.ravel(), minlength=3)
    if min(water, land) > 100:
        return 1.0
    return 0.33 if max(water, land) > 1000 else 0.125
