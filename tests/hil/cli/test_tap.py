"""``hil tap`` hands on all that a run records, as it comes, and never gets in the run's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flightsw.codec.bus_payload import i2c_failure
from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.cli.tap_wireshark import MARK
from hil.rundir import RunDirectory
from hil.tapping import growing

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 4: "can0"}
FACTS = {"board": "raspberrypi4", "mission": "tiansuan_bupt1", "seed": "1"}


def records(first: int, count: int) -> bytes:
    """Return CAN and UART records with consecutive numbers."""
    return b"".join(
        Record(Kind.CAN, 4, 2, 0, n * 1_000_000, 9, n, 0x100 + n % 2, bytes([n % 256])).pack()
        for n in range(first, first + count)
    )


class Flight:
    """A run that is being written."""

    def __init__(self, runs: Path, name: str = "flight-1") -> None:
        self.directory = RunDirectory(runs / name).open()
        path = self.directory.path / "capture.mcap"
        self.writer = CaptureWriter(path, EPOCH_NS, NAMES, FACTS)

    def record(self, first: int, count: int) -> None:
        """Record, and hand all of it to the system."""
        self.writer.write(records(first, count))
        self.writer.flush()

    def end(self) -> Path:
        """Finish the capture and the run."""
        self.writer.close()
        return self.directory.finish()


@contextmanager
def tap(*words: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``hil tap``; it ends with the test."""
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-m", "hil", "tap", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@pytest.fixture
def flight(tmp_path: Path) -> Iterator[Flight]:
    """A run under ``runs``."""
    found = Flight(tmp_path / "runs")
    yield found
    found.writer.abandon()
    if found.directory.path.exists():
        found.directory.__exit__(None, None, None)


def test_a_line_says_how_a_transaction_failed(
    flight: Flight, capfd: pytest.CaptureFixture[str]
) -> None:
    """A read that nobody acknowledged does not look like one that went well."""
    read, nak = i2c_failure(0x48, b"\0", 2), Status.NAK_ADDRESS
    flight.writer.write(
        Record(Kind.I2C, 0, 0, Status.OK, 1_000, 0, 0, 0x48, read).pack()
        + Record(Kind.I2C, 0, Flag.FAULTED, nak, 2_000, 0, 1, 0x48, read).pack()
    )
    assert main(["tap", str(flight.end()), "--decode"]) == 0
    good, bad = capfd.readouterr().out.splitlines()
    assert "NAK" not in good
    assert bad.endswith(" NAK_ADDRESS [faulted]")


