"""Faults that a test puts in: what a row says holds, and each row is counted for itself."""

from __future__ import annotations

import pytest

from hil.errors import ConfigError, UsageError
from hil.testing.bench import Bench, s


def test_a_count_begins_when_the_row_does():
    """A row with a beginning and a count acts so often, and not before it begins."""
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(2 * s)
        rig.faults.add("i2c-1:nak,address=0x49,from=5,count=2")
        bad = rig.bus("i2c-1").expect(status=lambda status: status != 0, within=20 * s)
        assert bad.t_ns >= 7 * s
        rig.run_for(10 * s)
        assert sum(one.values["status"] != 0 for one in rig.bus("i2c-1").seen()) == 2


def test_each_fault_counts_its_own_hits_and_removes_itself():
    """Of faults that say the same, and of one kind for two parts, each knows what it did."""
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(2 * s)
        idle, one = rig.faults.add("i2c-1:nak,address=0x77"), rig.faults.add("i2c-1:nak,count=1")
        other = rig.faults.add("i2c-1:nak,count=1")
        other.remove()
        rig.run_for(10 * s)
        assert (idle.hits(), one.hits(), other.hits()) == (0, 1, 0)


@pytest.mark.parametrize("count", ["abc", -1, 0, 1.5])
def test_a_count_that_is_none_leaves_no_fault(count):
    """What is no number of transactions is refused before anything is added."""
    with Bench.open(duration_s=60.0) as rig:
        with pytest.raises(ConfigError, match=r"count: .* give 1 or more"):
            rig.faults.add("i2c-1:nak,address=0x49", count=count)
        assert not list(rig.bus("i2c-1").emulated.faults)


def test_a_kill_that_is_taken_back_does_not_come():
    """Removed or cleared before its time a kill kills nobody; behind the end it is refused."""
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(2 * s)
        rig.faults.add("kill@5").remove()
        rig.faults.kill(after_ns=6 * s)
        rig.faults.clear()
        rig.tm.never("bench.UUT_LOST", for_=20 * s)
        with pytest.raises(UsageError, match="the run ends at 60"):
            rig.faults.add("kill@100")


def test_options_are_taken_as_they_are_said():
    """One row need not be a tuple, short names hold from the start on, and a slip is told."""
    with Bench.open(faults="i2c-1:nak,address=0x49", duration_s=60.0) as rig:
        assert rig.bus("i2c-1").expect(address=0x49).values["status"] != 0
    with pytest.raises(UsageError, match="no option 'sed'; did you mean 'seed'"):
        Bench.open(sed=3)
