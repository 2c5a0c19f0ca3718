"""A CAN stick on a tty, held by a session: greeted, used, pulled out, and plugged in again."""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("can", reason="python-can is not installed")

from hil.boards.emulators import start
from hil.boards.lab import load_lab
from hil.boards.ports import PortRegistry
from hil.boards.protocol import Event, EventType, Reply, Request
from hil.boards.session import Session
from hil.boards.states import State
from hil.errors import BoardError

UID = bytes.fromhex("00c0ffee00c0ffee")
LAB = f"""
schema = 1
[[instance]]
id = "stick"
type = "slcan"
usb_serial = "{UID.hex()}"
"""
CONFIG = struct.pack("<BIIB", 0, 500_000, 0, 0)
#: For a stick that never answers; no test comes near it.
LIMIT_S = 30.0


class Bench:
    """A session, a registry of ports, and an emulated stick on a cable."""

    def __init__(self, folder: Path) -> None:
        (folder / "lab.toml").write_text(LAB)
        self.ports = PortRegistry()
        self.stick = start("slcan", uid=UID)
        instance = load_lab(folder / "lab.toml").instance("stick")
        self.session = Session(instance, self.ports, time.monotonic_ns)
        self.events: list[Event] = []
        self.session.on_event = self.events.append
        self.states: list[State] = []
        self.session.on_change = lambda change: self.states.append(change.after)

    def close(self) -> None:
        """End everything."""
        self.session.close()
        self.stick.close()

    def plug(self) -> None:
        """Let the port be found."""
        assert self.stick.identity is not None
        self.ports.plug(self.stick.identity)

    def pull(self) -> None:
        """Pull the stick out: its port, its power and what was on its bus are gone."""
        self.ports.pull(self.stick.port)
        self.stick.unplug()

    def serve(self, until: Callable[[], bool]) -> None:
        """Serve the session until something is so."""
        limit = time.monotonic() + LIMIT_S
        while not until():
            assert time.monotonic() < limit, self.session.status
            fd = self.session.fileno()
            select.select([] if fd is None else [fd], [], [], 0.005)
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
    """Give a bench whose stick is in nobody's list yet."""
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
            bench.pull()
            bench.serve(lambda: bench.session.state is State.LOST)
            bench.stick.replug()
            bench.plug()
    assert bench.heard() == [(0x201, b"\x01"), (0x201, b"\x02")]
    assert bench.session.counters["reconnects"] == 1
    assert bench.states.count(State.READY) == 2


def test_a_stick_has_no_reset(bench: Bench) -> None:
    """The error says what to do instead."""
    with pytest.raises(BoardError, match="no reset; replugged it has a power-on"):
        bench.stick.reset()
