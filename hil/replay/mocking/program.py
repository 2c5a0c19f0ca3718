"""Mock of a foreign program: the program alone under its face, on buses that answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hil.faces.host import Host
from hil.hosting import LISTENS, Ended, Face, serve
from hil.options import Options
from hil.parts import part_class
from hil.replay.flown import Flown
from hil.replay.mocking.attributes import Reads
from hil.replay.mocking.bench import MockBench
from hil.replay.mocking.inputs import Inputs
from hil.replay.mocking.wall import WallInputs
from hil.rig import Rig
from hil.time.pacing import parse_pace
from hil.world.world import World

#: What a program's computer shows of itself needs a world, if only one that stands still.
_STILL_S = 10.0
#: How often it is looked whether a line is open for which something waits, seconds.
LOOK_S = 0.002


class MockRig:
    """What the host of a program asks of a rig."""

    def __init__(self, flown: Flown, bench: MockBench) -> None:
        self.board = flown.board
        self.mission = flown.mission
        self.kernel = bench.kernel
        self.exchange = bench.exchange
        self.watch: Any = None
        factor = parse_pace(flown.options.pace) or 1.0
        self.inputs = WallInputs(bench, factor) if not bench.timed else Inputs(bench)
        self.reads = Reads(bench.recording)
        self._host: Host
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
            self.inputs.begins(values["bus"], self._host.present.now_ns())

    def attach(self, host: Host) -> None:
        """Take part in the loop of a host."""
        self._host = host
        host.attributes.known = self.reads.take
        if isinstance(self.inputs, WallInputs):
            self.inputs.look = host.look_who_has_opened
            host.look_after, host.idle_s = self._look, self._idle_s

    def _look(self) -> None:
        """See whether somebody has begun to listen on a line for whom something waits."""
        if isinstance(self.inputs, WallInputs) and self.inputs.awaits_listener:
            self._host.look_who_has_opened()

    def _idle_s(self) -> float:
        """Return how long nobody need look, seconds."""
        waits = isinstance(self.inputs, WallInputs) and self.inputs.awaits_listener
        return LOOK_S if waits else 3600.0


def run_program(flown: Flown, bench: MockBench, command: Sequence[str]) -> Ended:
    """Run a program on ``bench`` until it ends; return how."""
    options: Options = replace(flown.options, bind=(), front=(), lab=None, faults=(), plan=None)
    face = Face.of(command)
    # A mock is none, and has of one what the host of a program asks for.
    rig = MockRig(flown, bench)
    ended = serve(cast(Rig, rig), options, command, face, Path(), None, rig.attach)
    bench.unread = rig.reads.unrecorded
    return ended
