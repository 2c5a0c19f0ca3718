"""A serial line for programs that open a tty: a pseudo-terminal paced by the emulated UART.

The line keeps the pseudo-terminal's master side, a program opens the other one. What it writes
leaves at the baud rate that it has set, which is read from the terminal's settings each time; one
that is not the device's comes out garbled, as on a wire. Octets that arrive while nobody has the
tty open are dropped and counted, as are those for which its buffer has no room.

A pseudo-terminal has no frames and no modem lines: character size and parity are not seen (Linux
forces 8 bits, no parity), tcdrain returns early, TIOCMGET and TIOCGICOUNT fail with ENOTTY.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hil.faces.terminal import Terminal, set_speed, speed_of
from hil.faces.uart_feed import Feed


class PtyLine:
    """The pseudo-terminal of one UART. ``present()`` is the virtual time of what a program does."""

    def __init__(self, bus: Any, present: Callable[[], int]) -> None:
        self.bus = bus
        self.counters = dict.fromkeys(("opened", "rx_unopened", "rx_overrun", "baud_changes"), 0)
        #: a program has the UART open as a stream, and the terminal is as if it were closed
        self.aside = False
        #: called when a program is seen to have the tty open that had not
        self.begins: Callable[[], None] = lambda: None
        self._was_open = False
        self.terminal = Terminal(self.counters, lambda fd: set_speed(fd, bus.baud))
        self.master, self.path = self.terminal.master, self.terminal.path
        self.is_open = self.terminal.is_open
        self._feed = Feed(bus, self.terminal.read, present, self._follow)
        bus.before_receive = self._follow

    def close(self) -> None:
        """Take the terminal away: a program that has it open reads its end."""
        self._feed.close()
        self.bus.before_receive = lambda: None
        self.terminal.close()

    def baud(self) -> int:
        """Return the rate that the terminal is set to; 0: hung up."""
        return speed_of(self.master)

    def look(self) -> None:
        """See whether a program has the tty open by now: the kernel of the host does not tell."""
        now_open = self.is_open() and not self.aside
        before, self._was_open = self._was_open, now_open
        if now_open and not before:
            self.begins()

    def _follow(self) -> None:
        """Bring the UART to the rate of the terminal."""
        self.look()
        baud = 0 if self.aside else self.baud()
        if baud and baud != self.bus.baud:
            self.bus.set_baud(baud)
            self.counters["baud_changes"] += 1

    def pump(self) -> None:
        """Take what the program has written, as far as the UART can send it now."""
        self._feed.pump()
        self.look()

    def receive(self, octets: bytes) -> None:
        """Give a program what came over the line."""
        if self.aside:
            return
        if not self.is_open():
            self.counters["rx_unopened"] += len(octets)
            return
        self.counters["rx_overrun"] += len(octets) - self.terminal.write(octets)
