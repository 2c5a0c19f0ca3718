"""The MicroPython bridge does on a board's buses what HILwire asks, by the module machine."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flightsw.codec.wire import Status
from hil.boards import install
from hil.boards.protocol import Capability, Event, EventType, Reply, Request, ResetCause, build
from hil.boards.talk import Talk, open_talk
from tests.hil.boards.micropythons import unix_port

MACHINE = Path(__file__).resolve().parent / "micropython" / "machine.py"
PINS = {"spi0": ("2", "3", "4", "5"), "i2c0": ("GP4", "GP5")}
READ, TEN, NOSTART = 0x8000, 0x4000, 0x2000


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    """Run the bridge on a board whose hardware is MACHINE; yield a session with it."""
    shutil.copy(MACHINE, tmp_path)
    code = f"import sys; sys.path.append({str(install.folder())!r}); import hilwire; "
    code += f"hilwire.run(7, {PINS!r})"
    with unix_port(tmp_path, "-c", code) as port, open_talk(port) as opened:
        opened.greet()
        yield opened


def i2c(talk: Talk, *messages: tuple[int, int | bytes], flags: int = 0) -> Reply:
    """Put messages to bus 0: (address with its bits, octets to write or how many to read)."""
    payload = bytes((0, flags))
    for address, what in messages:
        if isinstance(what, int):
            payload += (address | READ).to_bytes(2, "little") + bytes((what,))
        else:
            payload += address.to_bytes(2, "little") + bytes((len(what),)) + what
    return talk.ask(Request.I2C_XFER, payload)


def configured(talk: Talk) -> Talk:
    """Configure I2C bus 0."""
    reply = talk.ask(Request.I2C_CONFIG, build(Request.I2C_CONFIG, bus=0, hz=400_000))
    assert reply.payload == (400_000).to_bytes(4, "little")
    return talk


def heard(talk: Talk, kind: EventType) -> Event:
    """Return the next event of a kind; fails when the link has done much without one."""
    steps = itertools.count()
    events = talk.events(until=lambda: next(steps) > 50)
    return next(event for event in events if event.type == kind)


def test_the_identity_is_the_chips(talk: Talk) -> None:
    """Number, reset cause, build and abilities are what the board's module says."""
    who = talk.greet()
    assert who.uid == bytes((1 ^ 9, 2 ^ 10, 3 ^ 11, 4 ^ 12, 5, 6, 7, 8))
    assert (who.reset_cause, who.build) == (ResetCause.WATCHDOG, 7)
    buses = Capability.I2C | Capability.SPI | Capability.UART | Capability.GPIO
    assert who.capabilities == buses | Capability.BOOT_LOADER


def test_registers_are_written_and_read(talk: Talk) -> None:
    """A write, then a read behind a repeated START, give what the part holds."""
    assert i2c(configured(talk), (0x50, b"\x10\xaa\xbb")).ok
    reply = i2c(talk, (0x50, b"\x0f"), (0x50, 4))
    assert reply.ok
    assert reply.payload[4:] == b"\xff\xff" + b"\x0f\xaa\xbb\x12"
    joined = i2c(talk, (0x50, b"\x20"), (0x50 | NOSTART, b"\x01"), (0x50, 2), (0x50 | NOSTART, 1))
    assert joined.payload[6:] == b"\x21\x22\x23"


@pytest.mark.parametrize(
    ("messages", "status", "taken", "failed"),
    [
        ([(0x33, b"\0")], Status.NAK_ADDRESS, 0, 0),
        ([(0x50, b"\0"), (0x33, 2)], Status.NAK_ADDRESS, 0, 1),
        ([(0x50, b"\x40abcd")], Status.NAK_DATA, 3, 0),
        ([(0x51, b"\0")], Status.TIMEOUT, 0, 0),
    ],
)
def test_what_is_not_acknowledged(
    talk: Talk, messages: list[tuple[int, int | bytes]], status: Status, taken: int, failed: int
) -> None:
    """The status says why, with the message that failed and how many octets it took."""
    reply = i2c(configured(talk), *messages)
    assert (reply.status, *reply.payload[4:6]) == (status, taken, failed)


