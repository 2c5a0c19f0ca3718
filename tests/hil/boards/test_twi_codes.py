"""The two-wire interface of the emulated ATmega328P against the status codes of its data sheet.

The firmware never gets into some states on purpose, so a small program of its own drives the
registers step by step and tells what TWSR says (Microchip DS40002061B, tables 22-2 to 22-6). The
same program looks at the UART's overrun (section 20.7.3).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from unobench import wants_simavr

from hil.boards.emulate_simavr import SimavrBoard
from hil.boards.wires import SDA, Answer, Nothing, TargetOutcome

pytestmark = [
    wants_simavr(),
    pytest.mark.skipif(shutil.which("avr-gcc") is None, reason="no avr-gcc: apt install gcc-avr"),
]

HERE, GONE, OWN = 0x50, 0x51, 0x2A
#: 16 MHz / (16 + 2 * 72): the test program's TWBR is 72
BIT_CYCLES = 160


class Memory(Nothing):
    """A part at HERE that takes two octets, serves 1, 2, 3, and holds the clock when told."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.written = 0
        self.stretch_ns = 0

    def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
        self.log.append(("repeated" if is_repeated else "start", octet))
        self.written = 0
        if octet >> 1 != HERE:
            return Answer(False)
        return Answer(True, self.stretch_ns, b"\x01\x02\x03" if octet & 1 else b"")

    def i2c_write(self, cycles: int, octet: int) -> Answer:
        self.written += 1
        return Answer(self.written <= 2)

    def i2c_stop(self, cycles: int, clocked: int) -> None:
        self.log.append(("stop", clocked))


class Stepper:
    """The test program's other end."""

    def __init__(self, board: SimavrBoard) -> None:
        self.board = board
        self.memory = Memory()
        board.wires.around = self.memory
        board.end.settimeout(20.0)

    def say(self, octets: bytes) -> None:
        """Send commands."""
        self.board.end.sendall(octets)

    def hear(self, nbytes: int) -> bytes:
        """Return what the program tells."""
        heard = b""
        while len(heard) < nbytes:
            heard += self.board.end.recv(nbytes - len(heard))
        return heard

    def do(self, *steps: tuple[bytes, int]) -> list[int]:
        """Send each command, return all octets told."""
        told = bytearray()
        for command, nbytes in steps:
            self.say(command)
            told += self.hear(nbytes)
        return list(told)

    def log(self) -> list[tuple[str, int]]:
        """Return what the part has seen so far."""
        self.board.wires.status()  # behind everything that was told before
        return self.memory.log

    def cycles(self) -> int:
        """Return the cycles that the last step took."""
        return int.from_bytes(bytes(self.do((b"Q", 2))), "little")


