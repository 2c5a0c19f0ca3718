"""A board in the process of a test: the wire of an emulated bus behind the requests of HILwire.

It answers on a wall clock of the test's own, so many nanoseconds after it was asked, and is looked
after while a run waits (:class:`hil.time.pacing.Watch`).
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from flightsw.codec.wire import Status
from hil.boards.protocol import HOLD, Event, MessageFlag, Reply, Request
from hil.time.pacing import Pacer

_I2C = struct.Struct("<HB")
Done = Callable[[Reply | None], None]


class Wall:
    """A wall clock that moves when somebody waits."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def clock(self) -> int:
        return self.now_ns


class StubBoard:
    """A station of a run whose board is a few parts: ``targets`` by I2C address."""

    def __init__(self, wall: Wall, payload_nbytes: int = 130, latency_ns: int = 300_000) -> None:
        self.name = "stub"
        self.wall = wall
        self.payload_nbytes = payload_nbytes
        self.latency_ns = latency_ns
        self.ready = True
        #: answers come no more, as when the line was pulled; those asked for fail after a while
        self.pulled = False
        self.counters: Counter[str] = Counter()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[tuple[int, bytes]] = []
        self.targets: dict[int, Any] = {}
        self.peripherals: dict[int, Any] = {}
        self.pacer: Pacer | None = None
        #: what a station of a run has besides
        self.source = 9
        self.on_ready: list[Callable[[], None]] = []
        self.hearers: dict[int, list[Callable[[Event], None]]] = {}
        #: octets that a serial port takes of one write
        self.uart_room = 255
        self._answers: deque[tuple[int, Done, Reply | None]] = deque()
        self._held: Any = None
        self._begun = b""

    # --- what a bridge sees ---------------------------------------------------------------------

    def ask(self, request: int, payload: bytes, done: Done) -> None:
        self.requests.append((request, payload))
        at_ns = self.wall.now_ns + self.latency_ns
        if self.pulled:
            self._answers.append((at_ns + 200_000_000, done, None))
            return
        status, answer = self._execute(request, payload)
        reply = Reply(request, status, answer, self.wall.now_ns, at_ns, 1)
        self._answers.append((at_ns, done, reply))

    def stamp(self, act: Callable[[int], None]) -> None:
        assert self.pacer is not None
        self.pacer.stamp(9, act)

    def tell(self, severity: int, name: str, **values: Any) -> None:
        self.told.append((name, values))

    def quote(self, t_ns: int, severity: int, name: str, **values: Any) -> None:
        self.told.append((name, values))

    def say(self, at_ns: int, kind: int, payload: bytes) -> None:
        """Have the board say something at a time of the wall."""
        event = Event(kind, 0, payload, at_ns, 0)

        def heard(reply: Reply | None) -> None:
            for hear in self.hearers.get(kind, ()):
                hear(event)

        self._answers.append((at_ns, heard, None))
        self._answers = deque(sorted(self._answers, key=lambda one: one[0]))

    def tell_once(self, name: str, **values: Any) -> None:
        if (name, values) not in self.told:
            self.told.append((name, values))

    # --- what a pacer sees ----------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        until_ns = self.wall.now_ns + round(seconds * 1e9)
        if not self._answers or self._answers[0][0] > until_ns:
            self.wall.now_ns = until_ns
            return
        at_ns, done, reply = self._answers.popleft()
        self.wall.now_ns = max(self.wall.now_ns, at_ns)
        done(reply)

    # --- the board --------------------------------------------------------------------------------

    def _execute(self, request: int, payload: bytes) -> tuple[int, bytes]:
        if request == Request.I2C_XFER:
            return self._i2c(payload)
        if request == Request.SPI_XFER:
            _, select, flags = payload[:3]
            part = self.peripherals[select]
            if self._held != select:
                part.spi_select(0)
            octets = part.spi_exchange(0, payload[3:])
            self._held = select if flags & HOLD else None
            if self._held is None:
                part.spi_deselect(0)
            return 0, bytes(4) + octets
        if request == Request.UART_WRITE:
            return 0, bytes((min(len(payload) - 1, self.uart_room),))
        return 0, bytes(4)

    def _i2c(self, payload: bytes) -> tuple[int, bytes]:
        at, nth, data = 2, 0, b""
        while at < len(payload):
            head, length = _I2C.unpack_from(payload, at)
            at += _I2C.size
            target = self.targets.get(head & 0x3FF)
            if target is None:
                return self._failed(Status.NAK_ADDRESS, 0, nth)
            if head & MessageFlag.READ:
                data += target.i2c_read(0, length)
            else:
                octets = payload[at : at + length]
                at += length
                if head & MessageFlag.NOSTART:
                    octets = self._begun + octets
                self._begun = octets
                if at < len(payload) or not payload[1] & HOLD:
                    taken = target.i2c_write(0, octets)
                    if taken < len(octets):
                        return self._failed(Status.NAK_DATA, taken, nth)
            nth += 1
        return 0, struct.pack("<IBB", 0, 0xFF, 0xFF) + data

    @staticmethod
    def _failed(status: int, taken: int, nth: int) -> tuple[int, bytes]:
        return int(status), struct.pack("<IBB", 0, taken, nth)
