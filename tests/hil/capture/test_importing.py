"""Captures of other tools become captures of ours: round trips, foreign files, damage, limits."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.bus_payload import unpack_i2c
from flightsw.codec.wire import Flag, Kind, Record, pack
from hil.capture.importing.candump import CandumpSource
from hil.capture.importing.linktypes import unit_of
from hil.capture.importing.pcapng import PcapngSource, PcapSource
from hil.capture.importing.unit import Source, Unit
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main

EXTENDED, REMOTE = 0x8000_0000, 0x4000_0000
SECOND = 1_000_000_000
INPUT = int(Flag.INPUT)


def records(path: Path) -> list[Record]:
    """Return the records of a capture."""
    with Capture(path) as capture:
        return list(capture.records())


def imported(tmp_path: Path, file: Path, *options: str) -> Path:
    """Import a file by the command; return the capture."""
    out = tmp_path / f"{file.name}.mcap"
    assert main(["import", str(file), *options, "--out", str(out), "-q"]) == 0
    return out


# --- pcapng -----------------------------------------------------------------------------------


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Return an option of a block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    """Return a section header."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int, *options: bytes, order: str = "<") -> bytes:
    """Return the description of an interface."""
    return block(1, struct.pack(order + "HHI", link_type, 0, 0) + b"".join(options), order)


def packet(index: int, stamp: int, data: bytes, *options: bytes, order: str = "<") -> bytes:
    """Return an enhanced packet."""
    head = struct.pack(
        order + "IIIII", index, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data)
    )
    return block(6, head + data + bytes(-len(data) % 4) + b"".join(options), order)


def can_packet(can_id: int, data: bytes, flags: int = 0) -> bytes:
    """Return a frame as LINKTYPE_CAN_SOCKETCAN has it."""
    return struct.pack(">IBBH", can_id, len(data), flags, 0) + data


def read(octets: bytes) -> tuple[list[Unit], Source]:
    """Return the units of a pcapng file, and its source."""
    source = PcapngSource(io.BytesIO(octets), "file")
    return list(source), source


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_both_byte_orders(order: str) -> None:
    """Names, clocks, directions and sections of either byte order are read as the format says."""
    nanoseconds = option(9, b"\x09", order)
    offset = option(14, struct.pack(order + "q", 1000), order)
    inbound, outbound = (option(2, struct.pack(order + "I", way), order) for way in (1, 2))
    octets = section(order) + interface(227, option(2, b"can7", order), order=order)
    octets += interface(227, option(2, b"can8", order), nanoseconds, offset, order=order)
    octets += packet(0, 5_000_001, can_packet(0x123, b"ab"), outbound, order=order)
    octets += packet(1, 7, can_packet(0x18FF0001 | EXTENDED, b"c"), inbound, order=order)
    octets += block(0x0BAD, b"custom", order)
    units, source = read(octets)
    assert [(u.t_ns, u.name, u.address, u.payload, u.flags) for u in units] == [
        (5_000_001_000, "can7", 0x123, b"ab", 0),
        (1000 * SECOND + 7, "can8", 0x98FF0001, b"c", INPUT),
    ]
    assert source.counters["blocks_of_other_types"] == 1
    assert source.damage is None


def test_a_second_section_has_interfaces_of_its_own() -> None:
    """Interfaces end with their section, and so does its byte order."""
    octets = section("<") + interface(227) + packet(0, 1, can_packet(1, b""))
    octets += section(">") + interface(200, order=">") + packet(0, 2, b"raw", order=">")
    units, source = read(octets)
    assert [(u.kind, u.name, u.payload) for u in units] == [
        (Kind.CAN, "can0", b""),
        (Kind.UART, "interface0", b"raw"),
    ]
    assert source.counters["octets_of_other_link_types"] == 1


