"""Conditions of a layout as what XTCE restricts containers with: comparisons that all hold.

``this.kind == 2`` is one comparison. "Or" has no place in a list of comparisons, so a condition
becomes several lists of which at most one holds: a container each. What is known of a value, from
its width and from comparisons further out, leaves out what cannot be or needs no saying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.expression import BINARY, Binary, Expr, Number, Unary, linear, text_of

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Comparison:
    """The raw value of ``name`` against a constant; ``sign`` is one of == != < <= > >=."""

    name: str
    sign: str
    value: int


All = tuple[Comparison, ...]


class Range(NamedTuple):
    """What an integer can be: ``low`` to ``high``, but none of ``holes``."""

    low: int
    high: int
    holes: frozenset[int] = frozenset()

    def narrowed(self, sign: str, value: int) -> Range | None:
        """Return what is left under a comparison; None if that is nothing."""
        low, high, holes = self
        if sign == "==":
            low, high = max(low, value), min(high, value)
        elif sign == "!=":
            holes = holes | {value} if low <= value <= high else holes
        elif sign in ("<", "<="):
            high = min(high, value - (sign == "<"))
        else:
            low = max(low, value + (sign == ">"))
        while low in holes:
            low += 1
        while high in holes:
            high -= 1
        if low > high:
            return None
        return Range(low, high, frozenset(hole for hole in holes if low < hole < high))


def range_of(nbits: int, signed: bool) -> Range:
    """Return what an integer of so many bits can be."""
    return Range(-(1 << nbits - 1), (1 << nbits - 1) - 1) if signed else Range(0, (1 << nbits) - 1)


def narrow(known: Mapping[str, Range], every: All) -> tuple[dict[str, Range], All] | None:
    """Return what is known when all comparisons hold, and those that said something new.

    None if they cannot all hold.
    """
    now, new = dict(known), []
    for each in every:
        before = now[each.name]
        after = before.narrowed(each.sign, each.value)
        if after is None:
            return None
        if after != before:
            new.append(each)
            now[each.name] = after
    return now, tuple(each for each in new if _says(each, known, new))


def _says(each: Comparison, known: Mapping[str, Range], every: list[Comparison]) -> bool:
    """Return whether a comparison is needed beside an equality with the same value."""
    equal = [e for e in every if e.sign == "==" and e.name == each.name]
    return not equal or each == equal[0]


def cases_of(e: Expr, wanted: bool = True) -> list[All]:
    """Return lists of comparisons of which exactly one holds if ``e`` is ``wanted``, else none.

    LayoutError says which part cannot be said with comparisons of one field and a number.
    """
    if isinstance(e, Number):
        return [()] if bool(e.value) is wanted else []
    if isinstance(e, Unary) and e.op == "not":
        return cases_of(e.operand, not wanted)
    if isinstance(e, Binary) and e.op in ("&", "|") and _is_truth(e.left) and _is_truth(e.right):
        # not (a and b) is (not a) or (not b)
        both = (e.op == "&") is wanted
        first, second = cases_of(e.left, wanted), cases_of(e.right, wanted)
        if both:
            return [one + other for one in first for other in second]
        instead = cases_of(e.left, not wanted)
        return first + [one + other for one in instead for other in second]
    if isinstance(e, Binary) and e.op in _OPPOSITE:
        return _compared(e, wanted)
    return _compared(Binary("!=", e, Number(0)), wanted)


def _is_truth(e: Expr) -> bool:
    if isinstance(e, Number):
        return e.value in (0, 1)
    if isinstance(e, Unary):
        return e.op == "not"
    if not isinstance(e, Binary):
        return False
    return e.op in _OPPOSITE or (e.op in "&|" and _is_truth(e.left) and _is_truth(e.right))


def _compared(e: Binary, wanted: bool) -> list[All]:
    line = linear(Binary("-", e.left, e.right))
    if line is None:
        raise LayoutError(f"{text_of(e)} is no comparison of one field with a number")
    name, slope, intercept = line
    sign, bound = e.op if wanted else _OPPOSITE[e.op], -intercept
    if slope < 0:
        sign, slope, bound = _MIRRORED[sign], -slope, -bound
    if name is None or slope == 0:
        return [()] if BINARY[sign](0, bound) else []
    if sign in ("==", "!="):
        if bound % slope:
            return [()] if sign == "!=" else []
        return [(Comparison(name, sign, bound // slope),)]
    up = sign in ("<", ">=")  # slope * x < bound where x < bound / slope, rounded up
    return [(Comparison(name, sign, -(-bound // slope) if up else bound // slope),)]
