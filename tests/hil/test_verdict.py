"""The verdict: every condition can fail, and says with what figure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil import verdict
from hil.errors import ConfigError
from hil.missions import load as load_mission
from hil.verdict import Books

LIMITS = load_mission("tiansuan_bupt1").group("verdict") | {"max_board_c": 60.0}
GOOD = Books(
    min_battery_v=15.7,
    max_chip_c=46.8,
    max_board_c=40.0,
    brown_outs=0,
    jobs={1: "acknowledged", 2: "discarded (cloud)"},
    jobs_lost={},
    products_made={1: b"product"},
    products_received={1: b"product"},
    parts_sent_twice=0,
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
    "brown_outs": (1, "no brown-out", "1 brown-outs"),
    "min_battery_v": (12.99, "battery", "12.99 V"),
    "max_chip_c": (85.1, "chip", "85.1"),
    "max_board_c": (60.1, "board", "60.1"),
    "jobs_lost": ({3: "accepted, but not in storage"}, "jobs", "3 accepted"),
    "products_received": ({1: b"prodact"}, "products", "different: [1]"),
    "parts_sent_twice": (1, "products", "1 parts sent twice"),
    "telecommands_open": ({"plan of 8": "sent"}, "telecommands", "plan of 8 sent"),
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
    """Nothing received is equal to nothing made, but it is not enough."""
    judged = judge(replace(GOOD, products_received={}))
    assert [c.name for c in judged.conditions if not c.good] == ["delivery"]


def test_a_stop_from_outside_is_told_and_is_no_fault():
    """A restart that a fault plan caused stands in the figure and leaves the verdict good."""
    judged = judge(replace(GOOD, restarts=1, stops={"injected": 1}, down_s=105.0))
    assert judged.good
    figure = next(c.figure for c in judged.conditions if c.name == "restarts")
    assert figure == "1 restarts, 1 stopped: injected, down for the last 105 s"


@pytest.mark.parametrize("limits", [{}, {"no_crash": False}])
def test_a_verdict_that_asks_nothing_is_refused(limits):
    """A profile without a condition cannot call a run good."""
    with pytest.raises(ConfigError, match="asks for nothing"):
        judge(GOOD, limits)


def test_a_limit_of_zero_is_a_limit():
    """Zero asks as much as any other number; only false and absence do not."""
    judged = judge(replace(GOOD, overruns=1), {"max_overruns": 0})
    assert not judged.good
