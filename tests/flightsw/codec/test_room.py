"""Memory that is used again: by whatever chain somebody still sees a result, it stays."""

from __future__ import annotations

import ctypes
import gc
import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from flightsw.codec.native import ffi
from flightsw.codec.room import Room

NBYTES = 1 << 16

#: What a user may make of an array, and keep in its place.
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda a: a[64:128],
    "view of a view": lambda a: a[8:].view(np.uint64)[::2],
    "made over it": lambda a: np.ndarray((16,), np.uint32, a, 32),
    "base": lambda a: a[1:].base,
    "structured": lambda a: a.view([("x", "u4"), ("y", "u4")])["y"],
    "record array": lambda a: a.view(np.recarray)[5:],
    "asarray": lambda a: np.asarray(a[3:]),
    "frombuffer": lambda a: np.frombuffer(a, np.uint16, 8, 2),
    "memoryview": lambda a: memoryview(a)[5:9],
    "strided": lambda a: np.lib.stride_tricks.as_strided(a, (4, 4), (1, 2)),
    "iterator": lambda a: a.flat,
    "pickled out of band": lambda a: (held := [], pickle.dumps(a, 5, buffer_callback=held.append)),
    "cffi": lambda a: ffi.from_buffer("uint8_t[]", a),
    "cffi buffer": lambda a: ffi.buffer(ffi.from_buffer("uint8_t[]", a), 64),
    "ctypes": lambda a: a.ctypes.data_as(ctypes.c_void_p),
    "dlpack": lambda a: np.from_dlpack(a),
}


def place(array: Any) -> int:
    """Return where an array lies."""
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("name", sorted(HOLDERS))
def test_memory_that_is_held_is_not_handed_out(name: str) -> None:
    """While anything made of an array lives the next ones lie elsewhere, then one lies there."""
    room = Room()
    array = room.array(NBYTES)
    at = place(array)
    held = HOLDERS[name](array)
    del array
    other = room.array(NBYTES)
    assert place(other) != at
    del held
    gc.collect()
    assert place(room.array(NBYTES)) == at


def test_memory_is_as_large_as_asked_for_and_may_be_written() -> None:
    """Smaller results fit into larger memory, larger ones get their own; all can be written."""
    room = Room()
    for nbytes in (NBYTES, 3 * NBYTES, NBYTES - 1, 2 * NBYTES, NBYTES + 9, 0):
        array = room.array(nbytes)
        assert len(array) >= nbytes
        assert array.dtype == np.uint8
        array[:] = 7


def test_memory_of_huge_results_is_not_kept() -> None:
    """One input of hundreds of megabytes does not stay for as long as the stream behind it."""
    room = Room()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        huge = [room.array(nbytes) for nbytes in (1 << 27, 1 << 28)]
        assert tracemalloc.get_traced_memory()[0] - before > 3 << 27
        del huge
        assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
    finally:
        tracemalloc.stop()


def test_results_may_be_let_go_by_other_threads() -> None:
    """A result that another thread looks at, and lets go, never changes under it."""
    room = Room()

    def unchanged(view: Any, value: int) -> bool:
        return bool((view == value).all())

    with ThreadPoolExecutor(3) as pool:
        waiting = []
        for i in range(300):
            array = room.array(NBYTES)
            array[:] = i % 251
            waiting.append(pool.submit(unchanged, array[100:60_000], i % 251))
            del array
        assert all(one.result() for one in waiting)
