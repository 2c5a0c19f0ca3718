"""A board that comes, goes, moves and resets: real firmware on this computer, as one session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hil.boards.lab import Instance
from hil.boards.ports import PortRegistry, emulated_port
from hil.boards.posix import PosixBoard, firmware_path
from hil.boards.protocol import Request, ResetCause
from hil.boards.session import State
from hil.errors import HostError
from tests.hil.boards.sessions import Watched, own_type

try:
    firmware_path()
except HostError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ARRIVAL = [State.OPENING, State.SYNCING, State.READY]


@pytest.fixture
def ports() -> PortRegistry:
    """Return an empty bench."""
    return PortRegistry()


@pytest.fixture
def watched(ports: PortRegistry) -> Iterator[Watched]:
    """Return a session that looks for an emulated board."""
    with Watched(Instance("bench-1", own_type(), emulate="posix"), ports) as watched:
        yield watched


def plug(ports: PortRegistry, board: PosixBoard) -> str:
    """Show a board on the bench; return its port."""
    ports.plug(emulated_port("bench-1", board.port))
    return board.port


def test_a_board_that_comes_is_ready_and_answers(ports: PortRegistry, watched: Watched) -> None:
    """ABSENT until it is there, then OPENING, SYNCING, READY with its identity, and it answers."""
    watched.session.service(0)
    assert (watched.session.state, watched.session.fileno()) == (State.ABSENT, None)
    with PosixBoard() as board:
        path = plug(ports, board)
        watched.until_state(State.READY)
        assert watched.states == ARRIVAL
        last = watched.told[-1]
        assert last.port == path
        assert last.identity is not None
        assert last.identity.firmware == "hilwire-posix"
        answers: list[bytes] = []
        watched.session.link.request(
            Request.PING, b"echo", lambda reply: answers.append(reply.payload if reply else b"")
        )
        watched.until(lambda: answers)
        assert answers == [b"echo"]


def test_unplugged_it_is_lost_and_comes_back(ports: PortRegistry, watched: Watched) -> None:
    """The descriptor is closed at once, the reason told, and the board found again and counted."""
    for round_ in range(3):
        with PosixBoard() as board:
            path = plug(ports, board)
            watched.until_state(State.READY)
        watched.until_state(State.LOST)
        assert watched.session.fileno() is None
        assert path in watched.told[-1].why
        assert "unplugged" in watched.session.status
        ports.pull(path)
        assert watched.session.counters["reconnects"] == round_
    assert watched.session.counters["lost"] == 3
    assert watched.session.counters["ready"] == 3


def test_a_reset_is_seen_with_its_cause(ports: PortRegistry, watched: Watched) -> None:
    """BOOT while READY: SYNCING with the cause in the reason, then READY, and no reconnect."""
    with PosixBoard() as board:
        plug(ports, board)
        watched.until_state(State.READY)
        board.reset(brown_out=True)
        watched.until_state(State.SYNCING)
        assert "brown-out" in watched.session.why
        watched.until_state(State.READY)
        assert watched.session.identity is not None
        assert watched.session.identity.reset_cause is ResetCause.BROWN_OUT
        assert watched.session.counters["resets"] == 1
        assert watched.session.counters["reconnects"] == 0


def test_a_brown_out_loop_is_named_and_left_alone(ports: PortRegistry, watched: Watched) -> None:
    """Three resets within 15 s: LOST, with the cause, a remedy and how long it is left alone."""
    with PosixBoard() as board:
        plug(ports, board)
        for count in range(3):
            watched.until_state(State.READY)
            board.reset(brown_out=True)
            watched.until(lambda count=count: watched.session.counters["resets"] > count)
        watched.until_state(State.LOST)
        assert "reset 3 times in" in watched.session.why
        assert "brown-out" in watched.session.why
        assert "another cable" in watched.session.why
        assert "left alone for 5 s" in watched.session.why
        assert watched.session.counters["reset_loops"] == 1
        assert watched.session.due_ns >= watched.told[-1].at_ns + 5_000_000_000
        assert watched.session.fileno() is None
