"""Where serial ports come from: the machine itself, and registries of pseudo-terminals.

A :class:`PortSource` lists the ports that are there now, each as a
:class:`~hil.boards.identity.PortInfo`, and has a ``token`` that is cheap to ask for and changes
when ports come or go. :class:`MachinePorts` reads sysfs. Emulators and virtual cables have no entry
there: inside one program they are plugged into :class:`PortRegistry`, between programs into
:class:`FolderPorts`, a folder of small files.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from hil.boards.host import Host, HostPort
from hil.boards.identity import PortInfo

_TTYS = re.compile(r"ttyS\d+")
#: Since Linux 6.6 a UART hangs below a controller and a port of its own: fe201000.serial:0.0
_SERIAL_CORE = re.compile(r":\d+(\.\d+)?$")
_SUFFIX = ".port.json"


class PortSource(Protocol):
    """Something that lists ports."""

    def ports(self) -> Sequence[PortInfo]:
        """Return the ports that are there now."""

    def token(self) -> object:
        """Return something cheap that is another when ports have come or gone."""


class MachinePorts:
    """The serial ports of this computer: USB adapters and boards, and UARTs that have a driver."""

    def __init__(self, host: Callable[[], Host] = Host) -> None:
        self._host = host
        self._folder = host().root / "dev"

    def token(self) -> object:
        """Return the names of the terminals in ``/dev``: some 50 us."""
        try:
            with os.scandir(self._folder) as entries:
                return frozenset(e.name for e in entries if e.name.startswith("tty"))
        except OSError:
            return None

    def ports(self) -> list[PortInfo]:
        """Return every port that a board may hang on, USB first."""
        host = self._host()
        found = [
            _usb_port(host, port) if port.usb else _plain_port(host, port)
            for port in (*host.ports, *_real_uarts(host))
        ]
        return sorted(found, key=lambda port: not port.is_usb)


def _real_uarts(host: Host) -> list[HostPort]:
    """Return the ``ttyS`` that are there: a PC names 32, and those without a chip have type 0."""
    names = (path.name for path in sorted((host.root / "sys/class/tty").glob("ttyS*")))
    return [
        HostPort(name, host.root / "dev" / name, host.root / "sys/class/tty" / name, None)
        for name in names
        if _TTYS.fullmatch(name) and host.text(f"sys/class/tty/{name}/type") not in ("", "0")
    ]


def _device(port: HostPort) -> Path:
    return (port.sysfs / "device").resolve()


def _driver(folder: Path) -> str | None:
    link = folder / "driver"
    return link.resolve().name if link.exists() else None


def _arrival(port: HostPort) -> str:
    """Return what a node of this name has that the next one of this name has not."""
    try:
        told = port.node.stat()
    except OSError:
        return ""
    return f"{told.st_ino}.{told.st_rdev}"


def _usb_port(host: Host, port: HostPort) -> PortInfo:
    """Return a port on USB; its interface is the folder between the tty and the device."""
    assert port.usb is not None
    folder = port.usb.folder
    device = _device(port)
    number = next(
        (
            host.text(place / "bInterfaceNumber")
            for place in (device, *device.parents)
            if (place / "bInterfaceNumber").is_file()
        ),
        "",
    )
    return PortInfo(
        path=str(port.node),
        vid=int(port.usb.vid, 16),
        pid=int(port.usb.pid or "0", 16),
        serial=host.text(folder / "serial") or None,
        interface=int(number, 16) if number else 0,
        usb_path=folder.name,
        driver=_driver(device),
        product=host.text(folder / "product") or None,
        arrival=_arrival(port),
    )


def _plain_port(host: Host, port: HostPort) -> PortInfo:
    """Return a port of the computer's own."""
    device = _device(port)
    while _SERIAL_CORE.search(device.name):
        device = device.parent
    name = device.name if device.name not in ("", "device") else None
    return PortInfo(
        path=str(port.node), device=name, driver=_driver(device), arrival=_arrival(port)
    )


