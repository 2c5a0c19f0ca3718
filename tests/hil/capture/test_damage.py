"""A damaged capture gives every record whose chunk is whole, never a wrong one, and says where."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from damaging import (
    EPOCH_NS,
    PER_CHUNK,
    check_damaged,
    chunk_ends,
    mutated,
    read_tolerantly,
    small_records,
    write_small,
)

from flightsw.codec.wire import Kind
from hil.capture import mcapfmt
from hil.capture.mcapfmt import MAGIC, Op
from hil.capture.reader import Capture
from hil.errors import CaptureError

COUNT = 36


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The octets of a small capture of six chunks."""
    return write_small(tmp_path_factory.mktemp("damage") / "capture.mcap", small_records(COUNT))


def test_a_file_cut_at_any_octet(tmp_path: Path) -> None:
    """Whatever octet a file ends behind, all of its whole chunks are given, and nothing else."""
    path, records = tmp_path / "capture.mcap", small_records(3 * PER_CHUNK)
    raw = write_small(path, records)
    ends = chunk_ends(path)
    assert len(ends) == 3
    for cut in range(len(raw) - 1, 0, -1):
        with path.open("rb+") as file:
            file.truncate(cut)
        whole = PER_CHUNK * sum(end <= cut for end in ends)
        got, said, is_silent = read_tolerantly(path)
        assert (got or []) == records[:whole], cut
        assert said, cut
        assert not is_silent


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_accidents(tmp_path: Path, raw: bytes, seed: int) -> None:
    """Whatever happens to its octets, a file gives no wrong record and says what it lacks."""
    rng, path = random.Random(seed), tmp_path / "capture.mcap"
    for _ in range(1000):
        path.write_bytes(mutated(raw, rng))
        check_damaged(path, small_records(COUNT))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3, 103))
def test_a_hundred_thousand_accidents(tmp_path: Path, raw: bytes, seed: int) -> None:
    """The same a hundred thousand times."""
    test_a_thousand_accidents(tmp_path, raw, seed)


def test_chunks_behind_damage_are_given(tmp_path: Path, raw: bytes) -> None:
    """Of a file without a summary, damage costs the chunk that it hit and no other."""
    path, records = tmp_path / "capture.mcap", small_records(COUNT)
    path.write_bytes(raw)
    ends = chunk_ends(path)
    cut = bytearray(raw[: ends[-1]])
    cut[ends[3] - 5] ^= 0xFF
    path.write_bytes(cut)
    with Capture(path, tolerant=True) as capture:
        got = list(capture.records())
        chunk, end = capture.damages
    lost = range(3 * PER_CHUNK, 4 * PER_CHUNK)
    assert got == [record for record in records if record.seq not in lost]
    assert ends[2] < chunk.at < ends[3]
    assert chunk.nbytes == ends[3] - chunk.at
    assert "never finished" in str(end)


@pytest.mark.parametrize("field", [1, 9 + 28, 9 + 36, 9 + 39])
def test_a_length_that_leads_astray(tmp_path: Path, raw: bytes, field: int) -> None:
    """Where the length of a chunk is damaged, the walk finds the next one: no other is lost."""
    path, records = tmp_path / "capture.mcap", small_records(COUNT)
    path.write_bytes(raw)
    with Capture(path) as capture:
        at = int(capture.places["at"][3])
        end = int(capture.places["at"][-1] + capture.places["length"][-1])
    cut = bytearray(raw[:end])
    cut[at + field] ^= 0x10
    path.write_bytes(cut)
    with Capture(path, tolerant=True) as capture:
        got = list(capture.records())
        assert capture.damages[0].at == at
    assert got == records[: 3 * PER_CHUNK] + records[4 * PER_CHUNK :]


