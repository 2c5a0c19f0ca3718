"""The capture gives back what it was given, whole or cut off, and never pretends to be whole."""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flightsw.codec.errors import TruncatedError
from flightsw.codec.wire import Flag, Kind, Record, Status, unpack_all
from hil.capture import mcapfmt
from hil.capture.reader import Capture
from hil.capture.writer import CHUNK_NBYTES, CaptureWriter
from hil.errors import CaptureError, DiskFullError, HostError, RunDirectoryError, UsageError

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0", 2: "gpiochip0"}


def mixed_records(count: int, seed: int = 1) -> list[Record]:
    """Return records of every shape that the capture treats apart, ``seq`` from 0."""
    rng = random.Random(seed)
    records = []
    for seq in range(count):
        kind = rng.choice([Kind.I2C, Kind.CAN, Kind.GPIO, Kind.TM, Kind.EVENT, Kind.WORLD])
        is_json = kind in (Kind.EVENT, Kind.WORLD)
        plain = is_json and rng.random() < 0.9
        records.append(
            Record(
                kind,
                rng.randrange(3),
                0 if plain else int(Flag.REPLY),
                0 if plain else int(rng.choice([Status.OK, Status.DAMAGED])),
                seq * 1_000_000 + rng.randrange(1000),
                rng.randrange(10_000),
                seq,
                0 if plain else 0x48,
                b'{"n":%d}' % seq if is_json else rng.randbytes(rng.randrange(300)),
            )
        )
    return records


def write(path: Path, records: list[Record], batch: int = 97) -> CaptureWriter:
    """Write ``records`` in batches and finish the file."""
    with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial", "seed": "7"}) as writer:
        writer.add_attachment("board.toml", "application/toml", b"[board]\n")
        for i in range(0, len(records), batch):
            writer.write(b"".join(record.pack() for record in records[i : i + batch]))
    return writer


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """What is read is octet for octet what was written, bare JSON included."""
    records = mixed_records(5000)
    writer = write(tmp_path / "capture.mcap", records)
    with Capture(tmp_path / "capture.mcap") as capture:
        assert list(capture.records()) == records
        assert capture.damage is None
        assert capture.metadata["flatsat"]["seed"] == "7"
        assert capture.attachment("board.toml") == b"[board]\n"
    assert writer.counters["records"] == sum(writer.counts.values()) == 5000
    assert writer.counters["chunks"] > 1


def test_the_same_records_make_the_same_file(tmp_path: Path) -> None:
    """However the records were batched, the file is the same octet for octet."""
    records = mixed_records(2000)
    write(tmp_path / "a.mcap", records, batch=1)
    write(tmp_path / "b.mcap", records, batch=1999)
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_records_are_found_by_topic_time_and_number(tmp_path: Path) -> None:
    """Topic, time and sequence number each select exactly the records that match."""
    records = mixed_records(3000)
    write(tmp_path / "capture.mcap", records)
    with Capture(tmp_path / "capture.mcap") as capture:
        got = list(capture.records(["/bus/i2c-1"], 10**9, 2 * 10**9, first_seq=1200))
    assert got == [
        r
        for r in records
        if r.kind in (Kind.I2C, Kind.CAN)
        and r.channel == 0
        and 10**9 <= r.t_ns < 2 * 10**9
        and r.seq >= 1200
    ]
    assert got


def test_an_unknown_topic_is_named_with_those_that_exist(tmp_path: Path) -> None:
    """Asking for a topic that was not recorded says so and lists what was."""
    write(tmp_path / "capture.mcap", mixed_records(50))
    with (
        Capture(tmp_path / "capture.mcap") as capture,
        pytest.raises(CaptureError, match=r"no topic '/bus/i2c-9'; recorded: .*/bus/i2c-1"),
    ):
        list(capture.records(["/bus/i2c-9"]))


