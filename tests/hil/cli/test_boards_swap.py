"""``hil boards swap`` and ``shadow`` speak to a run that flies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boards.posix import firmware_path
from hil.cli import main

ROOT = Path(__file__).resolve().parents[3]
LAB = """schema = 1

[[instance]]
id = "bench-1"
type = "posix"
usb_serial = "75A1"
"""


@pytest.fixture
def flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Fly at the pace of the wall with a lab whose one board hangs at a cable; yield the run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "ports"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "lab.toml").write_text(LAB)
    hil = [sys.executable, "-m", "hil"]
    cable = [*hil, "boards", "cable", "--usb", "1209:0001", "--serial", "75A1", "--"]
    cable += [str(firmware_path()), "--fd", "{fd}"]
    run = [*hil, "run", "--pace", "real", "--duration", "600", "--inference", "threshold", "-q"]
    run += ["--out", "runs/flight"]
    with (
        subprocess.Popen(cable, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as c,
        subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as r,
    ):
        try:
            assert c.stdout is not None
            assert c.stdout.readline()
            assert c.stdout.readline().startswith("port ")
            control = tmp_path / "runs" / "flight.partial" / "control"
            while r.poll() is None and not control.is_symlink():
                os.sched_yield()
            assert r.poll() is None, r.stderr.read() if r.stderr else ""
            yield Path("runs/flight")
        finally:
            for process in (r, c):
                process.terminate()
            if r.stderr is not None:
                r.stderr.read()


def test_a_part_is_swapped_and_shadowed_while_a_run_flies(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run does what is asked, says what is real then, and what is wrong with a request."""
    assert main(["boards", "swap"]) == 0
    assert capsys.readouterr().out == "everything is emulated\n"
    assert main(["boards", "swap", "power_monitor", "bench-1", "--run", str(flight)]) == 0
    assert capsys.readouterr().out.startswith("power_monitor  bench-1:i2c0  ")
    assert main(["boards", "swap", "power_monitor", "emulated", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bound"] == {}
    assert main(["boards", "shadow", "power_monitor", "bench-1", "--shows", "real"]) == 0
    assert "beside the emulated one" in capsys.readouterr().out
    assert main(["boards", "shadow", "power_monitor", "off"]) == 0
    capsys.readouterr()
    assert main(["boards", "swap", "power_monitr", "bench-1"]) == 2
    assert "did you mean 'power_monitor'?" in capsys.readouterr().err
    assert main(["boards", "swap", "power_monitor"]) == 2
    assert "swap power_monitor with what?" in capsys.readouterr().err


def test_no_run_to_speak_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no run flies the message says which runs listen."""
    monkeypatch.chdir(tmp_path)
    assert main(["boards", "shadow", "power_monitor", "bench-1"]) == 2
    assert "only a run that flies at --pace real" in capsys.readouterr().err
