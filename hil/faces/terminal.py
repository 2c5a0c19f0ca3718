"""The master side of a pseudo-terminal: what the bench holds where a program opens a tty."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import termios
import tty
from collections.abc import Callable, MutableMapping
from typing import Final

#: ``struct termios`` of the kernel (asm-generic/termbits.h): four flags, line, 19 characters; and
#: ``struct termios2``, which has two speeds besides
_TERMIOS: Final = struct.Struct("4IB19s")
_TERMIOS2: Final = struct.Struct("4IB19s2I")
_TCGETS2: Final = 0x802C542A
_TCSETS2: Final = 0x402C542B
_CBAUD, _BOTHER = 0o010017, 0o010000
#: rate in baud -> its name among the flags, which every system knows; and the other way round
_NAMED: Final = {
    int(name[1:]): getattr(termios, name) for name in dir(termios) if re.fullmatch(r"B\d+", name)
}
_RATES: Final = {name: baud for baud, name in _NAMED.items()}


def set_speed(fd: int, baud: int) -> None:
    """Set a terminal to any rate; BOTHER, which libc cannot read, only where it has no name."""
    named = baud in _NAMED
    form, get, put = (_TERMIOS, termios.TCGETS, termios.TCSETS)
    if not named:
        form, get, put = (_TERMIOS2, _TCGETS2, _TCSETS2)
    settings = bytearray(form.size)
    fcntl.ioctl(fd, get, settings)
    iflag, oflag, cflag, *others = form.unpack(settings)
    cflag = cflag & ~_CBAUD | _NAMED.get(baud, _BOTHER)
    if not named:
        others[-2:] = [baud, baud]
    fcntl.ioctl(fd, put, form.pack(iflag, oflag, cflag, *others))


def speed_of(fd: int) -> int:
    """Return the rate in baud of a terminal, or of the one behind a master; 0: hung up."""
    settings = bytearray(_TERMIOS.size)
    fcntl.ioctl(fd, termios.TCGETS, settings)
    name = _TERMIOS.unpack(settings)[2] & _CBAUD
    if name != _BOTHER:
        return _RATES[name]
    settings = bytearray(_TERMIOS2.size)
    fcntl.ioctl(fd, _TCGETS2, settings)
    return int(_TERMIOS2.unpack(settings)[-1])


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
        #: called before a program is given octets
        self.announce: Callable[[], None] = lambda: None
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
        self.announce()
        taken = 0
        with contextlib.suppress(BlockingIOError):
            taken = os.write(self.master, octets)
        return taken

    def delivered(self) -> bool:
        """Tell whether octets lie where a program finds them; the kernel takes its time."""
        return self.unread() > 0

    def unread(self) -> int:
        """Return how many octets lie there for a program; 0 where one has it for itself."""
        try:
            tty_fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # a program has it for itself
            return 0
        try:
            return int.from_bytes(fcntl.ioctl(tty_fd, termios.FIONREAD, bytes(4)), "little")
        finally:
            os.close(tty_fd)

    @property
    def in_use(self) -> bool:
        """A program had it open when that was last looked at."""
        return self._open
