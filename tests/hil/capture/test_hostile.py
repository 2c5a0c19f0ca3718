"""Captures that were made to harm: by time, by memory, by what a terminal or a path heeds."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from damaging import EPOCH_NS, PER_CHUNK, small_records, write_small

from flightsw.codec.wire import Flag, Kind, Record
from hil.capture import mcapfmt
from hil.capture.export.naming import Names
from hil.capture.export.notes import Notes
from hil.capture.follow import Follower
from hil.capture.mcapfmt import MAGIC, Op
from hil.capture.mcapread import ChannelInfo
from hil.capture.reader import Capture
from hil.cli import main
from hil.errors import CaptureError


def crafted(
    path: Path,
    *payloads: bytes,
    topic: str = "/event",
    kind: int = 0x30,
    about: dict[str, str] | None = None,
    end: dict[str, str] | None = None,
    tables: bytes = b"",
    copies: int = 1,
) -> Path:
    """Write a finished capture with one channel of bare JSON that says what it is told to.

    ``tables`` is a Metadata record that the summary names ``copies`` times.
    """
    data = MAGIC + mcapfmt.header("")
    index = mcapfmt.metadata_index(len(data), 0, "flatsat")
    data += mcapfmt.metadata("flatsat", {"epoch_ns": str(EPOCH_NS), **(about or {})})
    channel = mcapfmt.channel(1, 0, topic, "json", {"kind": str(kind), "channel": "0"})
    data += channel
    messages = b"".join(
        mcapfmt.record(Op.MESSAGE, struct.pack("<HIQQ", 1, i, EPOCH_NS + i, EPOCH_NS + i) + payload)
        for i, payload in enumerate(payloads)
    )
    times, size, at = (EPOCH_NS, EPOCH_NS + len(payloads)), len(messages), len(data)
    data += mcapfmt.chunk_head(*times, size, zlib.crc32(messages), size, "") + messages
    places = mcapfmt.chunk_index(
        times, at, len(data) - at, {1: 0}, 15 + 16 * len(payloads), (size, size), ""
    )
    index += mcapfmt.metadata_index(len(data), len(tables), "big") * (copies if tables else 0)
    data += tables
    if end is not None:
        index += mcapfmt.metadata_index(len(data), 0, "flatsat.recording")
        data += mcapfmt.metadata("flatsat.recording", end)
    data_end = mcapfmt.record(Op.DATA_END, zlib.crc32(data).to_bytes(4, "little"))
    counts = mcapfmt.statistics({1: len(payloads)}, times, 0, 0, 1, 1)
    groups = [(Op.CHANNEL, channel), (Op.CHUNK_INDEX, places), (Op.STATISTICS, counts)]
    summary = mcapfmt.summary_tail(len(data + data_end), [*groups, (Op.METADATA_INDEX, index)])
    path.write_bytes(data + data_end + summary)
    return path


def test_damage_at_the_front_costs_each_chunk_one_look(tmp_path: Path) -> None:
    """Where a hundred chunks at the front are damaged, the first number is found by a hundred
    looks."""
    path = tmp_path / "capture.mcap"
    raw = bytearray(write_small(path, small_records(PER_CHUNK * 102)))
    with Capture(path) as capture:
        places = capture.places["at"].tolist()
    for at in places[:100]:
        raw[at + 60] ^= 0xFF
    path.write_bytes(raw)
    with Capture(path, tolerant=True) as capture:
        assert capture.first_seq == PER_CHUNK * 100
        assert capture.counters["chunks_read"] == 101
        assert len(capture.damages) == 100


def test_a_number_beyond_all_is_never_reached(tmp_path: Path) -> None:
    """Numbers that no capture can hold give nothing, and break nothing."""
    path = tmp_path / "capture.mcap"
    write_small(path, small_records(PER_CHUNK))
    with Capture(path) as capture:
        assert not list(capture.records(first_seq=10**30))


def test_a_pipe_is_no_capture(tmp_path: Path) -> None:
    """A named pipe is refused, and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CaptureError, match="a pipe or a device"):
        Capture(tmp_path / "pipe")


def test_a_file_of_holes_takes_no_memory(tmp_path: Path) -> None:
    """A chunk of a terabyte that takes no room on the disk is not read into memory."""
    path, nbytes = tmp_path / "capture.mcap", 1 << 40
    raw = crafted(path, b"{}").read_bytes()
    with Capture(path) as capture:
        at = int(capture.places["at"][0])
    with path.open("r+b") as file:
        file.seek(at + 1)
        file.write(struct.pack("<Q", nbytes))
        file.truncate(at + 9 + nbytes)
    tracemalloc.start()
    try:
        with Follower(path) as follower, pytest.raises(CaptureError, match="none of ours"):
            follower.poll()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert len(raw) < 1 << 20


