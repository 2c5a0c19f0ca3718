"""Sessions under test: driven until something holds, with everything that they told."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hil.boards.boardtype import BoardType, load_type
from hil.boards.lab import Instance
from hil.boards.ports import PortSource
from hil.boards.session import Session, State, Transition

#: Nothing here takes so long; who waits in vain says for what.
LIMIT_NS = 20_000_000_000
#: A board of this computer that has not answered in this time will not.
IDLE_NS = 80_000_000


def own_type(name: str = "posix", **link: Any) -> BoardType:
    """Return a board type with another serial line than its file says."""
    kind = load_type(name)
    return replace(kind, link=replace(kind.link, **link))


class Watched:
    """A session that keeps what it tells, driven by the machine's own clock.

    ``hurry``: where nothing has come for a while, time jumps to what is due next, so that nobody
    sits through the patience of a session.
    """

    def __init__(
        self, instance: Instance, ports: PortSource, hurry: bool = False, **options: Any
    ) -> None:
        self.told: list[Transition] = []
        self._hurry, self._ahead_ns = hurry, 0
        self.session = Session(instance, ports, self.clock, **options)
        self.session.on_change = self.told.append

    def clock(self) -> int:
        """Return the time of the session."""
        return time.monotonic_ns() + self._ahead_ns

    def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Serve the session until something holds."""
        limit_ns = time.monotonic_ns() + LIMIT_NS
        while not holds():
            assert time.monotonic_ns() < limit_ns, f"{what or 'in vain'}: {self.session.status}"
            self.session.service(self.clock())
            if not holds():
                self._wait()

    def _wait(self) -> None:
        """Wait for octets or for the time that the session names, or have it be that time."""
        fd, due_ns = self.session.fileno(), self.session.due_ns
        wait_ns = max(due_ns - self.clock(), 0)
        limit_ns = IDLE_NS if self._hurry else 50_000_000
        if self._hurry and fd is None:
            limit_ns = 1  # nobody is asked anything
        readable, _, _ = select.select(
            [] if fd is None else [fd], [], [], min(wait_ns, limit_ns) / 1e9
        )
        if self._hurry and not readable and wait_ns > limit_ns:
            self._ahead_ns += max(due_ns - self.clock(), 0)

    def until_state(self, state: State) -> None:
        """Serve the session until it is in a state."""
        self.until(lambda: self.session.state is state, f"never {state.value}")

    @property
    def states(self) -> list[State]:
        """The states that were entered, in order, each change of reason left out."""
        return [step.after for step in self.told if step.after is not step.before]

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self.session.close()
