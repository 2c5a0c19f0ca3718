"""A board asked from start to end by one who waits: what commands do once, sessions do for good.

:class:`Talk` owns a descriptor and drives a :class:`~hil.boards.link.Link` over it. It is for
identify, install and the like; a run has sessions, which wait for nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator

from hil.boards.link import Link, LinkState
from hil.boards.protocol import Event, Identity, Reply
from hil.errors import BoardError
from hil.faces.terminal import set_speed

SECOND_NS = 1_000_000_000
PIECE_NBYTES = 4096
Clock = Callable[[], int]

_WHY = {
    errno.ENOENT: "there is no such port; `hil boards list` shows those that are there",
    errno.EACCES: "permission denied; `hil boards doctor` says how to get it",
    errno.EBUSY: "another program has it; `hil boards doctor` names it",
    errno.EAGAIN: "another program has it; `hil boards doctor` names it",
    errno.ENOTTY: "this is no serial port",
    errno.EIO: "the device behind it is gone",
    errno.ENXIO: "the device behind it is gone",
}


def open_port(path: str, baud: int) -> int:
    """Open a serial port raw, for ourselves alone, at a rate; return its descriptor.

    Raises :class:`~hil.errors.BoardError` naming the port and what to do.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(termios.error):  # a port of another kind says so below
            tty.setraw(fd, termios.TCSANOW)
        set_speed(fd, baud)
        termios.tcflush(fd, termios.TCIFLUSH)  # answers to whoever had it before
    except (OSError, termios.error) as error:
        os.close(fd)
        raise _refused(path, error) from error
    return fd


def _refused(path: str, error: Exception) -> BoardError:
    code = error.args[0] if error.args else 0
    why = _WHY.get(code, os.strerror(code) if isinstance(code, int) else str(error))
    return BoardError(f"{path} cannot be opened: {why}")


class Talk:
    """A conversation over a descriptor, which stays the caller's; ``name`` is for messages."""

    def __init__(self, fd: int, name: str, clock: Clock = time.monotonic_ns) -> None:
        self.fd = fd
        self.name = name
        self.clock = clock
        self.link = Link()

    def read(self, timeout_s: float) -> bytes:
        """Return what came, at the latest after ``timeout_s``; nothing if nothing came.

        Raises BoardError when the board goes away.
        """
        if not select.select([self.fd], [], [], max(timeout_s, 0.0))[0]:
            return b""
        try:
            octets = os.read(self.fd, PIECE_NBYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self.gone(error.strerror or "unplugged") from error
        if not octets:
            raise self.gone("end of the line")
        return octets

    def write(self, octets: bytes) -> None:
        """Write everything. Raises BoardError when the board goes away."""
        while octets:
            select.select([], [self.fd], [])
            try:
                octets = octets[os.write(self.fd, octets) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self.gone(error.strerror or "unplugged") from error

    def gone(self, why: str) -> BoardError:
        """Return the error of a board that went away."""
        return BoardError(f"{self.name}: the board went away ({why}); plug it in and try again")

    def greet(self, limit_s: float = 1.5) -> Identity:
        """Open a session; raises BoardError if nobody answers in ``limit_s`` or is refused."""
        self.link.hello(self.clock(), round(limit_s * SECOND_NS))
        self._drive(lambda: self.link.state is not LinkState.GREETING)
        if self.link.state is not LinkState.OPEN or self.link.identity is None:
            raise BoardError(f"{self.name}: {self.link.reason}")
        return self.link.identity

    def ask(self, request: int, payload: bytes = b"") -> Reply:
        """Return the reply to a request. Raises BoardError if the link is lost."""
        answers: list[Reply | None] = []
        self.link.request(request, payload, answers.append, now_ns=self.clock())
        self._drive(lambda: bool(answers))
        (reply,) = answers
        if reply is None:
            raise BoardError(f"{self.name}: {self.link.reason}")
        return reply

    def events(self, until: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Yield what the board says, until ``until`` holds after something has happened."""
        said: list[Event] = []
        self.link.on_event = said.append
        while not until():
            self._step()
            yield from said
            said.clear()

    def _drive(self, done: Callable[[], bool]) -> None:
        while not done():
            self._step()

    def _step(self) -> None:
        self.write(self.link.output())
        due_ns = self.link.due_ns
        wait_s = 1.0 if due_ns is None else (due_ns - self.clock()) / SECOND_NS
        octets = self.read(min(wait_s, 1.0))
        if octets:
            self.link.feed(octets, self.clock())
        self.link.service(self.clock())
