"""What a service manager hears of the flight software and of a bench that listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import flightsw.notify
import hil.serving.notify

MAKERS = [flightsw.notify.Notifier, hil.serving.notify.Notifier]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


def heard(manager: socket.socket) -> list[str]:
    """Return everything that was said by now."""
    words = []
    while True:
        try:
            words.append(manager.recv(4096).decode())
        except BlockingIOError:
            return words


@pytest.mark.parametrize("make", MAKERS)
def test_signs_of_life_come_four_times_as_often_as_they_are_wanted(
    make: Callable[..., Any], manager: socket.socket
) -> None:
    """Of many calls one goes out in each quarter of the interval."""
    now_s = 0.0
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "10000000"}
    notifier = make({**environ, "WATCHDOG_PID": str(os.getpid())}, clock=lambda: now_s)
    for tenth in range(201):
        now_s = tenth / 10
        notifier.alive()
    assert heard(manager) == ["WATCHDOG=1"] * 9


@pytest.mark.parametrize("make", MAKERS)
def test_a_long_search_for_a_bench_is_no_death(
    make: Callable[..., Any], manager: socket.socket
) -> None:
    """Whoever calls every 35 s at least is heard in every minute, whenever the calls come."""
    now_s, told = 0.0, []
    notifier = make(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000"}, clock=lambda: now_s
    )
    for now_s in (0.0, 29.0, 64.0, 78.0, 113.0, 127.0, 162.0):
        notifier.alive()
        told += [now_s] * len(heard(manager))
    assert max(after - before for before, after in pairwise(told)) < 60.0


@pytest.mark.parametrize("make", MAKERS)
def test_nobody_is_told_who_did_not_ask(make: Callable[..., Any], manager: socket.socket) -> None:
    """Without a socket, or where the interval is another process's, nothing is said."""
    make({}, clock=lambda: 0.0).alive()
    other = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    make(other, clock=lambda: 0.0).alive()
    assert heard(manager) == []


def test_the_flight_software_says_what_it_does(manager: socket.socket) -> None:
    """READY comes with a status, and STOPPING at the end."""
    notifier = flightsw.notify.Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("waiting")
    notifier.stopping()
    assert heard(manager) == ["READY=1\nSTATUS=waiting", "STOPPING=1"]


def test_a_manager_that_is_gone_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    """Words that nobody takes are counted."""
    notifier = hil.serving.notify.Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.say("READY=1")
    assert notifier.unsaid == 1
