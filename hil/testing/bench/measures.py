"""Measurements: a value with a unit and limits, kept, asserted, returned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from hil.errors import LimitError, UsageError


@dataclass(frozen=True)
class Measurement:
    """One measured value. ``low`` and ``high`` are its limits; None: none there."""

    name: str
    value: float
    unit: str
    low: float | None
    high: float | None

    @property
    def is_good(self) -> bool:
        """Whether it lies within its limits, both included; what is no number does not."""
        above = self.value == self.value and (self.low is None or self.value >= self.low)
        return above and (self.high is None or self.value <= self.high)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "good": self.is_good}

    def __str__(self) -> str:
        low = "" if self.low is None else f"{self.low:g} <= "
        high = "" if self.high is None else f" <= {self.high:g}"
        limits = f" ({low}{self.name}{high} {self.unit})" if low or high else ""
        return f"{self.name} = {self.value:g} {self.unit}{limits}"


def measured(
    name: str, value: float, unit: str, limit: tuple[float | None, float | None]
) -> Measurement:
    """Return a measurement. Raises ``UsageError`` for what is no number or no limits."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"measurement {name!r}: {value!r} is no number")
    value = int(value) if isinstance(value, Integral) else float(value)  # as JSON has them
    low, high = limit
    if low is not None and high is not None and low > high:
        raise UsageError(f"measurement {name!r}: limits {low:g} to {high:g} hold no number")
    return Measurement(name, value, unit, low, high)


def check(measurement: Measurement, state: str) -> None:
    """Raise ``LimitError`` for a measurement outside its limits."""
    if not measurement.is_good:
        raise LimitError(f"measured {measurement}\n{state}")
