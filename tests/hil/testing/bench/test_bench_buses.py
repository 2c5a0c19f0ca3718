"""What a test may say of the transactions of a bus besides waiting for one."""

from __future__ import annotations

import pytest

from hil.errors import ExpectationError, UnknownNameError, UsageError
from hil.testing.bench import Bench, s


def test_a_transaction_that_was_to_stay_away_fails_at_once():
    """`never` ends with the transaction in hand when it comes, and lets its time pass if not."""
    with Bench.open() as rig:
        rig.run_for(2 * s)
        rig.bus("i2c-1").never(address=0x50, for_=3 * s)
        assert rig.now_ns >= 5 * s
        with pytest.raises(ExpectationError, match="to stay away for 20") as failed:
            rig.bus("i2c-1").never(address=0x49, for_=20 * s)
        assert "TEMP_RESULT" in str(failed.value)
        assert rig.now_ns < 8 * s


def test_the_last_transaction_that_fits_is_at_hand():
    """`last` gives the newest of those that fit, and nothing where none does."""
    with Bench.open() as rig:
        rig.run_for(3 * s)
        bus = rig.bus("i2c-1")
        newest = bus.last(address=0x49)
        assert newest == [one for one in bus.seen() if one.values["address"] == 0x49][-1]
        assert bus.last(address=0x50) is None


def test_waiting_for_nothing_loses_nothing_that_was_before():
    """What went over a bus before the first `never` is seen after it, and decoded alike."""
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(5 * s)
        rig.bus("i2c-1").never(address=0x50, for_=1 * s)
        first = rig.bus("i2c-1").seen()[0]
        assert first.t_ns == 0
        assert rig.bus("i2c-1").last({"temp_chip.temperature_c": lambda c: -60 < c < 60})


def test_a_field_that_is_a_slip_is_no_field_that_stays_away():
    """A misspelt name never fits, so that `never` would pass: it is refused, with the right one."""
    with Bench.open(duration_s=60.0) as rig:
        bus = rig.bus("i2c-1")
        with pytest.raises(UnknownNameError, match="did you mean 'address'"):
            bus.never(adress=0x49, for_=1 * s)
        with pytest.raises(UnknownNameError, match="did you mean 'temp_chip'"):
            bus.expect({"tempchip.temperature_c": 1})
        rig.bus("gpiochip0").never(line18=1, for_=1 * s)


@pytest.mark.parametrize(
    ("for_", "why"),
    [(3600 * s, "ends at 5.0 s"), (5, "say 10"), (0.5, "say 10"), (-5 * s, "say 10")],
)
def test_nothing_stays_away_in_no_time(for_, why):
    """A time that is none, or that the run has not, is refused: in it everything stays away."""
    with Bench.open(duration_s=5.0) as rig:
        with pytest.raises(UsageError, match=why):
            rig.bus("i2c-1").never(address=0x50, for_=for_)
        with pytest.raises(UsageError, match=why):
            rig.tm.never("event.PART_MISSING", for_=for_)
        assert rig.now_ns == 0
