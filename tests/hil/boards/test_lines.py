"""Boards on serial lines, CAN and GPIO: what goes out, what comes in when, and what is lost."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from flightsw.codec.wire import Flag, Kind
from hil.boards.lines import BoardLine, BoardNode, BoardPins
from hil.boards.protocol import Event, EventType, Request
from hil.buses.uart_wave import Setting
from hil.testing.small_rig import GPIO, SmallRig
from hil.time.pacing import Pacer
from tests.hil.boards.stub_board import StubBoard, Wall

MS = 1_000_000
BOARD = int(Flag.BOARD)


class Bench:
    """A small rig at the pace of a simulated wall, and a board that nothing is bound to yet."""

    def __init__(self) -> None:
        self.wall = Wall()
        self.rig = SmallRig(1_000 * MS)
        self.board: Any = StubBoard(self.wall)
        self.pacer = Pacer(self.rig.kernel, "real", clock=self.wall.clock)
        self.pacer.watch = self.board
        self.board.pacer = self.pacer
        self.rig.kernel.run_until(1)  # the pace begins

    def run(self, until_ns: int) -> None:
        self.rig.kernel.run_until(until_ns)

    def asked(self, request: int) -> list[bytes]:
        return [payload for kind, payload in self.board.requests if kind == request]

    def seen(self, kind: int) -> list[Any]:
        return [record for record in self.rig.records() if record.kind == kind]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- serial lines -------------------------------------------------------------------------------


@pytest.fixture
def line(bench: Bench) -> BoardLine:
    uart = bench.rig.uart
    uart.detach()
    line = BoardLine(bench.board, 1, uart, bench.rig.kernel)
    uart.attach(line)
    uart.rx_flags = BOARD
    return line


def test_octets_of_the_payload_computer_go_out_at_the_board(bench: Bench, line: BoardLine) -> None:
    """What left the emulated line is written to the board's port, in its frames, in order."""
    text = bytes(n & 0xFF for n in range(300))
    bench.rig.uart.write(1, text)
    bench.run(100 * MS)
    writes = bench.asked(Request.UART_WRITE)
    assert b"".join(one[1:] for one in writes) == text
    assert {one[0] for one in writes} == {1}
    assert max(map(len, writes)) <= bench.board.payload_nbytes


def test_a_port_without_room_is_offered_the_rest_again(bench: Bench, line: BoardLine) -> None:
    """``taken`` says how many went; none is lost, none is sent twice."""
    bench.board.uart_room = 7
    bench.rig.uart.write(1, b"0123456789" * 5)
    bench.run(200 * MS)
    sent = b"".join(one[1:8] for one in bench.asked(Request.UART_WRITE))
    assert sent == b"0123456789" * 5


def test_what_a_board_receives_is_stamped_on_arrival(bench: Bench, line: BoardLine) -> None:
    """Octets come in at the virtual time of the wall's now, and the record names a board."""
    head = struct.pack("<BIB", 1, 0, 0)
    bench.board.say(1_000 + 5 * MS, EventType.UART_RX, head + b"$GPRMC")
    bench.board.say(1_000 + 6 * MS, EventType.UART_RX, struct.pack("<BIB", 0, 0, 0) + b"other")
    bench.run(20 * MS)
    (record,) = [one for one in bench.seen(Kind.UART) if one.flags & Flag.INPUT]
    assert (bytes(record.payload), record.flags) == (b"$GPRMC", Flag.INPUT | BOARD)
    assert 5 * MS - 1000 <= record.t_ns <= 5 * MS


def test_the_board_follows_the_rate_of_the_line(bench: Bench, line: BoardLine) -> None:
    """Rate and format are told at once, when they change, and when the board comes anew."""
    uart = bench.rig.uart
    uart.set_setting(Setting(9600, 8, "E", 2))
    for ready in bench.board.on_ready:
        ready()
    configs = [struct.unpack("<BIBBB", one) for one in bench.asked(Request.UART_CONFIG)]
    assert configs == [(1, 115_200, 8, 0, 2), (1, 9600, 8, 1, 4), (1, 9600, 8, 1, 4)]
    assert uart.device_setting == uart.setting


def test_octets_to_a_board_that_is_away_are_lost_and_counted(bench: Bench, line: BoardLine) -> None:
    """Nothing is kept for later: a line has no memory."""
    bench.board.ready = False
    bench.rig.uart.write(1, b"hello")
    bench.run(10 * MS)
    assert bench.board.counters["uart_lost_octets"] == 5
    assert bench.asked(Request.UART_WRITE) == []


def test_a_line_that_is_closed_hears_nothing_more(bench: Bench, line: BoardLine) -> None:
    """Swapped back, the emulated device has the line again, and the board is not heard."""
    uart = bench.rig.uart
    line.close()
    uart.detach()
    uart.rx_flags = 0
    uart.attach(bench.rig.echo)
    bench.board.say(1_000 + 5 * MS, EventType.UART_RX, struct.pack("<BIB", 1, 0, 0) + b"late")
    uart.write(1, b"x")
    bench.run(20 * MS)
    heard = [bytes(one.payload) for one in bench.seen(Kind.UART) if one.flags == Flag.INPUT]
    assert heard == [b"x"]


# --- CAN ----------------------------------------------------------------------------------------


