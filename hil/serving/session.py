"""A run with flight software that came over a link."""

from __future__ import annotations

from collections.abc import Callable

from hil.board import Board
from hil.boards.binding import Taking
from hil.missions.mission import Mission
from hil.options import Options
from hil.outcome import View
from hil.rig import Rig
from hil.rundir import RunDirectory
from hil.serving.flight import RemoteFlight
from hil.serving.link import Link
from hil.serving.storing import Keeping
from hil.session import Session
from hil.supervisor import Flight
from hil.time.pacing import parse_pace


class ServedSession(Session):
    """A session whose flight software comes over ``link``; ``stopped`` ends it early."""

    def __init__(
        self,
        options: Options,
        board: Board,
        mission: Mission,
        directory: RunDirectory,
        progress: Callable[[View], None],
        taking: Taking | None,
        link: Link,
    ) -> None:
        super().__init__(options, board, mission, directory, progress, taking)
        self.link = link
        self.stopped = False

    def _flight(self) -> Flight:
        storage = self.directory.path / "payload"
        storage.mkdir(mode=0o700)
        keeping, rate = Keeping(storage), parse_pace(self.options.pace)
        self.flight = flight = RemoteFlight(
            self.supervisor, self.link, keeping, rate, self.service.bus_timeout_s
        )
        counted = self.rig.exchange.counted
        counted["link"], counted["link.storage"] = self.link.counters, keeping.counters
        counted["link.peer"] = flight.peer
        return flight

    def _watch(self, rig: Rig) -> None:
        if self.link.stopped() and not self.stopped and rig.kernel.now_ns > 0:
            self.stopped = True
            # What is asked of the run ends here too: nothing later can have happened.
            rig.exchange.end_ns = rig.kernel.now_ns
            rig.end_ns = rig.exchange.end_ns
        super()._watch(rig)

    def _repeatable(self) -> bool:
        return super()._repeatable() and not self.stopped
