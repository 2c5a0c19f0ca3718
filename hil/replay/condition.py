"""Conditions on a record, as ``--break-at`` takes them: ``tm.mode==SAFE and t>300``.

A condition is comparisons joined by ``and``, ``or``, ``not`` and parentheses. A comparison has the
name of a field on one side, and on the other a number, a text in quotes, or a bare word that stands
for itself. Nothing is ever run: the text is read into a tree of the classes below.

    condition  = both { "or" both }
    both       = one { "and" one }
    one        = "not" one | "(" condition ")" | operand [ operator operand ]
    operator   = "==" | "=" | "!=" | "<" | "<=" | ">" | ">="

A field alone holds where it is there and neither 0 nor empty. Where a field is not there, every
comparison with it is false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hil.errors import UsageError

Value = int | float | str
Fields = Mapping[str, Value]

LENGTH_LIMIT, DEPTH_LIMIT = 2000, 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"[^"]*"|'[^']*')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?![\w.]))
    | (?P<name>[A-Za-z_/](?:[\w./-]|\[\d+:?\d*\])*)
    | (?P<operator>==|!=|<=|>=|=|<|>)
    | (?P<bracket>[()])
    )""",
    re.VERBOSE,
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = ("and", "or", "not")


class Condition(Protocol):
    """A node of the tree."""

    def holds(self, fields: Fields) -> bool:
        """Tell whether it holds for a record with these fields."""

    def names(self) -> Iterator[Name]:
        """Yield every name in it, in order."""


@dataclass
class Name:
    """A field, or a word that stands for itself; which, is decided when the fields are known."""

    text: str
    at: int
    is_word: bool = False
    #: the whole name of the field
    field: str = ""

    def value(self, fields: Fields) -> Value | None:
        """Return the value in a record; None: the field is not there."""
        return self.text if self.is_word else fields.get(self.field or self.text)

    def holds(self, fields: Fields) -> bool:
        """Tell whether the field is there and neither 0 nor empty."""
        return bool(self.value(fields))

    def names(self) -> Iterator[Name]:
        """Yield itself."""
        yield self


@dataclass(frozen=True)
class Constant:
    """A number, or a text in quotes."""

    constant: Value

    def value(self, fields: Fields) -> Value | None:
        """Return it."""
        return self.constant

    def holds(self, fields: Fields) -> bool:
        """Tell whether it is neither 0 nor empty."""
        return bool(self.constant)

    def names(self) -> Iterator[Name]:
        """Yield nothing."""
        yield from ()


Operand = Name | Constant


@dataclass(frozen=True)
class Compare:
    """Two operands and what is asked of them."""

    operator: str
    left: Operand
    right: Operand

    def holds(self, fields: Fields) -> bool:
        """Tell whether it holds; text and numbers are never less, greater or equal."""
        left, right = self.left.value(fields), self.right.value(fields)
        if left is None or right is None:
            return False
        if isinstance(left, str) != isinstance(right, str):
            return self.operator == "!="
        return _OPERATORS[self.operator](left, right)

    def names(self) -> Iterator[Name]:
        """Yield the names on both sides."""
        yield from self.left.names()
        yield from self.right.names()


@dataclass(frozen=True)
class Not:
    """What does not hold."""

    inner: Condition

    def holds(self, fields: Fields) -> bool:
        """Tell whether the other does not."""
        return not self.inner.holds(fields)

    def names(self) -> Iterator[Name]:
        """Yield the names in it."""
        yield from self.inner.names()


@dataclass(frozen=True)
class Several:
    """Conditions of which all must hold, or ``any_of`` them one."""

    any_of: bool
    inner: tuple[Condition, ...]

    def holds(self, fields: Fields) -> bool:
        """Tell whether they hold together, from the first on and no further than need be."""
        found = (each.holds(fields) for each in self.inner)
        return any(found) if self.any_of else all(found)

    def names(self) -> Iterator[Name]:
        """Yield the names in all of them."""
        for each in self.inner:
            yield from each.names()


def parse(text: str) -> Condition:
    """Return the condition that a text states. Raises ``UsageError`` that shows what is wrong."""
    if len(text) > LENGTH_LIMIT:
        raise UsageError(f"condition of {len(text)} characters; at most {LENGTH_LIMIT}")
    reader = _Reader(text)
    found = reader.condition()
    if reader.kind:
        raise reader.error("and, or, or the end must stand here")
    return found


class _Reader:
    """Reads a condition from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = self._at = 0
        self._depth = 0
        self.kind = self.token = ""
        self._next()

    def error(self, message: str) -> UsageError:
        """Return the error that points at the present token."""
        shown = f"{self._text[: self._at]}>>{self._text[self._at :]}"
        return UsageError(f"condition {shown.strip()!r}: {message}")

    def _next(self) -> str:
        """Take the present token; return its text."""
        taken = self.token
        self._at = self._end
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            self.kind = self.token = ""
            if self._text[self._end :].strip():
                raise self.error("this is no name, number, text in quotes or operator")
            return taken
        self.kind = match.lastgroup or ""
        self.token = match[self.kind]
        self._at, self._end = match.start(self.kind), match.end()
        return taken

    def _is(self, *tokens: str) -> bool:
        return self.kind in ("name", "operator", "bracket") and self.token in tokens

    def condition(self) -> Condition:
        """Read conditions joined by ``or``."""
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, word: str, read: Callable[[], Condition]) -> Condition:
        found = [read()]
        while self._is(word):
            self._next()
            found.append(read())
        return found[0] if len(found) == 1 else Several(word == "or", tuple(found))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self.error("is nested too deeply")
        found: Condition
        if self._is("not"):
            self._next()
            found = Not(self._one())
        elif self._is("("):
            self._next()
            found = self.condition()
            if not self._is(")"):
                raise self.error("a ) must stand here")
            self._next()
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        left = self._operand()
        if self.kind != "operator":
            return left
        sign = self._next()
        right = self._operand()
        if self.kind == "operator":
            raise self.error("compare two things at a time, and join comparisons with and")
        if isinstance(left, Constant) and isinstance(right, Constant):
            raise self.error(f"before this nothing is compared with a field: {sign}")
        return Compare(sign, left, right)

    def _operand(self) -> Operand:
        if self.kind == "text":
            return Constant(self._next()[1:-1])
        if self.kind == "number":
            text = self._next()
            whole = text.lstrip("+-").isdecimal() or "x" in text.lower()
            return Constant(int(text, 0 if "x" in text.lower() else 10) if whole else float(text))
        if self.kind == "name" and self.token not in _WORDS:
            at = self._at
            return Name(self._next(), at)
        raise self.error("a field, a number or a text must stand here")
