"""The split of the globe, the scores, and that the network that flies reaches them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from hil.errors import HostError
from hil.world.imagery import evaluate
from hil.world.imagery.footprint import Camera
from hil.world.imagery.sampling import (
    HELD_OUT,
    MARGIN_DEG,
    draw_views,
    held_out,
    render,
    tiles,
    training_tiles,
)


def test_held_out_bands_are_a_third_of_the_globe() -> None:
    """The bands must cover 120 degrees, margins included where asked, across the date line."""
    lon = np.arange(-180, 180, 0.01) + 0.005
    assert held_out(lon).mean() == pytest.approx(1 / 3, abs=1e-4)
    assert held_out(lon, 1.0).mean() == pytest.approx((120 + 6) / 360, abs=1e-4)
    assert held_out(np.array([-179.5]), 1.0)[0]
    assert not held_out(np.array([-179.5]))[0]
    for west, east in HELD_OUT:
        assert held_out(np.array([west + 0.1, (west + east) / 2, east - 0.1])).all()


def test_views_are_drawn_where_asked() -> None:
    """Views must keep to the side of the split and the latitudes that were asked for."""
    for held in (True, False):
        views = list(itertools.islice(draw_views(1, "test", 72.0, held), 200))
        assert (held_out(np.array([v.lon_deg for v in views])) == held).all()
        assert max(abs(v.lat_deg) for v in views) <= 72.0
        assert len({v.seed for v in views}) == 200


def test_training_never_sees_held_out_ground() -> None:
    """Every training tile must be found in a view at a place clear of the bands and margin."""
    camera = Camera()
    images, truths = training_tiles(4, 12, camera)
    allowed, refused = set(), set()
    for view in itertools.islice(draw_views(4, "training.views", 84.0, None), 12):
        pixels, _, _, lon = render(view, camera)
        for image, east in zip(tiles(pixels), tiles(lon), strict=True):
            leaks = bool(held_out(east, MARGIN_DEG).any())
            (refused if leaks else allowed).add(image.tobytes())
    assert refused
    assert {image.tobytes() for image in images} <= allowed
    assert truths.shape == (12, 128, 128)


def test_ratios_are_those_of_a_hand_made_table() -> None:
    """IoU and F1 must follow their definitions, a false cloud being a miss of its class."""
    table = np.array([[80, 10, 10], [5, 85, 10], [10, 10, 180]])
    found = evaluate.ratios(table)
    assert found["land_iou"] == round(85 / (100 + 10), 4)
    assert found["water_iou"] == round(80 / (100 + 5), 4)
    assert found["cloud_f1"] == round(2 * 180 / (200 + 200), 4)


def test_confusion_counts_truth_by_guess() -> None:
    """Rows must be the truth and columns the guess."""
    truth, guess = np.array([0, 1, 2, 2], np.uint8), np.array([0, 2, 2, 1], np.uint8)
    assert evaluate.confusion(truth, guess).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_the_network_that_flies_reaches_its_scores_on_unseen_ground() -> None:
    """On held-out longitudes: land IoU at least 0.94, cloud F1 at least 0.9, the rule below it."""
    middle = Camera(256, 256, 61.58)  # the middle quarter of the default camera, as many views
    scores = evaluate.score(evaluate.committed_model(), camera=middle)
    assert scores["network"]["land_iou"] >= 0.94
    assert scores["network"]["water_iou"] >= 0.94
    assert scores["network"]["cloud_f1"] >= 0.9
    assert scores["network"]["land_iou"] > scores["blue_minus_red"]["land_iou"]


def test_the_command_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the figures must be one object on stdout; without, a table of both."""
    assert evaluate.main(["--images", "2", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["images"] == 2
    assert evaluate.main(["--images", "2"]) == 0
    assert "blue-red<=4" in capsys.readouterr().out


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    """A path without a model must be an error that says how to make one."""
    with pytest.raises(HostError, match="training"):
        evaluate.score(tmp_path / "none.onnx", images=1)
    with pytest.raises(SystemExit) as left:
        evaluate.main(["--model", str(tmp_path / "none.onnx")])
    assert left.value.code == 3
