"""A CAN stick on a tty, held by a session: greeted, used, pulled out, and plugged in again."""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("can", reason="python-can is not installed")

from hil.boards.cable import Cable
from hil.boards.identity import PortInfo
from hil.boards.lab import load_lab
from hil.boards.ports import PortRegistry
from hil.boards.protocol import Event, EventType, Reply, Request
from hil.boards.session import Session
from hil.boards.states import State
from hil.boards.stick import StickBoard

LAB = """
schema = 1
[[instance]]
id = "stick"
type = "slcan"
usb_serial = "C0FFEE"
"""
CONFIG = struct.pack("<BIIB", 0, 500_000, 0, 0)
#: For a stick that never answers; no test comes near it.
LIMIT_S = 30.0


class Bench:
    """A session, a registry of ports, and a stick on a cable, a process of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "lab.toml").write_text(LAB)
        self.ports = PortRegistry()
        self.stick = StickBoard()
        self.cable = Cable(os.dup(self.stick.end.fileno()))
        self.session = Session(
            load_lab(folder / "lab.toml").instance("stick"), self.ports, time.monotonic_ns
        )
        self.events: list[Event] = []
        self.session.on_event = self.events.append
        self.states: list[State] = []
        self.session.on_change = lambda change: self.states.append(change.after)

    def close(self) -> None:
        """End everything."""
        self.session.close()
        self.cable.close()
        self.stick.close()

    def plug(self) -> None:
        """Let the port be found."""
        assert self.cable.port is not None
        port = PortInfo(self.cable.port, vid=0xAD50, pid=0x60C4, serial="C0FFEE", arrival="1")
        self.ports.plug(port)

    def serve(self, until: Callable[[], bool]) -> None:
        """Serve session and cable until something is so."""
        limit = time.monotonic() + LIMIT_S
        while not until():
            assert time.monotonic() < limit, self.session.status
            fd = self.session.fileno()
            fds = [self.cable.fileno(), *([] if fd is None else [fd])]
            select.select(fds, [], [], 0.005)
            self.cable.service(time.monotonic_ns())
            self.session.service(time.monotonic_ns())

    def ask(self, request: Request, payload: bytes) -> Reply:
        """Ask the stick, and return its reply."""
        replies: list[Reply | None] = []
        self.session.link.request(request, payload, replies.append)
        self.serve(lambda: bool(replies))
        reply = replies[0]
        assert reply is not None
        return reply

    def heard(self) -> list[tuple[int, bytes]]:
        """Return the frames that have come."""
        frames = [event.payload for event in self.events if event.type == EventType.CAN_RX]
        return [(struct.unpack_from("<I", frame, 5)[0], frame[10:]) for frame in frames]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench whose stick is not plugged in."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_a_stick_is_found_used_lost_and_found_again(bench: Bench) -> None:
    """Frames go both ways over a tty before and after it was pulled out and came back."""
    bench.session.service(time.monotonic_ns())
    assert bench.session.state is State.ABSENT
    bench.plug()
    for turn in (1, 2):
        bench.serve(lambda: bench.session.state is State.READY)
        assert bench.ask(Request.CAN_CONFIG, CONFIG).ok
        data = bytes((turn,))
        assert bench.ask(Request.CAN_SEND, struct.pack("<BIB", 0, 0x200, 0) + data).ok
        bench.serve(lambda turn=turn: len(bench.heard()) == turn)
        if turn == 1:
            bench.ports.pull(bench.session.port.path)
            bench.cable.unplug()
            bench.serve(lambda: bench.session.state is State.LOST)
            bench.cable.replug()
            bench.plug()
    assert bench.heard() == [(0x201, b"\x01"), (0x201, b"\x02")]
    assert bench.session.counters["reconnects"] == 1
    assert bench.states.count(State.READY) == 2
