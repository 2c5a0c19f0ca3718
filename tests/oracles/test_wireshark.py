"""Wireshark's own programs read our pcapng, with and without our dissector."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tshark import EPOCH_NS, NAMES, exported, needs_tshark, table, tshark

from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.export.naming import name_of
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main


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
def small(tmp_path: Path) -> Path:
    """Return the small capture as pcapng."""
    return exported(tmp_path, small_records())


@needs_tshark
def test_each_packet_is_on_the_interface_of_its_channel_at_its_time(small: Path) -> None:
    """Interface, absolute time in nanoseconds, length and number are those of the record."""
    rows = table(small, "frame.interface_name", "frame.time_epoch", "frame.len", "frame.packet_id")
    with Capture(small.with_name("capture.mcap")) as capture:
        topics = {(c.kind, c.channel): c.topic for c in capture.channels.values()}
    for row, record in zip(rows, small_records(), strict=True):
        assert row["frame.interface_name"] == name_of(topics[record.kind, record.channel])
        seconds, nanoseconds = row["frame.time_epoch"].split(".")
        assert int(seconds) * 10**9 + int(nanoseconds) == EPOCH_NS + record.t_ns
        extra = 8 if record.kind == Kind.CAN else 0
        assert int(row["frame.len"]) == 32 + extra + len(record.payload)
        assert int(row["frame.packet_id"]) == record.seq


@needs_tshark
def test_wireshark_itself_decodes_can(small: Path) -> None:
    """Identifier, format, remote and error frames read as they are without our dissector."""
    fields = ["can.id", "can.len", "can.flags.xtd", "can.flags.rtr", "can.flags.err"]
    fields += ["canfd.flags.brs", "data.data"]
    rows = table(small, *fields, only="can or canfd")
    assert [row["can.id"] for row in rows] == ["291", "74565", "291", ""]
    assert [row["can.len"] for row in rows] == ["3", "64", "0", "8"]
    assert [row["can.flags.xtd"] for row in rows] == ["0", "1", "0", ""]
    assert [row["can.flags.rtr"] for row in rows] == ["0", "", "1", ""]
    assert rows[3]["can.flags.err"] == "1"
    assert [row["canfd.flags.brs"] for row in rows] == ["", "1", "", ""]
    assert rows[0]["data.data"] == "010203"
    assert rows[1]["data.data"] == bytes(range(64)).hex()


@needs_tshark
def test_faults_and_losses_are_remarked(small: Path) -> None:
    """A comment says which row of the fault plan changed a packet; a gap says how many are lost."""
    rows = table(small, "frame.comment", "frame.drop_count", "frame.packet_flags_direction")
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
def test_a_packet_too_long_for_wireshark_is_cut_and_keeps_its_length(small: Path) -> None:
    """A camera frame of more than 256 KiB is read with its length, not refused."""
    (row,) = [
        row
        for row in table(small, "frame.interface_name", "frame.len", "frame.cap_len")
        if row["frame.interface_name"] == "channel-4"
    ]
    assert (int(row["frame.len"]), int(row["frame.cap_len"])) == (32 + 256 * 1100, 258_048)


@pytest.mark.skipif(not shutil.which("capinfos"), reason="capinfos is not installed")
def test_capinfos_counts_what_the_statistics_say(small: Path) -> None:
    """Its packets are our records, and the section says what was flown on what."""
    done = subprocess.run(
        ["capinfos", str(small)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Number of packets:   12" in done.stdout
    assert "board trial" in done.stdout
    assert done.stdout.count("Timestamp offset = 1680480000") == 8


@pytest.mark.skipif(not shutil.which("editcap"), reason="editcap is not installed")
def test_editcap_writes_the_same_packets_again(small: Path, tmp_path: Path) -> None:
    """Names, times, comments and octets survive a program that reads and writes the file."""
    again = tmp_path / "again.pcapng"
    subprocess.run(["editcap", str(small), str(again)], check=True, timeout=60)
    fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "frame.packet_id"]
    assert table(again, *fields) == table(small, *fields)
    assert tshark(again, "-x") == tshark(small, "-x")


def test_what_the_recorder_dropped_is_in_the_statistics(tmp_path: Path) -> None:
    """Dropped records are told for the interface that they would have been on, and no other."""
    path = tmp_path / "capture.mcap"
    kinds = [(Kind.CAN, 1)] * 9 + [(Kind.UART, 3)]
    numbers = [*range(9), 14]
    with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial"}) as writer:
        for (kind, channel), seq in zip(kinds, numbers, strict=True):
            writer.write(Record(kind, channel, 2, 0, seq, 0, seq, 5, b"").pack())
        writer.flush()
        writer.file.lose({2: 5})
    out = tmp_path / "x.pcapng"
    assert main(["export", str(path), "--out", str(out)]) == 0
    statistics = [body for kind, body in blocks(out.read_bytes()) if kind == 5]
    assert [counts_of(body) for body in statistics] == [(9, 0), (1, 5)]


def blocks(octets: bytes) -> list[tuple[int, bytes]]:
    """Return type and body of every block."""
    found = []
    while octets:
        kind, length = struct.unpack_from("<II", octets)
        assert octets[length - 4 : length] == octets[4:8]
        found.append((kind, octets[8 : length - 4]))
        octets = octets[length:]
    return found


def counts_of(statistics: bytes) -> tuple[int, int]:
    """Return packets received and dropped of an interface statistics block."""
    at, values = 12, {}
    while at < len(statistics):
        code, length = struct.unpack_from("<HH", statistics, at)
        values[code] = statistics[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
    return int.from_bytes(values[4], "little"), int.from_bytes(values[5], "little")
