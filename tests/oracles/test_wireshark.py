"""Wireshark's own programs read our pcapng, with and without our dissector."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.export.naming import name_of
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0", 2: "gpiochip0", 3: "ttyAMA1", 240: "link", 241: "event"}

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def tshark(path: Path, *words: str, home: Path | None = None) -> str:
    """Return what tshark prints about a file; ``home`` keeps the user's own settings out."""
    environment = {**os.environ, "HOME": str(home or path.parent)}
    environment.pop("XDG_CONFIG_HOME", None)
    done = subprocess.run(
        ["tshark", "-r", str(path), *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(
    path: Path, *fields: str, only: str = "frame", home: Path | None = None
) -> list[dict[str, str]]:
    """Return fields of every packet that a display filter lets through."""
    words = ["-Y", only, "-T", "fields", "-E", "header=y", "-E", "separator=,", "-E", "quote=d"]
    words += [word for field in fields for word in ("-e", field)]
    return list(csv.DictReader(io.StringIO(tshark(path, *words, home=home))))


def write(path: Path, records: list[Record]) -> Path:
    """Write a capture."""
    with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial", "seed": "7"}) as writer:
        writer.write(b"".join(record.pack() for record in records))
    return path


def small_records() -> list[Record]:
    """Return one record of each shape that an export treats apart."""
    plan = b'{"address":"0x40","first":"1","kind":"nak_address","on":"i2c-1","planned":1}'
    read = bytes.fromhex("400000000100fe4000010002005449")
    inward = Flag.INPUT
    fd = inward | Flag.CAN_FD | Flag.CAN_BRS
    nak = Status.NAK_ADDRESS
    long = bytes(range(256)) * 1100
    return [
        Record(Kind.FAULT, 241, 0, 0, 0, 0, 0, 0, plan),
        Record(Kind.I2C, 0, Flag.REPLY, 0, 1_000, 120_000, 1, 0x40, read),
        Record(Kind.I2C, 0, Flag.REPLY | Flag.FAULTED, nak, 2_000, 120_000, 2, 0x40, read[:7]),
        Record(Kind.WORLD, 242, 0, 0, 2_500, 0, 3, 0, b'{"a":1}'),
        Record(Kind.CAN, 1, inward, 0, 3_000, 238_000, 3, 0x123, b"\x01\x02\x03"),
        Record(Kind.CAN, 1, fd, 0, 4_000, 99_000, 4, 0x80012345, bytes(range(64))),
        Record(Kind.CAN, 1, 0, 0, 5_000, 60_000, 5, 0x40000123, b""),
        Record(Kind.CAN, 1, inward, 0, 6_000, 60_000, 6, 0x20000040, bytes(8)),
        Record(Kind.GPIO, 2, 0, 0, 7_000, 0, 9, 24, b"\x01"),
        Record(Kind.UART, 3, inward, 0, 8_000, 1, 10, 0, b""),
        Record(Kind.FRAME, 4, Flag.REPLY, 0, 9_000, 42_000_000, 11, 0, long),
        Record(0x7F, 9, 0, 0, 10_000, 0, 12, 0xFFFFFFFF, b"who knows"),
    ]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return the small capture as pcapng."""
    path = write(tmp_path / "capture.mcap", small_records())
    assert main(["export", str(path), "--out", str(tmp_path / "small.pcapng")]) == 0
    return tmp_path / "small.pcapng"


@needs_tshark
def test_each_packet_is_on_the_interface_of_its_channel_at_its_time(exported: Path) -> None:
    """Interface, absolute time in nanoseconds, length and number are those of the record."""
    rows = table(
        exported, "frame.interface_name", "frame.time_epoch", "frame.len", "frame.packet_id"
    )
    with Capture(exported.with_name("capture.mcap")) as capture:
        topics = {(c.kind, c.channel): c.topic for c in capture.channels.values()}
    for row, record in zip(rows, small_records(), strict=True):
        assert row["frame.interface_name"] == name_of(topics[record.kind, record.channel])
        seconds, nanoseconds = row["frame.time_epoch"].split(".")
        assert int(seconds) * 10**9 + int(nanoseconds) == EPOCH_NS + record.t_ns
        extra = 8 if record.kind == Kind.CAN else 0
        assert int(row["frame.len"]) == 32 + extra + len(record.payload)
        assert int(row["frame.packet_id"]) == record.seq


@needs_tshark
def test_wireshark_itself_decodes_can(exported: Path) -> None:
    """Identifier, format, remote and error frames read as they are without our dissector."""
    fields = ["can.id", "can.len", "can.flags.xtd", "can.flags.rtr", "can.flags.err"]
    fields += ["canfd.flags.brs", "data.data"]
    rows = table(exported, *fields, only="can or canfd")
    assert [row["can.id"] for row in rows] == ["291", "74565", "291", ""]
    assert [row["can.len"] for row in rows] == ["3", "64", "0", "8"]
    assert [row["can.flags.xtd"] for row in rows] == ["0", "1", "0", ""]
    assert [row["can.flags.rtr"] for row in rows] == ["0", "", "1", ""]
    assert rows[3]["can.flags.err"] == "1"
    assert [row["canfd.flags.brs"] for row in rows] == ["", "1", "", ""]
    assert rows[0]["data.data"] == "010203"
    assert rows[1]["data.data"] == bytes(range(64)).hex()


@needs_tshark
def test_faults_and_losses_are_remarked(exported: Path) -> None:
    """A comment says which row of the fault plan changed a packet; a gap says how many are lost."""
    rows = table(exported, "frame.comment", "frame.drop_count", "frame.packet_flags_direction")
    row = "nak_address on i2c-1, address=0x40 first=1"
    assert rows[0]["frame.comment"] == f"seq=0: fault plan row 1: {row}"
    assert rows[2]["frame.comment"] == (
        f"seq=2: changed by a fault, fault plan row 1: {row}; status NAK_ADDRESS"
    )
    assert [at for at, row in enumerate(rows) if row["frame.comment"]] == [0, 2]
    assert [row["frame.drop_count"] for row in rows] == [""] * 8 + ["2"] + [""] * 3
    ways = Counter(row["frame.packet_flags_direction"] for row in rows)
    assert ways == Counter({"": 3, "0x00000001": 5, "0x00000002": 4})


@needs_tshark
def test_a_packet_too_long_for_wireshark_is_cut_and_keeps_its_length(exported: Path) -> None:
    """A camera frame of more than 256 KiB is read with its length, not refused."""
    (row,) = [
        row
        for row in table(exported, "frame.interface_name", "frame.len", "frame.cap_len")
        if row["frame.interface_name"] == "channel-4"
    ]
    assert (int(row["frame.len"]), int(row["frame.cap_len"])) == (32 + 256 * 1100, 262_144)


@pytest.mark.skipif(not shutil.which("capinfos"), reason="capinfos is not installed")
def test_capinfos_counts_what_the_statistics_say(exported: Path) -> None:
    """Its packets are our records, and the section says what was flown on what."""
    done = subprocess.run(
        ["capinfos", str(exported)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Number of packets:   12" in done.stdout
    assert "board trial" in done.stdout
    assert done.stdout.count("Timestamp offset = 1680480000") == 8


@pytest.mark.skipif(not shutil.which("editcap"), reason="editcap is not installed")
def test_editcap_writes_the_same_packets_again(exported: Path, tmp_path: Path) -> None:
    """Names, times, comments and octets survive a program that reads and writes the file."""
    again = tmp_path / "again.pcapng"
    subprocess.run(["editcap", str(exported), str(again)], check=True, timeout=60)
    fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "frame.packet_id"]
    assert table(again, *fields) == table(exported, *fields)
    assert tshark(again, "-x") == tshark(exported, "-x")
