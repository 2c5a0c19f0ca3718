"""The books of a run: nothing that was planned, commanded or late falls out of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flightsw.codec.dictionary.enums import Mode
from flightsw.codec.dictionary.housekeeping import STATUS
from hil import books
from hil.board import load_board
from hil.errors import ConfigError
from hil.ground.telecommands import Failure
from hil.missions import load as load_mission
from hil.missions.loader import FOLDER
from hil.options import Options
from hil.rig import SECOND, Rig
from hil.session import fly
from hil.verdict import asked

PROFILE = (FOLDER / "tiansuan_bupt1.toml").read_text()


@pytest.fixture
def rig():
    """A rig whose ground has loaded its plan; nothing has flown."""
    rig = Rig(load_board("raspberrypi4"), load_mission("tiansuan_bupt1"), seed=1, duration_s=1000.0)
    assert rig.plan
    rig.ground.begin_contact(0, "inuvik")
    return rig


def plans(rig):
    """Return the telecommands that carry activities."""
    return {t.carrier for t in rig.ground.telecommands.all if t.carrier is not None}


def test_a_planned_image_that_never_began_is_lost(rig):
    """An activity that the computer took into its plan and never began is not forgotten."""
    for plan in plans(rig):
        plan.t_accepted_ns = plan.t_completed_ns = SECOND
    accounted, lost = books.account_jobs(rig, {})
    past = [a.job for a in rig.plan if a.t_ns < rig.end_ns - books.BEGIN_S * SECOND]
    assert past
    assert accounted == {}
    assert lost == dict.fromkeys(past, "in the plan on board, but never begun")


def test_a_plan_that_never_arrived_loses_no_job(rig):
    """What the computer never took is a matter of its telecommand, not of its jobs."""
    assert books.account_jobs(rig, {}) == ({}, {})


def test_telecommands_of_one_name_are_each_in_the_books(rig):
    """Two telecommands of the same name that stay open are two lines, not one."""
    rig.ground.begin_contact(100 * SECOND, "beijing")
    sent, verified, open_ones = books.account_telecommands(rig)
    assert verified == 0
    assert sent == len(rig.ground.telecommands.all)
    assert sum(name.startswith("are you alive") for name in open_ones) == 2


def test_overruns_are_counted_one_by_one(rig):
    """Every overrun that telemetry reports counts, and so does one whose report was lost."""
    for count in (1, 2):
        values = {"group": 0, "late_us": 1500 * count, "count": count}
        rig.event(SECOND, "flight", 2, "OVERRUN", **values)
    rows = books.rate_groups(rig)
    assert rows[0] == {"name": "control", "overruns": 2, "worst_late_ms": 3.0}
    assert sum(row["overruns"] for row in rows) == 2
    rig.ground.housekeeping[STATUS.sid] = [(0, {"boot_count": 1, "overruns": 2})]
    assert sum(row["overruns"] for row in books.rate_groups(rig)) == 2
    rig.ground.housekeeping[STATUS.sid].append((0, {"boot_count": 2, "overruns": 3}))
    assert sum(row["overruns"] for row in books.rate_groups(rig)) == 5


def profile(tmp_path: Path, verdict: str) -> str:
    """Write the default profile with another verdict; return its path."""
    text, n = re.subn(
        r"\[verdict\].*?(?=\[flight\])", f"[verdict]\n{verdict}\n", PROFILE, flags=re.S
    )
    assert n == 1
    path = tmp_path / "mission.toml"
    path.write_text(text)
    return str(path)


NOTHING = dict.fromkeys(
    ("min_battery_v", "max_chip_c", "max_board_c", "down_s", "down_limit_s"), 1.0
) | dict.fromkeys(("brown_outs", "jobs_planned", "parts_sent_twice", "overruns", "restarts"), 0)
NOTHING |= {"jobs": {}, "jobs_lost": {}, "jobs_refused": {}, "telecommands_open": {}, "stops": {}}
NOTHING |= {"products_made": {}, "products_received": {}, "no_delivery": ""}
SHORT = Options(transport="direct", inference="threshold", duration_s=20.0)


def test_a_verdict_may_ask_for_one_thing_only(tmp_path):
    """Limits that a profile leaves out are neither judged nor drawn, and the run is whole."""
    path = profile(tmp_path, "no_crash = true")
    outcome = fly(Options(**{**vars(SHORT), "mission": path, "out": tmp_path / "run"}))
    assert [c.name for c in outcome.verdict.conditions] == ["restarts"]
    assert (outcome.run_dir / "report.html").exists()


def test_messages_of_every_incarnation_are_in_the_counters(tmp_path):
    """Participants and coordinator are in run.json, a killed incarnation included."""
    asked = {"transport": "seqpacket", "duration_s": 150.0, "faults": ("kill@10",)}
    asked["out"] = tmp_path / "run"
    outcome = fly(Options(**{**vars(SHORT), **asked}))
    counters = json.loads((outcome.run_dir / "run.json").read_text())["counters"]
    assert counters["coordinator"].pop("instants") > 0
    messages = counters["coordinator"]["messages"]
    assert counters["participant.fsw"]["messages"] == messages > 1000


def test_a_verdict_that_asks_nothing_is_refused_before_the_flight(tmp_path):
    """A profile that can prove nothing does not fly, and leaves no directory."""
    path = profile(tmp_path, "no_crash = false")
    with pytest.raises(ConfigError, match="asks for nothing"):
        fly(Options(**{**vars(SHORT), "mission": path, "out": tmp_path / "run"}))
    assert [p.name for p in tmp_path.iterdir()] == ["mission.toml"]


def test_every_unknown_value_that_the_flight_uses_is_named(rig, tmp_path):
    """Whatever value of a profile is marked unknown, the verdict lists it with its reason."""
    values = rig.mission.values
    used = [key for key in values if not key.startswith(("mission.", "stations.", "verdict."))]
    used += [key for key in values if key.startswith("stations.") and not key.endswith("title")]
    used += [f"verdict.{key}" for key in asked(rig.mission.group("verdict"))]
    rig.mission.values = {k: v._replace(unknown=k in used) for k, v in values.items()}
    closed = books.Books(**dict.fromkeys(books.Books.__dataclass_fields__, ()) | NOTHING)
    assert set(books.judge(rig, closed).unknowns) == set(used)


@pytest.mark.parametrize(
    ("duration_s", "why"),
    [
        (20.0, "no pass in this run"),
        (520.0, "the run ends before a pass that could deliver"),
        (700.0, "the run ends before a pass that could deliver"),
    ],
)
def test_a_run_too_short_for_a_product_says_so(duration_s, why, tmp_path):
    """A verdict that could not have been good tells what the run lacked."""
    outcome = fly(Options(**{**vars(SHORT), "duration_s": duration_s, "out": tmp_path / "run"}))
    delivery = next(c for c in outcome.verdict.conditions if c.name == "delivery")
    assert delivery.figure == f"0 products: {why}"


def test_a_run_without_a_pass_says_so(rig):
    """Without contact nothing can come down, and that is the reason given."""
    rig.world.passes = []
    assert books.no_delivery(rig) == "no pass in this run"


def test_jobs_refused_in_safe_mode_are_told_as_that(rig):
    """The code of a refusal is explained where it is the mode that refused."""
    activities = [t for t in rig.ground.telecommands.all if t.job is not None]
    for activity in activities:
        activity.failure = Failure("start", "WRONG_MODE", Mode.SAFE)
    assert set(books.refused(rig).values()) == {"WRONG_MODE (safe mode)"}
    assert len(books.refused(rig)) == len(rig.plan)
    n = len(rig.plan)
    assert books.no_delivery(rig) == f"{n} of {n} images were refused"
