"""Coarse grids for the weights of the onboard network, so that its file deflates to a third."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: distance of the grid's points in each layer; the weights of 16 x 16 cells bear the coarsest
STEPS = {
    "stem": 1,
    "fine": 16,
    "down": 16,
    "quarter": 16,
    "deep": 64,
    "wide2": 64,
    "wide4": 64,
    "up1": 64,
    "merge1": 32,
    "up2": 16,
    "merge2": 16,
    "logits": 1,
}
#: no weight is greater in magnitude
LIMIT = 127


def coarsen(weight: NDArray[Any], step: int) -> NDArray[np.int8]:
    """Return weights int8[cout, cin, k, k] at multiples of ``step``, from integers -127..127.

    Weights of seven bits of noise do not deflate; multiples of 16 to 64 take two or three. Each
    kernel [k, k] keeps its sum to half a step, unless a weight meets the limit: after rounding to
    the nearest, those that were rounded furthest the wrong way go to their other neighbour, the
    first of equals first. Activations are positive and smooth, so the sum carries most of what they
    say. Integer arithmetic throughout; weights on the grid stay as they are.
    """
    fine = np.asarray(weight).astype(np.int64).reshape(-1, weight.shape[2] * weight.shape[3])
    grid = (fine + step // 2) // step
    left = fine - grid * step  # what each weight lost
    total = left.sum(1, keepdims=True)
    sign = np.sign(total)
    moves = (2 * np.abs(total) + step - 1) // (2 * step)  # half a step or less stays
    order = np.argsort(-left * sign, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    grid += np.where(rank < moves, sign, 0)
    top = LIMIT // step
    return (grid.clip(-top, top) * step).reshape(weight.shape).astype(np.int8)
