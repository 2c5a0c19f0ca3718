"""Seeded synthetic cloud, a fixed field on the Earth: two overlapping images see the same cloud.

Fractional Brownian motion of three-dimensional value noise on the unit sphere, from cells of
1,600 km down to 25 km, all in integers (lattice values by integer hashing), so it is the same to
the bit on every machine. Above a floor the field is optical depth, and optical depth becomes
brightness by the two-stream albedo of a conservative cloud, R = (1-g) tau / (2 + (1-g) tau) with
g = 0.85 (Bohren 1987, Am. J. Phys. 55, 524). Its square root is the opacity, because Blue Marble
is gamma-encoded.

A pixel is called cloud from an optical depth of 3.6, where ISCCP ends its thin class (Rossow and
Schiffer 1999). Not modelled: height, parallax, shadows, motion, latitude bands, the colour of ice.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from hil.parts.base import stream
from hil.world.imagery.footprint import Floats

Ints = NDArray[np.int32]

#: optical depths are held in units of 1/16
DEPTH_UNIT = 16
#: optical depth 3.6 in those units: from here on a pixel is cloud
CLOUD_DEPTH = 58
#: field value, of 0..65535, where cloud begins: about half the globe lies above it
_FLOOR = 32600
_AMPLITUDES = (64, 40, 25, 16, 10, 6, 4)
_FIRST_CELLS = 4  # lattice cells a unit of radius in the first octave: 1,593 km
_TOTAL = sum(_AMPLITUDES)

_STEP = np.arange(257, dtype=np.int32)
#: smoothstep 3w^2 - 2w^3 of w/256, in 1/256
_FADE: Ints = (_STEP * _STEP * (768 - 2 * _STEP) >> 16).astype(np.int32)
_MIX_X, _MIX_Y, _MIX_Z = np.uint32(0x8DA6B343), np.uint32(0xD8163841), np.uint32(0xCB1AB31F)


def _opacity_table() -> NDArray[np.uint32]:
    """Return opacity, 0..256, of each optical depth in 1/16 up to the greatest one."""
    table = [isqrt((256 * 256 * 3 * d) // (640 + 3 * d)) for d in range(4097)]
    return np.array(table, np.uint32)


OPACITY = _opacity_table()


def _hash(h: NDArray[np.uint32]) -> Ints:
    """Mix lattice keys in place to values 0..65535 (the finaliser of lowbias32)."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h >>= np.uint32(16)
    return h.view(np.int32)


def _blend(low: Ints, high: Ints, weight: Ints) -> Ints:
    """Return low + (high - low) * weight / 256 in ``high``'s storage."""
    high -= low
    high *= weight
    high >>= 8
    high += low
    return high


class CloudField:
    """The cloud of one seed."""

    def __init__(self, seed: int) -> None:
        raw = stream(seed, "world.cloud").bit_generator.random_raw(len(_AMPLITUDES))
        self._keys = [np.uint32(int(k) & 0xFFFFFFFF) for k in np.atleast_1d(raw)]

    def depth(self, x: Floats, y: Floats, z: Floats) -> Ints:
        """Return the optical depth, in 1/16, at unit vectors of any common shape."""
        total = np.zeros(x.shape, np.int32)
        cells = _FIRST_CELLS
        for key, amplitude in zip(self._keys, _AMPLITUDES, strict=True):
            octave = self._octave(key, cells, x, y, z)
            octave *= amplitude
            total += octave
            cells *= 2
        total //= _TOTAL
        total -= _FLOOR
        np.maximum(total, 0, out=total)
        total >>= 4  # optical depth is the height above the floor over 256, in 1/16
        return total

    @staticmethod
    def _octave(key: np.uint32, cells: int, x: Floats, y: Floats, z: Floats) -> Ints:
        """Return value noise 0..65535 on a lattice of ``cells`` a unit of radius."""
        corners: list[tuple[NDArray[np.uint32], NDArray[np.uint32]]] = []
        weights: list[Ints] = []
        for axis, mix in ((x, _MIX_X), (y, _MIX_Y), (z, _MIX_Z)):
            fixed = ((axis + 1.0) * (cells * 256)).astype(np.int32)
            weights.append(_FADE[fixed & 255])
            fixed >>= 8
            low = fixed.view(np.uint32) * mix
            corners.append((low, low + mix))
        (x0, x1), (y0, y1), (z0, z1) = corners
        wx, wy, wz = weights
        planes = []
        for cz in (z0, z1):
            cz = cz ^ key
            rows = [_blend(_hash(x0 ^ t), _hash(x1 ^ t), wx) for t in (y0 ^ cz, y1 ^ cz)]
            planes.append(_blend(rows[0], rows[1], wy))
        return _blend(planes[0], planes[1], wz)
