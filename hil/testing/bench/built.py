"""A rig that is put together, or thawed from one that was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hil.board import Board, load_board
from hil.digest import RecordStream
from hil.faults.plan import Plan, apply
from hil.missions import load as load_mission
from hil.missions.mission import Mission
from hil.rig import Rig
from hil.supervisor import Flight, Supervisor
from hil.testing.bench.options import BenchOptions


class WatchedStream(RecordStream):
    """A stream that keeps its records, and tells of each as it is made."""

    __slots__ = ("kept", "told")

    def __init__(self) -> None:
        #: whole records, many at a time
        self.kept: list[bytes] = []
        #: told of each record; None: nobody wants to know
        self.told: Callable[[bytes], None] | None = None
        super().__init__(self.kept.append)

    def record(self, *record: Any) -> bytes:
        """Number, pack and keep one record; return its octets."""
        octets = super().record(*record)
        if self.told is not None:
            self.told(octets)
        return octets


@cache
def _board(place: str, stamp: tuple[int, int]) -> Board:
    """Return a board file; one is read once a process, for reading takes longer than building."""
    return load_board(place)


@cache
def _mission(place: str, stamp: tuple[int, int]) -> Mission:
    return load_mission(place)


def _stamp(place: str) -> tuple[int, int]:
    """Return what changes with a file; of what is named, no path, nothing does."""
    if not place.endswith(".toml"):
        return 0, 0
    with suppress(OSError):
        found = Path(place).stat()
        return found.st_mtime_ns, found.st_ino
    return 0, 0


@dataclass
class Built:
    """A rig, who follows the life of what flies on it, and that, where it is part of it."""

    rig: Rig
    supervisor: Supervisor
    flight: Flight | None = None


def built(options: BenchOptions, plan: Plan, storage: Path, stream: WatchedStream) -> Built:
    """Return the rig of these options, its faults planned. Raises what building one raises."""
    rig = Rig(
        _board(options.board, _stamp(options.board)),
        _mission(options.mission, _stamp(options.mission)),
        seed=options.seed,
        duration_s=options.duration_s,
        inference=options.inference,
        flight=options.flight != "none",
        stream=stream,
        umbilical=options.umbilical,
        operator=options.operator,
    )
    # Nobody cuts the power of this host: what the software has written is there when it looks.
    rig.exchange.identity["config"]["fsync"] = False
    supervisor = Supervisor(rig)
    apply(plan, rig)
    supervisor.inject_kills(plan.kills)
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Built(rig, supervisor)
