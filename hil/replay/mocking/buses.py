"""Buses that answer from the record: the buses of a board file with nobody on them.

Each is the emulated bus of its kind, so that exchange, transports, sockets and faces see nothing
new: limits, settings and times are its own. A request gets its recorded answer; one that was never
recorded gets the latest answer to one like it, or what a bus with nobody there says. What is sent
is recorded as it was, where it is the same. What comes in is put in by :meth:`come`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Status
from hil.board import Board, PartSpec
from hil.buses import adapters
from hil.buses.base import Emit, Outcome
from hil.buses.frames import FrameBus
from hil.buses.gpio import GPIOChip
from hil.buses.i2c import I2CBus
from hil.buses.onewire import OneWireBus
from hil.buses.spi import SegmentOutcome, SPIBus
from hil.exchange import Exchange
from hil.parts import part_class
from hil.replay.mocking.can import MockCANBus
from hil.replay.mocking.lanes import About, Answers, i2c, onewire
from hil.replay.mocking.uart import MockUARTBus
from hil.wiring import BUS_SOURCE

_FAULTED = int(Flag.FAULTED)
_INPUT = int(Flag.INPUT)
_READ = bus_payload.I2C_READ


class MockI2CBus(I2CBus):
    """An I2C bus that answers from the record."""

    answers: Answers

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        """Write then read as recorded."""
        flags = bus_payload.I2C_TEN_BIT if address > 0x7F else 0
        messages: list[bus_payload.I2CMessage] = []
        if write or not nread:
            messages.append((address, flags, write))
        if nread:
            messages.append((address, flags | _READ, nread))
        status, duration_ns, data = self.transfer_messages(t_ns, messages)
        return status, duration_ns, data[0] if data else b""

    def transfer_messages(
        self, t_ns: int, messages: list[bus_payload.I2CMessage]
    ) -> tuple[int, int, list[bytes]]:
        """Run messages as recorded."""
        found = self.answers.answer(t_ns, i2c(messages))
        if found is None:
            return super().transfer_messages(t_ns, messages)
        self.faulted = bool(found.flags & _FAULTED)
        there = bus_payload.unpack_i2c(found.payload, reply=True)
        read = [data for _, flags, data in there if flags & _READ and isinstance(data, bytes)]
        return found.status, found.duration_ns, read


class MockSPIBus(SPIBus):
    """An SPI bus that answers from the record."""

    answers: Answers

    def transfer(self, t_ns: int, chip_select: int, tx: bytes) -> Outcome:
        """Exchange octets with the settings of the chip select, as recorded."""
        segments = [(tx, *bus_payload.SPI_DEFAULTS)]
        status, duration_ns, received = self.transfer_segments(t_ns, chip_select, segments)
        return status, duration_ns, received[0] if received else b""

    def transfer_segments(
        self, t_ns: int, chip_select: int, segments: list[bus_payload.SPISegment]
    ) -> SegmentOutcome:
        """Exchange segments as recorded."""
        request = About((chip_select, bus_payload.pack_spi(segments)))
        found = self.answers.answer(t_ns, request)
        if found is None:
            return super().transfer_segments(t_ns, chip_select, segments)
        self.faulted = bool(found.flags & _FAULTED)
        received = bus_payload.unpack_spi(found.payload, reply=True)[1]
        return found.status, found.duration_ns, received


class MockOneWireBus(OneWireBus):
    """A 1-Wire bus that answers from the record."""

    answers: Answers

    def transfer(
        self, t_ns: int, steps: list[bus_payload.OneWireStep]
    ) -> tuple[int, int, list[bytes]]:
        """Run steps as recorded."""
        found = self.answers.answer(t_ns, onewire(steps, reply=False))
        if found is None:
            return super().transfer(t_ns, steps)
        self.faulted = bool(found.flags & _FAULTED)
        there = bus_payload.unpack_onewire(found.payload, reply=True)
        seen = [what for op, what in there if op != bus_payload.ONEWIRE_WRITE]
        return found.status, found.duration_ns, [what for what in seen if isinstance(what, bytes)]


class MockFrameBus(FrameBus):
    """A camera port that answers from the record."""

    answers: Answers

    def capture(self, t_ns: int, exposure_us: int) -> Outcome:
        """Return the frame that was recorded."""
        found = self.answers.answer(t_ns, About(0))
        if found is None:
            return super().capture(t_ns, exposure_us)
        self.faulted = bool(found.flags & _FAULTED)
        return found.status, found.duration_ns, found.payload


class MockGPIOChip(GPIOChip):
    """A GPIO chip whose inputs move as recorded."""

    answers: Answers

    def _recorded(
        self, t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
    ) -> None:
        """Report a line that the payload computer set, as it was recorded."""
        key = (address, 0, payload)
        stream = self.answers.stream
        stream.answer = index = self.answers.lane.take(t_ns, key)
        if index >= 0:
            head = self.answers.recording.heads[index]
            flags, status = int(head["flags"]), int(head["status"])
        self._came(t_ns, duration_ns, flags, status, address, payload)

    def come(self, t_ns: int, index: int, head: Any, payload: bytes) -> None:
        """Let a recorded edge come."""
        line = int(head["address"])
        self.settle(line, payload[0])
        self.answers.stream.answer = index
        self._came(t_ns, 0, int(head["flags"]), int(head["status"]), line, payload)

    def settle(self, line: int, level: int) -> None:
        """Bring a line to a level that it was recorded to have."""
        if line < self.nlines:
            pin, level = self._lines[line], level & 1
            for name in pin.parts:
                pin.parts[name] = (level, pin.parts[name][1])
                break
            pin.level = pin.reported = level
            pin.changes += 1

    def listen(self, came: Emit) -> None:
        """Give what is recorded to ``came``."""
        self._came = came
        self._emit = self._recorded


class _Nobody:
    """What stands where a part is, for what the payload computer is told of it."""

    def __init__(self, spec: PartSpec, params: Mapping[str, Any]) -> None:
        kind = part_class(spec.type)
        self.name = spec.name
        self.PIN_IDLE = getattr(kind, "PIN_IDLE", {})
        self.PIN_DRIVE = getattr(kind, "PIN_DRIVE", {})
        self.spi_modes: frozenset[int] = getattr(kind, "spi_modes", frozenset())
        self.gpio_flags = 0
        for key in ("width", "height"):
            if key in params:
                setattr(self, key, params[key])

    def spi_select(self, t_ns: int) -> None:
        """See nothing."""

    def spi_deselect(self, t_ns: int) -> None:
        """See nothing."""

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Drive nothing: the line reads high."""
        return b"\xff" * len(tx)

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See nothing."""

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        """Have no frame."""
        return 0, b""


def build(
    board: Board,
    exchange: Exchange,
    answers: Callable[[int, int], Answers],
    overrides: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Put mock buses on an exchange; return them by name.

    ``answers(kind, channel)`` gives the recorded ones; ``overrides`` are what the mission says of
    parts, by type.
    """
    profile = adapters.profile_of(board.adapter)
    kernel = exchange.kernel
    buses: dict[str, Any] = {}
    kinds = {"i2c": Kind.I2C, "spi": Kind.SPI, "uart": Kind.UART, "can": Kind.CAN}
    kinds |= {"gpio": Kind.GPIO, "frames": Kind.FRAME, "onewire": Kind.ONEWIRE}
    make: dict[str, Callable[..., Any]] = {
        "i2c": lambda spec, bitrate_hz, high_speed_hz: MockI2CBus(
            spec.name, bitrate_hz, profile, 0, high_speed_hz
        ),
        "spi": lambda spec: MockSPIBus(spec.name, profile),
        "uart": lambda spec, baud, wired_to: MockUARTBus(
            spec.name, kernel, BUS_SOURCE + spec.index, _unheard, baud
        ),
        "can": lambda spec, bitrate_hz, data_bitrate_hz: MockCANBus(
            spec.name,
            kernel,
            BUS_SOURCE + spec.index,
            _unheard,
            bitrate_hz,
            data_bitrate_hz=data_bitrate_hz,
        ),
        "gpio": lambda spec, lines: MockGPIOChip(
            spec.name, kernel, BUS_SOURCE + spec.index, _unheard, lines
        ),
        "frames": lambda spec: MockFrameBus(spec.name),
        "onewire": lambda spec: MockOneWireBus(spec.name),
    }
    for spec in board.buses:
        bus = buses[spec.name] = make[spec.kind](spec, **spec.params)
        kind = int(kinds[spec.kind])
        bus.answers = answers(kind, spec.index)
        if hasattr(bus, "listen"):
            bus.listen(exchange.emitter(spec.index, kind))
        errno = {int(status): adapters.errno_for(profile, status) for status in Status if status}
        exchange.connect(spec.index, bus, errno)
    for part in board.parts:
        _stand_in(board, part, buses, overrides)
    return buses


