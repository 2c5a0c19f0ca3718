"""Mock of a foreign program: the program alone under its face, on buses that answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hil.hosting import LISTENS, Face, serve
from hil.options import Options
from hil.parts import part_class
from hil.replay.flown import Flown
from hil.replay.mocking.bench import MockBench
from hil.replay.mocking.inputs import Inputs
from hil.replay.mocking.wall import WallInputs
from hil.rig import Rig
from hil.world.world import World

#: What a program's computer shows of itself needs a world, if only one that stands still.
_STILL_S = 10.0


class MockRig:
    """What the host of a program asks of a rig."""

    def __init__(self, flown: Flown, bench: MockBench) -> None:
        self.board = flown.board
        self.mission = flown.mission
        self.kernel = bench.kernel
        self.exchange = bench.exchange
        self.watch: Any = None
        self.inputs = WallInputs(bench) if not bench.timed else Inputs(bench)
        seed = flown.options.seed
        # The driver of a kernel that holds a part knows its type; the part is on no bus.
        parts = {
            spec.name: part_class(spec.type)(spec.name, seed, **spec.params)
            for spec in flown.board.parts
            if spec.kernel is not None
        }
        self.wiring = SimpleNamespace(parts=parts)
        self.world = World(flown.mission, seed, _STILL_S) if flown.board.computer else None

    def event(self, t_ns: int, source: str, severity: int, name: str, **values: Any) -> None:
        """Hear what the host has to say."""
        if name == LISTENS and isinstance(self.inputs, WallInputs):
            self.inputs.begins(values["bus"])


def run_program(flown: Flown, bench: MockBench, command: Sequence[str]) -> int:
    """Run a program on ``bench`` until it ends; return its exit code."""
    options: Options = replace(flown.options, bind=(), front=(), lab=None, faults=(), plan=None)
    face = Face.of(command)
    # A mock is none, and has of one what the host of a program asks for.
    rig = cast(Rig, MockRig(flown, bench))
    return serve(rig, options, command, face, Path()).code
