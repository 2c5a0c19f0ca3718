"""A link that breaks: in lock-step nothing is lost; against the wall both go on, and count."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flightsw.__main__ import fly as fly_software
from hil.options import Options
from hil.outcome import Outcome
from hil.session import fly
from hil.time.transports.keys import make_keys
from tests.hil.serving.pairs import bench
from tests.hil.serving.trouble import Relay

SHORT = Options(transport="tcp", inference="threshold", duration_s=40.0, pin=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(folder)
    return folder


def port_of(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


def events(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the events of a run by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (run_dir / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        found.setdefault(event["name"], []).append(event)
    return found


def condition(outcome: Outcome, name: str) -> str:
    """Return the figure of a condition of a verdict."""
    return next(c.figure for c in outcome.verdict.conditions if c.name == name)


def counters(run_dir: Path) -> dict[str, dict[str, int]]:
    return json.loads((run_dir / "run.json").read_text())["counters"]


def test_in_lock_step_a_break_changes_nothing(tmp_path: Path, keys: Path) -> None:
    """However often the connection breaks, time waits, and every record is that of a calm run."""
    calm = fly(replace(SHORT, transport="direct", out=tmp_path / "calm"))
    with (
        bench(replace(SHORT, out=tmp_path / "run"), keys) as there,
        Relay(port_of(there.endpoint)) as relay,
    ):

        def cut(counted: dict[str, int]) -> None:
            if counted["pieces"] in (400, 401, 700, 1200):
                relay._drop()

        relay.on_piece = cut
        fly_software(relay.endpoint, tmp_path / "pi", "pi", keys / "client.key")
        outcome = there.join()
    assert outcome.digest == calm.digest
    counted = counters(outcome.run_dir)
    assert counted["link"]["resumed"] >= 3
    assert counted["link.peer"]["returns"] == counted["link"]["resumed"]


def test_against_the_wall_both_go_on_and_come_together(tmp_path: Path, keys: Path) -> None:
    """While the link is away the bench goes on, the flight software is an island; then it is the
    same run and the same incarnation again."""
    options = replace(SHORT, pace="x20", duration_s=110.0, out=tmp_path / "run")
    with (
        bench(options, keys, away_limit_s=600.0) as there,
        Relay(port_of(there.endpoint)) as relay,
    ):

        def pull(counted: dict[str, int]) -> None:
            if counted["pieces"] == 600:
                relay._down = True

        def plug(line: str) -> None:
            if line.startswith("the run goes on without"):
                relay.up()

        relay.on_piece, there.on_line = pull, plug
        fly_software(relay.endpoint, tmp_path / "pi", "pi", keys / "client.key")
        outcome = there.join()
    counted = counters(outcome.run_dir)
    link, peer = counted["link"], counted["link.peer"]
    assert (link["islands"], link["resumed"]) == (1, 1)
    assert (peer["islands"], peer["returns"], peer["alone_ms"] > 0) == (1, 1, True)
    assert peer["calls_timed_out"] > 0
    told = events(outcome.run_dir)
    (lost,), (back,) = told["LINK_LOST"], told["LINK_BACK"]
    assert back["t_s"] - lost["t_s"] == pytest.approx(back["away_s"])
    assert [start["boot"] for start in told["UUT_START"]] == [1]
    missing = {event["role"] for event in told["PART_MISSING"] if event["errno"] == errno.ETIMEDOUT}
    assert missing
    assert missing <= {event["role"] for event in told["PART_BACK"]}
    (restored,) = told["LINK_RESTORED"]
    assert restored["calls_timed_out"] == peer["calls_timed_out"]
    assert "0 restarts" in condition(outcome, "restarts")
