"""What a test may say of the transactions of a bus besides waiting for one."""

from __future__ import annotations

import pytest

from hil.errors import ExpectationError
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
