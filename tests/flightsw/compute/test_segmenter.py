"""The onboard network and the threshold rule: exact arithmetic, refusals, cutting and joining."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

import flightsw.compute.segmenter as module
from flightsw.compute.segmenter import (
    CLOUD,
    LAND,
    TILE,
    WATER,
    Grid,
    Segmenter,
    ThresholdSegmenter,
    join,
    split_tiles,
)
from flightsw.errors import ModelError

MODEL = Path(module.__file__).parent / "models" / "segmenter.onnx"


def some_tiles(count: int) -> np.ndarray:
    """Return tiles from noise to smooth, the last of deep water, white and grey cloud."""
    random = np.random.default_rng(3)
    tiles = random.integers(0, 256, (count, TILE, TILE, 3), dtype=np.uint8)
    for index in range(1, count):
        step = 1 << (index % 7)
        tiles[index] = tiles[index, ::step, ::step].repeat(step, 0).repeat(step, 1)[:TILE, :TILE]
    tiles[-1, :44] = (8, 30, 80)
    tiles[-1, 44:86] = 255
    tiles[-1, 86:] = 205 + tiles[-1, 86:] % 8
    return tiles


def constants() -> dict[str, np.ndarray]:
    """Return the constants of the model by name."""
    graph = onnx.load(MODEL).graph
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer}


def convolve(value: np.ndarray, weight: np.ndarray, stride: int, spread: int) -> np.ndarray:
    """Return a convolution of int64 planes [c, h, w], zeros around."""
    kernel = weight.shape[2]
    pad = spread * (kernel // 2)
    wide = np.pad(value, ((0, 0), (pad, pad), (pad, pad)))
    height, width = value.shape[1] // stride, value.shape[2] // stride
    total = np.zeros((len(weight), height, width), np.int64)
    for row in range(kernel):
        for column in range(kernel):
            top, left = row * spread, column * spread
            part = wide[
                :, top : top + height * stride : stride, left : left + width * stride : stride
            ]
            total += np.tensordot(weight[:, :, row, column], part, 1)
    return total


def in_integers(tile: np.ndarray) -> np.ndarray:
    """Walk the model's graph over one tile in int64; biases and floors in halves and shifts."""
    values: dict[str, np.ndarray] = dict(constants())
    values["tiles"] = tile.astype(np.int64)
    for node in onnx.load(MODEL).graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        given = [values[name] for name in node.input]
        match node.op_type:
            case "Cast":
                result = given[0].astype(np.int64)
            case "Transpose":
                result = given[0].transpose(2, 0, 1)
            case "Concat":
                result = np.concatenate(given)
            case "Conv":
                total = convolve(given[0], given[1], options["strides"][0], options["dilations"][0])
                doubled_bias = (2 * given[2]).astype(np.int64)
                result = 2 * total + doubled_bias[:, None, None]  # in halves
            case "Mul":
                result = given[0] >> (1 - np.log2(given[1]).astype(np.int64))  # a floor already
            case "Floor":
                result = given[0]
            case "Clip":
                result = np.clip(given[0], 0, 255)
            case "DepthToSpace":
                depth, height, width = given[0].shape
                blocks = given[0].reshape(depth // 4, 2, 2, height, width)
                result = blocks.transpose(0, 3, 1, 4, 2).reshape(depth // 4, height * 2, width * 2)
            case "ArgMax":
                result = given[0].argmax(0)
        values[node.output[0]] = result
    return values["classes"].astype(np.uint8)


def test_no_sum_can_leave_what_float32_holds() -> None:
    """For each output channel, the sum of |weight| * 255 and |bias| must stay below 2^23.

    Integers and halves below 2^23 are exact in float32, so no order of summation can round.
    """
    found = constants()
    layers = [name.removesuffix(".weight8") for name in found if name.endswith(".weight8")]
    assert len(layers) == 12
    for layer in layers:
        weight, bias = found[f"{layer}.weight8"], found[f"{layer}.bias"].astype(np.float64)
        assert weight.dtype == np.int8
        assert weight.min() >= -127
        assert np.array_equal(2 * bias, np.round(2 * bias))
        worst = np.abs(weight.astype(np.int64)).sum((1, 2, 3)) * 255 + np.abs(bias)
        assert worst.max() < 1 << 23
        scale = found.get(f"{layer}.scale", np.ones(1))
        assert (np.frexp(scale)[0] == 0.5).all()


def test_the_network_is_integer_arithmetic() -> None:
    """onnxruntime's float32 classes must be those of the same graph in int64, pixel for pixel."""
    tiles = some_tiles(4)
    classes = Segmenter().classify(tiles)
    expected = np.stack([in_integers(tile) for tile in tiles])
    assert np.array_equal(classes, expected)
    assert len(np.unique(expected)) == 3


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
def test_graph_optimisation_and_batch_change_nothing(level: str) -> None:
    """Any order in which the runtime computes must give the same classes."""
    tiles = some_tiles(5)
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(MODEL.read_bytes(), options, ["CPUExecutionProvider"])
    whole = session.run(None, {"tiles": tiles})[0]
    segmenter = Segmenter()
    single = np.concatenate([segmenter.classify(tiles[i : i + 1]) for i in range(5)])
    assert np.array_equal(whole, single)


def test_the_model_is_small_and_loads_in_old_runtimes() -> None:
    """At most 500 KB, opset at most 17, and the card's hash and scores must be there."""
    model = onnx.load(MODEL)
    assert MODEL.stat().st_size <= 500_000
    assert model.opset_import[0].version <= 17
    assert model.ir_version <= 9
    card = json.loads(MODEL.with_suffix(".json").read_text())
    assert card["sha256"] == Segmenter().sha256
    assert card["held_out"]["network"]["land_iou"] >= 0.955
    assert card["held_out"]["network"]["cloud_f1"] >= 0.985


def test_a_segmenter_says_what_it_is() -> None:
    """Name and provider must tell which classifier made a product."""
    assert Segmenter().provider == "CPUExecutionProvider"
    assert Segmenter().name == "segmenter"
    rule = ThresholdSegmenter()
    assert (rule.name, rule.provider, len(rule.sha256)) == ("threshold", "numpy", 64)


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    """A model that is not the one scored must not fly."""
    for suffix in (".onnx", ".json"):
        shutil.copy(MODEL.with_suffix(suffix), tmp_path)
    copy = tmp_path / MODEL.name
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ModelError, match="sha256"):
        Segmenter(copy)


@pytest.mark.parametrize("card", [b"{", b"[]", b"\xff"])
def test_a_spoilt_card_is_refused(card: bytes, tmp_path: Path) -> None:
    """A card that is not a JSON object must be named in one line."""
    shutil.copy(MODEL, tmp_path)
    (tmp_path / "segmenter.json").write_bytes(card)
    with pytest.raises(ModelError, match=r"segmenter\.json"):
        Segmenter(tmp_path / MODEL.name)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    """A path without a model must be an error that says how to make one."""
    with pytest.raises(ModelError, match="train it"):
        Segmenter(tmp_path / "none.onnx")


def test_a_missing_runtime_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without onnxruntime the error must say which pip command mends it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"'.*\[orbit\]'"):
        Segmenter()


