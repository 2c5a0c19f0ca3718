"""Flights in which something is short or broken, and what the flight software makes of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hil.board import load_board
from hil.buses.faults import BusFault
from hil.missions import load
from hil.options import Options
from hil.rig import Rig
from hil.session import fly
from hil.supervisor import Supervisor
from hil.uut import DirectFlight

SECOND = 1_000_000_000
DIRECT = Options(transport="direct", inference="threshold")


def small_battery(folder: Path) -> Path:
    """Write a profile whose battery runs low in eclipse, and whose tiles take long."""
    text = Path(load("tiansuan_bupt1").path).read_text()
    changes = {
        r"battery_capacity = \{ value = 230": "battery_capacity = { value = 45",
        r"battery_initial_soc = \{ value = 0.85": "battery_initial_soc = { value = 0.62",
        r"time = \{ value = 0.48": "time = { value = 24",
    }
    for old, new in changes.items():
        text, n = re.subn(old, new, text)
        assert n == 1, old
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_compute_pauses_in_eclipse_and_resumes_in_sunlight(tmp_path):
    """A low battery pauses the jobs in the dark, sunlight resumes them, and none is lost."""
    mission = str(small_battery(tmp_path))
    out = tmp_path / "run"
    outcome = fly(replace(DIRECT, mission=mission, duration_s=8640.0, out=out))
    assert outcome.verdict.good, "\n".join(outcome.verdict.lines())
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    dark = next(e["t_onboard_s"] for e in events if e["name"] == "COMPUTE_PAUSED")
    light = next(e["t_onboard_s"] for e in events if e["name"] == "COMPUTE_RESUMED")
    assert 3426 < dark < 5517, "paused outside the eclipse"
    assert light > 5517, "resumed before the sun was back"
    states = [e for e in events if e["name"] == "JOB_STATE" and e["t_onboard_s"] > light]
    assert any(e["state"] == 6 for e in states), "no job was acknowledged after the pause"


@pytest.fixture
def rig():
    """A rig of the default board for the first two passes."""
    return Rig(
        load_board("raspberrypi4"),
        load("tiansuan_bupt1"),
        seed=1,
        duration_s=1100,
        inference="threshold",
    )


def test_a_hung_bus_costs_the_sensors_and_not_the_computer(rig, tmp_path):
    """With SDA stuck low for good the computer keeps flying, sends telemetry and takes commands."""
    fault = BusFault("i2c-1", "stuck_sda", None, "t_ns", 300 * SECOND)
    rig.wiring.buses["i2c-1"].add_fault(fault)
    supervisor = Supervisor(rig)
    supervisor.flight = DirectFlight(supervisor, tmp_path)
    supervisor.flight.run()
    assert supervisor.starts == 1
    names = [event["name"] for event in rig.events if "name" in event]
    assert "PART_MISSING" in names
    hello = [t for t in rig.ground.telecommands.all if t.name == "are you alive"]
    assert len(hello) == 2
    assert all(t.verified for t in hello)
