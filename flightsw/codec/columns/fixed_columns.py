"""Columns of decoded packets: one arena, one native-endian array a field.

Fresh memory costs more than decoding into it, so an arena is made once and filled again; C says
where in it the columns stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.calibration import Calibrated
from flightsw.codec.columns.faults import Judged
from flightsw.codec.columns.plan import Field
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib

_LINE = 64
_spread = lib.fs_layout_spread


class PreparedLayout:
    """What C needs to make columns of a table of fields, made once for a layout.

    ``pointer`` is an ``fs_layout *`` of packets of ``nbytes`` octets, valid as long as this object.
    """

    def __init__(self, fields: tuple[Field, ...], table: Any, nbytes: int) -> None:
        self.nbytes, self.fields = nbytes, fields
        self.pointer = ffi.new("fs_layout *")
        self.pointers_type = ffi.typeof(f"uint8_t *[{max(len(fields), 1)}]")
        self._keep = (table, ffi.new("fs_layout_step[]", max(len(fields), 1)))
        code = lib.fs_layout_prepare(self.pointer, table, len(fields), nbytes, self._keep[1])
        assert code == len(fields), "a plan keeps its fields inside of its packet"


class Columns(Calibrated, Judged, dict[str, npt.NDArray[Any]]):
    """Arrays by field name, ``count`` rows each; fields of several elements have them as axis 1.

    ``capacity`` is how many rows the arena holds; ``owner`` is the layout that it was made for.
    """

    def __init__(
        self,
        owner: object,
        prepared: PreparedLayout,
        capacity: int,
        arena: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Take an arena, or divide ``arena``, which begins at a cache line."""
        super().__init__()
        self.owner, self.fields = owner, prepared.fields
        self.capacity = self.count = capacity
        if arena is None:
            end = _spread(prepared.pointer, capacity, ffi.NULL, ffi.NULL)
            raw = np.empty(end + _LINE, np.uint8)
            skip = -int(ffi.cast("uintptr_t", ffi.from_buffer("uint8_t[]", raw))) % _LINE
            arena = raw[skip : skip + end]
        self.arena, whole = arena, ffi.from_buffer("uint8_t[]", arena)
        self.pointers = ffi.new(prepared.pointers_type)
        _spread(prepared.pointer, capacity, whole, self.pointers)
        for k, f in enumerate(self.fields):
            at = self.pointers[k] - whole
            wide = f.array or f.kind == "bytes"
            shape = (capacity, f.elements) if wide else (capacity,)
            self[f.name] = np.ndarray(shape, f.dtype, arena, at)

    def first(self, count: int) -> Columns:
        """Return views of the first rows, on the same arena."""
        view = Columns.__new__(Columns)
        view.owner, view.fields, view.arena, view.pointers = (
            self.owner,
            self.fields,
            self.arena,
            self.pointers,
        )
        view.capacity, view.count = self.capacity, count
        for name, column in self.items():
            view[name] = column[:count]
        return view


def as_column(f: Field, columns: Mapping[str, npt.ArrayLike]) -> npt.NDArray[Any]:
    """Return the column of a field as C wants it; FieldRangeError if values do not fit."""
    if f.name not in columns:
        raise FieldRangeError(f"{f.name}: no column given; every field needs one")
    try:
        given = np.asarray(columns[f.name])
    except ValueError as error:
        raise FieldRangeError(f"{f.name}: rows of unequal shape ({error})") from None
    shape = (f.elements,) if f.array or f.kind == "bytes" else ()
    if given.shape[1:] != shape or given.ndim != 1 + len(shape):
        raise FieldRangeError(f"{f.name}: column of shape {given.shape}, must be (n,) + {shape}")
    if given.dtype == f.dtype:
        return given if given.flags.carray else np.array(given)
    if f.kind == "float":
        with np.errstate(over="ignore"):
            made = given.astype(f.dtype)
        bad = np.isinf(made) & ~np.isinf(given)
    else:
        if given.dtype.kind not in "bui":
            raise FieldRangeError(f"{f.name}: column of {given.dtype}, must be integers")
        made = given.astype(f.dtype)
        bad = _outside(given, *_limits(f))
    if bad.any():
        raise _misfit(f, given, bad)
    return np.ascontiguousarray(made)


def _limits(f: Field) -> tuple[int, int]:
    low = -(1 << f.width - 1) if f.kind == "int" else 0
    return low, low + (1 << f.width) - 1


def _outside(given: npt.NDArray[Any], low: int, high: int) -> npt.NDArray[np.bool_]:
    """Elements beyond the limits; limits beyond the array's own type cannot be passed."""
    if given.dtype.kind == "b":
        return np.zeros(given.shape, np.bool_)
    own = np.iinfo(given.dtype)
    bad: npt.NDArray[np.bool_] = np.zeros(given.shape, np.bool_)
    if own.min < low:
        bad |= given < low
    if own.max > high:
        bad |= given > high
    return bad


def _misfit(f: Field, given: npt.NDArray[Any], bad: npt.NDArray[np.bool_]) -> FieldRangeError:
    row = int(np.argwhere(bad)[0][0])
    return FieldRangeError(
        f"{f.name}: {given[row]} in row {row} does not fit {f.width} bits; nothing was written"
    )


def offending(fields: tuple[Field, ...], arrays: list[npt.NDArray[Any]]) -> FieldRangeError:
    """Return the error that names the first field and row whose value is too wide."""
    for f, array in zip(fields, arrays, strict=True):
        if f.kind in ("uint", "int") and not f.flag:
            bad = _outside(array, *_limits(f))
            if bad.any():
                return _misfit(f, array, bad)
    return FieldRangeError("layout: a column holds a value that does not fit its field")