def test_a_board_is_a_node_of_the_bus(bench: Bench) -> None:
    """Frames of others go out at the board; its own come in with arbitration and its mark."""
    can = bench.rig.can
    node = BoardNode(bench.board, 0, can)
    can.attach(node)
    can.send(1, 0x123, b"\x01\x02")
    payload = struct.pack("<BIIB", 0, 0, 0x321, 0) + b"\xaa"
    bench.board.say(1_000 + 5 * MS, EventType.CAN_RX, payload)
    bench.board.say(1_000 + 6 * MS, EventType.CAN_STATE, struct.pack("<BBBB", 0, 2, 128, 3))
    bench.run(20 * MS)
    sent = [(*struct.unpack_from("<BIB", one), one[6:]) for one in bench.asked(Request.CAN_SEND)]
    assert (0, 0x123, 0, b"\x01\x02") in sent
    frames = {one.address: one for one in bench.seen(Kind.CAN)}
    assert frames[0x321].flags == Flag.INPUT | BOARD
    assert not frames[0x123].flags & BOARD
    assert (
        "BOARD_CAN_STATE",
        {"bus": "can0", "state": 2, "tec": 128, "rec": 3},
    ) in bench.board.told


@pytest.mark.parametrize("flags", [0, 4])
def test_frames_that_no_bus_carries_are_counted(bench: Bench, flags: int) -> None:
    """More octets than a frame has, or less than its head, is the firmware's error: not sent on."""
    node = BoardNode(bench.board, 0, bench.rig.can)
    bench.rig.can.attach(node)
    head = struct.pack("<BIIB", 0, 0, 0x321, flags)
    most = 64 if flags else 8
    bench.board.say(1_000 + 5 * MS, EventType.CAN_RX, head + bytes(most + 1))
    bench.board.say(1_000 + 6 * MS, EventType.CAN_RX, head[:-1])
    bench.board.say(1_000 + 7 * MS, EventType.CAN_STATE, b"")
    bench.run(20 * MS)
    assert bench.board.counters["malformed"] == 3
    assert not bench.seen(Kind.CAN)


def test_what_was_heard_before_a_swap_is_late_after_it(bench: Bench, line: BoardLine) -> None:
    """What is on its way into virtual time when the board is swapped away goes nowhere, counted."""
    gpio = bench.rig.exchange.lanes[GPIO].bus
    node = BoardNode(bench.board, 0, bench.rig.can)
    bench.rig.can.attach(node)
    pins = BoardPins(bench.board, "watchdog", {"reset": (5, "out")})
    gpio.attach(pins, {"reset": (2, "out")})

    def swap(t_ns: int) -> None:
        for what in (line, node, pins):
            what.close()  # type: ignore[attr-defined]
        bench.rig.uart.detach()
        bench.rig.can.detach(node)
        gpio.detach(pins, {"reset": (2, "out")})

    said = [
        (EventType.UART_RX, struct.pack("<BIB", 1, 0, 0) + b"late"),
        (EventType.CAN_RX, struct.pack("<BIIB", 0, 0, 0x321, 0) + b"late"),
        (EventType.GPIO_EDGE, struct.pack("<BBI", 5, 1, 0)),
    ]
    heard = [(list(bench.board.hearers[kind]), payload, kind) for kind, payload in said]
    bench.board.stamp(swap)
    for hearers, payload, kind in heard:
        for hear in hearers:
            hear(Event(kind, 0, payload, 0, 0))
    bench.run(20 * MS)
    assert bench.board.counters["late"] == 3
    assert not [one for one in bench.seen(Kind.UART) if one.flags & Flag.INPUT]
    assert not bench.seen(Kind.CAN)


# --- GPIO ---------------------------------------------------------------------------------------


def test_pins_of_a_part_are_pins_of_a_board(bench: Bench) -> None:
    """Outputs of the payload computer drive pins of the board, each as the part's own says."""
    gpio = bench.rig.exchange.lanes[GPIO].bus
    pins = {"kick": (2, "in")}
    part = BoardPins(bench.board, "watchdog", {"kick": (4, "in"), "reset": (5, "out")})
    gpio.attach(part, pins)
    part.configure()
    gpio.set(1, 2, 1)
    gpio.set(2, 2, 0)
    bench.run(10 * MS)
    assert bench.asked(Request.GPIO_WRITE) == [b"\x04\x01", b"\x04\x00"]
    assert bench.asked(Request.GPIO_CONFIG) == [b"\x04\x03\x00", b"\x05\x00\x03"]


def test_an_edge_at_a_board_is_an_edge_of_the_line(bench: Bench) -> None:
    """It is stamped on arrival, reported to the payload computer, and marked."""
    gpio = bench.rig.exchange.lanes[GPIO].bus
    part = BoardPins(bench.board, "watchdog", {"reset": (5, "out")})
    gpio.attach(part, {"reset": (2, "out")})
    bench.board.say(1_000 + 5 * MS, EventType.GPIO_EDGE, struct.pack("<BBI", 5, 1, 0))
    bench.board.say(1_000 + 6 * MS, EventType.GPIO_EDGE, struct.pack("<BBI", 9, 1, 0))
    bench.run(20 * MS)
    (record,) = [one for one in bench.seen(Kind.GPIO) if one.address == 2]
    assert (bytes(record.payload), record.flags) == (b"\x01", Flag.INPUT | BOARD)
    assert 5 * MS - 1000 <= record.t_ns <= 5 * MS
    gpio.detach(part, {"reset": (2, "out")})
    assert gpio.describe()["levels"][2] == 0
