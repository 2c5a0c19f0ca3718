"""The board on this computer: a bridge to the computer's own buses, which are emulated here."""

from __future__ import annotations

import os
import pty
import select
import signal
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from posixbench import PosixBench, posix_bench

from flightsw.codec.wire import Status
from hil.board import BusSpec, PartSpec, Pin
from hil.boards import protocol
from hil.boards.posix import PosixBoard
from hil.boards.protocol import MessageFlag, Request
from hil.boards.silicon import Silicon
from hil.testing.contracts.board import open_session, opened
from hil.testing.contracts.board_bench import LOG

MONITOR, THERMOMETER, ABSENT = 0x40, 0x48, 0x23
HOLD = 1


@pytest.fixture
def silicon() -> Iterator[Silicon]:
    """Give an INA3221 and a TMP117 on I2C, a W25Q flash on SPI."""
    parts = (
        PartSpec("monitor", "ina3221", "i2c-1", MONITOR),
        PartSpec("thermometer", "tmp117", "i2c-1", THERMOMETER),
        PartSpec("flash", "w25q16", "spi-0", 0, spi={"mode": 0, "speed_hz": 4_000_000}),
    )
    buses = (
        BusSpec("i2c-1", "i2c", 0, {"bitrate_hz": 400_000, "high_speed_hz": 0}),
        BusSpec("spi-0", "spi", 1, {}),
    )
    with Silicon.of(parts, buses) as built:
        yield built


@pytest.fixture
def board(silicon: Silicon, tmp_path: Path) -> Iterator[PosixBench]:
    """Give a session with a board that has these parts."""
    with posix_bench(silicon=silicon, folder=tmp_path) as bench:
        yield bench


def test_i2c_reads_parts(silicon: Silicon, board: PosixBench) -> None:
    """Registers of parts behind /dev/i2c-1 are read with a repeated START, as silicon has them."""
    silicon.parts["thermometer"].set("temperature_c", 31.5)
    assert board.ask(Request.I2C_CONFIG, bus=1, hz=400_000).hz == 400_000
    ids = board.xfer((MONITOR, b"\xfe"), (MONITOR, 2))
    assert (ids.status, ids.failed, ids.data) == (0, 0xFF, b"TI")
    raw = board.xfer((THERMOMETER, b"\x00"), (THERMOMETER, 2)).data
    assert int.from_bytes(raw, "big") == 31.5 * 128


def test_i2c_absent_address_and_bus(board: PosixBench) -> None:
    """Nobody at an address is NAK_ADDRESS; a bus that is not there is ABSENT, and the log why."""
    assert board.xfer((ABSENT, b"")).status == Status.NAK_ADDRESS
    assert board.xfer((ABSENT, b""), bus=77).status == Status.ABSENT
    assert b"i2c77" in board.event(LOG).payload
    assert board.xfer((MONITOR, b"\xfe"), (MONITOR, 2)).data == b"TI"


def test_i2c_held_messages_are_one_transaction(silicon: Silicon, board: PosixBench) -> None:
    """Messages held without STOP cross the bus with the request that ends them, as one."""
    bus = silicon.bus_of_kind("i2c")
    before = bus.counters["transfers"]
    assert board.xfer((MONITOR, b"\x07"), flags=HOLD).status == 0
    assert board.xfer((MONITOR | MessageFlag.NOSTART, b"\x12\x38"), flags=HOLD).status == 0
    assert board.xfer((MONITOR, 2)).data == b"\x12\x38", "written and read back"
    assert bus.counters["transfers"] == before + 1


def test_i2c_read_that_is_held_is_refused(board: PosixBench) -> None:
    """The kernel gives what was read only at the end, so a read cannot be held: it is told."""
    assert board.xfer((MONITOR, 2), flags=HOLD).status == Status.UNSUPPORTED
    assert board.xfer((MONITOR, b"\xfe"), (MONITOR, 2)).data == b"TI"


def test_spi_reads_a_flash(board: PosixBench) -> None:
    """A flash behind /dev/spidev0.0 tells its JEDEC identification."""
    hz = board.ask(Request.SPI_CONFIG, bus=0, cs=0, mode=0, hz=4_000_000).hz
    assert hz == 4_000_000
    reply = board.ask(Request.SPI_XFER, bus=0, cs=0, flags=0, data=b"\x9f\0\0\0")
    assert reply.data[1:] == b"\xef\x40\x15"


