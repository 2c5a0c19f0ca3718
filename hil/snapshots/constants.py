"""Things that a module has and that are told apart by being that very thing.

A mark such as ``object()`` means something only where it is the same one on both sides of an
``is``; a settings object that cannot change need not be kept twice. Both are kept by their name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from hil.errors import SnapshotError
from hil.snapshots.rooms import is_room

Name = tuple[str, str]
_known: dict[int, Name] = {}
_modules = 0


def is_constant(thing: Any) -> bool:
    """Tell whether a thing cannot change."""
    kind = type(thing)
    if kind is object:
        return True
    settings = getattr(kind, "__dataclass_params__", None)
    return settings is not None and settings.frozen and is_room(kind.__module__)


def name_of(thing: Any) -> Name | None:
    """Return module and name of a thing that cannot change; None: no module has it."""
    global _modules
    if _modules != len(sys.modules):
        _modules = len(sys.modules)
        _known.clear()
        _known.update((id(found), name) for name, found in _all())
    return _known.get(id(thing))


def _all() -> Iterator[tuple[Name, Any]]:
    for module, found in sorted(sys.modules.items()):
        if is_room(module) and found is not None:
            yield from _of(module, "", vars(found))


def _of(module: str, prefix: str, names: Any) -> Iterator[tuple[Name, Any]]:
    for name, thing in list(names.items()):
        if isinstance(thing, type):
            if not prefix and thing.__module__ == module:
                yield from _of(module, f"{name}.", vars(thing))
        elif is_constant(thing):
            yield (module, prefix + name), thing


def constant(module: str, name: str) -> Any:
    """Return what a module has under that name, if it cannot change."""
    if not is_room(module):
        raise SnapshotError(f"it names {module}.{name}, which is no part of a flight")
    found: Any = import_module(module)
    for part in name.split("."):
        found = vars(found).get(part)
        if not isinstance(found, type):
            break
    if name.count(".") > 1 or not is_constant(found):
        raise SnapshotError(f"it names {module}.{name}, which is no constant")
    return found
