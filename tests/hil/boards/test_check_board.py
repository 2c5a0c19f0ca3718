"""Every firmware passes the contract suite of boards, check by check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hil.testing.contracts.board import CHECKS, Check, check_board, check_reset, opened
from hil.testing.contracts.board_bench import BoardBench
from tests.hil.boards.targets import TARGETS, RunningBoard, Starter, posix


@pytest.fixture(scope="module", params=TARGETS.values(), ids=TARGETS.keys())
def running(request: pytest.FixtureRequest) -> Iterator[RunningBoard]:
    """Start a board once for all checks."""
    starter: Starter = request.param
    with starter() as board:
        yield board


@pytest.fixture(scope="module")
def bench(running: RunningBoard) -> Iterator[BoardBench]:
    """Open the board's line once for all checks."""
    with opened(running.port) as fd:
        yield BoardBench(fd)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_board_keeps_the_contract(bench: BoardBench, check: Check) -> None:
    """A board keeps the promise that stands in the check's first line."""
    check(bench)


def test_board_starts_anew(running: RunningBoard, bench: BoardBench) -> None:
    """A board that is reset says BOOT with a new boot id and has forgotten its session."""
    check_reset(bench, running.reset)


def test_suite_is_one_call() -> None:
    """Whoever writes firmware runs the whole suite with one call on its tty."""
    with posix() as board:
        check_board(board.port, board.reset)
