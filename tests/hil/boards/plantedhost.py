"""A host laid out as files: ports with their USB devices, processes, groups, rules."""

from __future__ import annotations

import os
from pathlib import Path

from hil.boards.doctor import Bench
from hil.boards.host import Host

#: An Uno's identity, a converter that brltty wants, and one of FTDI.
UNO, CH340, FT232 = ("2341", "0043"), ("1a86", "7523"), ("0403", "6001")
OTHER_UID, OTHER_GID = 54321, 54322


class PlantedHost:
    """Lay out a host below a folder; each method plants one thing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gid = os.getgid()
        self.put("etc/passwd", f"ann:x:{OTHER_UID}:{OTHER_GID}::/nowhere:/bin/sh\n")
        self.put("etc/group", f"dialout:x:{self.gid}:bob\n")
        self.put("proc/cmdline", "console=tty1 root=/dev/sda1 ro")

    def put(self, path: str, text: str) -> Path:
        """Write a file, and the folders above it."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def link(self, path: str, target: str | Path) -> None:
        """Make a symbolic link, and the folders above it."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def usb(self, ids: tuple[str, str], where: str = "1-1", serial: str = "") -> Path:
        """Plug a USB device in; return its folder below sys."""
        folder = self.root / "sys/devices/pci0000:00/usb1" / where
        self.put(f"sys/devices/pci0000:00/usb1/{where}/idVendor", ids[0] + "\n")
        self.put(f"sys/devices/pci0000:00/usb1/{where}/idProduct", ids[1] + "\n")
        self.put(f"sys/devices/pci0000:00/usb1/{where}/power/control", "on\n")
        if serial:
            self.put(f"sys/devices/pci0000:00/usb1/{where}/serial", serial + "\n")
        self.link(f"sys/bus/usb/devices/{where}", folder)
        return folder

    def port(self, name: str, usb: Path | None = None, mode: int = 0o660) -> None:
        """Give the host a port, on a USB device or on the computer itself."""
        self.put(f"dev/{name}", "").chmod(mode)
        self.put(f"sys/class/tty/{name}/dev", "166:0\n")
        if usb is not None:
            interface = usb / f"{usb.name}:1.0"
            interface.mkdir()
            self.link(f"sys/class/tty/{name}/device", interface)

    def process(self, pid: int, *words: str, has: str = "") -> None:
        """Run a program, with a file open if one is given."""
        self.put(f"proc/{pid}/comm", Path(words[0]).name[:15] + "\n")
        self.put(f"proc/{pid}/cmdline", "\0".join(words) + "\0")
        (self.root / f"proc/{pid}/fd").mkdir()
        if has:
            self.link(f"proc/{pid}/fd/3", has)

    def bench(self, *claimed: str, member: bool = True) -> Bench:
        """Return the host as somebody else than the owner of its files sees it."""
        gids = {OTHER_GID, self.gid} if member else {OTHER_GID}
        return Bench(Host(self.root, OTHER_UID, frozenset(gids)), frozenset(claimed))
