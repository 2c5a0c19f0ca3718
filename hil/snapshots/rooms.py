"""What a snapshot may name: the rooms that fly, and a few types of Python and NumPy.

Whoever loads a snapshot gives its author the say over which of these are put together, and how. So
only what flies is admitted: no face, no board, no command. That keeps loading from running code; it
does not keep a run that goes on from doing what its parts can do, which is why snapshots are sealed
(:mod:`hil.snapshots.sealing`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any

from hil.errors import SnapshotError

#: Modules and packages whose classes and functions may be in the state of a run.
ROOMS = (
    *("flightsw", "hil.board", "hil.boardparts", "hil.buses", "hil.camera", "hil.channel"),
    *("hil.config", "hil.digest", "hil.docket", "hil.errors", "hil.exchange", "hil.faults"),
    *("hil.fitting", "hil.ground", "hil.missions", "hil.observing", "hil.options"),
    *("hil.parts", "hil.replay.stepped", "hil.replay.watching", "hil.rig", "hil.series"),
    *(
        "hil.supervisor",
        "hil.time.kernel",
        "hil.time.participant",
        "hil.time.phase",
        "hil.time.transports.direct",
        "hil.tomlindex",
    ),
    *("hil.transactions", "hil.units", "hil.uut", "hil.verdict", "hil.wiring", "hil.world"),
)
#: Inside of those, what opens channels and runs commands.
CLOSED = (
    *("flightsw.__main__", "flightsw.hal.channel", "flightsw.hal.exercise", "flightsw.hal.linux"),
    "flightsw.inspect",
    *("hil.faults.bisect", "hil.faults.trials", "hil.parts.contributed", "hil.world.imagery"),
)
#: Inside of those, what flies all the same.
OPEN = (*("hil.world.imagery.cloud", "hil.world.imagery.footprint", "hil.world.imagery.scene"),)
#: module -> classes of others whose instances may be in the state of a run
FOREIGN = {
    "builtins": (
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
        *("object", "range", "set", "slice", "str", "tuple"),
    ),
    "collections": ("Counter", "OrderedDict", "deque", "defaultdict"),
    "datetime": ("date", "datetime", "timedelta", "timezone"),
    "types": ("SimpleNamespace",),
}


def _within(module: str, rooms: Iterable[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@cache
def is_room(module: str) -> bool:
    """Tell whether what a module defines may be in a snapshot."""
    return _within(module, OPEN) or (_within(module, ROOMS) and not _within(module, CLOSED))


def is_admitted(cls: type) -> bool:
    """Tell whether instances of a class may be in a snapshot."""
    module = cls.__module__
    return is_room(module) or cls.__name__ in FOREIGN.get(module, ())


def named(module: str, name: str, kind: type[Any]) -> Any:
    """Return a class or function by the name that it has; :class:`SnapshotError` for any other."""
    if not is_room(module) and name not in FOREIGN.get(module, ()):
        raise SnapshotError(f"it names {module}.{name}, which is no part of a flight")
    found: Any = sys.modules.get(module)
    try:
        found = found or import_module(module)
        for part in name.split("."):
            found = found.__dict__[part]
            found = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
    except (ImportError, AttributeError, KeyError):
        raise SnapshotError(f"it names {module}.{name}, which is not there") from None
    if not isinstance(found, kind) or (found.__module__, found.__qualname__) != (module, name):
        raise SnapshotError(f"it names {module}.{name}, which is no {kind.__name__}")
    return found


def is_named(function: FunctionType) -> bool:
    """Tell whether a function is found again by its name."""
    try:
        return named(function.__module__, function.__qualname__, FunctionType) is function
    except SnapshotError:
        return False
