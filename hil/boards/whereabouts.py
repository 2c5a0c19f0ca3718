"""Where a board is that a user names: by a port, or by its id in the lab file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hil.boards.boardtype import BoardType, load_type, type_names
from hil.boards.host import Host
from hil.boards.identity import Match, PortInfo, Wanted, match_ports
from hil.boards.lab import Instance, Lab, load_lab
from hil.boards.opening import holders
from hil.boards.ports import PortSource, emulated_device, user_ports
from hil.boards.protocol import Identity
from hil.boards.talk import open_talk
from hil.errors import BoardError


@dataclass(frozen=True)
class Place:
    """The port of a board; ``instance`` where the lab file names it."""

    path: str
    instance: Instance | None = None

    @property
    def kind(self) -> BoardType | None:
        """The type of the board, where it is known."""
        return self.instance.type if self.instance else None


def find(name: str, lab: str | None = None, ports: PortSource | None = None) -> Place:
    """Return where the board is that ``name`` means: a path, or an instance of the lab.

    Raises :class:`~hil.errors.ConfigError` for an unknown instance, BoardError for one that is
    not there or may be at several ports.
    """
    if "/" in name:
        return Place(name)
    instance = load_lab(lab).instance(name)
    found = candidates(instance, (ports or user_ports()).ports())
    if len(found.ports) == 1 and not found.ambiguous:
        return Place(found.ports[0].path, instance)
    if found.ports and not found.ambiguous:
        told = "; ".join(port.describe() for port in found.ports)
        raise BoardError(f"{name}: {found.why}: {told}; name the port")
    raise BoardError(f"{name}: {found.why}; `hil boards list` shows the ports that are there")


def instance_of(name: str, kind: str | None = None, lab: str | None = None) -> Instance:
    """Return the instance that a user means: of the lab, or a port as one that has no row there.

    ``kind`` is the type of a port; without it the board is asked. Raises BoardError, ConfigError.
    """
    if "/" not in name:
        return load_lab(lab).instance(name)
    if kind is None:
        with open_talk(name) as talk:
            kind = guess(talk.greet())
    return Instance(name.rpartition("/")[2], load_type(kind), Wanted(port=name))


def guess(identity: Identity) -> str:
    """Return the board type whose name a board says, else the one whose firmware it runs."""
    names = type_names()
    if identity.board in names:
        return identity.board
    return "micropython" if identity.firmware == "hilwire-micropython" else "posix"


def candidates(instance: Instance, listed: Sequence[PortInfo]) -> Match:
    """Return which ports may be an instance; an emulated one is where its program shows it."""
    if instance.emulate is None:
        return match_ports(instance.wanted, instance.type, listed)
    device = emulated_device(instance.id)
    there = tuple(port for port in listed if port.device == device)
    return Match(there, is_sure=True, why="its emulation is not running")


@dataclass(frozen=True)
class Row:
    """A line of the list: an instance, or a port that no instance claims."""

    state: str
    id: str
    kind: str
    where: str
    why: str

    @property
    def is_claimed(self) -> bool:
        """Whether lab.toml names it."""
        return bool(self.id)


def survey(lab: Lab, ports: PortSource, host: Host) -> list[Row]:
    """Return every instance, then every port that none of them claims; opens nothing."""
    listed = ports.ports()
    rows, claimed = [], set()
    for instance in lab.instances.values():
        found = candidates(instance, listed)
        claimed |= {port.path for port in found.ports}
        rows.append(_row(instance, found, host))
    free = [port for port in listed if port.path not in claimed]
    return rows + [Row("free", "", _types_of(port), port.describe(), "") for port in free]


def _row(instance: Instance, found: Match, host: Host) -> Row:
    kind = instance.type.name + (f", emulated ({instance.emulate})" if instance.emulate else "")
    where = ", ".join(port.path for port in found.ports)
    if found.ambiguous:
        return Row("ambiguous", instance.id, kind, where, found.why)
    if not found.ports and instance.emulate is not None:
        return Row("emulated", instance.id, kind, "", "a run that binds it starts it")
    if not found.ports:
        return Row("absent", instance.id, kind, "", found.why)
    if not found.is_sure:
        return Row("to ask", instance.id, kind, where, found.why)
    who = holders(where, host, besides_us=True)
    if who:
        return Row("in use", instance.id, kind, where, f"open in {who}")
    return Row("there", instance.id, kind, where, "")


def _types_of(port: PortInfo) -> str:
    """Return the board types that have the USB numbers of a port."""
    kinds = (load_type(name) for name in type_names())
    fitting = [kind.name for kind in kinds if port.is_usb and (port.vid, port.pid) in kind.usb]
    return " or ".join(fitting)


def claimed_names(lab: Lab, ports: PortSource) -> frozenset[str]:
    """Return the names of the ports that instances claim, without their folder."""
    listed = ports.ports()
    return frozenset(
        port.path.rpartition("/")[2]
        for instance in lab.instances.values()
        for port in candidates(instance, listed).ports
    )
