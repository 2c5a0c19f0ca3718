"""Flight software on another machine, as one way to fly: it comes by itself, and may go."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hil.serving.link import Leg, Link
from hil.time.coordinator import Coordinator
from hil.time.participant import Participant
from hil.time.phase import Phase

if TYPE_CHECKING:
    from hil.supervisor import Supervisor

NAME = "fsw"
SOURCE = 51
#: How often a run that goes on without its flight software looks whether it is back.
LOOK_NS = 50_000_000


class RemoteFlight:
    """The flight software that comes over a link. Pace max waits for it, others do not."""

    def __init__(self, supervisor: Supervisor, link: Link) -> None:
        self.supervisor = supervisor
        self.link = link
        #: time stands until the flight software is there
        self.waits = link.patience_s is None
        self.coordinator = Coordinator(supervisor.rig.exchange, self._gone)
        self.participant: Participant | None = None
        self.leg: Leg | None = None
        self._booted = False
        #: who has flown, one for each incarnation
        self.came: list[dict[str, object]] = []

    def run(self) -> None:
        """Fly to the end of the run."""
        self.start()
        self.coordinator.run()

    def start(self) -> None:
        """Let the next incarnation in, now or as soon as it comes."""
        if self.waits or self.link.waiting is not None:
            self._join()
        else:
            self._booted = True
            self._look(self.supervisor.rig.kernel.now_ns)

    def _join(self) -> None:
        self._booted = False
        exchange = self.supervisor.rig.exchange
        self.leg = self.link.begin()
        exchange.identity["link"] = {"session": self.leg.token}
        self.supervisor.started()
        self.participant = self.coordinator.add(self.leg, NAME, None, math.inf)

    def _look(self, t_ns: int) -> None:
        """See whether somebody has come, now and then until somebody has."""
        if not self._booted:
            return
        self.link.look()
        if self.link.waiting is not None:
            self._join()
        else:
            kernel = self.supervisor.rig.kernel
            kernel.at(t_ns + LOOK_NS, Phase.CHECK, SOURCE, self._look)

    def stop(self, reason: str) -> None:
        """Take the incarnation out; its peer is told when it speaks next, or comes back."""
        self._booted = False
        if self.leg is not None and self.participant is not None:
            self.link.end(self.leg, reason)
            self.coordinator.remove(self.participant, reason)
            self.leg = self.participant = None

    def _gone(self, participant: Participant, reason: str) -> None:
        self.leg = self.participant = None
        self.supervisor.lost(reason, "outside")

    def close(self) -> None:
        """Let go of the peer; the listener is its owner's."""
        self._booted = False
        if self.leg is not None:
            self.link.end(self.leg, "the run is over")