def test_lines_come_while_the_run_flies_and_end_with_it(flight: Flight, tmp_path: Path) -> None:
    """What was recorded is printed before the run ends, the rest as it comes, then the counts."""
    flight.record(0, 3)
    with tap("--runs", "runs", "--decode", "--json", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        early = [json.loads(process.stdout.readline()) for _ in range(3)]
        flight.record(3, 2)
        late = [json.loads(process.stdout.readline()) for _ in range(2)]
        flight.end()
        assert process.stdout.read() == b""
        told = process.stderr.read().decode()
    assert process.returncode == 0
    assert [line["seq"] for line in early + late] == [0, 1, 2, 3, 4]
    assert {line["topic"] for line in early} == {"/bus/can0"}
    assert told == "5 records seen, none lost, 5 written, of flight-1: can0 5\n"


def test_a_reader_that_stalls_holds_up_nobody(flight: Flight, tmp_path: Path) -> None:
    """With nobody reading, far more than a pipe holds is recorded and the run ends; then all of it
    comes."""
    flight.record(0, 3_000)
    with tap("--runs", "runs", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == bytes.fromhex("0a0d0d0a")
        for first in range(3_000, 30_000, 3_000):
            flight.record(first, 3_000)
        flight.end()
        told = process.communicate()[1].decode()
    assert process.returncode == 0
    assert told.startswith("30000 records seen, none lost, 30000 written")


def test_a_reader_that_leaves_ends_the_tap_without_a_word(flight: Flight, tmp_path: Path) -> None:
    """When the pipe breaks the tap is gone, also where nothing new is recorded."""
    flight.record(0, 10)
    with tap("--runs", "runs", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(4) == bytes.fromhex("0a0d0d0a")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + 13


def test_a_filter_takes_the_records_that_meet_it(
    flight: Flight, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Conditions and topics choose; what is not chosen is counted and is no loss."""
    flight.record(0, 10)
    run = str(flight.end())
    words = ["tap", run, "--decode", "--topic", "can0", "--filter", "address == 0x101 and seq > 4"]
    assert main(words) == 0
    out, err = capfdbinary.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [b"5", b"7", b"9"]
    assert err.startswith(b"10 records seen, none lost, 3 written")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--topic", "can7"], "topic 'can7': the capture has none of that name; did you mean"),
        (["--filter", "adress == 0x101 or seq == 1"], "no record has a field 'adress'; did you"),
    ],
)
def test_what_no_record_of_a_run_has_is_refused(
    flight: Flight,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    words: list[str],
    said: str,
) -> None:
    """A channel or field of no record, such as a name mistyped, is exit code 2 and leaves no file
    where the run is over."""
    flight.record(0, 3)
    run, out = str(flight.end()), tmp_path / "out"
    for more in (["--decode"], []):
        assert main(["tap", run, "--out", str(out), *more, *words]) == 2
        assert said in capfdbinary.readouterr()[1].decode()
        assert not out.exists()


def test_what_never_came_of_a_run_that_flew_is_told_at_its_end(
    flight: Flight, tmp_path: Path
) -> None:
    """While a run flies nobody knows what it will record: a name that never came is a warning."""
    flight.record(0, 1)
    words = ["--topic", "can0", "--topic", "can7", "--filter", "adress == 0x101 or seq == 0"]
    with tap("--runs", "runs", "--decode", *words, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        flight.end()
        told = process.communicate()[1].decode()
    assert process.returncode == 0
    assert told.splitlines()[1:] == [
        "no channel is called 'can7'",
        "no record has a field 'adress'",
    ]


@pytest.mark.parametrize("name", ["capture.mcap", ".", "../flight-1", "../flight-1/"])
def test_a_run_is_tapped_by_any_name_of_it(
    flight: Flight,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    name: str,
) -> None:
    """A bare file name and the folder that one is in mean what a whole path means."""
    flight.record(0, 3)
    monkeypatch.chdir(flight.end())
    assert main(["tap", name, "--decode"]) == 0
    assert len(capfdbinary.readouterr()[0].splitlines()) == 3


@pytest.mark.parametrize("octets", [b"", b"root:x:0:0"])
def test_a_file_that_is_no_capture_is_refused_without_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes
) -> None:
    """An empty file, or one of something else, is one line and exit code 2."""
    path = tmp_path / "x.mcap"
    path.write_bytes(octets)
    assert main(["tap", str(path), "--decode"]) == 2
    assert capsys.readouterr().err == f"hil tap: {path}: not an MCAP file\n"


def test_lost_records_are_counted(
    flight: Flight, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Numbers that are missing in the capture are told at the end, in packets and in lines."""
    flight.record(0, 3)
    flight.record(9, 3)
    run = str(flight.end())
    assert main(["tap", run, "--out", str(tmp_path / "x.pcapng")]) == 0
    assert b"6 records seen, 6 lost" in capfdbinary.readouterr()[1]
    assert main(["tap", run, "--decode"]) == 0
    assert b"6 records seen, 6 lost" in capfdbinary.readouterr()[1]


def test_a_run_that_was_killed_ends_the_tap_with_what_there_was(
    flight: Flight, tmp_path: Path
) -> None:
    """Where the writer is gone without an end, the tap says so and exits with 1."""
    flight.record(0, 4)
    flight.writer.abandon()
    flight.directory._release()
    with tap("runs/flight-1", "--decode", cwd=tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, len(out.splitlines())) == (1, 4)
    assert b"the run that wrote it is gone" in err
    assert b"hil recover" in err


def test_without_a_run_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No run, or one that is not there, is an error of one line that names the next step."""
    assert main(["tap", "--runs", str(tmp_path)]) == 2
    assert "begin one" in capsys.readouterr().err
    assert main(["tap", str(tmp_path / "none")]) == 2
    assert "no run is written there" in capsys.readouterr().err


def test_the_youngest_run_is_taken_and_a_dead_one_is_not(flight: Flight, tmp_path: Path) -> None:
    """Of several running runs the last to begin comes first; one that was killed is none."""
    other = Flight(tmp_path / "runs", "flight-2")
    os.utime(other.directory.path / ".lock", ns=(0, 2**62))
    paths = [f.directory.path / "capture.mcap.partial" for f in (other, flight)]
    assert growing(tmp_path / "runs") == paths
    other.writer.abandon()
    other.directory._release()
    assert growing(tmp_path / "runs") == paths[1:]


def test_wireshark_is_told_of_each_running_run(
    flight: Flight, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answers to extcap's questions are sentences with the interfaces, link types, options."""
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["tap", "--extcap-interfaces", "--extcap-version=4.0", *runs]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("extcap {version=")
    assert [line.split("}")[0] for line in lines[1:]] == [
        "interface {value=flatsat",
        "interface {value=flatsat-flight-1",
    ]
    assert main(["tap", "--extcap-interface", "flatsat", "--extcap-dlts"]) == 0
    assert capsys.readouterr().out.startswith("dlt {number=147}")
    assert main(["tap", "--extcap-interface", "flatsat", "--extcap-config"]) == 0
    assert "{call=--topic}" in capsys.readouterr().out
    out = tmp_path / "pipe"
    words = ["tap", "--capture", "--extcap-interface", "flatsat-flight-1", "--fifo", str(out)]
    flight.record(0, 2)
    flight.end()
    assert main([*words, *runs]) == 2
    assert "that run has ended" in capsys.readouterr().err


def test_what_is_installed_for_wireshark_is_removed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dissector and launcher go where it is said and away again; a file of another stays."""
    place = ["--dir", str(tmp_path)]
    assert main(["tap", "--install-wireshark", *place]) == 0
    script, launcher = tmp_path / "plugins" / "flatsat.lua", tmp_path / "extcap" / "flatsat"
    assert MARK in script.read_text().splitlines()[0]
    assert os.access(launcher, os.X_OK)
    assert str(launcher) in capsys.readouterr().out
    done = subprocess.run(
        [launcher, "--extcap-version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("extcap {version=")
    script.write_text("-- mine")
    assert main(["tap", "--install-wireshark", *place]) == 3
    assert "is not ours" in capsys.readouterr().err
    assert main(["tap", "--remove", *place]) == 0
    assert script.read_text() == "-- mine"
    assert not launcher.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "flight-1", "--to", "csv", "--out", "x"], "`hil tap flight-1` reads it now"),
        (["export", "flight-1.partial", "--to", "csv", "--out", "x"], "the run still flies"),
        (["replay", "flight-1"], "what it has recorded so far is in flight-1.partial"),
        (["diff", "flight-1", "flight-1.partial"], "flight-1: the run still flies"),
        (["pack", "flight-1.partial"], "a run is writing it; wait for its end"),
    ],
)
def test_a_run_that_flies_is_told_from_one_that_broke(
    flight: Flight,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    """Who asks for a run too early is told that it flies, where it is, and what reads it now."""
    flight.record(0, 3)
    monkeypatch.chdir(tmp_path / "runs")
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "recover" not in told
    assert [path.name for path in Path().iterdir()] == ["flight-1.partial"]
