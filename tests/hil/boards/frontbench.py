"""A front end on real firmware: parts of an emulated bus, a board that plays them, a controller.

The board is the POSIX firmware or the emulated Uno's image; its link and its wires are served while
somebody waits. Virtual time is set by the test and moves for nobody else.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from hil.boards.emulate_simavr import SimavrBoard
from hil.boards.frontend import FrontEnd
from hil.boards.link import Link, LinkState
from hil.boards.posix import PosixBoard
from hil.boards.protocol import Event, Reply
from hil.boards.silicon import Silicon
from hil.boards.wires import TargetOutcome, Wires
from hil.testing.contracts.board import opened

#: far more of the wall's time than anything here takes, however busy the machine
LIMIT_S = 30.0
SECOND = 1_000_000_000


class Front:
    """A station of one board, driven by hand, with a front end on it."""

    name = "bench"

    def __init__(self, fd: int, wires: Wires, silicon: Silicon, baud: int | None = None) -> None:
        self.fd, self.wires, self.silicon = fd, wires, silicon
        self.counters: Counter[str] = Counter()
        self.hearers: dict[int, list[Callable[[Event], None]]] = {}
        self.on_ready: list[Callable[[], None]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.link = Link(random=Random(1), baud=baud)
        self.link.on_event = self._hear
        self.lane = silicon.exchange.lanes[0]
        self.front = FrontEnd(self, silicon.exchange.transactor)

    # --- the station ---------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        return self.link.state is LinkState.OPEN

    @property
    def payload_nbytes(self) -> int:
        assert self.link.identity is not None
        return self.link.identity.payload_nbytes

    def ask(self, request: int, payload: bytes, done: Callable[[Reply | None], None]) -> None:
        self.link.request(request, payload, done)

    def stamp(self, act: Callable[[int], None]) -> None:
        act(self.silicon.kernel.now_ns)

    def tell_once(self, name: str, **values: Any) -> None:
        if (name, values) not in self.told:
            self.told.append((name, values))

    def _hear(self, event: Event) -> None:
        for hear in self.hearers.get(event.type, ()):
            hear(event)

    # --- the bench -----------------------------------------------------------------------------

    def until(self, done: Callable[[], Any]) -> None:
        """Serve the link until ``done()``; fail when that never comes."""
        limit = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < limit, "the front end does not get there"
            self.link.service(time.monotonic_ns())
            out = self.link.output()
            if out:
                os.write(self.fd, out)
            if select.select([self.fd], [], [], 0.01)[0]:
                self.link.feed(os.read(self.fd, 65536), time.monotonic_ns())

    def open(self) -> None:
        """Open a session; parts that are served from now on are configured at once."""
        self.link.hello(time.monotonic_ns())
        self.until(lambda: self.ready)

    def play(self, name: str) -> None:
        """Have the board play a part, up to its first whole image."""
        part = self.silicon.parts[name]
        spec = next(spec for spec in self.silicon.wiring.board.parts if spec.name == name)
        bus = self.silicon.wiring.board.bus(spec.bus)
        lane = self.silicon.exchange.lanes[bus.index]
        face = self.front.serve(part, lane, spec.address)
        self.until(lambda: face.configured is not False)
        if face.configured:
            self.settle()

    def settle(self, after_s: float = 0.0) -> None:
        """Let virtual time pass, and wait until the board has the images of then."""
        kernel = self.silicon.kernel
        kernel.run_before(kernel.now_ns + round(after_s * SECOND) + 1, 1 << 30)
        self.front.refresh(kernel.now_ns, time.monotonic_ns())
        self.until(lambda: not any(face.pushing for face in self.front.faces))

    def read(self, address: int, register: int, nbytes: int = 2) -> TargetOutcome:
        """Read a register as a controller on the board's wires does."""
        return self.wires.transact([(address, bytes((register,))), (address, nbytes)])


@contextmanager
def posix_front(silicon: Silicon) -> Iterator[Front]:
    """Start the POSIX firmware as target on wires of its own, and open a session."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wires = Wires(ours)
    with theirs:
        options = ["--target-wires", str(theirs.fileno())]
        board = PosixBoard(options, pass_fds=(theirs.fileno(),))
    with board, opened(board.port) as fd:
        front = Front(fd, wires, silicon)
        front.open()
        yield front
    wires.close()


@contextmanager
def uno_front(silicon: Silicon) -> Iterator[Front]:
    """Start the Uno's image on its emulated processor, at the pace of the wall."""
    board = SimavrBoard(None, "wall")
    try:
        board.end.setblocking(False)
        front = Front(board.end.fileno(), board.wires, silicon, baud=115_200)
        front.open()
        yield front
    finally:
        board.close()
