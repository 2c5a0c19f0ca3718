"""Cyclic redundancy checks of frames, packets and files, one at a time and in batches.

``crc16``
    x^16 + x^12 + x^5 + 1, preset to ones: packet error control (ECSS-E-ST-70-41C annex B), frame
    error control (CCSDS 132.0-B-3 section 4.1.6, 732.0-B-4, 232.0-B-4).
``crc32_uslp``
    x^32 + x^23 + x^21 + x^11 + x^2 + 1, preset to zeros: frame error control of USLP (CCSDS
    732.1-B-3) and Proximity-1 (CCSDS 211.2-B), CFDP checksum type 1 (CCSDS 727.0-B-5).
``crc32c``
    Castagnoli's: CFDP checksum type 2.

Over contents followed by their CRC, big-endian, the first two give 0, which is how every reader
here checks. A batch takes ``uint64`` offsets and ``uint32`` lengths in octets as they are and
copies other whole numbers; it writes one CRC a part.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, places_of, room_of, view_of

#: Below this many octets the call into our C costs more than the slower loop of ``binascii``.
SHORT_NBYTES = 96

_crc16 = lib.fs_crc16
_crc32_uslp = lib.fs_crc32_uslp
_crc32c = lib.fs_crc32c
_from_buffer = ffi.from_buffer


def crc16(data: Octets, init: int = 0xFFFF) -> int:
    """Return the CRC-16 of ``data``; ``init`` continues one over the octets before."""
    if type(data) is bytes:
        nbytes, view = len(data), data
    else:
        view = _from_buffer(data)
        nbytes = len(view)
    if nbytes < SHORT_NBYTES:
        return crc_hqx(data, init)
    value: int = _crc16(view, nbytes, init)
    return value


def crc32_uslp(data: Octets, init: int = 0) -> int:
    """Return the CRC-32 of USLP of ``data``; ``init`` continues one over the octets before."""
    buf = data if type(data) is bytes else _from_buffer(data)
    value: int = _crc32_uslp(buf, len(buf), init)
    return value


def crc32c(data: Octets, init: int = 0) -> int:
    """Return the CRC-32C of ``data``; ``init`` continues one over the octets before."""
    buf = data if type(data) is bytes else _from_buffer(data)
    value: int = _crc32c(buf, len(buf), init)
    return value


def crc16_batch(
    buf: Octets | npt.NDArray[np.uint8],
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    *,
    init: int = 0xFFFF,
    out: npt.NDArray[np.uint16] | None = None,
) -> npt.NDArray[np.uint16]:
    """Return the CRC-16 of each part of ``buf``, given by its offset and length in octets.

    ``out``, if given, takes the results, shape (parts,), and is returned. Raises TruncatedError if
    a part ends behind ``buf``, FieldRangeError for offsets and lengths that are none, CodecError
    for a wrong ``out``; nothing was written then.
    """
    return _batch(lib.fs_crc16_batch, "uint16_t[]", np.uint16, buf, offsets, lengths, init, out)


def crc32_uslp_batch(
    buf: Octets | npt.NDArray[np.uint8],
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    *,
    init: int = 0,
    out: npt.NDArray[np.uint32] | None = None,
) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of USLP of each part, as :func:`crc16_batch` does."""
    call = lib.fs_crc32_uslp_batch
    return _batch(call, "uint32_t[]", np.uint32, buf, offsets, lengths, init, out)


def crc32c_batch(
    buf: Octets | npt.NDArray[np.uint8],
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    *,
    init: int = 0,
    out: npt.NDArray[np.uint32] | None = None,
) -> npt.NDArray[np.uint32]:
    """Return the CRC-32C of each part, as :func:`crc16_batch` does."""
    return _batch(lib.fs_crc32c_batch, "uint32_t[]", np.uint32, buf, offsets, lengths, init, out)


def _batch(
    call: Callable[..., int],
    kind: str,
    dtype: Any,
    buf: Octets | npt.NDArray[np.uint8],
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    init: int,
    out: npt.NDArray[Any] | None,
) -> npt.NDArray[Any]:
    at = places_of("CRC batch", offsets, np.uint64)
    n = places_of("CRC batch", lengths, np.uint32)
    result = np.empty(len(at), dtype=dtype) if out is None else out
    if len(n) != len(at) or result.shape != at.shape or result.dtype != dtype:
        raise CodecError(
            f"CRC batch: {len(at)} offsets, {len(n)} lengths, room for {len(result)} results of"
            f" {result.dtype}; give as many of each, and results of {np.dtype(dtype)}"
        )
    octets = view_of("CRC batch", buf)
    if not 0 <= init <= np.iinfo(dtype).max:
        raise FieldRangeError(f"CRC batch: init {init} does not fit {np.dtype(dtype)}")
    code = call(
        octets,
        len(octets),
        _from_buffer("uint64_t[]", at),
        _from_buffer("uint32_t[]", n),
        len(at),
        init,
        room_of("CRC batch", kind, result),
    )
    if code < 0:
        raise TruncatedError(
            f"CRC batch: a part ends behind the {len(octets)} octets of the buffer; nothing was"
            " written"
        )
    return result
