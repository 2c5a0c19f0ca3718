"""What is exported comes back as it was, and says what it left out."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec.errors import TruncatedError
from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.export.candump import frame
from hil.capture.export.naming import Names, name_of
from hil.capture.export.pcapng import PcapngWriter
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main

from .test_capture import file_size_limit

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0", 2: "gpiochip0", 3: "ttyAMA1", 240: "link", 241: "event"}
INPUT, FD = int(Flag.INPUT), int(Flag.CAN_FD)


def every_record(count: int = 400) -> list[Record]:
    """Return records of every kind, also of none that is known, with odd fields and payloads."""
    rng = random.Random(3)
    kinds = [*(kind for kind in Kind if kind >= 0x10), 0x7F]
    found = []
    seq = 0
    for n in range(count):
        kind = rng.choice(kinds)
        data = rng.randbytes(rng.choice([0, 1, 8, 8, 64, 300]))
        if kind in (Kind.EVENT, Kind.WORLD, Kind.LINK, Kind.FAULT):
            data = json.dumps({"n": n, "name": "X"}, sort_keys=True).encode()
        address = rng.choice([0, 5, 0x123, 0x80000123, 0xFFFFFFFF])
        is_plain = data[:1] == b"{"
        found.append(
            Record(
                kind,
                rng.randrange(4),
                0 if is_plain else rng.randrange(256) & ~int(Flag.WAKE),
                0 if is_plain else rng.choice([0, 0, 0, int(Status.DAMAGED), 99]),
                n * 1_000_003,
                rng.randrange(10**6),
                seq,
                0 if is_plain else address,
                data,
            )
        )
        seq += kind != Kind.WORLD
    return found


def write(path: Path, records: list[Record]) -> Path:
    """Write a capture."""
    facts = {"board": "raspberrypi4", "mission": "tiansuan_bupt1", "seed": "7"}
    with CaptureWriter(path, EPOCH_NS, NAMES, facts) as writer:
        writer.write(b"".join(record.pack() for record in records))
    return path


def read(path: Path) -> list[Record]:
    """Return every record of a capture."""
    with Capture(path) as capture:
        return list(capture.records())


def test_a_capture_comes_back_from_pcapng_as_it_was(tmp_path: Path) -> None:
    """Exported and imported, every record is the same but for its number in the new capture."""
    records = [r for r in every_record() if r.kind != 0x7F]
    path = write(tmp_path / "capture.mcap", records)
    out, back = tmp_path / "x.pcapng", tmp_path / "back.mcap"
    assert main(["export", str(path), "--out", str(out), "--snaplen", "0"]) == 0
    assert main(["import", str(out), "--out", str(back)]) == 0
    again = read(back)
    assert len(again) == len(records)
    for old, new in zip(records, again, strict=True):
        assert new._replace(channel=0, seq=0) == old._replace(channel=0, seq=0)


CAN = [
    Record(Kind.CAN, 1, INPUT, 0, 0, 0, 0, 0x123, b"\x01\xab"),
    Record(Kind.CAN, 1, 0, 0, 1_000_000, 0, 1, 0x80012345, b""),
    Record(Kind.CAN, 1, INPUT, 0, 2_001_000, 0, 2, 0x40000123, b""),
    Record(Kind.CAN, 1, INPUT, 0, 3_000_000, 0, 3, 0x20000004, bytes(8)),
    Record(Kind.CAN, 1, FD | int(Flag.CAN_BRS), 0, 4_000_000, 0, 4, 0x7FF, bytes(range(12))),
]
LINES = [
    "(1680480000.000000) can0 123#01AB R",
    "(1680480000.001000) can0 00012345# T",
    "(1680480000.002001) can0 123#R R",
    "(1680480000.003000) can0 20000004#0000000000000000 R",
    "(1680480000.004000) can0 7FF##1000102030405060708090A0B T",
]


def test_candump_lines_are_those_of_can_utils(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard, extended, remote, error and FD frames have their forms; what was never sent, and
    what is no frame, is counted."""
    others = [
        Record(Kind.CAN, 1, 0, int(Status.BUS_OFF), 5_000_000, 0, 5, 1, b""),
        Record(Kind.UART, 3, 0, 0, 6_000_000, 0, 6, 0, b"hello"),
    ]
    path = write(tmp_path / "capture.mcap", [*CAN, *others])
    assert main(["export", str(path), "--to", "candump", "--out", str(tmp_path / "x.log")]) == 0
    assert (tmp_path / "x.log").read_text().splitlines() == LINES
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "can0: frames: 5",
        "frames that were never sent: 1",
        "records that are no CAN frame: 1",
    ]


