"""A run with flight software that came over a link."""

from __future__ import annotations

from hil.outcome import Outcome
from hil.rig import Rig
from hil.serving.asked import Service
from hil.serving.flight import RemoteFlight
from hil.serving.link import COUNTERS, Link
from hil.serving.storing import Keeping
from hil.session import Session
from hil.supervisor import Flight
from hil.time.pacing import parse_pace


class ServedSession(Session):
    """A session whose flight software comes over a link."""

    stopped = False

    def serve(self, service: Service, link: Link) -> None:
        """Take the flight software from ``link``, as ``service`` asks."""
        self.service, self.link = service, link
        link.counters = dict.fromkeys(COUNTERS, 0)

    def _flight(self) -> Flight:
        storage = self.directory.path / "payload"
        storage.mkdir(mode=0o700)
        keeping, rate = Keeping(storage), parse_pace(self.options.pace)
        self.flight = flight = RemoteFlight(
            *(self.supervisor, self.link, keeping, self.directory.final.name, rate),
            *(self.service.bus_timeout_s, self.service.away_limit_s),
        )
        counted = self.rig.exchange.counted
        counted["link"], counted["link.storage"] = self.link.counters, keeping.counters
        counted["link.peer"] = flight.peer
        counted["listener"] = self.link.listener.counters
        return flight

    def _watch(self, rig: Rig) -> None:
        if self.link.stopped() and not self.stopped and rig.kernel.now_ns > 0:
            self.stopped = True
            # What is asked of the run ends here too: nothing later can have happened.
            rig.exchange.end_ns = rig.kernel.now_ns
            rig.end_ns = rig.exchange.end_ns
        self.link.alive()
        super()._watch(rig)

    def _repeatable(self) -> bool:
        return super()._repeatable() and not self.stopped

    def _close(self, wall_s: float, used: dict[str, float]) -> Outcome:
        self.known = {"flight": "remote", "came": self.flight.came}
        return super()._close(wall_s, used)