def test_one_record_larger_than_a_chunk(tmp_path: Path) -> None:
    """A frame of megabytes gets a chunk of its own and comes back whole."""
    big = Record(Kind.FRAME, 0, 1, 0, 5, 6, 1, 0, random.Random(2).randbytes(3 * CHUNK_NBYTES))
    small = mixed_records(3)
    write(tmp_path / "capture.mcap", [*small, big, *small])
    with Capture(tmp_path / "capture.mcap") as capture:
        assert list(capture.records()) == [*small, big, *small]


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_file_gives_all_closed_chunks(tmp_path: Path, seed: int) -> None:
    """Cut anywhere, a file still gives a prefix of its records, and names where it ends."""
    records = mixed_records(3000)
    write(tmp_path / "whole.mcap", records)
    raw = (tmp_path / "whole.mcap").read_bytes()
    cut = random.Random(seed).randrange(600, len(raw) - 1)
    (tmp_path / "cut.mcap").write_bytes(raw[:cut])
    with pytest.raises(CaptureError, match="cannot be read: octet"):
        Capture(tmp_path / "cut.mcap")
    with Capture(tmp_path / "cut.mcap", tolerant=True) as capture:
        got = list(capture.records())
        assert capture.damage is not None
        assert got == records[: len(got)]


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_always_our_error(tmp_path: Path, seed: int) -> None:
    """Octets changed anywhere give CaptureError or good records, nothing else."""
    write(tmp_path / "capture.mcap", mixed_records(300))
    raw = bytearray((tmp_path / "capture.mcap").read_bytes())
    rng = random.Random(seed)
    for _ in range(3):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    (tmp_path / "bad.mcap").write_bytes(raw)
    for tolerant in (False, True):
        try:
            with Capture(tmp_path / "bad.mcap", tolerant=tolerant) as capture:
                got = list(capture.records())
        except CaptureError as error:
            got, message = [], str(error)
            assert "\n" not in message
        assert len(got) <= 300


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"no capture at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no capture is refused by name, also by the tolerant reader."""
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    for tolerant in (False, True):
        with pytest.raises(CaptureError, match=r"other\.mcap: cannot be read"):
            Capture(path, tolerant=tolerant)


def test_a_cut_record_is_refused(tmp_path: Path) -> None:
    """A buffer that ends inside a record is an error, not a shorter record."""
    writer = CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {})
    with pytest.raises(TruncatedError, match="inside a wire record"):
        writer.write(mixed_records(1)[0].pack()[:-1] + b"")
    writer.abandon()


def test_an_existing_capture_is_never_overwritten(tmp_path: Path) -> None:
    """A capture that is there already is an error of the run directory."""
    write(tmp_path / "capture.mcap", mixed_records(1))
    with pytest.raises(RunDirectoryError, match="is there already"):
        CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {})


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    """A folder that does not exist is an error of the run directory."""
    with pytest.raises(RunDirectoryError, match="cannot be created: No such file"):
        CaptureWriter(tmp_path / "absent" / "capture.mcap", EPOCH_NS, NAMES, {})