def test_a_candump_log_comes_back_as_frames(tmp_path: Path) -> None:
    """Exported and imported, identifiers, formats, data, direction and times are the same."""
    path = write(tmp_path / "capture.mcap", CAN)
    out, back = tmp_path / "x.log", tmp_path / "back.mcap"
    assert main(["export", str(path), "--out", str(out)]) == 0
    assert main(["import", str(out), "--out", str(back)]) == 0
    with Capture(back) as capture:
        again = list(capture.records())
        shift_ns = capture.epoch_ns - EPOCH_NS
    assert [r._replace(channel=1, t_ns=r.t_ns + shift_ns) for r in again] == CAN


def test_csv_has_the_fields_of_each_record(tmp_path: Path) -> None:
    """Raw rows hold header and payload of every record, in order."""
    records = every_record(50)
    path = write(tmp_path / "capture.mcap", records)
    assert main(["export", str(path), "--raw", "--out", str(tmp_path / "x.csv")]) == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, record in zip(rows, records, strict=True):
        assert [int(row[k]) for k in ("seq", "t_ns", "duration_ns", "flags", "status")] == [
            *(record.seq, record.t_ns, record.duration_ns, record.flags, record.status)
        ]
        assert bytes.fromhex(row["payload"]) == record.payload
        assert int(row["address"]) == record.address


def test_csv_of_one_topic_has_a_column_a_field(tmp_path: Path) -> None:
    """Decoded fields are columns; a record without one leaves it empty."""
    values = [b'{"name":"A","x":1}', b'{"name":"B","y":2.5}']
    records = [Record(Kind.EVENT, 241, 0, 0, n, 0, n, 0, v) for n, v in enumerate(values)]
    path = write(tmp_path / "capture.mcap", [*records, CAN[0]._replace(seq=2)])
    words = ["export", str(path), "--topic", "event", "--out", str(tmp_path / "x.csv")]
    assert main(words) == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["event.name"], r["event.x"], r["event.y"]) for r in rows] == [
        ("A", "1", ""),
        ("B", "", "2.5"),
    ]


