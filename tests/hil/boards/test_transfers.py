"""Transfers longer than a frame are on the wires what one long transfer is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hostboard import MS, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.boards.link import Link, LinkState
from hil.boards.protocol import NONE_FAILED
from hil.boards.transfers import I2CMessage, I2CResult, SpiResult, Transfers, i2c_pieces
from hil.errors import BoardError


def run_i2c(bench: Bench, messages: Sequence[I2CMessage]) -> I2CResult | None:
    """Run one transaction and return what became of it."""
    got: list[I2CResult | None] = []
    Transfers(bench.link).i2c(0, messages, got.append)
    assert bench.run(lambda: bool(got))
    return got[0]


def wires(messages: Sequence[I2CMessage], memory: bytes) -> str:
    """Return what one transaction looks like on the wires, from a memory with a pointer."""
    marks, pointer = [], 0
    store = bytearray(memory)
    for message in messages:
        marks.append(f"S{message.address << 1 | bool(message.read_nbytes):02X}")
        for nth, octet in enumerate(message.write):
            marks.append(f"{octet:02x}")
            if nth:
                store[pointer % 256] = octet
            pointer = pointer + 1 if nth else octet
        for nth in range(message.read_nbytes):
            last = nth + 1 == message.read_nbytes
            marks.append(f"{store[pointer % 256]:02x}{'N' if last else 'A'}")
            pointer += 1
    return " ".join([*marks, "P "])


MESSAGES = st.lists(
    st.one_of(
        st.builds(
            lambda n, first: I2CMessage(0x50, bytes((first, *range(n)))),
            st.integers(0, 250),
            st.integers(0, 255),
        ),
        st.builds(lambda n: I2CMessage(0x50, read_nbytes=n), st.integers(1, 400)),
    ),
    min_size=1,
    max_size=4,
)
_BENCHES: dict[int, Bench] = {}


@given(messages=MESSAGES, max_frame=st.sampled_from([64, 136, 252]))
@settings(max_examples=60, deadline=None)
def test_any_transaction_is_one_on_the_wires(messages: list[I2CMessage], max_frame: int) -> None:
    """However it is cut into frames, START, octets, acknowledgements and STOP are those of one."""
    if max_frame not in _BENCHES:
        _BENCHES[max_frame] = Bench(max_frame=max_frame).open()
    bench = _BENCHES[max_frame]
    assert run_i2c(bench, [I2CMessage(0x50, bytes((0, *range(250))))]) is not None
    before = bytes((*range(250), *([0] * 6)))
    run_i2c(bench, [I2CMessage(0x50, bytes((250, *([0] * 6))))])
    run_i2c(bench, [I2CMessage(0x50, b"\0")])
    bench.core.clear()
    result = run_i2c(bench, messages)
    assert result is not None
    assert (result.status, result.failed) == (0, NONE_FAILED)
    assert bench.core.log == wires(messages, before)
    assert len(result.data) == sum(message.read_nbytes for message in messages)


@pytest.mark.parametrize("max_frame", [64, 136, 252])
def test_every_piece_fits_its_frame_both_ways(max_frame: int) -> None:
    """No request and no reply of a piece is longer than the board's frames."""
    messages = [I2CMessage(0x50, bytes(700)), I2CMessage(0x50, read_nbytes=900), I2CMessage(1)]
    pieces = list(i2c_pieces(0, messages, max_frame))
    assert all(len(piece.payload) + 6 <= max_frame for piece in pieces)
    assert [piece.payload[1] & 1 for piece in pieces] == [1] * (len(pieces) - 1) + [0]


def test_a_short_transaction_is_one_request() -> None:
    """A register read is one request, as it has always been."""
    (piece,) = i2c_pieces(1, [I2CMessage(0x40, b"\2"), I2CMessage(0x40, read_nbytes=2)], 64)
    assert piece.payload.hex(" ") == "01 00 40 00 01 02 40 80 02"


def test_a_failure_is_told_in_terms_of_the_whole() -> None:
    """Which message failed, and behind which octet, is counted from the transaction's start."""
    bench = Bench(max_frame=64).open()
    result = run_i2c(bench, [I2CMessage(0x51, b"\0"), I2CMessage(0x51, bytes(250))])
    assert result is not None
    assert (result.status, result.failed, result.taken) == (2, 1, 200)
    assert bench.core.log.endswith("P ")
    result = run_i2c(bench, [I2CMessage(0x33, b"\0")])
    assert result is not None
    assert (result.status, result.failed, result.taken) == (1, 0, 0)


