"""Pseudo-random sequences that give a link its bit transitions (CCSDS 131.0-B-5 section 10,
CCSDS 231.0-B-4 section 6). Exclusive or, so applying one twice gives the octets back.
"""

from __future__ import annotations

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib

#: Longest unit in octets: the longest transfer frame.
MAX_NBYTES = 2048


def sequence(kind: int, nbytes: int) -> bytes:
    """Return the first octets of a sequence: ``lib.FS_PN_TM``, ``FS_PN_TC`` or ``FS_PN_TM17``."""
    out = bytearray(nbytes)
    if lib.fs_pn_fill(kind, ffi.from_buffer(out), nbytes) < 0:
        raise FieldRangeError(f"randomiser: there is no sequence {kind}")
    return bytes(out)


# A frame is one long integer to Python, and one exclusive or of two of those takes less time than
# the call into C with its output buffer.
_TM = int.from_bytes(sequence(lib.FS_PN_TM, MAX_NBYTES), "big")
_TC = int.from_bytes(sequence(lib.FS_PN_TC, MAX_NBYTES), "big")


def tm_randomise(data: bytes) -> bytes:
    """Return telemetry ``data`` (at most 2,048 octets) under the sequence of period 255."""
    return _apply(_TM, data)


def tc_randomise(data: bytes) -> bytes:
    """Return telecommand ``data`` (at most 2,048 octets) under its sequence."""
    return _apply(_TC, data)


def _apply(pn: int, data: bytes) -> bytes:
    nbytes = len(data)
    if nbytes > MAX_NBYTES:
        raise FieldRangeError(
            f"randomiser: unit of {nbytes} octets, at most {MAX_NBYTES}; split it into frames"
        )
    return (int.from_bytes(data, "big") ^ pn >> 8 * (MAX_NBYTES - nbytes)).to_bytes(nbytes, "big")
