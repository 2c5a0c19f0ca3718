"""A board as a run sees it: asked in real time, heard in virtual time.

A :class:`BoardStation` puts requests of bridges to a session and times them. What the board says
reaches the run by :meth:`BoardStation.stamp` as an event of the virtual time at which it was heard;
until then nothing of the run is touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hil.boards.protocol import LEAST_FRAME, OVERHEAD_NBYTES, Event, Reply
from hil.boards.session import Session, State
from hil.time.pacing import Histogram

#: stamp(source, act): make ``act(t_ns)`` an event of the virtual time that it is on the wall
Stamp = Callable[[int, Callable[[int], None]], None]
#: tell(severity, name, values): an event for the records
Tell = Callable[[int, str, dict[str, Any]], None]


class BoardStation:
    """One board of a run; ``source`` is its place among ties (see :mod:`hil.time.phase`)."""

    def __init__(
        self, session: Session, clock: Callable[[], int], stamp: Stamp, source: int, tell: Tell
    ) -> None:
        self.session = session
        self.name = session.instance.id
        self.source = source
        self.counters: Counter[str] = Counter()
        #: from a request to its reply, nanoseconds of the wall
        self.latency = Histogram()
        #: called whenever the board has become ready: what it is to be told first
        self.on_ready: list[Callable[[], None]] = []
        #: type of event -> who hears it
        self.hearers: dict[int, list[Callable[[Event], None]]] = {}
        self._clock = clock
        self._stamp = stamp
        self._tell = tell
        self._told: set[str] = set()
        self._serving = False
        self._kicked = False

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        return self.session.state is State.READY

    @property
    def payload_nbytes(self) -> int:
        """Octets of payload that one of its frames has at most."""
        identity = self.session.link.identity
        return identity.payload_nbytes if identity else LEAST_FRAME - OVERHEAD_NBYTES

    def ask(self, request: int, payload: bytes, done: Callable[[Reply | None], None]) -> None:
        """Put a request to the board; ``done`` gets its reply, None when there will be none."""
        if not self.ready:
            done(None)
            return
        begin_ns = self._clock()

        def answered(reply: Reply | None) -> None:
            if reply is None:
                self.counters["unanswered"] += 1
            else:
                self.counters["requests"] += 1
                self.counters["retries"] += reply.tries - 1
                self.latency.add(reply.received_ns - begin_ns)
            done(reply)

        self.session.link.request(request, payload, answered)
        self.serve()

    def serve(self) -> None:
        """Read and write the line; what a request asked from within adds is written as well."""
        self._kicked = True
        if self._serving:
            return
        self._serving = True
        try:
            while self._kicked:
                self._kicked = False
                self.session.service(self._clock())
        finally:
            self._serving = False

    def hear(self, event: Event) -> None:
        """Hand an event of the board to whom it concerns; one that nobody wants is counted."""
        self.counters["events_lost"] += event.lost
        hearers = self.hearers.get(event.type, ())
        for hear in hearers:
            hear(event)
        self.counters["events" if hearers else "events_unheard"] += 1

    def stamp(self, act: Callable[[int], None]) -> None:
        """Make what the board has just said an event of the virtual time that it is now."""
        self._stamp(self.source, act)

    def tell(self, severity: int, name: str, **values: Any) -> None:
        """Put an event into the records."""
        self._tell(severity, name, {"board": self.name, **values})

    def tell_once(self, name: str, **values: Any) -> None:
        """Put an event into the records, the first time that it happens."""
        key = f"{name} {sorted(values.items())}"
        if key not in self._told:
            self._told.add(key)
            self.tell(2, name, **values)