def test_a_failed_piece_ends_the_transaction() -> None:
    """Behind a message that failed nothing more of its transaction is sent."""
    bench = Bench(max_frame=64).open()
    bench.core.clear()
    run_i2c(bench, [I2CMessage(0x33, bytes(300)), I2CMessage(0x50, b"\1")])
    assert bench.core.log == "S66 P "


def test_transfers_of_one_bus_follow_each_other() -> None:
    """A second transfer of a bus begins behind the STOP of the first, another bus in between."""
    bench = Bench(max_frame=64).open()
    bench.core.clear()
    transfers = Transfers(bench.link)
    ends: list[object] = []
    transfers.i2c(0, [I2CMessage(0x50, bytes(120))], ends.append)
    transfers.i2c(0, [I2CMessage(0x50, b"\7")], ends.append)
    transfers.spi(0, 0, b"\x9f", ends.append)
    assert bench.run(lambda: len(ends) == 3)
    assert isinstance(ends[0], SpiResult)
    assert bench.core.log.count("P ") == 2
    assert bench.core.log.endswith("P SA0 07 P ")


@pytest.mark.parametrize("nbytes", [0, 1, 52, 53, 54, 500])
def test_spi_is_selected_once(nbytes: int) -> None:
    """A long exchange has the chip selected from its first to its last octet."""
    bench = Bench(max_frame=64).open()
    bench.core.clear()
    octets = bytes(i % 251 for i in range(nbytes))
    got: list[SpiResult | None] = []
    Transfers(bench.link).spi(0, 0, octets, got.append)
    assert bench.run(lambda: bool(got))
    assert got[0] is not None
    assert got[0].data == bytes(0xFF ^ octet for octet in octets)
    shown = bench.core.log.replace("[ ", "").removesuffix("] ")
    assert shown == "".join(f"{octet:02x} " for octet in octets)
    assert bench.core.log.count("]") == 1


def test_bulk_reads_end_where_the_space_ends() -> None:
    """A read in parts gives the octets from its offset on, to the end of the space at most."""
    bench = Bench(max_frame=64).open()
    text = bytes(ord("a") + i % 26 for i in range(1000))
    got: list[tuple[int, bytes | None]] = []
    for offset, n in ((0, 2000), (10, 500), (990, 100), (1000, 4), (0, 57)):
        Transfers(bench.link).read(0, offset, n, lambda *reply: got.append(reply))
        assert bench.run(lambda: len(got) == 1)
        assert got.pop() == (0, text[offset : offset + n])


def test_bulk_writes_tell_the_first_refusal() -> None:
    """A space that takes nothing says so, and nothing more is sent to it."""
    bench = Bench(max_frame=64).open()
    got: list[int | None] = []
    Transfers(bench.link).write(1, 0, bytes(200), got.append)
    assert bench.run(lambda: bool(got))
    assert got == [7]


def test_a_lost_link_ends_every_transfer_once() -> None:
    """When the link is lost each transfer that waits ends with nothing, and later ones at once."""
    bench = Bench(max_frame=64).open()
    transfers = Transfers(bench.link)
    ends: list[object] = []
    for _ in range(3):
        transfers.i2c(0, [I2CMessage(0x50, bytes(200))], ends.append)
    bench.unplug()
    bench.run(lambda: bench.link.state is LinkState.LOST)
    assert ends == [None] * 3
    transfers.spi(0, 0, b"1", ends.append)
    assert ends == [None] * 4


def test_without_a_board_nothing_can_be_cut() -> None:
    """Before the first HELLO no frame size is known, which is said."""
    with pytest.raises(BoardError, match="no board yet"):
        Transfers(Link()).i2c(0, [I2CMessage(0x50)], lambda _: None)


def test_a_slow_bus_is_waited_for() -> None:
    """Octets that take long on a slow bus do not make the bench ask again."""
    bench = Bench(max_frame=64).open()
    Transfers(bench.link).i2c(0, [I2CMessage(0x50, bytes(40))], lambda _: None, hz=1_000)
    bench.link.service(bench.now_ns)
    due = bench.link._window.deadline_ns
    assert due is not None
    assert due - bench.now_ns >= 2 * 9 * 40 * MS
