"""How the codec is timed: the best of repeats, each long enough for the clock."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable

from flightsw.codec import tier as tiers
from flightsw.codec.native import ffi

#: Seconds that one repeat takes at least, so that the clock and the call weigh nothing.
REPEAT_S = 0.004


def best_s(work: Callable[[], object], quick: bool = False) -> float:
    """Return the seconds of one ``work()``: the best of 15 repeats (quick: 3) of enough calls."""
    work()
    count, elapsed = 1, time_calls(work, 1)
    while elapsed < REPEAT_S:
        count = max(2 * count, int(count * REPEAT_S / max(elapsed, 1e-9)))
        elapsed = time_calls(work, count)
    gc.collect()
    gc.disable()
    try:
        return min(time_calls(work, count) for _ in range(3 if quick else 15)) / count
    finally:
        gc.enable()


def time_calls(work: Callable[[], object], count: int) -> float:
    """Return the seconds that ``count`` calls take."""
    start = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - start


def by_tier(
    work: Callable[[], object],
    scale: Callable[[float], float],
    quick: bool = False,
    only: Iterable[str] | None = None,
) -> dict[str, float]:
    """Return the figure of each tier: ``scale`` turns the seconds of one call into the unit."""
    found = {}
    for name in only or tiers.available():
        with tiers.forced(name):
            found[name] = scale(best_s(work, quick))
    return found


def memcpy_s(nbytes: int, quick: bool = False) -> float:
    """Return the seconds of copying ``nbytes`` between two buffers in use."""
    source, target = bytearray(nbytes), bytearray(nbytes)
    a, b, move = ffi.from_buffer(source), ffi.from_buffer(target), ffi.memmove
    return best_s(lambda: move(b, a, nbytes), quick)


def gb_per_s(nbytes: int) -> Callable[[float], float]:
    """Return what turns seconds for ``nbytes`` into GB/s."""
    return lambda seconds: nbytes / seconds / 1e9


def ns_per(count: int) -> Callable[[float], float]:
    """Return what turns seconds for ``count`` things into ns for one."""
    return lambda seconds: seconds / count * 1e9
