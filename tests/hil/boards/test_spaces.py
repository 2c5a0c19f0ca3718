"""Spaces of a board are read and written in parts, as long as they are."""

from __future__ import annotations

import pytest
from hostboard import Bench

from hil.boards.link import Link, LinkState
from hil.boards.spaces import read_space, write_space
from hil.errors import BoardError

TEXT = bytes(ord("a") + i % 26 for i in range(1000))


@pytest.mark.parametrize("max_frame", [64, 136, 252])
@pytest.mark.parametrize(
    ("offset", "nbytes"), [(0, 2000), (10, 500), (990, 100), (1000, 4), (0, 57), (0, 1000)]
)
def test_reads_end_where_the_space_ends(max_frame: int, offset: int, nbytes: int) -> None:
    """A read gives the octets from its offset on, to the end of the space at most."""
    bench = Bench(max_frame=max_frame).open()
    got: list[tuple[int, bytes | None]] = []
    read_space(bench.link, 0, offset, nbytes, lambda *reply: got.append(reply))
    assert bench.run(lambda: bool(got))
    assert got == [(0, TEXT[offset : offset + nbytes])]


def test_a_space_that_is_not_there_says_so() -> None:
    """The status of the board is given, with nothing read."""
    bench = Bench().open()
    got: list[tuple[int, bytes | None]] = []
    read_space(bench.link, 9, 0, 10, lambda *reply: got.append(reply))
    assert bench.run(lambda: bool(got))
    assert got == [(7, b"")]


def test_writes_end_with_the_first_refusal() -> None:
    """A space that takes nothing says so, and nothing more is sent to it."""
    bench = Bench(max_frame=64).open()
    before = bench.link.counters["requests"]
    got: list[int | None] = []
    write_space(bench.link, 1, 0, bytes(200), got.append)
    assert bench.run(lambda: bool(got))
    assert got == [7]
    assert bench.link.counters["requests"] == before + 1


def test_a_lost_link_ends_them_once() -> None:
    """When the link is lost, reads and writes that wait end with nothing."""
    bench = Bench(max_frame=64).open()
    ends: list[object] = []
    read_space(bench.link, 0, 0, 500, lambda status, octets: ends.append(octets))
    write_space(bench.link, 1, 0, bytes(500), ends.append)
    bench.unplug()
    bench.run(lambda: bench.link.state is LinkState.LOST)
    assert ends == [None, None]


def test_without_a_board_nothing_can_be_cut() -> None:
    """Before the first HELLO no frame size is known, which is said."""
    with pytest.raises(BoardError, match="no board yet"):
        read_space(Link(), 0, 0, 1, lambda status, octets: None)
