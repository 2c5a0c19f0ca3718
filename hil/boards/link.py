"""The host's end of HILwire 1, without input, output, threads or a clock of its own.

Who owns the line calls :meth:`Link.feed` with what came, writes :meth:`Link.output`, and calls
:meth:`Link.service` when :attr:`Link.due_ns` has come; time is an argument, in ns of any clock that
never steps. Requests are executed by the board in the order in which they are made here and at most
once, and are answered in that order: ``done`` gets the reply, or None when the link has failed, and
:attr:`Link.reason` then says why. ``docs/board-protocol.md`` has the rules and their reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from random import Random, SystemRandom
from typing import Any

from flightsw.codec.serial.hilwire import Receiver, Sender
from hil.boards import protocol
from hil.boards.clockfit import ClockFit
from hil.boards.protocol import ON_LINE_NBYTES, Event, EventType, Identity, Reply, Request
from hil.boards.upshift import Upshift
from hil.boards.window import COUNTERS as WINDOW_COUNTERS
from hil.boards.window import MS, SECOND, Done, Pending, Window, name_of
from hil.errors import BoardError

HELLO_LIMIT_NS, HELLO_RETRY_NS = 1_500 * MS, 250 * MS
#: Clock samples: a few at the start, then one a period, which keep the link alive too.
CLOCK_BURST, CLOCK_BURST_NS, CLOCK_PERIOD_NS = 8, 20 * MS, SECOND

#: What a link counts beside its receiver (``rx_`` in :attr:`Link.counters`) and its window.
COUNTERS = (
    "sessions",
    "hello_tries",
    "resets",  # of the board, seen in the middle of a session
    "failed",  # requests that got no answer because the link did not hold
    "refused",  # requests made while there was no session
    "events",
    "events_lost",
    "events_repeated",
    "stale_boots",
    "wrong_epoch",
    "no_session",
    "clock_samples",
)

_HELLO_REPLY = Request.HELLO | protocol.REPLY
_HELLO = protocol.packer(protocol.REQUESTS[Request.HELLO])
_TIME_REPLY = protocol.packer(protocol.REPLIES[Request.TIME])


class LinkState(Enum):
    """Where a link stands."""

    CLOSED = "closed"
    GREETING = "greeting"  #: HELLO is out
    OPEN = "open"
    LOST = "lost"
    REFUSED = "refused"  #: what answers is no board of this protocol


def _nobody(*_: Any) -> None:
    """Take a call that nobody is interested in."""


class Link:
    """One board's link; see the module for how it is driven.

    ``frame_limit`` is the longest decoded frame to take, in octets. ``baud`` is the line rate, None
    where the line takes no time (a pseudo-terminal, USB). ``random`` gives the nonces of sessions.
    ``clock_period_ns`` is the time between clock samples, which are also the keep-alive.

    ``on_event(event)`` gets what the board says unasked, BOOT and LOG also without a session;
    ``on_state(state, reason)`` each change of state; ``on_baud(baud)`` must give the line another
    rate behind what :meth:`output` has returned so far.
    """

    def __init__(
        self,
        *,
        frame_limit: int = protocol.MOST_FRAME,
        baud: int | None = None,
        random: Random | None = None,
        clock_period_ns: int = CLOCK_PERIOD_NS,
    ) -> None:
        self.baud = baud
        self.state = LinkState.CLOSED
        self.reason = "the link was never opened"
        self.identity: Identity | None = None
        self.clock = ClockFit()
        self.on_event: Callable[[Event], None] = _nobody
        self.on_state: Callable[[LinkState, str], None] = _nobody
        self.on_baud: Callable[[int], None] = _nobody
        self._random = random or SystemRandom()
        self._clock_period_ns = clock_period_ns
        self._receiver, self._sender = Receiver(frame_limit), Sender()
        self._counts = dict.fromkeys((*COUNTERS, *WINDOW_COUNTERS), 0)
        self._out: list[bytes] = []
        self._window = Window(self._out, self._counts)
        # A port may still hold the answer to the HELLO of who had it before.
        self._window.seq = self._random.getrandbits(8)
        self._head = self._nonce = -1
        self._seq = 0
        self._boot_id: int | None = None  # of the last BOOT or session
        self._event_seq: int | None = None
        self._hello = b""
        self._began_ns = self._hello_ns = self._hello_limit_ns = 0
        self._clock_due_ns = self._clock_begun = 0
        self._clock_waits = False
        self._upshift: Upshift | None = None

    # --- the line -----------------------------------------------------------------------------

    def output(self) -> bytes:
        """Return the octets that are to be written now, once."""
        out = self._out
        octets = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return octets

    def feed(self, octets: bytes, now_ns: int) -> None:
        """Take octets off the line; calls ``done``, ``on_event`` and ``on_state``."""
        for body in self._receiver.feed(octets):
            kind = body[1]
            if kind >= protocol.FIRST_EVENT:
                self._take_event(body, now_ns)
            elif kind == _HELLO_REPLY:
                self._greeted(body, now_ns)
            elif body[0] == self._head:  # never the case without a session
                for done, reply in self._window.answered(body, now_ns):
                    done(reply)
            else:
                self._counts["wrong_epoch" if self._head >= 0 else "no_session"] += 1

    @property
    def due_ns(self) -> int | None:
        """When :meth:`service` must be called at the latest; None while nothing is awaited."""
        if self.state is LinkState.GREETING:
            return min(self._hello_ns + HELLO_RETRY_NS, self._hello_limit_ns)
        if self.state is not LinkState.OPEN:
            return None
        due, deadline = self._clock_due_ns, self._window.deadline_ns
        if deadline is not None and deadline < due:
            due = deadline
        if self._upshift is not None and self._upshift.until_ns is not None:
            due = min(due, self._upshift.until_ns)
        return due

    def service(self, now_ns: int) -> None:
        """Do what time asks for: repeat requests, sample the clock, give up."""
        if self.state is LinkState.GREETING:
            self._greet_again(now_ns)
        if self.state is not LinkState.OPEN:
            return
        if self._upshift is not None:
            self._upshift.service(now_ns)
        lost = self._window.service(now_ns)
        if lost:
            self._end(LinkState.LOST, lost)
        elif now_ns >= self._clock_due_ns:
            self._sample_clock(now_ns)

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the link was made, by name; those of the receiver begin with ``rx_``."""
        received = {f"rx_{name}": count for name, count in self._receiver.counters.items()}
        return self._counts | received

    @property
    def unanswered(self) -> int:
        """Requests that are on their way or wait for it."""
        return len(self._window)

    # --- requests -----------------------------------------------------------------------------

    def request(
        self,
        type_: int,
        payload: bytes = b"",
        done: Done = _nobody,
        *,
        now_ns: int | None = None,
        busy_ns: int = 0,
    ) -> None:
        """Ask the board; ``done`` gets the reply, or None where the link does not hold.

        Without a session ``done(None)`` comes before this returns. ``busy_ns`` is how long the
        board may need beyond the time on the line. Without ``now_ns`` the time of sending is that
        of the next :meth:`service`, which is due at once then. Raises BoardError for a payload that
        no frame of this board holds.
        """
        identity = self.identity
        if self._head < 0 or identity is None:
            self._counts["refused"] += 1
            done(None)
            return
        if len(payload) > identity.max_frame - protocol.OVERHEAD_NBYTES:
            raise BoardError(
                f"board {identity.board!r}: {name_of(type_)} with {len(payload)} octets of payload;"
                f" its frames hold {identity.payload_nbytes}, so send it in parts"
            )
        self._window.submit(Pending(type_, payload, done, busy_ns, False), now_ns)

    def set_baud(self, baud: int, done: Callable[[bool], None], now_ns: int) -> None:
        """Change the line's rate; ``done`` learns whether it runs at it now.

        Raises BoardError where the line has no rate or another change is under way.
        """
        if self.baud is None or self._head < 0 or self._upshift is not None:
            raise BoardError(
                f"line rate {baud}: the link is {self.state.value}"
                + (", its line has no rate" if self.baud is None else "")
                + (", a change is under way" if self._upshift is not None else "")
                + "; ask an open link on a UART, once at a time"
            )

        def settled(kept: bool) -> None:
            self._upshift = None
            done(kept)

        self._upshift = Upshift(self._window, self.baud, baud, self._switch, settled)
        self._upshift.start(now_ns)

    def _switch(self, baud: int) -> None:
        self.baud = baud
        self._window.set_rate(baud)
        self.on_baud(baud)

    # --- sessions -----------------------------------------------------------------------------

    def hello(self, now_ns: int, limit_ns: int = HELLO_LIMIT_NS) -> None:
        """Open a new session, whatever there was; it is open, lost or refused by the limit."""
        self._drop("a new session was asked for")
        self._greet(now_ns, limit_ns, "HELLO is out")

    def close(self, reason: str = "the link was closed") -> None:
        """End the session here; what waits fails with this reason."""
        self._end(LinkState.CLOSED, reason)

    def _greet(self, now_ns: int, limit_ns: int, reason: str) -> None:
        nonce = self._random.getrandbits(16)
        self._nonce = nonce if nonce != self._nonce else nonce ^ 1
        self._seq = (self._window.seq + 1) & 0xFF
        self._window.seq = self._seq
        head = bytes((protocol.MAJOR << 4, Request.HELLO, self._seq))
        says = _HELLO.pack(protocol.MAJOR, protocol.MINOR, self._nonce)
        self._hello = self._sender.frame(head + says)
        self._began_ns, self._hello_limit_ns = now_ns, now_ns + limit_ns
        self._enter(LinkState.GREETING, reason)
        self._send_hello(now_ns)

    def _send_hello(self, now_ns: int) -> None:
        self._counts["hello_tries"] += 1
        self._hello_ns = now_ns
        self._out.append(self._hello)

    def _greet_again(self, now_ns: int) -> None:
        if now_ns >= self._hello_limit_ns:
            waited_ms = (self._hello_limit_ns - self._began_ns) // MS
            self._end(LinkState.LOST, f"no answer to HELLO within {waited_ms} ms")
        elif now_ns >= self._hello_ns + HELLO_RETRY_NS:
            self._send_hello(now_ns)

    def _greeted(self, body: bytes, now_ns: int) -> None:
        if body[2] != self._seq or self.state not in (LinkState.GREETING, LinkState.OPEN):
            self._counts["stray"] += 1
            return
        if body[0] >> 4 != protocol.MAJOR:
            self._end(
                LinkState.REFUSED,
                f"the board speaks HILwire {body[0] >> 4}, this bench {protocol.MAJOR}; flash the"
                " firmware of this bench",
            )
            return
        if len(body) < 4 or body[3]:
            self._counts["stray"] += 1
            return
        try:
            identity = Identity.parse(body[4:])
        except BoardError as error:
            self._end(LinkState.REFUSED, str(error))
            return
        if self.state is LinkState.GREETING:
            self._open(identity, body[0], now_ns)
            return
        # The answer to a repeated HELLO. With another boot id a reset went by unseen, and a HELLO
        # that was still on the line has opened a session that is not ours.
        self._counts["stray"] += 1
        if identity.boot_id != self._boot_id:
            self._rebooted(identity, now_ns)

    def _open(self, identity: Identity, head: int, now_ns: int) -> None:
        if identity.boot_id != self._boot_id:
            self._new_boot(identity)
            self._event_seq = None
        self.identity, self._head = identity, head
        self._window.open(
            head,
            self._seq + 1,
            identity.window,
            identity.rx_credit,
            identity.max_frame,
            self.baud,
            now_ns,
        )
        self._clock_due_ns, self._clock_begun, self._clock_waits = now_ns, 0, False
        self._counts["sessions"] += 1
        self._enter(LinkState.OPEN, f"board {identity.board!r}, firmware {identity.firmware!r}")

    def _new_boot(self, identity: Identity) -> None:
        self._boot_id = identity.boot_id
        self.clock.reset()

    def _rebooted(self, identity: Identity, now_ns: int) -> None:
        """The board has started anew: nothing from before counts, and it has no session."""
        in_session = self._head >= 0
        self._new_boot(identity)
        if self.state is LinkState.GREETING:
            self._send_hello(now_ns)  # what was sent to a board that was not up yet is gone
        elif in_session:
            self._counts["resets"] += 1
            cause = identity.reset_cause.name.lower().replace("_", "-")
            reason = f"board {identity.board!r} was reset ({cause})"
            self._drop(reason)
            self._greet(now_ns, HELLO_LIMIT_NS, reason)

    def _end(self, state: LinkState, reason: str) -> None:
        self._drop(reason)
        self._enter(state, reason)

    def _drop(self, reason: str) -> None:
        """Fail everything that waits, for this reason; there is no session from here on."""
        self.reason = reason
        self._head = -1
        self._out.clear()
        waited = self._window.drop()
        self._counts["failed"] += len(waited)
        for done in waited:
            done(None)

    def _enter(self, state: LinkState, reason: str) -> None:
        self.state, self.reason = state, reason
        self.on_state(state, reason)

    # --- what the board says unasked ----------------------------------------------------------

    def _take_event(self, body: bytes, now_ns: int) -> None:
        kind, seq = body[1], body[2]
        if kind == EventType.BOOT:
            self._take_boot(body, now_ns)
            return
        if body[0] != self._head and (self._head >= 0 or kind != EventType.LOG):
            self._counts["wrong_epoch" if self._head >= 0 else "no_session"] += 1
            return
        if self._event_seq is not None and seq == (self._event_seq - 1) & 0xFF:
            self._counts["events_repeated"] += 1
            return
        self._deliver(body, now_ns)
        if kind == EventType.RESEND:
            self._window.hint(now_ns)
        elif self._head >= 0:
            self._window.heard(now_ns)

    def _deliver(self, body: bytes, now_ns: int) -> None:
        seq = body[2]
        lost = 0 if self._event_seq is None else (seq - self._event_seq) & 0xFF
        self._event_seq = (seq + 1) & 0xFF
        self._counts["events"] += 1
        self._counts["events_lost"] += lost
        self.on_event(Event(body[1], seq, body[3:], now_ns, lost))

    def _take_boot(self, body: bytes, now_ns: int) -> None:
        if body[0] >> 4 != protocol.MAJOR:
            self._counts["wrong_epoch"] += 1
            return
        try:
            identity = Identity.parse(body[3:])
        except BoardError as error:
            self._end(LinkState.REFUSED, str(error))
            return
        if identity.boot_id == self._boot_id:
            self._counts["stale_boots"] += 1
            return
        self._event_seq = None
        self._deliver(body, now_ns)
        self._rebooted(identity, now_ns)

    # --- clock --------------------------------------------------------------------------------

    def _sample_clock(self, now_ns: int) -> None:
        burst = self._clock_begun < CLOCK_BURST
        self._clock_due_ns = now_ns + (CLOCK_BURST_NS if burst else self._clock_period_ns)
        if self._clock_waits:
            return
        self._clock_begun += 1
        self._clock_waits = True
        self._window.submit(Pending(Request.TIME, b"", self._clock_sampled, 0, False), now_ns)

    def _clock_sampled(self, reply: Reply | None) -> None:
        self._clock_waits = False
        if reply is None or not reply.ok or reply.tries > 1:
            return
        if len(reply.payload) < _TIME_REPLY.size:
            self._counts["stray"] += 1
            return
        self._counts["clock_samples"] += 1
        came, composed = _TIME_REPLY.unpack_from(reply.payload)
        line = (self._window.line_ns(n + ON_LINE_NBYTES) for n in (0, 1 + len(reply.payload)))
        asked_ns, told_ns = line
        self.clock.add(reply.sent_ns, reply.received_ns, (came, composed), (asked_ns, told_ns))
