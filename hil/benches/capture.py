"""What a record costs in the capture, written and read back, and what recording costs a run.

Records are as a bus makes them: ten channels, 64 octets of payload that compress as telemetry does.
The floor is the same octets appended to a plain file; peers are the official MCAP library and the
Rust one (inside foxglove-sdk), with the same chunk size and compression, in one thread as we are.
Ratios are ours divided by the other, so less is better.

A run is that of ``hil run`` without options, its floor the same run without a capture. The size of
its file is told in octets of the payloads that it holds; 1 is these alone.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from flightsw.codec.wire import HEADER_NBYTES, Kind, pack, unpack_all
from hil.benches.capture_peers import PEERS, Peer, read_by_the_library
from hil.capture.compression import NAMES
from hil.capture.reader import Capture
from hil.capture.writer import CHUNK_NBYTES, CaptureWriter
from hil.errors import HostError

_CHANNELS = {index: f"bus-{index}" for index in range(10)}
_BATCH = 512
Row = dict[str, Any]


def run(quick: bool = False) -> list[Row]:
    """Return one row an operation and peer."""
    count, repeats = (50_000, 2) if quick else (400_000, 3)
    with tempfile.TemporaryDirectory(prefix="flatsat-bench-") as folder:
        bench = _Bench(Path(folder), count, repeats)
        return [*_writing(bench), *_reading(bench), *_flying(bench, quick)]


def _writing(bench: _Bench) -> Iterator[Row]:
    """Yield what it costs to write, in memory and to a file, by each compression."""
    records = bench.records
    batches = [b"".join(records[i : i + _BATCH]) for i in range(0, len(records), _BATCH)]
    floor = bench.cost(lambda path: append_plainly(path, batches))
    ways = {"one call each": records, f"batches of {_BATCH}": batches}
    for name, buffers in ways.items():
        yield row(f"chunks in memory, {name}", bench.packing(buffers), floor)
    for compression in NAMES:
        try:
            ours = {
                name: bench.cost(partial(write, buffers=buffers, compression=compression))
                for name, buffers in ways.items()
            }
        except HostError:  # the package for it is not installed
            continue
        for peer in PEERS:
            theirs = bench.peer(peer, compression)
            for name, figure in ours.items():
                yield row(f"write, {compression}, {name}", figure, floor, theirs, peer.name)


def _reading(bench: _Bench) -> Iterator[Row]:
    """Yield what it costs to read a capture back."""
    plain, capture = bench.fresh(), bench.fresh()
    append_plainly(plain, bench.records)
    write(capture, bench.records)
    floor = bench.cost(lambda _: read_plainly(plain))
    peer: float | None = None
    try:
        peer = bench.cost(lambda _: read_by_the_library(capture))
    except ImportError:
        print("no official library here to read with", file=sys.stderr)
    name = "mcap (official Python library)"
    yield row("read, wire records", bench.cost(lambda _: read_buffers(capture)), floor, peer, name)
    yield row(
        "read, one object each", bench.cost(lambda _: read_records(capture)), floor, peer, name
    )


def _flying(bench: _Bench, quick: bool) -> Iterator[Row]:
    """Yield what recording costs a run, and the size of its file."""
    length = ["--duration", "300"] if quick else []
    kept = bench.fresh()
    for transport in ("direct",) if quick else ("direct", "ipc"):
        options = [*length, "--transport", transport]
        with_s = without_s = float("inf")
        for _ in range(bench.repeats):  # by turns: what else the machine does is in both
            without_s = min(without_s, fly(bench.fresh(), [*options, "--no-capture"]))
            out = bench.fresh()
            with_s = min(with_s, fly(out, options))
            kept = out / "capture.mcap"
        yield {**row(f"a run over {transport}", with_s, without_s), "unit": "s"}
    with Capture(kept) as capture:
        records = [r.pack() for r in unpack_all(b"".join(capture.buffers()))]
    few = [octets for octets in records if octets[0] != Kind.FRAME]
    for name, chosen in (("", records), (", no camera", few)):
        payload = sum(len(octets) - HEADER_NBYTES for octets in chosen)
        for compression in NAMES:
            path = bench.fresh()
            write(path, [b"".join(chosen)], compression)
            figure = path.stat().st_size / payload
            yield {**row(f"file of it, {compression}{name}", figure, 1.0), "unit": "x payload"}


def fly(out: Path, options: list[str]) -> float:
    """Return the wall seconds that a run flies."""
    command = [sys.executable, "-m", "hil", "run", "-q", "--json", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(json.loads(done.stdout.splitlines()[-1])["wall_s"])


def row(
    op: str, ours: float, floor: float, peer: float | None = None, peer_name: str | None = None
) -> Row:
    """Return a row of the table; costs in microseconds a record."""
    return {
        "op": op,
        "ours": ours,
        "unit": "us/record",
        "floor": floor,
        "peer": peer,
        "peer_name": None if peer is None else peer_name,
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


def write(path: Path, buffers: list[bytes], compression: str = "zstd") -> None:
    """Write a whole capture."""
    with CaptureWriter(path, 0, _CHANNELS, {}, compression) as writer:
        put = writer.write
        for buffer in buffers:
            put(buffer)


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
        self.repeats = repeats
        self.records = make_records(count)
        self._made = 0

    def fresh(self) -> Path:
        """Return a path that is not in use."""
        self._made += 1
        return self.folder / f"{self._made}.mcap"

    def cost(self, work: Callable[[Path], None], count: int = 0) -> float:
        """Return microseconds a record: the best of the repeats."""
        best_s = float("inf")
        for _ in range(self.repeats):
            path = self.fresh()
            gc.collect()
            start_s = time.perf_counter()
            work(path)
            best_s = min(best_s, time.perf_counter() - start_s)
            path.unlink(missing_ok=True)
        return best_s / (count or len(self.records)) * 1e6

    def packing(self, buffers: list[bytes]) -> float:
        """Return microseconds a record of making chunks with their indexes, and no file."""
        best_s = float("inf")
        for _ in range(self.repeats):
            with CaptureWriter(self.fresh(), 0, _CHANNELS, {}) as writer:
                writer.store = lambda chunk: chunk.release()
                put = writer.write
                start_s = time.perf_counter()
                for buffer in buffers:
                    put(buffer)
                best_s = min(best_s, time.perf_counter() - start_s)
        return best_s / len(self.records) * 1e6

    def peer(self, peer: Peer, compression: str) -> float | None:
        """Return what a peer takes to write, or None if it is not installed."""
        few = self.records[: len(self.records) // peer.share]
        write_them = peer.writer(compression)
        if write_them is None:
            return None
        return self.cost(lambda path: write_them(path, few), len(few))
