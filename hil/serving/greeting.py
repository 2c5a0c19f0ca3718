"""What flight software says when it comes: checked, since it comes over a socket."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Kind
from hil.greeting import PROTOCOL
from hil.printable import printable

#: Longest greeting, and longest text in one.
HELLO_LIMIT_NBYTES = 4096
TEXT_LIMIT_NCHARS = 64
#: Most counters that a peer may tell of.
COUNTERS_LIMIT = 32


@dataclass(frozen=True)
class Hello:
    """A greeting; ``link`` is the version of the lasting link it speaks, 0 for none."""

    octets: bytes
    name: str
    pid: int
    host: str
    version: str
    link: int

    def who(self) -> str:
        """Return who came, in words."""
        at = f" on {self.host}" if self.host else ""
        version = f", version {self.version}" if self.version else ""
        return f"{self.name!r}{at}, process {self.pid}{version}"

    def as_json(self) -> dict[str, Any]:
        """Return who came, for run.json."""
        return {"name": self.name, "host": self.host, "pid": self.pid, "version": self.version}


def fields_of(message: bytes) -> dict[str, Any]:
    """Return the JSON object of a greeting; nothing where it is none."""
    if not HEADER_NBYTES <= len(message) <= HELLO_LIMIT_NBYTES or message[0] != Kind.HELLO:
        return {}
    if HEADER.unpack_from(message)[4] + HEADER_NBYTES != len(message):
        return {}
    with suppress(ValueError, RecursionError):
        found = json.loads(message[HEADER_NBYTES:])
        if isinstance(found, dict):
            return found
    return {}


def text(value: Any) -> str:
    """Return what a peer calls itself as something that can be shown."""
    return printable(value[:TEXT_LIMIT_NCHARS]) if isinstance(value, str) else ""


def number(value: Any) -> int:
    """Return a whole number that a peer gives, 0 for anything else."""
    sound = isinstance(value, int) and not isinstance(value, bool)
    return value if sound and 0 <= value < 1 << 63 else 0


def counted_by(value: Any) -> dict[str, int]:
    """Return the counters that a peer tells of, as far as they are some."""
    if not isinstance(value, dict):
        return {}
    known = [(name, number(count)) for name, count in value.items()]
    return {text(name): count for name, count in known[:COUNTERS_LIMIT] if name.isidentifier()}


def read_hello(message: bytes) -> Hello | str:
    """Return a greeting, or why it is refused."""
    found = fields_of(message)
    if found.get("protocol") != PROTOCOL:
        said = f"protocol {text(str(found['protocol']))}" if "protocol" in found else "no protocol"
        return (
            f"the bench speaks protocol {PROTOCOL}, and what came speaks {said}: "
            "install the same version on both machines"
        )
    return Hello(
        message,
        text(found.get("name")) or "fsw",
        number(found.get("pid")),
        text(found.get("host")),
        text(found.get("version")),
        number(found.get("link")),
    )
