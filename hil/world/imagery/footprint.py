"""Where each pixel of a nadir-pointing camera meets the WGS 84 ellipsoid.

Only IEEE additions, products, quotients and square roots are used, which every machine rounds the
same way, and never a library sine or arc tangent: so the same pose gives the same footprint to the
last bit everywhere. Poses are first rounded to 1e-6 deg and 1 m, which removes the last-bit
differences of the orbit propagator before they can move a pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EQUATOR_KM = 6378.137  # WGS 84 semi-major axis
POLE_KM = 6356.752314245  # WGS 84 semi-minor axis

_DEG_PER_RAD = 57.29577951308232
# atan(t)/t on [0, 1] as a polynomial in t squared: Chebyshev fit of degree 7, error 4.3e-6 deg
_ATAN = (
    0.999999897754,
    -0.333319597243,
    0.199692353948,
    -0.14016585042,
    0.099060968959,
    -0.0593671007868,
    0.0241661895205,
    -0.00466877330714,
)
_ATAN_DEG = tuple(c * _DEG_PER_RAD for c in _ATAN)


def sine_cosine(angle_deg: float) -> tuple[float, float]:
    """Return sine and cosine of an angle in degrees, rounded to 1e-6 deg first; error < 1e-15."""
    micro = round(angle_deg * 1e6) % 360_000_000
    quarter, rest = divmod(micro + 45_000_000, 90_000_000)
    x = (rest - 45_000_000) / 1e6 / _DEG_PER_RAD  # |x| <= pi/4
    square = x * x
    sine = cosine = 1.0
    for k in range(17, 1, -2):  # Taylor series in Horner form, to x^17 and x^16
        sine = 1.0 - sine * square / (k * (k - 1))
        cosine = 1.0 - cosine * square / ((k - 1) * (k - 2))
    sine *= x
    turns = ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))
    return turns[quarter % 4]


def atan2_deg(y: Floats, x: Floats) -> Floats:
    """Return the angle of (x, y) in degrees, -180..180, within 5e-6 deg; 0 at the origin."""
    along, up = np.abs(x), np.abs(y)
    high = np.maximum(np.maximum(along, up), 1e-300)
    t = np.minimum(along, up)
    t /= high
    square = t * t
    angle = square * _ATAN_DEG[-1]
    for c in _ATAN_DEG[-2:0:-1]:
        angle += c
        angle *= square
    angle += _ATAN_DEG[0]
    angle *= t
    np.subtract(90.0, angle, out=angle, where=up > along)
    np.subtract(180.0, angle, out=angle, where=x < 0.0)
    return np.copysign(angle, y, out=angle)


class Camera:
    """A nadir-pointing pinhole camera: size in pixels, horizontal field of view in degrees.

    The top of the image is the direction of flight, the right side is starboard, pixels are square.
    The default sees 1,270 km across track from 507 km, 2.4 km a pixel at nadir: a context camera
    about three times finer than Blue Marble, whose footprint a narrow lens would merely blur.
    """

    def __init__(self, width: int = 512, height: int = 512, fov_deg: float = 100.0) -> None:
        if width < 2 or height < 2 or not 0.0 < fov_deg < 170.0:
            raise ValueError(f"camera of {width}x{height} pixels, {fov_deg} deg: cannot be")
        self.width = width
        self.height = height
        self.fov_deg = fov_deg
        sine, cosine = sine_cosine(fov_deg / 2)
        step = 2.0 * sine / cosine / width
        #: starboard and forward slope of each column and row, per unit of depth
        self.starboard: Floats = (np.arange(width, dtype=np.float64) - (width - 1) / 2) * step
        self.forward: Floats = ((height - 1) / 2 - np.arange(height, dtype=np.float64)) * step


class Footprint(NamedTuple):
    """What the pixels of some rows see; every array has shape (rows, width).

    x, y, z: unit vector of the ground point on the ellipsoid scaled to a sphere (reduced latitude),
    Earth-fixed axes. ``space`` marks rays that miss the Earth; their other values mean nothing.
    """

    x: Floats
    y: Floats
    z: Floats
    space: NDArray[np.bool_]

    def latitude_deg(self) -> Floats:
        """Return the geodetic latitude."""
        rho = np.sqrt(self.x * self.x + self.y * self.y)
        return atan2_deg(self.z * (EQUATOR_KM / POLE_KM), rho)

    def longitude_deg(self) -> Floats:
        """Return the longitude, -180..180."""
        return atan2_deg(self.y, self.x)


class Pose:
    """A satellite looking along its geodetic nadir: latitude and longitude in degrees, altitude.

    ``heading_deg`` is the azimuth of the ground track, clockwise from north. Internally every
    length is scaled so that the ellipsoid is the unit sphere.
    """

    def __init__(self, lat_deg: float, lon_deg: float, alt_km: float, heading_deg: float) -> None:
        (slat, clat), (slon, clon) = sine_cosine(lat_deg), sine_cosine(lon_deg)
        (shead, chead) = sine_cosine(heading_deg)
        alt_km = round(alt_km * 1000) / 1000
        up = (clat * clon, clat * slon, slat)
        east = (-slon, clon, 0.0)
        north = (-slat * clon, -slat * slon, clat)
        squash = POLE_KM / EQUATOR_KM
        normal_km = EQUATOR_KM / (clat * clat + squash * squash * slat * slat) ** 0.5
        scale = (1 / EQUATOR_KM, 1 / EQUATOR_KM, 1 / POLE_KM)
        stretch = (normal_km + alt_km, normal_km + alt_km, squash * squash * normal_km + alt_km)
        self.position = tuple(u * f * s for u, f, s in zip(up, stretch, scale, strict=True))
        self.down = tuple(-u * s for u, s in zip(up, scale, strict=True))
        self.starboard = tuple(
            (e * chead - n * shead) * s for e, n, s in zip(east, north, scale, strict=True)
        )
        self.forward = tuple(
            (n * chead + e * shead) * s for e, n, s in zip(east, north, scale, strict=True)
        )

    def footprint(self, starboard: Floats, forward: Floats) -> Footprint:
        """Return where rays with slopes starboard[columns] and forward[rows] meet the ground."""
        ray = []
        for down, star, ahead in zip(self.down, self.starboard, self.forward, strict=True):
            ray.append((ahead * forward + down)[:, None] + (star * starboard)[None, :])
        dx, dy, dz = ray
        px, py, pz = self.position
        # |p + s d| = 1, the nearer root; b is negative for every ray that goes down
        a = dx * dx
        a += dy * dy
        a += dz * dz
        b = px * dx
        b += py * dy
        b += pz * dz
        disc = b * b
        disc -= a * (px * px + py * py + pz * pz - 1.0)
        space = disc < 0.0
        np.maximum(disc, 0.0, out=disc)
        np.sqrt(disc, out=disc)
        b += disc
        b /= a
        for d, p in ((dx, px), (dy, py), (dz, pz)):
            d *= b
            np.subtract(p, d, out=d)
        return Footprint(dx, dy, dz, space)
