"""From a construct declaration to the tree of :mod:`plan`.

Understood: Struct, BitStruct, Bitwise, Bytewise, Padding and Padded, Int*, BytesInteger,
BitsInteger, Float16, Float32 and Float64, Flag, Enum, Bytes, Const, Default, Rebuild; Array (of a
number, or of an expression of ``this``), PrefixedArray, GreedyRange, GreedyBytes, Prefixed of
GreedyBytes; If, IfThenElse, Switch; PaddedString, PascalString, CString, GreedyString; FocusedSeq;
:mod:`time_field`. Everything else is refused by name, because a layout must mean the
same to construct and to us. One thing means more here: what goes to the end of the packet may be
followed by members of fixed size, such as a checksum, and then ends in front of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import construct
import numpy as np

from flightsw.codec.columns.calibration import Calibration
from flightsw.codec.columns.declaration import LayoutError, split_docs
from flightsw.codec.columns.expression import Expr, Length, Number, Ref, understand
from flightsw.codec.columns.plan import (
    Choice,
    Field,
    Group,
    Node,
    Path,
    Repeat,
    Value,
    fields_of,
    name_of,
    nbits_of,
)


@dataclass
class Context:
    """The names that ``this`` sees, as construct's own contexts have them."""

    parent: Context | None
    entries: dict[str, Known | Context] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What a name means, in which lists it stands, and how many fields stood in front of it."""

    meaning: Ref | Length | Number | None
    lists: tuple[int, ...]
    serial: int
    own: int = 0  #: number of the list that it is


class At(NamedTuple):
    """Where the walk is, and what wrappers said about the field to come."""

    path: Path = ()
    names: Path = ()  #: as path, with the cases of choices
    bits: bool = False
    context: Context | None = None
    lists: tuple[int, ...] = ()
    docs: str = ""
    calibration: Calibration | None = None
    const: Any = None
    wire: int | None = None
    default: Any = None
    labels: dict[int, str] | None = None
    text: str = ""
    padded: bool = False
    computed: bool = False
    hidden: bool = False

    def named(self, name: str) -> At:
        """Return the place of a member."""
        return self._replace(path=(*self.path, name), names=(*self.names, name))


Visitor: TypeAlias = Callable[["Walk", Any, At], list[Node]]


class Walk:
    """Visits a declaration depth first; each visit returns the nodes of what it took."""

    def __init__(self, visitors: tuple[tuple[Any, Visitor], ...]) -> None:
        self._visitors = visitors
        self.bit = 0  #: behind ``after``
        self.after = ""
        self.odd = False  #: ``after`` may end inside an octet
        self.serial = 0
        self.nlists = 0
        self.result: Known | Context | None = None  #: what the name of the last visit means
        self._taken: set[str] = set()
        self._pending: dict[int, tuple[Any, At, int]] = {}

    def visit(self, subcon: Any, at: At) -> list[Node]:
        """Dispatch on construct's own classes, the most special first."""
        for kind, visitor in self._visitors:
            if isinstance(subcon, kind):
                return visitor(self, subcon, at)
        raise self.refuse(subcon, at)

    def refuse(self, subcon: Any, at: At, why: str = "is not part of a layout") -> LayoutError:
        """Return the error that names the field and the construct class."""
        name = name_of(at.names) or "the layout"
        return LayoutError(f"{name}: construct {type(subcon).__name__} {why}")

    def number(self, value: Any, subcon: Any, at: At) -> int:
        """Return a length that must be known when the layout is compiled."""
        if not isinstance(value, int) or value < 0:
            raise self.refuse(subcon, at, "needs a length that is a plain number")
        return value

    def expression(self, given: Any, subcon: Any, at: At, before: int | None = None) -> Expr:
        """Return an expression over fields that stand earlier on the wire."""
        serial = self.serial if before is None else before

        def resolve(parts: tuple[Any, ...]) -> Ref | Length | Number:
            found = _look_up(at.context, parts)
            if found is None or found.meaning is None:
                raise LayoutError(f"{'.'.join(map(str, parts))} is no field that a packet has once")
            if not isinstance(found.meaning, Length) and found.serial >= serial:
                raise LayoutError(f"{'.'.join(map(str, parts))} is not an earlier field")
            if found.lists != at.lists[: len(found.lists)] or found.own in at.lists:
                raise LayoutError(f"{'.'.join(map(str, parts))} stands inside of another list")
            return found.meaning

        try:
            return understand(given, resolve)
        except LayoutError as error:
            raise self.refuse(subcon, at, f"needs an earlier field: {error}") from None

    def unique(self, name: str) -> str:
        """Return a name that no other list and no other hidden field has."""
        while name in self._taken:
            name += "[]"
        self._taken.add(name)
        return name

    def moved(self, after: str, odd: bool) -> None:
        """Go on behind something whose size changes."""
        self.bit, self.after, self.odd = 0, after, odd

    def add(
        self,
        at: At,
        width: int,
        kind: str,
        swap: bool = False,
        count: int = 1,
        flag: bool = False,
        **more: Any,
    ) -> list[Node]:
        """Return the node of one field."""
        doc, unit = split_docs(at.docs)
        made = Field(
            name=name_of(at.names),
            bit=self.bit,
            width=width,
            kind=kind,
            dtype=_dtype(width, kind, flag),
            elements=count,
            array=False,
            swap=swap and width > 8,
            path=at.path,
            unit=unit,
            doc=doc,
            labels=at.labels,
            flag=flag,
            const=at.const,
            default=at.default,
            after=self.after,
            calibration=at.calibration,
            text=at.text,
            padded=at.padded,
            computed=Number(self.serial) if at.computed else None,
            hidden=at.hidden,
            wire=at.wire,
            **more,
        )
        self.bit += width * count
        self.result = Known(_meaning(made), at.lists, self.serial)
        self.serial += 1
        return [Value(made)]

    def postpone(self, func: Any, at: At) -> None:
        """Note what the next field is computed from; lists further on are not known yet."""
        self._pending[self.serial] = (func, at, self.serial)

    def settle(self, nodes: list[Node], behind: int | None) -> tuple[Node, ...]:
        """Fill in what only the whole tree tells; ``behind`` is how many bits follow, if known."""
        done: list[Node] = []
        for node in reversed(nodes):
            here, behind = behind, _sum(nbits_of((node,)), behind)
            done.append(self._settled(node, here))
        return tuple(reversed(done))

    def _settled(self, node: Node, behind: int | None) -> Node:
        if isinstance(node, Value) and node.field.computed is not None:
            assert isinstance(node.field.computed, Number), "the serial of the field stands here"
            func, at, serial = self._pending[node.field.computed.value]
            return Value(node.field._replace(computed=self.expression(func, func, at, serial)))
        if isinstance(node, Group):
            return replace(node, members=self.settle(list(node.members), behind))
        if isinstance(node, Choice):
            groups = [self._settled(group, behind) for group in node.groups]
            return replace(node, groups=tuple(g for g in groups if isinstance(g, Group)))
        if isinstance(node, Repeat):
            if node.ends == "packet" and behind is None:
                raise LayoutError(
                    f"{node.name}: goes to the end of the packet, so only members of fixed size"
                    " may follow, and it cannot stand in a list"
                )
            if not fields_of(node.members):
                raise LayoutError(f"{node.name}: a list of nothing but padding")
            inner = self.settle(list(node.members), None)
            scalar = inner[0].field if node.scalar and isinstance(inner[0], Value) else None
            return replace(node, trailer_nbits=behind or 0, members=inner, scalar=scalar)
        return node


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _look_up(context: Context | None, parts: tuple[Any, ...]) -> Known | None:
    at: Known | Context | None = context
    for part in parts:
        if not isinstance(at, Context):
            return None
        at = at.parent if part == "_" else at.entries.get(part)
    return at if isinstance(at, Known) else None


