"""What a real payload computer says of itself reaches the bench: power for the world, events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flightsw.codec.bus_payload import MEASURED_POWER
from flightsw.codec.dictionary import ThermalSource
from flightsw.codec.dictionary.housekeeping import COMPUTER
from flightsw.hal.bench import DirectHal
from hil.board import load_board
from hil.missions import load as load_mission
from hil.missions.loader import FOLDER
from hil.options import Options
from hil.rig import Rig
from hil.rundir import RunDirectory
from hil.session import Session
from hil.time.transports.direct import DirectPort

SECOND = 1_000_000_000
PROFILE = (FOLDER / "tiansuan_bupt1.toml").read_text()


@pytest.mark.parametrize("wanted", [True, False], ids=["told to", "not told to"])
def test_the_world_draws_what_was_measured_when_told_to(wanted: bool) -> None:
    """The message costs nothing, is counted, and moves the world only where that was asked for."""
    rig = Rig(
        load_board("raspberrypi4"),
        load_mission("tiansuan_bupt1"),
        seed=1,
        duration_s=20,
        flight=False,
    )
    rig.measured_power = wanted
    hal = DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
    hal.clock.sleep_until(2 * SECOND)
    assert hal.cpu.begin(MEASURED_POWER, 9_500) == (0, 0.0)
    hal.clock.sleep_until(5 * SECOND)
    assert (rig.world.payload.power_w == 9.5) is wanted
    assert rig.counters["load.measured"] == 1


def test_what_runs_the_network_is_in_the_report(tmp_path: Path) -> None:
    """Flight software that was asked for CUDA, where there is none, tells the ground what runs
    the network instead and whose heat it governs; the report of the run shows it."""
    profile = tmp_path / "mission.toml"
    keys = 'providers = "cuda,cpu"\nthermal = "max"\ncomputer = "gpu"\n'
    profile.write_text(PROFILE.replace("[flight]\n", f"[flight]\n{keys}"))
    out = tmp_path / "run"
    asked = Options(
        mission=str(profile), transport="direct", duration_s=30, umbilical=True, out=out
    )
    mission = load_mission(str(profile))
    with RunDirectory(out).open() as directory:
        session = Session(asked, load_board("raspberrypi4"), mission, directory, lambda view: None)
        session.run()
    rows = session.rig.ground.housekeeping[COMPUTER.sid]
    assert rows[-1][1]["thermal_source"] == ThermalSource.BENCH
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    named = {event["name"]: event for event in events if "name" in event}
    assert named["PROVIDER_FALLBACK"]["count"] == 1
    assert named["PROVIDER_CHOSEN"]["fallbacks"] == 1
    report = (out / "report.html").read_text()
    assert "PROVIDER_CHOSEN" in report
    assert "PROVIDER_FALLBACK" in report
