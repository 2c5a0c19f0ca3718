"""A board as a run sees it: what it says too often, and what no frame of it holds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hil.boards.boardtype import load_type
from hil.boards.lab import Instance
from hil.boards.ports import PortRegistry, emulated_port
from hil.boards.posix import PosixBoard, firmware_path
from hil.boards.protocol import Reply, Request
from hil.boards.session import Session
from hil.boards.station import QUOTES, QUOTES_A_SECOND, BoardStation
from hil.errors import HostError

SECOND = 1_000_000_000


class Told:
    """A station, and what it puts into the records."""

    def __init__(self) -> None:
        self.ports = PortRegistry()
        instance = Instance("bench", load_type("posix"), emulate="posix")
        self.session = Session(instance, self.ports, time.monotonic_ns)
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.station = BoardStation(
            self.session,
            time.monotonic_ns,
            lambda source, act: act(0),
            400,
            lambda severity, name, values: self.rows.append((name, values)),
        )


def test_a_babbling_board_does_not_fill_the_records() -> None:
    """A burst is kept whole, then so many a second; what is left out is counted, none is lost."""
    told = Told()
    for nth in range(100_000):
        told.station.quote(0, 1, "BOARD_LOG", text=str(nth))
    assert len(told.rows) == QUOTES
    assert told.station.counters["left_out"] == 100_000 - QUOTES
    for nth in range(20 * 1000):
        told.station.quote(nth * SECOND // 1000, 1, "BOARD_LOG", text=str(nth))
    assert len(told.rows) <= QUOTES + 20 * QUOTES_A_SECOND
    assert len(told.rows) >= QUOTES + 19 * QUOTES_A_SECOND
    told.station.quote(3600 * SECOND, 1, "BOARD_LOG", text="after an hour")
    assert told.rows[-1] == ("BOARD_LOG", {"board": "bench", "text": "after an hour"})


def test_what_no_frame_of_a_board_holds_is_not_asked() -> None:
    """The request fails as one without an answer, counted and told once; the session goes on."""
    try:
        firmware_path()
    except HostError as missing:
        pytest.skip(str(missing))
    told = Told()
    answers: list[Reply | None] = []
    with PosixBoard() as board:
        told.ports.plug(emulated_port("bench", board.port))
        told.session.wait_ready(20.0)
        room = told.station.payload_nbytes
        for _ in range(2):
            told.station.ask(Request.CAN_SEND, bytes(room + 1), answers.append)
        assert answers == [None, None]
        assert told.station.counters["too_long"] == 2
        assert told.rows == [
            (
                "BOARD_FRAME_TOO_SHORT",
                {"board": "bench", "request": int(Request.CAN_SEND), "holds": room},
            )
        ]
        assert told.station.ready
    told.session.close()