@contextmanager
def file_size_limit(nbytes: int) -> Iterator[None]:
    """Let the system refuse to grow any file beyond ``nbytes``."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [40_000, 300_000, 700_000])
def test_a_disk_that_takes_no_more(tmp_path: Path, limit: int) -> None:
    """When the disk refuses, one line says so, and what was recorded until then is a capture."""
    records = mixed_records(9000)
    path = tmp_path / "capture.mcap"
    with (
        pytest.raises(DiskFullError, match=r"capture\.mcap\.partial: cannot be written: "),
        file_size_limit(limit),
    ):
        write(path, records)
    assert [entry.name for entry in tmp_path.iterdir()] == ["capture.mcap"]
    assert path.stat().st_size <= limit
    with Capture(path) as capture:
        got = list(capture.records())
        told = capture.metadata["flatsat.recording"]
    assert got == records[: len(got)]
    assert told["ended"] == "File too large"
    assert int(told["records"]) == len(got)


def test_a_disk_that_takes_nothing_at_all(tmp_path: Path) -> None:
    """Where not even a head finds room, one line says so and nothing is left."""
    with pytest.raises(DiskFullError, match="cannot be written"), file_size_limit(2_000):
        write(tmp_path / "capture.mcap", mixed_records(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [260_000, 440_000])
def test_the_last_chunk_finds_no_room(tmp_path: Path, limit: int) -> None:
    """A disk that fills at the end leaves a whole capture that counts what it lacks."""
    records = mixed_records(3000)
    writer = CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {})
    writer.write(b"".join(record.pack() for record in records))
    with pytest.raises(DiskFullError, match="cannot be written"), file_size_limit(limit):
        writer.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["capture.mcap"]
    with Capture(tmp_path / "capture.mcap") as capture:
        got = list(capture.records())
        told = capture.metadata["flatsat.recording"]
    assert 0 < len(got) < len(records)
    assert got == records[: len(got)]
    lost = sum(int(count) for key, count in told.items() if key.startswith("lost "))
    assert lost == len(records) - len(got)


def test_the_disk_fills_while_the_summary_is_written(tmp_path: Path) -> None:
    """A summary that finds less room than was reserved takes that of the last chunks, and says
    what they held."""
    records = mixed_records(3000)
    writer = CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {})
    writer.write(b"".join(record.pack() for record in records))
    writer.flush()
    size = writer.partial.stat().st_size
    with pytest.raises(DiskFullError, match="cannot be written"), file_size_limit(size + 100):
        writer.close()
    with Capture(tmp_path / "capture.mcap") as capture:
        got = list(capture.records())
        told = capture.metadata["flatsat.recording"]
    assert 0 < len(got) < len(records)
    assert got == records[: len(got)]
    assert told["ended"] == "File too large"
    lost = sum(int(count) for key, count in told.items() if key.startswith("lost "))
    assert lost == len(records) - len(got)


def test_a_run_that_fails_still_finishes_its_capture(tmp_path: Path) -> None:
    """An error in the body of the with statement leaves a whole capture behind."""
    path = tmp_path / "capture.mcap"

    def fail() -> None:
        with CaptureWriter(path, EPOCH_NS, NAMES, {}) as writer:
            writer.write(mixed_records(1)[0].pack())
            raise KeyError("elsewhere")

    with pytest.raises(KeyError, match="elsewhere"):
        fail()
    with Capture(path) as capture:
        assert len(list(capture.records())) == 1


def test_buffers_are_wire_records(tmp_path: Path) -> None:
    """Chunks come back as concatenated wire records, ready to be digested or replayed."""
    records = mixed_records(400)
    write(tmp_path / "capture.mcap", records)
    with Capture(tmp_path / "capture.mcap") as capture:
        joined = b"".join(capture.buffers())
    assert joined == b"".join(record.pack() for record in records)
    assert list(unpack_all(joined)) == records


def test_channels_and_tables_bring_their_own_crc() -> None:
    """One changed octet in what stands outside of chunks is noticed by whoever reads it."""
    front, pairs = b"\x01\x00\x01\x00", {"kind": "16", "channel": "0"}
    whole = mcapfmt.sealed(front, pairs)
    assert mcapfmt.is_intact(front, whole)
    assert mcapfmt.is_intact(front, pairs) is None
    assert not mcapfmt.is_intact(b"\x02\x00\x01\x00", whole)
    assert not mcapfmt.is_intact(front, {**whole, "kind": "17"})
    assert not mcapfmt.is_intact(front, {**whole, "other": ""})


def test_a_compression_that_is_not_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LZ4 where the package is missing is one line that says how to get it, and leaves no file."""
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(HostError, match=r"pip install 'flatsat\[lz4\]'"):
        CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {}, "lz4")
    with pytest.raises(UsageError, match="say one of zstd, lz4, none"):
        CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {}, "zip")
    assert list(tmp_path.iterdir()) == []
