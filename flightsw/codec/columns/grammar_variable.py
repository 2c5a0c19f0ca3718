"""What construct declares at places that depend on earlier fields: lists, choices, text, times."""

from __future__ import annotations

from typing import Any

import construct
from construct import len_, this

from flightsw.codec.columns import grammar_fixed
from flightsw.codec.columns.declaration import LayoutError, split_docs
from flightsw.codec.columns.expression import Binary, Expr, Length, Number, Ref, Unary, number_of
from flightsw.codec.columns.grammar_fixed import change, fixed, must_be_octets
from flightsw.codec.columns.plan import (
    Choice,
    Field,
    Group,
    Node,
    Repeat,
    Value,
    least_nbits,
    name_of,
    nbits_of,
)
from flightsw.codec.columns.time_field import TimeField
from flightsw.codec.columns.walk import At, Context, Known, Walk, peeled

_Case = tuple[str, Expr, Any]


def repeat(
    walk: Walk, subcon: Any, at: At, ends: str, count: Expr | None, element: Any = None
) -> list[Node]:
    """A list of as many elements as ``count`` or the packet says; octets where no element is."""
    name = walk.unique(name_of(at.names))
    if isinstance(count, Ref) and count.labels:
        raise walk.refuse(subcon, at, f"counts by the Enum {count.name}")
    walk.nlists += 1
    place = at._replace(lists=(*at.lists, walk.nlists))
    began_odd = walk.odd or walk.bit % 8 != 0
    bit, after = walk.bit, walk.after
    walk.moved(f"the start of each {name}", began_odd or at.bits)
    if element is None:
        nodes = walk.add(place, 8, "bytes")
    else:
        nodes = walk.visit(peeled(element), place)
        if least_nbits(tuple(nodes)) == 0:
            raise walk.refuse(subcon, at, "has elements that may be empty")
    only = nodes[0].field if len(nodes) == 1 and isinstance(nodes[0], Value) else None
    scalar: Field | None = only if only is not None and only.path == at.path else None
    size = nbits_of(tuple(nodes))
    walk.moved(name, began_odd or (at.bits and (size is None or size % 8 != 0)))
    walk.result = Known(Length(name), at.lists, walk.serial, own=place.lists[-1])
    doc = split_docs(at.docs)[0]
    raw = element is None
    made = Repeat(name, at.path, ends, count, 0, tuple(nodes), scalar, raw, doc, bit, after)
    return [made]


def array(walk: Walk, subcon: Any, at: At) -> list[Node]:
    if isinstance(subcon.count, int):
        return grammar_fixed.array(walk, subcon, at)
    count = walk.expression(subcon.count, subcon, at)
    if subcon.discard:
        raise walk.refuse(subcon, at, "discards what it reads")
    return repeat(walk, subcon, at, "count", count, subcon.subcon)


def greedy_range(walk: Walk, subcon: Any, at: At) -> list[Node]:
    if subcon.discard:
        raise walk.refuse(subcon, at, "discards what it reads")
    return repeat(walk, subcon, at, "packet", None, subcon.subcon)


def octets(walk: Walk, subcon: Any, at: At) -> list[Node]:
    if isinstance(subcon.length, int):
        return grammar_fixed.octets(walk, subcon, at)
    must_be_octets(walk, subcon, at)
    return repeat(walk, subcon, at, "count", walk.expression(subcon.length, subcon, at))


def greedy_octets(walk: Walk, subcon: Any, at: At) -> list[Node]:
    must_be_octets(walk, subcon, at)
    return repeat(walk, subcon, at, "packet", None)


def restreamed(walk: Walk, subcon: Any, at: At) -> list[Node]:
    to_bits = subcon.decoder is construct.lib.bytes2bits
    if not to_bits and subcon.decoder is not construct.lib.bits2bytes:
        raise walk.refuse(subcon, at)
    return change(walk, subcon, at, to_bits)


def focused(walk: Walk, subcon: Any, at: At) -> list[Node]:
    """A sequence of which one member is the value and the others follow from it."""
    focus = subcon.parsebuildfrom
    inside = at._replace(context=Context(at.context))
    assert inside.context is not None
    nodes: list[Node] = []
    for member in subcon.subcons:
        walk.result = None
        if member.name == focus:
            nodes += walk.visit(peeled(member), inside)
            meaning = walk.result
        else:
            place = at._replace(
                docs="", calibration=None, text="", hidden=True, context=inside.context
            )
            if member.name is not None:
                mark = walk.unique(name_of((*at.names, f"#{member.name}")))
                place = place._replace(path=(*at.path, member.name), names=(mark,))
            nodes += _hidden(walk, member, place)
        if member.name is not None and walk.result is not None:
            inside.context.entries[member.name] = walk.result
    walk.result = meaning
    return nodes


def _hidden(walk: Walk, member: Any, at: At) -> list[Node]:
    nodes = walk.visit(peeled(member), at)
    for i, node in enumerate(nodes):
        if isinstance(node, Value) and node.field.wire is not None:
            f = node.field
            nodes[i] = fixed(f.name, f.width * f.elements, f.wire or 0, True)
        elif isinstance(node, Choice | Repeat) or (
            isinstance(node, Value) and node.field.computed is None
        ):
            raise walk.refuse(member, at, "is out of focus; make it Rebuild, Const or Padding")
    return nodes


def rebuild(walk: Walk, subcon: Any, at: At) -> list[Node]:
    walk.postpone(subcon.func, at)
    nodes = walk.visit(subcon.subcon, at._replace(computed=True))
    one = nodes[0].field if len(nodes) == 1 and isinstance(nodes[0], Value) else None
    if one is None or one.kind not in ("uint", "int") or one.elements != 1:
        raise walk.refuse(subcon, at, "must be of one integer")
    return nodes


