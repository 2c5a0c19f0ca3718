"""From the tree of a layout to the table of operations that ``variable.c`` walks both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.expression import BINARY, Expr, Length, Number, Ref, Unary, refs_of
from flightsw.codec.columns.plan import (
    Choice,
    Field,
    Fixed,
    Group,
    Node,
    Repeat,
    Value,
    fields_of,
    least_nbits,
    walk,
)
from flightsw.codec.native import ffi, lib

KINDS = {
    "uint": lib.FS_UINT,
    "int": lib.FS_INT,
    "float": lib.FS_FLOAT,
    "bytes": lib.FS_OCTETS,
    "cuc": lib.FS_CUC,
    "cds": lib.FS_CDS,
}
#: The signs stand in the order of the terms in ``csrc/columns/variable.h``.
_TERMS = {sign: lib.FS_T_ADD + index for index, sign in enumerate(BINARY)}
_ENDS = {"count": lib.FS_BY_COUNT, "packet": lib.FS_BY_PACKET, "zero": lib.FS_BY_ZERO}
_MOST_OPS = 1 << 16


class Column(NamedTuple):
    """One array of the output: ``role`` is "values", "mask" or "offsets"."""

    role: str
    name: str
    scope: int
    field: Field | None


@dataclass(frozen=True)
class Program:
    """The table, what its columns hold, and what to call its operations.

    ``parents[s]`` is the scope around scope ``s``; ``groups`` gives, by name of a field, list or
    group, the name of the group that it stands in.
    """

    table: Any  #: fs_program
    kept: tuple[Any, ...]  #: what the table points to
    rows: tuple[dict[str, Any], ...]  #: its operations
    names: tuple[str, ...]  #: of the operations
    columns: tuple[Column, ...]
    parents: tuple[int, ...]
    lists: tuple[str, ...]  #: by scope; "" for the packet
    fields: tuple[Field, ...]  #: that have a value, hidden ones not
    scope_of: dict[str, int]  #: by name of a field
    groups: dict[str, str]
    flat: frozenset[str]  #: fields that are the single values of a list
    bits: tuple[int, ...]  #: by scope, how many bits an instance has at most, lists in it not
    least_nbits: int


def compile_program(nodes: tuple[Node, ...]) -> Program:
    """Compile a tree; LayoutError if it is beyond the limits of the interpreter."""
    return _Compiler(nodes).program()


class _Compiler:
    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self.rows: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.terms: list[tuple[int, int]] = []
        self.columns: list[Column] = []
        self.parents, self.lists, self.bits = [0], [""], [0]
        self.scope_of: dict[str, int] = {}
        self.groups: dict[str, str] = {}
        self.flat: set[str] = set()
        self.lengths: list[tuple[int, str]] = []  # term, list
        self.list_ops: dict[str, int] = {}
        needed = {name for e in _expressions(nodes) for name in refs_of(e)}
        in_order = [f.name for f in fields_of(nodes) if f.name in needed]
        if len(in_order) > lib.FS_REGISTERS:
            raise LayoutError(
                f"layout: {len(in_order)} fields decide about others; {lib.FS_REGISTERS} may"
            )
        self.registers = {name: index for index, name in enumerate(in_order)}

    def program(self) -> Program:
        self.emit(self.nodes, 0, 0, "")
        if len(self.rows) > _MOST_OPS:
            raise LayoutError(f"layout: {len(self.rows)} operations, {_MOST_OPS} are the most")
        if len(self.parents) > lib.FS_SCOPES:
            raise LayoutError(f"layout: {len(self.parents) - 1} lists, {lib.FS_SCOPES - 1} may be")
        for term, name in self.lengths:
            self.terms[term] = (lib.FS_T_LENGTH, self.list_ops[name])
        ops = ffi.new("fs_op[]", self.rows)
        terms = ffi.new("fs_term[]", self.terms)
        table = ffi.new("fs_program *", (ops, terms, len(self.rows), len(self.parents)))
        fields = tuple(f for f in fields_of(self.nodes) if not f.hidden)
        return Program(
            table,
            (ops, terms),
            tuple(self.rows),
            tuple(self.names),
            tuple(self.columns),
            tuple(self.parents),
            tuple(self.lists),
            fields,
            self.scope_of,
            self.groups,
            frozenset(self.flat),
            tuple(self.bits),
            least_nbits(self.nodes),
        )

    def emit(self, nodes: tuple[Node, ...], scope: int, depth: int, group: str) -> None:
        for node in nodes:
            if isinstance(node, Value):
                self._value(node.field, scope, group)
            elif isinstance(node, Fixed):
                self._fixed(node, scope)
            elif isinstance(node, Choice):
                for each in node.groups:
                    self._group(each, scope, depth, group)
            elif isinstance(node, Repeat):
                self._repeat(node, scope, depth, group)
            else:
                self.add("FS_OP_WHOLE", node.name)

    def add(self, op: str, name: str, **members: Any) -> int:
        self.names.append(name)
        self.rows.append({"op": getattr(lib, op), **members})
        return len(self.rows) - 1

    def column(self, role: str, name: str, scope: int, f: Field | None = None) -> int:
        self.columns.append(Column(role, name, scope, f))
        return len(self.columns)

    def expression(self, e: Expr) -> dict[str, int]:
        """Append the terms of an expression; return the members that point to them."""
        first = len(self.terms)
        depth = self._postfix(e)
        if depth > lib.FS_STACK:
            raise LayoutError(f"layout: an expression nests {depth} deep, {lib.FS_STACK} may be")
        return {"first": first, "nterms": len(self.terms) - first}

    def _postfix(self, e: Expr) -> int:
        if isinstance(e, Number):
            self.terms.append((lib.FS_T_NUMBER, e.value))
            return 1
        if isinstance(e, Ref):
            self.terms.append((lib.FS_T_FIELD, self.registers[e.name]))
            return 1
        if isinstance(e, Length):
            self.lengths.append((len(self.terms), e.name))
            self.terms.append((lib.FS_T_LENGTH, 0))
            return 1
        if isinstance(e, Unary):
            depth = self._postfix(e.operand)
            self.terms.append((lib.FS_T_NEGATE if e.op == "-" else lib.FS_T_NOT, 0))
            return depth
        depth = max(self._postfix(e.left), 1 + self._postfix(e.right))
        self.terms.append((_TERMS[e.op], 0))
        return depth

    def _value(self, f: Field, scope: int, group: str) -> None:
        self.scope_of[f.name] = scope
        self._belongs(f.name, group)
        if f.wire is not None:
            self._fixed(Fixed(f.name, f.width * f.elements, f.wire, 1, True), scope)
            return
        self.bits[scope] += f.width * f.elements
        members = self._scalar(f, scope)
        if f.computed is not None:
            members |= self.expression(f.computed)
        self.add("FS_OP_FIELD", f.name, scope=scope, elements=f.elements, **members)

    def _scalar(self, f: Field, scope: int) -> dict[str, Any]:
        """What an operation says of the values that it moves."""
        kind = f.time.code if f.time is not None else f.kind
        return {
            "kind": KINDS[kind],
            "width": f.width,
            "size": f.dtype.itemsize,
            "swap": f.swap,
            "reg": 1 + self.registers.get(f.name, -1),
            "fine": f.time.fine if f.time is not None else 0,
            "flag": f.flag,
            "column": 0 if f.hidden else self.column("values", f.name, scope, f),
        }

    def _fixed(self, node: Fixed, scope: int) -> None:
        self.bits[scope] += node.width * node.count
        left = node.width
        while left:  # a constant of more than 64 bits goes in parts
            width = min(left, 64)
            left -= width
            value = node.value >> left & (1 << width) - 1
            self.add(
                "FS_OP_FIXED",
                node.name or "a fixed field",
                kind=lib.FS_UINT,
                width=width,
                elements=node.count,
                value=value,
                flag=node.checked,
                scope=scope,
            )

    def _group(self, node: Group, scope: int, depth: int, outer: str) -> None:
        name = node.name
        named = bool(name) and any(isinstance(n, Value | Repeat) for n in walk(node.members))
        named = named or bool(name and node.struct)
        inside = [
            self.registers[f.name] for f in fields_of(node.members) if f.name in self.registers
        ]
        at = self.add(
            "FS_OP_GROUP",
            name or "a choice",
            scope=scope,
            column=self.column("mask", name, scope) if named else 0,
            value=sum(1 << register for register in inside),
            **self.expression(node.condition),
        )
        self._belongs(name, outer)
        self.emit(node.members, scope, depth, name if named else outer)
        self.rows[at]["jump"] = len(self.rows)

    def _belongs(self, name: str, group: str) -> None:
        if group and name and name != group:
            self.groups[name] = group

    def _repeat(self, node: Repeat, scope: int, depth: int, group: str) -> None:
        if depth == lib.FS_NESTED:
            raise LayoutError(f"{node.name}: lists nest deeper than {lib.FS_NESTED}")
        inner = len(self.parents)
        self.parents.append(scope)
        self.lists.append(node.name)
        self.bits.append(0)
        self._belongs(node.name, group)
        if node.ends == "zero":
            self.bits[scope] += 8
        members = {
            "scope": scope,
            "inner": inner,
            "elements": least_nbits(node.members),
            "ends": _ENDS[node.ends],
            "trailer": node.trailer_nbits,
            "offsets": self.column("offsets", node.name, scope),
            **(self.expression(node.count) if node.count is not None else {}),
        }
        one = node.scalar
        plain = one is not None and one.wire is None and one.computed is None
        plain = plain and one is not None and one.elements == 1
        if one is not None and plain and (node.octets or one.kind != "bytes"):
            self.scope_of[one.name] = inner
            self.flat.add(one.name)
            self.bits[inner] = one.width
            members |= self._scalar(one, inner)
            self.list_ops[node.name] = self.add("FS_OP_LIST", node.name, **members)
            return
        at = self.list_ops[node.name] = self.add("FS_OP_REPEAT", node.name, **members)
        self.emit(node.members, inner, depth + 1, "")
        self.add("FS_OP_END", node.name, scope=inner, jump=at)
        self.rows[at]["jump"] = len(self.rows)


def _expressions(nodes: tuple[Node, ...]) -> list[Expr]:
    found: list[Expr] = []
    for node in walk(nodes):
        if isinstance(node, Group):
            found.append(node.condition)
        elif isinstance(node, Repeat) and node.count is not None:
            found.append(node.count)
        elif isinstance(node, Value) and node.field.computed is not None:
            found.append(node.field.computed)
    return found
