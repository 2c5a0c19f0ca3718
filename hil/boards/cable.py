"""The virtual cable: a tty on one side, one end of a socket pair on the other, a line between.

Emulated boards talk over a socket pair; programs open a tty. :class:`Cable` owns the tty (a
pseudo-terminal) and does to the octets what a real line does and a socket does not: it keeps to
the line rate by absolute time, damages, loses and doubles octets from a seed, delays them, and
hangs up the tty when it is unplugged. Replugged, it has a new tty, of another name while the old
one is still open somewhere, as Linux does with ``ttyACM0``. The rate that a program has set is read
from its tty, and one that is not the board's comes out as garbage, both ways. What arrives while
nobody has the tty open is lost, as on a USB bridge; all is counted.

Two ways to run it: a caller's loop waits for :meth:`Cable.fileno` or :attr:`Cable.due_ns` and calls
:meth:`Cable.service`; or :meth:`Cable.start` has a thread do that.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hil.boards.line import LinePair, Trouble
from hil.errors import UsageError
from hil.faces.terminal import Terminal, set_speed, speed_of

#: Octets read at a time, and how many may be on the way before nobody reads any more.
PIECE_NBYTES, ROOM_NBYTES = 4096, 16384
#: Octets handed over at a time while they come in, as a USB bridge and a receive FIFO do.
GRAIN: Final = 16
#: A tty that nobody has set has this rate.
TTY_BAUD: Final = 38400


class Cable:
    """A virtual cable. ``fd`` is our end of the socket pair; it is the cable's from now on.

    ``baud``: rate of the board; 0: no line rate, and no rate is wrong. ``board_paces``: the
    emulator already keeps the rate of what it sends. ``clock``: monotonic, nanoseconds.
    """

    def __init__(
        self,
        fd: int | socket.socket,
        baud: int = 0,
        seed: int = 1,
        trouble: Trouble | None = None,
        board_paces: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if baud < 0:
            raise UsageError(f"{baud} baud: give the rate of the board, or 0 for none")
        self.clock = clock
        self.lines = LinePair(baud, seed, trouble, GRAIN)
        self._board_baud = baud
        self.lines.to_host.is_paced = not board_paces
        self._counters = dict.fromkeys(
            ("opened", "unplugged", "replugged", "rx_unopened", "rx_overrun", "board_gone"), 0
        )
        self._terminal: Terminal | None = None
        self._poll = select.epoll()
        self._to_tty = b""  # what the tty had no room for
        self._to_fd = b""
        self._tty_ready = self._fd_ready = True
        self._fd = -1
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)
        self._take_fd(fd)
        self._plug()

    # --- what a user does -------------------------------------------------------------------------

    @property
    def port(self) -> str | None:
        """The path of the tty; None: unplugged."""
        return self._terminal.path if self._terminal else None

    @property
    def counters(self) -> Mapping[str, int]:
        """Everything that was carried, damaged, lost, and how often it was plugged and opened."""
        return {**self._counters, **self.lines.counters}

    @property
    def baud(self) -> int:
        """The rate of the board; 0: no line rate. Set it where the board changes its own."""
        return self._board_baud

    @baud.setter
    def baud(self, baud: int) -> None:
        with self._changing():
            self._board_baud = baud

    @property
    def trouble(self) -> Trouble:
        """What both directions do to octets; ``lines.to_board`` and ``to_host`` may differ."""
        return self.lines.to_board.trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        with self._changing():
            self.lines.to_board.trouble = trouble
            self.lines.to_host.trouble = trouble

    def unplug(self) -> None:
        """Hang up the tty: who has it open reads its end, and it is gone from the file system."""
        with self._changing():
            if self._terminal is not None:
                self._counters["unplugged"] += 1
                self._hang_up()

    def replug(self, fd: int | socket.socket | None = None) -> str:
        """Plug in again, behind it a new board if ``fd`` is given; return the path of the tty."""
        with self._changing():
            if self._terminal is not None:
                raise UsageError(f"the cable at {self.port} is plugged in: unplug it first")
            if fd is not None:
                self._drop_fd()
                self._take_fd(fd)
            self._counters["replugged"] += 1
            return self._plug()

    def close(self) -> None:
        """Hang up, end the thread and close the socket. May be called twice."""
        with self._changing():
            self._closing = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._poll.closed:
            return
        self._hang_up()
        self._drop_fd()
        self._poll.close()
        os.close(self._wake)
        os.close(self._wakes)

    def __enter__(self) -> Cable:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the loop while something changes, and wake it."""
        with self._lock:
            yield
            if not self._poll.closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wakes, b"\0")

    # --- both ends --------------------------------------------------------------------------------

    def _take_fd(self, fd: int | socket.socket) -> None:
        self._fd = fd.detach() if isinstance(fd, socket.socket) else fd
        os.set_blocking(self._fd, False)
        self._poll.register(self._fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self._fd_ready = True

    def _drop_fd(self) -> None:
        if self._fd >= 0:
            self._poll.unregister(self._fd)
            os.close(self._fd)
            self._fd, self._fd_ready, self._to_fd = -1, False, b""

    def _plug(self) -> str:
        baud = self._board_baud or TTY_BAUD
        self._terminal = Terminal(self._counters, lambda fd: set_speed(fd, baud))
        # By edges: a tty that nobody has open is hung up all the time, and tells of it once.
        self._poll.register(
            self._terminal.master, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
        )
        self._tty_ready = True
        return self._terminal.path

    def _hang_up(self) -> None:
        if self._terminal is None:
            return
        self._poll.unregister(self._terminal.master)
        self._terminal.close()
        self._terminal = None
        now_ns = self.clock()
        for line in (self.lines.to_board, self.lines.to_host):
            line.cut(now_ns)
        self.lines.to_host.counters["lost_unplugged"] += len(self._to_tty)
        self._to_tty, self._tty_ready = b"", False

    # --- the loop ---------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to do."""
        return self._poll.fileno()

    @property
    def due_ns(self) -> int | None:
        """When :meth:`service` is to be called though nothing is readable."""
        return self.lines.due_ns

    def service(self, now_ns: int) -> None:
        """Read both ends, carry what is due, write it; never waits."""
        with self._lock:
            if self._poll.closed:
                return
            for fd, _ in self._poll.poll(0):
                if fd == self._wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, PIECE_NBYTES)
                elif fd == self._fd:
                    self._fd_ready = True
                else:
                    self._tty_ready = True
            while self._carry(now_ns):
                pass

    def _carry(self, now_ns: int) -> bool:
        """Move what can be moved; return whether there is more, and room for it, at once."""
        down, up = self.lines.to_board, self.lines.to_host
        self._read_tty(now_ns)
        self._match_rates()
        self._read_fd(now_ns)
        self._write_fd(down.take(now_ns))
        self._write_tty(up.take(now_ns))
        return (self._tty_ready and down.pending + len(self._to_fd) < ROOM_NBYTES) or (
            self._fd_ready and up.pending + len(self._to_tty) < ROOM_NBYTES
        )

    def _match_rates(self) -> None:
        """Give both directions the rates of their ends as they are now."""
        board, host = self._board_baud, self._board_baud
        if board and self._terminal is not None:
            host = speed_of(self._terminal.master) or board
        down, up = self.lines.to_board, self.lines.to_host
        down.baud, down.read_baud = host, board
        up.baud, up.read_baud = board, host

    def _read_tty(self, now_ns: int) -> None:
        while self._terminal is not None and self._tty_ready:
            if self.lines.to_board.pending + len(self._to_fd) >= ROOM_NBYTES:
                return  # the program waits in its write, as for a line that is slower than it
            octets = self._terminal.read(PIECE_NBYTES)
            # After the octets: a program sets the rate first, and then writes.
            self._match_rates()
            if not octets:
                self._tty_ready = False
            elif self._fd < 0:
                self._counters["board_gone"] += len(octets)
            else:
                self.lines.to_board.put(octets, now_ns)

    def _read_fd(self, now_ns: int) -> None:
        line = self.lines.to_host
        while self._fd >= 0 and self._fd_ready:
            if line.pending + len(self._to_tty) >= ROOM_NBYTES:
                return
            try:
                octets = os.read(self._fd, PIECE_NBYTES)
            except BlockingIOError:
                self._fd_ready = False
                return
            except ConnectionError:
                octets = b""
            if (
                not octets
            ):  # the emulator has ended: its port goes, as that of a board without power
                self._drop_fd()
                self._counters["board_gone"] += 1
                self._hang_up()
            elif self._terminal is None:
                line.counters["lost_unplugged"] += len(octets)
            else:
                line.put(octets, now_ns)

    def _write_fd(self, octets: bytes) -> None:
        self._to_fd += octets
        if self._fd < 0 or not self._to_fd:
            return
        try:
            self._to_fd = self._to_fd[os.write(self._fd, self._to_fd) :]
        except BlockingIOError:
            return  # an edge tells when there is room
        except ConnectionError:
            self._fd_ready = True  # and reading finds out the rest

    def _write_tty(self, octets: bytes) -> None:
        if self._terminal is None:
            return
        self._to_tty += octets
        if not self._to_tty:
            return
        if not self._terminal.is_open():
            self._counters["rx_unopened"] += len(self._to_tty)
            self._to_tty = b""
            return
        taken = self._terminal.write(self._to_tty)
        self._to_tty = self._to_tty[taken:]
        if self._board_baud and self._to_tty:  # a line does not wait for whoever does not read
            self._counters["rx_overrun"] += len(self._to_tty)
            self._to_tty = b""

    # --- the thread -------------------------------------------------------------------------------

    def start(self) -> Cable:
        """Have a thread do the work until :meth:`close`; return the cable."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="virtual cable", daemon=True)
            self._thread.start()
        return self

    def run(self) -> None:
        """Do the work in the thread of the caller, until another closes the cable."""
        while True:
            self.service(self.clock())
            if self._closing:  # asked here, behind the service that has read the wake-up
                return
            due_ns = self.due_ns
            wait_s = None if due_ns is None else max(due_ns - self.clock(), 0) / 1e9
            # select alone takes a timeout in microseconds; epoll rounds to milliseconds.
            select.select([self._poll.fileno()], [], [], wait_s)