def test_can_fd_and_what_is_no_frame() -> None:
    """FD frames keep their flags, remote and error frames their bits; a cut packet is skipped."""
    counters: Counter[str] = Counter()

    def unit(data: bytes) -> Unit | None:
        return unit_of(227, data, len(data), 5, "can0", 1, counters)

    fd = unit(can_packet(0x1, bytes(12), 0x04 | 0x01))
    assert fd is not None
    assert fd.flags == INPUT | Flag.CAN_FD | Flag.CAN_BRS
    remote = unit(can_packet(0x2 | REMOTE, b""))
    assert remote is not None
    assert remote.address == 0x2 | REMOTE
    assert unit(can_packet(0x3, b"12345678")[:-1]) is None
    assert unit(b"1234") is None
    assert counters == {"skipped_cut_packets": 2}


def test_linux_i2c() -> None:
    """A message of an I2C capture is a transaction: written octets, or octets that were read."""
    counters: Counter[str] = Counter()
    write = unit_of(209, b"\x01\0\0\0\0" + b"\x80\x0d\x01", 8, 5, "", 0, counters)
    got = unit_of(209, b"\x01\0\0\0\0" + b"\x81\xaa\xbb", 8, 6, "i2c", 0, counters)
    assert unit_of(209, b"\x81\0\0\0\1", 5, 7, "", 0, counters) is None
    assert write is not None
    assert got is not None
    assert (write.name, write.address, write.flags) == ("i2c-1", 0x40, Flag.REPLY)
    assert unpack_i2c(write.payload, reply=True) == [(0x40, 0, b"\x0d\x01")]
    assert unpack_i2c(got.payload, reply=True) == [(0x40, 1, b"\xaa\xbb")]
    assert counters == {"skipped_i2c_events": 1}


OURS = [
    pack(Kind.I2C, 0, Flag.REPLY, 2, 1_000, 120_000, 0, 0x40, b"\x40\0\0\0\1\0\x0d"),
    pack(Kind.CAN, 4, INPUT | 0x40, 0, 5_000_000, 230_000, 1, 0x98FF0001, bytes(12)),
    pack(Kind.CAN, 4, 0, 0, 6_000_000, 230_000, 2, 0x123, b"abc"),
    pack(Kind.UART, 1, INPUT | Flag.FAULTED, 10, 7_000_000, 86_000, 3, 1, b"\0"),
    pack(Kind.GPIO, 5, INPUT, 0, 8_000_000, 0, 4, 18, b"\1"),
    pack(Kind.TM, 0xF0, 0, 11, 9_000_000, 10_000, 5, 0, b"\x1a\xcf\xfc\x1d" + bytes(60)),
    pack(Kind.EVENT, 0xF1, 0, 0, 9_500_000, 0, 7, 0, b'{"name":"SAFE_MODE"}'),
    pack(Kind.FAULT, 0xF1, 0, 0, 9_500_000, 0, 8, 0, b'{"kind":"nak"}'),
    pack(Kind.WORLD, 0xF2, 0, 0, 9_600_000, 0, 9, 0, b'{"power":1.0}'),
    pack(Kind.LOAD, 0xFF, Flag.REPLY, 0, 9_700_000, 0, 9, 0, bytes(20) + b"seg"),
]
NAMES = {0: "i2c-1", 1: "ttyAMA1", 4: "can0", 5: "gpiochip0", 0xF0: "link", 0xF1: "event"}
NAMES |= {0xF2: "world"}


def ours(path: Path) -> Path:
    """Write a capture with a record of many kinds, one number missing."""
    with CaptureWriter(path, 1_700_000_000 * SECOND + 5, NAMES, {"board": "b"}) as writer:
        writer.write(b"".join(OURS))
    return path


def test_our_own_export_comes_back(tmp_path: Path) -> None:
    """A capture exported as pcapng and imported again holds the same records, octet for octet, on
    the same topics, with the same epoch."""
    before, exported = ours(tmp_path / "before.mcap"), tmp_path / "file.pcapng"
    assert main(["export", str(before), "--out", str(exported)]) == 0
    after = imported(tmp_path, exported)
    assert records(after) == records(before)
    with Capture(before) as old, Capture(after) as new:
        assert new.epoch_ns == old.epoch_ns
        assert {c.topic for c in new.channels.values()} == {c.topic for c in old.channels.values()}


