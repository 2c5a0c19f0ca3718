"""Random construct declarations of bounded depth, and random octets for them.

Every choice comes from one ``random.Random``, so a seed is a case. Lists are counted by earlier
fields taken modulo a small number, or else random octets would hardly ever be long enough.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import construct as c
import numpy as np
import pytest
from construct import len_, this

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.columns.time_field import cds, cuc
from flightsw.codec.errors import CodecError

FIXED_WIDTH = [c.Int8ub, c.Int8sb, c.Int16ub, c.Int16sl, c.Int24ub, c.Int32ul, c.Int32sb, c.Int64ub]
FLOATS = [c.Float16b, c.Float16l, c.Float32b, c.Float32l, c.Float64b, c.Float64l]


class Maker:
    """Makes one declaration; ``names`` are the integers that an expression may use here."""

    def __init__(self, rnd: Random) -> None:
        self.rnd = rnd
        self.count = 0

    def struct(self, depth: int, outer: list[Any], *, last: bool = False) -> Any:
        """Return a Struct of up to six members; outer are expressions from the context around."""
        members: list[Any] = []
        numbers: list[Any] = []
        for _ in range(self.rnd.randint(1, 6)):
            members += self.member(depth, numbers, outer)
        if last and self.rnd.random() < 0.3:
            members.append(self.name() / self.rnd.choice([c.GreedyBytes, c.GreedyRange(c.Int8sb)]))
        return c.Struct(*members)

    def name(self) -> str:
        """Return a name that no other field has."""
        self.count += 1
        return f"f{self.count}"

    def integer(self) -> Any:
        """Return an integer of whole octets."""
        if self.rnd.random() < 0.5:
            return self.rnd.choice(FIXED_WIDTH)
        return c.BytesInteger(
            self.rnd.randint(1, 8),
            signed=self.rnd.random() < 0.5,
            swapped=self.rnd.random() < 0.5,
        )

    def scalar(self) -> Any:
        """Return a field without members."""
        rnd = self.rnd
        makers: list[Callable[[], Any]] = [
            self.integer,
            self.integer,
            lambda: rnd.choice(FLOATS),
            lambda: c.Flag,
            lambda: c.Enum(c.Int8ub, off=0, on=1, idle=2),
            lambda: c.Bytes(rnd.randint(0, 5)),
            lambda: c.PaddedString(rnd.randint(1, 6), "utf8"),
            lambda: c.Default(c.Int8ub, 3),
            lambda: cuc(rnd.randint(1, 4), rnd.randint(0, 10)),
            lambda: cds(rnd.choice([2, 3]), rnd.choice([0, 2, 4])),
        ]
        return rnd.choice(makers)()

    def member(self, depth: int, numbers: list[Any], outer: list[Any]) -> list[Any]:
        """Return one member, or a count and its list."""
        name, rnd = self.name(), self.rnd
        roll = rnd.random()
        if depth == 0 or roll < 0.35:
            if rnd.random() < 0.5:
                numbers.append(this[name])
                return [name / self.rnd.choice([c.Int8ub, c.Int8sb, c.Int16ul])]
            return [name / self.scalar()]
        if roll < 0.45:
            return [name / self.bits()]
        if roll < 0.5:
            return [c.Padding(rnd.randint(0, 3), b"\x01")]
        if roll < 0.55:
            count = self.name()
            return [count / c.Rebuild(c.Int8ub, len_(this[name])), name / c.Int16ub[this[count]]]
        known = [*numbers, *outer]
        if roll < 0.75:
            return [name / self.list_of(depth, known)]
        if not known or roll < 0.8:
            return [name / self.text()]
        return [name / self.choice(depth, known)]

    def inside(self, known: list[Any], levels: int = 1) -> list[Any]:
        """Return expressions as a context further inside has them."""
        return [_outwards(e, levels) for e in known]

    def small(self, known: list[Any]) -> Any:
        """Return a length of 0 to about 4."""
        e = self.rnd.choice(known)
        forms = [e % 4, e & 3, (e % 2) * 2 + 1, (e & 7) // 2, (e >> 1) % 3, -(e % 3) + 2, e - 1]
        return self.rnd.choice(forms)

    def list_of(self, depth: int, known: list[Any]) -> Any:
        """Return a list, counted by a field or by a prefix."""
        rnd = self.rnd
        if not known or rnd.random() < 0.4:
            if rnd.random() < 0.5:
                return c.PrefixedArray(c.Int8ub, self.element())
            inner = self.struct(depth - 1, self.inside(known, 2))
            return c.PrefixedArray(c.Int8ub, c.Struct("e" / c.Int8ub, *inner.subcons))
        if rnd.random() < 0.3:
            return c.Bytes(self.small(known))
        if rnd.random() < 0.6:
            return c.Array(self.small(known), self.element())
        inner = self.struct(depth - 1, self.inside(known))
        return c.Array(self.small(known), c.Struct("e" / c.Int8ub, *inner.subcons))

    def element(self) -> Any:
        """Return a field that has at least one bit."""
        while True:
            field = self.scalar()
            if field.sizeof():
                return field

    def text(self) -> Any:
        """Return a string of changing length."""
        kinds = [
            c.PascalString(c.Int8ub, "utf8"),
            c.CString("utf8"),
            c.Prefixed(c.Int8ub, c.GreedyBytes),
            c.Prefixed(c.Int16ul, c.GreedyBytes, includelength=True),
        ]
        return self.rnd.choice(kinds)

    def choice(self, depth: int, known: list[Any]) -> Any:
        """Return If, IfThenElse or Switch."""
        e, rnd = self.rnd.choice(known), self.rnd
        conditions = [
            e > 1,
            e % 2 == 0,
            e & 1,
            (e != 3) & (e < 9),
            ~(e == 0),
            e <= rnd.choice(known),
        ]
        condition = rnd.choice(conditions)
        roll = rnd.random()
        if roll < 0.4:
            return c.If(condition, self.branch(depth, known))
        if roll < 0.7:
            return c.IfThenElse(condition, self.branch(depth, known), self.branch(depth, known))
        cases = {k: self.branch(depth, known) for k in rnd.sample(range(4), rnd.randint(1, 3))}
        default = rnd.choice([c.Pass, self.branch(depth, known)])
        return c.Switch(e % 4, cases, default)

    def branch(self, depth: int, known: list[Any]) -> Any:
        """Return what a choice holds."""
        if self.rnd.random() < 0.5:
            return self.scalar()
        if self.rnd.random() < 0.3:
            return c.PrefixedArray(c.Int8ub, self.element())
        return self.struct(depth - 1, self.inside(known))

    def bits(self) -> Any:
        """Return a BitStruct: any widths, floats and lists at any bit, whole octets in all."""
        rnd, members, total = self.rnd, [], 0
        for _ in range(rnd.randint(1, 5)):
            width, name = rnd.randint(1, 64), self.name()
            members.append(name / c.BitsInteger(width, signed=rnd.random() < 0.5))
            total += width
            if rnd.random() < 0.3:
                number = rnd.choice(FLOATS)
                members.append(self.name() / c.Bytewise(number))
                total += 8 * number.sizeof()
            if rnd.random() < 0.3:
                count = self.name()
                members.append(count / c.BitsInteger(2))
                total += 2
                members.append(
                    self.name() / c.Array(this[count], c.BitsInteger(8 * rnd.randint(1, 3)))
                )
            if width < 64 and rnd.random() < 0.2:  # expressions have 64 bits with sign
                members.append(self.name() / c.If(this[name] % 2 == 1, c.BitsInteger(16)))
            if rnd.random() < 0.2:
                members.append(c.Padding(3))
                total += 3
        return c.BitStruct(*members, c.Padding(-total % 8))


def _outwards(e: Any, levels: int) -> Any:
    """Return ``this._.name`` for ``this.name``."""
    parts = []
    while (parent := vars(e)["_Path__parent"]) is not None:
        parts.append(vars(e)["_Path__field"])
        e = parent
    made = this
    for _ in range(levels):
        made = made["_"]
    for part in reversed(parts):
        made = made[part]
    return made


def declaration(rnd: Random, depth: int = 2) -> Any:
    """Return a random declaration."""
    return Maker(rnd).struct(depth, [], last=True)


def packet(rnd: Random) -> bytes:
    """Return random octets, often small ones, so that counts are met and text is text."""
    n = rnd.randrange(1, 120)
    roll = rnd.random()
    if roll < 0.2:
        return rnd.randbytes(n)
    high = rnd.choice([3, 6, 128])
    return bytes(
        rnd.randrange(256) if rnd.random() < 0.1 else rnd.randrange(high) for _ in range(n)
    )


def plain(parsed: Any) -> Any:
    """Return construct's containers as dicts and lists, its labels as str."""
    if isinstance(parsed, dict):
        return {key: plain(value) for key, value in parsed.items() if not key.startswith("_")}
    if isinstance(parsed, list):
        return [plain(each) for each in parsed]
    return str(parsed) if isinstance(parsed, str) else parsed


