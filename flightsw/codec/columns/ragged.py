"""Columns of unequal rows: all values one behind the other, and where each row begins.

The form is Arrow's: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``. A list inside a list has
offsets by element of the outer list, whose own offsets are in ``parents``, the outermost first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.plan import Field
from flightsw.codec.errors import FieldRangeError

Offsets = npt.NDArray[np.int64]


class Ragged(NamedTuple):
    """``values`` of any dtype, ``offsets`` int64 with one more entry than there are rows."""

    values: npt.NDArray[Any]
    offsets: Offsets
    parents: tuple[Offsets, ...] = ()

    def row(self, index: int) -> npt.NDArray[Any]:
        """Return the values of one row, or of one element of the outer list."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def rows(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the values of each row."""
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.values[begin:end]

    def lengths(self) -> Offsets:
        """Return how many values each row has."""
        return np.diff(self.offsets)

    def by_packet(self) -> Ragged:
        """Return the same values with the rows of packets, lists inside lists run together."""
        offsets = self.offsets
        for outer in reversed(self.parents):
            offsets = offsets[outer]
        return Ragged(self.values, offsets)

    def chain(self) -> tuple[Offsets, ...]:
        """Return the offsets of every list around the values, the outermost first."""
        return (*self.parents, self.offsets)


def as_ragged(f: Field, depth: int, given: Any) -> Ragged:
    """Return a column that stands in ``depth`` lists as ragged; a list of rows is put together."""
    if isinstance(given, Ragged):
        ragged = given
    elif depth == 1 and isinstance(given, Sequence | np.ndarray):
        rows = [
            octets_of(f, row) if f.kind == "bytes" and f.elements == 1 else row for row in given
        ]
        try:
            offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        except TypeError as error:
            raise FieldRangeError(f"{f.name}: a row is no list ({error})") from None
        parts = [np.asarray(row) for row in rows if len(row)]
        if any(part.ndim != parts[0].ndim or not part.ndim for part in parts):
            raise FieldRangeError(f"{f.name}: rows of unequal shape; give one list a packet")
        ragged = Ragged(np.concatenate(parts) if parts else np.empty(0, f.dtype), offsets)
    else:
        raise FieldRangeError(f"{f.name}: column of {type(given).__name__}, must be Ragged")
    chain = [np.ascontiguousarray(each, np.int64) for each in ragged.chain()]
    if len(chain) != depth:
        raise FieldRangeError(f"{f.name}: stands in {depth} lists, offsets of {len(chain)} given")
    sizes = [*(len(each) - 1 for each in chain[1:]), len(ragged.values)]
    for offsets, size in zip(chain, sizes, strict=True):
        ends = len(offsets) >= 1 and offsets[0] == 0 and offsets[-1] == size
        if not ends or (np.diff(offsets) < 0).any():
            raise FieldRangeError(
                f"{f.name}: offsets must begin with 0, never fall and end with {size}"
            )
    return Ragged(ragged.values, chain[-1], tuple(chain[:-1]))


def octets_of(f: Field, value: Any) -> npt.NDArray[np.uint8]:
    """Return the octets of a string or of bytes; FieldRangeError if it cannot be encoded."""
    if isinstance(value, str):
        try:
            value = value.encode(f.text or "ascii")
        except UnicodeEncodeError as error:
            raise FieldRangeError(f"{f.name}: {value!r} is not {f.text}: {error}") from None
    if isinstance(value, bytes | bytearray | memoryview):
        return np.frombuffer(value, np.uint8)
    return np.asarray(value, np.uint8)


def fixed_octets(f: Field, given: Any) -> npt.NDArray[Any]:
    """Return (n, elements) octets; strings in a list are encoded, and filled up if padded."""
    if isinstance(given, np.ndarray):
        return given
    made = np.zeros((len(given), f.elements), np.uint8)
    for row, value in enumerate(given):
        octets = octets_of(f, value)
        if len(octets) > f.elements or (len(octets) < f.elements and not f.padded):
            raise FieldRangeError(
                f"{f.name}: {len(octets)} octets in row {row}, must be {f.elements}"
            )
        made[row, : len(octets)] = octets
    return made


def fitted(f: Field, values: Any, wide: bool, packet_of: Any) -> npt.NDArray[Any]:
    """Return values as the dtype of a field, contiguous; FieldRangeError names field and packet.

    ``wide`` columns have the elements of the field as axis 1; ``packet_of`` tells the packet of a
    value by its index.
    """
    given = np.asarray(values)
    more = (f.elements,) if wide else ()
    if given.shape[1:] != more or given.ndim != 1 + len(more):
        raise FieldRangeError(f"{f.name}: column of shape {given.shape}, must be (n,) + {more}")
    if given.dtype == f.dtype:
        return np.ascontiguousarray(given)
    if f.kind == "float":
        with np.errstate(over="ignore"):
            made = given.astype(f.dtype)
        bad = np.isinf(made) & ~np.isinf(given)
    elif given.dtype.kind not in "bui":
        raise FieldRangeError(f"{f.name}: column of {given.dtype}, must be integers")
    else:
        made = given.astype(f.dtype)
        bad = _outside(given, f.dtype)
    if bad.any():
        index = int(np.argwhere(bad)[0][0])
        raise FieldRangeError(
            f"{f.name}: {given[index]} in row {packet_of(index)} does not fit {f.width} bits;"
            " nothing was written"
        )
    return np.ascontiguousarray(made)


def _outside(given: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    """Tell which integers a type does not hold."""
    bad: npt.NDArray[np.bool_] = np.zeros(given.shape, np.bool_)
    if dtype.kind == "b" or given.dtype.kind == "b":
        return bad
    have, room = np.iinfo(given.dtype), np.iinfo(dtype)
    if have.min < room.min:
        bad |= given < room.min
    if have.max > room.max:
        bad |= given > room.max
    return bad