def test_a_record_cut_by_the_export_is_skipped(tmp_path: Path) -> None:
    """What a snap length has cut is no record any more: it is skipped and counted."""
    path, exported = tmp_path / "long.mcap", tmp_path / "file.pcapng"
    with CaptureWriter(path, 0, {1: "ttyAMA1"}, {}) as writer:
        writer.write(pack(Kind.UART, 1, INPUT, payload=bytes(500)))
        writer.write(pack(Kind.UART, 1, INPUT, seq=1, payload=b"short"))
    assert main(["export", str(path), "--out", str(exported), "--snaplen", "100"]) == 0
    out = imported(tmp_path, exported)
    assert [record.payload for record in records(out)] == [b"short"]
    with Capture(out) as capture:
        counters = json.loads(capture.metadata["import"]["counters"])
    assert counters["file.pcapng"]["skipped_cut_records"] == 1


def small_pcapng() -> bytes:
    """Return a file with every block that is read."""
    octets = section() + interface(227, option(2, b"can0"), option(9, b"\x09"))
    octets += interface(209) + packet(0, 10, can_packet(0x123, b"abcdefgh"), option(2, b"\1\0\0\0"))
    octets += packet(1, 20, b"\x01\0\0\0\0" + b"\x80\x0d\x01")
    octets += block(2, struct.pack("<HHIIII", 0, 0, 0, 30, 9, 9) + can_packet(0x124, b"x"))
    octets += block(3, struct.pack("<I", 9) + can_packet(0x125, b"y"))
    return octets + block(5, bytes(12)) + packet(0, 40, can_packet(0x126, b"z"))


def test_truncated_at_every_octet() -> None:
    """A file cut anywhere gives the packets that are whole, and names an octet in front of the
    cut."""
    octets = small_pcapng()
    whole, _ = read(octets)
    assert len(whole) == 5
    clean = 0
    for cut in range(len(octets)):
        units, source = read(octets[:cut])
        assert units == whole[: len(units)]
        clean += source.damage is None
        if source.damage is not None:
            assert source.damage.at <= cut
    # between blocks a file that was cut is a shorter one
    assert clean == 1 + 8


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\0" * 64, "octet 0: no pcapng section begins here"),
        (section()[:8] + b"\1\2\3\4" + section()[12:], "octet 8: byte order 01020304"),
        (section() + struct.pack("<II", 6, 13), "octet 32: a block claims 13 octets"),
        (section() + struct.pack("<II", 6, 2**31), "octet 32: a block claims 2147483648"),
        (section() + packet(3, 0, b""), "octet 28: a packet of interface 3, of 0 declared"),
        (section() + interface(227)[:-4] + b"\0\0\0\0", "octet 44: a block of 20 octets ends as 0"),
        (
            section() + interface(227, option(9, b"\0")) + packet(0, 2**63, b""),
            "octet 56: a packet is",
        ),
        (section() + interface(227) * 4097, f"octet {28 + 4096 * 20}: more than 4096 interfaces"),
    ],
)
def test_what_no_pcapng_has(octets: bytes, why: str) -> None:
    """Lengths, orders, indexes and times that cannot be are named with the octet where they are."""
    units, source = read(octets)
    assert units == []
    assert str(source.damage).startswith(why)


def mutated(octets: bytes, rnd: random.Random) -> bytes:
    """Return octets with some changed, lost or added."""
    out = bytearray(octets)
    for _ in range(rnd.randrange(1, 6)):
        at, kind = rnd.randrange(len(out) + 1), rnd.randrange(4)
        if kind == 0 and at < len(out):
            out[at] = rnd.choice((0, 0xFF, 0x80, rnd.randrange(256)))
        elif kind == 1:
            del out[at : at + rnd.randrange(9)]
        elif kind == 2:
            out[at:at] = rnd.randbytes(rnd.randrange(9))
        else:
            out[at : at + 4] = rnd.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"))
    return bytes(out)


