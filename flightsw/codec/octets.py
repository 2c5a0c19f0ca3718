"""What callers hand over, looked at before C sees it: octets, room for results, places in octets.

C believes its pointers and its lengths. Here they are made: of the octets that are there, however
many an element has; in memory that may be written; of whole numbers that fit. What is not so is
refused with the name of the one who asked for it, and nothing was written.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.native import ffi

Octets = bytes | bytearray | memoryview

_from_buffer = ffi.from_buffer
_REFUSALS = (TypeError, ValueError, BufferError)


def view_of(what: str, octets: Any) -> Any:
    """Return C's view of ``octets``, whose length is their number; CodecError if there are none.

    Anything will do that shows its memory in one piece: bytes, an array, a map of a file.
    """
    try:
        return _from_buffer(octets)
    except _REFUSALS as error:
        raise CodecError(
            f"{what}: {type(octets).__name__} does not show octets in one piece ({error}); give"
            " bytes, or a contiguous array"
        ) from None


def sliceable(what: str, octets: Any) -> Any:
    """Return ``octets`` as what is cut by octets, whatever an element of a view or an array has;
    CodecError as :func:`view_of`."""
    kind = type(octets)
    return octets if kind is bytes or kind is bytearray else ffi.buffer(view_of(what, octets))


def bytes_of(what: str, octets: Any) -> bytes:
    """Return ``octets`` as bytes, without a copy if they are; CodecError as :func:`view_of`."""
    return octets if type(octets) is bytes else bytes(ffi.buffer(view_of(what, octets)))


def joined(what: str, held: bytes, octets: Any) -> bytes:
    """Return ``octets`` behind those ``held``; CodecError as :func:`view_of`."""
    if type(octets) is not bytes:
        octets = ffi.buffer(view_of(what, octets))
    elif not held:
        return octets
    return b"".join((held, octets))


def room_of(what: str, kind: str, room: Any) -> Any:
    """Return C's pointer into memory for results; CodecError if it may not be written."""
    try:
        return _from_buffer(kind, room, require_writable=True)
    except _REFUSALS as error:
        raise CodecError(
            f"{what}: {type(room).__name__} cannot take results ({error}); give a contiguous array"
            " that may be written"
        ) from None


def places_of(what: str, given: npt.ArrayLike, dtype: Any) -> npt.NDArray[Any]:
    """Return offsets or lengths as a contiguous array of ``dtype``, shape (n,).

    An array of that dtype is taken as it is. Raises FieldRangeError for what are no whole numbers,
    for another shape, and for numbers that ``dtype`` does not hold.
    """
    want = np.dtype(dtype)
    array = _array(what, given)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "ui"):
        raise FieldRangeError(
            f"{what}: offsets or lengths of {array.dtype} {array.shape}; give whole numbers, one a"
            " part"
        )
    if array.dtype != want and array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > np.iinfo(want).max:
            raise FieldRangeError(
                f"{what}: offsets or lengths from {low} to {high}; give 0 to {np.iinfo(want).max}"
            )
    return np.ascontiguousarray(array, want)


def _array(what: str, given: Any) -> npt.NDArray[Any]:
    if hasattr(given, "__array__"):
        return np.asarray(given)
    try:  # numpy makes floats of numbers of two kinds, and its versions differ on those too large
        numbers = [index(number) for number in given]
        return np.array(numbers, np.uint64 if min(numbers, default=0) >= 0 else np.int64)
    except (TypeError, OverflowError) as error:
        raise FieldRangeError(
            f"{what}: offsets or lengths: {error}; give whole numbers, one a part"
        ) from None
