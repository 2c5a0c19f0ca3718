"""Sessions in simulated time: the firmware's core in this process, on lines with a rate.

Everything that takes time is exact here, so patience, back-off and scans are tested to the
millisecond, with no clock and no port of the machine.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

from hil.boards.boardtype import LinkSpec
from hil.boards.host import Host
from hil.boards.identity import PortInfo
from hil.boards.lab import Instance
from hil.boards.line import LinePair, earliest
from hil.boards.opening import Port, PortError
from hil.boards.ports import PortRegistry, emulated_port
from hil.boards.session import Session, State, Transition
from tests.hil.boards.hostboard import MS, Core

#: What a board of the simulation is called; its path is one of no machine.
PATH = "/simulated/tty0"


class SimBoard:
    """A board with its line. ``loader_ns``: how long a boot loader has it after a reset."""

    def __init__(self, bench: SimBench, baud: int = 0, loader_ns: int = 0) -> None:
        self.bench, self.loader_ns = bench, loader_ns
        self.core = Core(baud=baud or 115_200)
        self.lines = LinePair(baud, grain=16)
        self.opened = 0
        self.is_open = self.silent = False
        self.starts_ns: int | None = None
        self.running = False
        self._cause = 1

    def reset(self, cause: int) -> None:
        """Reset it by a cause of the protocol; its boot loader comes first."""
        self.running = False
        self._cause = cause
        self.starts_ns = self.bench.now_ns + self.loader_ns

    def says(self, octets: bytes) -> None:
        """Put octets on the line, for whoever has it open."""
        if self.is_open and not self.silent:
            self.lines.to_host.put(octets, self.bench.now_ns)

    @property
    def due_ns(self) -> int | None:
        """When there is something to do."""
        return earliest(self.lines.due_ns, self.starts_ns)

    def _follow(self) -> None:
        if self.lines.to_host.baud:
            self.lines.to_host.baud = self.lines.to_board.read_baud = self.core.number("host_baud")

    def step(self) -> None:
        """Do what is due."""
        now_ns = self.bench.now_ns
        if self.starts_ns is not None and now_ns >= self.starts_ns:
            self.starts_ns, self.running = None, True
            said = self.core.start(now_ns, self.bench.boot_ids.getrandbits(32), self._cause)
            self._follow()
            self.says(said)
        heard = self.lines.to_board.take(now_ns)
        if self.running:
            said = self.core.run(heard, now_ns)
            self.says(said)
            self._follow()


class SimPort:
    """The host's end of a simulated line."""

    fd = -1
    notes: tuple[str, ...] = ()
    unsent = b""

    def __init__(self, board: SimBoard, baud: int) -> None:
        self.board = board
        board.opened += 1
        board.is_open = True
        self.set_rate(baud)

    def read(self) -> bytes:
        """Return what has arrived; raises OSError once the board has been unplugged."""
        if not self.board.is_open:
            raise OSError(errno.EIO, "gone")
        return self.board.lines.to_host.take(self.board.bench.now_ns)

    def write(self, octets: bytes) -> int:
        """Put octets on the line."""
        self.board.lines.to_board.put(octets, self.board.bench.now_ns)
        return len(octets)

    def set_rate(self, baud: int) -> None:
        """Set the rate of this end."""
        if self.board.lines.to_board.baud:
            self.board.lines.to_board.baud = self.board.lines.to_host.read_baud = baud

    def close(self) -> None:
        """Hang up."""
        self.board.is_open = False
        self.board.lines.each(lambda line: line.cut(self.board.bench.now_ns))


class SimBench:
    """One session, and at most one board, in simulated time."""

    def __init__(self, instance: Instance) -> None:
        self.now_ns = 1_000 * MS
        self.ports, self.boot_ids = PortRegistry(), Random(2)
        self.board: SimBoard | None = None
        self.told: list[Transition] = []
        self.session = Session(
            instance, self.ports, lambda: self.now_ns, random=Random(1), opener=self._open
        )
        self.session.on_change = self.told.append

    def _open(self, port: PortInfo, link: LinkSpec, baud: int, host: Callable[[], Host]) -> Port:
        if self.board is None:
            raise PortError("gone", f"{port.path} is gone")
        if link.reset == "dtr":
            self.board.reset(2)
        return SimPort(self.board, baud)

    def plug(self, baud: int = 0, loader_ms: int = 0) -> SimBoard:
        """Plug a board in; it starts at once, or after its boot loader."""
        self.board = SimBoard(self, baud, loader_ms * MS)
        self.board.reset(1)
        self.ports.plug(emulated_port("bench-1", PATH))
        return self.board

    def unplug(self) -> None:
        """Pull the plug."""
        assert self.board is not None
        self.board.is_open = False
        self.board = None
        self.ports.pull(PATH)

    def step(self, until_ns: int) -> None:
        """Move to the next thing that is due, at most to ``until_ns``, and do it."""
        board = self.board
        due = earliest(self.session.due_ns, board.due_ns if board else None, until_ns)
        assert due is not None
        self.now_ns = max(self.now_ns, due)
        if board:
            board.step()
        self.session.service(self.now_ns)

    def until(self, holds: Callable[[], object], limit_ms: int = 600_000) -> int:
        """Let time pass until something holds; return how long that took, ms."""
        began_ns = self.now_ns
        end_ns = began_ns + limit_ms * MS
        while not holds():
            assert self.now_ns < end_ns, f"not within {limit_ms} ms: {self.session.status}"
            self.step(end_ns)
        return (self.now_ns - began_ns) // MS

    def until_state(self, state: State, limit_ms: int = 600_000) -> int:
        """Let time pass until the session is in a state; return how long that took, ms."""
        return self.until(lambda: self.session.state is state, limit_ms)

    def wait_ms(self, ms: int) -> None:
        """Let time pass."""
        end_ns = self.now_ns + ms * MS
        while self.now_ns < end_ns:
            self.step(end_ns)
