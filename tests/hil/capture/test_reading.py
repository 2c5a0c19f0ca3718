"""A capture is found by topic, time and number through its index, as records or as columns."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flightsw.codec.wire import HEADER, Flag, Kind, Record, unpack_all
from hil.capture import mcapfmt
from hil.capture.follow import Follower
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.errors import CaptureError

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0"}


def record(n: int, start_seq: int = 0) -> Record:
    """Return record ``n``: a transaction, a frame or an event; a view of the world on every 50th,
    which takes no number."""
    kind = Kind.WORLD if n % 50 == 49 else (Kind.I2C, Kind.CAN, Kind.EVENT)[n % 3]
    seq = (start_seq + n - n // 50) % 2**32
    bare = kind in (Kind.EVENT, Kind.WORLD)
    payload = b'{"n":%d}' % n if bare else struct.pack("<I", n) * (n % 40)
    # Out of order in time on purpose: a record is stamped with its start and written at its end.
    t_ns = n * 10**6 + (3_500_000 if kind == Kind.CAN else 0)
    flags = 0 if bare else int(Flag.REPLY)
    return Record(kind, n % 2, flags, 0, t_ns, n % 1000, seq, 0 if bare else n % 128, payload)


def records(count: int, start_seq: int = 0) -> list[Record]:
    """Return the first ``count`` records."""
    return [record(n, start_seq) for n in range(count)]


def write(path: Path, given: list[Record]) -> None:
    """Write a finished capture, its chunks as small as they come: 200 records."""
    with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial"}) as writer:
        for i in range(0, len(given), 200):
            writer.write(b"".join(record.pack() for record in given[i : i + 200]))
            writer.flush()


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished capture of 6000 records in 30 chunks."""
    path = tmp_path_factory.mktemp("reading") / "capture.mcap"
    write(path, records(6000))
    return path


def test_what_a_capture_holds_is_known_from_its_index(capture: Path) -> None:
    """Number of records, times and topics come from the summary: no chunk is read for them."""
    given = records(6000)
    with Capture(capture) as opened:
        assert opened.count == 6000
        assert opened.times_ns == (0, max(r.t_ns for r in given))
        assert sum(opened.topics.values()) == 6000
        assert opened.topics["/event"] == sum(r.kind == Kind.EVENT for r in given)
        assert opened.counters["chunks_read"] == 0
        assert (opened.first_seq, opened.last_seq) == (0, given[-1].seq)
        assert opened.counters["chunks_read"] == 2


