"""Reed-Solomon (255,223), interleaving 5: encoding, clean frames, and frames with wrong octets.

Frames with wrong octets must be hurt again before each pass: every figure of theirs, ours and the
peers', has one copy of the frame in it. Peers that take one codeword a call get it deinterleaved,
and the cost of the call through ctypes is taken off.
"""

from __future__ import annotations

import ctypes
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier, memcpy_s, ns_per
from hil.benches.codec.row import Row

Octets = npt.NDArray[np.uint8]

FRAMES, INTERLEAVE, NBYTES, DATA = 128, 5, 1275, 1115


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    rng = np.random.default_rng(4)
    dual, clean, plain = code_of(1), encoded(code_of(1)), encoded(code_of(0))
    frames, scale, name = clean.copy(), ns_per(FRAMES), "Reed-Solomon I=5"
    where, copy = ffi.from_buffer("uint8_t[]", frames), scale(memcpy_s(frames.nbytes, quick))

    def encode() -> None:
        lib.fs_rs_encode_batch(dual, where, frames.nbytes, NBYTES, FRAMES)

    ours = by_tier(encode, scale, quick)
    found = [Row(f"{name}, encode", "ns/frame", ours, copy, encoders(clean, quick))]
    for wrong in (0, 1, 8, 16, 17):
        hurt = damaged(clean, wrong, rng)
        source = ffi.from_buffer("uint8_t[]", hurt)

        def decode(source: Any = source, restore: bool = wrong > 0) -> None:
            if restore:
                ffi.memmove(where, source, frames.nbytes)
            lib.fs_rs_decode_batch(dual, where, frames.nbytes, NBYTES, FRAMES, ffi.NULL)

        frames[:] = hurt
        kind = f"{wrong} wrong in each codeword" if wrong else "clean"
        peers = decoders(hurt, damaged(plain, wrong, rng), quick)
        found.append(Row(f"{name}, {kind}", "ns/frame", by_tier(decode, scale, quick), copy, peers))
    return found


def code_of(dual: int) -> Any:
    """Return the code in the dual or in the conventional basis, for C."""
    return ffi.new("fs_rs_code *", (16, dual, INTERLEAVE, 0, 0))


def encoded(code: Any) -> Octets:
    """Return clean frames of a code, one a row."""
    frames = np.random.default_rng(5).integers(0, 256, (FRAMES, NBYTES), np.uint8)
    at = ffi.from_buffer("uint8_t[]", frames)
    assert lib.fs_rs_encode_batch(code, at, frames.nbytes, NBYTES, FRAMES) == FRAMES
    return frames


def damaged(frames: Octets, wrong: int, rng: np.random.Generator) -> Octets:
    """Return frames with so many octets of each codeword changed."""
    hurt = frames.reshape(FRAMES, -1, INTERLEAVE).copy()
    order = rng.random(hurt.shape).argsort(axis=1).argsort(axis=1)
    hurt ^= rng.integers(1, 256, hurt.shape, np.uint8) * (order < wrong).astype(np.uint8)
    return hurt.reshape(FRAMES, NBYTES)


def codewords(frames: Octets) -> Octets:
    """Return the codewords of 20 frames, one a row."""
    rows = frames[:20].reshape(20, -1, INTERLEAVE).transpose(0, 2, 1)
    return rows.copy(order="C").reshape(-1, 255)


def slow_ns(work: Callable[[Octets], Any], some: Octets) -> float:
    """Return the ns of one frame in pure Python, the better of two runs."""
    times = []
    for _ in range(2):
        start = time.perf_counter_ns()
        work(some[:INTERLEAVE])
        times.append(time.perf_counter_ns() - start)
    return float(min(times))


def encoders(frames: Octets, quick: bool) -> dict[str, float]:
    """Return what encoding costs in each peer."""
    some, found = codewords(frames), {}
    if fec := libfec():
        for name, function in (("libfec", fec.encode_rs_8), ("libfec dual", fec.encode_rs_ccsds)):
            at = addresses(some)

            def work(f: Any = function, at: Any = at) -> None:
                for data, parity in at:
                    f(data, parity, 0)

            found[name] = fec_ns(fec, work, some, quick)
    if peer := optional("reedsolo"):
        rs = peer.RSCodec(32, fcr=112, prim=0x187, generator=173)
        found["reedsolo"] = slow_ns(
            lambda few: [rs.encode(one[:223].tobytes()) for one in few], some
        )
    if peer := optional("reed_solomon_ccsds"):
        found["reed-solomon-ccsds"] = slow_ns(
            lambda few: [peer.encode(one[:223].tobytes(), True) for one in few], some
        )
    return found


def decoders(dual: Octets, plain: Octets, quick: bool) -> dict[str, float]:
    """Return what decoding costs in each peer, of the same code in both bases."""
    found = {}
    if fec := libfec():
        for name, function, frames in (
            ("libfec", fec.decode_rs_8, plain),
            ("libfec dual", fec.decode_rs_ccsds, dual),
        ):
            some = codewords(frames)
            copies = some.copy()
            at, move = addresses(copies), (copies.ctypes.data, some.ctypes.data, some.nbytes)

            def work(f: Any = function, at: Any = at, move: Any = move) -> None:
                ctypes.memmove(*move)
                for data, _parity in at:
                    f(data, None, 0, 0)

            found[name] = fec_ns(fec, work, some, quick)
    if peer := optional("reedsolo"):
        rs = peer.RSCodec(32, fcr=112, prim=0x187, generator=173)
        found["reedsolo"] = slow_ns(
            lambda few: [refused(rs.decode, bytearray(one.tobytes())) for one in few],
            codewords(plain),
        )
    if peer := optional("reed_solomon_ccsds"):
        found["reed-solomon-ccsds"] = slow_ns(
            lambda few: [refused(peer.decode, one.tobytes(), True) for one in few],
            codewords(dual),
        )
    return found


def fec_ns(fec: Any, work: Callable[[], None], some: Octets, quick: bool) -> float:
    """Return the ns a frame of libfec in ``work``, without those of the calls: it refuses a pad of
    300 at once."""
    at = addresses(some)

    def calls() -> None:
        for data, _ in at:
            fec.decode_rs_8(data, None, 0, 300)

    scale = ns_per(len(some) // INTERLEAVE)
    return scale(min(best_s(work, quick) for _ in range(3)) - best_s(calls, quick))


def refused(function: Callable[..., Any], *args: Any) -> Any:
    """Call a decoder that raises for what it cannot correct."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001 - each peer has its own; all mean a refusal here
        return error


def libfec() -> Any:
    """Return libfec, or None where it is not installed."""
    try:
        return ctypes.CDLL("libfec.so.0")
    except OSError:
        return None


def addresses(some: Octets) -> list[tuple[ctypes.c_void_p, ctypes.c_void_p]]:
    """Return where each codeword and its parity begin."""
    first, step = some.ctypes.data, some.shape[1]
    at = ctypes.c_void_p
    return [(at(first + i * step), at(first + i * step + 223)) for i in range(len(some))]


def optional(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
