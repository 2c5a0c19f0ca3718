"""Frames: TM, AOS and USLP streams to packets, checks included."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, util
from typing import Any

import numpy as np

from flightsw.codec.link import aos_frame, tm_frame, uslp_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.units import UNIT_DTYPE
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s
from hil.benches.codec.row import Row

NBYTES = 1115
FRAMES = 256
OCF = bytes(4)


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    tm = stream(
        tm_frame.Encoder(Frames("tm", NBYTES, 1, ocf=True)),
        lambda encoder: encoder.next_frame(0, OCF),
    )
    short = stream(
        tm_frame.Encoder(Frames("tm", NBYTES, 1, ocf=True)),
        lambda encoder: encoder.next_frame(0, OCF),
        16,
        128,
    )
    aos = stream(aos_frame.Encoder(Frames("aos", NBYTES, 1)), lambda encoder: encoder.next_frame(0))
    uslp = stream(
        uslp_frame.Encoder(Frames("uslp", NBYTES, 1)), lambda encoder: encoder.next_frame(0)
    )
    return [
        measure(
            "TM to packets of 26..306 B",
            tm_frame.Receiver(Frames("tm", NBYTES, 1, ocf=True)),
            tm,
            quick,
            tm_peers(tm),
        ),
        measure(
            "TM to packets of 16..128 B",
            tm_frame.Receiver(Frames("tm", NBYTES, 1, ocf=True)),
            short,
            quick,
        ),
        measure("AOS to packets of 26..306 B", FrameReceiver(Frames("aos", NBYTES, 1)), aos, quick),
        measure(
            "USLP to packets of 26..306 B", FrameReceiver(Frames("uslp", NBYTES, 1)), uslp, quick
        ),
    ]


def stream(
    encoder: Any, next_frame: Callable[[Any], bytes | None], low: int = 26, high: int = 306
) -> bytes:
    """Return frames full of packets of random lengths, with CRC."""
    rng, made, seq = np.random.default_rng(1), bytearray(), 0
    while len(made) < FRAMES * NBYTES:
        data = rng.bytes(int(rng.integers(low, high + 1)) - 6)
        encoder.add(0, space_packet.pack(int(rng.integers(2000)), seq & 0x3FFF, data))
        seq += 1
        while frame := next_frame(encoder):
            made += frame
    return bytes(made[: FRAMES * NBYTES])


def measure(
    name: str,
    receiver: FrameReceiver,
    frames: bytes,
    quick: bool,
    peers: dict[str, Callable[[], object]] | None = None,
) -> Row:
    """Return the row of one stream, as 256 frames a call."""
    units = np.empty(FRAMES * NBYTES // 7, UNIT_DTYPE)
    octets = np.empty(len(frames) + 2 * 65_542, np.uint8)
    sink, consumed = ffi.new("fs_frame_sink *"), ffi.new("uint64_t *")
    sink.rows, sink.nrows = ffi.cast("fs_frame_row *", ffi.from_buffer(units)), len(units)
    sink.octets, sink.noctets = ffi.cast("uint8_t *", ffi.from_buffer(octets)), len(octets)
    state, buf, take, nbytes = receiver._state, ffi.from_buffer(frames), lib, len(frames)

    def work() -> None:
        sink.rows_used = sink.octets_used = 0
        take.fs_frame_take_batch(state, buf, nbytes, NBYTES, consumed, sink)

    work()
    assert consumed[0] == nbytes
    assert receiver.counters["frames"] == FRAMES
    scale = gb_per_s(nbytes)
    theirs = {name: scale(best_s(peer, quick)) for name, peer in (peers or {}).items()}
    return Row(name, "GB/s", by_tier(work, scale, quick), scale(memcpy_s(nbytes, quick)), theirs)


def tm_peers(frames: bytes) -> dict[str, Callable[[], object]]:
    """Return what other libraries can do with TM frames: take them apart, one by one."""
    if util.find_spec("spacepackets") is None:
        return {}
    unpack = import_module("spacepackets.ccsds.tm_frame").TmTransferFrame.unpack
    each = [frames[at : at + NBYTES] for at in range(0, len(frames), NBYTES)]

    def work() -> None:
        for frame in each:
            unpack(frame, NBYTES, has_error_control_field=True)

    return {"spacepackets (frames only)": work}
