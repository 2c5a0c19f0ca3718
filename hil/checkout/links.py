"""Ways to one part: a bench of its own in virtual time, a part of a board file, a real device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Status
from hil.board import Board, BusSpec, PartSpec
from hil.boardparts import KINDS, Number, Pin
from hil.buses.adapters import errno_for
from hil.buses.onewire import READ, RESET, WRITE
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.exchange import Exchange
from hil.parts import part_class
from hil.parts.base import Part
from hil.time.kernel import Kernel
from hil.wiring import Wiring

SECOND_NS = 1_000_000_000
FRAME_EXPOSURE_US = 1000
#: where a receiver that tells the time begins; a bench of one part has no mission
EPOCH_UTC = datetime(2025, 1, 1, tzinfo=UTC)
#: kinds of buses in the order in which a part that can sit on several is put on one
PREFERENCE = ("uart", "i2c", "spi", "onewire", "can", "frames", "gpio")
NAMES = {"i2c": "i2c-1", "spi": "spi-0", "uart": "ttyAMA0", "can": "can0", "gpio": "gpiochip0"}


class Heard(NamedTuple):
    """Something that came in: when, identifier or line, octets."""

    t_s: float
    ident: int
    octets: bytes


class Link(Protocol):
    """How one part is reached."""

    #: kind of the bus
    kind: str
    #: where the part is, in words
    where: str
    #: the emulated part; None for a real one
    part: Part | None

    def transfer(self, write: bytes, nread: int) -> bytes:
        """Write, then read, as one transaction. Raises OSError as the adapter does."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def now_s(self) -> float:
        """Return the time since the start, seconds."""

    def say(self, ident: int, octets: bytes) -> None:
        """Send octets, or a CAN frame of an identifier, to who listens."""

    def heard(self) -> list[Heard]:
        """Return what the part said by itself since the last call."""

    def close(self) -> None:
        """Let go of the bus."""


class Emulated:
    """A part of an emulated board, in virtual time."""

    def __init__(self, board: Board, spec: PartSpec, seed: int = 1) -> None:
        self.kernel = Kernel()
        self.exchange = Exchange(self.kernel, RecordStream())
        board = _only(board, spec)
        self.wiring = Wiring(board, self.exchange, seed, {})
        self.board, self.spec = board, spec
        self.part: Part | None = self.wiring.parts[spec.name]
        if hasattr(self.part, "epoch_utc"):
            self.part.epoch_utc = EPOCH_UTC
        self.wiring.start()
        self.bus: Any = self.wiring.buses[spec.bus]
        self.kind = board.bus(spec.bus).kind
        place = KINDS[self.kind].place_words.format(spec.address, spec.bus) or spec.bus
        self.where = f"emulated, {place}"
        self._heard: list[Heard] = []
        self._index = board.bus(spec.bus).index
        self.exchange.hearers.append(self._hear)

    def _hear(self, index: int, record: bytes) -> None:
        if index == self._index:
            ident = HEADER.unpack_from(record)[-1]
            self._heard.append(Heard(self.now_s(), ident, bytes(record[HEADER_NBYTES:])))

    def say(self, ident: int, octets: bytes) -> None:
        """Send octets over a serial line, or a frame over CAN."""
        if self.kind == "can":
            reason = self.bus.refusal(self.bus.controller, ident, octets)
            if reason:
                raise UsageError(
                    f"send {ident:X}#{octets.hex()}: the bus refuses it ({reason}); an identifier "
                    "has up to 29 bits, a frame up to 8 octets"
                )
            self.bus.send(self.kernel.now_ns, ident, octets)
        elif self.kind == "uart":
            self.bus.write(self.kernel.now_ns, octets)
        else:
            raise UsageError(f"nothing can be sent over a bus of kind {self.kind}")

    def heard(self) -> list[Heard]:
        """Return what came in over the bus since the last call; a camera is asked for a frame."""
        if self.kind == "frames":
            done = self.bus.capture(self.kernel.now_ns, FRAME_EXPOSURE_US)
            return [Heard(self.now_s(), 0, self._took(done))]
        heard, self._heard = self._heard, []
        return heard

    def now_s(self) -> float:
        """Return virtual time."""
        return self.kernel.now_ns / SECOND_NS

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.kernel.run_until(self.kernel.now_ns + round(seconds * SECOND_NS))

    def close(self) -> None:
        """Nothing is held."""

    def transfer(self, write: bytes, nread: int) -> bytes:
        """Run a transaction, through the switches on the way."""
        if self.kind == "spi":
            done = self.bus.transfer(self.kernel.now_ns, self.spec.address, write + bytes(nread))
            return self._took(done)[len(write) :]
        if self.kind == "i2c":
            for name, channel in self.board.route(self.spec):
                switch = next(one for one in self.board.parts if one.name == name)
                self._i2c(switch.address, bytes((1 << channel,)), 0)
            return self._i2c(self.spec.address, write, nread)
        if self.kind == "onewire":
            steps = [(RESET, b""), (WRITE, write), (READ, nread)]
            status, duration_ns, seen = self.bus.transfer(self.kernel.now_ns, steps)
            return self._took((status, duration_ns, b"".join(seen[1:])))
        raise UsageError(f"{self.spec.name} sits on a bus of kind {self.kind}: it can be watched")

    def _i2c(self, address: int, write: bytes, nread: int) -> bytes:
        return self._took(self.bus.transfer(self.kernel.now_ns, address, write, nread))

    def _took(self, done: tuple[int, int, bytes]) -> bytes:
        status, duration_ns, data = done
        self.kernel.run_until(self.kernel.now_ns + duration_ns)
        if status != Status.OK:
            code = errno_for(self.board.adapter, status)
            raise OSError(code, os.strerror(code))
        return data