def same(one: Any, other: Any) -> bool:
    """Equal, or not a number at the same places; labels may come as numbers without one."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(same(a, b) for a, b in zip(one, other, strict=True))
        )
    return bool(one == other or (one != one and other != other))


def holds_nan(values: Any) -> bool:
    """Whether any value is not a number: its bits do not come back through Python."""
    if isinstance(values, dict):
        return any(map(holds_nan, values.values()))
    if isinstance(values, list):
        return any(map(holds_nan, values))
    return bool(values != values)


def agree_with_construct(rnd: Random, packets: int) -> int:
    """Assert that a random declaration means the same to construct on random packets.

    Values, refusals, what both build from the values, and columns both ways. Returns how many
    packets were good.
    """
    made = declaration(rnd)
    layout = compile_layout(made)
    good: list[bytes] = []
    for _ in range(packets):
        octets = packet(rnd)
        try:
            wanted = plain(made.parse(octets))
        except (c.ConstructError, TypeError, KeyError, ValueError):
            with pytest.raises(CodecError):
                layout.decode(octets)
            continue
        found = layout.decode(octets)
        assert same(wanted, found)
        if not holds_nan(wanted):
            good.append(made.build(wanted))
            assert layout.encode(found) == good[-1]
    if good and layout.fields:
        lengths = np.array([len(each) for each in good])
        dump = b"".join(good)
        columns = layout.decode_columns(
            dump, offsets=np.cumsum(lengths) - lengths, lengths=lengths, strict=True
        )
        for row, octets in enumerate(good):
            for name, value in layout.decode(octets).items():
                if isinstance(value, int) and name in columns:
                    assert int(columns[name][row]) == value
        assert layout.encode_columns(columns) == dump
    return len(good)
