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


def own_type(name: str = "posix", **link: Any) -> BoardType:
    """Return a board type with another serial line than its file says."""
    kind = load_type(name)
    return replace(kind, link=replace(kind.link, **link))


class Watched:
    """A session that keeps what it tells, driven by the machine's own clock."""

    def __init__(self, instance: Instance, ports: PortSource, **options: Any) -> None:
        self.told: list[Transition] = []
        self.session = Session(instance, ports, time.monotonic_ns, **options)
        self.session.on_change = self.told.append

    def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Serve the session until something holds."""
        limit_ns = time.monotonic_ns() + LIMIT_NS
        while not holds():
            now_ns = time.monotonic_ns()
            assert now_ns < limit_ns, f"{what or 'nothing came of it'}: {self.session.status}"
            self.session.service(now_ns)
            fd = self.session.fileno()
            wait_s = min(max(self.session.due_ns - time.monotonic_ns(), 0) / 1e9, 0.05)
            if not holds():
                select.select([] if fd is None else [fd], [], [], wait_s)

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