def _only(board: Board, spec: PartSpec) -> Board:
    """Return the board with all its buses, and of its parts this one and the switches before it."""
    names = {spec.name, *(name for name, _ in board.route(spec))}
    return replace(board, parts=tuple(part for part in board.parts if part.name in names))


def face_of(part: type[Part]) -> str:
    """Return the kind of bus that a part is put on when nobody says which.

    Raises ``UsageError`` for a part without a bus face.
    """
    for kind in PREFERENCE:
        if hasattr(part, KINDS[kind].face):
            return kind
    raise UsageError(f"{part.__name__} sits on no bus: it has no i2c_write, spi_exchange, ...")


def lone_board(
    type_name: str, params: Mapping[str, Any], kind: str = "", address: int | None = None
) -> Board:
    """Return a board with one part and what it needs: its bus, and a line for each of its pins."""
    part = part_class(type_name)
    kind = kind or face_of(part)
    if address is None:
        address = (part.ADDRESSES or (0x50,))[0] if kind == "i2c" else 0
    name = NAMES.get(kind, f"{kind}0")
    kinds = [kind, *(["gpio"] if kind != "gpio" and hasattr(part, "PINS") else [])]
    buses = tuple(
        BusSpec(NAMES.get(one, f"{one}0"), one, index, _defaults(one))
        for index, one in enumerate(kinds)
    )
    directions: Mapping[str, str] = getattr(part, "PINS", {})
    pins = tuple(
        Pin(pin, NAMES["gpio"], line, way) for line, (pin, way) in enumerate(directions.items())
    )
    modes = getattr(part, "spi_modes", frozenset({0}))
    limit_hz = getattr(part, "spi_max_hz", 1_000_000)
    spi = {"speed_hz": min(limit_hz, 1_000_000), "mode": min(modes)} if kind == "spi" else {}
    spec = PartSpec(type_name, type_name, name, address, pins, dict(params), spi=spi)
    return Board("checkout", "one part", "ideal", Path("checkout"), buses, (spec,))


def _defaults(kind: str) -> dict[str, int | None]:
    """Return the settings of a bus in a board file that says nothing of them."""
    found = {
        key.name: round(key.default) if isinstance(key, Number) else None
        for key in KINDS[kind].params
    }
    return {**found, **({"bitrate_hz": 400_000} if kind == "i2c" else {})}
