"""When time may pass: no thread of a program can run, and no octets are on their way to or from it.

Three things are not seen at once. A thread that waits in slices of the wall's time may not have
noticed yet that it is time. Octets that go through a pseudo-terminal are moved by the kernel of the
host when it likes. And who is woken by another thread says so only when it runs.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Sequence

from hil.faces.proctree import ASLEEP, ProcessTree
from hil.faces.terminal import Terminal

#: A thread that should have looked, and has not run for so long, waits for another one.
_UNSEEING_S = 0.02
#: What the kernel may take to move octets through a terminal: as a rule, and at most.
_TERMINAL_S, _TERMINAL_MOST_S = 100e-6, 5e-3


class Stillness:
    """What is known of the threads of a program, by their numbers, and of its terminals."""

    def __init__(self, terminals: Sequence[Terminal]) -> None:
        #: the threads of the program; None until there is one
        self.program: ProcessTree | None = None
        #: threads that have said what they wait for
        self.waiting: set[int] = set()
        #: those of them that others may wake, too
        self.hearing: set[int] = set()
        #: threads that it is time for, but that have not seen it: (how often they had run, since)
        self.unseeing: dict[int, tuple[int, float]] = {}
        #: somebody has run since terminals were last looked at
        self.ran = False
        self._terminals = terminals
        self._delivering: dict[Terminal, float] = {}

    def brings(self, terminal: Terminal) -> None:
        """Note that octets are about to go to a program."""
        self._delivering[terminal] = time.monotonic()

    def threads(self, running: Iterable[int]) -> bool | None:
        """Tell whether no thread can run; None: so it is, but some wait unseen.

        ``running``: those that have not said that they wait; one that is not of the program as far
        as it is known holds time as long as it is among them.
        """
        seen = () if self.program is None else self.program.tasks
        if any(tid not in seen for tid in running):
            return False
        if any(self._may_see(tid) for tid in list(self.unseeing)):
            return False
        return self.program is None or self.program.at_rest(self.waiting, self.hearing)

    def _may_see(self, tid: int) -> bool:
        """Tell whether a thread that it is time for will see that by itself."""
        task = None if self.program is None else self.program.tasks.get(tid)
        state, count = (b"", 0) if task is None else task.look()
        before, since_s = self.unseeing[tid]
        if state and (count != before or state != ASLEEP):
            self.unseeing[tid] = (count, time.monotonic())
            return True
        if state and time.monotonic() - since_s < _UNSEEING_S:
            return True
        del self.unseeing[tid]
        return False

    def octets(self, asking: select.epoll) -> bool:
        """Tell whether octets are still on their way through a terminal, to or from a program.

        ``asking`` becomes ready when the bench gets some.
        """
        now_s = time.monotonic()
        for terminal, since_s in list(self._delivering.items()):
            if now_s - since_s < _TERMINAL_MOST_S and not terminal.delivered():
                return True
            del self._delivering[terminal]
        if not self.ran or not any(terminal.in_use for terminal in self._terminals):
            return False
        self.ran = False
        return bool(select.select([asking], [], [], _TERMINAL_S)[0])
