"""A session over a link that may break: in lock-step it waits, against the wall it goes on alone.

What the bench says of it in its welcome decides. :class:`LinkedSession`: time stands while the link
is away, nothing is lost. :class:`IslandSession`: virtual time is the wall's, so nothing can stand.
A call that finds no bench ends with ETIMEDOUT after the bus timeout; from then on the program is an
*island*: its clock goes on from the steady clock of its computer, what it sends is dropped and
counted, and whenever it waits it tries to come back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flightsw.codec.bus_payload import LOAD_REPLY
from flightsw.codec.wire import HEADER, Kind, pack
from flightsw.errors import BusTimeoutError, SessionOverError
from flightsw.hal.channel import Channel, Lost
from flightsw.hal.channel.lasting import SLICE_S, LastingChannel, lasting
from flightsw.hal.session import Session

#: How long the end of a run may take to be acknowledged over a broken link, seconds of the wall.
END_PATIENCE_S = 15.0
#: A bench that is connected may be busy so long beyond the time that was asked for.
SILENCE_S = 10.0
#: Octets of a file of the storage that the bench takes.
FILE_LIMIT_NBYTES = 48 << 20
COUNTERS = (
    "islands",
    "alone_ms",
    "calls_timed_out",
    "acts_undelivered",
    "answers_unheard",
    "posts_dropped",
    "loads_untold",
    "files_unsent",
)
_NAME = struct.Struct("<H")
_LOAD = int(Kind.LOAD)
_NEXT = int(Kind.NEXT)


class _StrandedError(Exception):
    """Nobody answers; the caller does what an island does."""


class LinkedSession(Session):
    """A session over a lasting link, in lock-step: while the link is away, time stands."""

    def __init__(self, link: LastingChannel, welcome: Mapping[str, Any]) -> None:
        super().__init__(link, welcome)
        self.link = link
        self.counters = dict.fromkeys(COUNTERS, 0)

    @property
    def is_alone(self) -> bool:
        """Whether we go on without the bench."""
        return False

    def link_status(self) -> dict[str, int]:
        """Return what was counted about the link."""
        return {**self.link.counters, **self.counters, "is_alone": int(self.is_alone)}

    def _last_word(self, exchange: Callable[[bytes], bytes], message: bytes) -> None:
        self.link.patience_s = END_PATIENCE_S
        try:
            self.link.exchange(message)
        except (Lost, SessionOverError):  # it was told, or the bench does not need to know
            self.close()

    def hand_over(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Give the bench the files of the storage; one without a name says that it was all."""
        count = 0
        try:
            for name, octets in files:
                self.link.on_wait()  # many files take long, and we are well
                if len(octets) <= FILE_LIMIT_NBYTES and self.link.is_up:
                    self.link.exchange(_stored(name, octets))
                    count += 1
                else:
                    self.counters["files_unsent"] += 1
            if self.link.is_up:
                self.link.exchange(_stored("", json.dumps(self.link_status()).encode()))
        except (Lost, SessionOverError):  # the bench has counted how many it got
            self.close()
        return count

    def watch(self, alive: Callable[[], None]) -> None:
        """Call ``alive`` now and then while a bench that is away is waited for."""
        self.link.on_wait = alive

    def leave(self, reason: str) -> None:
        """Tell the bench that we go, and why."""
        self.link.leave(reason)


def _stored(name: str, octets: bytes) -> bytes:
    """Return the record of a file."""
    label = name.encode()
    return pack(Kind.STORED, payload=_NAME.pack(len(label)) + label + octets)


