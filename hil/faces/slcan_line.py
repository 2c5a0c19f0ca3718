"""A serial CAN adapter behind a pseudo-terminal: ``/dev/ttyCAN0`` of a bench.

What it says while nobody has the tty open is dropped and counted, as are lines for which the tty
has no room: these as a whole, and one that goes in only in part has its rest as soon as the program
has read some, so that no line is ever cut. The rate of the tty means nothing, as
with an adapter on USB. An adapter stays as it is when the program closes the tty.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hil.buses.can import CANBus
from hil.faces.slcan import SlcanAdapter
from hil.faces.terminal import Terminal
from hil.time.kernel import Kernel
from hil.time.participant import FIRST_SOURCE
from hil.time.phase import Phase

_READ_NBYTES = 512


class SlcanLine:
    """The adapter of one CAN bus. ``present()`` is the virtual time of what a program does."""

    def __init__(self, kernel: Kernel, bus: CANBus, present: Callable[[], int]) -> None:
        self.adapter = SlcanAdapter(bus, self._write)
        self.adapter.more = self._more
        self.counters = self.adapter.counters
        self.counters |= {"opened": 0, "unopened": 0, "unread": 0}
        self.terminal = Terminal(self.counters)
        self.master, self.path = self.terminal.master, self.terminal.path
        #: becomes writable when there is room again: then :meth:`flush`
        self.room = os.dup(self.master)
        self._kernel = kernel
        self._present = present
        self._rest = b""  # of a line that the tty could not take as a whole

    def close(self) -> None:
        """Take the terminal away, and give the controller of the bus back."""
        self.terminal.close()
        os.close(self.room)
        self.adapter.node.device = None

    def pump(self) -> None:
        """Take what the program has written, until a frame has to wait."""
        self._pump(self._present())

    def _pump(self, t_ns: int) -> None:
        while not self.adapter.held:
            octets = self.terminal.read(_READ_NBYTES)
            self.terminal.is_open()
            if not octets:
                return
            self.adapter.feed(t_ns, octets)

    def _more(self, t_ns: int) -> None:
        # At the phase of whoever acts, not in the middle of what the bus does.
        self._kernel.at(t_ns, Phase.FLIGHT, FIRST_SOURCE, self._pump)

    def flush(self) -> None:
        """Give the program the rest of a line, as far as there is room; nobody else gets it."""
        if self._rest and not self.terminal.is_open():
            self.counters["unopened"] += 1
            self._rest = b""
        if self._rest:
            self._rest = self._rest[self.terminal.write(self._rest) :]

    def _write(self, line: bytes) -> None:
        self.flush()
        if not self.terminal.is_open():
            self.counters["unopened"] += 1
            return
        if self._rest:
            self.counters["unread"] += 1
            return
        self._rest = line[self.terminal.write(line) :]