def test_a_slice_holds_what_lies_between_its_bounds(tmp_path: Path) -> None:
    """Times and numbers bound an export, the end left out, on any topics."""
    records = [
        Record(Kind.CAN if n % 2 else Kind.UART, 1 if n % 2 else 3, 0, 0, n * 10**9, 0, n, 0, b"x")
        for n in range(100)
    ]
    path = write(tmp_path / "capture.mcap", records)
    out = tmp_path / "x.csv"

    def numbers(*words: str) -> list[int]:
        assert main(["export", str(path), "--raw", "--out", str(out), *words]) == 0
        with out.open(newline="") as file:
            return [int(row["seq"]) for row in csv.DictReader(file)]

    assert numbers("--from", "10", "--until", "0.5 min") == list(range(10, 30))
    assert numbers("--from", "seq=90") == list(range(90, 100))
    assert numbers("--until", "seq=7", "--topic", "can*") == [1, 3, 5]
    assert numbers("--from", "20", "--until", "seq=25", "--topic", "/bus/ttyAMA1") == [20, 22, 24]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x.txt"], "the name says no format"),
        (["--out", "x.csv", "--topic", "can1"], "did you mean 'can0'"),
        (["--out", "x.csv", "--from", "seq=x"], "--from 'seq=x'"),
        (["--out", "x.csv", "--until", "3 m"], "--until"),
        (["--out", "x.csv", "--from", "50", "--until", "20"], "--until is not behind --from"),
        (["--out", "x.csv", "--from", "seq=5", "--until", "seq=5"], "nothing lies between"),
        (["--out", ".", "--to", "csv"], ".: is a folder"),
        (["--out", "x.pcapng", "--snaplen", "-1"], "--snaplen -1"),
        (["--out", "nowhere/x.csv"], "cannot be written"),
        ([], "which format"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    """A wrong name, bound or place is an error that names it, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "capture.mcap", CAN)
    assert main(["export", "capture.mcap", *words]) in (2, 3)
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["capture.mcap"]


def test_a_disk_that_is_full_leaves_no_half_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export that cannot be finished says so with exit code 3, and the file is not there."""
    path = write(tmp_path / "capture.mcap", every_record(2000))
    for form in ("csv", "pcapng", "vcd", "candump"):
        words = ["export", str(path), "--to", form, "--out", str(tmp_path / "out")]
        with file_size_limit(2_000):
            assert main([*words, *(["--raw"] if form == "csv" else [])]) == 3, form
        assert "cannot be written: File too large" in capsys.readouterr().err
        assert [entry.name for entry in tmp_path.iterdir()] == ["capture.mcap"]


def test_records_that_are_cut_are_refused_by_the_packer() -> None:
    """A buffer that ends inside a record is an error, wherever it ends."""
    whole = CAN[0].pack()
    for end in range(1, len(whole)):
        with pytest.raises(TruncatedError):
            PcapngWriter(lambda block: None, Names(), {}).write(whole[:end])


def test_remote_frames_keep_the_length_that_they_ask_for() -> None:
    """A remote frame with a length has it behind its R."""
    assert frame(CAN[2]._replace(payload=bytes(4))) == "123#R4"


def test_names_of_channels_are_those_of_the_board_file() -> None:
    """Topics become the names that people know, each its own."""
    topics = ["/bus/i2c-1", "/gpio/gpiochip0", "/camera/csi0", "/link/tm", "/link/tc"]
    topics += ["/link/state", "/event", "/kind-0x7f/channel-9"]
    assert [name_of(topic) for topic in topics] == [
        *("i2c-1", "gpiochip0", "csi0", "tm-downlink", "tc-uplink", "link-state", "event"),
        "kind-0x7f-channel-9",
    ]


def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    """Whatever stdout leads to is named with its state and the next step, with exit code 3."""
    path = write(tmp_path / "capture.mcap", CAN)
    words = [sys.executable, "-m", "hil", "export", str(path), "--to", "csv", "--raw"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert done.stderr == (
        "hil export: stdout: cannot be written: No space left on device; make room, or choose "
        "another place with --out\n"
    )


@pytest.mark.parametrize(
    ("times_us", "words", "scale", "stamps", "told"),
    [
        ((3_000, 12_000), [], "1 ms", "#3 #12", []),
        ((5, 20), [], "1 us", "#5 #20", []),
        ((10, 20), [], "10 us", "#1 #2", []),
        ((0.007, 1), [], "1 ns", "#7 #1000", []),
        (
            (1, 2.6, 3.2, 3.4),
            ["--timescale", "1us"],
            "1 us",
            "#1 #3",
            ["changes merged within 1us: 2", "changes moved to a multiple of 1us: 3"],
        ),
    ],
)
def test_a_dump_has_the_coarsest_times_that_are_exact(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    times_us: tuple[float, ...],
    words: list[str],
    scale: str,
    stamps: str,
    told: list[str],
) -> None:
    """The unit of a VCD holds every edge, or what rounding to a given one has moved is counted."""
    records = [
        Record(Kind.GPIO, 2, INPUT, 0, round(t * 1000), 0, n, 1, bytes([n % 2]))
        for n, t in enumerate(times_us)
    ]
    path = write(tmp_path / "capture.mcap", records)
    out = tmp_path / "x.vcd"
    assert main(["export", str(path), "--topic", "gpiochip0", "--out", str(out), *words]) == 0
    text = out.read_text()
    assert f"$timescale {scale} $end" in text
    assert [line for line in text.splitlines() if line.startswith("#")] == stamps.split()
    assert capsys.readouterr().err.splitlines()[1:] == told


def test_a_timescale_that_the_format_has_not_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The units that there are are named."""
    path = write(tmp_path / "capture.mcap", CAN)
    out = tmp_path / "x.vcd"
    assert main(["export", str(path), "--out", str(out), "--timescale", "3us"]) == 2
    assert "--timescale '3us': give one of 1ns, 10ns" in capsys.readouterr().err
    assert not out.exists()
