"""Bench and flight software on two machines: network namespaces with a cable, CURVE on."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.options import Options
from hil.session import fly
from hil.time.transports.keys import make_keys
from tests.hil.serving.netns import Machine, machines

__all__ = ["machines"]
PYTHON = [sys.executable, "-m"]
Program = AbstractContextManager[subprocess.Popen[str]]
SHORT = Options(inference="threshold", duration_s=60.0, transport="direct")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def served(bench: Machine, keys: Path, out: Path, *more: str) -> Program:
    """Start a bench that listens on its end of the cable."""
    words = [*PYTHON, "hil", "serve", "--listen", f"tcp://{bench.address}:5557", "--once"]
    words += ["--keys", str(keys), "--inference", "threshold", "--out", str(out), *more]
    return bench.start(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def software(pi: Machine, bench: Machine, keys: Path, storage: Path, port: int = 5557) -> Program:
    """Start flight software on the other machine; it has the key file and nothing else."""
    words = [*PYTHON, "flightsw", "--bench", f"tcp://{bench.address}:{port}"]
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


# --- bad links, by hand: they take as long as they take ---------------------------------------


def relayed(bench: Machine, delay_s: float, loss: float) -> Program:
    """Start a relay on the bench's machine, port 5558, that delays and loses."""
    words = [sys.executable, str(Path(__file__).with_name("trouble.py"))]
    words += [bench.address, "5557", bench.address, "5558", str(delay_s), str(loss)]
    return bench.start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def flown(
    machines: tuple[Machine, Machine],
    tmp_path: Path,
    keys: Path,
    *more: str,
    delay_s: float = 0.0,
    loss: float = 0.0,
    outage: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Return run.json of a flight between two machines over a bad link, with its events."""
    bench, pi = machines
    with (
        served(bench, keys, tmp_path / "run", *more) as there,
        relayed(bench, delay_s, loss) as relay,
    ):
        assert there.stderr is not None
        assert "listening" in there.stderr.readline()
        assert relay.stdout is not None
        assert relay.stdout.readline() == "passing on\n"
        with software(pi, bench, keys, tmp_path / "pi", 5558) as here:
            assert "flying" in there.stderr.readline()
            trouble = pi.outage(*outage) if outage else None
            _, said = there.communicate(timeout=580)
            assert here.wait(60) == 0, said
        if trouble is not None:
            trouble.wait()
        counted, _ = relay.communicate("")
    run: dict[str, Any] = json.loads((tmp_path / "run" / "run.json").read_text())
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    print(run["counters"].get("link"), run["counters"].get("link.peer"), counted, run["lateness"])
    return {**run, "events": [json.loads(line) for line in lines], "relay": json.loads(counted)}


@pytest.mark.soak
def test_delay_and_loss_cost_time_and_nothing_else(
    machines: tuple[Machine, Machine], tmp_path: Path, keys: Path
) -> None:
    """50 ms each way and 2 % loss: time falls behind the wall, and the records are those of a calm
    run."""
    calm = fly(replace(SHORT, duration_s=20.0, out=tmp_path / "calm"))
    more = ("--pace", "real", "--duration", "20")
    run = flown(machines, tmp_path, keys, *more, delay_s=0.05, loss=0.02)
    assert run["digest"] == calm.digest
    assert run["relay"]["lost"] > 0
    assert "link" not in run["counters"]  # nothing broke


@pytest.mark.soak
def test_in_lock_step_ten_seconds_without_a_cable_change_nothing(
    machines: tuple[Machine, Machine], tmp_path: Path, keys: Path
) -> None:
    """With delay, loss and an outage of 10 s, a run in lock-step has the records of a calm one."""
    calm = fly(replace(SHORT, duration_s=20.0, out=tmp_path / "calm"))
    more = ("--pace", "max", "--duration", "20")
    run = flown(machines, tmp_path, keys, *more, delay_s=0.05, loss=0.02, outage=(3, 10))
    assert run["digest"] == calm.digest
    assert run["counters"]["link"]["resumed"] >= 1


@pytest.mark.soak
def test_against_the_wall_ten_seconds_without_a_cable_are_told_and_over(
    machines: tuple[Machine, Machine], tmp_path: Path, keys: Path
) -> None:
    """An outage of 10 s at pace real: both go on, one incarnation flies on, all is counted."""
    more = ("--pace", "real", "--duration", "120")
    run = flown(machines, tmp_path, keys, *more, outage=(15, 10))
    link, peer = run["counters"]["link"], run["counters"]["link.peer"]
    assert link["islands"] == peer["islands"] == 1
    names = [event.get("name") for event in run["events"]]
    assert names.count("UUT_START") == names.count("LINK_LOST") == names.count("LINK_BACK") == 1
    (back,) = [event for event in run["events"] if event.get("name") == "LINK_BACK"]
    assert 5.0 < back["away_s"] < 15.0
    assert "LINK_RESTORED" in names
