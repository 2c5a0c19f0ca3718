"""A board asked from start to end by one who waits: what commands do once, sessions do for good.

:class:`Talk` owns a descriptor and drives a :class:`~hil.boards.link.Link` over it. It is for
identify, install and the like; a run has sessions, which wait for nothing.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator

from hil.boards.boardtype import BoardType, LinkSpec
from hil.boards.identity import PortInfo
from hil.boards.link import Link, LinkState
from hil.boards.opening import open_port
from hil.boards.protocol import Event, Identity, Reply, Space, log_text
from hil.boards.spaces import read_space
from hil.errors import BoardError

SECOND_NS = 1_000_000_000
PIECE_NBYTES = 4096
Clock = Callable[[], int]
HELLO_S = 1.5
#: events that wait to be asked for; older ones are forgotten
EVENTS_KEPT = 256
#: of the text that a board keeps about itself
ABOUT_NBYTES = 1024
#: of a port of which nothing is known
_PLAIN = LinkSpec("hilwire", 115200, 115200, (115200,), "none", 0.0, False)


def open_talk(path: str, kind: BoardType | None = None, baud: int | None = None) -> Talk:
    """Open a port as boards of a type want it and return a conversation over it; close it.

    Raises :class:`~hil.boards.opening.PortError` naming the port and what to do.
    """
    usual = kind.link if kind else _PLAIN
    port = open_port(PortInfo(path), usual, baud or usual.baud)
    return Talk(port.fd, path, boot_wait_s=usual.boot_wait_s)


class Talk:
    """A conversation over a descriptor, which is its own; ``name`` is for messages."""

    def __init__(
        self, fd: int, name: str, clock: Clock = time.monotonic_ns, boot_wait_s: float = 0.0
    ) -> None:
        self.fd = fd
        self.name = name
        self.clock = clock
        self.boot_wait_s = boot_wait_s
        self.link = Link()
        self._said: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.link.on_event = self._said.append

    def close(self) -> None:
        """Close the port."""
        os.close(self.fd)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

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

    def greet(self, limit_s: float = HELLO_S) -> Identity:
        """Open a session; raises BoardError if nobody answers in ``limit_s`` or is refused.

        A board that was reset by opening its port gets the time of its boot loader on top.
        """
        self.link.hello(self.clock(), round((limit_s + self.boot_wait_s) * SECOND_NS))
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

    def about(self) -> str:
        """Return the text that the board keeps about itself, '' where it has none.

        Raises BoardError if the link is lost.
        """
        answers: list[bytes | None] = []
        read_space(
            self.link, Space.DESCRIPTION, 0, ABOUT_NBYTES, lambda _, text: answers.append(text)
        )
        self._drive(lambda: bool(answers))
        (text,) = answers
        if text is None:
            raise BoardError(f"{self.name}: {self.link.reason}")
        return "\n".join(map(log_text, text.strip().splitlines()))

    def events(self, until: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Yield what the board says, from the opening on, until ``until`` holds."""
        while not until():
            while self._said:
                yield self._said.popleft()
            self._step()

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
