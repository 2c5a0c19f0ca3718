"""Calibrations: from the raw number on the wire to engineering units, and back where that can be.

They travel with the declaration (``field("bus_v", Int16ub, calibration=Scale(0.004, unit="V"))``)
and are applied on demand, so that raw numbers are always kept:
``columns.calibrated("bus_v")``, ``layout.decode(packet, calibrated=True)``, and
``layout.encode(values, calibrated=True)``. Labels of an Enum are a calibration of their own, which
the Enum brings along.

A calibration maps an array of any shape to an array of float64 of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError

Floats = npt.NDArray[np.float64]


class Calibration(Protocol):
    """From raw numbers to a unit; ``invert`` raises FieldRangeError where there is no way back."""

    @property
    def unit(self) -> str:
        """Unit of the calibrated value, "" if none."""

    def apply(self, raw: npt.ArrayLike) -> Floats:
        """Return the calibrated values of raw ones."""

    def invert(self, values: npt.ArrayLike) -> Floats:
        """Return raw values, not yet rounded, that calibrate to these."""


@dataclass(frozen=True)
class Polynomial:
    """``coefficients[0] + coefficients[1] raw + coefficients[2] raw^2 ...``"""

    coefficients: tuple[float, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.coefficients or not all(map(np.isfinite, self.coefficients)):
            raise FieldRangeError(f"polynomial {self.coefficients}: needs finite coefficients")

    def apply(self, raw: npt.ArrayLike) -> Floats:
        """Return the polynomial of ``raw``, by Horner's rule; infinite beyond double precision."""
        with np.errstate(invalid="ignore", over="ignore"):  # telemetry may hold any float
            x = np.asarray(raw, np.float64)
            result = np.full_like(x, self.coefficients[-1])
            for c in reversed(self.coefficients[:-1]):
                result = result * x + c
        return result

    def invert(self, values: npt.ArrayLike) -> Floats:
        """Return the raw values of a straight line; curves have no single way back."""
        slope = self.coefficients[1] if len(self.coefficients) > 1 else 0.0
        if slope == 0 or any(self.coefficients[2:]):
            raise FieldRangeError(
                f"polynomial {self.coefficients}: only a straight line that is not flat can be"
                " inverted; give raw values"
            )
        return (np.asarray(values, np.float64) - self.coefficients[0]) / slope


def Scale(scale: float, offset: float = 0.0, unit: str = "") -> Polynomial:  # noqa: N802  # a kind
    """Return ``scale * raw + offset``."""
    return Polynomial((offset, scale), unit)


@dataclass(frozen=True)
class Spline:
    """Straight lines between (raw, value) points, the raw ones rising; beyond them not a number.

    With ``extrapolate``, the first and the last line go on instead.
    """

    points: tuple[tuple[float, float], ...]
    unit: str = ""
    extrapolate: bool = False

    def __post_init__(self) -> None:
        raw = [r for r, _ in self.points]
        if len(raw) < 2 or not np.isfinite(self.points).all() or (np.diff(raw) <= 0).any():
            raise FieldRangeError(
                f"spline of {len(raw)} points: needs two or more, finite, with raw values rising"
            )

    def apply(self, raw: npt.ArrayLike) -> Floats:
        """Return the values between the points."""
        x, y = np.asarray(self.points, np.float64).T
        with np.errstate(invalid="ignore", over="ignore"):  # telemetry may hold any float
            return self._between(np.asarray(raw, np.float64), x, y)

    def invert(self, values: npt.ArrayLike) -> Floats:
        """Return raw values; the values of the points must all rise or all fall."""
        x, y = np.asarray(self.points, np.float64).T
        steps = np.diff(y)
        if not ((steps > 0).all() or (steps < 0).all()):
            raise FieldRangeError(
                "spline: its values neither only rise nor only fall, so it cannot be inverted;"
                " give raw values"
            )
        if steps[0] < 0:
            x, y = x[::-1], y[::-1]
        return self._between(np.asarray(values, np.float64), y, x)

    def _between(self, at: Floats, x: Floats, y: Floats) -> Floats:
        k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
        share = (at - x[k]) / (x[k + 1] - x[k])
        result = np.asarray(y[k] * (1 - share) + y[k + 1] * share, np.float64)
        if not self.extrapolate:
            result = np.where((at < x[0]) | (at > x[-1]), np.nan, result)
        return result


