"""Where a thing hangs, for messages: the shortest way to it from the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

_LIMIT = 1_000_000


def where(root: Any, is_it: Callable[[Any], bool], is_closed: Callable[[Any], bool]) -> str:
    """Return the way from ``root`` to the nearest thing that ``is_it``, as a person writes it.

    Nobody looks into what ``is_closed``.
    """
    seen = {id(root)}
    waiting = deque([(type(root).__name__.lower(), root)])
    while waiting and len(seen) < _LIMIT:
        place, thing = waiting.popleft()
        if is_it(thing):
            return place
        for step, inner in () if is_closed(thing) else _inside(thing):
            if id(inner) not in seen and not isinstance(inner, (type, ModuleType)):
                seen.add(id(inner))
                waiting.append((place + step, inner))
    return "somewhere"


def _inside(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield f"[{key!r:.40}]", value
            yield f".key({key!r:.40})", key
    elif isinstance(thing, (list, tuple, set, frozenset)) or type(thing).__name__ == "deque":
        for index, value in enumerate(list(thing)):
            yield f"[{index}]", value
    elif isinstance(thing, MethodType):
        yield ".__self__", thing.__self__
    elif isinstance(thing, FunctionType):
        for index, inner in enumerate(thing.__closure__ or ()):
            yield f".{thing.__code__.co_freevars[index]}", inner
    elif isinstance(thing, CellType):
        try:
            yield "", thing.cell_contents
        except ValueError:
            return
    else:
        for name in ("func", "args", "keywords"):
            if hasattr(type(thing), name) and type(thing).__name__ == "partial":
                yield f".{name}", getattr(thing, name)
        yield from ((f".{k}", v) for k, v in getattr(thing, "__dict__", {}).items())
        for cls in type(thing).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if name != "__dict__" and hasattr(thing, name):
                    yield f".{name}", getattr(thing, name)
