"""However large a capture is: what opening it and finding in it reads, and what memory it takes."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from flightsw.codec.wire import HEADER_NBYTES, Kind, pack
from hil.capture import mcapfmt, topics
from hil.capture.mcapfmt import Op
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter

EPOCH_NS = 1_680_480_000 * 10**9
STEP_NS = 25_000_000
NCHUNKS = 40_000
#: the summary of a run of 10 GB: as many chunks of 256 KiB
LARGE_NBYTES = 10 * 10**9


def one_message(seq: int) -> bytes:
    """Return a Chunk record of one message, and its message index."""
    wire = pack(Kind.CAN, 0, 1, 0, seq * STEP_NS, 100, seq, 0x48, b"12345678")
    log_ns = EPOCH_NS + seq * STEP_NS
    head = struct.pack("<HIQQ", 1, seq, log_ns, log_ns + 100)
    content = mcapfmt.record(Op.MESSAGE, head + wire)
    body = struct.pack("<QQQI", log_ns, log_ns, len(content), zlib.crc32(content))
    body += mcapfmt.string("") + struct.pack("<Q", len(content)) + content
    return mcapfmt.record(Op.CHUNK, body)


def index_of(seq: int, at: int, length: int) -> bytes:
    """Return the Chunk Index record of such a chunk, whose message index was left out."""
    log_ns, size = EPOCH_NS + seq * STEP_NS, length - 49
    body = struct.pack("<QQQQIHQ", log_ns, log_ns, at, length, 10, 1, at + length)
    body += struct.pack("<Q", 15 + 16) + mcapfmt.string("") + struct.pack("<QQ", size, size)
    return mcapfmt.record(Op.CHUNK_INDEX, body)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of as many chunks as 10 GB have, each of them small."""
    path = tmp_path_factory.mktemp("large") / "capture.mcap"
    about = mcapfmt.metadata("flatsat", {"epoch_ns": str(EPOCH_NS)})
    kinds = {"kind": str(int(Kind.CAN)), "channel": "0"}
    channel = mcapfmt.channel(1, 0, "/bus/can0", topics.RECORD_ENCODING, kinds)
    data = [mcapfmt.MAGIC, mcapfmt.header("made up"), about, channel]
    at, indexes = sum(map(len, data)), []
    for seq in range(NCHUNKS):
        data.append(one_message(seq))
        indexes.append(index_of(seq, at, len(data[-1])))
        at += len(data[-1])
    data.append(mcapfmt.record(Op.DATA_END, bytes(4)))
    times_ns = (EPOCH_NS, EPOCH_NS + (NCHUNKS - 1) * STEP_NS)
    about_at = len(data[0] + data[1])
    groups = [
        (Op.CHANNEL, channel),
        (Op.STATISTICS, mcapfmt.statistics({1: NCHUNKS}, times_ns, 0, 0, 1, NCHUNKS)),
        (Op.CHUNK_INDEX, b"".join(indexes)),
        (Op.METADATA_INDEX, mcapfmt.metadata_index(about_at, len(about), "flatsat")),
    ]
    path.write_bytes(b"".join([*data, mcapfmt.summary_tail(at + 13, groups)]))
    return path


def test_opening_reads_the_summary_and_makes_no_object_a_chunk(many: Path) -> None:
    """Opening 40,000 chunks reads the summary and takes 64 octets for each, besides that."""
    summary = NCHUNKS * len(index_of(0, 0, 100))
    tracemalloc.start()
    try:
        with Capture(many) as capture:
            held, peak = tracemalloc.get_traced_memory()
            assert capture.count == NCHUNKS
            assert capture.octets_read < summary + 10_000
            assert capture.counters["chunks_read"] == 0
    finally:
        tracemalloc.stop()
    assert held < 70 * NCHUNKS + (1 << 20)
    assert peak < 2 * summary + 140 * NCHUNKS + (1 << 20)


def test_a_second_of_it_reads_the_chunks_of_a_second(many: Path) -> None:
    """A second out of a thousand reads its forty chunks; its first number is found by bisection."""
    with Capture(many) as capture:
        opened = capture.octets_read
        got = [record.seq for record in capture.records(start_ns=500 * 10**9, end_ns=501 * 10**9)]
        assert got == list(range(20_000, 20_040))
        assert capture.counters["chunks_read"] == 40
        assert capture.octets_read - opened < 40 * 200
    with Capture(many) as capture:
        assert next(capture.records(first_seq=12_345)).seq == 12_345
        assert capture.counters["chunks_read"] <= 20
        assert (capture.first_seq, capture.last_seq) == (0, NCHUNKS - 1)


def resident_nbytes() -> int:
    """Return the memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def write_large(path: Path, nbytes: int) -> int:
    """Write a capture of ``nbytes`` or a little more, 5,000 records a second; return their number.
    What it carries cannot be compressed."""
    noise, count = os.urandom(1 << 20), 0
    with CaptureWriter(path, EPOCH_NS, {0: "can0", 1: "i2c-1"}, {"board": "trial"}) as writer:
        while writer.counters["octets"] < nbytes:
            batch = []
            for seq in range(count, count + 1000):
                at = seq * 977 % (len(noise) - 700)
                kind = (Kind.TM, Kind.I2C)[seq & 1]
                payload = noise[at : at + 600] + seq.to_bytes(8, "little")
                batch.append(pack(kind, seq & 1, 1, 0, seq * 200_000, 100, seq, 0, payload))
            count += 1000
            writer.write(b"".join(batch))
    return count


@pytest.mark.soak
def test_ten_gigabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of 10 GB opens by its summary, a second of it comes from its few chunks, and reading
    it from end to end takes no more memory than its start did."""
    path = tmp_path / "capture.mcap"
    count = write_large(path, LARGE_NBYTES)
    try:
        begin_s = time.perf_counter()
        with Capture(path) as capture:
            open_s = time.perf_counter() - begin_s
            assert capture.count == count
            middle_ns = capture.times_ns[1] // 2
            begin_s = time.perf_counter()
            got = [r.seq for r in capture.records(start_ns=middle_ns, end_ns=middle_ns + 10**9)]
            slice_s = time.perf_counter() - begin_s
            assert len(got) == 5000
            begin_s = time.perf_counter()
            assert next(capture.records(first_seq=count // 3)).seq == count // 3
            seek_s = time.perf_counter() - begin_s
            begin_s, octets, peaks = time.perf_counter(), 0, []
            for i, buffer in enumerate(capture.buffers()):
                octets += len(buffer)
                if i % 1000 == 0:
                    peaks.append(resident_nbytes())
            through_s = time.perf_counter() - begin_s
        assert octets == count * (HEADER_NBYTES + 608)
        assert max(peaks) - peaks[0] < 4 << 20
        with capsys.disabled():
            print(
                f"\n{path.stat().st_size / 1e9:.2f} GB, {count:,} records, "
                f"{len(capture.places):,} chunks: open {open_s * 1e3:.0f} ms, a second "
                f"{slice_s * 1e3:.1f} ms, a number {seek_s * 1e3:.1f} ms, all of it "
                f"{through_s:.1f} s, memory {peaks[0] >> 20} MiB, "
                f"grown by {(max(peaks) - peaks[0]) >> 10} KiB"
            )
    finally:
        path.unlink(missing_ok=True)
