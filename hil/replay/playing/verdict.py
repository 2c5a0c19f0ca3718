"""What a play comes to where there is nothing to compare it with: what was delivered, and lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hil.replay.outcome import Replayed
from hil.replay.playing.stimulus import Delivered


@dataclass(frozen=True)
class Delivery:
    """The verdict of a play without recorded outputs: good when nothing was lost."""

    counts: Mapping[str, int]
    octets: Mapping[str, int]
    #: what did not arrive, by why
    lost: Mapping[str, int]

    @classmethod
    def of(cls, delivered: Delivered, lost: Mapping[str, int] | None = None) -> Delivery:
        """Return the verdict on what was delivered."""
        missing = {why: count for why, count in (lost or {}).items() if count}
        return cls(dict(delivered.counts), dict(delivered.octets), missing)

    @property
    def identical(self) -> bool:
        """True when everything recorded was delivered."""
        return not self.lost

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        total = sum(self.counts.values())
        topics = f"{len(self.counts)} topic{'s' * (len(self.counts) != 1)}"
        end = "nothing lost" if not self.lost else f"{sum(self.lost.values()):,} lost"
        found = [f"delivered {total:,} records on {topics}, {end}"]
        found += [
            f"  {topic:<24}{count:>12,} records{self.octets[topic]:>14,} octets"
            for topic, count in sorted(self.counts.items())
        ]
        return found + [f"  lost: {why:<18}{count:>12,}" for why, count in self.lost.items()]

    def as_json(self) -> dict[str, Any]:
        """Return the same for a program."""
        return {
            "delivered": dict(self.counts),
            "octets": dict(self.octets),
            "lost": dict(self.lost),
        }


@dataclass(frozen=True)
class Played(Replayed):
    """A replay in mode *play*."""

    #: what was said to this end alone, beside the figures
    told: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """Return what a person reads at the end."""
        pace = "" if not self.wall_s else f" in {self.wall_s:.2f} s"
        found = [*self.verdict.lines(), f"played {self.virtual_s:,.3f} s{pace}"]
        for name, value in self.figures.items():
            found += _figure(name, value)
        return [*found, *self.told, *(f"note: {note}" for note in self.notes)]


def _figure(name: str, value: Any, indent: str = "  ") -> list[str]:
    """Return a figure as lines, tables below their name; what is 0 or empty is left out."""
    if isinstance(value, Mapping):
        if value and not any(isinstance(one, Mapping) for one in value.values()):
            pairs = [f"{key} {_number(one)}" for key, one in value.items() if one not in (None, "")]
            return _folded(f"{indent}{name}: ", pairs)
        inner = [line for key, one in value.items() for line in _figure(key, one, indent + "  ")]
        return [f"{indent}{name}", *inner] if inner else []
    return [f"{indent}{name:<22} {_number(value)}"]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _folded(head: str, words: list[str], columns: int = 100) -> list[str]:
    """Return words behind a head, on as many lines as they need."""
    lines, line = [], head
    for nth, word in enumerate(words):
        text = word + (", " if nth + 1 < len(words) else "")
        if len(line) + len(text) > columns and line.strip():
            lines.append(line.rstrip())
            line = " " * min(len(head), 8)
        line += text
    return [*lines, line.rstrip()]
