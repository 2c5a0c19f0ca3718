"""Randomisers: batches of units under a sequence that is kept, beside a copy of the same octets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s
from hil.benches.codec.row import Row


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    return [
        _batch("derandomise, code blocks of 1275, 4 MiB", "tm", 1275, 4 << 20, quick),
        _batch("derandomise, frames of 223, 4 MiB", "tm", 223, 4 << 20, quick),
        _batch("derandomise, code blocks of 1275, 256 KiB", "tm", 1275, 256 << 10, quick),
        _batch("derandomise, long sequence, 1275, 4 MiB", "tm17", 1275, 4 << 20, quick),
        _in_place(quick),
        _sequence(quick),
    ]


def _batch(op: str, name: str, nbytes: int, total: int, quick: bool) -> Row:
    count = total // nbytes
    units = np.random.default_rng(1).integers(0, 256, (count, nbytes), np.uint8)
    out, pn, scale = np.zeros_like(units), sequence(name, nbytes), gb_per_s(units.nbytes)
    peers = {"numpy": scale(best_s(_numpy(units, pn, out), quick))}
    to = ffi.from_buffer(out)
    call = (ffi.from_buffer(pn), ffi.from_buffer(units), nbytes, to, nbytes, nbytes, count)
    ours = by_tier(lambda: lib.fs_pn_apply(*call), scale, quick)
    return Row(op, "GB/s", ours, scale(memcpy_s(units.nbytes, quick)), peers)


def _numpy(
    units: npt.NDArray[np.uint8], pn: bytes, out: npt.NDArray[np.uint8]
) -> Callable[[], object]:
    row = np.frombuffer(pn, np.uint8)
    return lambda: np.bitwise_xor(units, row, out=out)


def _in_place(quick: bool) -> Row:
    units = bytearray(1275 * 3289)
    octets, scale = ffi.from_buffer(units), gb_per_s(len(units))
    ours = by_tier(lambda: lib.fs_randomise(lib.FS_PN_TM, octets, octets, 1275, 3289), scale, quick)
    copied = scale(memcpy_s(len(units), quick))
    return Row("derandomise in place, 1275, 4 MiB", "GB/s", ours, copied)


def _sequence(quick: bool) -> Row:
    out = bytearray(131_071)
    octets, scale = ffi.from_buffer(out), gb_per_s(len(out))
    ours = {
        "portable": scale(best_s(lambda: lib.fs_pn_fill(lib.FS_PN_TM17, octets, len(out)), quick))
    }
    copied = scale(memcpy_s(len(out), quick))
    return Row("long sequence made, 131,071 octets", "GB/s", ours, copied)
