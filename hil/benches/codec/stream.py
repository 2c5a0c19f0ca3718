"""The whole stream: octets off the air to packets to columns, through Python.

Coded frames (CADUs of 1,279 octets: marker, five interleaved Reed-Solomon codewords, 8-bit
randomiser, FECF) that hold packets of 20 to 400 octets, every other one decoded to eight columns.
Cost must grow in a straight line: the same rate for more octets, in the same chunks.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import construct as c
import numpy as np

from flightsw.codec import tier
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.link import tm_frame
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.packet import space_packet
from flightsw.codec.stream.channel import Channel, Frames, Marker, Rule
from flightsw.codec.stream.stream import Stream
from hil.benches.codec.measure import memcpy_s
from hil.benches.codec.row import Row

APID, OTHER = 0x100, 0x101
LAYOUT = compile_layout(
    c.BitStruct(*[f"f{i}" / c.BitsInteger(n) for i, n in enumerate((8, 12, 12, 16, 32, 24, 8, 16))])
)
CHANNEL = Channel(
    "bench",
    "octets",
    marker=Marker(),
    randomiser="tm",
    reed_solomon=BlockCode(interleave=5),
    frames=Frames("tm", 1115, scid=7, ocf=True),
    rules=(Rule("status", LAYOUT, apid=APID, skip_nbytes=6),),
)
#: octets in all, octets a chunk, name
SIZES = (
    (10_000, 10_000, "10 KB, chunks of 10 KB"),
    (1_000_000, 10_000, "1 MB, chunks of 10 KB"),
    (1_000_000, 1_000_000, "1 MB, chunks of 1 MB"),
    (100_000_000, 10_000, "100 MB, chunks of 10 KB"),
    (100_000_000, 1_000_000, "100 MB, chunks of 1 MB"),
    (2_000_000_000, 1_000_000, "2 GB, chunks of 1 MB"),
)
QUICK_NBYTES = 1_000_000


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject, and the growth of peak memory over the longest."""
    stream = cadus(8_000)
    made = []
    for total, chunk, name in SIZES:
        if quick and total > QUICK_NBYTES:
            continue
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rate = total / best_s(stream, total, chunk) / 1e9
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        floor = chunk / memcpy_s(chunk, quick) / 1e9
        op = f"stream to columns, {name}"
        made.append(Row(op, "GB/s", {tier.active(): rate}, floor))
        if total > QUICK_NBYTES:
            made.append(Row(f"  peak memory more after it, {name}", "MiB", {tier.active(): grown}))
    return made


def best_s(stream: bytes, total: int, chunk: int) -> float:
    """Return the seconds of ``total`` octets: the best of repeats that take a second together."""
    best, spent = float("inf"), 0.0
    run_once(stream, min(total, 10 * chunk), chunk)
    while spent < 1.0:
        took = run_once(stream, total, chunk)
        best, spent = min(best, took), spent + took
    return best


def run_once(stream: bytes, total: int, chunk: int) -> float:
    """Return the seconds that a stream takes for ``total`` octets, which repeat ``stream``."""
    receiver = Stream(CHANNEL)
    start = time.perf_counter()
    for piece in pieces(stream, total, chunk):
        receiver.feed(piece)
    receiver.finish()
    return time.perf_counter() - start


def pieces(stream: bytes, total: int, chunk: int) -> Iterator[bytes]:
    """Yield ``total`` octets in chunks, from the stream over and over."""
    at = 0
    while total > 0:
        piece = stream[at : at + min(chunk, total)]
        yield piece
        total -= len(piece)
        at = (at + len(piece)) % len(stream)


def cadus(count: int) -> bytes:
    """Return so many frames as they go on the air."""
    rng = np.random.default_rng(1)
    encoder, code, i = tm_frame.Encoder(7, 1115), ReedSolomon(16, 5), 0
    frames: list[bytes] = []
    while len(frames) < count:
        body = rng.bytes(LAYOUT.nbytes if i % 2 else int(rng.integers(20, 400)))
        encoder.add(0, space_packet.pack(APID if i % 2 else OTHER, i // 2 % 16_384, body))
        i += 1
        while frame := encoder.next_frame(0, bytes(4)):
            frames.append(tm_frame.cadu(code.encode(frame)))
    return b"".join(frames[:count])