def _meaning(f: Field) -> Ref | Number | None:
    if f.kind not in ("uint", "int") or f.elements != 1:
        return None
    if f.const is not None:
        return Number(int(f.const)) if isinstance(f.const, int) else None
    return Ref(f.name, f.labels)


def _dtype(width: int, kind: str, flag: bool) -> np.dtype[Any]:
    if kind == "time":
        return np.dtype(np.int64)
    if flag and width == 1:
        return np.dtype(np.bool_)
    size = next(n for n in (1, 2, 4, 8) if width <= 8 * n)
    return np.dtype({"uint": "u", "bytes": "u", "int": "i", "float": "f"}[kind] + str(size))


def compile_tree(declaration: Any) -> tuple[Node, ...]:
    """Compile a construct declaration; LayoutError names the field that it cannot take."""
    from flightsw.codec.columns import grammar_fixed, grammar_variable

    visitors = (*grammar_variable.VISITORS, *grammar_fixed.VISITORS)
    walk = Walk(visitors)
    nodes = walk.settle(walk.visit(declaration, At()), 0)
    names = [f.name for f in fields_of(nodes)]
    if "" in names:
        raise LayoutError(f"the layout: construct {declaration!r} has no name; put it in a Struct")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LayoutError(f"layout: field {twice[0]!r} is declared twice; construct would keep one")
    return nodes


def peeled(subcon: Any) -> Any:
    """Return what stands inside of names."""
    while isinstance(subcon, construct.Renamed):
        subcon = subcon.subcon
    return subcon
