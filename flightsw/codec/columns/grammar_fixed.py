"""What construct declares at fixed places: structs, integers, floats, flags, octets, constants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import construct

from flightsw.codec.columns.declaration import Declared
from flightsw.codec.columns.plan import (
    Choice,
    Field,
    Fixed,
    Node,
    Value,
    Whole,
    fields_of,
    name_of,
    nbits_of,
)
from flightsw.codec.columns.walk import At, Context, Known, Walk, peeled

_INTEGERS = {"B": (1, 0), "H": (2, 0), "L": (4, 0), "I": (4, 0), "Q": (8, 0)}
_INTEGERS |= {code.lower(): (nbytes, 1) for code, (nbytes, _) in _INTEGERS.items()}
_FLOATS = {"e": 2, "f": 4, "d": 8}
_SCALARS = (construct.FormatField, construct.BytesInteger, construct.BitsInteger)


def renamed(walk: Walk, subcon: Any, at: At) -> list[Node]:
    name, docs, calibration, inner = subcon.name, "", None, subcon
    while isinstance(inner, construct.Renamed):  # the outermost name is the one that counts
        docs = docs or inner.docs
        calibration = calibration or (inner.calibration if isinstance(inner, Declared) else None)
        inner = inner.subcon
    place = at if name is None else at.named(name)
    nodes = walk.visit(inner, place._replace(docs=docs, calibration=calibration))
    if at.context is not None and name is not None and walk.result is not None:
        at.context.entries[name] = walk.result
    return nodes


def struct(walk: Walk, subcon: Any, at: At) -> list[Node]:
    context = Context(at.context)
    nodes: list[Node] = []
    for member in subcon.subcons:
        walk.result = None
        inside = walk.visit(
            member, at._replace(docs="", calibration=None, context=context, labels=None)
        )
        if member.name is None:
            if not _nameless(member):
                raise walk.refuse(member, at, "has no name; name it or make it Padding")
            inside = _without_fields(walk, member, at, inside)
        nodes += inside
    walk.result = context
    return nodes


def _nameless(member: Any) -> bool:
    kinds = (construct.Padded, construct.Const, type(construct.Pass))
    return isinstance(member, (*kinds, construct.IfThenElse, construct.Switch))


def _without_fields(walk: Walk, member: Any, at: At, nodes: list[Node]) -> list[Node]:
    """Return nodes with the values that nobody can reach as fixed bits."""
    result: list[Node] = []
    for node in nodes:
        if isinstance(node, Value):
            f = node.field
            constant = f.wire is not None
            result.append(fixed("", f.width * f.elements, f.wire or 0, constant))
        else:
            result.append(replace(node, name="") if isinstance(node, Choice) else node)
    choice = isinstance(member, construct.IfThenElse | construct.Switch)
    if fields_of(tuple(result)) or (choice and not all(isinstance(n, Choice) for n in result)):
        raise walk.refuse(member, at, "has no name; name it or let it hold only padding")
    return result


def fixed(name: str, width: int, value: int, checked: bool) -> Fixed:
    """Return bits of one value, however many."""
    return Fixed(name, width, value, 1, checked)


def transformed(walk: Walk, subcon: Any, at: At) -> list[Node]:
    to_bits = subcon.decodefunc is construct.lib.bytes2bits
    if not to_bits and subcon.decodefunc is not construct.lib.bits2bytes:
        raise walk.refuse(subcon, at)
    return change(walk, subcon, at, to_bits)


def change(walk: Walk, subcon: Any, at: At, to_bits: bool) -> list[Node]:
    """Go from octets to bits or back."""
    if to_bits is at.bits:
        raise walk.refuse(subcon, at, "changes from bits to bits or from octets to octets")
    nodes = walk.visit(subcon.subcon, at._replace(bits=to_bits))
    nbits = nbits_of(tuple(nodes))
    if nbits is None:
        if not to_bits:
            return nodes
        name = name_of(at.names)
        walk.moved(name or "bits", False)
        return [*nodes, Whole(name)]
    if nbits % 8:
        raise walk.refuse(subcon, at, f"holds {nbits} bits, must be whole octets")
    return nodes


def array(walk: Walk, subcon: Any, at: At) -> list[Node]:
    """A number of elements that is known: of a scalar one field, else each its own fields."""
    count = walk.number(subcon.count, subcon, at)
    if subcon.discard:
        raise walk.refuse(subcon, at, "discards what it reads")
    inner = peeled(subcon.subcon)
    nodes: list[Node] = []
    if isinstance(inner, _SCALARS) and not at.computed:
        first = walk.bit
        nodes = walk.visit(inner, at)
        assert isinstance(nodes[0], Value)
        one: Field = nodes[0].field
        walk.bit = first + count * one.width
        nodes = [Value(one._replace(elements=count, array=True))] if count else []
    else:
        for index in range(count):
            place = at._replace(path=(*at.path, index), names=(*at.names, index))
            nodes += walk.visit(inner, place)
    walk.result = Known(None, at.lists, walk.serial)
    return nodes


def padded(walk: Walk, subcon: Any, at: At) -> list[Node]:
    step, start = 1 if at.bits else 8, walk.bit
    room = step * walk.number(subcon.length, subcon, at)
    nodes = walk.visit(subcon.subcon, at)
    inner = nbits_of(tuple(nodes))
    if inner is None:
        raise walk.refuse(subcon, at, "holds something of changing size")
    if inner > room:
        raise walk.refuse(subcon, at, f"is shorter than the {inner - room} bits inside it")
    walk.bit = start + room
    if inner < room:
        nodes.append(Fixed("", step, subcon.pattern[0], (room - inner) // step, False))
    return nodes


def const(walk: Walk, subcon: Any, at: At) -> list[Node]:
    built = subcon.build(None)
    wire = int("".join(map(str, built)), 2) if at.bits else int.from_bytes(built, "big")
    nodes = walk.visit(subcon.subcon, at._replace(const=subcon.value, wire=wire))
    if len(nodes) != 1 or not isinstance(nodes[0], Value):
        raise walk.refuse(subcon, at, "is of something else than one field")
    return nodes


def default(walk: Walk, subcon: Any, at: At) -> list[Node]:
    if callable(subcon.value):
        raise walk.refuse(subcon, at, "computes its value")
    nodes = walk.visit(subcon.subcon, at._replace(default=subcon.value))
    if len(nodes) != 1 or not isinstance(nodes[0], Value):
        raise walk.refuse(subcon, at, "is of something else than one field")
    return nodes


def enum(walk: Walk, subcon: Any, at: At) -> list[Node]:
    return walk.visit(subcon.subcon, at._replace(labels=dict(subcon.ksymapping)))


def nothing(walk: Walk, subcon: Any, at: At) -> list[Node]:
    return []


def flag(walk: Walk, subcon: Any, at: At) -> list[Node]:
    return walk.add(at, 1 if at.bits else 8, "uint", flag=True)


def format_field(walk: Walk, subcon: Any, at: At) -> list[Node]:
    order, code = subcon.fmtstr
    if at.bits:
        raise walk.refuse(subcon, at, "takes octets; wrap it in Bytewise")
    if order == "=":
        raise walk.refuse(subcon, at, "depends on the byte order of the host")
    if code in _FLOATS:
        return walk.add(at, 8 * _FLOATS[code], "float", order == "<")
    if code not in _INTEGERS:
        raise walk.refuse(subcon, at, f"of format {code!r} is not one of the kinds of a field")
    nbytes, signed = _INTEGERS[code]
    return walk.add(at, 8 * nbytes, "int" if signed else "uint", order == "<")


def integer(walk: Walk, subcon: Any, at: At) -> list[Node]:
    wants_bits = isinstance(subcon, construct.BitsInteger)
    if wants_bits is not at.bits:
        raise walk.refuse(subcon, at, "counts bits among octets or octets among bits")
    width = walk.number(subcon.length, subcon, at) * (1 if wants_bits else 8)
    swap = subcon.swapped
    if not isinstance(swap, bool) or (swap and width % 8) or not 1 <= width <= 64:
        raise walk.refuse(subcon, at, f"of {width} bits: 1 to 64, whole octets when swapped")
    return walk.add(at, width, "int" if subcon.signed else "uint", swap)


def octets(walk: Walk, subcon: Any, at: At) -> list[Node]:
    count = walk.number(subcon.length, subcon, at)
    must_be_octets(walk, subcon, at)
    return walk.add(at, 8, "bytes", count=count)


def must_be_octets(walk: Walk, subcon: Any, at: At) -> None:
    """Raise LayoutError unless the walk stands at the beginning of an octet."""
    if at.bits or walk.odd or walk.bit % 8:
        raise walk.refuse(subcon, at, "must begin at an octet")


VISITORS: tuple[tuple[Any, Any], ...] = (
    (construct.Renamed, renamed),
    (construct.Struct, struct),
    (construct.Transformed, transformed),
    (construct.Array, array),
    (construct.Padded, padded),
    (construct.Const, const),
    (construct.Default, default),
    (construct.Enum, enum),
    (type(construct.Pass), nothing),
    (type(construct.Flag), flag),
    (construct.FormatField, format_field),
    (construct.BytesInteger, integer),
    (construct.BitsInteger, integer),
    (construct.Bytes, octets),
)
