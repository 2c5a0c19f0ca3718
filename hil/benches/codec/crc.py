"""CRCs: one long buffer, and batches of packets of random lengths out of 4 MiB.

A batch is measured beside a copy of the same packets, one memcpy each; peers take a packet a call.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s, ns_per
from hil.benches.codec.row import Row

Peer = Callable[[bytes], int]
_BATCH_NBYTES = 4 << 20


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    data = np.random.default_rng(1).integers(0, 256, _BATCH_NBYTES, np.uint8).tobytes()
    crc16, uslp, crc32c = _crc16_peers(), _uslp_peers(), _crc32c_peers()
    return [
        _long("CRC-16, 64 KiB", lib.fs_crc16, 0xFFFF, data[: 64 << 10], crc16, quick),
        _long("CRC-16, 1 MiB", lib.fs_crc16, 0xFFFF, data[: 1 << 20], crc16, quick),
        _batch("CRC-16, packets of 16 to 1115", "crc16", 16, 1115, data, crc16, quick),
        _batch("CRC-16, packets of 16 to 128", "crc16", 16, 128, data, crc16, quick),
        _long("CRC-32 of USLP, 1 MiB", lib.fs_crc32_uslp, 0, data[: 1 << 20], uslp, quick),
        _batch("CRC-32 of USLP, frames of 16 to 1115", "crc32_uslp", 16, 1115, data, uslp, quick),
        _long("CRC-32C, 1 MiB", lib.fs_crc32c, 0, data[: 1 << 20], crc32c, quick),
        _batch("CRC-32C, parts of 16 to 1115", "crc32c", 16, 1115, data, crc32c, quick),
    ]


def _long(
    op: str, crc: Callable[..., int], init: int, data: bytes, peers: dict[str, Peer], quick: bool
) -> Row:
    nbytes, buf = len(data), ffi.from_buffer(data)
    scale = gb_per_s(nbytes)
    theirs = {
        name: scale(best_s(lambda peer=peer: peer(data), quick))  # type: ignore[misc]
        for name, peer in peers.items()
    }
    ours = by_tier(lambda: crc(buf, nbytes, init), scale, quick)
    return Row(op, "GB/s", ours, scale(memcpy_s(nbytes, quick)), theirs)


def _batch(
    op: str, name: str, least: int, most: int, data: bytes, peers: dict[str, Peer], quick: bool
) -> Row:
    lengths = np.random.default_rng(2).integers(least, most + 1, len(data) // least)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), len(data)))].astype(np.uint32)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.uint64)
    count, width = len(lengths), 16 if name == "crc16" else 32
    results, copies = np.zeros(count, f"u{width // 8}"), bytearray(len(data))
    parts = (
        ffi.from_buffer(data),
        len(data),
        ffi.from_buffer("uint64_t[]", offsets),
        ffi.from_buffer("uint32_t[]", lengths),
        count,
    )
    out, call = ffi.from_buffer(f"uint{width}_t[]", results), getattr(lib, f"fs_{name}_batch")
    init, to = 0xFFFF if name == "crc16" else 0, ffi.from_buffer(copies)
    scale = ns_per(count)
    copied = scale(best_s(lambda: lib.fs_gather(*parts, to, len(copies)), quick))
    ours = by_tier(lambda: call(*parts, init, out), scale, quick)
    some = [
        data[a : a + n] for a, n in zip(offsets.tolist()[:2000], lengths.tolist(), strict=False)
    ]
    theirs = {
        peer: ns_per(len(some))(best_s(partial(_each, make, some), quick))
        for peer, make in peers.items()
    }
    return Row(op, "ns/packet", ours, copied, theirs)


def _each(crc: Peer, parts: Iterable[bytes]) -> None:
    for part in parts:
        crc(part)


def _crc16_peers() -> dict[str, Peer]:
    found: dict[str, Peer] = {"binascii": lambda data: binascii.crc_hqx(data, 0xFFFF)}
    return found | _installed(
        ("fastcrc", lambda: import_module("fastcrc").crc16.ibm_3740),
        ("anycrc", lambda: import_module("anycrc").CRC(16, 0x1021, 0xFFFF, False, False, 0).calc),
        ("crcmod", lambda: import_module("crcmod").mkCrcFun(0x11021, 0xFFFF, False, 0)),
        ("libscrc", lambda: import_module("libscrc").ccitt_false),
    )


def _uslp_peers() -> dict[str, Peer]:
    return _installed(
        ("anycrc", lambda: import_module("anycrc").CRC(32, 0x00A00805, 0, False, False, 0).calc),
        ("crcmod", lambda: import_module("crcmod").mkCrcFun(0x100A00805, 0, False, 0)),
    )


def _crc32c_peers() -> dict[str, Peer]:
    return _installed(
        ("fastcrc", lambda: import_module("fastcrc").crc32.iscsi),
        ("anycrc", lambda: import_module("anycrc").Model("CRC32-ISCSI").calc),
        ("crcmod", lambda: import_module("crcmod").mkCrcFun(0x11EDC6F41, 0, True, 0xFFFFFFFF)),
        ("google-crc32c", lambda: import_module("google_crc32c").value),
    )


def _installed(*peers: tuple[str, Callable[[], Any]]) -> dict[str, Peer]:
    found = {}
    for name, make in peers:
        try:
            found[name] = make()
        except ImportError:  # measured where it is installed
            continue
    return found
