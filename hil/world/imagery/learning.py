"""How the network learns: first in real numbers, then, folded to integers, through the rounding."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from hil.parts.base import stream
from hil.world.imagery import export
from hil.world.imagery.footprint import Camera
from hil.world.imagery.network import FloatNet, assert_exact, fold
from hil.world.imagery.sampling import training_tiles
from hil.world.imagery.scene import SPACE

BATCH = 16
FLOAT_EPOCHS, INTEGER_EPOCHS = 3.3, 0.9
FLOAT_RATE, INTEGER_RATE = 4e-3, 3e-4
#: what a pixel of water, land, cloud weighs: snow taken for cloud costs an image, the reverse less
WEIGHTS = (1.0, 1.0, 0.6)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def learn(
    net: nn.Module, images: Tensor, truths: Tensor, epochs: float, rate: float, seed: int
) -> None:
    """Fit a network to tiles uint8[N, 128, 128, 3]; one warm-up, then a cosine to zero."""
    steps = int(epochs * len(images) / BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    weights = torch.tensor(WEIGHTS)
    random = stream(seed, f"training.order.{type(net).__name__}")
    order: list[int] = []
    mean = 0.0
    start = time.monotonic()
    net.train()
    for step in range(steps):
        if len(order) < BATCH:
            order += random.permutation(len(images)).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        pixels = images[chosen].permute(0, 3, 1, 2).float().contiguous()
        truth = truths[chosen].long()
        fraction = (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 100) * fraction
        loss = functional.cross_entropy(net(pixels), truth, weights, ignore_index=SPACE)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        mean += (float(loss.detach()) - mean) * max(0.01, 1 / (step + 1))
        if (step + 1) % 200 == 0 or step + 1 == steps:
            passed = time.monotonic() - start
            _say(f"{type(net).__name__} step {step + 1}/{steps} loss {mean:.4f} {passed:.0f} s")


def train(out: Path, seed: int, tiles: int) -> Path:
    """Train from a seed; return the path of the model written into ``out``."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    start = time.monotonic()
    images, truths = (torch.from_numpy(a) for a in training_tiles(seed, tiles, Camera()))
    _say(f"{tiles} tiles rendered {time.monotonic() - start:.0f} s")
    real = FloatNet()
    learn(real, images, truths, FLOAT_EPOCHS, FLOAT_RATE, seed)
    whole = fold(real.eval())
    learn(whole, images, truths, INTEGER_EPOCHS, INTEGER_RATE, seed)
    assert_exact(whole)
    path = export.write(whole, out)
    _say(f"trained {time.monotonic() - start:.0f} s")
    return path
