"""The master side of a pseudo-terminal: what the bench holds where a program opens a tty."""

from __future__ import annotations

import contextlib
import os
import select
import tty
from collections.abc import Callable, MutableMapping


class Terminal:
    """A pseudo-terminal in raw mode; ``opened`` among ``counters`` tells how often it was opened.

    ``prepare(fd)`` makes further settings of the tty.
    """

    def __init__(
        self, counters: MutableMapping[str, int], prepare: Callable[[int], None] = lambda fd: None
    ) -> None:
        self.master, slave = os.openpty()
        #: what a program opens
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        prepare(slave)
        os.close(slave)
        self._counters = counters
        os.set_blocking(self.master, False)
        self._open = False
        self._poll = select.poll()
        self._poll.register(self.master, 0)

    def close(self) -> None:
        """Take the terminal away: a program that has it open reads its end."""
        os.close(self.master)

    def is_open(self) -> bool:
        """Tell whether a program has the tty open."""
        hung_up = any(flags & select.POLLHUP for _, flags in self._poll.poll(0))
        self._counters["opened"] += not hung_up and not self._open
        self._open = not hung_up
        return self._open

    def read(self, nbytes: int) -> bytes:
        """Return what a program has written; nothing: there is nothing, or nobody has it open."""
        try:
            return os.read(self.master, nbytes)
        except OSError:
            return b""

    def write(self, octets: bytes) -> int:
        """Give octets to a program; return how many of them had room."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            taken = os.write(self.master, octets)
        return taken