def files_of_others() -> dict[str, bytes]:
    """Return a small file of each format that is read here."""
    pcap = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 227)
    pcap += struct.pack("<IIII", 1, 2, 9, 9) + can_packet(0x123, b"x")
    log = b"(1436509052.249713) can0 044#2A366C2BBA\n(1.5) can0 12345678##1AB\n"
    log += b"  can0  RX B E  123   [02]  11 22\n"
    return {"pcapng": small_pcapng(), "pcap": pcap, "candump": log}


def check_mutations(count: int, seed: int) -> None:
    """Read mutated files: damage and counters only, and units that a record can hold."""
    rnd, files = random.Random(seed), files_of_others()
    readers: dict[str, Any] = {"pcapng": PcapngSource, "pcap": PcapSource, "candump": CandumpSource}
    for i in range(count):
        name = list(files)[i % len(files)]
        for unit in readers[name](io.BytesIO(mutated(files[name], rnd)), name):
            unit_octets = pack(
                *(unit.kind, 0, unit.flags, unit.status, unit.t_ns, unit.duration_ns, 0),
                *(unit.address, unit.payload),
            )
            assert len(unit_octets) == 32 + len(unit.payload)


def test_mutated_files_are_read_to_their_damage() -> None:
    """3,000 mutated files give records or a named octet, and nothing else."""
    check_mutations(3_000, 1)


@pytest.mark.soak
def test_mutated_files_100000_times() -> None:
    """100,000 mutated files give records or a named octet, and nothing else."""
    check_mutations(100_000, 2)


def test_a_damaged_file_keeps_what_was_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command imports up to the damage, names the octet, ends with 1, and the capture says
    so."""
    octets = small_pcapng()
    file, out = tmp_path / "cut.pcapng", tmp_path / "out.mcap"
    file.write_bytes(octets[:-3])
    assert main(["import", str(file), "--out", str(out)]) == 1
    assert "cut.pcapng: octet" in capsys.readouterr().err
    assert len(records(out)) == 4
    with Capture(out) as capture:
        assert "octet" in json.loads(capture.metadata["import"]["damage"])["cut.pcapng"]


# --- files that other programs made -----------------------------------------------------------


def tool(name: str) -> str:
    """Return the path of a program, or skip the test and say which one is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize(("form", "options"), [("pcap", ["-F", "pcap"]), ("pcapng", [])])
