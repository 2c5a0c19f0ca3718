"""The whole stream: octets off the air to packets to columns, through Python.

Coded frames (CADUs of 1,279 octets: marker, five interleaved Reed-Solomon codewords, 8-bit
randomiser, FECF) that hold packets of 20 to 400 octets, every other one decoded to eight columns.
Cost must grow in a straight line: the same rate for more octets, in the same chunks.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from functools import partial

import construct as c
import numpy as np

from flightsw.codec import tier
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.link import tm_frame
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet import space_packet
from flightsw.codec.stream.channel import Channel, Rule
from flightsw.codec.stream.stream import Batch, Stream
from hil.benches.codec import measure
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
CADU_NBYTES = 1279
#: octets a chunk, octets in all
SIZES = {
    10_000: (10_000, 1_000_000, 100_000_000, 2_000_000_000),
    1_000_000: (1_000_000, 100_000_000, 2_000_000_000),
}
QUICK_NBYTES = 1_000_000


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject, and the growth of peak memory over the longer ones.

    A stream is opened once and fed; what opening it costs is a row of its own.
    """
    stream = cadus(8_000)
    made = [*costs(stream, quick)]
    for chunk, totals in SIZES.items():
        floor = chunk / memcpy_s(chunk, quick) / 1e9
        for total in totals:
            if quick and total > QUICK_NBYTES:
                continue
            op = f"{named(total)}, chunks of {named(chunk)}"
            before = peak_mib()
            rate = total / best_s(stream, total, chunk) / 1e9
            made.append(Row(f"stream to columns, {op}", "GB/s", {tier.active(): rate}, floor))
            if total > QUICK_NBYTES:
                grown = {tier.active(): peak_mib() - before}
                made.append(Row(f"  peak memory more after it, {op}", "MiB", grown))
    return made


def costs(stream: bytes, quick: bool) -> Iterator[Row]:
    """Yield the cost of a stream, and of a feed: a fixed one, and one that grows with it."""
    now, us = tier.active(), 1e6
    yield Row(
        "stream, opened", "us/call", {now: us * measure.best_s(lambda: Stream(CHANNEL), quick)}
    )
    fed = {}
    for chunk in SIZES:
        receiver, parts = Stream(CHANNEL), list(pieces(stream, 8 * chunk, chunk))

        def work(feed: Callable[[bytes], Batch], parts: list[bytes]) -> None:
            for piece in parts:
                feed(piece)

        fed[chunk] = measure.best_s(partial(work, receiver.feed, parts), quick) / len(parts)
        yield Row(f"  one feed of {named(chunk)}", "us/call", {now: us * fed[chunk]})

        def read(receiver: Stream, parts: list[bytes]) -> None:
            for piece in parts:
                part = receiver.feed(piece).columns["status"]
                assert len(part.columns["f3"]) == len(part.rows)

        took = measure.best_s(partial(read, receiver, parts), quick) / len(parts)
        yield Row(f"  the same, columns and rows read, {named(chunk)}", "us/call", {now: us * took})
    small, large = SIZES
    an_octet = (fed[large] - fed[small]) / (large - small)
    fixed = {now: us * (fed[small] - small * an_octet)}
    yield Row("  of that fixed, whatever the chunk", "us/call", fixed)
    yield Row("  and per octet", "GB/s", {now: 1e-9 / an_octet})


def named(nbytes: int) -> str:
    """Return a round number of octets with its unit."""
    size, unit = next(
        pair for pair in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")) if nbytes >= pair[0]
    )
    return f"{nbytes // size} {unit}"


def peak_mib() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best_s(stream: bytes, total: int, chunk: int) -> float:
    """Return the seconds of ``total`` octets: the best of repeats that take a second together.

    Each goes on in the stream where the one before it ended, so that short runs find no more of it
    in the caches than long ones.
    """
    best, spent = float("inf"), 0.0
    first = run_once(stream, min(total, 10 * chunk), chunk, 0)[1]
    while spent < 1.0:
        took, first = run_once(stream, total, chunk, first)
        best, spent = min(best, took), spent + took
    return best


def run_once(stream: bytes, total: int, chunk: int, first: int) -> tuple[float, int]:
    """Return the seconds of an open stream for ``total`` octets from a frame on, and the next.

    The octets repeat ``stream``. A long run takes so many seconds that other programs have their
    share of the processor, so those of this thread are taken; reading them costs too much for a
    short one.
    """
    receiver, at = Stream(CHANNEL), first * CADU_NBYTES
    clock = time.perf_counter if total <= QUICK_NBYTES else time.thread_time
    start = clock()
    for piece in pieces(stream, total, chunk, at):
        receiver.feed(piece)
    receiver.finish()
    took = clock() - start
    frames = len(stream) // CADU_NBYTES
    return took, (first + total // CADU_NBYTES + 1) % frames


def pieces(stream: bytes, total: int, chunk: int, at: int = 0) -> Iterator[bytes]:
    """Yield ``total`` octets in chunks, from the octet ``at`` of the stream on, over and over."""
    while total > 0:
        piece = stream[at : at + min(chunk, total)]
        yield piece
        total -= len(piece)
        at = (at + len(piece)) % len(stream)


def cadus(count: int) -> bytes:
    """Return so many frames as they go on the air."""
    rng = np.random.default_rng(1)
    encoder, code, i = tm_frame.Encoder(Frames("tm", 1115, 7, ocf=True)), ReedSolomon(16, 5), 0
    frames: list[bytes] = []
    while len(frames) < count:
        body = rng.bytes(LAYOUT.nbytes if i % 2 else int(rng.integers(20, 400)))
        encoder.add(0, space_packet.pack(APID if i % 2 else OTHER, i // 2 % 16_384, body))
        i += 1
        while frame := encoder.next_frame(0, bytes(4)):
            frames.append(tm_frame.cadu(code.encode(frame)))
    return b"".join(frames[:count])
