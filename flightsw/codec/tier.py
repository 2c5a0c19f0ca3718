"""Tiers of the C codec: the same kernels for different processors, all with the same result.

The best one that the processor runs is taken by itself. Forcing another is for tests and
measurements, here or by ``FLATSAT_TIER`` in the environment of a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flightsw.codec.native import force_tier, lib, tiers


def available() -> tuple[str, ...]:
    """Return the tiers that this processor runs, the plainest first."""
    return tiers()


def active() -> str:
    """Return the tier in use."""
    level: int = lib.fs_tier_active()
    return tiers()[level]


def force(name: str) -> None:
    """Use another tier from now on; CodecError if this processor does not run it."""
    force_tier(name)


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Use another tier inside the ``with`` block."""
    before = active()
    force(name)
    try:
        yield
    finally:
        force(before)
