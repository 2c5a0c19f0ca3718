"""A run goes into Wireshark's programs while it is recorded, and nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tshark import DISSECTOR, EPOCH_NS, TROUBLE, environment, needs_tshark, started

from flightsw.codec.wire import Kind, Record
from hil.capture.recording import Recording
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.rundir import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
NAMES = {0: "i2c-1", 1: "can0", 2: "gpiochip0", 3: "ttyAMA1"}
FACTS = {"board": "raspberrypi4", "mission": "tiansuan_bupt1", "seed": "1"}
KINDS = (Kind.I2C, Kind.CAN, Kind.GPIO, Kind.UART)
PAYLOADS = (bytes.fromhex("400000000100fe4000010002005449"), bytes(8), b"\1", bytes(40))
RATE, TICK_NS = 5_000, 10_000_000


def produce(path: Path, count: int, paced: bool, begun: Callable[[], object]) -> None:
    """Fly a run of ``count`` records through the recorder, paced at 5,000 a second or at once;
    call ``begun`` after the first few."""
    with RunDirectory(path) as directory:
        capture = directory.path / "capture.mcap"
        with Recording(CaptureWriter(capture, EPOCH_NS, NAMES, FACTS)) as writer:
            begin_ns, made, tick = time.monotonic_ns(), 0, 0
            while made < count:
                tick += 1
                due_ns = begin_ns + tick * TICK_NS
                while paced and (left_ns := due_ns - time.monotonic_ns()) > 0:
                    time.sleep(left_ns / 1e9)
                step = range(made, min(count, tick * RATE * TICK_NS // 10**9))
                now_ns = time.time_ns() - EPOCH_NS if paced else tick * TICK_NS
                if tick == 2:  # far more than fits a packet of Wireshark
                    long = Record(Kind.FRAME, 4, 1, 0, now_ns, 0, made, 0, bytes(700_000))
                    writer.write(long.pack())
                    step = range(made + 1, step.stop)
                writer.write(
                    b"".join(
                        Record(KINDS[n % 4], n % 4, 1, 0, now_ns, 0, n, 64, PAYLOADS[n % 4]).pack()
                        for n in step
                    )
                )
                made = step.stop
                if tick == 1:
                    begun()
        directory.finish()


@needs_tshark
@pytest.mark.parametrize(
    ("count", "paced"),
    [
        pytest.param(10_000, False, id="quick"),
        pytest.param(300_000, True, id="long", marks=pytest.mark.soak),
    ],
)
def test_tshark_sees_every_record_of_a_running_run(tmp_path: Path, count: int, paced: bool) -> None:
    """`hil tap | tshark -i -` counts what was recorded on every channel, without a gap."""
    home = environment(tmp_path)
    words = ["tshark", "-X", f"lua_script:{DISSECTOR}", "-l", "-i", "-", "-T", "fields"]
    words += ["-e", "frame.interface_name", "-e", "flatsat.seq", "-e", "flatsat.expert.gap"]
    command = [sys.executable, "-m", "hil", "tap", "--runs", "runs", "--wait"]
    taps = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    out = tmp_path / "seen.txt"
    (tmp_path / "runs").mkdir()
    with (
        out.open("w") as seen,
        started(command, cwd=tmp_path, env=taps, stdout=pipe, stderr=pipe) as tap,
        started(words, env=home, stdin=tap.stdout, stdout=seen, stderr=pipe) as shark,
    ):
        assert tap.stdout is not None
        assert tap.stderr is not None
        tap.stdout.close()
        assert b"waiting" in tap.stderr.readline()
        produce(tmp_path / "runs" / "live", count, paced, tap.stderr.readline)
        said = shark.communicate()[1].decode()
        told = tap.stderr.read().decode()
    assert not any(trouble in said for trouble in TROUBLE)
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert [int(row[1]) for row in rows] == list(range(count))
    counts = Counter(row[0] for row in rows)
    assert counts.pop("channel-4") == 1
    assert counts + Counter(["gpiochip0"]) == dict.fromkeys(NAMES.values(), count // 4)
    assert {row[2] for row in rows} == {""}
    assert told.startswith(f"{count} records seen, none lost, {count} written, of live:")


@needs_tshark
def test_wireshark_lists_the_bench_and_captures_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed into its folders, tshark -D shows each running run and tshark -i reads one."""
    home = environment(tmp_path / "home")
    monkeypatch.setenv("HOME", home["HOME"])
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    runs = tmp_path / "runs"
    assert main(["tap", "--install-wireshark", "--runs", str(runs)]) == 0
    told = capsys.readouterr().out
    if str(tmp_path / "home" / ".config") not in told:
        home["WIRESHARK_EXTCAP_DIR"] = told.splitlines()[1].rpartition("/")[0]
    with RunDirectory(runs / "orbit-7") as directory:
        capture = directory.path / "capture.mcap"
        with Recording(CaptureWriter(capture, EPOCH_NS, NAMES, FACTS)) as writer:
            records = [Record(Kind.CAN, 1, 2, 0, n, 0, n, 5, b"x").pack() for n in range(100)]
            writer.write(b"".join(records))
            listed = subprocess.run(
                ["tshark", "-D"], env=home, capture_output=True, text=True, check=True, timeout=60
            ).stdout
            assert "flatsat (FlatSat bench: newest run, or the next)" in listed
            assert "flatsat-orbit-7 (FlatSat bench: orbit-7)" in listed
            words = ["tshark", "-i", "flatsat-orbit-7", "-c", "100", "-T", "fields"]
            words += ["-e", "flatsat.seq", "-e", "frame.interface_name"]
            seen = subprocess.run(
                words, env=home, capture_output=True, text=True, check=True, timeout=60
            ).stdout
    assert [line.split() for line in seen.splitlines()] == [[str(n), "can0"] for n in range(100)]
