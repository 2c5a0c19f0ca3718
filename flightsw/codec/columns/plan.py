"""What a layout is, as data: a tree of fields, lists and choices in the order of the wire.

:func:`walk.compile_tree` makes the tree from a construct declaration. A tree without
lists and choices is also a :class:`Plan`, a flat table of bit fields at known places, for which the
C codec has its fastest kernels; any other becomes a program of :mod:`program`.
Exports and documents walk the tree: :func:`walk` visits every node, outer before inner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from flightsw.codec.columns.calibration import Calibration
from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.expression import Expr, text_of
from flightsw.codec.time_code import TimeFormat

__all__ = ["Field", "LayoutError", "Node", "Path", "Plan", "fixed_plan", "name_of", "walk"]

Path = tuple[str | int, ...]


class Field(NamedTuple):
    """One column: ``elements`` values of ``width`` bits from ``bit`` on (0 is sent first)."""

    name: str
    bit: int  #: from the start of the packet, or behind ``after``
    width: int
    kind: str  #: "uint", "int", "float", "bytes" (of 8 bits each) or "time"
    dtype: np.dtype[Any]
    elements: int
    array: bool  #: the value is a list
    swap: bool  #: least significant octet first
    path: Path
    unit: str
    doc: str
    labels: Mapping[int, str] | None  #: of an Enum
    flag: bool
    const: Any  #: value of a Const, else None
    default: Any  #: value of a Default, else None
    after: str = ""  #: what of changing size stands in front; "" if nothing does
    calibration: Calibration | None = None
    text: str = ""  #: encoding of a string; its kind is "bytes"
    padded: bool = False  #: octets are filled up with zeros, which decoding strips
    time: TimeFormat | None = None
    computed: Expr | None = None  #: what encoding writes instead of a given value
    hidden: bool = False  #: on the wire only: the count in front of a list
    wire: int | None = None  #: bits of a Const


@dataclass(frozen=True)
class Value:
    """A field: one column entry for each packet, or for each element of the list around it."""

    field: Field


@dataclass(frozen=True)
class Fixed:
    """``count`` times ``width`` bits of ``value``: padding, or a constant that is ``checked``."""

    name: str  #: "" if it has none
    width: int
    value: int
    count: int
    checked: bool


@dataclass(frozen=True)
class Group:
    """Members that are there if ``condition`` is not zero; ``case`` is "" if it is the only one."""

    name: str
    path: Path
    case: str
    condition: Expr
    members: tuple[Node, ...]
    struct: bool  #: a group without members is still an empty dict


@dataclass(frozen=True)
class Choice:
    """At most one of its groups is there; the value is None where none is."""

    name: str
    path: Path
    groups: tuple[Group, ...]
    doc: str = ""


@dataclass(frozen=True)
class Repeat:
    """A list. Members describe one element; ``scalar`` if that is a single value.

    ``ends`` says how the list does: after ``count`` elements ("count"), ``trailer_nbits`` before
    the end of the packet ("packet"), or in front of a zero octet ("zero").
    """

    name: str
    path: Path
    ends: str
    count: Expr | None
    trailer_nbits: int
    members: tuple[Node, ...]
    scalar: Field | None
    octets: bool = False  #: to Python it is one bytes or str
    doc: str = ""
    bit: int = 0  #: where it begins, behind ``after``
    after: str = ""


@dataclass(frozen=True)
class Whole:
    """Bits must add up to whole octets here."""

    name: str


Node: TypeAlias = Value | Fixed | Group | Choice | Repeat | Whole


class Plan(NamedTuple):
    """All fields in order, the size in octets, and a packet with its fixed octets only."""

    fields: tuple[Field, ...]
    nbytes: int
    blank: bytes


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield every node of a tree in wire order, outer before inner."""
    for node in nodes:
        yield node
        if isinstance(node, Choice):
            yield from walk(node.groups)
        elif isinstance(node, Group | Repeat):
            yield from walk(node.members)


def fields_of(nodes: tuple[Node, ...]) -> tuple[Field, ...]:
    """Return every field of a tree in wire order."""
    return tuple(node.field for node in walk(nodes) if isinstance(node, Value))


def nbits_of(nodes: tuple[Node, ...]) -> int | None:
    """Return the size of nodes in bits, or None if it is not always the same."""
    total = 0
    for node in nodes:
        if isinstance(node, Value):
            total += node.field.width * node.field.elements
        elif isinstance(node, Fixed):
            total += node.width * node.count
        elif not isinstance(node, Whole):
            return None
    return total


def least_nbits(nodes: tuple[Node, ...]) -> int:
    """Return the size in bits when every list is empty and every choice the smallest."""
    total = 0
    for node in nodes:
        if isinstance(node, Repeat):
            total += 8 if node.ends == "zero" else 0
        elif not isinstance(node, Choice | Group):
            total += nbits_of((node,)) or 0
    return total


def name_of(path: Path) -> str:
    """Return ``a.b[2].c`` for ("a", "b", 2, "c")."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def fixed_plan(nodes: tuple[Node, ...]) -> Plan | None:
    """Return the flat table of a tree in which all places are known, else None.

    Time codes, text and half-precision floats have no place in that table either.
    """
    fields, fixed, bit = [], [], 0
    for node in nodes:
        if isinstance(node, Value):
            f = node.field
            if f.time or f.text or f.padded or f.computed or (f.kind, f.width) == ("float", 16):
                return None
            assert f.bit == bit, "fields follow each other"
            fields.append(f)
            bit += f.width * f.elements
            if f.wire is not None:
                fixed.append((bit, f.width * f.elements, f.wire))
        elif isinstance(node, Fixed):
            for _ in range(node.count):
                bit += node.width
                fixed.append((bit, node.width, node.value))
        elif not isinstance(node, Whole):
            return None
    assert bit % 8 == 0, "every change to bits gives whole octets back"
    blank = sum(value << bit - end for end, _, value in fixed)
    return Plan(tuple(fields), bit // 8, blank.to_bytes(bit // 8, "big"))


def describe(node: Group | Repeat) -> str:
    """Return how a list ends or when a group is there, for a document."""
    if isinstance(node, Group):
        return f"if {text_of(node.condition)}"
    if node.count is not None:
        return f"{text_of(node.count)} times"
    return "up to a zero octet" if node.ends == "zero" else "to the end of the packet"
