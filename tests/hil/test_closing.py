"""What ``with`` closes: one helper, and everyone who uses it."""

from __future__ import annotations

import pytest

from hil.capture.reader import Capture
from hil.closing import Closing
from hil.time.transports.seqpacket import SeqpacketListener
from hil.time.transports.zeromq import ZeroMQListener


class Door(Closing):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_closes_and_goes_on(error: type[BaseException]) -> None:
    """Whatever ends the block, the thing is closed once and the error is not swallowed."""
    door = Door()
    with pytest.raises(error), door:
        raise error
    assert door.closed == 1


@pytest.mark.parametrize("user", [Capture, SeqpacketListener, ZeroMQListener])
def test_its_users_have_no_other_way_to_close(user: type[Closing]) -> None:
    """None of them brings a copy of what the helper does."""
    assert issubclass(user, Closing)
    assert "__exit__" not in vars(user)