def test_a_file_of_text2pcap(tmp_path: Path, form: str, options: list[str]) -> None:
    """Frames that Wireshark's text2pcap has written come in with their octets and times."""
    text, file = tmp_path / "hex.txt", tmp_path / f"made.{form}"
    lines = [
        f"10:00:0{i}.250000 000000 "
        + " ".join(f"{octet:02x}" for octet in can_packet(0x100 + i, bytes([i] * i)))
        for i in range(5)
    ]
    text.write_text("\n".join(lines) + "\n")
    made = subprocess.run(
        [tool("text2pcap"), "-q", *options, "-l", "227", "-t", "%H:%M:%S.%f", text, file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    found = records(imported(tmp_path, file))
    assert [(r.address, r.payload) for r in found] == [
        (0x100 + i, bytes([i] * i)) for i in range(5)
    ]
    assert [r.t_ns for r in found] == [i * SECOND for i in range(5)]


def test_editcap_between_export_and_import(tmp_path: Path) -> None:
    """Our export, rewritten by Wireshark's editcap, comes back with the same records."""
    before, exported = ours(tmp_path / "before.mcap"), tmp_path / "file.pcapng"
    again = tmp_path / "again.pcapng"
    assert main(["export", str(before), "--out", str(exported)]) == 0
    subprocess.run([tool("editcap"), exported, again], check=True, capture_output=True)
    assert records(imported(tmp_path, again)) == records(before)


# --- several files, names, complaints ---------------------------------------------------------


def test_two_logs_become_one_capture(tmp_path: Path) -> None:
    """Files with dates are merged by time; buses are named and chosen as asked."""
    one, two, out = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "out.mcap"
    one.write_text("(1000000000.1) vcan0 001#\n(1000000000.3) vcan0 003#\n")
    two.write_text("(1000000000.2) can9 002#\n(1000000000.4) can8 004#\n")
    words = ["import", str(one), str(two), "--out", str(out), "--only", "vcan0", "--only", "can9"]
    assert main([*words, "--bus", "vcan0=can0"]) == 0
    assert [r.address for r in records(out)] == [1, 2, 3]
    with Capture(out) as capture:
        assert {c.topic for c in capture.channels.values()} == {"/bus/can0", "/bus/can9"}
        counters = json.loads(capture.metadata["import"]["counters"])
        assert counters["capture"] == {"left_out_by_choice": 1}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing.pcapng"], "nothing.pcapng: No such file"),
        (["{file}"], "its format does not show; say --as"),
        (["{file}", "--as", "wav"], "--as 'wav' is no format; there are pcapng"),
        (["{file}", "--as", "frames"], "how long is a frame? say --frame-nbytes"),
        (["{file}", "--as", "cadu"], "needs a channel file"),
        (["{file}", "--as", "octets", "--bus", "a/b"], "--bus 'a/b': give the name of a bus"),
        (["{file}", "--as", "packets", "--packet-time", "utc"], "--packet-time 'utc'"),
        (["{file}", "--as", "packets", "--packet-time", "cds 9 2 @ 6"], "CDS 2 or 3"),
        (["{log}", "{file}", "--as", "octets", "--frame-nbytes", "0"], ""),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong words end in one line that says what to do; nothing is written."""
    file, log = tmp_path / "file", tmp_path / "x.log"
    file.write_bytes(b"\x01\x02\x03")
    log.write_text("(1000000000.1) can0 001#\n")
    words = [word.format(file=file, log=log) for word in words]
    code = main(["import", *words, "--out", str(tmp_path / "out.mcap")])
    told = capsys.readouterr().err
    if why:
        assert code == 2
        assert why in told
        assert told.count("\n") == 1
        assert not list(tmp_path.glob("*.mcap*"))
    else:
        assert code == 0


def test_files_with_and_without_dates_do_not_mix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log with dates beside one without cannot be put in order."""
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    one.write_text("(1000000000.1) can0 001#\n")
    two.write_text("(0.000000) can0 002#\n")
    assert main(["import", str(one), str(two), "--out", str(tmp_path / "out.mcap")]) == 2
    assert "b.log: without dates, beside files with dates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("octets", "words", "said"),
    [
        (
            b"(1.000000) can0 123#00\n",
            ["--only", "can9"],
            "of --only can9; the buses in it are can0",
        ),
        (b"", [], "nothing in it is candump"),
        (b"to whom it may concern\n", [], "nothing in it is candump, 1 lines skipped"),
        (b"to whom it may concern\n" * 9, ["--as", "blf"], "Unexpected"),
    ],
)
def test_an_import_of_nothing_is_an_error_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    octets: bytes,
    words: list[str],
    said: str,
) -> None:
    """Where no record comes of a file it is said why in one line, and no capture is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.log").write_bytes(octets)
    assert main(["import", "own.log", *words]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.log"]


def test_a_second_import_names_the_capture_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A capture is never written over: its name and both ways out are in the line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.log").write_bytes(b"(1.000000) can0 123#00\n")
    assert main(["import", "own.log"]) == 0
    assert main(["import", "own.log"]) == 3
    expected = "hil import: own.mcap: is there already; remove it, or choose another --out\n"
    assert capsys.readouterr().err == expected