def to_raw(name: str, calibration: Calibration, values: npt.ArrayLike, dtype: Any) -> Any:
    """Return raw numbers of ``dtype`` for calibrated ones, integers rounded to the nearest.

    FieldRangeError names the field and the first value that has no raw number.
    """
    try:
        raw = calibration.invert(values)
    except FieldRangeError as error:
        raise FieldRangeError(f"{name}: {error}") from None
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return raw.astype(kind)
    rounded = np.rint(raw)
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    # The upper limit of 64 bits is no double; the next one above it is out of range already.
    bad = ~((rounded >= low) & (rounded <= high) & (rounded < 2.0**64)) | (
        (kind.itemsize == 8) & (rounded >= float(high))
    )
    if bad.any():
        where = np.argwhere(bad)[0]
        at = f" in row {where[0]}" if where.size else ""
        value = np.asarray(values)[tuple(where)]
        raise FieldRangeError(f"{name}: {value}{at} has no raw number of {kind}")
    return rounded.astype(kind)


def labelled(labels: Mapping[int, str], raw: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """Return the labels of raw numbers as an array of str; a number without one is its decimal."""
    numbers, where = np.unique(raw, return_inverse=True)
    texts = np.array([labels.get(int(n), str(int(n))) for n in numbers], np.str_)
    return texts[where].reshape(raw.shape)


def numbers_of(name: str, labels: Mapping[int, str], values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return raw numbers for labels, or for numbers written as such."""
    given = np.asarray(values)
    if given.dtype.kind != "U":
        return given
    known = {text: number for number, text in labels.items()}
    texts, where = np.unique(given, return_inverse=True)
    found = []
    for text in texts.tolist():
        if text not in known and not text.lstrip("-").isdecimal():
            raise FieldRangeError(f"{name}: {text!r} is none of its labels {', '.join(known)}")
        found.append(known[text] if text in known else int(text))
    return np.array(found)[where].reshape(given.shape)


def calibrated_values(fields: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a packet with calibrations applied; changes what is given."""
    for f in fields:
        if f.calibration is not None:
            at: Any = values
            for part in f.path[:-1]:
                at = at[part]
            at[f.path[-1]] = f.calibration.apply(at[f.path[-1]]).tolist()
    return values


def raw_values(fields: tuple[Any, ...], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values of a packet with calibrations undone; what is given stays as it is."""
    made: Any = values
    for f in fields:
        if f.calibration is not None and f.const is None:
            made = _replaced(made, f.path, f)
    result: Mapping[str, Any] = made
    return result


def _replaced(values: Any, path: tuple[Any, ...], f: Any) -> Any:
    """Return a copy of nested values in which the one at the path is raw; absent ones stay so."""
    if not path:
        return to_raw(f.name, f.calibration, values, f.dtype).tolist()
    copy = list(values) if isinstance(values, list | tuple) else dict(values)
    try:
        inner = copy[path[0]]
    except LookupError:
        return copy
    copy[path[0]] = _replaced(inner, path[1:], f)
    return copy


def raw_columns(fields: tuple[Any, ...], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with calibrations and labels undone."""
    made = dict(columns)
    for f in fields:
        if f.name not in made or f.const is not None:
            continue
        if f.calibration is not None:
            made[f.name] = to_raw(f.name, f.calibration, made[f.name], f.dtype)
        elif f.labels is not None:
            made[f.name] = numbers_of(f.name, f.labels, made[f.name])
    return made


class Calibrated:
    """Adds ``calibrated`` to a mapping of columns that has ``fields``."""

    def calibrated(self, name: str) -> Any:
        """Return a column in engineering units: float64, or labels of an Enum as str.

        A field without a calibration comes back raw. KeyError if there is no such column.
        """
        columns: Any = self
        f = next((f for f in columns.fields if f.name == name), None)
        if f is None:
            raise KeyError(name)
        column = columns[name]
        if f.calibration is None and f.labels is None:
            return column
        ragged = hasattr(column, "offsets")
        raw = column.values if ragged else column
        made = labelled(f.labels, raw) if f.labels is not None else f.calibration.apply(raw)
        return column._replace(values=made) if ragged else made
