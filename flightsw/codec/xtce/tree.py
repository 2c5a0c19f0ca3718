"""From the tree of a layout to XTCE containers.

A container holds parameters up to the first choice; from there on one container for each way to go
extends it, with what its group holds and with all that follows the choice. A list becomes one
parameter with all its octets: XTCE's arrays are what readers share least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.expression import linear, text_of
from flightsw.codec.columns.plan import Choice, Fixed, Node, Repeat, Value, nbits_of
from flightsw.codec.xtce.conditions import All, Comparison, Range, cases_of, narrow, range_of
from flightsw.codec.xtce.fields import fixed_part, list_meaning, octets_type, parts_of
from flightsw.codec.xtce.model import Container, Number, Size, System, Type

#: of one layout; each choice behind another multiplies them
MOST_CONTAINERS = 1000
_PACKET_NBITS = 8 * 65542
#: From the length field: a packet has one octet more than it says, behind six of header.
LENGTH = "PKT_LEN"
_LENGTH_NBITS = 8 * 7


@dataclass(frozen=True)
class Place:
    """How far a container got, and what is known there.

    ``bits`` from the start of the packet, if nothing of changing size (``behind``) is in front.
    ``known`` are the ranges of parameters, ``fields`` the parameters of integer fields.
    """

    bits: int
    known: Mapping[str, Range]
    fields: Mapping[str, str]
    behind: str = ""


@dataclass(frozen=True)
class Trailer:
    """What ends every container of a layout: parameters, and their bits."""

    entries: tuple[str, ...] = ()
    nbits: int = 0


class TreeExport:
    """Writes the tree of one layout into a system."""

    def __init__(self, system: System, layout: str, trailer: Trailer = Trailer()) -> None:
        self.system = system
        self.layout = layout
        self._trailer = trailer
        self._count = 0
        self._padding: dict[int, str] = {}

    def fill(self, container: Container, nodes: tuple[Node, ...], place: Place) -> Place:
        """Append nodes, and the trailer where they end; return the place behind the nodes.

        Behind a choice there is no single place, so one that a choice ends is the one before it.
        """
        for index, node in enumerate(nodes):
            rest = nodes[index + 1 :]
            if isinstance(node, Choice):
                self._branch(container, node, rest, place)
                return place
            if isinstance(node, Value):
                place = self._value(container, node, place)
            elif isinstance(node, Fixed):
                place = self._fixed(container, node, place)
            elif isinstance(node, Repeat):
                place = self._list(container, node, rest, place)
        container.entries += self._trailer.entries
        return place

    def _add(self, container: Container, of: str, name: str, kind: Type, doc: str) -> str:
        made = self.system.parameter(self.layout, of, f"{self.layout}_{name}", kind, doc)
        container.entries.append(made)
        return made

    def _value(self, container: Container, node: Value, place: Place) -> Place:
        f = node.field
        if f.elements == 0:  # no parameter has no bits
            return place
        fields, known = dict(place.fields), dict(place.known)
        for suffix, kind, doc in parts_of(f):
            made = self._add(container, f.name, f.name + suffix, kind, doc)
            number = kind.encoding
            if isinstance(number, Number) and f.kind in ("uint", "int") and not f.array:
                fields[f.name] = made
                known[made] = range_of(f.width, f.kind == "int")
        return replace(place, bits=place.bits + f.width * f.elements, known=known, fields=fields)

    def _fixed(self, container: Container, node: Fixed, place: Place) -> Place:
        if node.width * node.count == 0:
            return place
        name, kind, doc = fixed_part(node)
        # Two paddings are two parameters, but one behind a choice is the same on every way.
        number = self._padding.setdefault(id(node), f"{name}#{len(self._padding)}")
        self._add(container, number, name, kind, doc)
        return replace(place, bits=place.bits + node.width * node.count)

    def _list(
        self, container: Container, node: Repeat, rest: tuple[Node, ...], place: Place
    ) -> Place:
        each = nbits_of(node.members)
        line = None if node.count is None or each is None else linear(node.count)
        if line is not None and each is not None:
            size = self._counted(node, each, line, place)
        else:
            size = self._remaining(node, rest, place)
        if not size.parameter and size.intercept == 0:
            return place
        first = node.scalar
        kind = octets_type(
            node.name, size, first.text if first and node.octets else "", node.ends == "zero"
        )
        self._add(container, node.name, node.name, kind, list_meaning(node, each))
        if size.parameter:
            return replace(place, behind=node.name)
        return replace(place, bits=place.bits + size.intercept)

    def _counted(
        self, node: Repeat, each: int, line: tuple[str | None, int, int], place: Place
    ) -> Size:
        name, slope, intercept = line
        if name is None:
            return Size(each * intercept)
        parameter = self._parameter(name, node.name, place)
        top = place.known[parameter]
        most = max(slope * top.low, slope * top.high) + intercept
        return Size(each * intercept, parameter, each * slope, min(each * most, _PACKET_NBITS))

    def _remaining(self, node: Repeat, rest: tuple[Node, ...], place: Place) -> Size:
        """Return the size of what goes up to ``rest``, from the length of the packet."""
        following = nbits_of(rest)
        if node.ends == "zero" and not (node.scalar and node.scalar.text):
            raise LayoutError(f"{node.name}: octets up to a zero; XTCE has that for text only")
        if following is None or place.behind:
            other = f"{place.behind} in front of it" if place.behind else "what follows it"
            raise LayoutError(
                f"{node.name}: {_manner(node)}, and {other} changes size too; XTCE says a size as"
                " one field times a number plus a number, or once in a packet as what is left"
            )
        other_nbits = place.bits + following + self._trailer.nbits
        return Size(_LENGTH_NBITS - other_nbits, LENGTH, 8, _PACKET_NBITS - other_nbits)

    def _parameter(self, field: str, needed_by: str, place: Place) -> str:
        if field not in place.fields:
            raise LayoutError(
                f"{needed_by}: depends on {field}, which is not in every packet that has"
                f" {needed_by}; XTCE cannot say what holds then"
            )
        return place.fields[field]

    def _branch(
        self, container: Container, node: Choice, rest: tuple[Node, ...], place: Place
    ) -> None:
        """Go on in one container for each way, or in this one if there is only one."""
        ways: list[tuple[str, All, tuple[Node, ...], dict[str, Range]]] = []
        absent: list[All] = [()]
        try:
            for group in node.groups:
                cases = cases_of(group.condition)
                ways += self._possible(group.name, cases, group.members, place)
                others = cases_of(group.condition, wanted=False)
                absent = [one + other for one in absent for other in others]
                absent = [case for case in absent if self._narrow(node.name, case, place)]
        except LayoutError as error:
            raise LayoutError(f"{node.name or 'a choice'}: XTCE cannot say it: {error}") from None
        ways += self._possible(f"no_{node.name or 'choice'}", absent, (), place)
        if len(ways) == 1 and not ways[0][1]:
            self.fill(container, ways[0][2] + rest, place)
            return
        container.abstract = True
        for name, where, members, known in ways:
            self._count += 1
            if self._count > MOST_CONTAINERS:
                raise LayoutError(
                    f"{self.layout}: its choices give more than {MOST_CONTAINERS} containers"
                )
            child = self.system.container(
                f"{container.name}_{name}", container.doc, container.name, where
            )
            self.fill(child, members + rest, replace(place, known=known))

    def _possible(
        self, name: str, cases: list[All], members: tuple[Node, ...], place: Place
    ) -> list[tuple[str, All, tuple[Node, ...], dict[str, Range]]]:
        ways = []
        for case in cases:
            found = self._narrow(name, case, place)
            if found is not None:
                ways.append((name, found[1], members, found[0]))
        return ways

    def _narrow(self, name: str, case: All, place: Place) -> tuple[dict[str, Range], All] | None:
        every = [
            Comparison(self._parameter(each.name, name, place), each.sign, each.value)
            for each in case
        ]
        return narrow(place.known, tuple(every))


def _manner(node: Repeat) -> str:
    """Return why a list has no size of its own."""
    if node.ends == "zero":
        return "ends at a zero octet"
    if node.ends == "packet" or node.count is None:
        return "goes to the end of the packet"
    if nbits_of(node.members) is None:
        return "has elements of changing size"
    return f"has {text_of(node.count)} elements"
