"""What sensors that sample on a grid of their own share: noise by index, whole counts, a FIFO."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from hil.parts.base import stream

STANDARD_GRAVITY = 9.80665
_BLOCK = 256
#: Noise is the sum of the eight octets of a random word: bounded at 4.9 standard deviations, exact
#: in integers, and the same on every machine.
NOISE_MEAN = 8 * 255 // 2
NOISE_SIGMA = math.sqrt(8 * (256 * 256 - 1) / 12)
#: how far from zero a draw can be, in standard deviations
PEAK = NOISE_MEAN / NOISE_SIGMA


class Noise:
    """Draws of unit spread by (index, column): how often a driver polls changes nothing."""

    def __init__(self, seed: int, name: str, columns: int) -> None:
        self._key = seed, name
        self._columns = columns
        self._block = -1
        self._rows: list[list[int]] = []

    def row(self, index: int) -> list[float]:
        """Return the draws of one sample, one a column."""
        block, at = divmod(index, _BLOCK)
        if block != self._block:
            seed, name = self._key
            words = stream(seed, f"{name}/{block}").bit_generator.random_raw(_BLOCK * self._columns)
            sums = words.view("u1").reshape(_BLOCK, self._columns, 8).sum(axis=2, dtype=np.int64)
            self._rows = (sums - NOISE_MEAN).tolist()
            self._block = block
        return [draw / NOISE_SIGMA for draw in self._rows[at]]


def peak(density: float, bandwidth_hz: float, lsb: float) -> float:
    """Return how far a sample can be from its input: the peak of the noise and half an LSB."""
    return PEAK * density * math.sqrt(bandwidth_hz) + lsb / 2


class Counts:
    """Rounds to whole 16-bit counts, and counts those at the end of the scale."""

    def __init__(self) -> None:
        self.saturated = 0

    def __call__(self, lsb: float, lowest: int = -0x8000, highest: int = 0x7FFF) -> int:
        """Return ``lsb`` rounded to a whole number within the scale."""
        counts = round(lsb)
        if lowest <= counts <= highest:
            return counts
        self.saturated += 1
        return min(max(counts, lowest), highest)


class Fifo:
    """A FIFO of octets; when it is full the oldest go, or with ``keep_oldest`` the newest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.keep_oldest = False
        #: octets lost because it was full
        self.lost = 0
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    @property
    def head(self) -> int:
        """The octet that a read takes next, FFh when there is none."""
        return self._octets[0] if self._octets else 0xFF

    def clear(self) -> None:
        """Drop the content."""
        self._octets.clear()

    def push(self, octets: Iterable[int]) -> bool:
        """Append octets; tell whether any were lost."""
        self._octets += bytes(octets)
        over = len(self._octets) - self.size
        if over <= 0:
            return False
        self.lost += over
        if self.keep_oldest:
            del self._octets[self.size :]
        else:
            del self._octets[:over]
        return True

    def pop(self) -> None:
        """Drop the oldest octet."""
        del self._octets[:1]
