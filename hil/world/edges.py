"""Where a smooth function of time changes sign, to a microsecond."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hil.world.frames import Array

#: halvings of a bracket of up to 2 min that leave less than 0.5 us
_HALVINGS = 28


class Edges(NamedTuple):
    """Sign changes in ns: where the function becomes negative, and where it stops being so."""

    falling: list[int]
    rising: list[int]

    def after_falling(self) -> list[int | None]:
        """Return, for each falling edge, the rising edge that follows it, or None."""
        return [_following(self.rising, t) for t in self.falling]


def refine_edges(
    function: Callable[[Array], Array], t_s: Array, values: Array | None = None
) -> Edges:
    """Return the sign changes of ``function`` between the rising times ``t_s``.

    ``values`` are the function's values at ``t_s`` where they are known already. All brackets are
    halved together. Results are rounded to 1 us: the function's last bits do not show.
    """
    negative = (function(t_s) if values is None else values) < 0.0
    at = np.flatnonzero(negative[1:] != negative[:-1])
    if not at.size:
        return Edges([], [])
    lower, upper, falls = t_s[at], t_s[at + 1], negative[at + 1]
    for _ in range(_HALVINGS):
        middle = 0.5 * (lower + upper)
        passed = (function(middle) < 0.0) == falls
        upper = np.where(passed, middle, upper)
        lower = np.where(passed, lower, middle)
    t_ns = [round(float(t) * 1e6) * 1000 for t in upper]
    return Edges(
        [t for t, fall in zip(t_ns, falls, strict=True) if fall],
        [t for t, fall in zip(t_ns, falls, strict=True) if not fall],
    )


def _following(times: list[int], t_ns: int) -> int | None:
    """Return the first of the rising ``times`` after ``t_ns``."""
    return next((t for t in times if t > t_ns), None)
