"""The official MCAP reader reads our captures: counts, order, CRCs, index, attachments."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from mcap.reader import NonSeekingReader, make_reader
from mcap.records import Message, MessageIndex
from mcap.stream_reader import StreamReader, get_chunk_data_stream
from mcap.writer import Writer

from flightsw.codec.wire import Kind, Record, unpack_from
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.errors import CaptureError

EPOCH_NS = 1_680_480_000 * 10**9
COUNT = 6000
BOARD = b'[board]\nname = "trial"\n'


def record(seq: int) -> Record:
    """Return one record: a bus transaction, a frame on the link or an event."""
    kind = (Kind.I2C, Kind.CAN, Kind.TM, Kind.EVENT)[seq % 4]
    # Out of order in time on purpose: a record is stamped with its start and written at its end.
    t_ns = seq * 10_000_000 - (15_000_000 if kind == Kind.CAN and seq > 4 else 0)
    payload = b'{"n":%d}' % seq if kind == Kind.EVENT else bytes([seq % 251]) * (seq % 200)
    return Record(kind, seq % 2, 0, 0, t_ns, 400_000, seq, 0, payload)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished capture of COUNT records in several chunks."""
    path = tmp_path_factory.mktemp("capture") / "capture.mcap"
    names = {0: "i2c-1", 1: "can0"}
    with CaptureWriter(path, EPOCH_NS, names, {"board": "trial", "mission": "m"}) as writer:
        writer.add_attachment("board.toml", "application/toml", BOARD)
        writer.write(b"".join(record(seq).pack() for seq in range(COUNT)))
    return path


def test_counts_agree(capture: Path) -> None:
    """The statistics of the summary are what the reader counts itself."""
    with capture.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        counted = Counter(m.channel_id for _, _, m in reader.iter_messages())
    assert summary.statistics.message_count == counted.total() == COUNT
    assert summary.statistics.channel_message_counts == counted
    assert summary.statistics.chunk_count == len(summary.chunk_indexes) > 2
    assert summary.statistics.message_start_time == EPOCH_NS
    assert summary.statistics.message_end_time == EPOCH_NS + (COUNT - 1) * 10_000_000
    assert summary.schemas[1].name == "flatsat.Record"


def test_every_message_is_the_record_it_was(capture: Path) -> None:
    """Data, sequence, log time and publish time hold the whole record; JSON is bare."""
    with capture.open("rb") as file:
        messages = list(make_reader(file).iter_messages(log_time_order=False))
    for seq, (_, channel, message) in enumerate(messages):
        want = record(seq)
        assert message.sequence == seq
        assert message.log_time == EPOCH_NS + want.t_ns
        assert message.publish_time == message.log_time + want.duration_ns
        if channel.message_encoding == "json":
            assert channel.topic == "/event"
            assert json.loads(message.data) == {"n": seq}
        else:
            assert channel.topic in {"/bus/i2c-1", "/bus/can0", "/link/tm"}
            assert unpack_from(message.data) == (want, len(message.data))


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_other_compressions(tmp_path: Path, compression: str) -> None:
    """Chunks that are not compressed, or by LZ4, are as good to the reader as those by zstd."""
    if compression == "lz4":
        pytest.importorskip("lz4.frame")
    path, names = tmp_path / "capture.mcap", {0: "i2c-1", 1: "can0"}
    with CaptureWriter(path, EPOCH_NS, names, {}, compression) as writer:
        writer.write(b"".join(record(seq).pack() for seq in range(COUNT)))
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        wire = {chunk.compression for chunk in summary.chunk_indexes}
        assert wire == {"" if compression == "none" else "lz4"}
        messages = [m for _, _, m in reader.iter_messages(log_time_order=False)]
    assert [message.sequence for message in messages] == list(range(COUNT))
    with Capture(path) as capture:
        assert list(capture.records()) == [record(seq) for seq in range(COUNT)]


def test_log_time_order(capture: Path) -> None:
    """Asked for log time order, the index brings records into it."""
    with capture.open("rb") as file:
        times = [m.log_time for _, _, m in make_reader(file).iter_messages()]
    assert len(times) == COUNT
    assert times == sorted(times)
    assert times != [EPOCH_NS + record(seq).t_ns for seq in range(COUNT)]


def test_all_checksums_hold(capture: Path) -> None:
    """Read as a stream with every check on, chunk CRCs and the CRC of the data section hold."""
    with capture.open("rb") as file:
        messages = [
            r for r in StreamReader(file, validate_crcs=True).records if isinstance(r, Message)
        ]
    assert len(messages) == COUNT


def test_seeking_agrees_with_reading_through(capture: Path) -> None:
    """A slice by time and topic through the index is what reading through the file gives."""
    bounds = {"starting_at": EPOCH_NS + 20 * 10**9, "ending_before": EPOCH_NS + 21 * 10**9}
    topics = ["/event", "/bus/can0"]
    with capture.open("rb") as file:
        seeking = [m for _, _, m in make_reader(file).iter_messages(topics, **bounds)]
    with capture.open("rb") as file:
        through = [m for _, _, m in NonSeekingReader(file).iter_messages(topics, **bounds)]
    assert seeking == through
    assert len(seeking) > 20


def test_message_indexes_point_at_their_messages(capture: Path) -> None:
    """Every entry of every message index names the time and the place of a message."""
    checked = 0
    with capture.open("rb") as file:
        summary = make_reader(file).get_summary()
        assert summary is not None
        file.seek(0)
        chunk_data = b""
        for item in StreamReader(file, emit_chunks=True).records:
            if type(item).__name__ == "Chunk":
                stream, nbytes = get_chunk_data_stream(item)
                chunk_data = stream.read(nbytes)
            elif isinstance(item, MessageIndex):
                for time_ns, offset in item.records:
                    assert chunk_data[offset] == 5
                    assert int.from_bytes(chunk_data[offset + 9 : offset + 11], "little") == (
                        item.channel_id
                    )
                    assert (
                        int.from_bytes(chunk_data[offset + 15 : offset + 23], "little") == time_ns
                    )
                    checked += 1
        for chunk in summary.chunk_indexes:
            for channel_id, at in chunk.message_index_offsets.items():
                file.seek(at)
                head = file.read(11)
                assert head[0] == 7
                assert int.from_bytes(head[9:11], "little") == channel_id
    assert checked == COUNT


def test_attachments_and_metadata(capture: Path) -> None:
    """The board file and the facts of the run are found through the summary."""
    with capture.open("rb") as file:
        reader = make_reader(file)
        (attachment,) = reader.iter_attachments()
        metadata, ended = reader.iter_metadata()
    assert (attachment.name, attachment.data) == ("board.toml", BOARD)
    assert metadata.name == "flatsat"
    assert len(metadata.metadata.pop("crc")) == 8
    assert metadata.metadata == {
        "board": "trial",
        "mission": "m",
        "epoch_ns": str(EPOCH_NS),
    }
    assert ended.name == "flatsat.recording"
    assert (ended.metadata["ended"], ended.metadata["records"]) == ("whole", str(COUNT))


def test_a_capture_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A good MCAP file that is none of ours is named as such, with the channel that is not."""
    path = tmp_path / "foreign.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        channel = writer.register_channel(topic="/pose", message_encoding="json", schema_id=0)
        writer.add_message(channel, log_time=1, data=b"{}", publish_time=1)
        writer.finish()
    for tolerant in (False, True):
        with pytest.raises(CaptureError, match=r"foreign\.mcap: cannot be read: octet \d+: "):
            Capture(path, tolerant)
    with pytest.raises(CaptureError, match="'/pose' does not say which records of FlatSat"):
        Capture(path)
