"""The parts of one run that boards play on real wires (:mod:`hil.boards.frontend`)."""

from __future__ import annotations

import math
from typing import Any

from hil.boards.binding import Binding
from hil.boards.frontend import Face, FrontEnd
from hil.boards.station import BoardStation
from hil.rig import SECOND, Rig

#: How often the parts are looked at for what the world has changed, seconds.
PERIOD_S = 0.02


class Fronts:
    """The front ends of a rig, one a board."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._of: dict[str, FrontEnd] = {}
        self._faces: dict[str, tuple[FrontEnd, Face]] = {}
        self._due_ns = 0

    @property
    def period_s(self) -> float:
        """How long :meth:`refresh` may wait, seconds."""
        return PERIOD_S if self._faces else math.inf

    def put(self, binding: Binding, station: BoardStation) -> None:
        """Have a board play a part. Raises ``ConfigError`` for one that cannot be played."""
        assert binding.part is not None
        rig = self._rig
        front = self._of.get(station.name)
        if front is None:
            front = self._of[station.name] = FrontEnd(station, rig.exchange.transactor)
            rig.exchange.counted[f"front.{station.name}"] = front.counters
        lane = rig.exchange.lanes[rig.board.bus(binding.bus).index]
        part = rig.wiring.parts[binding.part.name]
        face = front.serve(part, lane, binding.part.address, binding.behind.index)
        self._faces[binding.name] = front, face

    def take(self, name: str) -> None:
        """Have a part played no more."""
        front, face = self._faces.pop(name)
        front.release(face)

    def refresh(self, now_ns: int) -> None:
        """Push what the world has changed, if it is time; ``now_ns`` is the time of the wall."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + round(PERIOD_S * SECOND)
        for front in self._of.values():
            front.refresh(self._rig.kernel.now_ns, now_ns)

    def as_json(self) -> list[dict[str, Any]]:
        """Return what was played, and what came of it, for run.json and the report."""
        return [
            {
                "board": name,
                "parts": [face.part.name for face in front.faces],
                "left_out": {
                    face.part.name: face.left_out for face in front.faces if face.left_out
                },
                "counters": dict(front.counters),
            }
            for name, front in self._of.items()
        ]
