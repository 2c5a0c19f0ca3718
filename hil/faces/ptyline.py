"""A serial line for programs that open a tty: a pseudo-terminal paced by the emulated UART.

The line keeps the pseudo-terminal's master side, a program opens the other one. What it writes
leaves at the baud rate that it has set, which is read from the terminal's settings each time; one
that is not the device's comes out garbled, as on a wire. Octets that arrive while nobody has the
tty open are dropped and counted, as are those for which its buffer has no room.

A pseudo-terminal has no frames and no modem lines: character size and parity are not seen (Linux
forces 8 bits, no parity), tcdrain returns early, TIOCMGET and TIOCGICOUNT fail with ENOTTY.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from hil.faces.terminal import Terminal
from hil.faces.uart_feed import Feed

#: ``struct termios2`` (asm-generic/termbits.h): four flags, line, 19 characters, two speeds
_TERMIOS2: Final = struct.Struct("4IB19s2I")
_TCGETS2: Final = 0x802C542A


class PtyLine:
    """The pseudo-terminal of one UART. ``present()`` is the virtual time of what a program does."""

    def __init__(self, bus: Any, present: Callable[[], int]) -> None:
        self.bus = bus
        self.counters = dict.fromkeys(("opened", "rx_unopened", "rx_overrun", "baud_changes"), 0)
        #: a program has the UART open as a stream, and the terminal is as if it were closed
        self.aside = False
        self.terminal = Terminal(self.counters, lambda fd: self._set_baud(fd, bus.baud))
        self.master, self.path = self.terminal.master, self.terminal.path
        self.is_open = self.terminal.is_open
        self._feed = Feed(bus, self.terminal.read, present, self._written)
        bus.before_receive = self._follow

    def close(self) -> None:
        """Take the terminal away: a program that has it open reads its end."""
        self._feed.close()
        self.bus.before_receive = lambda: None
        self.terminal.close()

    @staticmethod
    def _set_baud(fd: int, baud: int) -> None:
        """Set a terminal to any rate; BOTHER, which libc cannot read, only where it has no name."""
        settings = bytearray(_TERMIOS2.size)
        fcntl.ioctl(fd, _TCGETS2, settings)
        iflag, oflag, cflag, lflag, line, characters, _, _ = _TERMIOS2.unpack(settings)
        cflag = cflag & ~0o010017 | getattr(termios, f"B{baud}", 0o010000)
        new = _TERMIOS2.pack(iflag, oflag, cflag, lflag, line, characters, baud, baud)
        fcntl.ioctl(fd, 0x402C542B, new)

    def baud(self) -> int:
        """Return the rate that the terminal is set to; 0: hung up."""
        settings = bytearray(_TERMIOS2.size)
        fcntl.ioctl(self.master, _TCGETS2, settings)
        return int(_TERMIOS2.unpack(settings)[-1])

    def _follow(self) -> None:
        """Bring the UART to the rate of the terminal."""
        baud = 0 if self.aside else self.baud()
        if baud and baud != self.bus.baud:
            self.bus.set_baud(baud)
            self.counters["baud_changes"] += 1

    def _written(self) -> None:
        self._follow()
        self.is_open()

    def pump(self) -> None:
        """Take what the program has written, as far as the UART can send it now."""
        self._feed.pump()
        self.is_open()

    def receive(self, octets: bytes) -> None:
        """Give a program what came over the line."""
        if self.aside:
            return
        if not self.is_open():
            self.counters["rx_unopened"] += len(octets)
            return
        self.counters["rx_overrun"] += len(octets) - self.terminal.write(octets)
