"""The documentation of a layout: one row a field, made from its declaration alone."""

from __future__ import annotations

from typing import NamedTuple

from flightsw.codec.columns.plan import Choice, Field, Group, Node, Repeat, Value, describe, walk


class Row(NamedTuple):
    """One line of a layout's documentation; offset and width in bits.

    Where the place of a field depends on earlier ones, the offset is text: ``after samples + 8``.
    The width of a list or of a group is that of an element, or 0 where it changes.
    """

    name: str
    offset: int | str
    width: int
    type: str
    unit: str
    doc: str


def behind(bit: int, after: str) -> int | str:
    """Return an offset in bits, or behind what it is."""
    if not after:
        return bit
    return f"after {after} + {bit}" if bit else f"after {after}"


def row_of(f: Field) -> Row:
    """Return the row of one field."""
    unit = f.unit
    if f.calibration is not None and f.calibration.unit and not unit:
        unit = f"raw of {f.calibration.unit}"
    return Row(f.name, behind(f.bit, f.after), f.width * f.elements, type_name(f), unit, f.doc)


def type_name(f: Field) -> str:
    """Return the kind of a field, its bits and elements, and its byte order where that matters."""
    if f.time is not None:
        return f"{f.time.code.upper()} time {f.time.coarse}+{f.time.fine}"
    if f.kind == "bytes":
        what = f"text {f.text}" if f.text else "octets"
        return f"{what}[{f.elements}]"
    name = "flag" if f.flag else "enum" if f.labels is not None else f"{f.kind}{f.width}"
    order = " little-endian" if f.swap else ""
    return f"{name}[{f.elements}]{order}" if f.array else name + order


def document_tree(nodes: tuple[Node, ...]) -> list[Row]:
    """Return the rows of a tree: lists and groups before what stands in them."""
    rows: list[Row] = []
    lists: dict[int, Repeat] = {}
    for node in walk(nodes):
        if isinstance(node, Value):
            rows.append(_value_row(node.field, lists))
        elif isinstance(node, Repeat):
            if node.scalar is not None:
                lists[id(node.scalar)] = node
            else:
                place = behind(node.bit, node.after)
                rows.append(Row(node.name, place, 0, f"list, {describe(node)}", "", node.doc))
        elif isinstance(node, Group) and node.name and not _is_one_value(node):
            rows.append(Row(node.name, "", 0, f"group, {describe(node)}", "", ""))
        elif isinstance(node, Choice) and node.doc and not any(map(_is_one_value, node.groups)):
            rows.append(Row(node.name, "", 0, "choice", "", node.doc))
    conditions = {
        member.field.name: node
        for node in walk(nodes)
        if isinstance(node, Group) and _is_one_value(node)
        for member in node.members
        if isinstance(member, Value)
    }
    return [
        row._replace(type=f"{row.type}, {describe(conditions[row.name])}")
        if row.name in conditions
        else row
        for row in rows
    ]


def _is_one_value(group: Group) -> bool:
    return len(group.members) == 1 and isinstance(group.members[0], Value)


def _value_row(f: Field, lists: dict[int, Repeat]) -> Row:
    row = row_of(f)
    around = lists.get(id(f))
    if around is None:
        return row
    what = row.type.removesuffix("[1]") if around.octets else row.type
    return row._replace(
        offset=behind(around.bit, around.after), type=f"list of {what}, {describe(around)}"
    )
