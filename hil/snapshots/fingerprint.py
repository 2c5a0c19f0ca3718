"""One number for the whole state of a run: equal states, equal octets, in whatever process.

Everything that can be reached from a rig is walked in one order: attributes by name, items as they
stand, members of sets by what they are. What can change is numbered when it is first met and named
by that number afterwards, so that two states are equal only if the same things are shared; what
cannot change counts by its value. Where things lie in memory, and caches of the host (handles,
sessions, ground images), play no part. Of the records made so far their number and digest count,
of the storage of the flight software its files.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path, PurePath
from types import FunctionType
from typing import Any

from hil.digest import RecordStream
from hil.errors import SnapshotError
from hil.rig import Rig
from hil.snapshots.constants import is_constant
from hil.snapshots.freezing import deep, stored
from hil.snapshots.reductions import CONSTRUCTORS, array, cell, closure, reduction, window
from hil.uut import DirectFlight

FINGERPRINT_NBYTES = 32
#: what makes things that can change, or that are told apart
_ALL_BUT_VALUES = frozenset((array, cell, closure, window))


def fingerprint(rig: Rig) -> bytes:
    """Return BLAKE2b-256 over everything that a rig between two steps leads to.

    Raises :class:`SnapshotError` for what is no part of a flight: who could say whether it is
    the same?
    """
    return fingerprint_of(rig, (rig.mission.path, str(rig.board.path)))


def fingerprint_of(thing: Any, files: tuple[str, ...] = ()) -> bytes:
    """Return BLAKE2b-256 over everything that a thing leads to; where ``files`` lie plays no
    part."""
    walk = Walk(files)
    with deep():
        walk.take(thing)
    return walk.digest()


class Walk:
    """One walk through one state. Where the ``files`` lay that it was made of plays no part."""

    def __init__(self, files: tuple[str, ...] = ()) -> None:
        self._files = tuple(file for file in files if file)
        self._hash = hashlib.blake2b(digest_size=FINGERPRINT_NBYTES)
        self._put = self._hash.update
        self._met: dict[int, int] = {}
        #: what was met lives until the end: its place in memory must not be another's
        self._alive: list[Any] = []
        self._storage: Path | None = None
        self._paths: list[PurePath] = []
        self._takes: dict[type, Callable[[Any], None]] = {
            type(None): lambda thing: self._put(b"N"),
            bool: lambda thing: self._put(b"T" if thing else b"F"),
            int: lambda thing: self._text(b"i", repr(thing)),
            float: lambda thing: self._put(b"f" + struct.pack("<d", thing)),
            str: self._str,
            bytes: lambda thing: self._octets(b"b", thing),
            tuple: lambda thing: self._items(b"t", thing),
            frozenset: lambda thing: self._members(b"Z", thing),
        }
        self._fills: dict[type, Callable[[Any], None]] = {
            list: lambda thing: self._items(b"l", thing),
            dict: lambda thing: self._pairs(b"d", thing),
            bytearray: lambda thing: self._octets(b"B", bytes(thing)),
            set: lambda thing: self._members(b"S", thing),
        }

    def digest(self) -> bytes:
        """Return the number of what was walked, and of the files that it has."""
        if self._storage is not None:
            for name, octets in stored(self._storage):
                self._text(b"n", name)
                self._octets(b"b", octets)
        for path in self._paths:
            text = path.as_posix()
            self._str(text) if text in self._files else self._text(b"p", self._relative(path))
        return self._hash.digest()

    def take(self, thing: Any) -> None:
        """Walk through a thing."""
        act = self._takes.get(type(thing))
        fill = self._fills.get(type(thing))
        if act is not None:
            act(thing)
        elif fill is not None:
            if self._new(thing):
                fill(thing)
        elif isinstance(thing, type):
            self._text(b"c", f"{thing.__module__}.{thing.__qualname__}")
        elif isinstance(thing, PurePath):
            # Where the storage lies is known at the end; where in the walk this is, now.
            self._put(b"P")
            self._paths.append(thing)
        elif isinstance(thing, RecordStream):
            self._text(b"r", f"{thing.count} {thing.digest().hex()}")
        else:
            self._take_apart(thing)

    def _take_apart(self, thing: Any) -> None:
        parts = reduction(thing)
        if parts is not None:
            if parts[0] in _ALL_BUT_VALUES and not self._new(thing):
                return
            self._call(parts[0], parts[1])
            for contents in parts[2:]:
                self.take(contents)
            return
        if isinstance(thing, FunctionType):
            raise SnapshotError(f"the function {thing.__qualname__} is no part of a flight")
        if not (is_constant(thing) or isinstance(thing, tuple)) and not self._new(thing):
            return
        if isinstance(thing, DirectFlight):
            self._storage = thing.storage
        parts = thing.__reduce_ex__(5)
        self._call(parts[0], parts[1])
        self._state(parts[2] if len(parts) > 2 else None)
        for items in parts[3:]:
            self._items(b"I", () if items is None else tuple(items))

    def _call(self, make: Any, arguments: tuple[Any, ...]) -> None:
        self._text(b"m", make.__name__ if make in CONSTRUCTORS else make.__qualname__)
        self._items(b"a", arguments)

    def _state(self, state: Any) -> None:
        """Walk through the attributes of an instance, by name."""
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, dict):
                self._put(b"A%d " % len(part))
                for name in sorted(part):
                    self._text(b"k", name)
                    self.take(part[name])
            else:
                self.take(part)

    def _new(self, thing: Any) -> bool:
        """Number a thing that can change, or name it by its number; True: it is met first."""
        number = self._met.get(id(thing))
        if number is not None:
            self._put(b"#%d " % number)
            return False
        self._met[id(thing)] = len(self._alive)
        self._alive.append(thing)
        return True

    def _text(self, mark: bytes, text: str) -> None:
        octets = text.encode("utf-8", "surrogatepass")
        self._put(mark + b"%d " % len(octets) + octets)

    def _str(self, thing: str) -> None:
        if thing.startswith(self._files):
            file = next(file for file in self._files if thing.startswith(file))
            self._text(b"@%d " % self._files.index(file), thing[len(file) :])
        else:
            self._text(b"s", thing)

    def _octets(self, mark: bytes, octets: bytes) -> None:
        self._put(mark + b"%d " % len(octets))
        self._put(octets)

    def _items(self, mark: bytes, items: Any) -> None:
        self._put(mark + b"%d " % len(items))
        take = self.take
        for item in items:
            take(item)

    def _pairs(self, mark: bytes, pairs: dict[Any, Any]) -> None:
        self._put(mark + b"%d " % len(pairs))
        take = self.take
        for key, value in pairs.items():
            take(key)
            take(value)

    def _members(self, mark: bytes, members: Any) -> None:
        """Walk through a set, whose order means nothing, by what its members are."""
        found = []
        for member in members:
            walk = Walk()
            walk.take(member)
            if walk._met:
                what = type(member).__qualname__
                raise SnapshotError(f"a set of {what}, which can change, has no order of its own")
            found.append(walk.digest())
        self._put(mark + b"%d " % len(found) + b"".join(sorted(found)))

    def _relative(self, path: PurePath) -> str:
        if self._storage is not None and path.is_relative_to(self._storage):
            return f"storage:{path.relative_to(self._storage).as_posix()}"
        return path.as_posix()
