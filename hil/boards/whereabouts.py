"""Where a board is that a user names: by a port, or by its id in the lab file."""

from __future__ import annotations

from dataclasses import dataclass

from hil.boards.boardtype import BoardType
from hil.boards.lab import Instance, load_lab


@dataclass(frozen=True)
class Place:
    """The port of a board; ``instance`` where the lab file names it."""

    path: str
    instance: Instance | None = None

    @property
    def kind(self) -> BoardType | None:
        """The type of the board, where it is known."""
        return self.instance.type if self.instance else None


def find(name: str, lab: str | None = None) -> Place:
    """Return where the board is that ``name`` means: a path, or an instance of the lab.

    Raises :class:`~hil.errors.ConfigError` for an unknown instance.
    """
    if "/" in name:
        return Place(name)
    instance = load_lab(lab).instance(name)
    return Place("", instance)
