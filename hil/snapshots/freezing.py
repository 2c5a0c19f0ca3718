"""Freezing: the whole state of a run between two steps, as octets.

What is frozen is everything that can be reached from the run: rig, supervisor, flight software and
the files of its storage. Two things stay outside and are brought along when it is thawed: the
stream of records, of which count and digest are noted, and the folder of the storage.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hil.digest import RecordStream
from hil.errors import SnapshotError
from hil.replay.stepped import Stepped
from hil.snapshots.pool import LEAST_NBYTES, Pool
from hil.snapshots.reductions import FILLS, reduction
from hil.snapshots.where import where

#: What a persistent name begins with: octets of the pool, a path in the storage, the stream.
OCTETS, STORED, STREAM = "octets", "stored", "stream"
#: Graphs are deep where one thing leads to the next: from the clock to whoever waits, and on.
_DEPTH = 20_000


@dataclass(frozen=True)
class Frozen:
    """A run between two steps. ``files`` are those of the storage: name -> key of the octets."""

    #: records made so far, and BLAKE2b-256 over them
    seq: int
    digest: bytes
    t_ns: int
    state: bytes
    files: dict[str, bytes]


class Freezer(pickle.Pickler):
    """Takes a run apart. ``storage`` is the folder of the flight software."""

    def __init__(self, file: io.BytesIO, pool: Pool, storage: Path) -> None:
        super().__init__(file, 5)
        self._pool = pool
        self._storage = storage

    def persistent_id(self, thing: Any) -> tuple[str, Any] | None:
        """Name what is kept elsewhere."""
        kind = type(thing)
        if kind is bytes:
            return (OCTETS, self._pool.put(thing)) if len(thing) >= LEAST_NBYTES else None
        if isinstance(thing, PurePath) and thing.is_relative_to(self._storage):
            return STORED, thing.relative_to(self._storage).as_posix()
        if isinstance(thing, RecordStream):
            return STREAM, None
        return None

    def reducer_override(self, thing: Any) -> Any:
        """Take apart what does not know how; refuse what is no part of a flight."""
        parts = reduction(thing)
        if parts is None:
            return NotImplemented
        if len(parts) == 2:
            return parts
        make, arguments, contents = parts
        return make, arguments, contents, None, None, FILLS[make]


def freeze(stepped: Stepped, pool: Pool) -> Frozen:
    """Return the state of a run between two steps; the run can go on.

    Large octets go into ``pool``. Raises :class:`SnapshotError` for what cannot be kept: it says
    what it is and where it hangs.
    """
    storage, stream = stepped.flight.storage, stepped.rig.stream
    digest = stream.digest()
    state = dump(stepped, pool, storage)
    files = {name: pool.put(octets) for name, octets in stored(storage)}
    return Frozen(stream.count, digest, stepped.now_ns, state, files)


def dump(root: Any, pool: Pool, storage: Path) -> bytes:
    """Return everything that ``root`` leads to as octets; large ones go into ``pool``."""
    file = io.BytesIO()
    freezer = Freezer(file, pool, storage)
    with deep():
        try:
            freezer.dump(root)
        except (SnapshotError, TypeError, AttributeError, pickle.PicklingError) as wrong:
            place = where(root, _refused, _is_closed)
            raise SnapshotError(f"cannot be frozen: {place}: {wrong}") from None
    return file.getvalue()


def _refused(thing: Any) -> bool:
    """Tell whether it is this very thing that cannot be kept."""
    if isinstance(thing, RecordStream):
        return False
    try:
        reduction(thing)
    except SnapshotError:
        return True
    return False


def _is_closed(thing: Any) -> bool:
    """Tell whether nobody looks into a thing: it stays outside, or says itself how it is kept."""
    return isinstance(thing, RecordStream) or "__getstate__" in vars(type(thing))


def stored(storage: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a storage folder by name. Raises ``SnapshotError`` for a folder in it."""
    for file in sorted(storage.iterdir()):
        if file.is_symlink() or not file.is_file():
            raise SnapshotError(f"{file}: only plain files of the storage can be kept")
        yield file.name, file.read_bytes()


@contextmanager
def deep() -> Iterator[None]:
    """Let what is taken apart be as deep as it is."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