@pytest.mark.parametrize("first_seq", [0, 1, 195, 196, 197, 3000, 5878, 5879, 5880, 10**12])
def test_a_sequence_number_is_found_by_bisection(capture: Path, first_seq: int) -> None:
    """Records from a number on are those, and a chunk or six are read to find the first."""
    with Capture(capture) as opened:
        got = list(opened.records(first_seq=first_seq))
        assert got == [r for r in records(6000) if r.seq >= first_seq]
        rest = -(-len(got) // 200)
        assert opened.counters["chunks_read"] <= rest + 7


@pytest.mark.parametrize("first_seq", [0, 2**32 - 500, 2**32 - 1, 2**32, 2**32 + 1, 2**32 + 2000])
def test_sequence_numbers_that_begin_anew(tmp_path: Path, first_seq: int) -> None:
    """Behind 2^32 - 1 the count goes on for whoever asks, and records keep their 32 bits."""
    start = 2**32 - 1000
    given = records(4000, start)
    write(tmp_path / "capture.mcap", given)
    with Capture(tmp_path / "capture.mcap") as opened:
        assert opened.first_seq == start
        assert opened.last_seq == start + 3999 - 79
        got = list(opened.records(first_seq=first_seq))
    assert got == [r for n, r in enumerate(given) if start + n - n // 50 >= first_seq]


def test_pieces_hold_exactly_what_matches(capture: Path) -> None:
    """Cut by topic, time and number in C, the records are those that a filter in Python gives."""
    with Capture(capture) as opened:
        pieces = list(opened.pieces(["/bus/i2c-1", "/event"], 10**9, 3 * 10**9, first_seq=1500))
    assert [r for piece in pieces for r in unpack_all(piece)] == [
        r
        for r in records(6000)
        if (r.kind == Kind.EVENT or (r.kind in (Kind.I2C, Kind.CAN) and r.channel == 0))
        and 10**9 <= r.t_ns < 3 * 10**9
        and r.seq >= 1500
    ]


def test_a_slice_reads_the_chunks_that_it_touches(capture: Path) -> None:
    """A slice of a hundredth of the time reads no more than the chunks at its edges."""
    with Capture(capture) as opened:
        opening = opened.octets_read
        assert len(list(opened.records(start_ns=10**9, end_ns=1_060_000_000))) == 60
        assert opened.counters["chunks_read"] <= 2
        assert opened.octets_read - opening < capture.stat().st_size // 10


def test_a_table_holds_the_records_as_columns(capture: Path) -> None:
    """Every header field is a column, and each payload stands where its row says."""
    with Capture(capture) as opened:
        table = opened.table(start_ns=10**9)
        parts = list(opened.tables(start_ns=10**9))
    given = [r for r in records(6000) if r.t_ns >= 10**9]
    assert len(table) == len(given) == sum(map(len, parts))
    for name in ("kind", "channel", "flags", "status", "t_ns", "duration_ns", "seq", "address"):
        assert table[name].tolist() == [getattr(r, name) for r in given]
        assert np.array_equal(table[name], np.concatenate([part[name] for part in parts]))
    assert [table.payload(i) for i in range(len(given))] == [r.payload for r in given]


def test_an_empty_table_is_a_table(capture: Path) -> None:
    """Where nothing matches, the columns are there and empty."""
    with Capture(capture) as opened:
        table = opened.table(start_ns=10**12)
        assert len(table) == len(table["t_ns"]) == len(table.to_arrow()) == 0
        assert list(opened.records(start_ns=5, end_ns=5)) == []


def test_an_arrow_table_agrees_record_by_record(capture: Path) -> None:
    """What Arrow shows of a table is the records, topics and payloads included."""
    pytest.importorskip("pyarrow")
    with Capture(capture) as opened:
        arrow = opened.table().to_arrow()
    for row, r in zip(arrow.to_pylist(), records(6000), strict=True):
        assert row.pop("payload") == r.payload
        topic = row.pop("topic")
        assert topic == (
            "/event"
            if r.kind == Kind.EVENT
            else "/world"
            if r.kind == Kind.WORLD
            else f"/bus/{NAMES[r.channel]}"
        )
        assert row == {name: value for name, value in r._asdict().items() if name != "payload"}


def test_a_data_frame_agrees_record_by_record(capture: Path) -> None:
    """What pandas shows of a table is the records, topics and payloads included."""
    pytest.importorskip("pandas")
    with Capture(capture) as opened:
        table = opened.table(end_ns=10**9)
        frame = table.to_pandas()
    given = [r for r in records(6000) if r.t_ns < 10**9]
    assert list(frame.columns) == [*table.to_arrow().column_names]
    for name in ("kind", "t_ns", "seq", "address", "payload"):
        assert frame[name].tolist() == [getattr(r, name) for r in given]
    assert frame["topic"].tolist() == table.to_arrow()["topic"].to_pylist()
    assert set(frame["topic"].cat.categories) == set(frame["topic"])


def test_without_arrow_the_extra_is_named(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an optional package is missing, one line names the extra that brings it."""
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with Capture(capture) as opened:
        table = opened.table(end_ns=10**7)
    with pytest.raises(CaptureError, match=r"pip install 'flatsat\[parquet\]'"):
        table.to_arrow()
    with pytest.raises(CaptureError, match=r"pip install 'flatsat\[pandas\]'"):
        table.to_pandas()


def test_captures_without_crcs_of_their_own_stay_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels and tables written before they had a CRC are believed as they stand."""
    monkeypatch.setattr(mcapfmt, "sealed", lambda front, pairs: dict(pairs))
    write(tmp_path / "capture.mcap", records(1000))
    monkeypatch.undo()
    raw = (tmp_path / "capture.mcap").read_bytes()
    assert b"\x03\0\0\0crc" not in raw
    with Capture(tmp_path / "capture.mcap") as opened:
        assert list(opened.records()) == records(1000)
    (tmp_path / "cut.mcap").write_bytes(raw[:-100])
    with Capture(tmp_path / "cut.mcap", tolerant=True) as opened:
        assert list(opened.records()) == records(1000)


def polled(follower: Follower, **options: Any) -> list[Record]:
    """Return what a follower gives until nothing comes."""
    got: list[Record] = []
    while octets := follower.poll(**options):
        got += unpack_all(octets)
    return got


def test_a_follower_gets_each_chunk_once_it_is_closed(tmp_path: Path) -> None:
    """While a capture grows its closed chunks come, each once; when it ends, that is known."""
    given = records(1000)
    writer = CaptureWriter(tmp_path / "capture.mcap", EPOCH_NS, NAMES, {"seed": "7"})
    with Follower(writer.partial) as follower:
        assert follower.poll() == b""
        assert follower.epoch_ns == EPOCH_NS
        for i in range(0, 1000, 250):
            writer.write(b"".join(r.pack() for r in given[i : i + 250]))
            assert follower.poll() == b""
            writer.flush()
            assert polled(follower) == given[i : i + 250]
        assert {c.topic for c in follower.channels.values()} >= {"/bus/i2c-1", "/event"}
        assert not follower.finished
        writer.close()
        assert follower.poll() == b""
        assert follower.finished


def test_a_late_follower_gets_the_whole_capture_in_bounded_pieces(capture: Path) -> None:
    """Who comes late gets everything from the start, in as many pieces as it asked for."""
    with Follower(capture) as follower:
        first = follower.poll(most_nbytes=1)
        assert 0 < len(first) < 200 * (HEADER.size + 160) + 1
        assert [*unpack_all(first), *polled(follower)] == records(6000)
        assert follower.finished


def test_a_follower_never_takes_half_a_record(tmp_path: Path, capture: Path) -> None:
    """However far a write has come, only whole chunks are given, and they are good."""
    raw, path = capture.read_bytes(), tmp_path / "growing"
    path.write_bytes(b"")
    got: list[Record] = []
    with Follower(path) as follower, path.open("ab", buffering=0) as growing:
        for at in range(0, len(raw), 4_321):
            growing.write(raw[at : at + 4_321])
            got += polled(follower)
            assert got == records(len(got))
        assert follower.finished
    assert len(got) == 6000


def test_a_follower_refuses_damage(tmp_path: Path, capture: Path) -> None:
    """A damaged chunk is an error that names its octet, not a wrong record."""
    raw = bytearray(capture.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "bad").write_bytes(raw)
    with (
        Follower(tmp_path / "bad") as follower,
        pytest.raises(CaptureError, match="cannot be followed: octet"),
    ):
        polled(follower)


def test_a_follower_of_a_file_that_is_cut_back(tmp_path: Path, capture: Path) -> None:
    """A writer that takes back what a full disk did not hold ends what follows it, too."""
    raw, path = capture.read_bytes(), tmp_path / "growing"
    path.write_bytes(raw[: len(raw) // 2])
    with Follower(path) as follower:
        got = polled(follower)
        assert got == records(len(got))
        with path.open("rb+") as file:
            file.truncate(3000)
        assert follower.poll() == b""
        assert follower.finished
