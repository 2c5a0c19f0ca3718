"""Marker search at any bit and at octets, and copying units out of a stream of bits."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable

import numpy as np

from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s
from hil.benches.codec.row import Row

ASM = bytes.fromhex("1ACFFC1D")
CADU_NBYTES = 1279


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    return [*searches(quick, 1 << 20), *copies(quick)]


def stream(nbytes: int) -> bytes:
    """Return noise with a marker at every CADU: slipped, inverted and hurt in its later parts."""
    rng = np.random.default_rng(2)
    bits = np.unpackbits(rng.integers(0, 256, nbytes, np.uint8))
    marker = np.unpackbits(np.frombuffer(ASM, np.uint8))
    for at in range(800, len(bits) - 64, 8 * CADU_NBYTES):
        part = 4 * at // len(bits)
        one = marker ^ (part == 3)
        if part >= 2:
            one[[5, 20]] ^= 1
        slipped = at + 3 * (part >= 2)
        bits[slipped : slipped + 32] = one
    return np.packbits(bits).tobytes()


def searches(quick: bool, nbytes: int) -> list[Row]:
    """Return the rows of the search."""
    octets, scale, marker = stream(nbytes), gb_per_s(nbytes), int.from_bytes(ASM, "big")
    buf, hits, done = ffi.from_buffer(octets), ffi.new("fs_marker_hit[65536]"), ffi.new("uint64_t*")

    def search(wrong: int, step: int, inverted: int) -> Callable[[], object]:
        return lambda: lib.fs_marker_search(
            buf, nbytes, 0, 8 * nbytes, marker, 32, wrong, step, inverted, hits, 65536, done
        )

    def register() -> object:
        part = nbytes // 16
        return lib.fs_marker_search_plain(
            buf, part, 0, 8 * part, marker, 32, 3, 1, 1, hits, 65536, done
        )

    plain = {"shift register": gb_per_s(nbytes // 16)(best_s(register, quick))}
    memcpy = scale(memcpy_s(nbytes, quick))
    exact = {"bytes.find": scale(best_s(lambda: find_all(octets), quick))}
    if memmem := libc_memmem(octets):
        exact["memmem"] = scale(best_s(memmem, quick))
    return [
        Row(
            "marker at any bit, both signs, 3 wrong",
            "GB/s",
            by_tier(search(3, 1, 1), scale, quick),
            memcpy,
            plain,
        ),
        Row("marker at any bit", "GB/s", by_tier(search(0, 1, 0), scale, quick), memcpy, plain),
        Row("marker at octets", "GB/s", by_tier(search(0, 8, 0), scale, quick), memcpy, exact),
        Row("marker at octets, both signs", "GB/s", by_tier(search(0, 8, 1), scale, quick), memcpy),
    ]


def find_all(octets: bytes) -> int:
    """Count markers by ``bytes.find``."""
    count, at = 0, octets.find(ASM)
    while at >= 0:
        count, at = count + 1, octets.find(ASM, at + 4)
    return count


def libc_memmem(octets: bytes) -> Callable[[], object] | None:
    """Return a count of markers by the C library's memmem, or None where it has none."""
    try:
        memmem = ctypes.CDLL(ctypes.util.find_library("c")).memmem
    except (AttributeError, OSError):
        return None
    memmem.restype = ctypes.c_void_p
    memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    base = ctypes.cast(ctypes.c_char_p(octets), ctypes.c_void_p).value or 0
    end = base + len(octets)

    def count() -> int:
        n, at = 0, memmem(base, len(octets), ASM, 4)
        while at:
            n, at = n + 1, memmem(at + 4, end - at - 4, ASM, 4)
        return n

    return count


def copies(quick: bool) -> list[Row]:
    """Return the rows of copying units: as many as fit into 1 MiB, in one call."""
    nbytes, count = CADU_NBYTES - 4, (1 << 20) // CADU_NBYTES
    scale, memcpy = gb_per_s(nbytes * count), memcpy_s(nbytes * count, quick)
    return [
        Row(
            f"units of {nbytes} {'3 bits off' if shift else 'at octets'}: lock, copy, derandomise",
            "GB/s",
            by_tier(cutting(nbytes, count, shift), scale, quick),
            scale(memcpy),
        )
        for shift in (0, 3)
    ]


def cutting(nbytes: int, count: int, shift: int) -> Callable[[], object]:
    """Return what cuts ``count`` units out of a stream whose markers stand ``shift`` bits off."""
    bits = np.unpackbits(np.frombuffer((ASM + bytes(nbytes)) * count + b"\0", np.uint8))
    octets = np.packbits(np.roll(bits, shift)).tobytes()
    sync, settings = ffi.new("fs_sync *"), ffi.new("fs_sync_settings *")
    settings.marker, settings.marker_nbits = int.from_bytes(ASM, "big"), 32
    settings.unit_nbits, settings.step = 8 * nbytes, 1
    pn, out = sequence("tm", nbytes), ffi.new("uint8_t[]", nbytes * count)
    units, at = ffi.new("fs_unit[]", count), ffi.new("uint64_t *")

    def cut() -> None:
        lib.fs_sync_reset(sync, settings)
        at[0] = 0
        nbits = 8 * len(octets)
        n = lib.fs_sync_units(sync, octets, nbits, at, pn, out, units, count)
        assert n == count

    return cut
