"""What the firmware's core does on a bus that a request has left held, and with NOSTART at all."""

from __future__ import annotations

import struct

import pytest
from hostboard import Bench

from flightsw.codec.wire import Status
from hil.boards.protocol import MessageFlag, Request

HOLD, GO_ON = 1, 2
READ, GOES_ON = MessageFlag.READ, MessageFlag.NOSTART


def message(address: int, length: int, data: bytes = b"") -> bytes:
    """Pack one message of an I2C_XFER."""
    return struct.pack("<HB", address, length) + data


def transfer(bench: Bench, flags: int, *messages: bytes) -> tuple[int, str]:
    """Run one I2C_XFER; return its status and what it did on the wires."""
    bench.core.clear()
    reply = bench.ask(Request.I2C_XFER, bytes((0, flags)) + b"".join(messages))
    assert reply is not None
    return reply.status, bench.core.log.strip()


@pytest.fixture
def bench() -> Bench:
    """Give a board in a session."""
    return Bench().open()


@pytest.mark.parametrize(
    "messages",
    [
        (message(0x50 | GOES_ON, 1, b"\1"),),
        (message(0x50, 1, b"\1"), message(0x50 | READ | GOES_ON, 1)),
        (message(0x50 | READ, 1), message(0x50 | GOES_ON, 1, b"\1")),
    ],
    ids=["nothing held", "a read behind a write", "a write behind a read"],
)
def test_nothing_to_go_on_with_is_invalid(bench: Bench, messages: tuple[bytes, ...]) -> None:
    """NOSTART goes on with a message of its own direction, or the request touches no wire."""
    assert transfer(bench, 0, *messages) == (Status.INVALID, "")


def test_what_is_held_goes_on_in_its_direction(bench: Bench) -> None:
    """A held write goes on as a write only, a held read only where GO_ON acknowledged its last
    octet; what was refused has left the bus as it was."""
    assert transfer(bench, HOLD, message(0x50, 2, b"\0\7")) == (0, "SA0 00 07")
    assert transfer(bench, 0, message(0x50 | READ | GOES_ON, 1)) == (Status.INVALID, "")
    assert transfer(bench, 0, message(0x50 | GOES_ON, 1, b"\x08")) == (0, "08 P")
    assert transfer(bench, HOLD, message(0x50 | READ, 1)) == (0, "SA1 00N")
    assert transfer(bench, 0, message(0x50 | READ | GOES_ON, 1)) == (Status.INVALID, "")
    assert transfer(bench, HOLD | GO_ON, message(0x50 | READ, 1))[1] == "SA1 00A"
    assert transfer(bench, 0, message(0x50 | READ | GOES_ON, 1))[1] == "00N P"


def test_new_session_lets_go_of_the_bus(bench: Bench) -> None:
    """What the session before has left held ends with a STOP when a host opens another one: its
    target is not kept waiting, and no write of before goes on."""
    assert transfer(bench, HOLD, message(0x50, 1, b"\0")) == (0, "SA0 00")
    bench.core.clear()
    bench.link.hello(bench.now_ns)
    bench.wait_ms(100)
    assert bench.core.log.strip() == "P"
    assert transfer(bench, 0, message(0x50 | GOES_ON, 1, b"\1")) == (Status.INVALID, "")


def test_new_session_deselects_the_chip(bench: Bench) -> None:
    """A chip select that the session before has held is let go: what the next one says is the
    beginning of a transfer to the chip."""

    def select(flags: int) -> str:
        bench.core.clear()
        assert bench.ask(Request.SPI_XFER, bytes((0, 2, flags, 0x9F))) is not None
        return bench.core.log.strip()

    assert select(HOLD) == "[ 9f"
    bench.core.clear()
    bench.link.hello(bench.now_ns)
    bench.wait_ms(100)
    assert bench.core.log.strip() == "]"
    assert select(0) == "[ 9f ]"
    bench.core.clear()
    bench.link.hello(bench.now_ns)
    bench.wait_ms(100)
    assert bench.core.log.strip() == ""
