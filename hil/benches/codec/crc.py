"""CRC-16: one long buffer."""

from __future__ import annotations

import binascii

import numpy as np

from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s
from hil.benches.codec.row import Row


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    nbytes = 1 << 20
    data = np.random.default_rng(1).integers(0, 256, nbytes, np.uint8).tobytes()
    scale, buf, crc = gb_per_s(nbytes), ffi.from_buffer(data), lib.fs_crc16
    peers = {"binascii": scale(best_s(lambda: binascii.crc_hqx(data, 0xFFFF), quick))}
    ours = by_tier(lambda: crc(buf, nbytes, 0xFFFF), scale, quick)
    return [Row("CRC-16, 1 MiB", "GB/s", ours, scale(memcpy_s(nbytes, quick)), peers)]
