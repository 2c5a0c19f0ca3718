"""A program that records under load until it is killed; run by the tests of what a crash costs.

``python load_program.py FOLDER SEED [RATE]`` records into ``FOLDER/capture.mcap`` by the way that a
run takes: stream, batches, chunks. What it records is known (:func:`known_record`), and how fast is
drawn from the seed: bursts as fast as it goes (or at RATE records a second), and silences of up to
a quarter of a second. ``FOLDER/handed`` says what was handed over when: pairs of u64, the number of
records and the nanoseconds of the monotonic clock *after* the last of them was handed over.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flightsw.codec.wire import Kind
from hil.capture.recording import Recording
from hil.capture.writer import CaptureWriter
from hil.digest import RecordStream

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "ttyAMA1", 2: "can0"}
STAMP = struct.Struct("<QQ")
#: records between two stamps
_STRIDE = 16
_KINDS = (Kind.I2C, Kind.UART, Kind.CAN, Kind.EVENT)


def known_record(seed: int, seq: int) -> tuple[int, int, int, int, int, int, int, bytes]:
    """Return record ``seq`` as the arguments of ``RecordStream.record``."""
    mixed = (seq * 0x9E3779B97F4A7C15 + seed) & (1 << 64) - 1
    kind = _KINDS[mixed >> 40 & 3]
    t_ns, duration_ns = seq * 50_000, mixed >> 52
    if kind is Kind.EVENT:
        return int(kind), 0xF1, 0, 0, t_ns, 0, 0, b'{"seq":%d,"seed":%d}' % (seq, seed)
    payload = mixed.to_bytes(8, "little") * (mixed >> 32 & 7) + seq.to_bytes(8, "little")
    return int(kind), mixed >> 60 & 1, 1, 0, t_ns, duration_ns, mixed >> 16 & 0x7F, payload


def read_stamps(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield (records handed over, nanoseconds of the monotonic clock) of each whole stamp."""
    raw = (folder / "handed").read_bytes()
    yield from STAMP.iter_unpack(raw[: len(raw) // STAMP.size * STAMP.size])


def main(folder: Path, seed: int, rate: float = 0.0) -> None:
    """Record until somebody ends this process."""
    stamps = os.open(folder / "handed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    path, clock = folder / "capture.mcap", time.monotonic_ns
    writer = CaptureWriter(path, EPOCH_NS, NAMES, {"seed": str(seed)})
    with Recording(writer, clock=clock) as recording:
        recording.keep(stream := RecordStream(recording.write))
        load(stream, stamps, seed, rate)


def load(stream: Any, stamps: int, seed: int, rate: float) -> None:
    """Record bursts and silences for ever."""
    rng = random.Random(seed)
    while True:
        begin_ns, first = time.monotonic_ns(), stream.count
        for _ in range(rng.choice((1, 100, 3_000, 60_000))):
            stream.record(*known_record(seed, stream.count))
            if stream.count % _STRIDE == 0:
                os.write(stamps, STAMP.pack(stream.count, time.monotonic_ns()))
            if rate:
                due_ns = begin_ns + round((stream.count - first) / rate * 1e9)
                time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        os.write(stamps, STAMP.pack(stream.count, time.monotonic_ns()))
        time.sleep(rng.choice((0.0, 0.0, 0.01, 0.25)) * rng.random())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float((sys.argv[3:] or ["0"])[0]))
