"""What threads may share, as the page on the codec says, and what each gives by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import construct as c
import numpy as np
import pytest

from flightsw.codec.coding import crc, randomiser
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.stream.channel import Channel, Packets, Rule
from flightsw.codec.stream.stream import Stream

THREADS = 4
FIXED = compile_layout(c.Struct("a" / c.Int32ub, "b" / c.Array(100, c.Int16sl), "o" / c.Bytes(5)))
FLAT = compile_layout(c.Struct("a" / c.Int32ub, "b" / c.Int64ub, "d" / c.Float64b))
LIST = compile_layout(c.Struct("n" / c.Int8ub, "v" / c.Array(c.this.n, c.Int16ub)))
TM = Frames("tm", 1115, 7)
CHANNEL = Channel(
    "shared",
    "octets",
    marker=Marker(),
    randomiser="tm",
    frames=TM,
    packets=Packets(error_control=True, pus=PUS_C),
    rules=(Rule("flat", FLAT), Rule("list", LIST)),
)


def fixed(i: int) -> Any:
    """Return a packet of a fixed layout, there and back, and columns of many."""
    values = {"a": i, "b": [i] * 100, "o": bytes([i] * 5)}
    octets = FIXED.encode(values)
    columns = FIXED.decode_columns(octets * 200)
    return FIXED.decode(octets) == values, columns["a"].tolist() == [i] * 200


def flat(i: int) -> Any:
    """The same of one whose values come as they are."""
    values = {"a": i, "b": i << 40, "d": i / 8}
    octets = FLAT.encode(values)
    view = FLAT.view(b"x" + octets, 1)
    return *(FLAT.decode(octets) == values for _ in range(20)), view["b"] == i << 40


def listed(i: int) -> Any:
    """The same of one whose size varies."""
    values = {"n": 20, "v": list(range(i, i + 20))}
    octets = LIST.encode(values)
    columns = LIST.decode_columns(octets * 50)
    return LIST.decode(octets) == values, columns["v"].values.tolist() == values["v"] * 50


def formats(i: int) -> Any:
    """Packets of a format, one at a time and in columns."""
    packet = PUS_C.pack_tm(i, i, 3, 25, bytes(i), t_ns=i)
    columns = PUS_C.tm_columns(scan(packet * 20))
    return PUS_C.unpack_tm(packet).apid == i, (columns.counter == 0).all(), columns.good.all()


def functions(i: int) -> Any:
    """Functions on octets."""
    octets = bytes([i]) * 5000
    twice = randomiser.tm_randomise(randomiser.tm_randomise(octets))
    checks = crc.crc16_batch(octets, [0, 5], [4000, 4000])
    return twice == octets, checks[0] == checks[1] == crc.crc16(octets[:4000])


@pytest.mark.parametrize("work", [fixed, flat, listed, formats, functions])
def test_layouts_formats_and_functions_may_be_shared(work: Callable[[int], Any]) -> None:
    """Threads that use one of them at a time get each its own results."""
    start = Barrier(THREADS)

    def run(i: int) -> bool:
        start.wait()
        return all(np.all(work(i)) for _ in range(200))

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(run, range(1, THREADS + 1)))


def test_a_stream_a_thread_shares_only_settings() -> None:
    """Streams of one channel in several threads give what each alone gives."""

    def air(i: int) -> bytes:
        encoder, made = tm_frame.Encoder(TM), []
        for k in range(900):
            values = {"a": k, "b": i << 32, "d": i / 4}
            encoder.add(0, PUS_C.pack_tm(i, k & 0x3FFF, 3, 25, FLAT.encode(values), t_ns=k))
            while frame := encoder.next_frame(0, flush=k == 899):
                made.append(tm_frame.cadu(frame))
        return b"".join(made)

    def decode(i: int, octets: bytes) -> Any:
        stream, found = Stream(CHANNEL), []
        for at in range(0, len(octets), 30_000):
            batch = stream.feed(octets[at : at + 30_000])
            found += batch.columns["flat"].columns["a"].tolist() if "flat" in batch.columns else []
        return i, found, stream.counters

    inputs = {i: air(i) for i in range(1, THREADS + 1)}
    alone = {i: decode(i, octets) for i, octets in inputs.items()}
    assert alone[1][1] == list(range(900))
    with ThreadPoolExecutor(THREADS) as pool:
        for i, found, counters in pool.map(decode, inputs, inputs.values()):
            assert (i, found, counters) == alone[i]
