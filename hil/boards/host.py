"""What Linux tells of serial ports, and of who else is after them.

Everything is read below one folder, ``/`` unless told otherwise: ``proc``, ``sys``, ``dev``,
``etc`` and ``run`` of it. So a fault of a host can be laid out as files.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

#: Names of the lines that boards hang on. ``ttyS*`` is left out: PCs show ports that are not there.
PORT_NAMES = re.compile(r"tty(ACM|USB|AMA|THS)\d+")
RULES = ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")


@dataclass(frozen=True)
class UsbDevice:
    """The USB device behind a port: its folder in sysfs and what it says of itself."""

    folder: Path
    vid: str
    pid: str

    @property
    def ids(self) -> str:
        """``"2341:0043"``: vendor and product, as lsusb prints them."""
        return f"{self.vid}:{self.pid}"


@dataclass(frozen=True)
class HostPort:
    """A serial port as the host has it; ``aliases`` are its other names, such as serial0."""

    name: str
    node: Path
    sysfs: Path
    usb: UsbDevice | None
    aliases: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The name that programs open."""
        return f"/dev/{self.name}"


@dataclass(frozen=True)
class Process:
    """A running program: its number, its name, its words and the files that it has open."""

    pid: int
    name: str
    words: tuple[str, ...]
    folder: Path

    def has_open(self, node: str) -> bool:
        """Tell whether one of its descriptors is ``node``, as far as the kernel lets us see."""
        try:
            return any(str(fd.readlink()) == node for fd in (self.folder / "fd").iterdir())
        except OSError:  # of another user, or gone by now
            return False


@dataclass(frozen=True)
class Host:
    """A host's files, and who asks: the effective user and the groups of this process."""

    root: Path = Path("/")
    uid: int = field(default_factory=os.geteuid)
    gids: frozenset[int] = field(default_factory=lambda: frozenset((os.getegid(), *os.getgroups())))

    def text(self, path: str | Path) -> str:
        """Return the text of a file below the root, stripped; nothing where there is none."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""

    @cached_property
    def ports(self) -> tuple[HostPort, ...]:
        """The serial ports that a board may hang on, in the order of their names."""
        folder = self.root / "dev"
        names = {node.name for node in _entries(folder) if PORT_NAMES.fullmatch(node.name)}
        return tuple(self._port(name) for name in sorted(names, key=_by_number))

    def _port(self, name: str) -> HostPort:
        node = self.root / "dev" / name
        sysfs = self.root / "sys/class/tty" / name
        links = [entry for entry in _entries(node.parent) if entry.is_symlink()]
        aliases = sorted(link.name for link in links if link.readlink().name == name)
        return HostPort(name, node, sysfs, self._usb(sysfs), tuple(aliases))

    def _usb(self, sysfs: Path) -> UsbDevice | None:
        """Return the USB device above a tty: the first folder upwards that has an idVendor."""
        try:
            device = (sysfs / "device").resolve(strict=True)
        except OSError:
            return None
        for folder in (device, *device.parents):
            if folder == self.root:
                break
            if vid := self.text(folder / "idVendor"):
                return UsbDevice(folder, vid.lower(), self.text(folder / "idProduct").lower())
        return None

    @cached_property
    def usb_devices(self) -> tuple[UsbDevice, ...]:
        """Every USB device that is plugged in, whether or not a driver has taken it."""
        found = []
        for folder in _entries(self.root / "sys/bus/usb/devices"):
            if vid := self.text(folder / "idVendor"):
                pid = self.text(folder / "idProduct").lower()
                found.append(UsbDevice(folder.resolve(), vid.lower(), pid))
        return tuple(found)

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """Every process that this one can see."""
        found = []
        for folder in _entries(self.root / "proc"):
            if folder.name.isdigit() and (name := self.text(folder / "comm")):
                words = tuple(self.text(folder / "cmdline").rstrip("\0").split("\0"))
                found.append(Process(int(folder.name), name, words, folder))
        return tuple(sorted(found, key=lambda process: process.pid))

    def rules(self) -> Iterator[tuple[Path, str]]:
        """Yield each line of udev's rules that says something, with the file that it is in."""
        for folder in RULES:
            for path in _entries(self.root / folder):
                if path.suffix == ".rules":
                    lines = (line.strip() for line in self.text(path).splitlines())
                    yield from ((path, line) for line in lines if line and line[0] != "#")

    def udev_says(self, port: HostPort, key: str) -> bool:
        """Tell whether udev's own record of a port has the property ``key`` set to 1."""
        device = self.text(port.sysfs / "dev")
        return f"E:{key}=1" in self.text(f"run/udev/data/c{device}").splitlines()

    def may_open(self, port: HostPort) -> bool:
        """Tell whether we may read and write a port: the kernel says so of this host.

        Of files laid out elsewhere it is the bits for owner, group and others that count.
        """
        if self.root == Path("/"):
            return os.access(port.node, os.R_OK | os.W_OK, effective_ids=True)
        told = port.node.stat()
        if self.uid == 0:
            return True
        who = "USR" if told.st_uid == self.uid else "GRP" if told.st_gid in self.gids else "OTH"
        both = int(getattr(stat, f"S_IR{who}")) | int(getattr(stat, f"S_IW{who}"))
        return told.st_mode & both == both

    def group(self, gid: int) -> tuple[str, list[str]]:
        """Return the name of a group and its members; the number where it has no name."""
        for line in self.text("etc/group").splitlines():
            name, _, number, members = (line.split(":") + [""] * 4)[:4]
            if number == str(gid):
                return name, [member for member in members.split(",") if member]
        return str(gid), []

    @property
    def user(self) -> str:
        """The name of who asks, or the number."""
        for line in self.text("etc/passwd").splitlines():
            words = line.split(":")
            if len(words) > 2 and words[2] == str(self.uid):
                return words[0]
        return str(self.uid)

    def shown(self, path: Path) -> str:
        """Return a path as a user of this host writes it."""
        try:
            return "/" + str(path.relative_to(self.root.resolve()))
        except ValueError:
            return "/" + str(path.relative_to(self.root))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _by_number(name: str) -> tuple[str, int]:
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :])
