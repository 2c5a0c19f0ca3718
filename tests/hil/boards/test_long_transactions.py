"""Long transactions are on the wires, as the firmware runs them, what one long one is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hostboard import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.boards.i2c_transaction import I2CTransaction
from hil.boards.protocol import Reply
from hil.boards.spi_transaction import SPIAnswer, SPITransaction
from hil.boards.targets import I2CAnswer
from hil.buses.i2c_messages import READ, Message


class Station:
    """A board as transactions see it."""

    def __init__(self, max_frame: int) -> None:
        self.bench = Bench(max_frame=max_frame).open()
        self.payload_nbytes = max_frame - 6
        self.longest = 0

    def ask(self, request: int, payload: bytes, done: Callable[[Reply | None], None]) -> None:
        """Put a request to the board."""
        assert len(payload) <= self.payload_nbytes

        def answered(reply: Reply | None) -> None:
            assert reply is None or len(reply.payload) < self.payload_nbytes
            done(reply)

        self.bench.link.request(request, payload, answered, now_ns=self.bench.now_ns)

    def i2c(self, *messages: Message) -> I2CAnswer:
        """Run one transaction; what it does on the wires is in ``bench.core.log``."""
        got: list[I2CAnswer | None] = []
        self.bench.core.clear()
        I2CTransaction(self, 0, list(messages), got.append).begin()
        assert self.bench.run(lambda: bool(got))
        assert got[0] is not None
        return got[0]


STATIONS: dict[int, Station] = {}


def station(max_frame: int) -> Station:
    """Return a board with such frames, whose memory holds 0 to 249 and six zeros."""
    if max_frame not in STATIONS:
        STATIONS[max_frame] = Station(max_frame)
    found = STATIONS[max_frame]
    found.i2c((0x50, 0, bytes((0, *range(250), *([0] * 6)))))
    found.i2c((0x50, 0, b"\0"))
    return found


def wires(messages: list[Message]) -> str:
    """Return what one transaction with that memory looks like on the wires."""
    store, pointer, marks = bytearray((*range(250), *([0] * 6))), 0, []
    for address, _, what in messages:
        marks.append(f"S{address << 1 | isinstance(what, int):02X}")
        if isinstance(what, int):
            for nth in range(what):
                marks.append(f"{store[pointer % 256]:02x}{'N' if nth + 1 == what else 'A'}")
                pointer += 1
            continue
        for nth, octet in enumerate(what):
            marks.append(f"{octet:02x}")
            if nth:
                store[pointer % 256] = octet
            pointer = pointer + 1 if nth else octet
    return " ".join([*marks, "P "])


WRITE = st.builds(
    lambda n, first: (0x50, 0, bytes((first, *range(n)))), st.integers(0, 250), st.integers(0, 255)
)
MESSAGES = st.lists(
    WRITE | st.builds(lambda n: (0x50, READ, n), st.integers(1, 400)), min_size=1, max_size=4
)


@given(messages=MESSAGES, max_frame=st.sampled_from([64, 136, 252]))
@settings(max_examples=60, deadline=None)
def test_any_transaction_is_one_on_the_wires(messages: list[Message], max_frame: int) -> None:
    """However it is cut into frames, START, octets, acknowledgements and STOP are those of one."""
    board = station(max_frame)
    answer = board.i2c(*messages)
    assert answer.status == Status.OK
    assert board.bench.core.log == wires(messages)
    lengths = {nth: what for nth, (_, _, what) in enumerate(messages) if isinstance(what, int)}
    assert {nth: len(octets) for nth, octets in answer.reads.items()} == lengths


def test_a_failure_is_told_in_terms_of_the_whole() -> None:
    """Which message failed, and behind which octet, is counted from the transaction's start."""
    board = station(64)
    answer = board.i2c((0x51, 0, b"\0"), (0x51, 0, bytes(250)))
    assert (answer.status, answer.failed, answer.taken) == (Status.NAK_DATA, 1, 200)
    assert board.bench.core.log.endswith("P ")
    answer = board.i2c((0x33, 0, bytes(300)), (0x50, 0, b"\1"))
    assert (answer.status, answer.failed, answer.taken) == (Status.NAK_ADDRESS, 0, 0)
    assert board.bench.core.log == "S66 P "


class Seat:
    """Where an SPI transaction goes."""

    def __init__(self, station: Station) -> None:
        self.bus = self.chip_select = 0
        self.told: tuple[int, int] | None = None
        self.station = station


@pytest.mark.parametrize("nbytes", [0, 1, 52, 53, 54, 500])
def test_spi_is_selected_from_the_first_to_the_last_octet(nbytes: int) -> None:
    """A long exchange has the chip selected once, and gives what the wires gave."""
    board = station(64)
    board.bench.core.clear()
    octets = bytes(i % 251 for i in range(nbytes))
    got: list[SPIAnswer | None] = []
    segment = (octets, 1_000_000, 8, 0, 0)
    SPITransaction(Seat(board), 0, 1_000_000, [segment], got.append).begin()
    assert board.bench.run(lambda: bool(got))
    assert got == [SPIAnswer(0, bytes(0xFF ^ octet for octet in octets))]
    log = board.bench.core.log
    assert log.replace("[ ", "").removesuffix("] ") == "".join(f"{octet:02x} " for octet in octets)
    assert log.count("]") == 1