def prefixed(walk: Walk, subcon: Any, at: At) -> list[Node]:
    """Octets behind their own number; the number may count itself."""
    if peeled(subcon.subcon) is not construct.GreedyBytes:
        raise walk.refuse(subcon, at, "is understood around GreedyBytes only")
    own = subcon.lengthfield.sizeof() if subcon.includelength else 0
    number = len_(this.data) + own if own else len_(this.data)
    length = construct.Rebuild(subcon.lengthfield, number)
    value = construct.Bytes(this.length - own if own else this.length)
    return focused(walk, construct.FocusedSeq("data", "length" / length, "data" / value), at)


def text(walk: Walk, subcon: Any, at: At) -> list[Node]:
    nodes = walk.visit(subcon.subcon, at._replace(text=subcon.encoding))
    if isinstance(walk.result, Known) and isinstance(walk.result.meaning, Length):
        # To construct its length is one of characters, to us one of octets.
        walk.result = Known(None, at.lists, walk.serial)
    return nodes


def fixed_sized(walk: Walk, subcon: Any, at: At) -> list[Node]:
    inner = subcon.subcon
    if not isinstance(inner, construct.NullStripped) or inner.subcon is not construct.GreedyBytes:
        raise walk.refuse(subcon, at, "is understood as part of PaddedString only")
    if inner.pad.strip(b"\x00"):
        raise walk.refuse(subcon, at, "is filled up with something else than zeros")
    count = walk.number(subcon.length, subcon, at)
    must_be_octets(walk, subcon, at)
    return walk.add(at._replace(padded=True), 8, "bytes", count=count)


def terminated(walk: Walk, subcon: Any, at: At) -> list[Node]:
    plain = subcon.consume and subcon.require and not subcon.include
    if peeled(subcon.subcon) is not construct.GreedyBytes or subcon.term != b"\x00" or not plain:
        raise walk.refuse(subcon, at, "is understood with one zero octet behind GreedyBytes only")
    must_be_octets(walk, subcon, at)
    return repeat(walk, subcon, at, "zero", None)


def time(walk: Walk, subcon: Any, at: At) -> list[Node]:
    if at.bits:
        raise walk.refuse(subcon, at, "takes octets; wrap it in Bytewise")
    nodes: list[Node] = []
    if subcon.head:
        width = 8 * len(subcon.head)
        head = int.from_bytes(subcon.head, "big")
        nodes.append(fixed(f"{name_of(at.names)}.preamble", width, head, True))
        walk.bit += width
    return nodes + walk.add(at, 8 * subcon.code.nbytes, "time", time=subcon.code)


def if_then_else(walk: Walk, subcon: Any, at: At) -> list[Node]:
    condition = walk.expression(subcon.condfunc, subcon, at)
    both = [
        ("then", condition, subcon.thensubcon),
        ("else", Unary("not", condition), subcon.elsesubcon),
    ]
    return _choice(walk, subcon, at, both)


def switch(walk: Walk, subcon: Any, at: At) -> list[Node]:
    key = walk.expression(subcon.keyfunc, subcon, at)
    cases: list[_Case] = []
    rest: Expr = Number(1)
    for label, case in subcon.cases.items():
        try:
            number = number_of(label, key)
        except (LayoutError, TypeError, ValueError) as error:
            raise walk.refuse(subcon, at, f"case {label!r} is no number: {error}") from None
        if isinstance(key, Ref) and key.labels and not isinstance(label, str):
            raise walk.refuse(subcon, at, f"case {label!r}: {key.name} is an Enum, give a label")
        other = Binary("!=", key, Number(number))
        rest = other if rest == Number(1) else Binary("&", rest, other)
        cases.append((str(label), Binary("==", key, Number(number)), case))
    return _choice(walk, subcon, at, [*cases, ("default", rest, subcon.default)])


def _choice(walk: Walk, subcon: Any, at: At, cases: list[_Case]) -> list[Node]:
    name = name_of(at.names)
    cases = [case for case in cases if peeled(case[2]) is not construct.Pass]
    start = walk.bit, walk.after, walk.odd
    groups: list[Group] = []
    meanings: list[Known | Context | None] = []
    odd = start[2] or start[0] % 8 != 0
    for label, condition, inner in cases:
        walk.bit, walk.after, walk.odd = start
        mark = "" if len(cases) == 1 else label
        names = (*at.names[:-1], f"{at.names[-1] if at.names else ''}{{{label}}}")
        place = at._replace(names=names) if mark else at
        walk.result = None
        nodes = walk.visit(peeled(inner), place)
        odd = odd or walk.odd or walk.bit % 8 != 0
        meanings.append(walk.result)
        shape = isinstance(peeled(inner), construct.Struct) or isinstance(walk.result, Context)
        groups.append(
            Group(name_of(place.names), at.path, mark, condition, tuple(nodes), struct=shape)
        )
    walk.moved(name or "a choice", odd)
    walk.result = meanings[0] if len(meanings) == 1 else None
    doc = split_docs(at.docs)[0]
    return [Choice(name, at.path, tuple(groups), doc)] if groups else []


VISITORS: tuple[tuple[Any, Any], ...] = (
    (TimeField, time),
    (construct.Array, array),
    (construct.Bytes, octets),
    (construct.GreedyRange, greedy_range),
    (type(construct.GreedyBytes), greedy_octets),
    (construct.Restreamed, restreamed),
    (construct.FocusedSeq, focused),
    (construct.Rebuild, rebuild),
    (construct.Prefixed, prefixed),
    (construct.StringEncoded, text),
    (construct.FixedSized, fixed_sized),
    (construct.NullTerminated, terminated),
    (construct.IfThenElse, if_then_else),
    (construct.Switch, switch),
)
