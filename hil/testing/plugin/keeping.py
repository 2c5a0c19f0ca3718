"""The capture of a test, written when it is known that somebody wants it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.testing.bench import Bench

NAME: Final = "capture.mcap"


def save(bench: Bench, folder: Path) -> Path:
    """Write what a bench that is closed has recorded into ``folder``, in the place of an older one.

    Raises ``RunDirectoryError`` where the disk does not take it.
    """
    return bench.keep(folder) / NAME