class IslandSession(LinkedSession):
    """A session whose time is the wall's, with the bench or without it."""

    def __init__(self, link: LastingChannel, welcome: Mapping[str, Any]) -> None:
        super().__init__(link, welcome)
        said = welcome["link"]
        self._rate = float(said["rate"])
        self._timeout_s = float(said["bus_timeout_s"])
        self._names = {channel["index"]: channel["name"] for channel in welcome["channels"]}
        #: (time, steady clock) where the link was lost; None: it is there
        self._alone: tuple[int, int] | None = None
        # Of the message that nobody has answered: whether it was a transaction, what rode on it.
        self._open = (False, 0)

    @property
    def is_alone(self) -> bool:
        """Whether we go on without the bench."""
        return self._alone is not None

    # --- what buses and clock call ------------------------------------------------------------

    def call(self, kind: int, channel: int, address: int, payload: bytes) -> tuple[int, bytes]:
        """Run one transaction; without a bench it times out, as a bus that hangs does."""
        begun_ns = self.now_ns()
        if self._alone is None:
            try:
                return super().call(kind, channel, address, payload)
            except _StrandedError:
                self._open = (kind != _LOAD, self._open[1])
        if kind == _LOAD:
            # On the computer's own time work takes what it takes.
            self.counters["loads_untold"] += 1
            return 0, LOAD_REPLY.pack(0, 0) + payload
        self._next(begun_ns + round(self._timeout_s * 1e9), 0)
        self.counters["calls_timed_out"] += 1
        name = self._names.get(channel, f"channel {channel}")
        raise BusTimeoutError(errno.ETIMEDOUT, f"{name}: no link to the bench: timed out")

    def post(self, kind: int, channel: int, address: int, payload: bytes) -> None:
        """Say something that nobody waits for; without a bench it is lost, and counted."""
        if self._alone is None:
            super().post(kind, channel, address, payload)
        else:
            self.counters["posts_dropped"] += 1

    def post_at(self, t_ns: int, head: bytes, address: int, payload: bytes) -> int:
        """Send a record with a time of its own in front of the next message."""
        if self._alone is None:
            return super().post_at(t_ns, head, address, payload)
        self.counters["calls_timed_out"] += 1
        raise BusTimeoutError(errno.ETIMEDOUT, "scheduled: no link to the bench: timed out")

    def now_ns(self) -> int:
        """Return the time now; that of our own clock while we are alone."""
        if self._alone is not None:
            t_ns, since_ns = self._alone
            alone_ns = t_ns + round((time.monotonic_ns() - since_ns) * self._rate)
            self.t_ns = max(self.t_ns, alone_ns)
        return self.t_ns

    def sync(self) -> None:
        """Make sure that everything that has come in by now is here; alone, nothing comes in."""
        if self._alone is None:
            super().sync()

    def _next(self, t_ns: int, flags: int) -> None:
        while True:
            if self._alone is None:
                if t_ns < self.t_ns:
                    return
                try:
                    super()._next(t_ns, flags)
                except _StrandedError:
                    continue
                return
            left_ns = t_ns - self.now_ns()
            if left_ns <= 0:
                return
            welcome = self.link.come_back(min(left_ns / self._rate / 1e9, SLICE_S))
            if welcome is not None:
                self._rejoin(welcome)

    # --- alone and back -----------------------------------------------------------------------

    def _ask(self, message: bytes) -> bytes:
        """Send a message behind what is posted; return the reply, or find ourselves alone."""
        header = HEADER.unpack_from(message)
        riding = len(self._posted)
        if riding:
            message = b"".join(self._posted) + message
            self._posted.clear()
            self._line_set = False
        self._ahead = False
        begun_ns = time.monotonic_ns()
        asked_ns = header[5] - self.t_ns if header[0] == _NEXT else 0
        limit_s = begun_ns / 1e9 + asked_ns / self._rate / 1e9 + SILENCE_S
        link = self.link
        try:
            link.say(message)
            while time.monotonic() < limit_s:
                reply = link.answer(SLICE_S)
                if reply is not None:
                    return reply
            raise Lost("no answer")
        except Lost:
            link.drop()
        link.give_up()
        self.counters["islands"] += 1
        self._alone = (self.t_ns, begun_ns)
        self._open = (header[0] != _NEXT, riding)
        raise _StrandedError

    def _rejoin(self, welcome: Mapping[str, Any]) -> None:
        """Go on with the bench, at its time or at ours, whichever is later."""
        assert self._alone is not None, "nobody comes back who was not away"
        now_ns = self.now_ns()
        counters, (asked, riding) = self.counters, self._open
        counters["alone_ms"] += round((now_ns - self._alone[0]) / 1e6)
        if welcome["link"]["taken"]:
            counters["answers_unheard"] += asked
        else:
            counters["acts_undelivered"] += asked
            counters["posts_dropped"] += riding
        self._alone = None
        self.t_ns = max(now_ns, int(welcome["t_ns"]))
        # What was on its way is lost: both ends count from here on.
        self._received = 0
        self._octets.clear()
        self._heard = hashlib.blake2b(digest_size=32)


def session_over(channel: Channel, name: str, welcome: Mapping[str, Any]) -> LinkedSession:
    """Return the session over a channel whose bench offers a lasting link."""
    link = lasting(channel, name, welcome["link"])
    kind = IslandSession if welcome["link"]["away"] == "island" else LinkedSession
    session = kind(link, welcome)
    link.tell = session.link_status
    return session
