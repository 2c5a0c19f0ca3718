"""A link that outlives its connections: messages are numbered, and said again after a break.

The bench knows which message it has taken last, and keeps its answer: what was said twice is done
once. docs/wire-record.md has the records.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Kind, Status, pack
from flightsw.errors import BenchRefusedError, SessionOverError
from flightsw.hal.channel import Channel, Lost
from flightsw.hal.channel.zeromq import ZeroMQChannel

#: How long a bench that is there may take to answer a greeting, seconds of the wall.
ANSWER_S = 3.0
#: How often whoever waits for the bench looks around.
SLICE_S = 0.25
#: How long it is left alone after an attempt has failed.
RETRY_S = 0.1
_NUMBER = int(Kind.NUMBER)


class LastingChannel:
    """A channel that comes back. ``link`` is what the bench's welcome said of it."""

    def __init__(self, channel: ZeroMQChannel, name: str, link: Mapping[str, Any]) -> None:
        self.endpoint = channel.endpoint
        self.about = channel.about
        self._channel: ZeroMQChannel | None = channel
        self._again = channel.again
        self._hello = {"protocol": 1, "name": name, "pid": os.getpid(), **channel.about}
        self._hello["session"] = link["session"]
        #: how long a bench that does not come back is waited for
        self.patience_s = float("inf")
        #: called while it is waited for: we are well, and wait
        self.on_wait: Callable[[], None] = lambda: None
        #: what the bench is told that we have counted
        self.tell: Callable[[], Mapping[str, int]] = lambda: self.counters
        self._count = 0
        self._given_up = 0
        self._asked_s: float | None = None
        self.counters = {"breaks": 0, "connects": 0, "returns": 0}

    @property
    def is_up(self) -> bool:
        """Whether there is a connection on which the bench has welcomed us."""
        return self._channel is not None and self._asked_s is None

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the reply, however often the connection breaks."""
        framed = self._framed(message)
        lost_s: float | None = None
        while True:
            if not self.is_up:
                lost_s = time.monotonic() if lost_s is None else lost_s
                if time.monotonic() - lost_s > self.patience_s:
                    raise Lost(f"it did not come back within {self.patience_s:g} s")
                self.on_wait()
                self.come_back(SLICE_S)
                continue
            try:
                assert self._channel is not None
                return self._answer(self._channel.exchange(framed))
            except Lost:
                self.drop()

    def say(self, message: bytes) -> None:
        """Send a message, once. Raises :class:`Lost` when there is no connection for it."""
        framed = self._framed(message)
        if self._channel is None or not self._channel.ask(framed, 0.0):
            raise Lost("no connection")

    def answer(self, wait_s: float) -> bytes | None:
        """Return the reply to what was said, None when it did not come within a wait."""
        if self._channel is None:
            raise Lost("no connection")
        reply = self._channel.hear(wait_s)
        return None if reply is None else self._answer(reply)

    def _framed(self, message: bytes) -> bytes:
        self._count += 1
        return HEADER.pack(_NUMBER, 0, 0, 0, 0, 0, 0, self._count & 0xFFFF_FFFF, 0) + message

    def _answer(self, reply: bytes) -> bytes:
        kind, seq = reply[0], HEADER.unpack_from(reply)[7]
        if kind == Kind.REFUSE:
            raise _refusal(self.endpoint, reply)
        if kind != _NUMBER or seq != self._count & 0xFFFF_FFFF:
            raise Lost(f"it answered message {self._count} with a record of kind 0x{kind:02x}")
        return reply[HEADER_NBYTES:]

    def give_up(self) -> None:
        """Note that nobody waits for the answer to the last message any more."""
        self._given_up = self._count

    def drop(self) -> None:
        """Let go of a connection that is of no use."""
        if self._channel is not None:
            self.counters["breaks"] += self.is_up
            self._channel.close()
        self._channel, self._asked_s = None, None

    def come_back(self, wait_s: float) -> dict[str, Any] | None:
        """Try for a while to reach the bench; return its welcome if it was reached.

        Raises :class:`~flightsw.errors.SessionOverError` when it has ended this session, and
        :class:`~flightsw.errors.BenchRefusedError` when it does not want us any more.
        """
        limit_s = time.monotonic() + wait_s
        while True:
            left_s = max(0.0, limit_s - time.monotonic())
            try:
                welcome = self._try(left_s)
            except Lost:
                self.drop()
                welcome = None
                # The bench may not know yet that our connection before is gone.
                time.sleep(min(RETRY_S, max(0.0, limit_s - time.monotonic())))
            if welcome is not None or time.monotonic() >= limit_s:
                return welcome

    def _try(self, left_s: float) -> dict[str, Any] | None:
        """Do the next thing on the way back."""
        if self._channel is None:
            self._channel = self._again()
            self._asked_s = 0.0
            self.counters["connects"] += 1
        if not self._asked_s:
            more = {"given_up": self._given_up, "counted": self.tell()}
            hello = json.dumps({**self._hello, **more}).encode()
            if self._channel.knock(pack(Kind.HELLO, payload=hello), left_s):
                self._asked_s = time.monotonic()
            return None
        reply = self._channel.hear(left_s)
        if reply is None:
            if time.monotonic() - self._asked_s > ANSWER_S:
                raise Lost("no answer")
            return None
        if reply[0] == Kind.REFUSE:
            raise _refusal(self.endpoint, reply)
        if reply[0] != Kind.WELCOME:
            return None  # an answer that was on its way to the connection before
        self._asked_s = None
        self._given_up = 0
        self.counters["returns"] += 1
        welcome: dict[str, Any] = json.loads(reply[HEADER_NBYTES:])
        return welcome

    def close(self) -> None:
        """Drop the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def leave(self, reason: str) -> None:
        """Tell the bench that we go, and why; drop the connection."""
        if self._channel is not None:
            self._channel.leave(pack(Kind.REFUSE, payload=reason.encode()[:400]))
            self._channel = None


def _refusal(endpoint: str, reply: bytes) -> Exception:
    """Return what a refusal of the bench raises."""
    why = reply[HEADER_NBYTES:].decode(errors="replace")
    status = HEADER.unpack_from(reply)[3]
    if status == Status.BUSY:
        return Lost(why)
    if status == Status.ABSENT:
        return SessionOverError(f"the bench at {endpoint}: {why}; start the flight software anew")
    return BenchRefusedError(f"the bench at {endpoint} refused us: {why}")


def lasting(channel: Channel, name: str, link: Mapping[str, Any]) -> LastingChannel:
    """Return the link over a channel on which the bench has said welcome."""
    assert isinstance(channel, ZeroMQChannel), "other channels offer no link"
    return LastingChannel(channel, name, link)
