"""Boards on buses where things happen by themselves: serial lines, CAN, GPIO.

The board is the device at the far end of the emulated line, one more node of the emulated CAN bus,
or a part's pins. What it hears goes out at once; what it says is stamped on arrival and then takes
its way over the emulated bus, which charges its own line time once more. While the board is away
nothing is heard and what is sent to it is lost, counted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flightsw.codec.wire import Flag
from hil.boards.protocol import Event, EventType, Reply, Request
from hil.boards.station import BoardStation
from hil.parts.base import Scheduler
from hil.time.phase import Phase

BOARD = int(Flag.BOARD)
_UART_CONFIG = struct.Struct("<BIBBB")
_UART_RX_NBYTES, _CAN_RX_NBYTES = 6, 10
_CAN_CONFIG = struct.Struct("<BIIB")
_CAN_SEND = struct.Struct("<BIB")
_CAN_RX = struct.Struct("<BIIB")
_CAN_STATE = struct.Struct("<BBBB")
_EDGE = struct.Struct("<BBI")
_PARITY = {"N": 0, "E": 1, "O": 2}
_FDF, _CLASSIC_NBYTES, _FD_NBYTES = 0x04, 8, 64
_IN, _OUT_LOW = 0, 3
_BOTH_EDGES = 3
#: Octets that a board that took none is given time for.
_ROOM_NBYTES = 16


def _for_us(station: BoardStation, octets: bytes, nbytes: int, index: int | None) -> bool:
    """Tell whether an event has what it must have, else it is counted, and is of our bus."""
    if len(octets) < nbytes:
        station.counters["malformed"] += 1
        return False
    return index is None or octets[0] == index


class BoardLine:
    """The far end of a serial line: port ``port`` of a board."""

    uart_send: Callable[[int, bytes], None]

    def __init__(self, station: BoardStation, port: int, bus: Any, scheduler: Scheduler) -> None:
        self.name = station.name
        self._station = station
        self._port = port
        self._bus = bus
        self._scheduler = scheduler
        self._waiting = bytearray()
        self._asked = self._closed = False
        station.on_ready.append(self.configure)
        station.hearers.setdefault(EventType.UART_RX, []).append(self._hear)
        bus.after_setting.append(self.configure)

    def close(self) -> None:
        """Leave the board and the line."""
        self._closed = True
        self._station.on_ready.remove(self.configure)
        self._station.hearers[EventType.UART_RX].remove(self._hear)
        self._bus.after_setting.remove(self.configure)

    def uart_attached(self, baud: int) -> int:
        """Take the rate of the line for its own."""
        self.configure()
        return baud

    def configure(self) -> None:
        """Tell the board rate and format of the payload computer's end, which it follows."""
        setting = self._bus.setting
        self._bus.device_setting = setting
        parity = _PARITY.get(setting.parity, 0)
        stops = round(2 * setting.stop_bits)
        config = _UART_CONFIG.pack(self._port, setting.baud, setting.data_bits, parity, stops)
        self._station.ask(Request.UART_CONFIG, config, self._configured)

    def _configured(self, reply: Reply | None) -> None:
        if reply is not None and not reply.ok:
            self._station.tell_once("BOARD_UART_REFUSED", bus=self._bus.name, baud=self._bus.baud)

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Send octets of the payload computer on the real line."""
        self._waiting += data
        self._pump()

    def _pump(self) -> None:
        if self._asked or not self._waiting:
            return
        if not self._station.ready:
            self._station.counters["uart_lost_octets"] += len(self._waiting)
            self._waiting.clear()
            return
        self._asked = True
        chunk = bytes(self._waiting[: self._station.payload_nbytes - 1])
        octets = bytes((self._port,)) + chunk
        self._station.ask(Request.UART_WRITE, octets, partial(self._written, len(chunk)))

    def _written(self, count: int, reply: Reply | None) -> None:
        self._asked = False
        taken = reply.payload[0] if reply is not None and reply.ok and reply.payload else 0
        if reply is None or not reply.ok:
            self._station.counters["uart_lost_octets"] += count
            taken = count
        del self._waiting[:taken]
        if taken or not self._waiting:
            self._pump()
        else:
            self._station.counters["uart_full"] += 1
            self._station.stamp(self._later)

    def _later(self, t_ns: int) -> None:
        """Try again when the board's port may have room."""
        due_ns = t_ns + self._bus.line_time_ns(_ROOM_NBYTES)
        self._scheduler.at(due_ns, Phase.BUS, self._station.source, lambda t_ns: self._pump())

    def _hear(self, event: Event) -> None:
        octets = event.payload
        if not _for_us(self._station, octets, _UART_RX_NBYTES, self._port):
            return
        self._station.counters["uart_errors"] += bool(octets[_UART_RX_NBYTES - 1])
        data = octets[_UART_RX_NBYTES:]
        self._station.stamp(lambda t_ns: self._came(t_ns, data))

    def _came(self, t_ns: int, data: bytes) -> None:
        if self._closed:  # swapped away since it was heard
            self._station.counters["late"] += 1
        else:
            self.uart_send(t_ns, data)


