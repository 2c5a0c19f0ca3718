"""Bench and flight software on two machines: network namespaces with a cable, CURVE on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hil.options import Options
from hil.session import fly
from hil.time.transports.keys import make_keys
from tests.hil.serving.netns import Machine, machines

__all__ = ["machines"]
PYTHON = [sys.executable, "-m"]
SHORT = Options(inference="threshold", duration_s=60.0, transport="direct")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def served(bench: Machine, keys: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Start a bench that listens on its end of the cable."""
    words = [*PYTHON, "hil", "serve", "--listen", f"tcp://{bench.address}:5557", "--once"]
    words += ["--keys", str(keys), "--inference", "threshold", "--out", str(out), *more]
    return bench.start(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def software(pi: Machine, bench: Machine, keys: Path, storage: Path) -> subprocess.Popen[str]:
    """Start flight software on the other machine; it has the key file and nothing else."""
    words = [*PYTHON, "flightsw", "--bench", f"tcp://{bench.address}:5557"]
    words += ["--keys", str(keys / "client.key"), "--storage", str(storage)]
    return pi.start(words, stderr=subprocess.PIPE)


def test_two_machines_fly_the_run_of_one(
    machines: tuple[Machine, Machine], tmp_path: Path, keys: Path
) -> None:
    """Over a real network stack and with encryption on, the records are those of one process."""
    bench, pi = machines
    local = fly(replace(SHORT, out=tmp_path / "local"))
    with (
        served(bench, keys, tmp_path / "run", "--pace", "max", "--duration", "60") as there,
        software(pi, bench, keys, tmp_path / "pi") as here,
    ):
        _, said = there.communicate(timeout=120)
        assert here.wait(60) == 0, here.stderr.read() if here.stderr else ""
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["digest"], run["records"]) == (local.digest, local.records), said
    assert run["came"][0]["name"] == "fsw"


def test_a_bench_listens_only_where_it_was_told(
    machines: tuple[Machine, Machine], tmp_path: Path, keys: Path
) -> None:
    """Unless it is told, the bench cannot be reached from the other machine."""
    bench, pi = machines
    words = [*PYTHON, "hil", "serve", "--keys", str(keys), "--once"]
    with bench.start(words, stderr=subprocess.PIPE) as there:
        assert there.stderr is not None
        assert "tcp://127.0.0.1:5557" in there.stderr.readline()
        reach = f"import socket; socket.create_connection(('{bench.address}', 5557), 5)"
        refused = pi.run([sys.executable, "-c", reach], capture_output=True)
        assert "ConnectionRefusedError" in refused.stderr
        there.terminate()
        assert there.wait(60) == 143
