"""From a construct declaration of fixed size to the list of bit fields that the C interpreter runs.

Understood: Struct, BitStruct, Bitwise, Bytewise, Array, Padding and Padded, Int*, BytesInteger,
BitsInteger, Float32 and Float64, Flag, Enum, Bytes, Const, Default. Everything else is refused by
name, because a layout must mean the same to construct and to us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import construct
import numpy as np

from flightsw.codec.declaration import split_docs
from flightsw.codec.errors import CodecError

Path = tuple[str | int, ...]
_INTEGERS = {"B": (1, 0), "H": (2, 0), "L": (4, 0), "I": (4, 0), "Q": (8, 0)}
_INTEGERS |= {code.lower(): (nbytes, 1) for code, (nbytes, _) in _INTEGERS.items()}
_FLOATS = {"f": 4, "d": 8}


class LayoutError(CodecError):
    """A declaration asks for something that a fixed layout of bit fields cannot be."""


class Field(NamedTuple):
    """One column: ``elements`` values of ``width`` bits from ``bit`` on (0 is sent first)."""

    name: str
    bit: int
    width: int
    kind: str  #: "uint", "int", "float" or "bytes" (of 8 bits each)
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


class Plan(NamedTuple):
    """All fields in order, the size in octets, and a packet with its fixed octets only."""

    fields: tuple[Field, ...]
    nbytes: int
    blank: bytes


class _Frame(NamedTuple):
    """Where the walk is: names so far, bits or octets, and what wrappers said about the field."""

    path: Path = ()
    bits: bool = False
    docs: str = ""
    const: Any = None
    default: Any = None
    labels: Mapping[int, str] | None = None


def compile_plan(declaration: Any) -> Plan:
    """Compile a construct declaration; raises LayoutError that names the field it cannot take."""
    walk = _Walk()
    nbits = walk.visit(declaration, _Frame(), 0)
    assert nbits % 8 == 0, "every change to bits gives whole octets back"
    names = [f.name for f in walk.fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LayoutError(f"layout: field {twice[0]!r} is declared twice; construct would keep one")
    nbytes = nbits // 8
    fixed = sum(value << nbits - bit - width for bit, width, value in walk.fixed)
    return Plan(tuple(walk.fields), nbytes, fixed.to_bytes(nbytes, "big"))


def name_of(path: Path) -> str:
    """Return ``a.b[2].c`` for ("a", "b", 2, "c")."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class _Walk:
    """Visits a declaration depth first; each visit returns the bit behind what it took."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.fixed: list[tuple[int, int, int]] = []  # bit, width, value

    def visit(self, subcon: Any, at: _Frame, bit: int) -> int:
        """Dispatch on construct's own classes, the most special first."""
        for kind, method in _VISITORS:
            if isinstance(subcon, kind):
                end: int = method(self, subcon, at, bit)
                return end
        raise self._refuse(subcon, at)

    def _refuse(
        self, subcon: Any, at: _Frame, why: str = "is not of a fixed layout"
    ) -> LayoutError:
        name = name_of(at.path) or "the layout"
        return LayoutError(f"{name}: construct {type(subcon).__name__} {why}")

    def _fixed_length(self, value: Any, subcon: Any, at: _Frame) -> int:
        if not isinstance(value, int) or value < 0:
            raise self._refuse(subcon, at, "needs a length that is a plain number")
        return value

    def renamed(self, subcon: Any, at: _Frame, bit: int) -> int:
        docs, inner = subcon.docs, subcon.subcon
        while isinstance(inner, construct.Renamed):  # the outermost name is the one that counts
            docs, inner = docs or inner.docs, inner.subcon
        path = at.path if subcon.name is None else (*at.path, subcon.name)
        return self.visit(inner, at._replace(path=path, docs=docs), bit)

    def struct(self, subcon: Any, at: _Frame, bit: int) -> int:
        for member in subcon.subcons:
            if member.name is None and not isinstance(
                member, (construct.Padded, construct.Const, type(construct.Pass))
            ):
                raise self._refuse(member, at, "has no name; name it or make it Padding")
            first = len(self.fields)
            bit = self.visit(member, at._replace(docs=""), bit)
            if member.name is None:
                del self.fields[first:]
        return bit

    def transformed(self, subcon: Any, at: _Frame, bit: int) -> int:
        to_bits = subcon.decodefunc is construct.lib.bytes2bits
        if not to_bits and subcon.decodefunc is not construct.lib.bits2bytes:
            raise self._refuse(subcon, at)
        if to_bits is at.bits:
            raise self._refuse(subcon, at, "changes from bits to bits or from octets to octets")
        end = self.visit(subcon.subcon, at._replace(bits=to_bits), bit)
        if (end - bit) % 8:
            raise self._refuse(subcon, at, f"holds {end - bit} bits, must be whole octets")
        return end

    def array(self, subcon: Any, at: _Frame, bit: int) -> int:
        count = self._fixed_length(subcon.count, subcon, at)
        inner = subcon.subcon
        if isinstance(
            inner, (construct.FormatField, construct.BytesInteger, construct.BitsInteger)
        ):
            first = len(self.fields)
            end = self.visit(inner, at, bit)
            (one,) = self.fields[first:]
            self.fields[first:] = [one._replace(elements=count, array=True)] if count else []
            return bit + count * (end - bit)
        for index in range(count):
            bit = self.visit(inner, at._replace(path=(*at.path, index)), bit)
        return bit

    def padded(self, subcon: Any, at: _Frame, bit: int) -> int:
        step = 1 if at.bits else 8
        end = bit + step * self._fixed_length(subcon.length, subcon, at)
        inner = self.visit(subcon.subcon, at, bit)
        if inner > end:
            raise self._refuse(subcon, at, f"is shorter than the {inner - bit} bits inside it")
        for each in range(inner, end, step):
            self.fixed.append((each, step, subcon.pattern[0]))
        return end

    def const(self, subcon: Any, at: _Frame, bit: int) -> int:
        end = self.visit(subcon.subcon, at._replace(const=subcon.value), bit)
        built = subcon.build(None)
        value = int("".join(map(str, built)), 2) if at.bits else int.from_bytes(built, "big")
        self.fixed.append((bit, end - bit, value))
        return end

    def default(self, subcon: Any, at: _Frame, bit: int) -> int:
        if callable(subcon.value):
            raise self._refuse(subcon, at, "computes its value")
        return self.visit(subcon.subcon, at._replace(default=subcon.value), bit)

    def enum(self, subcon: Any, at: _Frame, bit: int) -> int:
        return self.visit(subcon.subcon, at._replace(labels=dict(subcon.ksymapping)), bit)

    def nothing(self, subcon: Any, at: _Frame, bit: int) -> int:
        return bit

    def flag(self, subcon: Any, at: _Frame, bit: int) -> int:
        width = 1 if at.bits else 8
        return self._add(at, bit, width, "uint", False, flag=True)

    def format_field(self, subcon: Any, at: _Frame, bit: int) -> int:
        order, code = subcon.fmtstr
        if at.bits:
            raise self._refuse(subcon, at, "takes octets; wrap it in Bytewise")
        if order == "=":
            raise self._refuse(subcon, at, "depends on the byte order of the host")
        if code in _FLOATS:
            return self._add(at, bit, 8 * _FLOATS[code], "float", order == "<")
        if code not in _INTEGERS:
            raise self._refuse(subcon, at, f"of format {code!r} is not one of the kinds of a field")
        nbytes, signed = _INTEGERS[code]
        return self._add(at, bit, 8 * nbytes, "int" if signed else "uint", order == "<")

    def integer(self, subcon: Any, at: _Frame, bit: int) -> int:
        wants_bits = isinstance(subcon, construct.BitsInteger)
        if wants_bits is not at.bits:
            raise self._refuse(subcon, at, "counts bits among octets or octets among bits")
        width = self._fixed_length(subcon.length, subcon, at) * (1 if wants_bits else 8)
        swap = subcon.swapped
        if not isinstance(swap, bool) or (swap and width % 8) or not 1 <= width <= 64:
            raise self._refuse(subcon, at, f"of {width} bits: 1 to 64, whole octets when swapped")
        return self._add(at, bit, width, "int" if subcon.signed else "uint", swap)

    def octets(self, subcon: Any, at: _Frame, bit: int) -> int:
        count = self._fixed_length(subcon.length, subcon, at)
        if at.bits or bit % 8:
            raise self._refuse(subcon, at, "must begin at an octet")
        self._add(at, bit, 8, "bytes", False, count=count)
        return bit + 8 * count

    def _add(
        self,
        at: _Frame,
        bit: int,
        width: int,
        kind: str,
        swap: bool,
        count: int = 1,
        flag: bool = False,
    ) -> int:
        size = next(n for n in (1, 2, 4, 8) if width <= 8 * n)
        letter = {"uint": "u", "bytes": "u", "int": "i", "float": "f"}[kind]
        dtype = np.dtype(np.bool_) if flag and width == 1 else np.dtype(f"{letter}{size}")
        doc, unit = split_docs(at.docs)
        name = name_of(at.path)
        self.fields.append(
            Field(
                name=name,
                bit=bit,
                width=width,
                kind=kind,
                dtype=dtype,
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
            )
        )
        return bit + width


_VISITORS: tuple[tuple[Any, Any], ...] = (
    (construct.Renamed, _Walk.renamed),
    (construct.Struct, _Walk.struct),
    (construct.Transformed, _Walk.transformed),
    (construct.Array, _Walk.array),
    (construct.Padded, _Walk.padded),
    (construct.Const, _Walk.const),
    (construct.Default, _Walk.default),
    (construct.Enum, _Walk.enum),
    (type(construct.Pass), _Walk.nothing),
    (type(construct.Flag), _Walk.flag),
    (construct.FormatField, _Walk.format_field),
    (construct.BytesInteger, _Walk.integer),
    (construct.BitsInteger, _Walk.integer),
    (construct.Bytes, _Walk.octets),
)
