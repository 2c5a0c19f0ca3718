"""The seeded cloud field."""

from __future__ import annotations

import numpy as np
import pytest

from hil.parts.base import stream
from hil.world.imagery.cloud import _AMPLITUDES, _FLOOR, CLOUD_DEPTH, OPACITY, CloudField


def sphere(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points uniform over the sphere."""
    random = np.random.default_rng(7)
    z = random.uniform(-1, 1, count)
    angle = random.uniform(0, 2 * np.pi, count)
    ring = np.sqrt(1 - z * z)
    return ring * np.cos(angle), ring * np.sin(angle), z


def depth_in_words(seed: int, point: tuple[float, float, float]) -> int:
    """Return the optical depth at one point by the definition, in Python integers."""
    keys = stream(seed, "world.cloud").bit_generator.random_raw(len(_AMPLITUDES))
    mask = 0xFFFFFFFF

    def lattice(key: int, x: int, y: int, z: int) -> int:
        h = (x * 0x8DA6B343 & mask) ^ (y * 0xD8163841 & mask) ^ (z * 0xCB1AB31F & mask) ^ key
        h ^= h >> 16
        h = h * 0x7FEB352D & mask
        h ^= h >> 15
        h = h * 0x846CA68B & mask
        return h >> 16

    def mix(low: int, high: int, weight: int) -> int:
        return low + ((high - low) * weight >> 8)

    total = 0
    for octave, amplitude in enumerate(_AMPLITUDES):
        key = int(keys[octave]) & mask
        fixed = [int((c + 1.0) * (4 << octave) * 256) for c in point]
        (x, y, z), fade = (
            [f >> 8 for f in fixed],
            [(f & 255) ** 2 * (768 - 2 * (f & 255)) >> 16 for f in fixed],
        )
        faces = [
            mix(
                *(
                    mix(lattice(key, x, y + j, z + k), lattice(key, x + 1, y + j, z + k), fade[0])
                    for j in (0, 1)
                ),
                fade[1],
            )
            for k in (0, 1)
        ]
        total += amplitude * mix(faces[0], faces[1], fade[2])
    return max(0, total // sum(_AMPLITUDES) - _FLOOR) >> 4


def test_the_field_is_its_definition() -> None:
    """The vectorised field must equal the same arithmetic written in Python integers."""
    x, y, z = sphere(60)
    found = CloudField(11).depth(x, y, z)
    expected = [depth_in_words(11, p) for p in zip(x, y, z, strict=True)]
    assert found.tolist() == expected
    assert len(set(expected)) > 10


@pytest.mark.parametrize("seed", range(4))
def test_the_globe_is_about_half_cloudy(seed: int) -> None:
    """Each seed must cover between 0.3 and 0.6 of the globe with cloud."""
    depth = CloudField(seed).depth(*sphere(40_000))
    assert 0.3 < (depth >= CLOUD_DEPTH).mean() < 0.6


def test_seeds_have_their_own_cloud() -> None:
    """Two seeds must agree on a pixel's cloud no more often than chance would have it."""
    points = sphere(40_000)
    first, second = (CloudField(s).depth(*points) >= CLOUD_DEPTH for s in (1, 2))
    assert (first == second).mean() < 0.65


def test_cloud_has_soft_edges() -> None:
    """Neighbouring points a kilometre apart must differ by little optical depth."""
    x, y, z = sphere(20_000)
    field = CloudField(3)
    step = 1 / 6371
    beside = field.depth(x, y + step * x, z)
    assert np.abs(field.depth(x, y, z) - beside).max() < 8 * 16


def test_opacity_grows_with_depth_and_never_passes_one() -> None:
    """Clear air must be transparent, and thicker cloud never more transparent."""
    assert OPACITY[0] == 0
    assert (np.diff(OPACITY.astype(int)) >= 0).all()
    assert OPACITY[-1] <= 256
    assert 110 < OPACITY[CLOUD_DEPTH] < 130
