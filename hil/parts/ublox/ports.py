"""The ports of the receiver: output buffers that messages fit into whole or not at all.

u-blox M9 interface description (UBX-19035940), UBX-MON-TXBUF; M8 protocol specification
(UBX-13003221), chapters "UART ports" and "DDC port": the registers FDh and FEh hold the number of
octets that wait, FFh is the stream, which reads FFh when nothing waits; a port that nobody reads
for 1.5 s is given nothing. The size of the buffers is in neither document; it is a parameter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

from hil.parts.ublox import nmea
from hil.parts.ublox.items import I2C, UART1
from hil.parts.ublox.store import Store

#: Bits of a frame on the line: only 8N1 is modelled.
BITS: Final = 10
TIMEOUT_NS: Final = 1_500_000_000
COUNT_HIGH, COUNT_LOW, STREAM = 0xFD, 0xFE, 0xFF


class Port:
    """What both ports share. ``number`` is the port's in UBX, and of its keys."""

    def __init__(self, number: int, name: str, capacity: int, store: Store) -> None:
        self.number = number
        self.name = name
        self.capacity = capacity
        self.counters: dict[str, int] = dict.fromkeys(("octets_out", "dropped_messages"), 0)
        self.peak = 0
        self._store = store
        self._warn = False

    def pending(self, t_ns: int) -> int:
        """Return how many octets wait."""
        raise NotImplementedError

    def put(self, t_ns: int, data: bytes) -> None:
        """Take octets for which there is room."""
        raise NotImplementedError

    def is_listened_to(self, t_ns: int) -> bool:
        """Tell whether there is anybody to send to."""
        raise NotImplementedError

    def takes_in(self, is_nmea: bool) -> bool:
        """Tell whether the port reads this protocol."""
        return bool(self._store[f"{self.name}INPROT-{'NMEA' if is_nmea else 'UBX'}"])

    def send(self, t_ns: int, messages: Iterable[bytes]) -> None:
        """Send messages of the protocols that are switched on, each whole or not at all."""
        if not self.is_listened_to(t_ns):
            return
        ubx, text = (self._store[f"{self.name}OUTPROT-{kind}"] for kind in ("UBX", "NMEA"))
        room = self.capacity - self.pending(t_ns)
        taken = []
        for message in messages:
            if not (text if message[:1] == b"$" else ubx):
                continue
            if self._warn and room >= self.capacity // 2:
                self._warn = False
                if self._store[f"INFMSG-NMEA_{self.name}"] & 1 and text:
                    taken.append(nmea.txt(0, "txbuf alloc"))
                    room -= len(taken[-1])
            if len(message) > room:
                self.counters["dropped_messages"] += 1
                self._warn = True
                continue
            room -= len(message)
            taken.append(message)
        if taken:
            data = b"".join(taken)
            self.counters["octets_out"] += len(data)
            self.put(t_ns, data)
            self.peak = max(self.peak, self.pending(t_ns))


class UartPort(Port):
    """UART1. ``write(t_ns, data)`` gives octets to the line, which sends them at ``baud``."""

    def __init__(self, capacity: int, store: Store) -> None:
        super().__init__(UART1, "UART1", capacity, store)
        self.write: Callable[[int, bytes], None] | None = None
        self.baud = 0
        self._free_ns = 0

    def is_listened_to(self, t_ns: int) -> bool:
        """Tell whether there is a line."""
        return self.write is not None and bool(self._store["UART1-ENABLED"])

    def pending(self, t_ns: int) -> int:
        """Return the octets whose last bit has not gone out."""
        left_ns = max(self._free_ns - t_ns, 0)
        return -(-left_ns * self.baud // (BITS * 1_000_000_000))

    def put(self, t_ns: int, data: bytes) -> None:
        """Give octets to the line."""
        assert self.write is not None, "only a connected port is sent to"
        if self.baud:
            line_ns = len(data) * BITS * 1_000_000_000 // self.baud
            self._free_ns = max(self._free_ns, t_ns) + line_ns
        self.write(t_ns, data)


class I2CPort(Port):
    """The DDC port at address 42h."""

    def __init__(self, capacity: int, store: Store) -> None:
        super().__init__(I2C, "I2C", capacity, store)
        self.counters |= {"timeouts": 0}
        self._buffer = bytearray()
        self._register = STREAM
        self._seen_ns = -TIMEOUT_NS - 1

    def is_listened_to(self, t_ns: int) -> bool:
        """Tell whether somebody reads; what nobody fetched for 1.5 s is lost."""
        alive = t_ns - self._seen_ns <= TIMEOUT_NS or bool(self._store["I2C-EXTENDEDTIMEOUT"])
        if not alive and self._buffer:
            self.counters["timeouts"] += 1
            self._buffer.clear()
        return alive and bool(self._store["I2C-ENABLED"])

    def pending(self, t_ns: int) -> int:
        """Return the octets that wait."""
        return len(self._buffer)

    def put(self, t_ns: int, data: bytes) -> None:
        """Keep octets until they are read."""
        self._buffer += data

    def select(self, register: int) -> None:
        """Set the register that the next read begins at."""
        self._register = register

    def read(self, t_ns: int, nbytes: int) -> bytes:
        """Read registers: the address goes up to that of the stream and stays there."""
        self.is_listened_to(t_ns)
        self._seen_ns = t_ns
        out = bytearray()
        waiting = min(len(self._buffer), 0xFFFF).to_bytes(2, "big")
        while len(out) < nbytes and self._register != STREAM:
            at = self._register
            out.append(waiting[at - COUNT_HIGH] if at >= COUNT_HIGH else 0)
            self._register += 1
        taken = nbytes - len(out)
        out += self._buffer[:taken]
        del self._buffer[:taken]
        return bytes(out).ljust(nbytes, b"\xff")


def mon_txbuf(ports: Iterable[Port], t_ns: int) -> bytes:
    """Return the payload of UBX-MON-TXBUF: octets pending, use and peak of six ports, per cent."""
    pending, usage, peak = [0] * 6, [0] * 6, [0] * 6
    dropped = False
    for port in ports:
        waiting = port.pending(t_ns)
        pending[port.number] = min(waiting, 0xFFFF)
        usage[port.number] = 100 * waiting // port.capacity
        peak[port.number] = 100 * port.peak // port.capacity
        dropped |= port.counters["dropped_messages"] > 0
    totals = (max(usage), max(peak))
    # errors: bits 0 to 5 the limit of a port was reached, 6 memory allocation failed
    errors = 0x40 if dropped else 0
    return struct.pack("<6H6B6BBBBB", *pending, *usage, *peak, *totals, errors, 0)
