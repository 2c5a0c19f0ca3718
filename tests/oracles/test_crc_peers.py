"""Every CRC of ours against every installed package that makes the same one."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flightsw.codec import tier as tiers
from flightsw.codec.coding import crc

CASES = 100_000
ONES = 0xFFFFFFFF
Peer = Callable[[bytes], int]


def _binascii() -> Peer:
    return lambda data: binascii.crc_hqx(data, 0xFFFF)


def _fastcrc(module: str, name: str) -> Callable[[], Peer]:
    def make() -> Peer:
        pytest.importorskip("fastcrc")
        return getattr(pytest.importorskip(f"fastcrc.{module}"), name)

    return make


def _anycrc(*args: int, **kwargs: Any) -> Callable[[], Peer]:
    def make() -> Peer:
        return pytest.importorskip("anycrc").CRC(*args, **kwargs).calc

    return make


def _crcmod(polynomial: int, init: int, rev: bool, xor_out: int) -> Callable[[], Peer]:
    def make() -> Peer:
        crcmod = pytest.importorskip("crcmod")
        return crcmod.mkCrcFun(polynomial, init, rev, xor_out)

    return make


def _libscrc(name: str) -> Callable[[], Peer]:
    return lambda: getattr(pytest.importorskip("libscrc"), name)


def _google() -> Peer:
    return pytest.importorskip("google_crc32c").value


PEERS: dict[str, tuple[Callable[..., Any], Callable[[], Peer]]] = {
    "crc16-binascii": (crc.crc16_batch, _binascii),
    "crc16-fastcrc": (crc.crc16_batch, _fastcrc("crc16", "ibm_3740")),
    "crc16-anycrc": (crc.crc16_batch, _anycrc(16, 0x1021, 0xFFFF, False, False, 0)),
    "crc16-crcmod": (crc.crc16_batch, _crcmod(0x11021, 0xFFFF, False, 0)),
    "crc16-libscrc": (crc.crc16_batch, _libscrc("ccitt_false")),
    "uslp-anycrc": (crc.crc32_uslp_batch, _anycrc(32, 0x00A00805, 0, False, False, 0)),
    "uslp-crcmod": (crc.crc32_uslp_batch, _crcmod(0x100A00805, 0, False, 0)),
    "crc32c-fastcrc": (crc.crc32c_batch, _fastcrc("crc32", "iscsi")),
    "crc32c-anycrc": (
        crc.crc32c_batch,
        _anycrc(32, 0x1EDC6F41, 0xFFFFFFFF, True, True, 0xFFFFFFFF),
    ),
    "crc32c-crcmod": (crc.crc32c_batch, _crcmod(0x11EDC6F41, 0, True, ONES)),
    "crc32c-google": (crc.crc32c_batch, _google),
}


@pytest.mark.parametrize("name", PEERS)
def test_agrees_with_the_peer_on_random_parts(name: str) -> None:
    """100,000 random parts, most of them short, have the peer's CRC on every tier."""
    batch, make = PEERS[name]
    peer = make()
    rng = np.random.default_rng(len(name))
    data = rng.bytes(1 << 16)
    lengths = np.where(
        rng.random(CASES) < 0.98, rng.integers(0, 160, CASES), rng.integers(0, 5000, CASES)
    ).astype(np.uint32)
    offsets = rng.integers(0, len(data) - 5000, CASES).astype(np.uint64)
    want = [
        peer(data[start : start + n])
        for start, n in zip(offsets.tolist(), lengths.tolist(), strict=True)
    ]
    for tier in tiers.available():
        with tiers.forced(tier):
            assert batch(data, offsets, lengths).tolist() == want


def test_the_face_agrees_with_the_standard_library() -> None:
    """Calls one at a time, short ones included that never reach C, equal binascii's."""
    rng = np.random.default_rng(9)
    data = rng.bytes(1 << 14)
    for nbytes in rng.integers(0, 400, 20_000).tolist():
        assert crc.crc16(data[:nbytes]) == binascii.crc_hqx(data[:nbytes], 0xFFFF)
