"""The bench's end of a link to flight software on another machine.

One listener, one peer at a time. What the peer says is sorted here: a greeting, a message for the
coordinator, something that was said before. A :class:`Leg` is one incarnation of the flight
software, and the channel that the coordinator sees; it outlives connections if the peer speaks the
lasting link (docs/wire-record.md), so that a broken link is no lost participant:

- with ``patience_s`` None time stands until the peer is back;
- otherwise :class:`~hil.time.transports.ChannelAway` is raised when it has been gone for so long,
  and whoever runs the bench goes on without it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack, unpack_all
from hil.closing import Closing
from hil.serving.greeting import Hello, counted_by, fields_of, number, read_hello, text
from hil.time.transports import ChannelAway, ChannelLost
from hil.time.transports.zeromq import ZeroMQListener

_HELLO, _NUMBER, _LEAVE = int(Kind.HELLO), int(Kind.NUMBER), int(Kind.REFUSE)
_STORED = int(Kind.STORED)
#: A bench that is stopped gives flight software that is there so long to take its leave.
STOP_S = 5.0
#: Octets of what is said at a time by someone who leaves.
_REASON_LIMIT_NBYTES = 400
COUNTERS = (
    "connections_lost",
    "resumed",
    "repeated",
    "refused",
    "strays",
    "islands",
    "inputs_lost",
)


class Leg:
    """One incarnation of the flight software on a link: what the coordinator has as its channel."""

    def __init__(self, link: Link) -> None:
        self._link = link
        #: what the peer must know to come back to this incarnation
        self.token = secrets.token_hex(16)
        self.hello: Hello | None = None
        #: name of the client whose keys it has
        self.client = ""
        #: number of the last message that was taken, and the answer to it
        self.taken = 0
        self.answer = b""
        #: the last message that its peer has given up, and whether it had been taken
        self.given_up = (0, True)
        #: why it is over; "" while it is not
        self.ended = ""
        #: when its connection was lost, seconds of the steady clock; None: it is there
        self.lost_s: float | None = None
        #: nobody waits for it any more
        self.away = False
        #: what its peer says that it has counted
        self.counted: dict[str, int] = {}
        #: since when the peer has had the word
        self.since_s = time.monotonic()

    @property
    def local(self) -> Any:
        """What its peer says of buses of its own."""
        return None if self.hello is None else fields_of(self.hello.octets).get("local")

    @property
    def lasting(self) -> bool:
        """Whether the peer speaks the lasting link."""
        return self.hello is not None and self.hello.link > 0

    def recv(self) -> bytes | None:
        """Return the peer's next message; None when none came within a slice."""
        return self._link.recv(self)

    def send(self, message: bytes) -> None:
        """Answer the peer's last message."""
        self._link.send(self, message)

    def close(self) -> None:
        """End this incarnation; the peer is told when it comes back."""
        self._link.end(self, self.ended or "its run is over")


