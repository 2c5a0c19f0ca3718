"""How things are taken apart that have no way of their own, and put together again.

A reduction is ``(constructor, arguments)`` or ``(constructor, arguments, contents)``: the
constructor makes the thing, :data:`FILLS` says how its contents get in when everything else is
there. The constructors are the only functions that a snapshot may call.
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path, PurePath
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from hil.errors import SnapshotError
from hil.snapshots.code import code_at, place_of
from hil.snapshots.constants import constant, is_constant, name_of
from hil.snapshots.rooms import is_admitted, is_named, is_room, named

Reduction = tuple[Any, ...]


# --- constructors ---------------------------------------------------------------------------------


def function(module: str, qualname: str) -> FunctionType:
    """Return a function that has a name."""
    found: FunctionType = named(module, qualname, FunctionType)
    return found


def closure(
    module: str,
    qualname: str,
    index: int,
    cells: tuple[CellType, ...],
    defaults: tuple[Any, ...] | None,
    keywords: dict[str, Any] | None,
) -> FunctionType:
    """Return a function that has none, on its cells."""
    code = code_at(module, qualname, index)
    found = named_globals(module)
    made = FunctionType(code, found, code.co_name, defaults, cells)
    made.__qualname__, made.__module__, made.__kwdefaults__ = qualname, module, keywords
    return made


def named_globals(module: str) -> dict[str, Any]:
    """Return the globals of a module of a room."""
    if not is_room(module):
        raise SnapshotError(f"it names {module}, which is no part of a flight")
    return vars(import_module(module))


def cell() -> CellType:
    """Return a cell with nothing in it yet."""
    return CellType()


def fill_cell(made: CellType, contents: tuple[Any]) -> None:
    """Put into a cell what it holds."""
    made.cell_contents = contents[0]


def method(owner: Any, name: str) -> MethodType:
    """Return a method of ``owner`` as its class has it now."""
    for cls in type(owner).__mro__:
        if isinstance(cls.__dict__.get(name), FunctionType) and is_admitted(cls):
            return MethodType(cls.__dict__[name], owner)
    raise SnapshotError(f"it names a method {name} of {type(owner).__qualname__}: there is none")


def attached(made: FunctionType, owner: Any) -> MethodType:
    """Return a function bound to something that is not of the class it belongs to."""
    if not isinstance(made, FunctionType):
        raise SnapshotError("it binds what is no function")
    return MethodType(made, owner)


def partial(made: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Return a partial call."""
    return functools.partial(made, *arguments, **keywords)


def member(cls: type, name: str) -> Any:
    """Return a member of an enumeration."""
    found = getattr(cls, "__members__", {}).get(name)
    if found is None or not issubclass(cls, enum.Enum):
        raise SnapshotError(f"it names {name} of {cls.__qualname__}: there is none")
    return found


def flags(cls: type, value: int) -> Any:
    """Return a combination of flags."""
    if not issubclass(cls, enum.Flag):
        raise SnapshotError(f"it makes flags of {cls.__qualname__}")
    return cls(value)


def error(cls: type, arguments: tuple[Any, ...]) -> BaseException:
    """Return an exception that somebody keeps."""
    if not issubclass(cls, BaseException):
        raise SnapshotError(f"it raises {cls.__qualname__}")
    made: BaseException = cls.__new__(cls, *arguments)
    return made


def layout(form: str) -> struct.Struct:
    """Return the layout of octets that a format says."""
    return struct.Struct(form)


def dtype(form: Any, align: bool) -> Any:
    """Return a type of array elements: its text, or the list of its fields."""
    if isinstance(form, list):
        form = [tuple(field) for field in form]
    return np.dtype(form, align=align)


def array(kind: Any, shape: tuple[int, ...], order: str, octets: bytes, fixed: bool) -> Any:
    """Return an array with its own memory; ``fixed``: it cannot be written to."""
    made = np.frombuffer(octets, kind).reshape(shape, order="F" if order == "F" else "C")
    made = made.copy("F" if order == "F" else "C")
    made.flags.writeable = not fixed
    return made


def window(base: Any, kind: Any, shape: Any, strides: Any, offset: int, fixed: bool) -> Any:
    """Return an array in the memory of another."""
    flat = base.reshape(-1, order="A").view(np.uint8) if isinstance(base, np.ndarray) else base
    made = np.ndarray(shape, kind, flat, offset, strides)
    if made.flags.writeable:
        made.flags.writeable = not fixed
    return made


def scalar(kind: Any, octets: bytes) -> Any:
    """Return one element of an array as it stands for itself."""
    return np.frombuffer(octets, kind)[0]


def view(base: Any) -> memoryview:
    """Return a view of all of an object's memory."""
    return memoryview(base)


def bits(state: dict[str, Any]) -> Any:
    """Return a counter-based source of random bits as it stood."""
    made = np.random.Philox(0)
    made.state = state  # type: ignore[assignment]
    return made


def generator(source: Any) -> Any:
    """Return a generator on a source of random bits."""
    if not isinstance(source, np.random.Philox):
        raise SnapshotError("it draws numbers from what is no Philox")
    return np.random.Generator(source)


def path(text: str) -> PurePath:
    """Return a path that is a name in messages, and that nothing here opens."""
    return Path(text)


