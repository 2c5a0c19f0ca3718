"""The log of a board: stamps of its own clock are told in the time of the log."""

from __future__ import annotations

from typing import Any

from hil.boards import protocol
from hil.boards.boardtype import load_type
from hil.boards.diary import Diary, as_text
from hil.boards.lab import Instance
from hil.boards.ports import PortRegistry
from hil.boards.protocol import Event, EventType
from hil.boards.session import Session

SECOND = 1_000_000_000
BEGAN = 50 * SECOND


def told(samples: int) -> list[dict[str, Any]]:
    """Return the rows of an edge at 3 s of a board whose clock was sampled so often."""
    rows: list[dict[str, Any]] = []
    with Session(Instance("b", load_type("posix")), PortRegistry(), lambda: BEGAN) as session:
        Diary(session, rows.append)
        for nth in range(samples):  # the board has begun to count when the log began
            stamp = 1_000_000 * nth
            at_ns = BEGAN + SECOND * nth
            session.link.clock.add(at_ns - 50_000, at_ns + 50_000, (stamp, stamp), (0, 0))
        payload = protocol.EVENTS[EventType.GPIO_EDGE].build(
            {"pin": 7, "level": 1, "t_us": 3_000_000}
        )
        session.on_event(Event(EventType.GPIO_EDGE, 0, payload, BEGAN + 4 * SECOND, 0))
        session.on_change = lambda change: None
    return rows


def test_a_stamp_is_told_in_the_time_of_the_log() -> None:
    """An event that the board stamped has the stamp and when that was by the log's own clock."""
    (row,) = told(5)
    assert (row["pin"], row["t_us"], row["happened_s"]) == ("7", "3000000", "3.000000")
    assert "happened_s 3.000000" in as_text(row)


def test_without_a_fit_there_is_only_the_stamp() -> None:
    """Before the clock is known nothing is made of a stamp."""
    (row,) = told(2)
    assert row["t_us"] == "3000000"
    assert "happened_s" not in row