class Link(Closing):
    """A listener and who comes to it. ``told`` says things to a person, ``stopped`` asks one."""

    def __init__(
        self,
        listener: ZeroMQListener,
        patience_s: float | None = None,
        silence_s: float = 60.0,
        told: Callable[[str], None] = lambda text: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.listener = listener
        self.patience_s = patience_s
        self.silence_s = silence_s
        self.told = told
        self.stopped = stopped
        #: called now and then while we wait: we are well
        self.alive: Callable[[], None] = lambda: None
        self.counters = dict.fromkeys(COUNTERS, 0)
        #: who came and is yet to be taken
        self.waiting: Hello | None = None
        self.leg: Leg | None = None
        #: called when nobody waits for a peer any more, with the reason
        self.on_away: Callable[[Leg, str], None] = lambda leg, reason: None
        #: called when a peer is back, and whether its time went on without us; what it is told
        self.on_back: Callable[[Leg, bool], dict[str, Any]] = lambda leg, anew: {}
        #: takes a file of the payload computer's storage: name and octets
        self.keep: Callable[[str, bytes], None] = lambda name, octets: None
        self._ended: dict[str, str] = {}
        self._channel = listener.channel()

    # --- who comes ----------------------------------------------------------------------------

    def await_peer(self) -> Hello | None:
        """Wait until somebody comes; None: we were stopped."""
        while self.waiting is None and not self.stopped():
            self.alive()
            self._take(wait=True)
        return self.waiting

    def look(self) -> None:
        """See to what has come, without a wait; forget who came and left again."""
        if self.waiting is not None:
            if self._receive(None, wait=False) is not None:
                self.counters["strays"] += 1
            return
        while self.waiting is None and self._take(wait=False):
            pass

    def begin(self) -> Leg:
        """Return the channel of the next incarnation."""
        self.leg = leg = Leg(self)
        if self.waiting is not None:
            self._seat(leg, self.waiting)
            self.waiting = None
        return leg

    def end(self, leg: Leg, reason: str) -> None:
        """End an incarnation: nothing that its peer still says counts."""
        if leg is not self.leg:
            return
        leg.ended = leg.ended or reason
        self._ended[leg.token] = leg.ended
        while len(self._ended) > 16:
            self._ended.pop(next(iter(self._ended)))
        self.leg = None
        if leg.hello is not None:
            self._reopen()

    def close(self) -> None:
        """Close the connection; the listener is its owner's."""
        self._channel.close()

    # --- the channel of a leg -----------------------------------------------------------------

    def recv(self, leg: Leg) -> bytes | None:
        """Return the next message of a leg's peer."""
        if leg.ended:
            raise ChannelLost(leg.ended)
        if leg.hello is not None and not leg.taken and not leg.answer:
            return leg.hello.octets
        message = self._read(leg, wait=True)
        if leg.ended:
            raise ChannelLost(leg.ended)
        if message is not None:
            return message
        self.alive()
        now_s = time.monotonic()
        silent_s, there = now_s - leg.since_s, leg.hello is not None and leg.lost_s is None
        if self.stopped() and not (there and silent_s < STOP_S):
            raise ChannelLost("the bench was stopped")
        if leg.lost_s is not None:
            if self.patience_s is not None and now_s - leg.lost_s >= self.patience_s:
                self._go_on(leg, "the connection is lost")
        elif leg.hello is not None and silent_s >= self.silence_s:
            if not leg.lasting or self.patience_s is None:
                raise ChannelLost(f"it has not asked for time for {silent_s:.0f} s")
            leg.lost_s = now_s
            self._go_on(leg, f"it has not asked for time for {silent_s:.0f} s")
        return None

    def _go_on(self, leg: Leg, reason: str) -> NoReturn:
        """Let the run go on without a peer."""
        if not leg.away:
            leg.away = True
            self.counters["islands"] += 1
            self.on_away(leg, reason)
        raise ChannelAway(reason)

    def send(self, leg: Leg, message: bytes) -> None:
        """Answer a leg's peer; what a lasting link cannot deliver now waits until it is back."""
        if leg.lasting and message[0] != Kind.WELCOME:
            message = pack(_NUMBER, seq=leg.taken & 0xFFFF_FFFF) + message
        leg.answer, leg.since_s = message, time.monotonic()
        if leg.lost_s is None:
            self._send(leg, message)
        elif leg.away:
            raise ChannelAway("the connection is lost")

    def _send(self, leg: Leg, message: bytes) -> None:
        try:
            self._channel.send(message)
        except ChannelLost as error:
            self._lose(leg, str(error))

    # --- what comes ---------------------------------------------------------------------------

    def _take(self, wait: bool) -> bool:
        """Take one thing said by whoever is there; tell whether there was one."""
        leg = self.leg
        if leg is not None:
            return self._read(leg, wait) is not None
        message = self._receive(None, wait)
        if message is None:
            return False
        if message[:1] == bytes((_HELLO,)):
            self._greeted(None, message)
        else:
            self.counters["strays"] += 1
        return True

    def _receive(self, leg: Leg | None, wait: bool) -> bytes | None:
        try:
            message = self._channel.recv() if wait else self._channel.recv_now()
        except ChannelLost as error:
            if leg is None:
                self.waiting = None
                self._reopen()
            else:
                self._lose(leg, str(error))
            return None
        if message is not None and len(message) < HEADER_NBYTES:
            self.counters["strays"] += 1
            return None
        return message

    def _read(self, leg: Leg, wait: bool) -> bytes | None:
        """Return a message that is for the coordinator; see to everything else."""
        message = self._receive(leg, wait)
        if message is None:
            return None
        kind = message[0]
        if kind == _HELLO:
            return self._greeted(leg, message)
        if leg.hello is None or leg.lost_s is not None:
            self.counters["strays"] += 1
            if leg.away:
                self._refuse(Status.BUSY, "time has gone on without you: come back")
            return None
        leg.since_s = time.monotonic()
        if not leg.lasting:
            leg.taken += 1
            return message
        if kind == _NUMBER and len(message) >= 2 * HEADER_NBYTES:
            return self._numbered(leg, HEADER.unpack_from(message)[7], message[HEADER_NBYTES:])
        if kind == _LEAVE:
            said = message[HEADER_NBYTES:][:_REASON_LIMIT_NBYTES].decode(errors="replace")
            self.end(leg, f"it left: {text(said) or 'without a reason'}")
        else:
            self.end(leg, f"it sent a record of kind 0x{kind:02x} where a number belongs")
        return None

    def _numbered(self, leg: Leg, count: int, message: bytes) -> bytes | None:
        if count == leg.taken & 0xFFFF_FFFF and leg.answer:
            # Said before: what it asked for was done, and the answer was lost.
            self.counters["repeated"] += 1
            self._send(leg, leg.answer)
            return None
        if count != leg.taken + 1 & 0xFFFF_FFFF:
            self.end(leg, f"it sent message {count} after {leg.taken & 0xFFFF_FFFF}")
            return None
        leg.taken += 1
        leg.answer = b""
        return message

    def _greeted(self, leg: Leg | None, message: bytes) -> bytes | None:
        """See to a greeting; return it if the coordinator waits for one."""
        hello = read_hello(message)
        if isinstance(hello, str):
            self._refuse(Status.OK, hello)
            return None
        said = fields_of(message)
        if hello.link and "session" in said:
            self._resume(leg, hello, said)
            return None
        if leg is None:
            self.waiting = hello
            return None
        if leg.hello is None:
            self._seat(leg, hello)
            return message
        if self.listener.client != leg.client:
            self._refuse(Status.BUSY, f"this bench flies with {leg.hello.who()}")
            return None
        if leg.taken == 0 and leg.answer and said.get("local") == leg.local:
            self._seat(leg, hello)  # its welcome was lost, or it began anew before it did a thing
            self._send(leg, leg.answer)
            return None
        # PAIR has one peer: the one that flew is gone, or this would not have come through.
        self.waiting = hello
        self._close_leg(leg, "it began anew")
        return None

    def _seat(self, leg: Leg, hello: Hello) -> None:
        """Take a peer for that of an incarnation."""
        leg.hello, leg.client = hello, self.listener.client
        leg.lost_s, leg.since_s = None, time.monotonic()

    def _close_leg(self, leg: Leg, reason: str) -> None:
        """End an incarnation whose connection is now that of the next."""
        leg.ended = reason
        self._ended[leg.token] = reason
        self.leg = None

    def _resume(self, leg: Leg | None, hello: Hello, said: Mapping[str, Any]) -> None:
        """Let a peer come back to its incarnation, or tell it that there is none."""
        token = said["session"] if isinstance(said["session"], str) else ""
        if (
            leg is None
            or leg.hello is None
            or self.listener.client != leg.client
            or not secrets.compare_digest(token.encode(errors="replace"), leg.token.encode())
        ):
            why = self._ended.get(token, "this bench does not know it")
            self._refuse(Status.ABSENT, f"that session is over: {why}")
            return
        self.counters["resumed"] += 1
        given_up = number(said.get("given_up"))
        taken, anew = given_up <= leg.taken, bool(given_up) or leg.away
        if given_up and given_up == leg.given_up[0]:
            taken = leg.given_up[1]  # our word of it was lost: say the same again
        if given_up:
            # What rode on an answer that nobody waits for is lost with it.
            self.counters["inputs_lost"] += sum(
                bool(record.flags & Flag.INPUT) for record in unpack_all(leg.answer)
            )
            leg.given_up = given_up, taken
            leg.taken, leg.answer = given_up, b""
        leg.counted = counted_by(said.get("counted"))
        leg.away, leg.lost_s, leg.since_s = False, None, time.monotonic()
        welcome = self.on_back(leg, anew)
        welcome["link"] = {"session": leg.token, "anew": anew, "taken": taken}
        text_ = json.dumps(welcome, sort_keys=True, separators=(",", ":"))
        self._send(leg, pack(Kind.WELCOME, t_ns=welcome["t_ns"], payload=text_.encode()))

    def _refuse(self, status: int, why: str) -> None:
        self.counters["refused"] += 1
        self.told(f"refused: {why}")
        try:
            self._channel.send(pack(Kind.REFUSE, status=status, payload=why.encode()))
        except ChannelLost:
            self.counters["connections_lost"] += 1

    def _lose(self, leg: Leg, reason: str) -> None:
        """Note that a connection is gone; one that does not last takes its leg with it."""
        self.counters["connections_lost"] += 1
        self._reopen()
        if leg.hello is None:
            return
        if not leg.lasting:
            self._close_leg(leg, reason)
        elif leg.lost_s is None:
            leg.lost_s = time.monotonic()
            self.told(f"the link to {leg.hello.who()} is lost: {reason}")

    def _reopen(self) -> None:
        self._channel = self.listener.channel()
