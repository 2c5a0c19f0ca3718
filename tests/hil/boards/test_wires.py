"""What crosses the wires of an emulated board, and the parts that sit on them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from unobench import BUSES, parts

from hil.board import PartSpec, load_board
from hil.boards import wires
from hil.boards.silicon import UNO_SELECTS, Around, Silicon
from hil.boards.wires import FROM_BOARD, HEAD, TO_BOARD, Answer, Kind, Nothing, Wires
from hil.errors import BoardError, ConfigError
from hil.hosting import environment, shim_path

MONITOR, THERMOMETER, EEPROM = 0x40, 0x48, 0x50
MASK_ENABLE = 0x0F


@pytest.fixture
def silicon() -> Iterator[Silicon]:
    """An INA3221, a TMP117 and a flash."""
    with parts() as built:
        yield built


@pytest.fixture
def around(silicon: Silicon) -> Around:
    """The same, as a processor of 16 MHz sees it."""
    return Around(silicon, 16_000_000, UNO_SELECTS)


def transfer(around: Around, cycles: int, address: int, write: bytes, nread: int) -> bytes | None:
    """Do what the emulator does for a write and a read; None: not acknowledged."""
    answer = around.i2c_start(cycles, address << 1, False, 0)
    acked = answer.is_acked
    for octet in write:
        acked = acked and around.i2c_write(cycles, octet).is_acked
    served = b""
    if acked and nread:
        answer = around.i2c_start(cycles, address << 1 | 1, True, 0)
        served, acked = answer.data, answer.is_acked
        while acked and len(served) < nread:
            served += around.i2c_more(cycles, len(served)).data
    around.i2c_stop(cycles, nread if acked else 0)
    return served[:nread] if acked else None


def test_every_kind_is_declared() -> None:
    """Each kind is either the board's or the bench's, and each question has an answer."""
    assert FROM_BOARD.keys() | TO_BOARD.keys() == set(Kind)
    assert not FROM_BOARD.keys() & TO_BOARD.keys()
    assert set(wires.ANSWERS) == {Kind.START, Kind.WRITE, Kind.MORE, Kind.SPI}
    assert all(kind < 0x40 for kind in FROM_BOARD)
    assert all(kind >= 0x40 for kind in TO_BOARD)


def test_transaction_is_built_as_the_emulator_reads_it() -> None:
    """TRANSACT is the clock, then address octet, length and data of what is written."""
    plan = [
        {"octet": 0x54, "length": 1, "data": b"\x03"},
        {"octet": 0x55, "length": 2, "data": None},
    ]
    built = TO_BOARD[Kind.TRANSACT].build({"hz": 100_000, "limit_ms": 35, "messages": plan})
    assert built == b"\xa0\x86\x01\x00" + b"\x23\x00" + b"\x54\x01\x03" + b"\x55\x02"


def test_reading_takes_no_more_than_was_clocked(silicon: Silicon, around: Around) -> None:
    """A part is left as if it had been read for just the octets that were clocked."""
    with parts() as other:
        for built in (silicon, other):
            built.parts["monitor"].set("bus1_v", 5.0)
            built.kernel.run_until(built.kernel.now_ns + 10_000_000)
        target = other.bus_of_kind("i2c").target_at(MONITOR)
        base_ns = silicon.kernel.now_ns - 10_000_000_000
        for write, nread in ((b"\x02", 2), (bytes((MASK_ENABLE,)), 2), (b"\xfe", 1), (b"\x01", 40)):
            cycles = base_ns * 16 // 1000
            t_ns = 10_000_000_000 + cycles * 1000 // 16
            target.i2c_write(t_ns, write)
            there = target.i2c_read(t_ns, nread)
            target.i2c_stop(t_ns)
            assert transfer(around, cycles, MONITOR, write, nread) == there
        mine, theirs = silicon.parts["monitor"], other.parts["monitor"]
        assert mine.file.values == theirs.file.values  # type: ignore[attr-defined]
        assert mine.pointer == theirs.pointer  # type: ignore[attr-defined]
    assert around.counters["diverged"] == around.counters["late_naks"] == 0


def test_absent_part_is_not_acknowledged(around: Around) -> None:
    """Nobody answers at an address without a part, and what is written there is refused."""
    assert transfer(around, 0, 0x23, b"\x00", 2) is None
    assert not around.i2c_write(1, 0).is_acked
    assert not around.i2c_more(2, 0).is_acked


def test_octet_is_refused_when_the_part_would() -> None:
    """An EEPROM that programs a page acknowledges nothing, and does when it is done."""
    spec = PartSpec("store", "at24c256", "i2c-1", EEPROM)
    with Silicon.of((spec,), BUSES) as silicon:
        around = Around(silicon, 16_000_000, UNO_SELECTS)
        assert transfer(around, 0, EEPROM, b"\x00\x00\xca\xfe", 0) == b""
        assert transfer(around, 16_000, EEPROM, b"\x00\x00", 2) is None
        assert transfer(around, 16_000_000, EEPROM, b"\x00\x00", 2) == b"\xca\xfe"


def test_chip_select_is_the_pin(around: Around) -> None:
    """The flash answers while its pin is an output and low, from the command on each time."""
    ss = 1 << 2
    assert around.spi_exchange(0, 0x9F, 0, 4_000_000) == 0xFF
    for _ in range(2):
        around.port(1, 0, ss, 0)
        answer = bytes(around.spi_exchange(2, octet, 0, 4_000_000) for octet in b"\x9f\0\0\0")
        around.port(3, 0, ss, ss)
        assert answer == b"\xff\xef\x40\x15"
    around.port(4, 0, 0, 0)  # an input: the pull-up on the board holds it high
    assert around.spi_exchange(5, 0x9F, 0, 4_000_000) == 0xFF


def test_world_is_felt_before_the_next_transaction() -> None:
    """A state of the world that is given is what the next transaction reads."""
    spec = PartSpec("thermometer", "tmp117", "i2c-1", THERMOMETER, world={"temperature_c": "obc_c"})
    with Silicon.of((spec,), BUSES) as silicon:
        around = Around(silicon, 16_000_000, UNO_SELECTS)
        silicon.feel({"obc_c": -40.0})
        transfer(around, 0, THERMOMETER, b"\x01", 2)
        raw = transfer(around, 32_000_000, THERMOMETER, b"\x00", 2)
    assert raw == (-40 * 128).to_bytes(2, "big", signed=True)


def test_parts_behind_a_board_bring_their_switch() -> None:
    """Parts taken from a board file come with the switches before them; others are an error."""
    board = load_board("raspberrypi4")
    names = [part.name for part in board.parts]
    with Silicon.behind(board, names[:1]) as silicon:
        assert list(silicon.parts) == names[:1]
    with pytest.raises(ConfigError, match="has no part 'nobody'"):
        Silicon.behind(board, ["nobody"])


def pair(around: Nothing | None = None) -> tuple[Wires, socket.socket]:
    """Return wires and the emulator's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Wires(ours, around), theirs


