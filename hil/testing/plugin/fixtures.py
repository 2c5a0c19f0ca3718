"""The three fixtures. Nothing is imported for them before a test asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hil.board import Board
    from hil.testing.bench import Bench


@pytest.fixture
def rig(request: pytest.FixtureRequest, rig_factory: Callable[..., Bench]) -> Bench:
    """A bench of this test's own: a fresh world, under the test's control, closed behind it."""
    return rig_factory()


@pytest.fixture
def rig_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bench]]:
    """Open as many benches as a test needs: ``rig_factory(board=..., seed=...)``."""
    from hil.testing.plugin.rigs import rigs_of

    rigs = rigs_of(request.node)

    def opened(**given: Any) -> Bench:
        return rigs.open(given)

    yield opened
    rigs.close()


@pytest.fixture(scope="session")
def hil_board(request: pytest.FixtureRequest) -> Board:
    """The board file of the session (``--hil-board``), read and checked."""
    from hil.testing.plugin.checking import board_of
    from hil.testing.plugin.options import SETTINGS

    return board_of(request.config.stash[SETTINGS]["board"])
