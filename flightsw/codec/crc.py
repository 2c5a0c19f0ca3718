"""CRC-16 of frames and packets: x^16 + x^12 + x^5 + 1, preset to ones (ECSS-E-ST-70-41C annex B,
CCSDS 132.0-B-3 section 4.1.6).

Over contents followed by their CRC the result is 0, which is how every reader here checks.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, TruncatedError
from flightsw.codec.native import ffi, lib

#: Below this many octets the call into our C costs more than the slower loop of ``binascii``.
SHORT_NBYTES = 96

_crc16 = lib.fs_crc16
_from_buffer = ffi.from_buffer


def crc16(data: bytes | bytearray | memoryview, init: int = 0xFFFF) -> int:
    """Return the CRC of ``data``; ``init`` continues one over the octets before."""
    nbytes = len(data)
    if nbytes < SHORT_NBYTES:
        return crc_hqx(data, init)
    value: int = _crc16(data if type(data) is bytes else _from_buffer(data), nbytes, init)
    return value


def crc16_batch(
    buf: bytes | bytearray | memoryview,
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    *,
    init: int = 0xFFFF,
    out: npt.NDArray[np.uint16] | None = None,
) -> npt.NDArray[np.uint16]:
    """Return the CRC of each part of ``buf``, given by its offset and length in octets.

    ``out``, if given, takes the results and is returned. Raises TruncatedError if a part ends
    behind ``buf``; nothing was written then.
    """
    at = np.ascontiguousarray(offsets, dtype=np.uint64)
    n = np.ascontiguousarray(lengths, dtype=np.uint32)
    result = np.empty(len(at), dtype=np.uint16) if out is None else out
    if len(n) != len(at) or len(result) != len(at):
        raise CodecError(
            f"CRC batch: {len(at)} offsets, {len(n)} lengths, room for {len(result)} results;"
            " give as many of each"
        )
    code = lib.fs_crc16_batch(
        _from_buffer(buf),
        len(buf),
        _pointer("uint64_t[]", at),
        _pointer("uint32_t[]", n),
        len(at),
        init,
        _pointer("uint16_t[]", result),
    )
    if code < 0:
        raise TruncatedError(f"CRC batch: a part ends behind the {len(buf)} octets of the buffer")
    return result


def _pointer(kind: str, array: npt.NDArray[Any]) -> Any:
    return _from_buffer(kind, array)
