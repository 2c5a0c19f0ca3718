"""What a bench for tests is asked to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.errors import UsageError
from hil.options import Options

#: who flies, besides ``package.module:function``
FLIGHTS = ("flightsw", "none", "process", "remote")
_TRANSPORTS = {"process": "ipc", "remote": "tcp"}


@dataclass(frozen=True)
class BenchOptions:
    """What a bench is asked to be; each has a default that flies at once.

    ``flight`` says who flies: ``flightsw`` (called directly), ``process`` (a process of its own),
    ``remote`` (whoever connects to ``listen`` with ``keys``), ``none``, or a function of yours that
    takes a hal, itself or as ``package.module:function``.
    """

    board: str = "raspberrypi4"
    mission: str = "tiansuan_bupt1"
    seed: int = 1
    #: how far virtual time can go; None: as far as the mission says, one orbit
    duration_s: float | None = None
    flight: str | Callable[[Any], object] = "flightsw"
    #: rows of a fault plan that the run begins with
    faults: tuple[str, ...] = ()
    #: what boards take the place of: ``PART_OR_BUS=INSTANCE[:BUS]``
    bind: tuple[str, ...] = ()
    lab: Path | None = None
    #: ``max``, ``real`` or ``xN``; None: ``real`` where a board is bound, here or in the lab file
    pace: str | None = None
    #: where ``remote`` is waited for, and the folder of its keys; None: made for this bench
    listen: str = "tcp://127.0.0.1:*"
    keys: Path | None = None
    #: how long ``remote`` may take to connect, and anybody to answer, seconds of the wall
    wall_limit_s: float = 60.0
    boards_wait_s: float = 10.0
    #: a folder to be made: ``capture.mcap`` and ``events.jsonl``; None: kept in memory until
    #: somebody asks for it
    capture: Path | None = None
    inference: str = "threshold"
    umbilical: bool = True
    #: ground says hello, loads a plan, acknowledges and repeats by itself, as in ``hil run``
    operator: bool = False
    #: what flew it, for whoever reads the capture: the name of a test
    test: str = ""

    def __post_init__(self) -> None:
        for name in ("board", "mission"):
            object.__setattr__(self, name, str(getattr(self, name)))
        for name in ("faults", "bind"):
            rows = getattr(self, name)
            object.__setattr__(self, name, (rows,) if isinstance(rows, str) else tuple(rows))
        for name in ("lab", "keys", "capture"):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else Path(given))
        if isinstance(self.flight, str) and self.flight not in FLIGHTS and ":" not in self.flight:
            known = ", ".join(FLIGHTS)
            raise UsageError(f"flight {self.flight!r}: say one of {known}, or PACKAGE.MODULE:NAME")

    @property
    def paced(self) -> str:
        """The pace that it comes to."""
        if self.pace is not None:
            return self.pace
        return "real" if self.bind or _binds(self.lab) else "max"

    @property
    def flight_name(self) -> str:
        """Who flies, in a word."""
        if isinstance(self.flight, str):
            return self.flight
        return f"{self.flight.__module__}:{getattr(self.flight, '__qualname__', '?')}"

    @property
    def as_options(self) -> Options:
        """The options of a run that is the same but for what the test does."""
        return Options(
            board=str(self.board),
            mission=str(self.mission),
            seed=self.seed,
            duration_s=self.duration_s,
            transport=_TRANSPORTS.get(self.flight_name, "direct"),
            pace=self.paced,
            inference=self.inference,
            faults=self.faults,
            lab=self.lab,
            bind=self.bind,
            boards_wait_s=self.boards_wait_s,
            stall_limit_s=self.wall_limit_s,
            umbilical=self.umbilical,
        )


def _binds(path: Path | None) -> bool:
    """Tell whether a lab file puts boards in the places of parts or buses by itself."""
    if path is None:
        return False
    # Only now: most benches have no board, and need not wait for what knows of them.
    from hil.boards.lab import load_lab

    return any(one.parts or one.buses for one in load_lab(path).instances.values())
