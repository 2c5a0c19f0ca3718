"""A GNSS receiver on a bench of its own: what it sends, its edges, and asking it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hil.parts.ublox import Ublox, ubx
from hil.parts.ublox.items import ITEMS, KEYS
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9
EPOCH = datetime(2023, 4, 3, 10, 20, 30, tzinfo=UTC)
Found = tuple[tuple[int, int], bytes]


class Bench:
    """A started receiver with its edges and its messages."""

    def __init__(self, epoch: datetime = EPOCH, **params: Any) -> None:
        self.scheduler = SimpleScheduler()
        self.receiver = Ublox("gnss", **{"ttff_s": 3.0, "space": True, **params})
        self.receiver.epoch_utc = epoch
        self.edges: list[tuple[int, int]] = []
        self.sent: list[tuple[int, bytes]] = []
        self.receiver.gpio_drive = lambda t_ns, pin, level: self.edges.append((t_ns, level))
        self.receiver.uart_send = lambda t_ns, data: self.sent.append((t_ns, data))
        self.receiver.start(self.scheduler, 1)

    def run(self, for_s: float) -> None:
        """Let time pass."""
        self.scheduler.run_until(self.scheduler.now_ns + round(for_s * SECOND_NS))

    def frames(self) -> list[Found]:
        """Return every UBX frame and NMEA sentence sent so far."""
        return ubx.Splitter().feed(b"".join(data for _, data in self.sent))

    def sentences(self) -> list[str]:
        """Return the NMEA sentences sent so far, without ``$`` and checksum."""
        return [body.decode() for message, body in self.frames() if message == ubx.NMEA_LINE]

    def solutions(self) -> list[tuple[int, dict[str, int]]]:
        """Return (time of sending, fields) of each NAV-PVT sent so far."""
        found = []
        for t_ns, data in self.sent:
            for message, payload in ubx.Splitter().feed(data):
                if message == ubx.NAV_PVT:
                    found.append((t_ns, dict(ubx.NAV_PVT_FIELDS.parse(payload))))
        return found

    def give(self, data: bytes) -> list[Found]:
        """Send octets; return what is answered at once."""
        before = len(self.sent)
        self.receiver.uart_receive(self.scheduler.now_ns, data)
        return ubx.Splitter().feed(b"".join(data for _, data in self.sent[before:]))

    def command(self, message: tuple[int, int], payload: bytes = b"") -> list[Found]:
        """Send a UBX message; return what is answered at once."""
        return self.give(ubx.frame(message, payload))

    def ask(self, message: tuple[int, int], payload: bytes = b"") -> list[tuple[int, int]]:
        """Send a UBX message; return the class and number of each answer."""
        return [found for found, _ in self.command(message, payload)]

    def set(self, layers: int = 1, **items: int) -> bool:
        """Set items by UBX-CFG-VALSET (``_`` for ``-``); return whether it was acknowledged."""
        return self.ask(ubx.CFG_VALSET, valset(layers, items)) == [ubx.ACK_ACK]


def key(name: str) -> int:
    """Return the key of an item whose group is set off by the first underscore."""
    return KEYS[name.replace("__", "-")]


def valset(layers: int, items: dict[str, int]) -> bytes:
    """Return the payload of a UBX-CFG-VALSET; ``GROUP__ITEM`` names an item."""
    out = bytes((0, layers, 0, 0))
    for name, value in items.items():
        number = key(name)
        out += number.to_bytes(4, "little") + value.to_bytes(ITEMS[number].nbytes, "little")
    return out
