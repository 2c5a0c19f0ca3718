"""A rig that is put together, or thawed from one that was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.board import load_board
from hil.digest import RecordStream
from hil.faults.plan import Plan, apply
from hil.missions import load as load_mission
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


@dataclass
class Built:
    """A rig, who follows the life of what flies on it, and that, where it is part of it."""

    rig: Rig
    supervisor: Supervisor
    flight: Flight | None = None


def built(options: BenchOptions, plan: Plan, storage: Path, stream: WatchedStream) -> Built:
    """Return the rig of these options, its faults planned. Raises what building one raises."""
    rig = Rig(
        load_board(str(options.board)),
        load_mission(str(options.mission)),
        seed=options.seed,
        duration_s=options.duration_s,
        inference=options.inference,
        flight=options.flight != "none",
        stream=stream,
        umbilical=options.umbilical,
        operator=options.operator,
    )
    supervisor = Supervisor(rig)
    apply(plan, rig)
    supervisor.inject_kills(plan.kills)
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Built(rig, supervisor)
