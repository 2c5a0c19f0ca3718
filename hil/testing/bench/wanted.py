"""What a test wants of a value: the value itself, a range, or anything that says yes or no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

#: Nanoseconds of virtual time: ``10 * s``, ``50 * ms``.
s, ms, us = 1_000_000_000, 1_000_000, 1_000


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; None: no limit there. ``strict``: without the limits."""

    low: float | None
    high: float | None
    strict: bool = False

    def __call__(self, value: Any) -> bool:
        """Tell whether a value lies in it; what is no number does not."""
        if not _is_number(value):
            return False
        above = self.low is None or value > self.low or (value == self.low and not self.strict)
        below = self.high is None or value < self.high or (value == self.high and not self.strict)
        return above and below

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"between {self.low:g} and {self.high:g}"
        return f"above {self.low:g}" if self.low is not None else f"below {self.high:g}"

    def distance(self, value: Any) -> float:
        """Return how far a number lies outside; what is no number is infinitely far."""
        if not _is_number(value):
            return float("inf")
        low = self.low - value if self.low is not None else 0.0
        high = value - self.high if self.high is not None else 0.0
        return max(0.0, low, high)


def between(low: float, high: float) -> Range:
    """Return what wants a number from ``low`` to ``high``, both included."""
    if not low <= high:
        raise ValueError(f"between({low}, {high}): no number is; give the smaller one first")
    return Range(low, high)


def above(low: float) -> Range:
    """Return what wants a number greater than ``low``."""
    return Range(low, None, strict=True)


def below(high: float) -> Range:
    """Return what wants a number less than ``high``."""
    return Range(None, high, strict=True)


def fits(wanted: Any, value: Any) -> bool:
    """Tell whether a value is what is wanted; None wants any."""
    if wanted is None:
        return True
    if isinstance(wanted, Enum):
        return value in (wanted.name, wanted.value)
    if callable(wanted):
        return bool(wanted(value))
    return bool(value == wanted)


def told(wanted: Any) -> str:
    """Return what is wanted, for a person."""
    if wanted is None:
        return ""
    if isinstance(wanted, Range):
        return str(wanted)
    if isinstance(wanted, Enum):
        return f"equal to {wanted.name}"
    if callable(wanted):
        return f"such that {_name(wanted)}(value)"
    return f"equal to {wanted!r}"


def _name(wanted: Callable[..., Any]) -> str:
    return str(getattr(wanted, "__qualname__", repr(wanted))).removeprefix("<").removesuffix(">")


def distance(wanted: Any, value: Any) -> float:
    """Return how far a value is from what is wanted: nearest first is what a person looks for."""
    if isinstance(wanted, Range):
        return wanted.distance(value)
    if _is_number(wanted) and _is_number(value):
        return abs(float(value) - float(wanted))
    return float("inf")