def test_question_is_answered() -> None:
    """START is answered with its kind and bit 7: acknowledged, stretch, octets."""

    class Part(Nothing):
        def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
            assert (cycles, octet, is_repeated, clocked) == (7, 0x91, True, 3)
            return Answer(True, 500, b"hi")

    bench, board = pair(Part())
    with board:
        said = HEAD.build({"kind": Kind.START, "cycles": 7})
        said += FROM_BOARD[Kind.START].build({"octet": 0x91, "is_repeated": True, "clocked": 3})
        board.send(said)
        bench.service(5.0)
        assert board.recv(64) == b"\x81\x01\xf4\x01\x00\x00hi"
        bench.close()


class Listener(Nothing):
    """Whoever hears everything, and answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def i2c_start(self, *said: object) -> Answer:
        self.heard.append(said)
        return Answer(True, 0x12345678, b"\x05")

    def i2c_write(self, *said: object) -> Answer:
        return self.i2c_start(*said)

    def i2c_more(self, *said: object) -> Answer:
        return self.i2c_start(*said)

    def i2c_stop(self, *said: object) -> None:
        self.heard.append(said)

    def spi_exchange(self, *said: object) -> int:
        self.heard.append(said)
        return 0xA5

    def port(self, *said: object) -> None:
        self.heard.append(said)


@pytest.mark.parametrize(
    ("kind", "values", "answer"),
    [
        (Kind.START, {"octet": 0x91, "is_repeated": True, "clocked": 0x1234}, True),
        (Kind.WRITE, {"octet": 0xCA}, True),
        (Kind.MORE, {"clocked": 0x4321}, True),
        (Kind.STOP, {"clocked": 0x0102}, None),
        (Kind.SPI, {"octet": 0x9F, "mode": 3, "hz": 0x00123456}, 0xA5),
        (Kind.PORT, {"port": 2, "direction": 0x81, "value": 0x18}, None),
    ],
)
def test_messages_are_what_is_declared(
    kind: Kind, values: dict[str, int], answer: int | None
) -> None:
    """Each message is read, and answered, as its declaration has it."""
    around = Listener()
    bench, board = pair(around)
    with board:
        head = HEAD.build({"kind": kind, "cycles": 1 << 40})
        board.send(head + FROM_BOARD[kind].build(values))
        bench.service(5.0)
        assert around.heard == [(1 << 40, *values.values())]
        assert bench.cycles == 1 << 40
        if answer is not None:
            said = board.recv(64)
            assert said[0] == kind | wires.ANSWER
            parsed = wires.ANSWERS[kind].parse(said[1:])
            if kind is Kind.SPI:
                assert parsed.octet == answer
            else:
                assert (parsed.is_acked, parsed.stretch_ns) == (True, 0x12345678)
                assert parsed.data == b"\x05"
        bench.close()


def test_gone_emulator_is_an_error() -> None:
    """A command to an emulator that has ended is an error of one line, not a wait."""
    bench, board = pair()
    board.close()
    with pytest.raises(BoardError, match=r"gone.*start it anew"):
        bench.transact([(0x20, 1)])
    bench.close()


def test_stranger_is_refused() -> None:
    """A message that wires 1 has not is an error that names it."""
    bench, board = pair()
    with board:
        board.send(b"\x3f" + bytes(8))
        with pytest.raises(BoardError, match="0x3f"):
            bench.service(5.0)
        bench.close()


PROGRAM = """
import fcntl, os
fd = os.open("/dev/i2c-1", os.O_RDWR)
fcntl.ioctl(fd, 0x0703, 0x40)
os.write(fd, b"\\xfe")
print(os.read(fd, 2).decode())
"""


def test_programs_reach_silicon_through_the_shim(silicon: Silicon, tmp_path: Path) -> None:
    """A program below the preload shim, as the POSIX firmware is, finds the parts in /dev."""
    before = threading.active_count()
    bench = silicon.serve_host(tmp_path)
    env = environment(bench, shim_path())
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("TI\n", "")
    silicon.close()
    assert threading.active_count() == before
