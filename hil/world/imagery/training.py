"""Train the onboard network: python -m hil.world.imagery.training --out DIR [--seed N]

Renders tiles from training longitudes, learns in real numbers, folds to integers, learns on through
the rounding, coarsens the weights, writes ``segmenter.onnx`` and ``segmenter.json`` with held-out
scores. One thread and fixed seeds: the same machine and torch give the same file; another machine,
whose torch sums in another order, gives other weights of the same quality. Needs the extra
``train``; about 13 minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import util
from pathlib import Path

from flightsw.codec.install import install_command
from hil.errors import HostError
from hil.world.imagery import evaluate

TILES = 12_000


def train_and_score(out: Path, seed: int, tiles: int) -> str:
    """Train, score on held-out ground, write model and card into ``out``; return the report."""
    missing = [name for name in ("torch", "onnx") if util.find_spec(name) is None]
    if missing:
        raise HostError(
            f"training: {' and '.join(missing)} not installed; {install_command('train')}"
        )
    import torch

    from hil.world.imagery import export, learning

    path = learning.train(out, seed, tiles)
    scores = evaluate.score(path)
    command = f"python -m hil.world.imagery.training --out DIR --seed {seed}"
    if tiles != TILES:
        command += f" --tiles {tiles}"
    training = {"command": command, "seed": seed, "tiles": tiles, "torch": torch.__version__}
    export.write_card(path, training, scores)
    return evaluate.report(scores)


def main(argv: Sequence[str] | None = None) -> int:
    """Train the network and print how good it is."""
    parser = argparse.ArgumentParser(prog="python -m hil.world.imagery.training")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiles", type=int, default=TILES)
    args = parser.parse_args(argv)
    try:
        print(train_and_score(args.out, args.seed, args.tiles))
    except (HostError, OSError) as error:
        parser.exit(3, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
