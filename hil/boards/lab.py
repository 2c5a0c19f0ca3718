"""The lab of one user: which boards there are, how each is known, what each stands in for.

``lab.toml`` is private to its bench and not committed; the types that it names are
(:mod:`hil.boards.boardtype`). It is the file given with ``--lab``, else the one that ``HIL_LAB``
names, else ``./lab.toml``, else ``flatsat/lab.toml`` in the user's folder of settings::

    schema = 1

    [[instance]]
    id = "bench-uno-1"
    type = "uno"
    uid = "5f3c9a0012d4e801"                # or usb_serial and interface, usb_path, device
    parts = { power_monitor = "i2c0" }      # the real one hangs at the board's i2c0
    buses = { "i2c-1" = "i2c0" }            # or: the whole bus is the board's
    shadow = ["power_monitor"]              # beside the emulated one instead of in its place
    tolerances.power_monitor = { bus1_v = 2 }   # counts by which the two may differ

    [[instance]]
    id = "spare"
    type = "uno"
    emulate = "posix"                       # no board at all: an emulation of its firmware
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hil.board import Board
from hil.boards.boardtype import BoardType, check_schema, checked_name, load_type, texts
from hil.boards.identity import Wanted
from hil.config import Document, KeyPath, load_toml, nearest
from hil.errors import ConfigError

SCHEMA = 1
INSTANCE_LIMIT = 64
_UID = re.compile(r"[0-9a-fA-F]{16}")
_TTY = re.compile(r"(/dev/)?tty[A-Za-z]+[0-9]+")
_KEYS = (
    "id",
    "type",
    "uid",
    "usb_serial",
    "interface",
    "usb_path",
    "device",
    "emulate",
    "parts",
    "buses",
    "shadow",
    "tolerances",
)


@dataclass(frozen=True)
class Instance:
    """One board of the lab, or an emulation that stands in for one."""

    id: str
    type: BoardType
    wanted: Wanted = field(default_factory=Wanted)
    #: kind of emulation; None: a real board
    emulate: str | None = None
    #: part of the payload computer -> bus of the board at which the real one hangs
    parts: Mapping[str, str] = field(default_factory=dict)
    #: bus of the payload computer -> bus of the board that takes its place
    buses: Mapping[str, str] = field(default_factory=dict)
    #: parts and buses of the two above that run beside the emulated ones, not in their place
    shadow: frozenset[str] = frozenset()
    #: part -> field or register -> counts by which real and emulated may differ
    tolerances: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[str]:
        """The kinds of bus that the firmware must have for what this instance is bound to."""
        bound = (*self.parts.values(), *self.buses.values())
        return frozenset(self.type.bus(name).kind for name in bound)


@dataclass(frozen=True)
class Lab:
    """A whole lab file; ``path`` is None for the lab of a user who has none."""

    instances: Mapping[str, Instance]
    path: Path | None = None
    source: str = field(repr=False, default="")

    def instance(self, name: str) -> Instance:
        """Return an instance by id. Raises :class:`~hil.errors.ConfigError` if there is none."""
        if name in self.instances:
            return self.instances[name]
        where = str(self.path) if self.path else "no lab file"
        hint = nearest(name, self.instances) or f"; known: {', '.join(self.instances) or 'none'}"
        raise ConfigError(f"{where}: no board {name[:64]!r}{hint}")

    def behind(self, name: str) -> Instance | None:
        """Return the instance to which a part or a bus of the payload computer is bound."""
        for instance in self.instances.values():
            if name in instance.parts or name in instance.buses:
                return instance
        return None

    def check(self, board: Board) -> None:
        """Raise ConfigError for a binding that the payload computer ``board`` cannot have."""
        parts = {part.name: part for part in board.parts}
        for instance in self.instances.values():
            for name in (*instance.parts, *instance.tolerances):
                if name not in parts:
                    raise self._misfit(instance, board, "part", name, list(parts))
            for name, bus_name in instance.parts.items():
                self._check_kind(instance, board, name, parts[name].bus, bus_name)
            for name, bus_name in instance.buses.items():
                if name not in {bus.name for bus in board.buses}:
                    known = [bus.name for bus in board.buses]
                    raise self._misfit(instance, board, "bus", name, known)
                self._check_kind(instance, board, name, name, bus_name)

    def _misfit(
        self, instance: Instance, board: Board, what: str, name: str, known: list[str]
    ) -> ConfigError:
        hint = nearest(name, known) or f"; it has: {', '.join(known)}"
        return ConfigError(
            f"{self.path}: {instance.id}: board {board.name} has no {what} {name!r}{hint}"
        )

    def _check_kind(
        self, instance: Instance, board: Board, name: str, bus: str, behind: str
    ) -> None:
        kind, real = board.bus(bus).kind, instance.type.bus(behind).kind
        if kind != real:
            raise ConfigError(
                f"{self.path}: {instance.id}: {name} is on {bus}, a bus of kind {kind}; "
                f"{behind} of the {instance.type.name} is of kind {real}"
            )


def lab_path(given: str | Path | None = None) -> Path | None:
    """Return the path of the lab file that applies, or None where the user has none.

    Raises :class:`~hil.errors.ConfigError` if the file given, or named by ``HIL_LAB``, is absent.
    """
    named = given or os.environ.get("HIL_LAB")
    if named:
        path = Path(named)
        if not path.is_file():
            by = "--lab" if given else "HIL_LAB"
            raise ConfigError(f"{path}: no such lab file ({by} names it)")
        return path
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (Path("lab.toml"), config / "flatsat" / "lab.toml"):
        if path.is_file():
            return path
    return None


def load_lab(given: str | Path | None = None) -> Lab:
    """Read and check the lab file that applies (:func:`lab_path`); an empty lab where none does."""
    path = lab_path(given)
    if path is None:
        return Lab({})
    doc = load_toml(path)
    check_schema(doc, SCHEMA)
    doc.check_keys("", ("schema", "instance"))
    rows = doc.find("instance", [])
    if not isinstance(rows, list) or len(rows) > INSTANCE_LIMIT:
        raise doc.error("instance", f"write [[instance]], at most {INSTANCE_LIMIT} times")
    instances: dict[str, Instance] = {}
    for place in range(len(rows)):
        instance = _read_instance(doc, ("instance", place))
        if instance.id in instances:
            raise doc.error(("instance", place, "id"), f"there is another {instance.id!r}")
        instances[instance.id] = instance
    _check_bindings(doc, list(instances.values()))
    _check_identities(doc, list(instances.values()))
    return Lab(instances, path, doc.source)


def _read_instance(doc: Document, key: KeyPath) -> Instance:
    """Return one row of the file."""
    doc.check_keys(key, _KEYS)
    name = checked_name(doc, (*key, "id"))
    kind = _read_type(doc, (*key, "type"))
    wanted = _read_wanted(doc, key)
    emulate = doc.choice((*key, "emulate"), kind.emulations, None)
    if emulate is not None and wanted != Wanted():
        raise doc.error((*key, "emulate"), f"{name} is a board ({wanted.describe()}) or emulated")
    parts = _read_binding(doc, (*key, "parts"), kind)
    buses = _read_binding(doc, (*key, "buses"), kind)
    shadow = texts(doc, (*key, "shadow"), [])
    for place, what in enumerate(shadow):
        doc.choice((*key, "shadow", place), (*parts, *buses))
        assert what in parts or what in buses
    return Instance(
        id=name,
        type=kind,
        wanted=wanted,
        emulate=emulate,
        parts=parts,
        buses=buses,
        shadow=frozenset(shadow),
        tolerances=_read_tolerances(doc, (*key, "tolerances")),
    )


def _read_type(doc: Document, key: KeyPath) -> BoardType:
    """Return the type of board that a row names."""
    name = doc.text(key)
    try:
        return load_type(doc.path.parent / name if name.endswith(".toml") else name)
    except ConfigError as wrong:
        raise doc.error(key, str(wrong)) from None


def _read_wanted(doc: Document, key: KeyPath) -> Wanted:
    """Return what a board is known by."""
    uid = doc.text((*key, "uid"), None)
    if uid is not None and not _UID.fullmatch(uid):
        raise doc.error((*key, "uid"), "a uid is 16 hex digits; hil boards identify shows it")
    found = {name: doc.text((*key, name), None) for name in ("usb_serial", "usb_path", "device")}
    for name, value in found.items():
        if value is not None and _TTY.fullmatch(value):
            raise doc.error(
                (*key, name),
                f"{value} is the name of a tty, which changes from plug to plug; "
                "hil boards list shows what the board is known by",
            )
    interface = doc.integer((*key, "interface"), 0, 255, None)
    if interface is not None and not (found["usb_serial"] or found["usb_path"]):
        raise doc.error((*key, "interface"), "says which of a board: say its usb_serial as well")
    return Wanted(uid=bytes.fromhex(uid) if uid else None, interface=interface, **found)


def _read_binding(doc: Document, key: KeyPath, kind: BoardType) -> dict[str, str]:
    """Return which bus of the board stands in for what."""
    return {name: doc.choice((*key, name), kind.buses) for name in doc.table(key, {})}


def _read_tolerances(doc: Document, key: KeyPath) -> dict[str, dict[str, int]]:
    """Return the counts by which real and emulated may differ."""
    return {
        part: {
            name: doc.integer((*key, part, name), 0, (1 << 32) - 1)
            for name in doc.table((*key, part))
        }
        for part in doc.table(key, {})
    }


def _check_bindings(doc: Document, instances: list[Instance]) -> None:
    """Raise ConfigError if two boards stand in for one thing."""
    taken: dict[str, str] = {}
    for place, instance in enumerate(instances):
        for table, names in (("parts", instance.parts), ("buses", instance.buses)):
            for name in names:
                if taken.setdefault(name, instance.id) != instance.id:
                    key = ("instance", place, table, name)
                    raise doc.error(key, f"{taken[name]} already stands in for {name!r}")


def _check_identities(doc: Document, instances: list[Instance]) -> None:
    """Raise ConfigError if two boards of the file are known by the very same."""
    taken: dict[Wanted, str] = {}
    for place, instance in enumerate(instances):
        if instance.wanted == Wanted():
            continue
        other = taken.setdefault(instance.wanted, instance.id)
        if other != instance.id:
            raise doc.error(
                ("instance", place), f"{other} has {instance.wanted.describe()} as well"
            )