CONSTRUCTORS: frozenset[Callable[..., Any]] = frozenset(
    (
        *(function, closure, cell, fill_cell, method, attached, partial, member, flags, error),
        *(layout, dtype, array, window, scalar, view, bits, generator, path, constant),
    )
)
#: constructor -> what puts the contents in
FILLS: Mapping[Any, Callable[[Any, Any], None]] = {cell: fill_cell}


# --- taking apart ---------------------------------------------------------------------------------


def _of_function(thing: FunctionType) -> Reduction | None:
    if thing in CONSTRUCTORS:
        return None
    module = thing.__module__
    if not is_room(module):
        raise SnapshotError(f"the function {module}.{thing.__qualname__} is no part of a flight")
    if is_named(thing):
        return function, (module, thing.__qualname__)
    qualname, index = place_of(module, thing.__code__)
    made = (thing.__closure__ or (), thing.__defaults__, thing.__kwdefaults__)
    return closure, (module, qualname, index, *made)


def _of_cell(thing: CellType) -> Reduction:
    try:
        return cell, (), (thing.cell_contents,)
    except ValueError:  # nothing was assigned yet
        return cell, ()


def _of_method(thing: MethodType) -> Reduction:
    owner, made = thing.__self__, thing.__func__
    name = getattr(made, "__name__", "")
    if isinstance(made, FunctionType):
        for cls in type(owner).__mro__:
            if name in cls.__dict__:
                if cls.__dict__[name] is made:
                    return method, (owner, name)
                break
    return attached, (made, owner)


def _of_array(thing: Any) -> Reduction:
    kind, fixed = thing.dtype, not thing.flags.writeable
    if kind.hasobject:
        raise SnapshotError(f"an array of {kind}, which holds objects")
    base = _owner(thing.base)
    if base is None:
        order = "F" if thing.flags.f_contiguous and not thing.flags.c_contiguous else "C"
        return array, (kind, thing.shape, order, thing.tobytes(order), fixed)
    if not isinstance(base, (np.ndarray, bytes, bytearray)):
        raise SnapshotError(f"an array in the memory of a {type(base).__qualname__}")
    whole = base if isinstance(base, np.ndarray) else np.frombuffer(base, np.uint8)
    if not (whole.flags.c_contiguous or whole.flags.f_contiguous):
        raise SnapshotError("an array in the memory of one with gaps")
    offset = thing.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return window, (base, kind, thing.shape, thing.strides, offset, fixed)


def _owner(base: Any) -> Any:
    """Return what the memory of an array belongs to in the end; None: to itself."""
    while True:
        if isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        elif isinstance(base, memoryview):
            base = base.obj
        else:
            return base


def _of_view(thing: memoryview) -> Reduction:
    whole = memoryview(thing.obj)
    same = ("nbytes", "format", "shape", "strides", "readonly")
    if any(getattr(whole, name) != getattr(thing, name) for name in same):
        raise SnapshotError(f"a view of a part of a {type(thing.obj).__qualname__}")
    return view, (thing.obj,)


def _of_dtype(thing: Any) -> Reduction:
    if thing.names is None:
        return dtype, (thing.str, False)
    return dtype, (thing.descr, bool(thing.isalignedstruct))


#: type -> how it is taken apart; by exact type
TAKEN_APART: dict[type, Callable[[Any], Reduction | None]] = {
    FunctionType: _of_function,
    CellType: _of_cell,
    MethodType: _of_method,
    functools.partial: lambda thing: (partial, (thing.func, thing.args, thing.keywords)),
    struct.Struct: lambda thing: (layout, (thing.format,)),
    np.ndarray: _of_array,
    memoryview: _of_view,
    np.random.Philox: lambda thing: (bits, (thing.state,)),
    np.random.Generator: lambda thing: (generator, (thing.bit_generator,)),
}


#: what pickle takes apart by itself, and well
PLAIN = (int, float, bool, str, bytes, bytearray, tuple, list, dict, set, frozenset, type(None))


def reduction(thing: Any) -> Reduction | None:
    """Take a thing apart; None: it knows itself how. Raises :class:`SnapshotError`."""
    kind = type(thing)
    if kind in PLAIN:
        return None
    take = TAKEN_APART.get(kind)
    if take is not None:
        return take(thing)
    if isinstance(thing, type):
        if not is_admitted(thing):
            raise SnapshotError(f"the class {thing.__module__}.{thing.__qualname__}")
        return None
    if isinstance(thing, enum.Enum):
        named_member = getattr(thing, "_name_", None) in kind.__members__
        return (member, (kind, thing.name)) if named_member else (flags, (kind, thing.value))
    if isinstance(thing, np.dtype):
        return _of_dtype(thing)
    if isinstance(thing, np.generic):
        return scalar, (thing.dtype, thing.tobytes())
    if isinstance(thing, PurePath):
        return path, (str(thing),)
    if isinstance(thing, BaseException):
        return error, (kind, thing.args)
    if is_constant(thing):
        name = name_of(thing)
        if name is not None:
            return constant, name
        if kind is object:
            raise SnapshotError("an object() that no module has by a name")
    if not is_admitted(kind):
        raise SnapshotError(f"a {kind.__module__}.{kind.__qualname__}: {_short(thing)}")
    return None


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 80 else text[:77] + "..."
