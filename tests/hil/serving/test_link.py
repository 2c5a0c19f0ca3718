"""A link that breaks: in lock-step nothing is lost; against the wall both go on, and count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.__main__ import fly as fly_software
from hil.options import Options
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
    print(counted["link"], counted["link.peer"], relay.counters)
    assert counted["link"]["resumed"] >= 3
    assert counted["link.peer"]["returns"] == counted["link"]["resumed"]
