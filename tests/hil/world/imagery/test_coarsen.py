"""The grids of the weights: what rounding keeps, and that the network that flies is on them."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hil.world.imagery.coarsen import LIMIT, STEPS, coarsen
from hil.world.imagery.evaluate import committed_model


def shipped() -> dict[str, np.ndarray]:
    """Return the weights of the network that flies by layer."""
    found = onnx.load(committed_model()).graph.initializer
    weights = (t for t in found if t.name.endswith(".weight8"))
    return {t.name.removesuffix(".weight8"): numpy_helper.to_array(t) for t in weights}


def test_the_weights_that_fly_are_those_of_the_export() -> None:
    """Every layer has its grid, and the export's rounding of the shipped weights changes none."""
    weights = shipped()
    assert list(weights) == list(STEPS)
    for name, weight in weights.items():
        assert np.array_equal(coarsen(weight, STEPS[name]), weight), name


def test_the_model_deflates_to_a_third() -> None:
    """The file takes at most 36 KB of an archive; a layer off its grid would add kilobytes."""
    assert len(zlib.compress(committed_model().read_bytes(), 6)) <= 36_000


@pytest.mark.parametrize("step", sorted(set(STEPS.values())))
@pytest.mark.parametrize("kernel", [1, 3])
def test_rounding_keeps_the_sum_of_every_kernel(step: int, kernel: int) -> None:
    """On the grid, less than a step from where it was, and the kernel's sum within half a step."""
    reach = LIMIT // step * step - step // 2  # clear of the limit
    drawn = np.random.default_rng(step).integers(-reach, reach + 1, (40, 30, kernel, kernel))
    coarse = coarsen(drawn.astype(np.float32), step).astype(np.int64)
    assert not (coarse % step).any()
    assert (np.abs(coarse - drawn) < step).all()
    assert (2 * np.abs((coarse - drawn).sum((2, 3))) <= step).all()
    assert np.array_equal(coarsen(coarse, step), coarse)


def test_ties_go_to_the_first_and_the_limit_holds() -> None:
    """Of equal candidates the first moves, and no weight leaves -127..127."""
    flat = np.full((1, 1, 3, 3), 5)
    assert coarsen(flat, 16).ravel().tolist() == [16, 16, 16, 0, 0, 0, 0, 0, 0]
    assert coarsen(-flat, 16).ravel().tolist() == [-16, -16, -16, 0, 0, 0, 0, 0, 0]
    for step in (1, 16, 32, 64):
        high = coarsen(np.full((1, 1, 3, 3), LIMIT), step)
        assert set(high.ravel().tolist()) == {LIMIT // step * step}
