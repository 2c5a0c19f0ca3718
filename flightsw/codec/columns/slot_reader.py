"""One packet of a variable layout, from the slots that C writes to nested dicts.

Slots stand in wire order (``fs_variable_decode_one`` in ``csrc/columns/variable.h``), so reading
them is a walk over the tree of the layout. The walk is made once, as a closure a node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flightsw.codec.columns.plan import Choice, Field, Fixed, Node, Path, Repeat, Value, Whole
from flightsw.codec.columns.values import store
from flightsw.codec.errors import SyncError

_ROOT = None  #: key of an element that is a value by itself


class Reader:
    """Slots of one packet, read in order."""

    def __init__(self, slots: Any, packet: Any, start: int, calibrated: bool) -> None:
        octets = memoryview(slots).cast("B")
        self.unsigned, self.signed, self.floats = (
            octets.cast("Q"),
            octets.cast("q"),
            octets.cast("d"),
        )
        self.packet, self.start, self.calibrated, self.at = packet, start, calibrated, 0

    def take(self) -> int:
        """Return the next slot as a number that is not negative."""
        self.at += 1
        return self.unsigned[self.at - 1]

    def octets(self, count: int) -> bytes:
        """Return the octets that the next slot points to."""
        at = self.start + self.take()
        return bytes(self.packet[at : at + count])


Read: TypeAlias = Callable[[Reader, dict[Any, Any]], None]


def reader_of(nodes: tuple[Node, ...], base: Path = ()) -> Read:
    """Return what reads nodes into a dict; paths begin behind ``base``."""
    steps = [_read(node, base) for node in nodes if not isinstance(node, Fixed | Whole)]

    def read(r: Reader, into: dict[Any, Any]) -> None:
        for step in steps:
            step(r, into)

    return read


def _below(path: Path, base: Path) -> tuple[Any, ...]:
    """Return where a value goes in the dict of its element, whose own key is ``_ROOT``."""
    return (_ROOT, *path[len(base) :]) if base else path


def _read(node: Node, base: Path) -> Read:
    if isinstance(node, Value):
        return _read_value(node.field, _below(node.field.path, base))
    if isinstance(node, Choice):
        return _read_choice(node, base)
    assert isinstance(node, Repeat), "fixed bits have no slot"
    return _read_repeat(node, base)


def _read_value(f: Field, place: tuple[Any, ...]) -> Read:
    if f.wire is not None:
        return lambda r, into: store(into, place, f.const)
    take = taker(f)

    def skip(r: Reader, into: dict[Any, Any]) -> None:
        take(r)

    def at_once(r: Reader, into: dict[Any, Any]) -> None:
        into[first] = take(r)

    def one_below(r: Reader, into: dict[Any, Any]) -> None:
        into.setdefault(first, {})[place[1]] = take(r)

    if f.hidden:
        return skip
    first = place[0]
    if len(place) == 1:
        return at_once
    if len(place) == 2 and not isinstance(place[1], int):
        return one_below
    return lambda r, into: store(into, place, take(r))


def _unsigned(r: Reader) -> int:
    r.at += 1
    return r.unsigned[r.at - 1]


def _signed(r: Reader) -> int:
    r.at += 1
    return r.signed[r.at - 1]


def _float(r: Reader) -> float:
    r.at += 1
    return r.floats[r.at - 1]


_PLAIN: tuple[Callable[[Reader], Any], ...] = (_unsigned, _signed, _float)


def taker(f: Field) -> Callable[[Reader], Any]:
    """Return what takes the value of one field from the slots."""
    if f.kind == "bytes":
        return lambda r: finished(f, r.octets(f.elements))
    labels, calibration, count = f.labels, f.calibration, f.elements
    which = {"uint": 0, "int": 1, "float": 2, "time": 1}[f.kind]
    if not f.array and not f.flag and labels is None and calibration is None:
        return _PLAIN[which]

    def take(r: Reader) -> Any:
        slots = (r.unsigned, r.signed, r.floats)[which]
        at = r.at
        if f.array:
            r.at = at + count
            value: Any = slots[at : at + count].tolist()
        else:
            r.at = at + 1
            value = bool(slots[at]) if f.flag else slots[at]
            if labels is not None:
                value = labels.get(value, value)
        if calibration is not None and r.calibrated:
            value = calibration.apply(value).tolist()
        return value

    return take


def finished(f: Field, octets: bytes) -> bytes | str:
    """Return octets as the field means them: without their filling, and as text."""
    if f.padded:
        unit = _unit(f.text)
        end = len(octets.rstrip(b"\x00"))
        octets = octets[: -(-end // unit) * unit]
    if not f.text:
        return octets
    try:
        return octets.decode(f.text)
    except UnicodeDecodeError as error:
        raise SyncError(f"{f.name}: {octets!r} is not {f.text} ({error.reason})") from None


def _unit(encoding: str) -> int:
    return 4 if "32" in encoding else 2 if "16" in encoding else 1


def _read_choice(node: Choice, base: Path) -> Read:
    groups = [(reader_of(g.members, base), g.struct) for g in node.groups]
    place = _below(node.path, base)

    def read(r: Reader, into: dict[Any, Any]) -> None:
        chosen = False
        for inside, is_struct in groups:
            if r.take():
                chosen = True
                if is_struct and node.name:
                    store(into, place, {})
                inside(r, into)
        if not chosen and node.name:
            store(into, place, None)

    return read


def _read_repeat(node: Repeat, base: Path) -> Read:
    place, one = _below(node.path, base), node.scalar
    if one is not None and node.octets:

        def read_octets(r: Reader, into: dict[Any, Any]) -> None:
            count = r.take()
            store(into, place, finished(one, r.octets(count)))

        return read_octets
    inside = reader_of(node.members, node.path)

    def read(r: Reader, into: dict[Any, Any]) -> None:
        elements: list[Any] = []
        for _ in range(r.take()):
            element: dict[Any, Any] = {}
            inside(r, element)
            elements.append(element.get(_ROOT, element))
        store(into, place, elements)

    return read