def test_uart_carries_octets_both_ways() -> None:
    """A tty that --device names is a UART of the board; what it says comes as events."""
    far, near = pty.openpty()
    tty.setraw(near)
    try:
        with posix_bench([f"--device=uart0={os.ttyname(near)}"]) as board:
            config = {"data_bits": 8, "parity": 0, "stop_half_bits": 2}
            said = board.ask(Request.UART_CONFIG, port=0, baud=9600, **config)
            assert int.from_bytes(said.octets, "little") == 9600
            assert board.ask(Request.UART_WRITE, port=0, data=b"down").octets == b"\x04"
            assert os.read(far, 10) == b"down"
            os.write(far, b"up")
            heard = board.event(0xC8).payload
            assert (heard[0], heard[5], heard[6:]) == (0, 0, b"up")
            assert board.ask(Request.UART_WRITE, port=9, data=b"x").status == Status.ABSENT
    finally:
        os.close(far)
        os.close(near)


def test_gpio_drives_and_hears_pins(tmp_path: Path) -> None:
    """A watchdog that is kicked and then forgotten pulls its output low: two edges, stamped."""
    pins = (Pin("kick", "gpiochip0", 3, "in"), Pin("reset", "gpiochip0", 4, "out"))
    timer = PartSpec(
        "timer", "watchdog", "gpiochip0", 0, pins, params={"timeout_s": 0.1, "startup_s": 0.0}
    )
    with (
        Silicon.of((timer,), (BusSpec("gpiochip0", "gpio", 0, {"lines": 8}),)) as silicon,
        posix_bench(silicon=silicon, folder=tmp_path) as board,
    ):
        out, hear = {"pin": 3, "mode": 3, "edges": 0}, {"pin": 4, "mode": 0, "edges": 3}
        assert board.ask(Request.GPIO_CONFIG, **out).octets == b"\0"
        assert board.ask(Request.GPIO_CONFIG, **hear).octets == b"\1"
        assert board.ask(Request.GPIO_WRITE, pin=3, level=1).status == 0
        edges = [protocol.EVENTS[0xC9].parse(board.event(0xC9).payload) for _ in range(2)]
        assert [(edge.pin, edge.level) for edge in edges] == [(4, 0), (4, 1)]
        assert (edges[1].t_us - edges[0].t_us) % 2**32 > 90_000, "its pulse takes 100 ms"
        assert board.ask(Request.GPIO_READ, pin=4).octets == b"\1"
        assert board.ask(Request.GPIO_WRITE, pin=9, level=1).status == Status.INVALID


def test_can_interface_that_is_not_there_is_absent() -> None:
    """A bus without an interface is ABSENT, and the log says what the system said."""
    with posix_bench(["--device=can1=nowhere"]) as board:
        config = {"bus": 1, "bitrate": 500_000, "data_bitrate": 0, "flags": 0}
        assert board.ask(Request.CAN_CONFIG, **config).status == Status.ABSENT
        assert b"can1" in board.event(LOG).payload
        sent = {"id": 0x123, "flags": 0, "data": b"x"}
        assert board.ask(Request.CAN_SEND, bus=1, **sent).status == Status.INVALID


def test_identity_is_as_it_was_started() -> None:
    """UID, name, boot id and reset cause of the command line are those of the identity."""
    told = ["--uid", "0102030405060708", "--name", "left", "--boot-id", "41", "--reset-cause", "3"]
    with PosixBoard(told) as board, opened(board.port) as fd:
        who = open_session(PosixBench(fd))
    assert (who.uid, who.board, who.boot_id, who.reset_cause) == (bytes(range(1, 9)), "left", 41, 3)


def test_link_to_the_terminal(tmp_path: Path) -> None:
    """A link that was asked for leads to the terminal, outlives a reset and goes with the board."""
    link = tmp_path / "board"
    with PosixBoard(["--pty", str(link)]) as board, opened(str(link)) as fd:
        bench = PosixBench(fd)
        open_session(bench)
        board.reset()
        bench.event(0xC0)
        assert str(link.readlink()) == board.port
    assert not link.is_symlink()


def test_nobody_reads() -> None:
    """A host that asks and never reads loses replies, not the board, and they are counted."""
    with posix_bench() as board:
        lost = board.counters()["events_lost"]
        first = board.seq
        for ahead in range(500):
            board.send(board.body(Request.PING, bytes(200), seq=first + ahead))
        while select.select([board.fd], [], [], 0.5)[0]:  # longer than the board waits for a host
            os.read(board.fd, 65536)
        open_session(board)
        assert board.counters()["events_lost"] > lost


def test_firmware_that_was_stopped_can_be_unplugged() -> None:
    """SIGSTOP keeps a program from hearing of its end: closing wakes it, and waits for it."""
    board = PosixBoard()
    os.kill(board.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, board.process.pid, os.WSTOPPED | os.WNOWAIT)
    board.close()
    assert board.process.returncode is not None
