"""A bench that is late on the wall: in run.json, and in the telemetry of the flight software."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.codec.dictionary.events import OVERRUN
from flightsw.codec.dictionary.housekeeping import STATUS
from flightsw.codec.packet import pus
from flightsw.services.telemetry import PacketStore
from flightsw.storage import Storage
from hil.board import load_board
from hil.missions import load as load_mission
from hil.options import Options
from hil.rundir import RunDirectory
from hil.session import Session, fly
from hil.time.pacing import Wall

SECOND = 1_000_000_000
CONTROL = 0
PACED = Options(transport="direct", inference="threshold", duration_s=12.0, pace="real", pin=False)


class Stub:
    """A wall that moves when somebody sleeps, and once by ``lost_s`` of itself."""

    def __init__(self, at_s: float, lost_s: float) -> None:
        self.now_ns = 5 * SECOND
        self.at_ns = self.now_ns + round(at_s * SECOND)
        self.lost_ns = round(lost_s * SECOND)

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)
        if self.now_ns >= self.at_ns:
            self.now_ns += self.lost_ns
            self.lost_ns = 0


def overruns(payload: Path) -> list[tuple[int, ...]]:
    """Return group, lateness in us and count of the overruns that telemetry reports."""
    store = PacketStore(Storage(payload), 4096)
    packets = [store.take() for _ in range(store.waiting)]
    datas = [pus.unpack_tm(packet).data for packet in packets if packet is not None]
    head = OVERRUN.id.to_bytes(2, "big")
    found = [OVERRUN.struct.parse(data[2:]) for data in datas if data[:2] == head]
    return [(event.group, event.late_us, event.count) for event in found]


@pytest.mark.parametrize("transport", ["direct", "inproc"])
def test_lateness_on_the_wall_becomes_overruns(tmp_path: Path, transport: str) -> None:
    """Where the wall loses 650 ms the bench counts overruns, and so does the flight software.

    The control group, 10 Hz, reports one that covers its following releases; it comes 650 ms late
    less what it made up for, and the groups with longer periods are not late by theirs.
    """
    wall = Stub(at_s=5.95, lost_s=0.65)
    asked = replace(PACED, transport=transport, tell_lateness=True, out=tmp_path / "run")
    outcome = fly(asked, wall=Wall(wall.clock, wall.sleep))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["lateness"]["overruns"] > 0
    assert 600 <= run["lateness"]["lateness_max_ns"] // 1_000_000 <= 700
    assert run["repeatable"] is False
    told = overruns(outcome.run_dir / "payload")
    assert [group for group, _, _ in told] == [CONTROL] * len(told)
    assert told[0][2] == 1
    assert 400_000 <= told[0][1] <= 600_000
    assert wall.lost_ns == 0


def test_a_bench_in_time_reports_none(tmp_path: Path) -> None:
    """Where the wall loses nothing, telling the lateness changes nothing in the records."""
    runs = []
    for name, tell in (("told", True), ("not", False)):
        wall = Stub(at_s=0.0, lost_s=0.0)
        asked = replace(PACED, tell_lateness=tell, out=tmp_path / name)
        runs.append(fly(asked, wall=Wall(wall.clock, wall.sleep)))
    assert runs[0].digest == runs[1].digest
    assert runs[0].lateness["overruns"] == 0
    assert overruns(runs[0].run_dir / "payload") == []


def test_lateness_that_is_not_told_changes_nothing(tmp_path: Path) -> None:
    """Without --tell-lateness a late bench counts, and its records are those of virtual time."""
    wall = Stub(at_s=5.95, lost_s=0.65)
    late = fly(replace(PACED, out=tmp_path / "late"), wall=Wall(wall.clock, wall.sleep))
    free = fly(replace(PACED, pace="max", out=tmp_path / "free"))
    assert late.digest == free.digest
    assert late.lateness["overruns"] > 0


def test_overruns_come_down_to_the_ground(tmp_path: Path) -> None:
    """In contact the ground receives the event of a late bench and the count in housekeeping."""
    wall = Stub(at_s=5.95, lost_s=0.65)
    asked = replace(PACED, tell_lateness=True, umbilical=True, duration_s=25.0)
    asked = replace(asked, out=tmp_path / "run")
    mission, board = load_mission(asked.mission), load_board(asked.board)
    with RunDirectory(tmp_path / "run").open() as directory:
        late = Wall(wall.clock, wall.sleep)
        session = Session(asked, board, mission, directory, lambda view: None, wall=late)
        session.run()
    events = [json.loads(one) for one in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    told = [event for event in events if event.get("name") == "OVERRUN"]
    assert [event["group"] for event in told] == [CONTROL] * len(told)
    assert 400_000 <= told[0]["late_us"] <= 600_000
    _, last = session.rig.ground.housekeeping[STATUS.sid][-1]
    assert last["overruns"] == told[-1]["count"] == len(told) >= 1
