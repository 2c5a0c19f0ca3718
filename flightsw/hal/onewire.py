"""A 1-Wire bus of the bench, as flight code sees it."""

from __future__ import annotations

from flightsw.codec import bus_payload
from flightsw.codec.bus_payload import (
    ONEWIRE_READ,
    ONEWIRE_RESET,
    ONEWIRE_TRIPLET,
    ONEWIRE_WRITE,
    OneWireStep,
)
from flightsw.codec.wire import Kind, Status
from flightsw.hal.ports import BenchPort

SEARCH_ROM, MATCH_ROM, SKIP_ROM = 0xF0, 0x55, 0xCC
_ROM_NBITS = 64


class BenchOneWire(BenchPort):
    """A 1-Wire controller: commands to one part or to all, and the search for them."""

    def command(self, rom: bytes | None, write: bytes, nread: int = 0) -> bytes:
        """Reset, address one part by its ROM code (None: all), write, read; return the octets.

        Raises ``BusError`` where no part answers the reset.
        """
        select = bytes((SKIP_ROM,)) if rom is None else bytes((MATCH_ROM,)) + rom
        steps: list[OneWireStep] = [(ONEWIRE_RESET, b""), (ONEWIRE_WRITE, select + write)]
        if nread:
            steps.append((ONEWIRE_READ, nread))
        status, seen = self._run(steps)
        self.fail(status, "command")
        return seen[-1] if nread else b""

    def search(self, command: int = SEARCH_ROM) -> list[bytes]:
        """Return the ROM codes of all parts; with command ECh, of those that have an alarm."""
        found: list[bytes] = []
        rom, last = 0, -1
        while True:
            ways = [1 if n == last else rom >> n & 1 if n < last else 0 for n in range(_ROM_NBITS)]
            steps: list[OneWireStep] = [(ONEWIRE_RESET, b""), (ONEWIRE_WRITE, bytes((command,)))]
            steps += [(ONEWIRE_TRIPLET, way) for way in ways]
            status, seen = self._run(steps)
            if status == Status.ABSENT:
                return found
            self.fail(status, "search")
            triplets = [octets[0] for octets in seen[1:]]
            if 7 in triplets:  # neither bit nor complement: nobody is left
                return found
            rom = sum((triplet >> 2) << n for n, triplet in enumerate(triplets))
            last = max((n for n, triplet in enumerate(triplets) if triplet == 0), default=-1)
            found.append(rom.to_bytes(8, "little"))
            if last < 0:
                return found

    def _run(self, steps: list[OneWireStep]) -> tuple[int, list[bytes]]:
        request = bus_payload.pack_onewire(steps)
        status, payload = self.session.call(int(Kind.ONEWIRE), self.index, 0, request)
        answers = bus_payload.unpack_onewire(payload, reply=True)
        return status, [
            octets for op, octets in answers if op != ONEWIRE_WRITE and isinstance(octets, bytes)
        ]
