"""Board files: the payload computer under test, its buses, and the parts wired to them.

:func:`load_board` reads ``boards/NAME.toml`` (or any path) and checks everything that can be known
without building the rig. Whatever is wrong is one :class:`~hil.errors.ConfigError` that names file,
line, key and, where there is one, the nearest known name. ``docs/board-file.md`` is the manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flightsw.codec.dictionary import ROLE_NAMES
from hil.boardparts import COMPUTER_NAMES, KINDS, Pin, read_part, read_stand_in
from hil.buses.adapters import PROFILES
from hil.config import Document, load_toml, nearest
from hil.errors import ConfigError
from hil.parts import part_class

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
#: The record header gives a channel one octet, and the rig adds channels of its own.
BUS_LIMIT = 64
PART_LIMIT = 128


@dataclass(frozen=True)
class BusSpec:
    """A bus of the payload computer. ``index`` is its place in the channel table."""

    name: str
    kind: str
    index: int
    #: the bus's own keys in SI units: ``bitrate_hz``, ``baud``, ``lines``; and ``wired_to``, the
    #: UART at the other end instead of a part
    params: Mapping[str, Any]
    #: the board of the lab that takes its place, as ``INSTANCE`` or ``INSTANCE:BUS``
    board: str | None = None


@dataclass(frozen=True)
class PartSpec:
    """A part, where it is wired, and what the flight software calls it."""

    name: str
    type: str
    bus: str
    #: I2C address or SPI chip select; 0 on the other buses
    address: int
    pins: tuple[Pin, ...] = ()
    #: keyword arguments of the part's constructor that the file gives, SI units
    params: Mapping[str, Any] = field(default_factory=dict)
    #: physical input of the part -> name of a value of the world, in the same unit
    world: Mapping[str, str] = field(default_factory=dict)
    #: SPI only: ``speed_hz`` and ``mode``
    spi: Mapping[str, int] = field(default_factory=dict)
    role: str | None = None
    driver: str | None = None
    #: I2C only: the switch (another part) and its channel that it sits behind
    mux: str | None = None
    channel: int = 0
    #: I2C only: the driver of the kernel that holds it, and the labels of its channels
    kernel: str | None = None
    labels: tuple[str, ...] = ()
    #: physical inputs that stay as they are, in SI units
    fixed: Mapping[str, float] = field(default_factory=dict)
    #: the board of the lab that takes its place, as ``INSTANCE`` or ``INSTANCE:BUS``
    board: str | None = None


@dataclass(frozen=True)
class Board:
    """A whole board file."""

    name: str
    title: str
    adapter: str
    path: Path
    buses: tuple[BusSpec, ...]
    parts: tuple[PartSpec, ...]
    #: the text of the file, stored in the capture
    source: str = field(repr=False, default="")
    #: the type of computer whose files programs see (hil.faces.computers)
    computer: str | None = None
    #: fields that two runs may differ in, and fields that may differ by an amount (docs/diff.md)
    ignore: tuple[str, ...] = ()
    tolerate: Mapping[str, float] = field(default_factory=dict)

    def bus(self, name: str) -> BusSpec:
        """Return a bus by name."""
        return next(bus for bus in self.buses if bus.name == name)

    def route(self, part: PartSpec) -> tuple[tuple[str, int], ...]:
        """Return the switches and channels between the bus and an I2C part, from the bus down."""
        return _route(part, {other.name: other for other in self.parts})

    def missing_roles(self) -> list[str]:
        """Return the roles that the flight software knows and no part of this board has."""
        there = {part.role for part in self.parts}
        return [role for role in ROLE_NAMES if role not in there]

    def devices(self) -> list[dict[str, Any]]:
        """Return the device table for the flight software, ready for JSON, in file order."""
        return [
            {
                "role": part.role,
                "driver": part.driver,
                "channel": part.bus,
                "address": part.address,
                "params": {
                    **{name: param.default for name, param in part_class(part.type).PARAMS.items()},
                    **part.params,
                    **part.spi,
                    "pins": {pin.name: [pin.bus, pin.line] for pin in part.pins},
                    **self._muxes(part),
                },
            }
            for part in self.parts
            if part.role is not None
        ]

    def _muxes(self, part: PartSpec) -> dict[str, Any]:
        """Return ``muxes``, address and channel of each switch on the way, if there are any."""
        address = {other.name: other.address for other in self.parts}
        muxes = [[address[name], channel] for name, channel in self.route(part)]
        return {"muxes": muxes} if muxes else {}


def board_folders() -> list[Path]:
    """Return the folders that hold named boards: the checkout's, then the installed package's."""
    package = Path(__file__).resolve().parent
    return [package.parent / "boards", package / "_boards"]


def board_names() -> list[str]:
    """Return the names of all boards that :func:`load_board` finds by name."""
    return sorted({path.stem for folder in board_folders() for path in folder.glob("*.toml")})


def find_board(name: str) -> Path:
    """Return the path of a board given by name or by path.

    Raises :class:`~hil.errors.ConfigError` if no such board is known.
    """
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    for folder in board_folders():
        if name in {path.stem for path in folder.glob("*.toml")}:
            return folder / f"{name}.toml"
    known = board_names()
    hint = nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
    raise ConfigError(f"no board named {name[:64]!r}{hint}; a path must end in .toml")


def load_board(name_or_path: str | Path) -> Board:
    """Read and check a board file, given by name (``raspberrypi4``) or path."""
    return read_board(load_toml(find_board(str(name_or_path))))


def read_board(doc: Document) -> Board:
    """Check a board file that has been read, or that stood in a capture."""
    doc.check_keys("", ("board", "bus", "part", "replay"))
    doc.check_keys("board", ("name", "title", "adapter", "computer"))
    buses = _read_buses(doc)
    parts = _read_parts(doc, {bus.name: bus for bus in buses})
    _check_muxes(doc, parts)
    _check_clashes(doc, parts, _wires(doc, buses))
    ignore, tolerate = _read_replay(doc)
    return Board(
        name=_checked_name(doc, ("board", "name"), doc.text("board.name")),
        title=doc.text("board.title"),
        adapter=doc.choice("board.adapter", PROFILES),
        path=doc.path,
        buses=buses,
        parts=parts,
        source=doc.source,
        computer=doc.choice("board.computer", COMPUTER_NAMES, None),
        ignore=ignore,
        tolerate=tolerate,
    )


def _read_replay(doc: Document) -> tuple[tuple[str, ...], dict[str, float]]:
    """Return the fields that two runs of this board may differ in, and those by how much."""
    if "replay" not in doc.data:
        return (), {}
    doc.check_keys("replay", ("ignore", "tolerate"))
    ignore = doc.find("replay.ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(name, str) and name for name in ignore):
        raise doc.error("replay.ignore", "must be an array of names of fields, as ['frame.clcw']")
    amounts = doc.table("replay.tolerate", {})
    for name, amount in amounts.items():
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not is_number or not 0 <= amount < float("inf"):
            key = ("replay", "tolerate", name)
            raise doc.error(key, "must be the greatest difference, a number from 0 on")
    return tuple(ignore), {name: float(amount) for name, amount in amounts.items()}


def _checked_name(doc: Document, key: tuple[str, ...], name: str) -> str:
    """Return ``name`` if it can name a thing in paths and topics."""
    if not _NAME.fullmatch(name):
        raise doc.error(
            key, "a name is a letter, then at most 31 letters, digits, underscores or hyphens"
        )
    return name


def _read_buses(doc: Document) -> tuple[BusSpec, ...]:
    """Return the buses in file order."""
    tables = doc.table("bus")
    if not 0 < len(tables) <= BUS_LIMIT:
        raise doc.error("bus", f"a board has 1 to {BUS_LIMIT} buses, this one has {len(tables)}")
    buses = []
    for index, name in enumerate(tables):
        key = ("bus", _checked_name(doc, ("bus", name), name))
        doc.table(key)
        kind = doc.choice((*key, "kind"), KINDS)
        readers = KINDS[kind].params
        doc.check_keys(key, ("kind", "board", *(reader.key for reader in readers)))
        params = {reader.name: reader.read(doc, key) for reader in readers}
        buses.append(BusSpec(name, kind, index, params, read_stand_in(doc, (*key, "board"))))
    return tuple(buses)


def _read_parts(doc: Document, buses: Mapping[str, BusSpec]) -> tuple[PartSpec, ...]:
    """Return the parts in file order."""
    tables = doc.table("part", {})
    if len(tables) > PART_LIMIT:
        raise doc.error("part", f"{len(tables)} parts; a board has at most {PART_LIMIT}")
    parts = []
    for name in tables:
        key = ("part", _checked_name(doc, ("part", name), name))
        doc.table(key)
        fields = read_part(doc, key, buses)
        parts.append(PartSpec(name=name, **fields))
    return tuple(parts)


def _route(part: PartSpec, parts: Mapping[str, PartSpec]) -> tuple[tuple[str, int], ...]:
    """Return the switches and channels between the bus and a part, from the bus down."""
    route: list[tuple[str, int]] = []
    while part.mux is not None and len(route) < len(parts):
        route.append((part.mux, part.channel))
        part = parts[part.mux]
    return tuple(reversed(route))


def _check_muxes(doc: Document, parts: tuple[PartSpec, ...]) -> None:
    """Raise ConfigError if a part sits behind a switch or channel that is not there."""
    by_name = {part.name: part for part in parts}
    switches = [part.name for part in parts if hasattr(part_class(part.type), "CHANNELS")]
    for part in parts:
        if part.mux is None:
            continue
        key = ("part", part.name)
        if part.mux not in switches:
            hint = nearest(part.mux, switches) or f"; known: {', '.join(switches) or 'none'}"
            raise doc.error((*key, "mux"), f"no switch named {part.mux!r}{hint}")
        switch = by_name[part.mux]
        channels = getattr(part_class(switch.type), "CHANNELS", 0)
        if part.channel >= channels:
            raise doc.error((*key, "channel"), f"{part.mux} has channels 0 to {channels - 1}")
        if switch.bus != part.bus:
            raise doc.error((*key, "mux"), f"{part.mux} is on {switch.bus}, not on {part.bus}")
        if part.address > 0x7F:
            raise doc.error((*key, "address"), "a switch passes 7-bit addresses only")
    for part in parts:
        if len(_route(part, by_name)) >= len(parts):
            raise doc.error(("part", part.name, "mux"), "is behind itself, by way of its switches")


def _wires(doc: Document, buses: tuple[BusSpec, ...]) -> dict[str, str]:
    """Return what is at the far end of each wired bus, or raise ConfigError if two things are."""
    ends: dict[str, str] = {}
    for bus in buses:
        far = bus.params.get("wired_to")
        for one, other in ((bus.name, far), (far, bus.name)) if far else ():
            if ends.setdefault(one, other) != other:
                key = ("bus", bus.name, "wired_to")
                raise doc.error(key, f"the one end of {one} is already taken by {ends[one]!r}")
    return ends


def _check_clashes(doc: Document, parts: tuple[PartSpec, ...], wires: Mapping[str, str]) -> None:
    """Raise ConfigError if two parts claim one address, chip select, line, point or role."""
    taken: dict[tuple[Any, ...], str] = {("line", bus): far for bus, far in wires.items()}

    def claim(what: tuple[Any, ...], part: PartSpec, key: str, words: str) -> None:
        other = taken.setdefault(what, part.name)
        if other != part.name:
            raise doc.error(("part", part.name, key), f"{words} is already taken by {other!r}")

    by_name = {part.name: part for part in parts}
    for part in sorted(parts, key=lambda part: len(_route(part, by_name))):
        kind = KINDS[_kind_of(doc, part.bus)]
        if kind.place is not None:
            words = kind.place_words.format(part.address, part.bus)
            route = _route(part, by_name)
            # Whoever sits nearer to the bus answers too, whatever channel is on.
            for above in range(len(route)):
                other = taken.get(("place", part.bus, part.address, route[:above]))
                if other is not None:
                    raise doc.error(
                        ("part", part.name, kind.place), f"{words} is already taken by {other!r}"
                    )
            claim(("place", part.bus, part.address, route), part, kind.place, words)
        elif kind.is_point_to_point:
            claim(("line", part.bus), part, "bus", f"the one end of {part.bus}")
        if part.role is not None:
            claim(("role", part.role), part, "role", f"role {part.role!r}")
        lines: set[tuple[str, int]] = set()
        for pin in part.pins:
            if (pin.bus, pin.line) in lines:
                raise doc.error(
                    ("part", part.name, "pins"), f"two pins on line {pin.line} of {pin.bus}"
                )
            lines.add((pin.bus, pin.line))
            claim(("pin", pin.bus, pin.line), part, "pins", f"line {pin.line} of {pin.bus}")


def _kind_of(doc: Document, bus: str) -> str:
    """Return the kind of a bus that has been checked."""
    return str(doc.find(("bus", bus, "kind")))
