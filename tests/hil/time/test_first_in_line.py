"""Sleeping to the point: timer slack and scheduling as asked while it lasts, then as before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hil.time.pacing import fine_sleep, first_in_line

SLACK = Path("/proc/self/timerslack_ns")
ASK = "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"


def test_it_is_first_where_it_may_be() -> None:
    """Where the host allows it this thread is first in line, a program that it starts is not, and
    afterwards neither is."""
    before = os.sched_getscheduler(0)
    with first_in_line() as first:
        wanted = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if first else before
        assert os.sched_getscheduler(0) == wanted
        asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True)
        assert asked.stdout == b"True\n"
    assert os.sched_getscheduler(0) == before


def test_it_goes_on_where_it_may_not_be() -> None:
    """Who may not is told so, and runs as any program does."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        with first_in_line() as first:
            os._exit(2 * first + (os.sched_getscheduler(0) != os.SCHED_OTHER))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_timer_slack_comes_back() -> None:
    """While it lasts a sleep may be 1 us late, not 50; after it all is as before."""
    if not SLACK.exists():
        pytest.skip("this kernel does not tell the timer slack")
    before = SLACK.read_text()
    with fine_sleep():
        assert int(SLACK.read_text()) == 1000
    assert SLACK.read_text() == before
