"""Names in docstrings and annotations: what they stand for, where they are read."""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any


def full_name(target: str, module: str, holder: str, source: str) -> str | None:
    """Return the dotted name of what is meant, None if it stands for nothing.

    ``module`` and ``holder`` are the module and the class on whose page the name stands; ``source``
    says where it was written: it ends in ``docstring of package.module.thing``.
    """
    target = target.lstrip("~.").partition("[")[0]
    near = [module, *_modules_of(source.rpartition(" of ")[2])]
    for place in dict.fromkeys((*near, *(there for each in near for there in _imported_by(each)))):
        for name in _candidates(target, place, holder):
            if exists(name):
                return name
    return target if exists(target) or hasattr(builtins, target) else None


def _modules_of(dotted: str) -> Iterator[str]:
    """Yield the modules in which an object may have been written, the innermost first."""
    names = dotted.split(".")
    for count in range(len(names), 0, -1):
        name = ".".join(names[:count])
        if names[0] in ("hil", "flightsw") and _imported(name) is not None:
            yield name


def _imported_by(module: str) -> Iterator[str]:
    """Yield modules of ours that a module has names from: annotations may be of there."""
    for name in imports(module).values():
        if name.startswith(("hil.", "flightsw.")):
            yield name if _imported(name) is not None else name.rpartition(".")[0]


def _candidates(target: str, module: str, holder: str) -> Iterator[str]:
    if not module:
        return
    yield f"{module}.{target}"
    if holder:
        yield f"{module}.{holder}.{target}"
    head, _, rest = target.partition(".")
    if head in imports(module):
        yield f"{imports(module)[head]}.{rest}".rstrip(".")
    yield f"{module.rpartition('.')[0]}.{target}"  # a module beside it


def exists(dotted: str) -> bool:
    """Tell whether a dotted name can be had."""
    names = dotted.split(".")
    for count in range(len(names), 0, -1):
        module = _imported(".".join(names[:count]))
        if module is not None:
            return _has(module, names[count:])
    return False


def _has(thing: Any, names: list[str]) -> bool:
    for name in names:
        if not hasattr(thing, name):
            return name in getattr(thing, "__annotations__", ())
        thing = getattr(thing, name)
    return True


@cache
def _imported(name: str) -> Any:
    """Return a module; None for what is none."""
    if not name or name.startswith("."):
        return None
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError):
        return None


@cache
def imports(module: str) -> dict[str, str]:
    """Return what a module imports, for types only too: the name in it -> the dotted name."""
    found = _imported(module)
    source = Path(getattr(found, "__file__", None) or "")
    if source.suffix != ".py" or not source.is_file():
        return {}
    known: dict[str, str] = {}
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom):
            known |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            known |= {each.asname or each.name: each.name for each in node.names}
    return known