def test_an_absent_provider_is_refused() -> None:
    """Asking only for a provider that this runtime lacks must not fall back in silence."""
    with pytest.raises(ModelError, match="NoSuchProvider"):
        Segmenter(providers=["NoSuchProvider"])


@pytest.mark.parametrize("make", [Segmenter, ThresholdSegmenter])
def test_only_tiles_are_taken(make: type[Segmenter] | type[ThresholdSegmenter]) -> None:
    """Another shape or type must be refused, and no tiles must give no classes."""
    segmenter = make()
    assert segmenter.classify(np.empty((0, TILE, TILE, 3), np.uint8)).shape == (0, TILE, TILE)
    for shape, kind in (
        ((TILE, TILE, 3), "u1"),
        ((1, 64, 64, 3), "u1"),
        ((1, TILE, TILE, 3), "f4"),
    ):
        with pytest.raises(ValueError, match="tiles are"):
            segmenter.classify(np.zeros(shape, kind))


def test_the_rule_tells_the_obvious_apart() -> None:
    """Deep blue must be water, brown land, bright grey cloud."""
    tile = np.zeros((1, TILE, TILE, 3), np.uint8)
    tile[0, :40] = (5, 30, 80)
    tile[0, 40:80] = (150, 120, 80)
    tile[0, 80:] = (215, 220, 224)
    classes = ThresholdSegmenter().classify(tile)[0]
    assert (classes[:40] == WATER).all()
    assert (classes[40:80] == LAND).all()
    assert (classes[80:] == CLOUD).all()


@pytest.mark.parametrize("size", [(512, 512), (128, 128), (1, 1), (300, 129), (127, 640)])
def test_tiles_join_to_the_image(size: tuple[int, int]) -> None:
    """Cutting and joining must give every pixel back in its place."""
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    tiles, grid = split_tiles(image)
    assert tiles.shape == (grid.rows * grid.columns, TILE, TILE, 3)
    assert tiles.flags.c_contiguous
    for channel in range(3):
        assert np.array_equal(join(tiles[..., channel], grid), image[..., channel])


def test_what_is_no_image_or_grid_is_refused() -> None:
    """Flat or empty images, and classes that do not fill the grid, must be errors."""
    for shape in ((512, 512), (0, 4, 3), (4, 4, 4)):
        with pytest.raises(ValueError, match="image"):
            split_tiles(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="do not fill"):
        join(np.zeros((3, TILE, TILE), np.uint8), Grid(2, 2, 200, 200))
