"""What a test says that cannot be: it is told, and nothing is set or green."""

from __future__ import annotations

from typing import Any

import pytest

from hil.errors import UnknownNameError, UsageError
from hil.testing.bench import Bench, s


@pytest.mark.parametrize("value", [1000.0, float("nan"), "hot", None])
def test_a_part_is_set_to_what_it_can_feel_or_not_at_all(value: Any):
    """A value outside the range, which silicon would cut, is refused, and nothing is set."""
    with Bench.open(duration_s=60.0) as rig:
        chip = rig.part("temp_chip")
        before = chip.get("temperature_c")
        with pytest.raises(UsageError, match=r"give -[0-9]+ to [0-9]+ degC"):
            chip.set(temperature_c=value)
        assert (chip.get("temperature_c"), rig.pinned) == (before, {})


def test_a_bench_that_is_closed_takes_nothing_more():
    """What a test does behind the end would be in no record."""
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(1 * s)
    with pytest.raises(UsageError, match="SET: this bench is closed"):
        rig.part("temp_chip").set(temperature_c=20.0)


def test_a_slip_in_what_the_bench_says_is_told_whoever_flies():
    """Of flight code that is not ours every name is taken; those of the bench are known."""

    def fly(hal: Any) -> None:
        hal.clock.sleep_until(1 * s)

    with Bench.open(flight=fly, duration_s=60.0) as rig:
        with pytest.raises(UnknownNameError, match=r"did you mean 'bench\.UUT_LOST'"):
            rig.tm.never("bench.UUT_LSOT", for_=2 * s)
        rig.tm.never("mine.STATE", for_=2 * s)


def test_numbers_of_arrays_are_numbers():
    """What a test has computed with arrays is measured as any other number."""
    numpy = pytest.importorskip("numpy")
    with Bench.open(flight="none") as rig:
        kept = [rig.measure("x", one(3)).value for one in (numpy.float32, numpy.int64, float)]
        assert kept == [3.0, 3, 3.0]
        assert [type(one) for one in kept] == [float, int, float]
