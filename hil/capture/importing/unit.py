"""What a file of another tool gives: one unit of traffic after another, and what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hil.errors import CaptureError

#: Nothing that a bus or a link carries comes near this; a length above it is damage.
UNIT_LIMIT_NBYTES = 16 << 20
#: Times beyond this are none: 2262, the end of 63 bits of nanoseconds.
TIME_LIMIT_NS = 2**63
_NAME_LIMIT = 64


class ImportDamage(CaptureError):  # noqa: N818 - a finding: what stands before it is kept
    """A file stops making sense at an octet."""

    def __init__(self, at: int, reason: str) -> None:
        self.at = at
        super().__init__(f"octet {at}: {reason}")


class Unit(NamedTuple):
    """A wire record in the making.

    ``t_ns`` is its start, nanoseconds since 1970-01-01 UTC, or since the start of a file that knows
    no date. ``name`` is the bus, ``payload`` that of the record kind. A record that was one of ours
    has its ``channel`` and ``seq``, and the ``epoch_ns`` of its run; -1: it was none.
    """

    t_ns: int
    kind: int
    name: str
    payload: bytes
    flags: int = 0
    status: int = 0
    duration_ns: int = 0
    address: int = 0
    channel: int = -1
    seq: int = -1
    epoch_ns: int = -1


class Source:
    """A file of units; iterate over it once.

    What was skipped or changed is in ``counters``. A file that stops making sense ends there, and
    ``damage`` says where and why; the units before it have been given.
    """

    #: what the format is called
    form = ""
    #: times count from 1970; False: from the start of the file
    absolute = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self.damage: ImportDamage | None = None

    def __iter__(self) -> Iterator[Unit]:
        try:
            for unit in self.units():
                self.counters["records"] += 1
                yield unit
        except ImportDamage as damage:
            self.damage = damage

    def units(self) -> Iterator[Unit]:
        """Yield the units of the file; raise :class:`ImportDamage` where it ends making sense."""
        raise NotImplementedError


class Octets:
    """A file read from front to back that knows where it is."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.at = 0

    def take(self, nbytes: int, what: str) -> bytes:
        """Return exactly ``nbytes`` octets; raises ImportDamage if the file ends before."""
        data = self._read(nbytes)
        if len(data) < nbytes:
            raise ImportDamage(
                self.at, f"the file ends {len(data)} octets into {what} of {nbytes} octets"
            )
        self.at += nbytes
        return data

    def maybe(self, nbytes: int, what: str) -> bytes:
        """Return ``nbytes`` octets, or none at the end of the file."""
        data = self._read(nbytes)
        if data and len(data) < nbytes:
            raise ImportDamage(
                self.at, f"the file ends {len(data)} octets into {what} of {nbytes} octets"
            )
        self.at += len(data)
        return data

    def _read(self, nbytes: int) -> bytes:
        parts: list[bytes] = []
        left = nbytes
        while left and (part := self.file.read(min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def plain(raw: bytes) -> str:
    """Return the name of an interface as text without anything that a terminal or a path heeds."""
    text = raw[:_NAME_LIMIT].rstrip(b"\0").decode(errors="replace")
    return "".join(c if c.isprintable() and c != "/" else "_" for c in text).strip()