def transact(twi: Stepper, messages: list[tuple[int, bytes | int]]) -> TargetOutcome:
    """Run a transaction with the program as target, with patience: each step is asked for here."""
    return twi.board.wires.transact(messages, limit_ms=20_000)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program, compiled."""
    built = tmp_path_factory.mktemp("avr") / "twi_codes.elf"
    source = Path(__file__).with_name("twi_codes.c")
    command = ["avr-gcc", "-mmcu=atmega328p", "-Os", "-Wall", "-Wextra", "-std=c11"]
    subprocess.run([*command, "-o", str(built), str(source)], check=True)
    return built


@pytest.fixture
def twi(program: Path) -> Iterator[Stepper]:
    """The program, running."""
    with SimavrBoard(pace="wall", image=program) as board:
        yield Stepper(board)


def octet(address: int, is_read: int = 0) -> bytes:
    """Return an address octet."""
    return bytes((address << 1 | is_read,))


def test_controller_transmitter_codes(twi: Stepper) -> None:
    """START 08h, SLA+W taken 18h, data taken 28h, data refused 30h, repeated 10h, refused 20h."""
    told = twi.do(
        (b"S", 1),
        (b"W" + octet(HERE), 1),
        (b"D\x11", 1),
        (b"D\x22", 1),
        (b"D\x33", 1),
        (b"S", 1),
        (b"W" + octet(GONE), 1),
        (b"P", 1),
    )
    assert told == [0x08, 0x18, 0x28, 0x28, 0x30, 0x10, 0x20, 0xF8]
    assert twi.log() == [("start", HERE << 1), ("repeated", GONE << 1), ("stop", 0)]


def test_controller_receiver_codes(twi: Stepper) -> None:
    """SLA+R taken 40h, data with ACK 50h, data with NACK 58h, SLA+R refused 48h."""
    told = twi.do((b"S", 1), (b"R" + octet(HERE, 1), 1), (b"A", 2), (b"A", 2), (b"N", 2), (b"P", 1))
    assert told == [0x08, 0x40, 0x50, 1, 0x50, 2, 0x58, 3, 0xF8]
    assert twi.log()[-1] == ("stop", 3)
    assert twi.do((b"S", 1), (b"R" + octet(GONE, 1), 1), (b"P", 1)) == [0x08, 0x48, 0xF8]


def test_lost_line_is_lost_arbitration(twi: Stepper) -> None:
    """Somebody who pulls SDA while an octet goes out has won: 38h."""
    twi.do((b"S", 1))
    twi.board.wires.hold(SDA)
    assert twi.do((b"W" + octet(HERE), 1)) == [0x38]
    twi.board.wires.hold(0)


def test_octets_take_their_clocks(twi: Stepper) -> None:
    """START takes a clock of SCL, an octet nine, to the few cycles of the polling loop."""
    twi.do((b"S", 1))
    assert 0 <= twi.cycles() - BIT_CYCLES < 24
    twi.do((b"W" + octet(HERE), 1))
    assert 0 <= twi.cycles() - 9 * BIT_CYCLES < 24


def test_stretched_clock_is_waited_for(twi: Stepper) -> None:
    """A part that holds the clock for 200 us delays the flag by as many cycles."""
    twi.memory.stretch_ns = 200_000
    twi.do((b"S", 1), (b"W" + octet(HERE), 1))
    assert 0 <= twi.cycles() - 9 * BIT_CYCLES - 3200 < 24


def test_data_written_too_early_collides(twi: Stepper) -> None:
    """TWDR written while TWINT is low sets TWWC (section 22.9.2)."""
    twi.do((b"S", 1), (b"W" + octet(HERE), 1), (b"P", 1))
    assert twi.do((b"w", 1))[0] & 0x08


def test_target_receiver_codes(twi: Stepper) -> None:
    """Own SLA+W 60h, data with ACK 80h, data with NACK 88h; the controller sees the NACK."""
    twi.do((b"T" + octet(OWN), 1))
    with ThreadPoolExecutor(1) as other:
        outcome = other.submit(transact, twi, [(OWN, b"\xa1\xa2\xa3")])
        assert twi.hear(1) == b"\x60"
        assert twi.do((b"a", 2))[1:] == [0x80]
        assert twi.do((b"n", 2)) == [0xA1, 0x88]
        assert twi.do((b"E", 1)) == [0xF8]
        assert outcome.result()[:3] == (2, 0, 1)


def test_target_sees_stop(twi: Stepper) -> None:
    """STOP while addressed is A0h, and so is a repeated START."""
    twi.do((b"T" + octet(OWN), 1))
    with ThreadPoolExecutor(1) as other:
        outcome = other.submit(transact, twi, [(OWN, b"\x07"), (OWN, b"")])
        assert twi.hear(1) == b"\x60"
        assert twi.do((b"a", 2), (b"a", 2), (b"a", 2), (b"a", 2)) == [
            *(0xFF, 0x80),
            *(0x07, 0xA0),
            *(0x07, 0x60),
            *(0x07, 0xA0),
        ]
        assert twi.do((b"E", 1)) == [0xF8]
        assert outcome.result().status == 0


def test_target_transmitter_codes(twi: Stepper) -> None:
    """Own SLA+R A8h, data with ACK B8h, data with NACK C0h."""
    twi.do((b"T" + octet(OWN), 1))
    with ThreadPoolExecutor(1) as other:
        outcome = other.submit(transact, twi, [(OWN, 2)])
        assert twi.hear(1) == b"\xa8"
        assert twi.do((b"t\x55", 1), (b"t\x66", 1)) == [0xB8, 0xC0]
        assert twi.do((b"E", 1)) == [0xF8]
        assert outcome.result()[:4] == (0, None, 0, b"\x55\x66")


def test_last_octet_of_a_target(twi: Stepper) -> None:
    """A last octet that the controller acknowledges is C8h; from then on it reads ones."""
    twi.do((b"T" + octet(OWN), 1))
    with ThreadPoolExecutor(1) as other:
        outcome = other.submit(transact, twi, [(OWN, 3)])
        assert twi.hear(1) == b"\xa8"
        assert twi.do((b"u\x55", 1)) == [0xC8]
        assert twi.do((b"E", 1)) == [0xF8]
        assert outcome.result().data == b"\x55\xff\xff"


def test_silent_target_is_given_up(twi: Stepper) -> None:
    """A target that holds the clock for more than 35 ms ends the transaction by TIMEOUT."""
    twi.do((b"T" + octet(OWN), 1))
    outcome = twi.board.wires.transact([(OWN, b"\x01")])
    assert outcome.status == 4
    assert outcome.longest_cycles == 35 * 16_000


def test_receiver_overruns_as_silicon_does(twi: Stepper) -> None:
    """Of octets that nobody takes two stay, the last one waits, DOR tells of those between."""
    told = twi.do((b"O" + bytes(range(1, 13)), 5))
    assert told == [0x88, 1, 2, 12, 0x00]
