"""Flight software on another machine, as one way to fly: it comes by itself, and may go.

At pace max time stands until it is there. Against the wall the run goes on without it, and looks
every now and then whether it is back; what that costs is counted, and told in events.
"""

from __future__ import annotations

import math
import secrets
import time
from typing import TYPE_CHECKING, Any

from flightsw.codec.wire import HEADER_NBYTES, Kind, pack
from hil.serving.link import Leg, Link
from hil.serving.storing import Keeping
from hil.time.coordinator import Coordinator
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.transports import ChannelLost

if TYPE_CHECKING:
    from hil.supervisor import Supervisor

NAME = "fsw"
SOURCE = 51
SECOND = 1_000_000_000
#: How often a run that goes on without its flight software looks whether it is back.
LOOK_NS = 50_000_000
#: Octets of inputs that wait for flight software whose link is away; what is beyond is dropped.
AWAY_INPUTS_NBYTES = 256 << 10
#: How long the files of a storage may take to come at the end, seconds of the wall.
STORAGE_S = 60.0


class RemoteFlight:
    """The flight software that comes over a link.

    ``rate``: virtual seconds a second of the wall, None at pace max. ``away_limit_s``: a link that
    is away for so long takes its incarnation with it. ``keeping`` takes the storage at the end.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        link: Link,
        keeping: Keeping,
        run_name: str = "run",
        rate: float | None = None,
        bus_timeout_s: float = 1.0,
        away_limit_s: float = 60.0,
    ) -> None:
        self.supervisor = supervisor
        self.link = link
        self.keeping = keeping
        self.rate = rate
        self.bus_timeout_s = bus_timeout_s
        self.away_limit_ns = round(away_limit_s * SECOND)
        #: what the flight software calls the run by, and no other run
        self.run_name = f"{run_name}-{secrets.token_hex(4)}"
        self.coordinator = Coordinator(supervisor.rig.exchange, self._gone)
        self.participant: Participant | None = None
        self.leg: Leg | None = None
        self._awaited = self._looks = False
        #: the power cycle in which it is awaited
        self._cycle = 0
        self._away_ns: int | None = None
        #: who has flown, one for each incarnation
        self.came: list[dict[str, Any]] = []
        #: what the other end has counted, over all incarnations
        self.peer: dict[str, int] = {}
        link.on_away, link.on_back = self._went, self._came_back
        supervisor.excused = lambda: self._away_ns is not None

    def run(self) -> None:
        """Fly to the end of the run, and take the storage of the payload computer."""
        self.start()
        self.coordinator.run()
        if self.leg is not None and self.leg.lasting and not self.leg.ended:
            self._take_storage(self.leg)

    # --- coming and going -------------------------------------------------------------------------

    def start(self) -> None:
        """Let the next incarnation in, now or as soon as it comes."""
        if self.rate is None or self.link.waiting is not None:
            self._join()
        else:
            self._awaited, self._cycle = True, self.supervisor.cycle
            self._look_soon()

    def _join(self) -> None:
        self._awaited = False
        self.leg = leg = self.link.begin()
        self.supervisor.rig.exchange.identity["link"] = {
            "session": leg.token,
            "run": self.run_name,
            "away": "wait" if self.rate is None else "island",
            "rate": self.rate or 0.0,
            "bus_timeout_s": self.bus_timeout_s,
        }
        self.supervisor.started()
        self.participant = self.coordinator.add(leg, NAME, None, math.inf)

    def _look_soon(self) -> None:
        """Look before long, and again until there is nothing to look for."""
        kernel = self.supervisor.rig.kernel
        if self.rate is not None and not self._looks:
            self._looks = True
            kernel.at(kernel.now_ns + LOOK_NS, Phase.CHECK, SOURCE, self._look)

    def _look(self, t_ns: int) -> None:
        """See whether the flight software has come, or is back; answer who came too early."""
        self._looks = False
        if self._away_ns is not None:
            self.link.look()
            if self._away_ns is not None:
                self._still_away(t_ns - self._away_ns)
        elif self.leg is None:
            self.link.look()
            # Without power nothing starts, whoever comes: the end of the next boot does.
            self._awaited = self._awaited and self._cycle == self.supervisor.cycle
            if self._awaited and self.link.waiting is not None:
                self._join()
        if self.leg is None or self._away_ns is not None:
            self._look_soon()

    def _went(self, leg: Leg, reason: str) -> None:
        """Go on without the flight software, whose link is away."""
        rig = self.supervisor.rig
        self._away_ns = now_ns = rig.kernel.now_ns
        if self.participant is not None:
            self.participant.inputs_limit_nbytes = AWAY_INPUTS_NBYTES
        rig.event(now_ns, "bench", 3, "LINK_LOST", reason=reason, boot=self.supervisor.starts)
        self.link.told(f"the run goes on without the flight software: {reason}")
        self._look_soon()

    def _came_back(self, leg: Leg, anew: bool) -> dict[str, Any]:
        """Go on with the flight software; return what it is told."""
        rig, participant = self.supervisor.rig, self.participant
        now_ns = rig.kernel.now_ns
        if anew and participant is not None:
            participant.forget_received()
            if self._away_ns is not None:
                self._note_back(participant, now_ns)
                self.coordinator.resume(participant)
        return {"rig": rig.mission.id, "t_ns": now_ns}

    def _note_back(self, participant: Participant, now_ns: int) -> None:
        assert self._away_ns is not None, "nobody comes back who was not away"
        rig, away_s = self.supervisor.rig, round((now_ns - self._away_ns) / SECOND, 3)
        self._away_ns = None
        dropped = participant.counters["inputs_dropped"]
        waiting = len(participant.inputs)
        values = {"away_s": away_s, "inputs_waiting": waiting, "inputs_dropped": dropped}
        rig.event(now_ns, "bench", 2, "LINK_BACK", boot=self.supervisor.starts, **values)
        self.link.told(f"the flight software is back after {away_s:g} s")

    def _still_away(self, away_ns: int) -> None:
        """Give up an incarnation whose link was away too long, or that has ended meanwhile."""
        leg, participant = self.leg, self.participant
        assert leg is not None
        assert participant is not None
        if away_ns >= self.away_limit_ns:
            self.link.end(leg, f"its link was away for {away_ns / SECOND:g} s")
        if leg.ended:
            self.coordinator.remove(participant, leg.ended)
            self._gone(participant, leg.ended)

    def stop(self, reason: str) -> None:
        """Take the incarnation out; its peer is told when it speaks next, or comes back."""
        self._awaited, self._away_ns = False, None
        if self.leg is not None and self.participant is not None:
            self._note(self.leg)
            self.link.end(self.leg, reason)
            self.coordinator.remove(self.participant, reason)
            self.leg = self.participant = None
        self._look_soon()

    def _gone(self, participant: Participant, reason: str) -> None:
        if self.leg is not None:
            self._note(self.leg)
        self.leg = self.participant = self._away_ns = None
        self.link.told(f"the flight software is gone: {reason}")
        self.supervisor.lost(reason, "outside")
        self._look_soon()

    def close(self) -> None:
        """Let go of the peer; the listener is its owner's."""
        self._awaited = False
        if self.leg is not None:
            self._note(self.leg)
            self.link.end(self.leg, "the run is over")
            self.leg = None

    # --- what is left of it -----------------------------------------------------------------------

    def _note(self, leg: Leg) -> None:
        """Keep who flew, and what it has counted."""
        if leg.hello is not None:
            self.came.append({**leg.hello.as_json(), "ended": leg.ended})
        for name, count in leg.counted.items():
            self.peer[name] = self.peer.get(name, 0) + count

    def _take_storage(self, leg: Leg) -> None:
        """Take the files of the storage, until the peer says that it was all."""
        limit_s = time.monotonic() + STORAGE_S
        try:
            while time.monotonic() < limit_s and not self.keeping.is_whole:
                self.link.alive()
                message = leg.recv()
                if message is None:
                    continue
                if message[0] != Kind.STORED:
                    return
                self.keeping.take(message[HEADER_NBYTES:])
                leg.counted = self.keeping.counted or leg.counted
                leg.send(pack(Kind.GRANT))
        except ChannelLost as error:
            self.link.told(f"the storage of the payload computer did not come whole: {error}")
