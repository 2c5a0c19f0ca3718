"""The length of a frame, counted by octets, is that of its bits written out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.buses.can_fd import frame_bits
from hil.buses.can_frame import (
    BRS_FLAG,
    ESI_FLAG,
    EXTENDED_FLAG,
    FD_FLAG,
    FD_LENGTHS,
    REMOTE_FLAG,
    TAIL_NBITS,
    stuff,
    unstuffed_bits,
)
from hil.buses.can_length import extent, frame_nbits

#: identifiers and octets in which long runs are frequent
runs = st.sampled_from((0, 0x07, 0x08, 0xF0, 0xFF)) | st.integers(0, 255)
identifiers = st.lists(runs, min_size=4, max_size=4).map(
    lambda octets: int.from_bytes(bytes(octets), "big")
)
standard_ids = identifiers.map(lambda value: value & 0x7FF)
extended_ids = identifiers.map(lambda value: value & 0x1FFF_FFFF | EXTENDED_FLAG)
can_ids = standard_ids | extended_ids


@given(can_id=can_ids, data=st.lists(runs, max_size=8).map(bytes), remote=st.booleans())
def test_a_classic_frame(can_id: int, data: bytes, remote: bool) -> None:
    """Data and remote frames are as long as their stuffed bits and the tail."""
    can_id |= REMOTE_FLAG * remote
    assert frame_nbits(can_id, data) == len(stuff(unstuffed_bits(can_id, data))) + TAIL_NBITS


@given(
    can_id=can_ids,
    length=st.sampled_from(FD_LENGTHS),
    octets=st.lists(runs, min_size=64, max_size=64),
    flags=st.sampled_from((0, BRS_FLAG, ESI_FLAG, BRS_FLAG | ESI_FLAG)),
)
def test_an_fd_frame(can_id: int, length: int, octets: list[int], flags: int) -> None:
    """Both phases of an FD frame together are as long as its bits and the tail."""
    can_id |= FD_FLAG | flags
    data = bytes(octets[:length])
    slow, fast, _ = extent(can_id, data)
    assert slow + fast == len(frame_bits(can_id, data)) + TAIL_NBITS
