"""The capture of a test, written when it is known that somebody wants it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hil.testing.bench import Bench

NAME: Final = "capture.mcap"


def batches(bench: Bench) -> Sequence[bytes]:
    """Return every record of a bench until now: whole records, many at a time."""
    stream: Any = bench.emulation.stream
    stream.flush()
    kept: list[bytes] = stream.kept
    return kept


def save(bench: Bench, folder: Path) -> Path:
    """Write what a bench that is closed has recorded into ``folder``, in the place of an older one.

    Raises ``RunDirectoryError`` where the disk does not take it.
    """
    return bench.keep(folder) / NAME
