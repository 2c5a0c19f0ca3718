"""SET_BAUD: both ends of a line change its rate, or both stay."""

from __future__ import annotations

import pytest
from hostboard import Bench, Trouble, answered, submit, submit_and_run

from hil.boards.link import LinkState
from hil.errors import BoardError


def shift(bench: Bench, baud: int) -> list[bool]:
    """Ask for another rate and wait until it is settled."""
    settled: list[bool] = []
    bench.link.set_baud(baud, settled.append, bench.now_ns)
    got = submit(bench, range(1, 4))
    assert bench.run(lambda: bool(settled) and len(got) == 3, 20_000), bench.states
    assert answered(got) == [1, 2, 3]
    assert set(bench.core.executed[1:4]) == {1}
    return settled


def test_both_ends_change_their_rate() -> None:
    """SET_BAUD is answered at the old rate, tried at the new one, and what waited goes on there."""
    bench = Bench(baud=115_200).open()
    assert shift(bench, 500_000) == [True]
    assert bench.link.baud == bench.core.number("host_baud") == 500_000
    assert bench.lines.to_board.counters["baud_mismatch"] == 0
    bench.wait_ms(3_000)
    assert bench.core.number("host_baud") == 500_000


def test_a_rate_that_the_board_cannot_run_is_refused() -> None:
    """A board that refuses a rate stays, and so does the bench."""
    bench = Bench(baud=115_200).open()
    assert shift(bench, 2_000_000) == [False]
    assert bench.link.baud == bench.core.number("host_baud") == 115_200


def test_a_rate_that_does_not_carry_is_given_up_by_both() -> None:
    """Where nothing gets through at the new rate, both ends go back to the old one."""
    bench = Bench(baud=115_200).open()

    def spoil() -> None:
        bad = bench.lines.to_board.baud > 115_200
        bench.lines.to_board.trouble = Trouble(garble=1.0 if bad else 0.0)

    bench.watch = spoil
    assert shift(bench, 500_000) == [False]
    assert bench.link.baud == bench.core.number("host_baud") == 115_200
    assert bench.link.state is LinkState.OPEN
    assert bench.link.counters["sessions"] == 1


def test_a_lost_answer_to_set_baud_ends_at_the_old_rate() -> None:
    """The board has switched, the bench has not heard: both meet again at the old rate."""
    bench = Bench(baud=115_200).open()
    settled: list[bool] = []
    bench.link.set_baud(500_000, settled.append, bench.now_ns)
    bench.core.run(bench.link.output(), bench.board_ns())  # whose answer nobody hears
    bench._board_rate()
    assert bench.core.number("host_baud") == 500_000
    assert bench.run(lambda: bool(settled), 10_000), bench.states
    assert settled == [False]
    assert answered(submit_and_run(bench, range(1, 4))) == [1, 2, 3]
    assert bench.link.baud == bench.core.number("host_baud") == 115_200


def test_a_line_without_a_rate_has_none_to_change() -> None:
    """SET_BAUD on a line without a rate, or in the middle of another, is refused."""
    bench = Bench().open()
    with pytest.raises(BoardError, match="its line has no rate"):
        bench.link.set_baud(500_000, lambda _: None, bench.now_ns)
    bench = Bench(baud=115_200).open()
    bench.link.set_baud(500_000, lambda _: None, bench.now_ns)
    with pytest.raises(BoardError, match="a change is under way"):
        bench.link.set_baud(250_000, lambda _: None, bench.now_ns)
