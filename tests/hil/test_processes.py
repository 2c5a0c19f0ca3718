"""Bench and flight software as processes: what each says when the other is gone, and paces."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hil.options import Options
from hil.session import fly

PR_SET_CHILD_SUBREAPER = 36
SHORT = Options(inference="threshold", duration_s=60.0)


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def start_run(out: Path, *options: str) -> subprocess.Popen[str]:
    """Start `hil run` in real pace, so that it is still flying when a test acts."""
    command = [sys.executable, "-m", "hil", "run", "--inference", "threshold", "--pace", "real"]
    command += ["--duration", "600", "--out", str(out), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_until_flying(process: subprocess.Popen[str], storage: Path) -> int:
    """Block until the flight software has written into its storage; return its process id."""
    while process.poll() is None:
        found = children(process.pid)
        if found and storage.is_dir() and any(storage.iterdir()):
            return found[0]
        os.sched_yield()
    raise AssertionError(f"hil run ended early: {process.communicate()}")


@pytest.mark.parametrize("transport", ["ipc", "seqpacket", "tcp"])
def test_flight_software_reports_a_killed_bench_by_name(tmp_path, transport):
    """When the rig is killed the flight software says so in one line and exits with 4."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        pytest.skip("this kernel, or what stands in for it, adopts no orphans (prctl)")
    try:
        run = start_run(tmp_path / "run", "--transport", transport)
        flight = wait_until_flying(run, tmp_path / "run.partial" / "payload")
        run.kill()
        run.wait()  # from here on we are the parent
        _, status = os.waitpid(flight, 0)
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    said = run.stderr.read().strip().splitlines()
    run.stderr.close()
    run.stdout.close()
    assert os.waitstatus_to_exitcode(status) == 4
    assert len(said) == 1
    assert "flightsw:" in said[0]
    assert "tiansuan_bupt1" in said[0]
    assert transport in said[0]


def test_a_flight_software_killed_from_outside_comes_back(tmp_path):
    """A SIGKILL by a person is noticed, the watchdog restarts the computer, the verdict tells."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "hil", "run", "--inference", "threshold", "--json", "-q"]
    command += ["--duration", "1100", "--out", str(out)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
    flight = wait_until_flying(run, tmp_path / "run.partial" / "payload")
    os.kill(flight, signal.SIGKILL)
    outcome = json.loads(run.communicate()[0])
    restarts = next(c for c in outcome["conditions"] if c["name"] == "restarts")
    assert restarts["figure"].startswith("1 restart, 1 stopped: outside")
    assert outcome["verdict"] == "good"
    assert outcome["repeatable"] is False
    assert "UUT_LOST" in (out / "events.jsonl").read_text()


def test_a_stalled_flight_software_is_named(tmp_path):
    """A participant that stops answering ends the run with exit code 4 and its name."""
    run = start_run(tmp_path / "run", "--stall-limit", os.environ.get("FLATSAT_STALL_S", "4"))
    flight = wait_until_flying(run, tmp_path / "run.partial" / "payload")
    os.kill(flight, signal.SIGSTOP)
    _, said = run.communicate()
    assert run.returncode == 4
    lines = said.strip().splitlines()
    assert len(lines) == 1
    assert "'fsw'" in lines[0]
    assert "t=" in lines[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("pace", ["x40", pytest.param("real", marks=pytest.mark.soak)])
def test_the_pace_changes_nothing_in_the_records(tmp_path, pace):
    """Sixty seconds against the wall clock give the same records as at full speed."""
    free = fly(replace(SHORT, out=tmp_path / "free"))
    paced = fly(replace(SHORT, out=tmp_path / "paced", pace=pace))
    assert (paced.digest, paced.records) == (free.digest, free.records)
    assert paced.lateness["steps"] > 0
