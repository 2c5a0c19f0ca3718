"""Score the onboard network on ground that it never saw: python -m hil.world.imagery.evaluate

Protocol. Views are drawn as in flight: subsatellite points uniform over the area of the held-out
bands between 72 S and 72 N, altitude 450..600 km, any heading, solar elevation 10..90 deg, each
with its own seeded cloud and noise, seeds unknown to training. Images go to the network in 128 x
128 tiles. Every pixel whose own ground lies in a held-out band between 72 S and 72 N counts, with
equal weight; pixels outside them and in space do not.

- Land and water, intersection over union against the mask, over pixels whose truth is not cloud.
  A clear pixel that the network calls cloud is a miss of its class. Haze thinner than the cloud
  threshold is part of the picture.
- Beside it, the one-line rule "land where blue - red <= 4" on the same pixels.
- Cloud against clear, F1 over all counted pixels.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.install import install_command
from hil.errors import HostError
from hil.world.imagery.footprint import Camera
from hil.world.imagery.sampling import HELD_OUT, TILE, draw_views, held_out, render, tiles
from hil.world.imagery.scene import SPACE, Bytes

#: the one-line rule: land where blue minus red is at most this, the best on training longitudes
BLUE_MINUS_RED = 4
LATITUDE_DEG = 72.0
SEED = 20_000
IMAGES = 400

Table = NDArray[np.int64]


def committed_model() -> Path:
    """Return the path of the network that flies; the flight package is located, not imported."""
    spec = util.find_spec("flightsw")
    if spec is None or not spec.submodule_search_locations:
        raise HostError("segmenter: the package flightsw is not installed; pip install flatsat")
    return Path(spec.submodule_search_locations[0]) / "compute" / "models" / "segmenter.onnx"


def confusion(truth: Bytes, guess: Bytes) -> Table:
    """Return counts [truth, guess] of the three classes."""
    return np.bincount(truth * np.uint8(3) + guess, minlength=9).reshape(3, 3)


def ratios(table: Table) -> dict[str, float]:
    """Return IoU of land and water on clear pixels, their mean, and F1 of cloud."""
    water, land = table[0], table[1]
    land_iou = land[1] / (land.sum() + water[1])
    water_iou = water[0] / (water.sum() + land[0])
    cloud = 2 * table[2, 2] / (table[2].sum() + table[:, 2].sum())
    return {
        "land_iou": round(float(land_iou), 4),
        "water_iou": round(float(water_iou), 4),
        "mean_iou": round(float(land_iou + water_iou) / 2, 4),
        "cloud_f1": round(float(cloud), 4),
    }


def score(
    model: Path,
    images: int = IMAGES,
    seed: int = SEED,
    latitude_deg: float = LATITUDE_DEG,
    camera: Camera | None = None,
) -> dict[str, Any]:
    """Return the scores of a model by the protocol above; raises HostError without onnxruntime."""
    session = _session(model)
    camera = camera or Camera()
    network, rule = np.zeros((3, 3), np.int64), np.zeros((3, 3), np.int64)
    views = draw_views(seed, "evaluation.views", latitude_deg, held=True)
    for view in itertools.islice(views, images):
        pixels, truth, lat, lon = render(view, camera)
        counted = held_out(lon) & (np.abs(lat) <= latitude_deg) & (truth != SPACE)
        truth = truth[counted]
        guess = _whole(session.run(None, {"tiles": tiles(pixels)})[0], pixels.shape[0])
        network += confusion(truth, guess[counted])
        red, blue = pixels[..., 0].astype(np.int16), pixels[..., 2].astype(np.int16)
        rule += confusion(truth, (blue - red <= BLUE_MINUS_RED).astype(np.uint8)[counted])
    simple = ratios(rule)
    del simple["cloud_f1"]  # the rule knows no cloud
    return {
        "seed": seed,
        "images": images,
        "bands_deg": [list(band) for band in HELD_OUT],
        "latitude_deg": latitude_deg,
        "pixels": int(network.sum()),
        "cloud_fraction": round(float(network[2].sum() / network.sum()), 4),
        "network": ratios(network),
        "blue_minus_red": {"threshold": BLUE_MINUS_RED, **simple},
        "confusion": network.tolist(),
    }


def _whole(classes: Bytes, height: int) -> Bytes:
    """Put the tiles of an image together again."""
    rows = height // TILE
    return classes.reshape(rows, -1, TILE, TILE).swapaxes(1, 2).reshape(height, -1)


def _session(model: Path) -> Any:
    """Return an onnxruntime session on one thread."""
    try:
        import onnxruntime as ort
    except ModuleNotFoundError as error:
        raise HostError(f"segmenter: onnxruntime is not installed; {install_command()}") from error
    if not model.is_file():
        raise HostError(
            f"segmenter: there is no {model}; python -m hil.world.imagery.training --out DIR"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def report(scores: dict[str, Any]) -> str:
    """Return the scores as a few lines of text."""
    network, rule = scores["network"], scores["blue_minus_red"]
    name = f"blue-red<={rule['threshold']}"
    return "\n".join(
        (
            f"held-out longitudes, {scores['images']} images, {scores['pixels']} pixels, "
            f"cloud {scores['cloud_fraction']:.2f}",
            f"{'':14}{'land IoU':>10}{'water IoU':>11}{'mean':>8}{'cloud F1':>10}",
            f"{'network':14}{network['land_iou']:10.4f}{network['water_iou']:11.4f}"
            f"{network['mean_iou']:8.4f}{network['cloud_f1']:10.4f}",
            f"{name:14}{rule['land_iou']:10.4f}{rule['water_iou']:11.4f}{rule['mean_iou']:8.4f}"
            f"{'-':>10}",
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Score a model and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m hil.world.imagery.evaluate")
    parser.add_argument("--model", type=Path, help="ONNX file (default: the one that flies)")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--latitude", type=float, default=LATITUDE_DEG, metavar="DEG")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    model = args.model or committed_model()
    try:
        scores = score(model, args.images, args.seed, args.latitude)
    except HostError as error:
        parser.exit(error.exit_code, f"{error}\n")
    print(json.dumps(scores) if args.json else report(scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
