"""What a record costs in the capture, written and read back.

Records are as a bus makes them: ten channels, 64 octets of payload that compress as telemetry does.
The floor is the same octets appended to a plain file; the peer is the official MCAP library with
the same chunk size and compression. Ratios are ours divided by the other, so less is better.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flightsw.codec.wire import Kind, pack
from hil.capture.reader import Capture
from hil.capture.writer import CHUNK_NBYTES, CaptureWriter

_CHANNELS = {index: f"bus-{index}" for index in range(10)}
_BATCH = 512


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row an operation."""
    count, repeats = (50_000, 2) if quick else (400_000, 3)
    records = make_records(count)
    batches = [b"".join(records[i : i + _BATCH]) for i in range(0, count, _BATCH)]
    with tempfile.TemporaryDirectory(prefix="flatsat-bench-") as folder:
        bench = _Bench(Path(folder), count, repeats)
        append = bench.cost(lambda path: append_plainly(path, batches))
        plain = bench.fresh()
        append_plainly(plain, batches)
        read_plain = bench.cost(lambda _: read_plainly(plain))
        peer = bench.peer_write(records)
        rows = [
            row("write, batches of 512", bench.cost(lambda p: write(p, batches)), append, peer),
            row("write, one call each", bench.cost(lambda p: write(p, records)), append, peer),
        ]
        capture = bench.fresh()
        write(capture, batches)
        raw = bench.cost(lambda _: read_buffers(capture))
        each = bench.cost(lambda _: read_records(capture))
        peer = bench.peer_read(capture)
        rows.append(row("read, wire records by chunk", raw, read_plain, peer))
        rows.append(row("read, one object each", each, read_plain, peer))
    return rows


def row(op: str, ours: float, floor: float, peer: float | None) -> dict[str, Any]:
    """Return a row of the table; costs in microseconds a record."""
    return {
        "op": op,
        "ours": ours,
        "unit": "us/record",
        "floor": floor,
        "peer": peer,
        "peer_name": None if peer is None else "mcap (official Python library)",
        "ratio_to_floor": ours / floor,
        "ratio_to_peer": None if peer is None else ours / peer,
    }


def make_records(count: int) -> list[bytes]:
    """Return wire records of 64 octets of payload whose fields move slowly."""
    fixed = bytes(range(48))
    return [
        pack(Kind.I2C, i % 10, 1, 0, i * 9_000_000, 120_000, i, 0x40 + i % 10, payload)
        for i in range(count)
        for payload in (i.to_bytes(8, "little") + fixed + (i // 7).to_bytes(8, "little"),)
    ]


def append_plainly(path: Path, batches: list[bytes]) -> None:
    """Append every batch to a plain file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    for batch in batches:
        os.write(fd, batch)
    os.close(fd)


def read_plainly(path: Path) -> None:
    """Read a plain file in pieces of a chunk."""
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK_NBYTES):
            pass


def write(path: Path, buffers: list[bytes]) -> None:
    """Write a whole capture."""
    with CaptureWriter(path, 0, _CHANNELS, {}) as writer:
        for buffer in buffers:
            writer.write(buffer)


def read_buffers(path: Path) -> None:
    """Read a capture as wire records."""
    with Capture(path) as capture:
        for _ in capture.buffers():
            pass


def read_records(path: Path) -> None:
    """Read a capture as objects."""
    with Capture(path) as capture:
        for _ in capture.records():
            pass


class _Bench:
    """Repeats what is measured and keeps the best."""

    def __init__(self, folder: Path, count: int, repeats: int) -> None:
        self.folder = folder
        self.count = count
        self.repeats = repeats
        self._made = 0

    def fresh(self) -> Path:
        """Return a path that is not in use."""
        self._made += 1
        return self.folder / f"{self._made}.mcap"

    def cost(self, work: Callable[[Path], None], count: int | None = None) -> float:
        """Return microseconds a record: the best of the repeats."""
        best_s = float("inf")
        for _ in range(self.repeats):
            path = self.fresh()
            gc.collect()
            start_s = time.perf_counter()
            work(path)
            best_s = min(best_s, time.perf_counter() - start_s)
            path.unlink(missing_ok=True)
        return best_s / (count or self.count) * 1e6

    def peer_write(self, records: list[bytes]) -> float | None:
        """Return what the official library takes, or None if it is not installed."""
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError:
            return None
        few = records[: self.count // 8]

        def work(path: Path) -> None:
            writer = Writer(str(path), CHUNK_NBYTES, CompressionType.ZSTD)
            writer.start()
            ids = [
                writer.register_channel(name, "flatsat-record", 0) for name in _CHANNELS.values()
            ]
            for i, data in enumerate(few):
                writer.add_message(ids[i % 10], i * 9_000_000, data, i * 9_000_000, i)
            writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it bare

        return self.cost(work, len(few))

    def peer_read(self, capture: Path) -> float | None:
        """Return what the official library takes to read our file, or None if not installed."""
        try:
            from mcap.reader import make_reader
        except ImportError:
            return None

        def work(_: Path) -> None:
            with capture.open("rb") as file:
                for _message in make_reader(file).iter_messages(log_time_order=False):
                    pass

        return self.cost(work)