def test_what_the_module_cannot_do_is_refused(talk: Talk) -> None:
    """Ten-bit addresses, reads that go on, recovery: UNSUPPORTED; before its set-up: ABSENT."""
    assert i2c(talk, (0x50, b"\0")).status == Status.ABSENT
    configured(talk)
    assert i2c(talk, (0x50 | TEN, b"\0")).status == Status.UNSUPPORTED
    assert i2c(talk, (0x50, 1), flags=2).status == Status.UNSUPPORTED
    assert i2c(talk, (0x50 | NOSTART, b"\0")).status == Status.UNSUPPORTED
    assert talk.ask(Request.I2C_RECOVER, b"\0").status == Status.UNSUPPORTED
    assert i2c(talk, (0x50, 124)).status == Status.INVALID
    assert talk.ask(Request.I2C_XFER, b"\0\0\x50\0\x05ab").status == Status.INVALID
    assert talk.ask(Request.I2C_CONFIG, b"\x03" + bytes(4)).status == Status.INVALID


def test_spi_is_exchanged_with_its_chip_select(talk: Talk) -> None:
    """Octets go out and come in; a chip select that no pin is named for is ABSENT."""
    config = build(Request.SPI_CONFIG, bus=0, cs=0, mode=3, hz=1_000_000)
    assert talk.ask(Request.SPI_XFER, b"\0\0\0abc").status == Status.ABSENT
    assert talk.ask(Request.SPI_CONFIG, config).ok
    reply = talk.ask(Request.SPI_XFER, b"\0\0\0abc")
    assert reply.payload[4:] == bytes(octet ^ 3 for octet in b"abc")
    other = build(Request.SPI_CONFIG, bus=0, cs=1, mode=0, hz=1_000_000)
    assert talk.ask(Request.SPI_CONFIG, other).status == Status.ABSENT
    assert talk.ask(Request.SPI_CONFIG, b"\0\0\x04" + bytes(4)).status == Status.INVALID


def test_a_serial_line_is_written_and_heard(talk: Talk) -> None:
    """What is written is taken, and what comes in is told as an event."""
    config = (9600).to_bytes(4, "little") + bytes((8, 0, 2))
    assert talk.ask(Request.UART_WRITE, b"\x01hello").status == Status.ABSENT
    assert talk.ask(Request.UART_CONFIG, b"\x01" + config).ok
    assert talk.ask(Request.UART_WRITE, b"\x01hello").payload == b"\x05"
    assert heard(talk, EventType.UART_RX).payload[6:] == b"hello"
    bad = (9600).to_bytes(4, "little") + bytes((8, 3, 2))
    assert talk.ask(Request.UART_CONFIG, b"\x01" + bad).status == Status.INVALID


def test_pins_are_driven_read_and_watched(talk: Talk) -> None:
    """A level that one pin drives is read at the other, and its edge is told."""
    assert talk.ask(Request.GPIO_CONFIG, bytes((0, 0, 3))).payload == b"\0"
    assert talk.ask(Request.GPIO_CONFIG, bytes((1, 3, 0))).payload == b"\0"
    assert talk.ask(Request.GPIO_WRITE, bytes((1, 1))).ok
    edge = heard(talk, EventType.GPIO_EDGE)
    assert edge.payload[:2] == bytes((0, 1))
    assert talk.ask(Request.GPIO_READ, b"\0").payload == b"\x01"
    assert talk.ask(Request.GPIO_CONFIG, bytes((2, 1, 0))).payload == b"\x01"
    assert talk.ask(Request.GPIO_CONFIG, bytes((2, 2, 0))).status == Status.UNSUPPORTED
    assert talk.ask(Request.GPIO_CONFIG, bytes((2, 6, 0))).status == Status.INVALID
    assert talk.ask(Request.GPIO_READ, b"\x09").status == Status.ABSENT
