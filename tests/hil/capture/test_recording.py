"""A recording holds nothing back for long, never loses in silence, and stays in order."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType

import pytest

from flightsw.codec.wire import Kind, Record
from hil.capture.capturefile import ClosedChunk
from hil.capture.reader import Capture
from hil.capture.recording import HELD_NS, Nowhere, Recording, recording, told
from hil.capture.writer import CHUNK_NBYTES, CaptureWriter
from hil.digest import RecordStream
from hil.errors import DiskFullError, UsageError
from hil.options import Options

from .test_capture import EPOCH_NS, NAMES, file_size_limit, mixed_records

#: long enough for any machine; a test that waits this long has failed
FOREVER_S = 60.0


class Gate:
    """Stands before the disk of a writer: chunks pass when it is open, and are counted."""

    def __init__(self, writer: CaptureWriter, is_open: bool = True) -> None:
        self.passed = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        self.open = threading.Event()
        self.stored = writer.file.store
        writer.file.store = self.store  # type: ignore[method-assign]
        if is_open:
            self.open.set()

    def store(self, chunk: ClosedChunk) -> None:
        """Store a chunk once the gate is open."""
        self.reached.release()
        assert self.open.wait(FOREVER_S)
        self.stored(chunk)
        self.passed.release()


def put(stream: RecordStream, record: Record) -> None:
    """Record again what a record holds."""
    stream.record(
        record.kind,
        record.channel,
        record.flags,
        record.status,
        record.t_ns,
        record.duration_ns,
        record.address,
        record.payload,
    )


def writer_at(path: Path) -> CaptureWriter:
    """Return a writer of a fresh capture."""
    return CaptureWriter(path / "capture.mcap", EPOCH_NS, NAMES, {})


def test_what_is_held_back_goes_out_though_nothing_more_comes(tmp_path: Path) -> None:
    """A lone record that neither fills a batch nor a chunk is in the file without another one."""
    writer = writer_at(tmp_path)
    gate = Gate(writer)
    with Recording(writer) as kept:
        stream = RecordStream(kept.write)
        kept.keep(stream)
        for record in mixed_records(3):
            put(stream, record)
            assert gate.passed.acquire(timeout=FOREVER_S)
            with Capture(writer.partial, tolerant=True) as capture:
                assert list(capture.records())[-1].payload == record.payload
    assert list(Capture(writer.path).records()) == mixed_records(3)


def test_records_that_the_stream_does_not_keep_go_out_as_well(tmp_path: Path) -> None:
    """What is handed over outside of a batch, as samples of the world are, is not held either."""
    writer = writer_at(tmp_path)
    gate = Gate(writer)
    with Recording(writer) as kept:
        kept.write(mixed_records(1)[0].pack())
        assert gate.passed.acquire(timeout=FOREVER_S)


def test_a_recording_writes_what_a_writer_alone_would(tmp_path: Path) -> None:
    """While no age closes a chunk, compression in a thread changes no octet of the file."""
    records = b"".join(record.pack() for record in mixed_records(9000))
    alone, kept = tmp_path / "alone.mcap", tmp_path / "kept.mcap"
    with CaptureWriter(alone, EPOCH_NS, NAMES, {}) as writer:
        writer.write(records)
    with Recording(CaptureWriter(kept, EPOCH_NS, NAMES, {}), clock=lambda: 1) as recording:
        recording.write(records)
    assert kept.read_bytes() == alone.read_bytes()


def test_all_of_a_stream_is_in_the_capture_in_order(tmp_path: Path) -> None:
    """Flushed by two threads again and again, a stream loses nothing, and its digest stays."""
    records = [r for r in mixed_records(40_000) if r.kind != Kind.WORLD]
    records = [r._replace(seq=seq) for seq, r in enumerate(records)]
    plain, writer = RecordStream(), writer_at(tmp_path)
    # Everything is due at once: the thread is at the stream whenever it can be.
    clock = iter(range(0, 1 << 62, HELD_NS))
    with Recording(writer, clock=lambda: next(clock)) as kept:
        stream = RecordStream(kept.write)
        kept.keep(stream)
        for record in records:
            put(stream, record)
            put(plain, record)
        assert stream.hexdigest() == plain.hexdigest()
    with Capture(writer.path) as capture:
        assert list(capture.records()) == records
    assert writer.counters["chunks"] > 1


def big(seq: int) -> Record:
    """Return a record of three quarters of a chunk, so that each has one of its own."""
    return Record(Kind.UART, seq % 2, 1, 0, seq, 0, seq, 0, bytes(CHUNK_NBYTES * 3 // 4))


def test_a_queue_that_is_full_drops_whole_chunks_and_says_so(tmp_path: Path) -> None:
    """Asked to drop, a recording never waits: gaps in the numbers are counted, by topic."""
    writer = writer_at(tmp_path)
    gate = Gate(writer, is_open=False)
    with Recording(writer, "drop", clock=lambda: 1, queue_nbytes=2 * CHUNK_NBYTES) as kept:
        for seq in range(12):
            kept.write(big(seq).pack())
            if seq == 1:  # the first chunk is on its way to a disk that does not take it
                assert gate.reached.acquire(timeout=FOREVER_S)
        gate.open.set()
    numbers = [record.seq for record in Capture(writer.path).records()]
    missing = sorted(set(range(12)) - set(numbers))
    assert numbers == sorted(numbers)
    assert missing
    wanted = {
        f"/bus/{NAMES[channel]}": sum(seq % 2 == channel for seq in missing) for channel in (0, 1)
    }
    assert kept.lost == wanted
    assert kept.counters["chunks_dropped"] == kept.counters["records_lost"] == len(missing)
    with Capture(writer.path) as capture:
        table = capture.metadata["flatsat.recording"]
    assert {key: int(n) for key, n in table.items() if key.startswith("lost ")} == {
        f"lost {topic}": count for topic, count in wanted.items()
    }
    assert told(kept.lost).startswith(f"capture: {len(missing)} records were dropped (")


def test_a_queue_that_is_full_makes_the_run_wait(tmp_path: Path) -> None:
    """By default whoever records waits for the disk: nothing is lost, and little is in memory."""
    writer = writer_at(tmp_path)
    gate = Gate(writer, is_open=False)
    kept = Recording(writer, clock=lambda: 1, queue_nbytes=2 * CHUNK_NBYTES)
    with kept:
        done = threading.Event()

        def record() -> None:
            for seq in range(12):
                kept.write(big(seq).pack())
            done.set()

        recorder = threading.Thread(target=record)
        recorder.start()
        assert gate.reached.acquire(timeout=FOREVER_S)
        while not kept.waits:
            assert not done.is_set()
        gate.open.set()
        recorder.join(FOREVER_S)
    assert [record.seq for record in Capture(writer.path).records()] == list(range(12))
    assert kept.lost == {}
    assert kept.counters["chunks_waited_for"] >= 1


def test_a_full_disk_stops_whoever_records(tmp_path: Path) -> None:
    """What the thread learns of the disk is an error at the next record and at the end."""
    writer = writer_at(tmp_path)
    kept = Recording(writer, clock=lambda: 1)

    def run() -> None:
        with kept:
            for record in mixed_records(20_000):
                kept.write(record.pack())

    with pytest.raises(DiskFullError, match="cannot be written"), file_size_limit(400_000):
        run()
    records = list(Capture(writer.path).records())
    assert records == mixed_records(len(records))
    assert len(records) > 1000
    assert kept.counters["records"] == len(records) + kept.counters["records_lost"]
    with Capture(writer.path) as capture:
        told = capture.metadata["flatsat.recording"]
    assert {f"lost {topic}": str(n) for topic, n in kept.lost.items()}.items() <= told.items()


class Stop(KeyboardInterrupt):
    """What a signal raises, wherever the main thread is."""


def test_a_signal_while_the_disk_is_waited_for_loses_nothing(tmp_path: Path) -> None:
    """Whoever is stopped while a full queue is waited for finds every chunk in the capture."""
    writer = writer_at(tmp_path)
    gate = Gate(writer, is_open=False)
    kept = Recording(writer, clock=lambda: 1, queue_nbytes=2 * CHUNK_NBYTES)
    written: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        gate.open.set()
        raise Stop

    def interrupt() -> None:
        while not kept.waits:
            assert len(written) < 12
        os.kill(os.getpid(), signal.SIGUSR1)

    def run() -> None:
        with kept:
            for seq in range(12):
                written.append(seq)
                kept.write(big(seq).pack())

    before = signal.signal(signal.SIGUSR1, stop)
    other = threading.Thread(target=interrupt)
    other.start()
    try:
        with pytest.raises(Stop):
            run()
    finally:
        signal.signal(signal.SIGUSR1, before)
        other.join(FOREVER_S)
    # The last one was on its way in, behind the chunk for which there was no room.
    assert [record.seq for record in Capture(writer.path).records()] == written[:-1]


def test_tables_stand_behind_what_was_recorded_before(tmp_path: Path) -> None:
    """A table that is added while chunks are on their way waits for them."""
    writer = writer_at(tmp_path)
    with Recording(writer, clock=lambda: 1) as kept:
        kept.write(b"".join(record.pack() for record in mixed_records(9000)))
        kept.add_metadata("flatsat.end", {"digest": "00"})
        kept.add_attachment("notes.txt", "text/plain", b"good")
    with Capture(writer.path) as capture:
        assert capture.metadata["flatsat.end"]["digest"] == "00"
        assert capture.attachment("notes.txt") == b"good"
        assert len(list(capture.records())) == 9000


def test_a_run_without_a_capture_has_none(tmp_path: Path) -> None:
    """Who wants none gets something that takes records and leaves no file."""
    path = tmp_path / "capture.mcap"
    with recording(Options(capture=False), path, EPOCH_NS, NAMES, {}, lambda: 1) as kept:
        assert isinstance(kept, Nowhere)
        kept.write(mixed_records(1)[0].pack())
        kept.add_attachment("notes.txt", "text/plain", b"good")
    assert list(tmp_path.iterdir()) == []


def test_a_word_that_is_no_policy_is_refused(tmp_path: Path) -> None:
    """What to do when the disk is slow is one of two words."""
    with writer_at(tmp_path) as writer, pytest.raises(UsageError, match="say one of slow, drop"):
        Recording(writer, "guess")
