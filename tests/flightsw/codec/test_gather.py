"""Parts of a buffer copied one behind the other."""

from __future__ import annotations

import numpy as np
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.native import ffi, lib


def gather(buf: object, nbytes: int, parts: list[tuple[int, int]], out: object, room: int) -> int:
    """Call the C function on parts given as (offset, length)."""
    offsets = np.array([at for at, _ in parts], np.uint64)
    lengths = np.array([n for _, n in parts], np.uint32)
    found: int = lib.fs_gather(
        buf,
        nbytes,
        ffi.from_buffer("uint64_t[]", offsets),
        ffi.from_buffer("uint32_t[]", lengths),
        len(parts),
        out,
        room,
    )
    return found


@settings(deadline=None)
@given(st.binary(max_size=200), st.data())
def test_parts_come_out_in_order(buf: bytes, data: st.DataObject) -> None:
    """Any parts, overlapping and empty ones too, are the same as slices joined."""
    at = st.integers(0, len(buf))
    cuts = data.draw(st.lists(st.tuples(at, at).map(sorted), max_size=20))
    want = b"".join(buf[a:b] for a, b in cuts)
    out = bytearray(len(want))
    parts = [(a, b - a) for a, b in cuts]
    assert gather(buf, len(buf), parts, ffi.from_buffer(out), len(out)) == len(want)
    assert bytes(out) == want


@pytest.mark.parametrize("part", [(10, 1), (11, 0), (0, 11), (2**63, 1), (2**64 - 1, 2**32 - 1)])
def test_a_part_outside_writes_nothing(part: tuple[int, int]) -> None:
    """One part that ends behind the buffer stops all of them; so does too little room."""
    out = bytearray(b"\xaa" * 64)
    parts = [(0, 10), part]
    assert gather(bytes(10), 10, parts, ffi.from_buffer(out), 64) == lib.FS_E_SHORT
    assert gather(bytes(10), 10, [(0, 10), (5, 5)], ffi.from_buffer(out), 14) == lib.FS_E_CAPACITY
    assert out == b"\xaa" * 64


def test_no_octet_outside_is_touched(guard: Guard) -> None:
    """Parts at both ends of a guarded buffer reach a guarded output that they fill exactly."""
    data = bytes(range(200))
    parts = [(0, 7), (193, 7), (0, 200), (200, 0), (1, 64), (136, 64)]
    want = b"".join(data[at : at + n] for at, n in parts)
    for buf in guard.both(data):
        for out in guard.both(bytes(len(want))):
            assert gather(buf, 200, parts, out, len(want)) == len(want)
            assert bytes(ffi.buffer(out, len(want))) == want