def test_a_table_is_not_read_a_thousand_times(tmp_path: Path) -> None:
    """A summary that names one large table again and again costs no more than the file."""
    table = mcapfmt.metadata("big", {"text": "b" * 100_000})
    path = crafted(tmp_path / "capture.mcap", b"{}", tables=table, copies=1000)
    with pytest.raises(CaptureError, match="larger than the file"):
        Capture(path)
    with Capture(path, tolerant=True) as capture:
        assert capture.count == 1
        assert capture.octets_read < 10 * path.stat().st_size


@pytest.mark.parametrize("topic", ["/bus/\x1b[31mred", "/bus/a\nb", "/bus/" + "a" * 70_000])
def test_a_topic_is_a_name(tmp_path: Path, topic: str) -> None:
    """What a terminal heeds, or what would be a line of its own, is no name of a topic."""
    path = crafted(tmp_path / "capture.mcap", b"{}", topic=topic)
    with pytest.raises(CaptureError, match="no name of a topic") as told:
        Capture(path)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("text", ["", "abc", "-5", str(1 << 64), "9" * 5000, "٣"])
def test_an_epoch_is_a_number_of_64_bits(tmp_path: Path, text: str) -> None:
    """An epoch that is none is told in one line by whoever reads, follows or recovers."""
    path = crafted(tmp_path / "capture.mcap", b"{}", about={"epoch_ns": text})
    with pytest.raises(CaptureError, match="it does not state its epoch"):
        Capture(path)
    with Follower(path) as follower, pytest.raises(CaptureError, match="it states no epoch"):
        follower.poll()
    assert main(["recover", str(path)]) == 1


def test_what_stands_in_front_of_damage_is_followed(tmp_path: Path) -> None:
    """A follower gives every record in front of the damage, and then tells of it."""
    path, records = tmp_path / "capture.mcap", small_records(PER_CHUNK * 3)
    raw = bytearray(write_small(path, records))
    with Capture(path) as capture:
        raw[int(capture.places["at"][2]) + 60] ^= 0xFF
    path.write_bytes(raw)
    with Follower(path) as follower:
        assert follower.poll() == b"".join(record.pack() for record in records[: 2 * PER_CHUNK])
        with pytest.raises(CaptureError, match="cannot be followed"):
            follower.poll()


def test_an_empty_file_has_no_end(tmp_path: Path) -> None:
    """A file in which nothing was written yet is not taken for one that has ended."""
    (tmp_path / "capture.mcap").touch()
    with Follower(tmp_path / "capture.mcap") as follower:
        assert follower.poll() == b""
        assert not follower.finished


