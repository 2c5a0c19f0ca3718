"""The imager's view: joins the world's orbit and sun with the ground scene below."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.missions.mission import Mission
from hil.report.thumbnails import LARGEST_SIDE, shrink_mean
from hil.world.frames import teme_to_ecef
from hil.world.imagery.bluemarble import MASK_COLUMNS, MASK_ROWS, land_mask
from hil.world.imagery.footprint import Camera
from hil.world.imagery.scene import GroundScene
from hil.world.sun import sun_teme_km
from hil.world.world import World

#: Half-width of the box of mask cells that a target is scored by, degrees.
TARGET_HALF_DEG = 3.0
#: Longest side of a sensor, pixels.
LARGEST = 4096


class CameraView:
    """Renders what the payload's camera sees at a time of the run, and keeps it in small."""

    def __init__(
        self, mission: Mission, world: World, seed: int, size: tuple[int, int] | None = None
    ) -> None:
        """Point a camera down. ``size``: columns and rows of the sensor, if not the profile's."""
        self.world = world
        self.scene = GroundScene(seed, camera_of(mission, size))
        #: t_ns of each exposure -> its picture for the report, uint8[h, w, 3] of at most
        #: ``LARGEST_SIDE``: whole frames of a long run would fill the memory
        self.taken: dict[int, NDArray[np.uint8]] = {}

    def render(self, t_ns: int, exposure_us: int) -> NDArray[np.uint8]:
        """Return the frame of an exposure at ``t_ns``, uint8[H, W, 3]."""
        lat_deg, lon_deg, alt_km = self.world.geodetic(t_ns)
        # The course over ground, from two positions a second apart.
        lat2_deg, lon2_deg, _ = self.world.geodetic(t_ns + 1_000_000_000)
        east = ((lon2_deg - lon_deg + 180.0) % 360.0 - 180.0) * math.cos(math.radians(lat_deg))
        heading_deg = math.degrees(math.atan2(east, lat2_deg - lat_deg)) % 360.0
        pixels, _ = self.scene.image(
            t_ns, lat_deg, lon_deg, alt_km, heading_deg, sun_ecef(self.world, t_ns)
        )
        self.taken[t_ns] = shrink_mean(pixels, LARGEST_SIDE)
        return pixels


def camera_of(mission: Mission, size: tuple[int, int] | None = None) -> Camera:
    """Return the camera of a mission profile, with a sensor of ``size`` (columns, rows) if given.

    Raises ``ConfigError`` if there can be none. The footprint stays that of the profile.
    """
    width, height = size or (mission.integer("imager.width"), mission.integer("imager.height"))
    if not (2 <= width <= LARGEST and 2 <= height <= LARGEST):
        raise ConfigError(
            f"imager of {width}x{height} pixels: give a width and a height of 2 to {LARGEST}"
        )
    try:
        return Camera(width=width, height=height, fov_deg=fov_deg(mission))
    except ValueError as wrong:
        raise ConfigError(
            f"{mission.path}: imager.footprint: {wrong}; make it narrower, or fly higher"
        ) from None


def fov_deg(mission: Mission) -> float:
    """Return the full field of view across track that gives the profile's footprint at nadir."""
    footprint_km = mission.number("imager.footprint") / 1000.0
    line = mission.tle[1]
    period_s = 86400.0 / float(line[52:63])
    altitude_km = (398600.8 * (period_s / (2 * math.pi)) ** 2) ** (1 / 3) - 6378.135
    return math.degrees(2 * math.atan(footprint_km / 2 / altitude_km))


def sun_ecef(world: World, t_ns: int) -> tuple[float, float, float]:
    """Return the direction to the Sun in the Earth-fixed frame at a time of the run."""
    t_s = np.array([t_ns / 1e9])
    sun = sun_teme_km(world.orbit.epoch.days_since_j2000(t_s))
    fixed = teme_to_ecef(sun, world.orbit.gmst(t_s))
    return float(fixed.x[0]), float(fixed.y[0]), float(fixed.z[0])


def sun_elevation_deg(world: World, t_ns: int) -> float:
    """Return how high the Sun stands at the sub-satellite point."""
    lat_deg, lon_deg, _ = world.geodetic(t_ns)
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    x, y, z = sun_ecef(world, t_ns)
    up = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
    sine = (up[0] * x + up[1] * y + up[2] * z) / math.sqrt(x * x + y * y + z * z)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def coastal_score(world: World, t_ns: int) -> float:
    """Return how well a place is worth a picture: 1 where land and water share the view evenly."""
    lat_deg, lon_deg, _ = world.geodetic(t_ns)
    mask = land_mask()
    row = int((lat_deg + 90.0) / 180.0 * MASK_ROWS)
    column = int((lon_deg + 180.0) % 360.0 / 360.0 * MASK_COLUMNS)
    half_rows = round(TARGET_HALF_DEG / 180.0 * MASK_ROWS)
    stretch = max(math.cos(math.radians(lat_deg)), 0.2)
    half_columns = round(TARGET_HALF_DEG / stretch / 360.0 * MASK_COLUMNS)
    rows = np.arange(max(0, row - half_rows), min(MASK_ROWS, row + half_rows + 1), 4)
    columns = np.arange(column - half_columns, column + half_columns + 1, 4) % MASK_COLUMNS
    land = float(np.mean(mask[np.ix_(rows, columns)] == 1))
    return round(4.0 * land * (1.0 - land) + 0.2 * land, 3)
