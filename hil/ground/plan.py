"""Choosing what to photograph: sunlit ground, coasts and land first, spaced apart in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hil.ground.segment import Acquisition

SECOND = 1_000_000_000
CANDIDATE_STEP_S = 15


def choose(
    times_s: Sequence[int],
    score: Callable[[int], float],
    count: int,
    min_spacing_s: float,
) -> list[int]:
    """Return up to ``count`` of the times, best score first served, at least so far apart.

    Ties go to the earlier time, so the choice is the same everywhere.
    """
    chosen: list[int] = []
    for t_s in sorted(times_s, key=lambda t: (-score(t), t)):
        if len(chosen) == count:
            break
        if all(abs(t_s - other) >= min_spacing_s for other in chosen):
            chosen.append(t_s)
    return sorted(chosen)


def acquisitions(
    times_s: Sequence[int], score: Callable[[int], float], exposure_us: int
) -> list[Acquisition]:
    """Number the chosen times as jobs; the best score gets the first place in the queue."""
    ranked = sorted(times_s, key=lambda t: (-score(t), t))
    return [
        Acquisition(job, t_s * SECOND, exposure_us, ranked.index(t_s))
        for job, t_s in enumerate(times_s, start=1)
    ]