@pytest.mark.parametrize("bound", ["seq=" + "9" * 30, "seq=" + "9" * 5000, "seq=-1", "9" * 400])
def test_a_bound_that_is_none_is_told(
    tmp_path: Path, bound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bounds that no capture can hold are wrong usage."""
    path, out = crafted(tmp_path / "capture.mcap", b"{}"), str(tmp_path / "out.csv")
    assert main(["export", str(path), "--raw", "--out", out, "--from", bound]) == 2
    assert "--from" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["export", "tap"])
def test_a_capture_is_not_written_over_itself(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told to write to the capture that is read, a verb refuses, and the capture stays."""
    path = crafted(tmp_path / "capture.mcap", b"{}")
    raw = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    form = ["--to", "pcapng"] if verb == "export" else []
    assert main([verb, str(path), "--out", str(tmp_path / "link"), *form]) == 2
    assert "is the capture that is read" in capsys.readouterr().err
    assert path.read_bytes() == raw


@pytest.mark.parametrize("place", [".", "/", ""])
def test_a_place_without_a_name_is_no_run(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds no run is told as such, also where its path has no name."""
    monkeypatch.chdir(tmp_path)
    assert main(["tap", place, "--decode"]) == 2
    assert "no run is written there" in capsys.readouterr().err


def test_a_reader_that_has_no_room_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where what is tapped finds no room, the line says where."""
    path = crafted(tmp_path / "capture.mcap", b"{}")
    assert main(["tap", str(path), "--out", "/dev/full"]) == 3
    assert "/dev/full: cannot be written: No space left" in capsys.readouterr().err


def test_what_a_record_says_steers_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a terminal would heed in a payload is shown as what it does not heed."""
    payload = b'{"planned": true, "kind": "\\u001b]0;taken\\u0007", "on": "a\\u001bb"}'
    path = crafted(tmp_path / "capture.mcap", payload, topic="/fault", kind=0x32)
    assert main(["tap", str(path), "--decode", "--out", str(tmp_path / "said")]) == 0
    said = (tmp_path / "said").read_text()
    assert "]0;taken" in said
    assert said.removesuffix("\n").isprintable()


def test_an_error_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor does what an error says of a file."""
    (tmp_path / "a\x1b[31m.mcap").touch()
    assert main(["export", str(tmp_path / "a\x1b[31m.mcap"), "--to", "csv"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("payload", [b"[" * 200_000, b'{"a":' + b"9" * 5000 + b"}", b"\xff"])
def test_a_fault_that_cannot_be_read_is_remarked(tmp_path: Path, payload: bytes) -> None:
    """A fault of no sense is a packet with a comment, and no more."""
    path = crafted(tmp_path / "capture.mcap", payload, topic="/fault", kind=0x32)
    out = tmp_path / "out.pcapng"
    assert main(["export", str(path), "--out", str(out)]) == 0
    assert b"a fault that cannot be read" in out.read_bytes()


@pytest.mark.parametrize("count", ["9" * 30, "9" * 5000, "-1", "٣"])
def test_a_count_of_the_lost_is_a_number(tmp_path: Path, count: str) -> None:
    """What the end table says is lost is believed only as a number of 64 bits."""
    path = crafted(tmp_path / "capture.mcap", b"{}", end={"ended": "whole", "lost /event": count})
    assert main(["export", str(path), "--out", str(tmp_path / "out.pcapng")]) == 0
    with path.open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(b"\xff")
    assert main(["recover", str(path)]) == 0
    with Capture(tmp_path / "capture.recovered.mcap") as capture:
        assert "lost /event" not in capture.metadata["flatsat.recording"]


def test_a_name_that_is_no_text_is_recovered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file whose name is octets of no encoding is recovered like any other."""
    path = tmp_path / os.fsdecode(b"caf\xe9.mcap")
    path.write_bytes(crafted(tmp_path / "capture.mcap", b"{}").read_bytes()[:-1])
    assert main(["recover", str(path)]) == 0
    assert "caf?.mcap: 1 records" in capsys.readouterr().out
    with Capture(tmp_path / os.fsdecode(b"caf\xe9.recovered.mcap")) as capture:
        assert capture.metadata["flatsat.recovered"]["from"] == "caf?.mcap"


def test_an_export_of_what_is_left_says_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tolerant export holds every record of whole chunks, and says how many are not."""
    path, out = tmp_path / "capture.mcap", tmp_path / "out.csv"
    raw = bytearray(write_small(path, small_records(PER_CHUNK * 4)))
    with Capture(path) as capture:
        for at in capture.places["at"][[0, 2]].tolist():
            raw[at + 60] ^= 0xFF
    path.write_bytes(raw)
    assert main(["export", str(path), "--raw", "--tolerant", "--out", str(out)]) == 0
    assert ", and 1 more; all else is there" in capsys.readouterr().err
    numbers = [int(line.split(",")[0]) for line in out.read_text().splitlines()[1:]]
    assert numbers == [*range(PER_CHUNK, 2 * PER_CHUNK), *range(3 * PER_CHUNK, 4 * PER_CHUNK)]


def test_a_comment_names_the_rows_that_may_have_done_it() -> None:
    """Of a large plan the first rows for the bus and address are named, the others counted."""
    notes = Notes(Names([ChannelInfo(1, "/bus/i2c-1", "", Kind.I2C, 0)]))
    for nth in range(400):
        row = {"planned": True, "kind": "nak", "on": "i2c-1", "first": nth}
        row |= {} if nth % 4 == 3 else {"address": hex(nth % 4)}
        notes.of(Record(Kind.FAULT, 0, 0, 0, 0, 0, nth, 0, json.dumps(row).encode()))
    hit = Record(Kind.I2C, 0, int(Flag.FAULTED), 0, 0, 0, 400, 2, b"")
    assert notes.of(hit) == (
        "seq=400: changed by a fault, fault plan row 3: nak on i2c-1, first=2 address=0x2 or "
        "4: nak on i2c-1, first=3 or 7: nak on i2c-1, first=6 address=0x2 and 197 more"
    )
    assert notes.of(hit._replace(channel=1)) == "seq=400: changed by a fault"
