"""Having boards at hand for as long as a run lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from hil.boards.binding import Taking
from hil.boards.control import Control
from hil.boards.desk import BOARD_SOURCE, Boards
from hil.boards.station import Stamp
from hil.rig import Rig


@contextmanager
def boards_at_hand(
    rig: Rig, taking: Taking, wait_s: float, folder: Path, clock: Callable[[], int], stamp: Stamp
) -> Iterator[Boards]:
    """Bind what is to be real, and let people swap it by way of ``folder`` while the run lasts.

    Raises :class:`~hil.errors.BoardError` for a board that is not ready within ``wait_s``.
    """
    lab, bindings = taking
    with ExitStack() as stack:
        boards = Boards(rig, lab, clock, stamp)
        stack.callback(boards.close)
        boards.open(bindings, wait_s)
        control = Control(boards, folder, partial(stamp, BOARD_SOURCE))
        stack.callback(control.close)
        yield boards