class PortRegistry:
    """Ports of this program: emulators and cables are plugged in and pulled out by path."""

    def __init__(self) -> None:
        self._ports: dict[str, PortInfo] = {}
        self._changes = 0

    def token(self) -> object:
        """Return the number of changes."""
        return self._changes

    def ports(self) -> list[PortInfo]:
        """Return what is plugged in, in the order in which it came."""
        return list(self._ports.values())

    def plug(self, port: PortInfo) -> None:
        """List a port from now on; one of the same path is replaced."""
        self._changes += 1
        self._ports[port.path] = replace(port, arrival=port.arrival or str(self._changes))

    def pull(self, path: str) -> None:
        """List a port no more; one that is not listed is left as it is."""
        if self._ports.pop(path, None) is not None:
            self._changes += 1


def emulated_port(instance_id: str, path: str) -> PortInfo:
    """Return the port of an emulation that stands in for an instance of the lab."""
    return PortInfo(path=path, device=emulated_device(instance_id), driver="emulated")


def emulated_device(instance_id: str) -> str:
    """Return what an emulated instance is known by."""
    return f"emulated:{instance_id}"


def ports_folder() -> Path:
    """Return the folder of ports that programs of this user show each other.

    ``HIL_PORTS`` names it; else it is below the user's runtime folder.
    """
    given = os.environ.get("HIL_PORTS")
    if given:
        return Path(given)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "hil-ports"
    return Path(tempfile.gettempdir()) / f"hil-ports-{os.geteuid()}"


class FolderPorts:
    """Ports that other programs of this user show: one small file each, gone with its program.

    A folder that is not ours, or into which others may write, is not believed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or ports_folder()
        #: files that were no ports, and ports whose program is gone
        self.counters = {"unreadable": 0, "stale": 0, "not_ours": 0}

    def token(self) -> object:
        """Return the names of the files, each with its time."""
        try:
            with os.scandir(self.folder) as entries:
                return tuple(sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries))
        except OSError:
            return ()

    def ports(self) -> list[PortInfo]:
        """Return the ports whose program still runs."""
        try:
            told = self.folder.stat()
        except OSError:
            return []
        if told.st_uid != os.geteuid() or told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self.counters["not_ours"] += 1
            return []
        found = (self._read(path) for path in sorted(self.folder.glob("*" + _SUFFIX)))
        return [port for port in found if port is not None]

    def _read(self, path: Path) -> PortInfo | None:
        try:
            row = json.loads(path.read_text())
            owner = int(row.pop("owner"))
            port = PortInfo(**{"arrival": str(path.stat().st_mtime_ns), **row})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self.counters["unreadable"] += 1
            return None
        if not Path(port.path).exists() or not Path(f"/proc/{owner}").exists():
            self.counters["stale"] += 1
            return None
        return port

    def plug(self, port: PortInfo) -> None:
        """Show a port to the other programs, until :meth:`pull` or the end of this one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._place(port.path)
        row = {key: value for key, value in asdict(port).items() if value not in (None, "")}
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"owner": os.getpid(), **row}))
        fresh.rename(place)

    def pull(self, path: str) -> None:
        """Show a port no more."""
        with contextlib.suppress(FileNotFoundError):
            self._place(path).unlink()

    def _place(self, path: str) -> Path:
        return self.folder / (path.strip("/").replace("/", "-") + _SUFFIX)


class JoinedPorts:
    """Several sources as one."""

    def __init__(self, *sources: PortSource) -> None:
        self.sources = sources

    def token(self) -> object:
        """Return the tokens of all."""
        return tuple(source.token() for source in self.sources)

    def ports(self) -> list[PortInfo]:
        """Return the ports of all, in the order of the sources; a path is listed once."""
        found: dict[str, PortInfo] = {}
        for source in self.sources:
            for port in source.ports():
                found.setdefault(port.path, port)
        return list(found.values())


def user_ports() -> JoinedPorts:
    """Return what a user means by "the ports": this computer's, and those of running cables."""
    return JoinedPorts(MachinePorts(), FolderPorts())
