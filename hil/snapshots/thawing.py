"""Thawing: a frozen run put together again, to go on as it would have.

The octets are read by a machine that can do less than Python's: it makes instances of classes of
the rooms that fly (:mod:`hil.snapshots.rooms`) without running any code of theirs but what says how
they are kept (``__setstate__``), and calls nothing but the constructors of
:mod:`hil.snapshots.reductions`.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from flightsw.codec.errors import FlatsatError
from hil.digest import RecordStream
from hil.errors import SnapshotError
from hil.replay.stepped import Stepped
from hil.snapshots import reductions
from hil.snapshots.freezing import OCTETS, STORED, STREAM, Frozen
from hil.snapshots.pool import Pool
from hil.snapshots.rooms import is_admitted, named

_CONSTRUCTORS = {(made.__module__, made.__name__): made for made in reductions.CONSTRUCTORS}
#: classes of others that a snapshot may call
_CALLED: frozenset[Any] = frozenset(
    named(module, name, type)
    for module, names in {
        "builtins": ("bytearray", "complex", "frozenset", "set", "slice", "range"),
        "collections": ("Counter", "OrderedDict", "deque", "defaultdict"),
        "datetime": ("date", "datetime", "timedelta", "timezone"),
    }.items()
    for name in names
)
_LISTS = (list, deque, bytearray)
_READ = pickle._Unpickler.dispatch


class Names:
    """What names in a frozen run mean. ``stream`` and ``storage`` take the places of those it
    had."""

    def __init__(self, file: io.BytesIO, pool: Pool, storage: Path, stream: RecordStream) -> None:
        super().__init__(file)  # type: ignore[call-arg]  # what reads stands behind it
        self.nbytes = len(file.getbuffer())
        self._pool = pool
        self._storage = storage
        self._stream = stream

    def find_class(self, module: str, name: str) -> Any:
        """Return a constructor of ours, or a class of the rooms that fly."""
        return _CONSTRUCTORS.get((module, name)) or named(module, name, type)

    def persistent_load(self, name: Any) -> Any:
        """Return what is kept elsewhere."""
        kind, key = name
        if kind == OCTETS:
            return self._pool.get(key)
        if kind == STORED:
            return inside(self._storage, key)
        if kind == STREAM:
            return self._stream
        raise SnapshotError(f"it names {kind!r}, which is nothing that is kept")


class Thawer(Names, pickle._Unpickler):
    """Reads one frozen run, whoever has made it."""

    dispatch: ClassVar[dict[int, Any]] = dict(_READ)


def inside(storage: Path, name: str) -> Path:
    """Return a file of the storage folder, or the folder; ``SnapshotError`` for any other."""
    if name != Path(name).as_posix() or len(Path(name).parts) > 1 or name in ("..", "/"):
        raise SnapshotError(f"it names {name!r} as a file of the storage")
    return storage / name


def _guard(code: bytes, check: Callable[[Any], None]) -> None:
    """Look at what an instruction is about to do."""
    act = _READ[code[0]]

    def guarded(thawer: Any) -> None:
        check(thawer)
        act(thawer)

    Thawer.dispatch[code[0]] = guarded


def _calls(thawer: Any) -> None:
    called = thawer.stack[-2]
    if called not in reductions.CONSTRUCTORS and called not in _CALLED:
        raise SnapshotError(f"it calls {called!r}")


def _makes(depth: int) -> Callable[[Any], None]:
    def check(thawer: Any) -> None:
        made = thawer.stack[-depth]
        if not isinstance(made, type) or not is_admitted(made):
            raise SnapshotError(f"it makes a {made!r}")

    return check


def _fills(thawer: Any) -> None:
    kind = type(thawer.stack[-2])
    if issubclass(kind, type) or not is_admitted(kind):
        raise SnapshotError(f"it sets the state of a {kind.__qualname__}")


def _appends(one: bool) -> Callable[[Any], None]:
    def check(thawer: Any) -> None:
        things = thawer.stack[-2] if one else thawer.metastack[-1][-1]
        if not isinstance(things, _LISTS):
            raise SnapshotError(f"it appends to a {type(things).__qualname__}")

    return check


def _sets(one: bool) -> Callable[[Any], None]:
    def check(thawer: Any) -> None:
        things = thawer.stack[-3] if one else thawer.metastack[-1][-1]
        if not isinstance(things, dict):
            raise SnapshotError(f"it sets items of a {type(things).__qualname__}")

    return check


def _adds(thawer: Any) -> None:
    if not isinstance(thawer.metastack[-1][-1], set):
        raise SnapshotError("it adds to what is no set")


def _bytearray(thawer: Any) -> None:
    """Read octets that can be written to; no more room is made than there are octets."""
    (count,) = struct.unpack("<Q", thawer.read(8))
    if count > thawer.nbytes:
        raise SnapshotError(f"it names {count} octets and has {thawer.nbytes}")
    thawer.append(bytearray(thawer.read(count)))


Thawer.dispatch[pickle.BYTEARRAY8[0]] = _bytearray
_guard(pickle.REDUCE, _calls)
_guard(pickle.NEWOBJ, _makes(2))
_guard(pickle.NEWOBJ_EX, _makes(3))
_guard(pickle.BUILD, _fills)
_guard(pickle.APPEND, _appends(True))
_guard(pickle.APPENDS, _appends(False))
_guard(pickle.SETITEM, _sets(True))
_guard(pickle.SETITEMS, _sets(False))
_guard(pickle.ADDITEMS, _adds)
for _code in (
    *(pickle.GLOBAL, pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4),
    *(pickle.PERSID, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
):
    del Thawer.dispatch[_code[0]]


class OwnThawer(Names, pickle.Unpickler):
    """Reads what this very process has frozen: several times as fast, and as free as Python."""


def thaw(
    frozen: Frozen, pool: Pool, storage: Path, stream: RecordStream, own: bool = False
) -> Stepped:
    """Return the run as it was frozen, on another storage folder and another stream.

    ``storage`` is filled with the files that were there; it must be empty. ``stream`` is primed
    with what was recorded before (see :func:`hil.snapshots.priming.primed`). ``own``: this very
    process has frozen it, and nobody has had it since. Raises :class:`SnapshotError` for octets
    that are no frozen run.
    """
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, key in frozen.files.items():
        inside(storage, name).write_bytes(pool.get(key))
    stepped = load(frozen.state, pool, storage, stream, own)
    if not isinstance(stepped, Stepped):
        raise SnapshotError("a snapshot cannot be used: it holds no run")
    return stepped


def load(octets: bytes, pool: Pool, storage: Path, stream: RecordStream, own: bool = False) -> Any:
    """Return what :func:`hil.snapshots.freezing.dump` took apart; raises ``SnapshotError``."""
    kind = OwnThawer if own else Thawer
    try:
        return kind(io.BytesIO(octets), pool, storage, stream).load()
    except (SnapshotError, FlatsatError) as wrong:
        raise SnapshotError(f"a snapshot cannot be used: {wrong}") from None
    except (pickle.UnpicklingError, EOFError, *_BROKEN) as wrong:
        what = f"{type(wrong).__name__}: {wrong}"
        raise SnapshotError(f"a snapshot cannot be used: it is damaged ({what})") from None


#: what reading damaged octets ends in
_BROKEN = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
