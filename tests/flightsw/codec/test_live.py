"""Live batches: the same values as any batch, again and again, and nothing allocated."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from itertools import repeat

import construct as c
import numpy as np
import pytest

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError, FieldRangeError

LAYOUT = compile_layout(
    c.BitStruct(
        "mode" / c.BitsInteger(3),
        "volts" / c.BitsInteger(13, signed=True),
        "count" / c.BitsInteger(40),
        "raw" / c.Array(4, c.BitsInteger(6)),
    )
)


def test_a_live_batch_equals_a_batch(tier: str) -> None:
    """Values are those of decode_columns, and rows behind the batch stay as they were."""
    live, rnd = LAYOUT.live(16), random.Random(1)
    for count in (16, 3, 0, 1):
        before = {name: column.copy() for name, column in live.columns.items()}
        live.buffer[:] = rnd.randbytes(len(live.buffer))
        live(count)
        whole = LAYOUT.decode_columns(live.buffer)
        for name, column in live.columns.items():
            np.testing.assert_array_equal(column[:count], whole[name][:count])
            np.testing.assert_array_equal(column[count:], before[name][count:])


def test_a_borrowed_buffer_is_read_where_it_is(tier: str) -> None:
    """Packets at a stride in a foreign buffer are decoded as they stand there at each call."""
    ring = np.zeros(200, np.uint8)
    live = LAYOUT.live(10, stride=20, buffer=ring)
    ring[20] = 0xE0
    live(2)
    assert live.columns["mode"][:2].tolist() == [0, 7]
    ring[20] = 0x20
    live(2)
    assert live.columns["mode"][:2].tolist() == [0, 1]


def peak_nbytes(work: Callable[[], object]) -> int:
    """Return the most memory that a thousand calls hold at any time, above what was held before."""
    tracemalloc.start()
    try:
        for _ in repeat(None, 100):
            work()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in repeat(None, 1000):
            work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_live_batch_allocates_nothing(tier: str) -> None:
    """A thousand calls hold no memory at any time that as many calls of nothing do not hold."""
    live = LAYOUT.live(16)
    assert peak_nbytes(lambda: live(16)) <= peak_nbytes(lambda: None)
    assert peak_nbytes(lambda: bytearray(16)) > peak_nbytes(lambda: None)


def test_what_a_live_batch_refuses() -> None:
    """More packets than it was made for, and buffers or strides that cannot hold them."""
    live = LAYOUT.live(4)
    for count in (5, -1):
        with pytest.raises(FieldRangeError, match="must be 0 to 4"):
            live(count)
    with pytest.raises(FieldRangeError, match="capacity 0"):
        LAYOUT.live(0)
    with pytest.raises(FieldRangeError, match="stride 9"):
        LAYOUT.live(4, stride=9)
    with pytest.raises(CodecError, match="a buffer of 39 octets, must have 40"):
        LAYOUT.live(4, buffer=bytearray(39))
    with pytest.raises(BufferError):
        live.buffer.append(0)
