"""CCSDS unsegmented time (CUC, CCSDS 301.0-B-4 section 3.2), in integers throughout.

The mission writes a preamble of 2F, four octets of seconds and three of binary fraction since its
own epoch. One unit of the fraction is 2^-24 s, 59.6 ns: a time comes back within 30 ns of what went
in, and packing what came back gives the same octets.
"""

from __future__ import annotations

from typing import NamedTuple

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError

#: No extension, agency epoch, 4 octets of seconds, 3 octets of fraction.
P_FIELD = 0x2F
CUC_NBYTES = 8

_SECOND_NS = 1_000_000_000
_UNITS = 1 << 24
_LIMIT = 1 << 56
_PREAMBLE = P_FIELD << 56

TAI_EPOCH, AGENCY_EPOCH = 1, 2


class Cuc(NamedTuple):
    """A decoded time code; ``t_ns`` counts from 1958-01-01 TAI or from the agency's epoch."""

    epoch: int
    t_ns: int
    nbytes: int


def pack_cuc(t_ns: int) -> bytes:
    """Return the eight octets of ``t_ns`` nanoseconds since the mission epoch, rounded."""
    units = (t_ns * _UNITS + _SECOND_NS // 2) // _SECOND_NS
    if not 0 <= units < _LIMIT:
        raise FieldRangeError(
            f"time code: {t_ns} ns is not within the 136 years that follow the mission epoch"
        )
    return (_PREAMBLE | units).to_bytes(CUC_NBYTES, "big")


def unpack_cuc(octets: bytes, at: int = 0) -> int:
    """Return the nanoseconds of the time code at ``at``, which its own preamble describes."""
    if len(octets) - at >= CUC_NBYTES and octets[at] == P_FIELD:
        units = int.from_bytes(octets[at + 1 : at + CUC_NBYTES], "big")
        return units * _SECOND_NS + _UNITS // 2 >> 24
    return decode_cuc(octets, at).t_ns


def decode_cuc(octets: bytes, at: int = 0) -> Cuc:
    """Decode a time code with any CUC preamble, of one octet or two."""
    if at >= len(octets):
        raise TruncatedError("time code: no preamble; the field is empty")
    preamble = octets[at]
    epoch = preamble >> 4 & 7
    if epoch not in (TAI_EPOCH, AGENCY_EPOCH):
        raise SyncError(f"time code: preamble {preamble:02X} is not one of unsegmented time")
    coarse, fine, body = (preamble >> 2 & 3) + 1, preamble & 3, at + 1
    if preamble & 0x80:
        if body >= len(octets):
            raise TruncatedError(f"time code: preamble {preamble:02X} lacks its second octet")
        second = octets[body]
        if second & 0x80:
            raise SyncError(f"time code: preamble {preamble:02X}{second:02X} has a third octet")
        coarse, fine, body = coarse + (second >> 5 & 3), fine + (second >> 2 & 7), body + 1
    end = body + coarse + fine
    if end > len(octets):
        raise TruncatedError(
            f"time code: preamble {preamble:02X} asks for {coarse + fine} octets,"
            f" {len(octets) - body} are there"
        )
    scale = 8 * fine
    half = (1 << scale) >> 1
    units = int.from_bytes(octets[body:end], "big")
    return Cuc(epoch, units * _SECOND_NS + half >> scale, end - at)
