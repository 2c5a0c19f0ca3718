"""One packet of a variable layout, from nested dicts to the slots that C reads.

The walk of :mod:`slot_reader` the other way: also made once, a closure a node.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from flightsw.codec.columns.calibration import to_raw
from flightsw.codec.columns.expression import evaluate
from flightsw.codec.columns.plan import (
    Choice,
    Field,
    Fixed,
    Node,
    Path,
    Repeat,
    Value,
    Whole,
    fields_of,
    walk,
)
from flightsw.codec.columns.ragged import octets_of
from flightsw.codec.columns.values import misfit
from flightsw.codec.errors import FieldRangeError


class Writer:
    """Slots of one packet as they are made, with what later lengths and conditions need."""

    def __init__(self, needed: frozenset[str], calibrated: bool) -> None:
        self.codes: list[str] = []
        self.values: list[Any] = []
        self.octets = bytearray()
        self.owners: list[Field | None] = []
        self.known: dict[str, int] = {}
        self.around: list[tuple[Path, Any]] = []  #: the values of each list being written
        self.needed, self.calibrated = needed, calibrated

    def put(self, code: str, value: Any, owner: Field | None = None) -> None:
        """Append a slot."""
        self.codes.append(code)
        self.values.append(value)
        self.owners.append(owner)

    def slots(self) -> bytes:
        """Return the slots; FieldRangeError names the field of a value that is no such number."""
        try:
            return struct.pack("=" + "".join(self.codes), *self.values)
        except (struct.error, OverflowError, TypeError) as error:
            for code, value, owner in zip(self.codes, self.values, self.owners, strict=True):
                try:
                    struct.pack("=" + code, value)
                except (struct.error, OverflowError, TypeError):
                    raise self.refused(owner, value) from None
            raise FieldRangeError(f"layout: {error}") from None

    def refused(self, owner: Field | None, value: Any) -> FieldRangeError:
        """Return the error for a value that does not fit."""
        name = owner.name if owner is not None else "layout"
        why = misfit(owner, value) if owner is not None and owner.time is None else None
        return FieldRangeError(f"{name}: {value!r} {why or 'does not fit'}; nothing was written")


Write: TypeAlias = Callable[[Writer, Any], None]


class Plans(NamedTuple):
    """What writing needs to know of the whole tree."""

    needed: frozenset[str]  #: fields that expressions use
    lists: dict[str, tuple[Path, Field | None]]  #: by name; the field of a string


def plans_of(nodes: tuple[Node, ...], needed: frozenset[str]) -> Plans:
    """Return what writing these nodes needs to know."""
    lists = {
        node.name: (node.path, node.scalar if node.octets else None)
        for node in walk(nodes)
        if isinstance(node, Repeat)
    }
    return Plans(needed, lists)


def writer_of(nodes: tuple[Node, ...], plans: Plans, base: Path = ()) -> Write:
    """Return what appends the slots of nodes, from values whose paths begin behind ``base``."""
    steps = [_write(node, plans, base) for node in nodes if not isinstance(node, Fixed | Whole)]

    def write(w: Writer, values: Any) -> None:
        w.around.append((base, values))
        for step in steps:
            step(w, values)
        w.around.pop()

    return write


def look_up(values: Any, parts: tuple[Any, ...], name: str, default: Any = None) -> Any:
    """Return the value at a path, or the default; FieldRangeError if there is neither."""
    at = values
    try:
        for part in parts:
            at = at[part]
    except (LookupError, TypeError) as missing:
        if default is None:
            raise FieldRangeError(
                f"{name}: no value given ({missing!r}); every field needs one"
            ) from None
        return default
    return default if at is None else at


def _write(node: Node, plans: Plans, base: Path) -> Write:
    if isinstance(node, Value):
        return _write_value(node.field, plans, node.field.path[len(base) :])
    if isinstance(node, Choice):
        return _write_choice(node, plans, base)
    assert isinstance(node, Repeat), "fixed bits have no slot"
    return _write_repeat(node, plans, base)


def _write_value(f: Field, plans: Plans, parts: tuple[Any, ...]) -> Write:
    if f.wire is not None:
        return lambda w, values: None
    if f.computed is not None:
        computed = f.computed
        return lambda w, values: _put_number(
            w, f, evaluate(computed, w.known, _Lengths(plans, w.around))
        )
    if f.kind == "bytes":
        return lambda w, values: _put_octets(
            w, f, look_up(values, parts, f.name, f.default), f.elements
        )

    def put(w: Writer, values: Any) -> None:
        value = look_up(values, parts, f.name, f.default)
        if f.calibration is not None and w.calibrated:
            value = to_raw(f.name, f.calibration, value, f.dtype).tolist()
        if not f.array:
            _put_number(w, f, value)
            return
        if not hasattr(value, "__len__") or len(value) != f.elements:
            raise FieldRangeError(f"{f.name}: {value!r} is no list of {f.elements} values")
        for each in value:
            _put_number(w, f, each)

    return put


class _Lengths(Mapping[str, int]):
    """Lengths of the lists that are to be written, also of those further on."""

    def __init__(self, plans: Plans, around: list[tuple[Path, Any]]) -> None:
        self._plans, self._around = plans, around

    def __getitem__(self, name: str) -> int:
        path, text = self._plans.lists[name]
        base, values = next((b, v) for b, v in reversed(self._around) if path[: len(b)] == b)
        value = look_up(values, path[len(base) :], name)
        return len(octets_of(text, value)) if text is not None else len(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._plans.lists)

    def __len__(self) -> int:
        return len(self._plans.lists)


_CODES = {"uint": "Q", "int": "q", "float": "d", "time": "q"}


def _put_number(w: Writer, f: Field, value: Any) -> None:
    if f.labels is not None and isinstance(value, str):
        numbers = {label: number for number, label in f.labels.items()}
        if value not in numbers:
            raise w.refused(f, value)
        value = numbers[value]
    if f.flag:
        value = int(bool(value))
    if f.name in w.needed:
        w.known[f.name] = value
    w.put(_CODES[f.kind], value, f)


def _put_octets(w: Writer, f: Field, value: Any, count: int | None) -> None:
    """Append octets of a field, or with their length if they are a list."""
    octets = octets_of(f, value).tobytes()
    if count is None:
        w.put("Q", len(octets), f)
    elif len(octets) < count and f.padded:
        octets = octets.ljust(count, b"\x00")
    elif len(octets) != count:
        raise FieldRangeError(f"{f.name}: {len(octets)} octets, must be {count}")
    w.put("Q", len(w.octets), f)
    w.octets += octets


def _write_choice(node: Choice, plans: Plans, base: Path) -> Write:
    groups = [(g, writer_of(g.members, plans, base)) for g in node.groups]

    def write(w: Writer, values: Any) -> None:
        for group, inside in groups:
            there = bool(evaluate(group.condition, w.known, {}))
            w.put("Q", int(there))
            if there:
                inside(w, values)
            else:
                for f in fields_of(group.members):
                    w.known.pop(f.name, None)

    return write


def _write_repeat(node: Repeat, plans: Plans, base: Path) -> Write:
    parts, one = node.path[len(base) :], node.scalar
    if one is not None and node.octets:
        octets = one
        return lambda w, values: _put_octets(w, octets, look_up(values, parts, node.name), None)
    inside = writer_of(node.members, plans, node.path)

    def write(w: Writer, values: Any) -> None:
        elements = look_up(values, parts, node.name)
        if not isinstance(elements, Sequence | np.ndarray) or isinstance(elements, str | bytes):
            raise FieldRangeError(f"{node.name}: {elements!r} is no list")
        w.put("Q", len(elements), None)
        for element in elements:
            inside(w, element)

    return write
