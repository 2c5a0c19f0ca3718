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

#: What a board says of its own accord may fill so much of the records.
QUOTES, QUOTES_A_SECOND = 200, 10


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
        #: how often it may still be quoted, and the time of the last one
        self._quotes, self._quoted_ns = QUOTES, 0
        #: called when the line has been served: its descriptor may be another one
        self.served: Callable[[], None] = lambda: None
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
        if len(payload) > self.payload_nbytes:
            self.counters["too_long"] += 1
            self.tell_once("BOARD_FRAME_TOO_SHORT", request=request, holds=self.payload_nbytes)
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
            self.served()

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

    def quote(self, t_ns: int, severity: int, name: str, **values: Any) -> None:
        """Put into the records what a board says of its own accord, as long as it does not babble.

        :data:`QUOTES` at once and :data:`QUOTES_A_SECOND` from then on; more is counted.
        """
        gained = (t_ns - self._quoted_ns) * QUOTES_A_SECOND // 1_000_000_000
        if gained:
            self._quotes, self._quoted_ns = min(self._quotes + gained, QUOTES), t_ns
        if self._quotes:
            self._quotes -= 1
            self.tell(severity, name, **values)
        else:
            self.counters["left_out"] += 1

    def tell_once(self, name: str, **values: Any) -> None:
        """Put an event into the records, the first time that it happens."""
        key = f"{name} {sorted(values.items())}"
        if key not in self._told:
            self._told.add(key)
            self.tell(2, name, **values)
