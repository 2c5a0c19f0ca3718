"""Telecommand channel coding: BCH(63,56) codeblocks and whole link units."""

from __future__ import annotations

import numpy as np

from flightsw.codec.coding import cltu
from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, memcpy_s, ns_per
from hil.benches.codec.row import Row

_COUNT = 4096


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject; one tier serves all, by tables."""
    info = ffi.from_buffer(np.random.default_rng(1).bytes(7 * _COUNT))
    blocks, syndromes = ffi.new("uint8_t[]", 8 * _COUNT), ffi.new("uint8_t[]", _COUNT)
    scale = ns_per(_COUNT)
    copied = scale(memcpy_s(8 * _COUNT, quick))
    lib.fs_bch_encode(info, _COUNT, blocks)
    check = scale(best_s(lambda: lib.fs_bch_check(blocks, _COUNT, syndromes), quick))
    encode = scale(best_s(lambda: lib.fs_bch_encode(info, _COUNT, blocks), quick))
    return [
        Row("BCH(63,56) check", "ns/block", {"portable": check}, copied),
        Row("BCH(63,56) encode", "ns/block", {"portable": encode}, copied),
        *(row for nbytes in (256, 1024) for row in _unit_rows(nbytes, quick)),
    ]


def _unit_rows(nbytes: int, quick: bool) -> list[Row]:
    frame = np.random.default_rng(nbytes).bytes(nbytes)
    unit, receiver = cltu.encode(frame), cltu.Receiver()
    hurt = bytearray(unit)
    for at in range(2, len(unit) - 8, 8):
        hurt[at + at % 7] ^= 0x10
    air, scale = bytes(hurt), ns_per(1)
    copied = scale(memcpy_s(nbytes, quick))
    figures = {
        "encode": best_s(lambda: cltu.encode(frame), quick),
        "receive": best_s(lambda: receiver.feed(unit), quick),
        "receive, each codeblock hurt": best_s(lambda: receiver.feed(air), quick),
    }
    return [
        Row(f"CLTU of {nbytes}, {name}, from Python", "ns/call", {"portable": scale(s)}, copied)
        for name, s in figures.items()
    ]