def pin_directions(spec: PartSpec) -> Mapping[str, str]:
    """Return which pins of a part are ``in`` and which ``out``, seen from the part."""
    found: Mapping[str, str] = part_class(spec.type).PINS  # type: ignore[attr-defined]
    return found


def _unheard(
    t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
) -> None:
    raise AssertionError("a mock bus reports to whom it was told to")


def _stand_in(
    board: Board,
    spec: PartSpec,
    buses: Mapping[str, Any],
    overrides: Mapping[str, Mapping[str, Any]],
) -> None:
    """Put nobody in the place of a part, as far as a controller knows of its place."""
    kind = board.bus(spec.bus).kind
    nobody = _Nobody(spec, {**overrides.get(spec.type, {}), **spec.params})
    if kind == "spi":
        mode, speed_hz = spec.spi["mode"], spec.spi["speed_hz"]
        buses[spec.bus].attach(spec.address, nobody, mode=mode, speed_hz=speed_hz)
    elif kind == "frames":
        buses[spec.bus].attach(nobody)
    chips: dict[str, dict[str, tuple[int, str]]] = {}
    for pin in spec.pins:
        direction = pin_directions(spec)[pin.name]
        chips.setdefault(pin.bus, {})[pin.name] = (pin.line, direction)
    for chip, pins in chips.items():
        buses[chip].attach(nobody, pins)