def test_a_channel_that_lost_its_crc(tmp_path: Path, raw: bytes) -> None:
    """Where others have a CRC, a description of a channel without one is not believed."""
    path, records = tmp_path / "capture.mcap", small_records(COUNT)
    path.write_bytes(raw)
    end = chunk_ends(path)[-1]
    kind = mcapfmt.string("crc") + mcapfmt.string("12345678")
    at = raw.index(mcapfmt.string("/event"))
    crc_at = raw.index(kind[:7], at)
    bare = raw[: at + 5] + b"x" + raw[at + 6 : crc_at + 4] + b"abc" + raw[crc_at + 7 : end]
    path.write_bytes(bare)
    with Capture(path, tolerant=True) as capture:
        assert list(capture.records()) == [r for r in records if r.kind != Kind.EVENT]
        assert "has no CRC, as others have" in " ".join(map(str, capture.damages))


def test_a_finished_file_passes_over_a_damaged_chunk(tmp_path: Path, raw: bytes) -> None:
    """With a summary, too, one damaged chunk is passed over and named; a strict reader stops."""
    path, records = tmp_path / "capture.mcap", small_records(COUNT)
    path.write_bytes(raw)
    ends = chunk_ends(path)
    bad = bytearray(raw)
    bad[ends[3] - 5] ^= 0xFF
    path.write_bytes(bad)
    with Capture(path, tolerant=True) as capture:
        got = list(capture.records())
        assert len(capture.damages) == 1
        assert capture.damage is not None
        assert ends[2] < capture.damage.at < ends[3]
        assert list(capture.records(first_seq=3 * PER_CHUNK + 2)) == records[4 * PER_CHUNK :]
    assert got == records[: 3 * PER_CHUNK] + records[4 * PER_CHUNK :]
    with Capture(path) as capture, pytest.raises(CaptureError, match=r"octet \d+: the "):
        list(capture.records())


def test_a_wrong_epoch_is_found_out(tmp_path: Path, raw: bytes) -> None:
    """The epoch stands outside of every CRC of the format; ours and the records keep it honest."""
    path = tmp_path / "capture.mcap"
    path.write_bytes(raw.replace(str(EPOCH_NS).encode(), str(EPOCH_NS + 1).encode()))
    with Capture(path, tolerant=True) as capture:
        assert list(capture.records()) == small_records(COUNT)
        assert capture.epoch_ns == EPOCH_NS
        assert capture.damage is not None
    with pytest.raises(CaptureError, match=r"octet \d+: a Metadata record is malformed: its CRC"):
        Capture(path)


# --- files that were made to harm -----------------------------------------------------------------


def chunk(size: int, packed: bytes, compression: str = "zstd", length: int | None = None) -> bytes:
    """Return a Chunk record that claims what it is told to."""
    body = struct.pack("<QQQI", EPOCH_NS, EPOCH_NS, size, 0) + mcapfmt.string(compression)
    body += struct.pack("<Q", len(packed) if length is None else length) + packed
    return mcapfmt.record(Op.CHUNK, body)


def front() -> bytes:
    """Return how a capture begins."""
    about = mcapfmt.metadata("flatsat", {"epoch_ns": str(EPOCH_NS)})
    kinds = {"kind": "16", "channel": "0"}
    return MAGIC + mcapfmt.header("") + about + mcapfmt.channel(1, 0, "/x", "json", kinds)


def finished(data: bytes, index: bytes, statistics: bytes) -> bytes:
    """Return a capture whose summary holds what it is told to, its CRCs right."""
    end = mcapfmt.record(Op.DATA_END, zlib.crc32(data).to_bytes(4, "little"))
    about = mcapfmt.metadata_index(data.index(b"\x0c"), 0, "flatsat")
    groups = [(Op.CHUNK_INDEX, index), (Op.STATISTICS, statistics), (Op.METADATA_INDEX, about)]
    return data + end + mcapfmt.summary_tail(len(data) + len(end), groups)


def statistics_of(count: int) -> bytes:
    """Return a Statistics record of so many messages of one channel."""
    return mcapfmt.statistics({1: count}, (0, 0), 0, 0, 1, 1)


def bomb(size: int) -> bytes:
    """Return zeros, compressed to next to nothing."""
    return bytes(zstandard.ZstdCompressor(level=19).compress(bytes(size)))


def unsized(size: int) -> bytes:
    """Return the same without the size in the frame."""
    params = zstandard.ZstdCompressionParameters(write_content_size=False)
    return bytes(zstandard.ZstdCompressor(compression_params=params).compress(bytes(size)))