class BoardNode:
    """A node of a CAN bus: bus ``index`` of a board."""

    can_send: Callable[[int, int, bytes], None]
    can_flags = BOARD
    can_fd_tolerant = True

    def __init__(self, station: BoardStation, index: int, bus: Any) -> None:
        self.name = station.name
        self.can_fd = bus.data_bitrate_hz > 0
        self._station = station
        self._index = index
        self._bus = bus
        self._closed = False
        station.on_ready.append(self.configure)
        station.hearers.setdefault(EventType.CAN_RX, []).append(self._hear)
        station.hearers.setdefault(EventType.CAN_STATE, []).append(self._moved)

    def close(self) -> None:
        """Leave the board."""
        self._closed = True
        self._station.on_ready.remove(self.configure)
        self._station.hearers[EventType.CAN_RX].remove(self._hear)
        self._station.hearers[EventType.CAN_STATE].remove(self._moved)

    def configure(self) -> None:
        """Tell the board the rates of the bus."""
        rates = self._bus.bitrate_hz, self._bus.data_bitrate_hz
        config = _CAN_CONFIG.pack(self._index, *rates, 0)
        self._station.ask(Request.CAN_CONFIG, config, self._configured)

    def _configured(self, reply: Reply | None) -> None:
        if reply is not None and not reply.ok:
            values = {"bus": self._bus.name, "status": reply.status}
            self._station.tell_once("BOARD_CONFIG_REFUSED", **values)

    def _ask(self, request: int, payload: bytes) -> None:
        self._station.ask(request, payload, self._answered)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None or not reply.ok:
            self._station.counters["can_lost_frames"] += 1

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Send a frame of another node on the real bus."""
        flags = can_id >> 32 & 0xFF
        head = _CAN_SEND.pack(self._index, can_id & 0xFFFF_FFFF, flags)
        self._ask(Request.CAN_SEND, head + data)

    def _hear(self, event: Event) -> None:
        octets = event.payload
        if not _for_us(self._station, octets, _CAN_RX_NBYTES, self._index):
            return
        _, _, can_id, flags = _CAN_RX.unpack_from(octets)
        data = octets[_CAN_RX_NBYTES:]
        if len(data) > (_FD_NBYTES if flags & _FDF else _CLASSIC_NBYTES):
            self._station.counters["malformed"] += 1
            return
        self._station.stamp(lambda t_ns: self._came(t_ns, can_id | flags << 32, data))

    def _came(self, t_ns: int, can_id: int, data: bytes) -> None:
        if self._closed:  # swapped away since it was heard
            self._station.counters["late"] += 1
        else:
            self.can_send(t_ns, can_id, data)

    def _moved(self, event: Event) -> None:
        if not _for_us(self._station, event.payload, _CAN_STATE.size, self._index):
            return
        _, state, tec, rec = _CAN_STATE.unpack_from(event.payload)
        values = {"bus": self._bus.name, "state": state, "tec": tec, "rec": rec}
        self._station.stamp(lambda t_ns: self._station.quote(t_ns, 2, "BOARD_CAN_STATE", **values))


class BoardPins:
    """Pins of a part on those of a board: ``pins`` is pin of the part -> (pin number, direction).

    What is an output of the part is an input of the board, and the other way round.
    """

    gpio_drive: Callable[[int, str, int], None]
    gpio_flags = BOARD

    def __init__(
        self, station: BoardStation, name: str, pins: Mapping[str, tuple[int, str]]
    ) -> None:
        self.name = name
        self._station = station
        self._pins = dict(pins)
        self._levels: dict[str, int] = {}
        self._closed = False
        self._by_number = {number: pin for pin, (number, way) in pins.items() if way == "out"}
        station.on_ready.append(self.configure)
        station.hearers.setdefault(EventType.GPIO_EDGE, []).append(self._hear)

    def close(self) -> None:
        """Leave the board."""
        self._closed = True
        self._station.on_ready.remove(self.configure)
        self._station.hearers[EventType.GPIO_EDGE].remove(self._hear)

    def configure(self) -> None:
        """Tell the board which of its pins are what; what its inputs show is an edge of now."""
        for pin, (number, way) in self._pins.items():
            if way == "out":
                config = bytes((number, _IN, _BOTH_EDGES))
                self._station.ask(Request.GPIO_CONFIG, config, partial(self._shown, pin))
            else:
                config = bytes((number, _OUT_LOW + self._levels.get(pin, 0), 0))
                self._station.ask(Request.GPIO_CONFIG, config, self._answered)

    def _shown(self, pin: str, reply: Reply | None) -> None:
        if reply is None or not reply.ok or not reply.payload:
            self._station.counters["gpio_lost"] += 1
            return
        level = reply.payload[0]
        self._station.stamp(lambda t_ns: self._came(t_ns, pin, level))

    def _came(self, t_ns: int, pin: str, level: int) -> None:
        if self._closed:  # swapped away since it was heard
            self._station.counters["late"] += 1
        else:
            self.gpio_drive(t_ns, pin, level)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None or not reply.ok:
            self._station.counters["gpio_lost"] += 1

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Drive the board's pin as the payload computer drives the line."""
        self._levels[pin] = level
        number, _ = self._pins[pin]
        self._station.ask(Request.GPIO_WRITE, bytes((number, level)), self._answered)

    def _hear(self, event: Event) -> None:
        if not _for_us(self._station, event.payload, _EDGE.size, None):
            return
        number, level, _ = _EDGE.unpack_from(event.payload)
        pin = self._by_number.get(number)
        if pin is not None:
            self._station.stamp(lambda t_ns: self._came(t_ns, pin, level))
