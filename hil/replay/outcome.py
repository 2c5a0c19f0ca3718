"""What a replay is asked for and what it comes to, whatever its mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

_REORDERED = (
    "but as a whole it differs: records of one topic come earlier or later among the others"
)

MOCK, RE_EXECUTE, PLAY = "mock", "re-execute", "play"


class Verdict(Protocol):
    """What a replay is judged by: in most modes that of two streams of records."""

    @property
    def identical(self) -> bool:
        """True when no record differs, but for what was declared ignorable."""

    def lines(self) -> list[str]:
        """Return the verdict as text: the first divergence, its context, counts by topic."""

    def as_json(self) -> dict[str, Any]:
        """Return the same for a program."""


@dataclass(frozen=True)
class ReplayOptions:
    """What a replay is asked for."""

    mode: str = RE_EXECUTE
    #: stop after the record of this global number
    until: int | None = None
    #: begin before the record of this global number, from the nearest snapshot
    start: int | None = None
    #: stop where this condition holds, see ``hil.replay.condition``
    break_at: str | None = None
    #: stop at every record
    step: bool = False
    #: how fast: ``max``, ``real`` or ``xN``
    pace: str = "max"
    transport: str = "direct"
    #: fields, or ``topic:field``, that may differ
    ignore: tuple[str, ...] = ()
    #: fields that may differ by an amount
    tolerate: Mapping[str, float] = field(default_factory=dict)
    #: the program behind ``--``, with its words
    program: tuple[str, ...] = ()
    #: where the new run keeps its capture; None: nowhere
    out: Path | None = None
    #: play: what is stimulated, ``ground`` or ``flight``; "": as the capture asks for
    to: str = ""
    #: play: the board to play on, by name or path; None: that of the capture
    board: str | None = None
    #: play: what is on the link of a foreign mission
    channel: Path | None = None
    #: stdout is for one JSON object: what a program says goes to stderr
    json: bool = False
    #: told, time and again, the virtual time in ns that a flight has come to
    tell: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Replayed:
    """What a replay came to."""

    mode: str
    verdict: Verdict
    virtual_s: float
    wall_s: float
    #: wall seconds that the recorded run took; None: it does not say
    flown_s: float | None = None
    #: digest, lateness, counters such as answers that were improvised
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: each topic is as recorded, and the order of records between topics is not
    reordered: bool = False

    @property
    def identical(self) -> bool:
        """Nothing differs that counts."""
        return self.verdict.identical and not self.reordered

    @property
    def exit_code(self) -> int:
        """0: identical; 1: diverged."""
        return 0 if self.identical else 1

    @property
    def speed(self) -> float | None:
        """How many times faster it was than the recorded run; None where that is not known."""
        return self.flown_s / self.wall_s if self.flown_s and self.wall_s else None

    def lines(self) -> list[str]:
        """Return what a person reads at the end."""
        took = f"replayed {self.virtual_s:.0f} s of virtual time in {self.wall_s:.2f} s"
        if self.speed is not None and self.flown_s is not None:
            ratio, way = (self.speed, "faster") if self.speed >= 1 else (1 / self.speed, "slower")
            took += f"; recorded in {self.flown_s:.2f} s: {ratio:.1f} times {way}"
        figures = [f"  {name:<24} {value}" for name, value in self.figures.items()]
        return [
            *self.verdict.lines(),
            *self._order(),
            took,
            *figures,
            *(f"note: {note}" for note in self.notes),
        ]

    def brief(self) -> list[str]:
        """Return the verdict alone: identical, or the first divergence."""
        return [*self.verdict.lines()[:1], *self._order()]

    def _order(self) -> list[str]:
        return [_REORDERED] if self.reordered else []

    def as_json(self) -> dict[str, Any]:
        """Return the object of ``hil replay --json``."""
        return {
            "mode": self.mode,
            "identical": self.identical,
            "reordered": self.reordered,
            "verdict": self.verdict.as_json(),
            "virtual_s": self.virtual_s,
            "wall_s": round(self.wall_s, 3),
            "flown_s": self.flown_s,
            "figures": dict(self.figures),
            "notes": list(self.notes),
        }
