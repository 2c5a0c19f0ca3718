"""Lengths, counts and conditions of a layout: construct's ``this`` expressions as a small tree.

``this.length - 7`` becomes ``Binary("-", Ref("length"), Number(7))``: something to write down, to
export, to evaluate here, and to run in C as terms on a stack (``csrc/columns/variable.h``).
Integers only. A lambda is refused: nothing can be known of what it does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import construct

from flightsw.codec.columns.declaration import LayoutError


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: int


@dataclass(frozen=True)
class Ref:
    """The value of an earlier field, by its name."""

    name: str
    labels: Mapping[int, str] | None = None  #: of an Enum, for comparisons with a label


@dataclass(frozen=True)
class Length:
    """How many elements the list of this name has; only while encoding."""

    name: str


@dataclass(frozen=True)
class Unary:
    """``-x`` or ``not x``."""

    op: str
    operand: Expr


@dataclass(frozen=True)
class Binary:
    """``left op right``; ``//`` and ``%`` round down, comparisons give 0 or 1."""

    op: str
    left: Expr
    right: Expr


Expr: TypeAlias = Number | Ref | Length | Unary | Binary

#: What to do on integers, by sign. ``&`` and ``|`` work on bits, so also on comparisons.
BINARY: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGN_OF: dict[Any, str] = {function: sign for sign, function in BINARY.items()}
_COMPARISONS = {"==", "!="}
_LIMIT = 1 << 63

#: Path relative to a context -> what it means: a field, a list, or the value of a constant.
Resolve: TypeAlias = Callable[[tuple[Any, ...]], Ref | Length | Number]


def understand(given: Any, resolve: Resolve) -> Expr:
    """Return the tree of an integer or a ``this`` expression; LayoutError says what it is not."""
    if isinstance(given, construct.expr.BinExpr):
        return _binary(given, resolve)
    if isinstance(given, construct.expr.UniExpr):
        sign = {operator.neg: "-", operator.not_: "not", operator.pos: "+"}[given.op]
        operand = understand(given.operand, resolve)
        return operand if sign == "+" else Unary(sign, operand)
    if isinstance(given, construct.expr.FuncPath):
        return _length(given, resolve)
    if isinstance(given, construct.expr.Path):
        found = resolve(parts_of(given))
        if isinstance(found, Length):
            raise LayoutError(f"{found.name} is a list; use len_ for the number of its elements")
        return found
    if isinstance(given, int) and -_LIMIT <= int(given) < _LIMIT:
        return Number(int(given))
    if callable(given):
        raise LayoutError("is computed by a function; write it with this, as in this.count + 1")
    raise LayoutError(f"{given!r} is not an integer of 64 bits or an expression of this")


def parts_of(path: Any) -> tuple[Any, ...]:
    """Return ("a", "b") for ``this.a.b``; LayoutError if it does not begin at ``this``."""
    parts: list[Any] = []
    at = path
    while (parent := vars(at)["_Path__parent"]) is not None:
        parts.append(vars(at)["_Path__field"])
        at = parent
    if vars(at)["_Path__name"] != "this":
        raise LayoutError(f"{path!r} does not begin at this")
    return tuple(reversed(parts))


def _length(given: Any, resolve: Resolve) -> Expr:
    function, operand = vars(given)["_FuncPath__func"], vars(given)["_FuncPath__operand"]
    if function is not len or not isinstance(operand, construct.expr.Path):
        raise LayoutError(f"{given!r} is not understood; of functions only len_(this.list) is")
    found = resolve(parts_of(operand))
    if not isinstance(found, Length):
        raise LayoutError(f"len_ of {text_of(found)}, which is no list")
    return found


def _binary(given: Any, resolve: Resolve) -> Expr:
    sign = _SIGN_OF.get(given.op)
    if sign is None:
        raise LayoutError(f"operator of {given!r} is not one of {' '.join(BINARY)}")
    sides = [given.lhs, given.rhs]
    for i, side in enumerate(sides):
        if isinstance(side, str):
            if sign not in _COMPARISONS:
                raise LayoutError(f"{side!r} can only be compared for equality")
            sides[i] = number_of(side, understand(sides[1 - i], resolve))
    left, right = understand(sides[0], resolve), understand(sides[1], resolve)
    if not any(isinstance(side, str) for side in (given.lhs, given.rhs)):
        for side in (left, right):
            if isinstance(side, Ref) and side.labels:  # to construct it is a str
                raise LayoutError(f"{side.name} is an Enum; compare it with one of its labels")
    return Binary(sign, left, right)


def number_of(label: Any, of: Expr) -> int:
    """Return the number of an Enum's label, or an integer as it is."""
    if isinstance(label, str):
        numbers = {text: n for n, text in (of.labels or {}).items()} if isinstance(of, Ref) else {}
        if label not in numbers:
            raise LayoutError(f"{label!r} is no label of {text_of(of)}")
        return numbers[label]
    return int(label)


def text_of(e: Expr) -> str:
    """Return the expression as one would write it."""
    if isinstance(e, Number):
        return str(e.value)
    if isinstance(e, Ref):
        return e.name
    if isinstance(e, Length):
        return f"len({e.name})"
    if isinstance(e, Unary):
        return f"{e.op} {text_of(e.operand)}"
    sides = (f"({text_of(s)})" if isinstance(s, Binary) else text_of(s) for s in (e.left, e.right))
    return f" {e.op} ".join(sides)


def refs_of(e: Expr) -> set[str]:
    """Return the names of the fields that an expression needs."""
    if isinstance(e, Ref):
        return {e.name}
    if isinstance(e, Unary):
        return refs_of(e.operand)
    return refs_of(e.left) | refs_of(e.right) if isinstance(e, Binary) else set()


def evaluate(e: Expr, values: Mapping[str, int], lengths: Mapping[str, int]) -> int:
    """Return the value; LookupError names a field that is absent."""
    if isinstance(e, Number):
        return e.value
    if isinstance(e, Ref):
        return int(values[e.name])
    if isinstance(e, Length):
        return lengths[e.name]
    if isinstance(e, Unary):
        inner = evaluate(e.operand, values, lengths)
        return -inner if e.op == "-" else int(not inner)
    left = evaluate(e.left, values, lengths)
    return int(BINARY[e.op](left, evaluate(e.right, values, lengths)))


def linear(e: Expr) -> tuple[str | None, int, int] | None:
    """Return (field, slope, intercept) of ``slope * field + intercept``, None for other forms.

    The field is None for a constant. This is the form that XTCE's LinearAdjustment has.
    """
    if isinstance(e, Number):
        return None, 0, e.value
    if isinstance(e, Ref):
        return e.name, 1, 0
    if not isinstance(e, Binary) or e.op not in ("+", "-", "*"):
        return None
    left, right = linear(e.left), linear(e.right)
    if left is None or right is None or (left[0] and right[0]):
        return None
    if e.op == "*":
        if left[0] is None:
            left, right = right, left
        return left[0], left[1] * right[2], left[2] * right[2]
    sign = 1 if e.op == "+" else -1
    return left[0] or right[0], left[1] + sign * right[1], left[2] + sign * right[2]
