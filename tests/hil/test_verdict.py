"""The verdict: every condition can fail, and says with what figure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil import verdict
from hil.errors import ConfigError
from hil.missions import load as load_mission
from hil.missions.schema import SCHEMA
from hil.verdict import Books

LIMITS = load_mission("tiansuan_bupt1").group("verdict") | {"max_board_c": 60.0}
GOOD = Books(
    min_battery_v=15.7,
    max_chip_c=46.8,
    max_board_c=40.0,
    brown_outs=0,
    jobs={1: "acknowledged", 2: "discarded (cloud)"},
    jobs_lost={},
    jobs_planned=2,
    jobs_refused={},
    products_made={1: b"product"},
    products_received={1: b"product"},
    parts_sent_twice=0,
    no_delivery="",
    telecommands_sent=2,
    telecommands_verified=2,
    telecommands_open={},
    overruns=0,
    restarts=0,
    stops={},
    down_s=0.0,
    down_limit_s=105.0,
)
#: what is wrong -> (condition that must fail, words of its figure)
FAULTS = {
    "brown_outs": (1, "no brown-out", "1 brown-out"),
    "min_battery_v": (12.99, "battery", "12.99 V"),
    "max_chip_c": (85.1, "chip", "85.1"),
    "max_board_c": (60.1, "board", "60.1"),
    "jobs_lost": ({3: "accepted, but not in storage"}, "jobs", "lost: accepted, but"),
    "products_received": ({1: b"prodact"}, "products", "different: 1"),
    "parts_sent_twice": (1, "products", "1 part sent twice"),
    "telecommands_open": ({"plan of 8": "sent"}, "telecommands", "plan of 8: sent"),
    "overruns": (1, "overruns", "1"),
    "stops": ({"crash": 1}, "restarts", "1 stopped: crash"),
    "down_s": (105.5, "restarts", "down for the last 106 s"),
}


def judge(books, limits=LIMITS):
    """Judge books by limits; nothing is unknown."""
    return verdict.judge(books, limits, lambda keys: {})


def test_a_run_without_fault_is_good():
    """The books that the other tests spoil are good, with every condition of the bench asked."""
    judged = judge(GOOD)
    assert judged.good
    assert len(judged.conditions) == len(verdict.JUDGES)


@pytest.mark.parametrize("name", FAULTS)
def test_one_thing_wrong_fails_its_condition_and_no_other(name):
    """Each entry of the books that a condition looks at can make the verdict bad."""
    value, condition, words = FAULTS[name]
    judged = judge(replace(GOOD, **{name: value}))
    assert not judged.good
    failed = [c for c in judged.conditions if not c.good]
    assert [c.name for c in failed] == [condition]
    assert words in failed[0].figure


def test_a_run_without_a_product_is_bad():
    """Nothing received is equal to nothing made, but it is not enough; the reason is told."""
    judged = judge(replace(GOOD, products_received={}, no_delivery="no pass in this run"))
    failed = [c for c in judged.conditions if not c.good]
    assert [(c.name, c.figure) for c in failed] == [("delivery", "0 products: no pass in this run")]


def test_a_stop_from_outside_is_told_and_is_no_fault():
    """A restart that a fault plan caused stands in the figure and leaves the verdict good."""
    judged = judge(replace(GOOD, restarts=1, stops={"injected": 1}, down_s=105.0))
    assert judged.good
    figure = next(c.figure for c in judged.conditions if c.name == "restarts")
    assert figure == "1 restart, 1 stopped: injected, down for the last 105 s"


@pytest.mark.parametrize("limits", [{}, {"no_crash": False}])
def test_a_verdict_that_asks_nothing_is_refused(limits):
    """A profile without a condition cannot call a run good."""
    with pytest.raises(ConfigError, match="asks for nothing"):
        judge(GOOD, limits)


def test_a_limit_of_zero_is_a_limit():
    """Zero asks as much as any other number; only false and absence do not."""
    judged = judge(replace(GOOD, overruns=1), {"max_overruns": 0})
    assert not judged.good


def test_equal_causes_are_one_and_few_are_named():
    """Refused jobs of one reason are a group; beyond four groups only their number is told."""
    refused = dict.fromkeys(range(1, 13), "WRONG_MODE (safe mode)")
    opened = {f"take_image job {job} of 500 s": "failed at start: WRONG_MODE" for job in refused}
    opened |= {f"other {letter} of 3 s": "sent" for letter in "abcdef"}
    books = replace(GOOD, jobs={}, jobs_planned=12, jobs_refused=refused, telecommands_open=opened)
    figures = {c.name: c.figure for c in judge(books).conditions}
    assert figures["jobs"] == (
        "12 planned, 0 accepted, 0 accounted for; refused: 12 x WRONG_MODE (safe mode)"
    )
    assert figures["telecommands"] == (
        "2 of 2 verified; open: 12 x take_image: failed at start: WRONG_MODE, "
        "other a: sent, other b: sent, other c: sent and 3 more"
    )


def test_conditions_hold_numbers_for_machines():
    """Figure and limit of a condition are numbers too, with their unit."""
    found = {c.name: (c.value, c.limit_value, c.unit) for c in judge(GOOD).conditions}
    assert found["battery"] == (15.7, 13.0, "V")
    assert found["chip"] == (46.8, 85.0, "°C")
    assert found["delivery"] == (1, 1, "")
    assert found["telecommands"] == (2, 2, "")


def test_what_a_condition_rests_on_are_groups_of_the_profile():
    """No group is misspelt, and no group that decides what flies is left out of all of them."""
    groups = {name.partition(".")[0] for name in SCHEMA} - {"mission", "verdict"}
    rested = {key for c in judge(GOOD).conditions for key in c.rests_on}
    assert rested == groups


@pytest.mark.parametrize(("missed", "words"), [(1, "1 kill found"), (2, "2 kills found")])
def test_a_kill_that_found_nothing_to_kill_is_told(missed, words):
    """A fault that was asked for and did nothing is no fault of the software, and no secret."""
    books = replace(GOOD, restarts=1, stops={"injected": 1}, kills_missed=missed)
    restarts = next(c for c in judge(books).conditions if c.name == "restarts")
    assert restarts.good
    assert restarts.figure == f"1 restart, 1 stopped: injected, {words} it down"
