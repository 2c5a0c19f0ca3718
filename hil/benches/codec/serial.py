"""Serial framing: COBS, SLIP and HDLC, both ways, frames of 250 octets."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s
from hil.benches.codec.row import Row

NBYTES, COUNT = 250, 1000
TOTAL = NBYTES * COUNT
KINDS = (("COBS", lib.FS_COBS, 0), ("SLIP", lib.FS_SLIP, 0), ("HDLC FCS-16", lib.FS_HDLC, 2))


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject; GB/s of content."""
    rng = np.random.default_rng(7)
    random = rng.integers(0, 256, TOTAL, np.uint8)
    sparse = np.where(rng.random(TOTAL) < 0.3, 0, random).astype(np.uint8)
    floor = gb_per_s(TOTAL)(memcpy_s(TOTAL, quick))
    made = []
    for name, kind, check in KINDS:
        for what, data in (("random", random), ("30 % zeros", sparse)):
            if what == "random" or kind == lib.FS_COBS:
                made += _both_ways(
                    f"{name}, 250 B, {what}", kind, check, data.tobytes(), floor, quick
                )
    return made


def _both_ways(op: str, kind: int, check: int, data: bytes, floor: float, quick: bool) -> list[Row]:
    scale = gb_per_s(TOTAL)
    offsets = ffi.new("uint64_t[]", [NBYTES * i for i in range(COUNT)])
    lengths = ffi.new("uint32_t[]", [NBYTES] * COUNT)
    capacity = COUNT * lib.fs_enframe_capacity(kind, check, NBYTES)
    source, stream = ffi.from_buffer(data), ffi.new("uint8_t[]", capacity)

    def encode() -> int:
        made: int = lib.fs_enframe(
            kind, check, 0, source, TOTAL, offsets, lengths, COUNT, stream, capacity
        )
        return made

    made = encode()
    rx, consumed = ffi.new("fs_deframer *"), ffi.new("uint64_t *")
    found, content = ffi.new("fs_content_row[]", COUNT + 1), ffi.new("uint8_t[]", 2 * TOTAL)
    lib.fs_deframer_reset(rx, kind, check, NBYTES, 0)

    def decode() -> None:
        got = lib.fs_deframe(rx, stream, made, consumed, found, COUNT + 1, content, 2 * TOTAL)
        assert got == COUNT

    encoders, decoders = _peers(data, quick) if kind == lib.FS_COBS else ({}, {})
    if kind == lib.FS_SLIP:
        encoders = {"two bytes.replace": _rate(lambda: _replace(data), scale, quick)}
    return [
        Row(f"{op}, encode", "GB/s", by_tier(encode, scale, quick), floor, encoders),
        Row(f"{op}, decode", "GB/s", by_tier(decode, scale, quick), floor, decoders),
    ]


def _rate(work: Callable[[], object], scale: Callable[[float], float], quick: bool) -> float:
    return scale(best_s(work, quick))


def _replace(data: bytes) -> bytes:
    return data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")


def _peers(data: bytes, quick: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of the PyPI package cobs, a call a frame, if it is installed."""
    try:
        peer: Any = import_module("cobs.cobs")
    except ImportError:
        return {}, {}
    parts = [data[at : at + NBYTES] for at in range(0, TOTAL, NBYTES)]
    frames = [peer.encode(part) for part in parts]
    scale = gb_per_s(TOTAL)
    return (
        {"cobs": _rate(lambda: [peer.encode(part) for part in parts], scale, quick)},
        {"cobs": _rate(lambda: [peer.decode(frame) for frame in frames], scale, quick)},
    )
