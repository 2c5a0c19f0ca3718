"""Every socket that the processes of a session listen on, as the kernel lists them."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

_TCP_LISTEN = "0A"
_UNIX_ACCEPTS = 0x10000


@dataclass(frozen=True)
class Place:
    """Where something listens: ``where`` is an address and port, or a path."""

    family: str
    where: str

    def fault(self) -> str:
        """Return why others than this user on this machine could reach it, "" if they cannot."""
        if self.family != "unix":
            address = ipaddress.ip_address(self.where.rpartition("/")[0])
            return "" if address.is_loopback else "not on loopback"
        if not self.where.startswith("/"):
            return "an abstract name, which has no permissions"
        try:
            status = Path(self.where).parent.stat()
        except FileNotFoundError:
            return ""  # gone meanwhile, and nobody can reach it any more
        private = stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == os.geteuid()
        return "" if private else f"in a folder of mode {stat.S_IMODE(status.st_mode):o}"


def inodes_of(session: int) -> set[str]:
    """Return the inodes of all sockets that processes of a session hold."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # Processes come and go, and close what they had.
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            for link in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(link.readlink())
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found


def _address(text: str) -> str:
    """Return an address of /proc/net/tcp as people write it; words are in host order there."""
    host, _, port = text.partition(":")
    octets = b"".join(
        int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)
    )
    return f"{ipaddress.ip_address(octets)}/{int(port, 16)}"


def listening(session: int) -> set[Place]:
    """Return where processes of a session listen just now; a UDP socket that is bound does."""
    inodes = inodes_of(session)
    found = set()
    for family in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            row = line.split()
            listens = row[3] == _TCP_LISTEN if family.startswith("tcp") else True
            if row[9] in inodes and listens:
                found.add(Place(family, _address(row[1])))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        row = line.split(maxsplit=7)
        if row[6] in inodes and int(row[3], 16) & _UNIX_ACCEPTS:
            found.add(Place("unix", row[7] if len(row) > 7 else ""))
    return found


if __name__ == "__main__":
    for place in sorted(listening(os.getsid(0)), key=str):
        print(place.family, place.where, place.fault())
