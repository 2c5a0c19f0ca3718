"""Functions that have no name of their own: where their code stands in the module's.

A lambda or a function inside a function is told by its module, its qualified name, and which of
those of that name it is. The code itself is never stored: it is looked up where the module keeps
it, which the hash of the sources holds to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from types import CodeType

from hil.errors import SnapshotError
from hil.snapshots.rooms import is_room


@cache
def _codes(module: str) -> dict[str, tuple[CodeType, ...]]:
    """Return the code of all functions of a module by qualified name, in order of appearance."""
    if not is_room(module):
        raise SnapshotError(f"it names code of {module}, which is no part of a flight")
    spec = find_spec(module)
    loader = None if spec is None else spec.loader
    code = getattr(loader, "get_code", lambda name: None)(module)
    if code is None:
        raise SnapshotError(f"it names code of {module}, of which there is none here")
    found: dict[str, tuple[CodeType, ...]] = {}
    for inner in _inside(code):
        found[inner.co_qualname] = (*found.get(inner.co_qualname, ()), inner)
    return found


def _inside(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inside(constant)


def place_of(module: str, code: CodeType) -> tuple[str, int]:
    """Return the qualified name of ``code``, and which of that name it is."""
    same = _codes(module).get(code.co_qualname, ())
    if code not in same:
        raise SnapshotError(f"the code of {module}.{code.co_qualname} stands nowhere in its file")
    return code.co_qualname, same.index(code)


def code_at(module: str, qualname: str, index: int) -> CodeType:
    """Return the code that stands there."""
    same = _codes(module).get(qualname, ())
    if not 0 <= index < len(same):
        raise SnapshotError(f"it names code {index} of {module}.{qualname}, which is not there")
    return same[index]
