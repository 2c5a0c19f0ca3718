"""Columns: packets of a fixed layout to columns and back, live batches, single packets, a mix."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from struct import Struct
from typing import Any

import construct as c
import numpy as np

from flightsw.codec.coding.crc import crc16
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet.space_packet import scan
from hil.benches.codec.columns_peers import (
    DENSE,
    TWENTY,
    Packet,
    agree,
    bitstruct_codec,
    ccsdspy_columns,
    dump,
    numpy_columns,
)
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s, ns_per
from hil.benches.codec.row import Row

IN_CACHE, IN_MEMORY, A_FEW = 4096, 1 << 20, 500
LIVE = 16


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    made = []
    for name, which in (("20 fields", TWENTY), ("24 dense fields", DENSE)):
        made += _kernels(f"{name} x 64 B to columns", which, quick)
        made.append(_through_python(f"{name} x 64 B to columns, Python", which, quick))
        made.append(_encoded(f"columns to packets, {name}", which, quick))
    return [*made, _live(quick), *_single(quick), _mix(quick)]


def _kernels(op: str, which: Packet, quick: bool) -> list[Row]:
    """In the caches and from memory, into columns that are in use."""
    return [
        _kernel(f"{op}, {where}", which, count, quick)
        for count, where in ((IN_CACHE, "in cache"), (IN_MEMORY, "from memory"))
    ]


def _kernel(op: str, which: Packet, count: int, quick: bool) -> Row:
    data, scale = dump(which, count), ns_per(count)
    room = np.empty(len(data) + 64, np.uint8)
    skip = -int(ffi.cast("uintptr_t", ffi.from_buffer(room))) % 64
    packets = room[skip:][: len(data)]  # on cache lines, as the pages of a file are
    packets[:] = np.frombuffer(data, np.uint8)
    live = which.layout.live(count, buffer=packets)
    decode, state = lib.fs_layout_live_decode, live._state
    ours = by_tier(lambda: decode(state, count), scale, quick)
    return Row(op, "ns/packet", ours, scale(memcpy_s(len(data), quick)))


def _peer(
    make: Callable[[], Callable[[bytes], Any]], data: bytes, ours: Any
) -> Callable[[], Any] | None:
    """Return what runs a peer that decodes the same, None where it is absent or cannot."""
    try:
        decode = make()
    except ImportError:
        return None
    agree(ours, decode(data))
    return lambda: decode(data)


def _through_python(op: str, which: Packet, quick: bool) -> Row:
    """The public method, columns reused, against packages that make columns, and one that loops."""
    data, layout, scale = dump(which, IN_MEMORY), which.layout, ns_per(IN_MEMORY)
    out, peers = layout.decode_columns(data), {}
    makers: dict[str, Callable[[], Callable[[bytes], Any]]] = {
        "ccsdspy": lambda: ccsdspy_columns(which)
    }
    if which is TWENTY:  # numpy has no integer that holds 64 bits at any place
        makers["numpy"] = lambda: numpy_columns(which)
    for name, make in makers.items():
        run = _peer(make, data, out)
        if run is not None:
            peers[name] = scale(best_s(run, quick=True))
    few = dump(which, A_FEW)
    for name, one in _single_decoders(which).items():
        peers[f"{name}, in a loop"] = ns_per(A_FEW)(best_s(_loop(one, few, which.nbytes), True))
    ours = by_tier(lambda: layout.decode_columns(data, out=out), scale, quick)
    return Row(op, "ns/packet", ours, scale(memcpy_s(len(data), quick)), peers)


def _loop(one: Callable[[bytes], object], data: bytes, nbytes: int) -> Callable[[], None]:
    packets = [data[at : at + nbytes] for at in range(0, len(data), nbytes)]

    def run() -> None:
        for each in packets:
            one(each)

    return run


def _single_decoders(which: Packet) -> dict[str, Callable[[bytes], object]]:
    """What decodes one packet, of the peers that are installed."""
    found: dict[str, Callable[[bytes], object]] = {"construct": which.declaration.parse}
    with suppress(ImportError):
        found["bitstruct"] = bitstruct_codec(which).unpack
    return found


def _encoded(op: str, which: Packet, quick: bool) -> Row:
    """The public method, into packets that are in use."""
    count = 1 << 16
    data, layout = dump(which, count), which.layout
    columns, scale = layout.decode_columns(data), gb_per_s(len(data))
    out = bytearray(len(data))
    ours = by_tier(lambda: layout.encode_columns_into(columns, out), scale, quick)
    few, peers = dump(which, A_FEW), {}
    values = which.declaration.parse(few)
    rate = gb_per_s(which.nbytes)
    peers["construct"] = rate(best_s(lambda: which.declaration.build(values), quick=True))
    with suppress(ImportError):
        codec = bitstruct_codec(which)
        flat = codec.unpack(few[: which.nbytes])
        peers["bitstruct"] = rate(best_s(lambda: codec.pack(*flat), quick=True))
    return Row(op, "GB/s", ours, scale(memcpy_s(len(data), quick)), peers)


def _live(quick: bool) -> Row:
    """One call for a few packets, columns ready to be read behind it."""
    live = TWENTY.layout.live(LIVE)
    live.buffer[:] = data = dump(TWENTY, LIVE)
    scale = ns_per(1000)
    ours = by_tier(lambda: live(LIVE), scale, quick)
    parse = _loop(TWENTY.declaration.parse, data, TWENTY.nbytes)
    peers = {"construct, in a loop": scale(best_s(parse, quick=True))}
    few = numpy_columns(TWENTY)
    peers["numpy"] = scale(best_s(lambda: few(data), quick=True))
    floor = scale(memcpy_s(len(data), quick))
    return Row(f"live batch of {LIVE} packets, Python", "us/call", ours, floor, peers)


def _single(quick: bool) -> list[Row]:
    """One packet at a time through Python: all of it, and a view of which one field is read."""
    count = 200
    data, layout = dump(DENSE, count), DENSE.layout
    places = [DENSE.nbytes * i for i in range(count)]

    def eager() -> None:
        for at in places:
            layout.decode(data, at)

    def lazy() -> None:
        for at in places:
            layout.view(data, at)["f11"]

    peers = {}
    for name, one in _single_decoders(DENSE).items():
        peers[name] = count / best_s(_loop(one, data, DENSE.nbytes), quick=True) / 1e6

    def scale(seconds: float) -> float:
        return count / seconds / 1e6

    return [
        Row("packet to dict, 24 fields", "M/s", by_tier(eager, scale, quick), None, peers),
        Row("packet view, one field of 24", "M/s", by_tier(lazy, scale, quick), None, peers),
    ]


MIX_DECLARED = c.Struct(
    "header" / c.Array(3, c.Int16ub),
    "seconds" / c.Int32ub,
    "fraction" / c.Int16ub,
    "mode" / c.Int8ub,
    "bits" / c.BitStruct("a" / c.BitsInteger(3), "b" / c.BitsInteger(13, signed=True)),
    "volts" / c.Int16sb,
    "amps" / c.Int16sb,
    "state" / c.Int8ub,
    "counter" / c.Int24ub,
    "x" / c.Float32b,
    c.Padding(1),
)
MIX = compile_layout(MIX_DECLARED)


_MIX_STRUCT = Struct(">3HIHBHhhBBHfx")


def mix(count: int) -> bytes:
    """Return packets of ten APIDs: 26 octets fixed, 0 to 1000 of payload, and their CRC."""
    rng, parts = np.random.default_rng(20240607), []
    payloads = np.minimum(rng.exponential(124, count), 1000).astype(int)
    noise = rng.integers(0, 256, 1 << 16, np.uint8).tobytes()
    for i, apid, payload in zip(range(count), cycle(range(100, 110)), payloads, strict=False):
        body = noise[37 * i % 50_000 :][: 20 + int(payload)]
        head = (0x0800 | apid) << 32 | (0xC000 | i & 0x3FFF) << 16 | len(body) + 1
        packet = head.to_bytes(6, "big") + body
        parts.append(packet + crc16(packet).to_bytes(2, "big"))
    return b"".join(parts)


def _mix(quick: bool) -> Row:
    """Headers, error control and the columns of the packets that passed it."""
    data = mix(30_000 if quick else 300_000)
    table = scan(data)
    out = MIX.decode_columns(data, offsets=table.offset)

    def work() -> None:
        found = scan(data)
        good = found.offset if found.ok.all() else found.offset[found.ok]
        MIX.decode_columns(data, offsets=good, out=out)

    part = mix(1000)
    offsets, nbytes = scan(part).offset.tolist(), scan(part).nbytes.tolist()

    def loop(parse: Callable[[bytes], object]) -> Callable[[], None]:
        def run() -> None:
            for at, n in zip(offsets, nbytes, strict=True):
                packet = part[at : at + n]
                assert crc_hqx(packet, 0xFFFF) == 0
                parse(packet)

        return run

    rate = gb_per_s(len(part))
    peers = {
        "struct and binascii, in a loop": rate(best_s(loop(_MIX_STRUCT.unpack_from), quick=True)),
        "construct, in a loop": rate(best_s(loop(MIX_DECLARED.parse), quick=True)),
    }
    scale = gb_per_s(len(data))
    ours, floor = by_tier(work, scale, quick), scale(memcpy_s(len(data), quick))
    return Row("mix of 10 APIDs: scan, CRC, columns, Python", "GB/s", ours, floor, peers)
