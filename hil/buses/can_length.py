"""The exact length of a CAN frame on the wire, an octet at a time.

``can_frame`` and ``can_fd`` write out every bit of a frame and so say what its length is; here the
bits are only counted. Bit stuffing is a machine of ten states, the last bit and how often it has
been repeated, so tables tell for each state and octet how many bits are stuffed and what the state
is then. A stuff bit is counted when the bit behind it comes. What lies in front of the data depends
on little more than the identifier and is kept.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

from hil.buses.can_fd import CRC17_NBYTES, Extent, head_bits
from hil.buses.can_frame import (
    BRS_FLAG,
    CRC_TABLE,
    FD_FLAG,
    REMOTE_FLAG,
    TAIL_NBITS,
    crc15,
    head_of,
)

CRC15_NBITS: Final = 15
#: Stuff count and CRC sequence with a fixed stuff bit in front and after every fourth bit.
_CRC_FIELD_NBITS: Final = {17: 4 + 17 + 6, 21: 4 + 21 + 7}


def _step(state: int, bits: str) -> tuple[int, int]:
    """Return (stuff bits, state) after ``bits``; a state is 5 * last bit + repetitions of it."""
    last, run = divmod(state, 5)
    stuffed = 0
    for bit in bits:
        if run == 4:
            stuffed, last, run = stuffed + 1, 1 - last, 0
        last, run = (last, run + 1) if last == int(bit) else (1 - last, 0)
    return stuffed, 5 * last + run


def _table(nbits: int) -> tuple[int, ...]:
    """Return, by state << nbits | bits, the state behind them << 12 | how many are stuffed."""
    steps = (
        _step(state, f"{bits:0{nbits}b}") for state, bits in product(range(10), range(1 << nbits))
    )
    return tuple(state << 12 | stuffed for stuffed, state in steps)


_OCTET: Final = _table(8)
_SEVEN: Final = _table(7)
#: the state after start of frame, the first bit of all
_BEGIN: Final = 0


class _Head(NamedTuple):
    """What the bits in front of the data leave behind; lengths with their stuff bits."""

    nbits: int
    state: int
    crc: int


@lru_cache(maxsize=4096)
def _classic_head(can_id: int, length: int) -> _Head:
    bits = head_of(can_id, length)
    stuffed, state = _step(_BEGIN, bits[1:])
    return _Head(len(bits) + stuffed, state, crc15(bits))


def frame_nbits(can_id: int, data: bytes) -> int:
    """Return the bits of a classic frame from start of frame to the last of end of frame."""
    nbits, state, crc = _classic_head(can_id, len(data))
    table, crc_table = _OCTET, CRC_TABLE
    step = state << 12
    if data and not can_id & REMOTE_FLAG:
        nbits += 8 * len(data)
        for octet in data:
            crc = (crc << 8 & 0x7FFF) ^ crc_table[crc >> 7 ^ octet]
            step = table[step >> 4 & 0xF00 | octet]
            nbits += step & 0xFFF
    step = table[step >> 4 & 0xF00 | crc >> 7]
    nbits += step & 0xFFF
    step = _SEVEN[step >> 5 & 0x780 | crc & 0x7F]
    # A stuff bit that is due behind the last bit of the CRC sequence is sent.
    return nbits + (step & 0xFFF) + (step >> 12 in (4, 9)) + CRC15_NBITS + TAIL_NBITS


class _FDHead(NamedTuple):
    """Bits up to the data, to FDF and to BRS, with their stuff bits; the state at the data."""

    nbits: int
    state: int
    to_fdf: int
    to_brs: int


@lru_cache(maxsize=4096)
def _fd_head(can_id: int, length: int) -> _FDHead:
    bits, fdf = head_bits(can_id, length)
    stuffed, state = _step(_BEGIN, bits[1:])
    to_fdf, to_brs = (upto + _step(_BEGIN, bits[1:upto])[0] for upto in (fdf + 1, fdf + 3))
    return _FDHead(len(bits) + stuffed, state, to_fdf, to_brs)


def extent(can_id: int, data: bytes) -> Extent:
    """Return the exact length of a frame from start of frame to the last bit of end of frame."""
    if not can_id & FD_FLAG:
        return Extent(frame_nbits(can_id, data), 0, 0)
    nbits, state, to_fdf, to_brs = _fd_head(can_id, len(data))
    nbits += 8 * len(data) + _CRC_FIELD_NBITS[17 if len(data) <= CRC17_NBYTES else 21]
    table, step = _OCTET, state << 12
    for octet in data:
        step = table[step >> 4 & 0xF00 | octet]
        nbits += step & 0xFFF
    if not can_id & BRS_FLAG:
        return Extent(nbits + TAIL_NBITS, 0, to_fdf)
    # A stuff bit due after BRS is sent at the data bit rate.
    return Extent(to_brs + TAIL_NBITS - 1, nbits - to_brs + 1, to_fdf)