def claims(
    at: int,
    length: int,
    size: int = 100,
    nmessages: int = 1,
    times: tuple[int, int] = (0, 0),
    channels: tuple[int, ...] = (1,),
) -> bytes:
    """Return a Chunk Index record that says so."""
    sizes, indexes = (min(length, 2**63), size), 16 * nmessages + 15 * len(channels)
    body = struct.pack("<QQQQI", *times, at, length, 10 * len(channels))
    body += b"".join(struct.pack("<HQ", channel, 0) for channel in channels)
    body += struct.pack("<Q", indexes)
    return mcapfmt.record(
        Op.CHUNK_INDEX, body + mcapfmt.string("zstd") + struct.pack("<QQ", *sizes)
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a chunk that claims 2^60 octets": lambda: front() + chunk(2**60, bomb(1000)),
    "a frame that claims more than its chunk": lambda: front() + chunk(1000, bomb(200 << 20)),
    "a frame that does not say": lambda: front() + chunk(1000, unsized(200 << 20)),
    "a chunk within the limit that holds less": lambda: front() + chunk(100 << 20, bomb(1000)),
    "a length of 2^63": lambda: front() + b"\x06" + struct.pack("<Q", 2**63) + bytes(100),
    "a content of 2^63": lambda: front() + chunk(5, b"", length=2**63),
    "lengths that go nowhere": lambda: front() + b"\x06\0\0\0\0\0\0\0\0" * 5_000,
    "heads of chunks, one in the other": lambda: (
        front() + b"".join(chunk(5, b"", length=10**6 - 49 * i) for i in range(5_000))
    ),
    "an index outside of the file": lambda: finished(front(), claims(2**63, 2**63), b""),
    "an index that points at itself": lambda: finished(front(), claims(8, 60), b""),
    "one chunk a thousand times": lambda: finished(front(), claims(8, 60) * 1000, b""),
    "an index of 2^59 messages": lambda: finished(front(), claims(8, 60, 100, 2**59), b""),
    "messages of no channel": lambda: finished(
        front() + chunk(5, b"12345", ""), claims(len(front()), 54, channels=()), statistics_of(1)
    ),
    "a hundred thousand tables that are not there": lambda: finished(
        front(), mcapfmt.metadata_index(2**40, 5, "x") * 100_000, b""
    ),
    "statistics that contradict": lambda: finished(
        front(), b"", mcapfmt.statistics({1: 2**64 - 1}, (0, 0), 0, 0, 1, 0)
    ),
    "metadata that points at the end": lambda: finished(
        front(), b"", mcapfmt.metadata_index(2**63, 5, "x")
    ),
    "a map that is longer than its record": lambda: (
        front() + mcapfmt.record(Op.METADATA, mcapfmt.string("a") + b"\xff\xff\xff\xff")
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_does_no_harm(tmp_path: Path, name: str) -> None:
    """A file made to take memory or time gets neither, and is named for what it is."""
    path = tmp_path / "capture.mcap"
    path.write_bytes(HOSTILE[name]())
    tracemalloc.start()
    try:
        got, said, is_silent = read_tolerantly(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not got
    assert said
    assert not is_silent
    assert peak < 32 << 20


def test_a_chunk_that_the_index_names_twice_is_given_once(tmp_path: Path, raw: bytes) -> None:
    """An index that names a chunk twice is not believed; each record comes once."""
    path, records = tmp_path / "capture.mcap", small_records(COUNT)
    path.write_bytes(raw)
    with Capture(path) as capture:
        start = int(capture.places["at"][0])
        stop = int(capture.places["length"][0]) + start
    index = claims(start, stop - start, 200, PER_CHUNK, (EPOCH_NS, EPOCH_NS + 10**12)) * 2
    end = raw.rindex(mcapfmt.RECORD_HEAD.pack(Op.DATA_END, 4))
    statistics = mcapfmt.statistics({1: 2 * PER_CHUNK}, (0, 0), 0, 0, 0, 2)
    path.write_bytes(finished(raw[:end], index, statistics))
    with Capture(path, tolerant=True) as capture:
        assert list(capture.records()) == records
        assert "chunks overlap in the index" in str(capture.damage)
