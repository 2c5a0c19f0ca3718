"""An emulated Uno and a link to it, driven by whoever asks: for tests of firmware and emulator."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hil.board import BusSpec, PartSpec
from hil.boards import protocol
from hil.boards.emulate_simavr import SimavrBoard, missing
from hil.boards.link import Link, LinkState
from hil.boards.protocol import Event, EventType, MessageFlag, Reply, Request
from hil.boards.silicon import Silicon

BUSES = (
    BusSpec("i2c-1", "i2c", 0, {"bitrate_hz": 400_000, "high_speed_hz": 0}),
    BusSpec("spi-0", "spi", 1, {}),
)
#: far more of the wall's time than anything here takes, however busy the machine
LIMIT_S = 30.0


def parts() -> Silicon:
    """Return an INA3221 and a TMP117 on I2C, a W25Q flash on SPI."""
    return Silicon.of(
        (
            PartSpec("monitor", "ina3221", "i2c-1", 0x40),
            PartSpec("thermometer", "tmp117", "i2c-1", 0x48),
            PartSpec("flash", "w25q16", "spi-0", 0, spi={"mode": 0, "speed_hz": 4_000_000}),
        ),
        BUSES,
    )


def wants_simavr() -> pytest.MarkDecorator:
    """Return the mark that skips where the emulation cannot be built, by the name of what lacks."""
    lack = missing()
    return pytest.mark.skipif(lack is not None, reason=str(lack))


class UnoBench:
    """One emulated Uno, its silicon, and a link that is served while somebody waits."""

    def __init__(
        self,
        silicon: Silicon | None = None,
        pace: str = "free",
        image: Path | None = None,
        eeprom: Path | None = None,
    ) -> None:
        self.board = SimavrBoard(silicon, pace, image, eeprom)
        self.wires = self.board.wires
        self.link = Link(baud=115_200, random=Random(1))
        self.events: list[Event] = []
        self.link.on_event = self.events.append
        self.board.end.setblocking(False)

    def __enter__(self) -> UnoBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()

    def until(self, done: Callable[[], Any]) -> None:
        """Serve the link until ``done()``; fail when that never comes."""
        end, link = self.board.end, self.link
        limit = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < limit, "the emulated board does not get there"
            assert self.board.is_running, "the emulator has ended"
            link.service(time.monotonic_ns())
            out = link.output()
            if out:
                end.sendall(out)
            if select.select([end], [], [], 0.01)[0]:
                link.feed(end.recv(65536), time.monotonic_ns())

    def open(self) -> protocol.Identity:
        """Open a session."""
        self.link.hello(time.monotonic_ns())
        self.until(lambda: self.link.state is not LinkState.GREETING)
        assert self.link.state is LinkState.OPEN, self.link.reason
        assert self.link.identity is not None
        return self.link.identity

    def ask(self, request: Request, busy_ns: int = 0, **fields: Any) -> Reply:
        """Ask the board, and serve the link until its reply is there."""
        replies: list[Reply | None] = []
        payload = protocol.build(request, **fields)
        self.link.request(request, payload, replies.append, busy_ns=busy_ns)
        self.until(lambda: replies)
        assert replies[0] is not None, self.link.reason
        return replies[0]

    def xfer(self, *messages: tuple[int, bytes | int], flags: int = 0) -> Reply:
        """Run an I2C transaction: (address, octets to write or how many to read)."""
        plan = [
            {"address": address | MessageFlag.READ, "length": what, "data": None}
            if isinstance(what, int)
            else {"address": address, "length": len(what), "data": what}
            for address, what in messages
        ]
        return self.ask(Request.I2C_XFER, 200_000_000, bus=0, flags=flags, messages=plan)

    def of_type(self, type_: EventType) -> list[Event]:
        """Return the events of a type so far."""
        return [event for event in self.events if event.type == type_]
