"""A session with the bench: local time, what is posted and not yet sent, what came in.

A session is the :class:`flightsw.hal.Clock` of its hal.

:class:`Session` speaks over a channel; :class:`DirectSession` calls a bench in the same process.
The buses of ``flightsw.hal.ports`` use either without knowing which.

Local time is the bench's time as of the last reply: the end of a transaction, or a grant. Records
that nobody waits for ride in front of the next one that somebody does.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack
from flightsw.errors import (
    BenchLostError,
    BenchRefusedError,
    BusError,
    BusTimeoutError,
    Shutdown,
)
from flightsw.hal.channel import Channel, Lost

PROTOCOL = 1
#: header of one record: kind, channel, flags, status, length, t_ns, duration_ns, seq, address
Header = tuple[int, int, int, int, int, int, int, int, int]
#: takes one record that came in: (header, message, offset of its payload)
Sink = Callable[[Header, bytes, int], None]

_NEXT, _GRANT, _END, _GPIO = (int(kind) for kind in (Kind.NEXT, Kind.GRANT, Kind.END, Kind.GPIO))
_WAKE = int(Flag.WAKE)
_TIMEOUTS = (int(Status.TIMEOUT), int(Status.STUCK))
#: a record's header from its first eight octets on: t_ns, duration_ns, seq, address
_BEHIND_HEAD = struct.Struct("<8sQQII")
#: nothing but the time of a GRANT, and how late it was granted
_GRANTED = struct.Struct("<8xQQ8x")
_NEXT_HEADS = {flags: pack(_NEXT, flags=flags)[:8] for flags in (0, _WAKE)}
_END_ACK = struct.Struct("<Q32s")
_ENDED = "the bench ended the run"
_BATCH = 256
NO_LOCAL: Mapping[str, str] = {}
#: tells that so many records, its ``address``, of a computer's own bus were lost before this
_LOST_FLAGS, _OVERRUN = int(Flag.BOARD), int(Status.OVERRUN)
#: Octets of records of this computer's own buses that wait for the bench at most.
OBSERVED_LIMIT_NBYTES = 1 << 20


class Port(Protocol):
    """A bench in the same process; see the bench's ``DirectPort``."""

    welcome: dict[str, Any]

    def sleep(self, t_ns: int) -> bool: ...
    def late_ns(self) -> int: ...
    def inputs(self) -> bytes: ...
    def request(self, message: bytes) -> bytes: ...
    def post(self, message: bytes) -> None: ...
    def i2c(self, index: int) -> Callable[[int, int, bytes, int], tuple[int, int, bytes]]: ...


def _posted(kind: int, channel: int, t_ns: int, seq: int, address: int, payload: bytes) -> bytes:
    """Return a record that nobody waits for; bits 32 to 34 of ``address`` go into its flags."""
    flags, address = address >> 28 & 0x70 if address >> 32 else 0, address & 0xFFFF_FFFF
    return HEADER.pack(kind, channel, flags, 0, len(payload), t_ns, 0, seq, address) + payload


def raise_bus_error(errno: int, where: str, what: str, status: int) -> NoReturn:
    """Raise what a failed transaction raises; ``errno`` is the adapter's."""
    kind = BusTimeoutError if status in _TIMEOUTS else BusError
    try:
        name = Status(status).name
    except ValueError:
        name = f"status {status}"
    raise kind(errno, f"{where}: {what} failed ({name}: {os.strerror(errno)})")


def about(channel: Channel) -> Mapping[str, Any]:
    """Return what a greeting says besides name and process; nothing where no link can break."""
    known: Mapping[str, Any] = getattr(channel, "about", {})
    return known


def greet(channel: Channel, name: str, local: Mapping[str, str] = NO_LOCAL) -> dict[str, Any]:
    """Greet the bench; return its welcome. The channel is closed if there is none."""
    hello = {"protocol": PROTOCOL, "name": name, "pid": os.getpid(), **about(channel)}
    if local:
        hello["local"] = dict(local)
    try:
        reply = channel.exchange(pack(Kind.HELLO, payload=json.dumps(hello).encode()))
    except Lost as error:
        channel.close()
        raise BenchLostError(
            f"no answer from the bench at {channel.endpoint}: {error}; {error.advice}"
        ) from None
    except BaseException:
        channel.close()
        raise
    if reply[0] != Kind.WELCOME:
        channel.close()
        why = reply[HEADER_NBYTES:].decode(errors="replace")
        if reply[3] == Status.BUSY:
            raise BenchLostError(f"the bench at {channel.endpoint} is not free: {why}")
        raise BenchRefusedError(f"the bench at {channel.endpoint} refused us: {why}")
    welcome: dict[str, Any] = json.loads(reply[HEADER_NBYTES:])
    return welcome


class Session:
    """A session over a channel whose bench has said ``welcome``.

    ``lazy``: see :class:`flightsw.hal.bench.BenchHal`.
    """

    #: the bench has ended the run
    is_over = False

    def __init__(self, channel: Channel, welcome: Mapping[str, Any], lazy: bool = False) -> None:
        self.t_ns: int = welcome["t_ns"]
        self.sinks: dict[int, Sink] = {}
        self._channel = channel
        self._exchange = channel.exchange
        self._lazy = lazy
        self._late_ns = 0
        # The bench must hear of something before it can tell what has come in: of a sleep, or of a
        # line that was set and that another line may follow at once.
        self._ahead = False
        self._line_set = False
        self._seq = 0
        self._posted: list[bytes] = []
        self._received = 0
        self._octets: list[bytes] = []
        self._heard = hashlib.blake2b(digest_size=32)
        self._observed_nbytes = 0
        self._untold = 0
        self.welcome = welcome
        self._rig: str = welcome["rig"]

    # --- what buses and clock call ------------------------------------------------------------

    def call(self, kind: int, channel: int, address: int, payload: bytes) -> tuple[int, bytes]:
        """Run one transaction to its end; return its status and the payload of its record."""
        self._seq = seq = self._seq + 1
        message = (
            HEADER.pack(kind, channel, 0, 0, len(payload), self.t_ns, 0, seq, address) + payload
        )
        reply = self._ask(message)
        header = HEADER.unpack_from(reply)
        if header[4] + HEADER_NBYTES == len(reply) and header[0] == kind:
            self._received += 1
            self._octets.append(reply)
            if len(self._octets) >= _BATCH:
                self._hash()
            self.t_ns = header[5] + header[6]
            return header[3], reply[HEADER_NBYTES:]
        header, at = self._walk(reply)
        self._received += 1
        self._octets.append(reply)
        self.t_ns = header[5] + header[6]
        return header[3], reply[at:]

    def post(self, kind: int, channel: int, address: int, payload: bytes) -> None:
        """Say something that nobody waits for."""
        self._seq = seq = self._seq + 1
        self._posted.append(_posted(kind, channel, self.t_ns, seq, address, payload))
        if kind == _GPIO:
            self._line_set = True

    def post_at(self, t_ns: int, head: bytes, address: int, payload: bytes) -> int:
        """Send a record with a time of its own in front of the next message; return its number.

        ``head`` is the first eight octets of its header.
        """
        self._seq = seq = self._seq + 1
        self._posted.append(_BEHIND_HEAD.pack(head, t_ns, 0, seq, address) + payload)
        return seq

    def observe(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> None:
        """Tell what crossed a bus that is this computer's own; time is then past its end.

        What the bench has not heard of yet is bounded: what is beyond is lost, and its number told.
        One record by itself, such as an image, may be longer.
        """
        if not self._posted:
            self._observed_nbytes = 0
        held_nbytes = self._observed_nbytes
        if held_nbytes and held_nbytes + len(payload) > OBSERVED_LIMIT_NBYTES:
            self._untold += 1
        else:
            if self._untold:
                self._tell(kind, channel, _LOST_FLAGS, _OVERRUN, self.t_ns, 0, self._untold, b"")
                self._untold = 0
            self._tell(kind, channel, flags, status, t_ns, duration_ns, address, payload)
            self._observed_nbytes += HEADER_NBYTES + len(payload)
        if duration_ns:
            self._pass(t_ns + duration_ns)

    def _tell(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> None:
        self._seq = seq = self._seq + 1
        flags |= address >> 28 & 0x70 if address >> 32 else 0
        head = (kind, channel, flags, status, len(payload), t_ns, duration_ns, seq)
        self._posted.append(HEADER.pack(*head, address & 0xFFFF_FFFF) + payload)

    def _pass(self, t_ns: int) -> None:
        """Move local time on; the bench learns of it with what it is asked next."""
        if t_ns > self.t_ns:
            self.t_ns, self._ahead = t_ns, True

    def now_ns(self) -> int:
        """Return the time now, nanoseconds since the mission epoch."""
        return self.t_ns

    def sleep_until(self, t_ns: int) -> None:
        """Block until ``t_ns``."""
        if t_ns <= self.t_ns:
            return
        if self._lazy and not self._ahead:
            self._ahead = True
            self.t_ns = t_ns
            return
        self._next(t_ns, 0)

    def wait_until(self, t_ns: int) -> None:
        """Block until ``t_ns`` or until something comes in, whichever is first."""
        self.sync()
        self._next(max(t_ns, self.t_ns), _WAKE)

    def late_ns(self) -> int:
        """Return how late on the wall's clock the last sleep ended, as the bench tells."""
        return self._late_ns

    def sync(self) -> None:
        """Make sure that everything that has come in by now is here."""
        if self._ahead or self._line_set:
            self._next(self.t_ns, 0)

    def _ask(self, message: bytes) -> bytes:
        """Send a message behind what is posted; return the reply."""
        if self._posted:
            message = b"".join(self._posted) + message
            self._posted.clear()
            self._line_set = False
        self._ahead = False
        try:
            return self._exchange(message)
        except Lost as error:
            self._lose(error)

    def _next(self, t_ns: int, flags: int) -> None:
        self._seq = seq = self._seq + 1
        message = _BEHIND_HEAD.pack(_NEXT_HEADS[flags], t_ns, 0, seq, 0)
        reply = self._ask(message)
        if len(reply) == HEADER_NBYTES and reply[0] == _GRANT:
            self.t_ns, self._late_ns = _GRANTED.unpack(reply)
            return
        header, at = self._walk(reply)
        if at > HEADER_NBYTES:
            self._octets.append(reply[: at - HEADER_NBYTES])
        self.t_ns = header[5]
        self._late_ns = header[6]

    # --- what comes in ------------------------------------------------------------------------

    def _walk(self, reply: bytes) -> tuple[Header, int]:
        """Take every record of a reply but the last; return its header and payload offset."""
        at, end = 0, len(reply)
        sinks, unpack_from = self.sinks, HEADER.unpack_from
        while True:
            header = unpack_from(reply, at)
            body = at + HEADER_NBYTES
            following = body + header[4]
            if following >= end:
                break
            self._received += 1
            sinks[header[1]](header, reply, body)
            at = following
        if header[0] == _END:
            self._end(reply[:at])
        return header, body

    def _end(self, before: bytes) -> NoReturn:
        """Acknowledge the end of the run with what was received, and leave."""
        self._octets.append(before)
        self._hash()
        payload = _END_ACK.pack(self._received, self._heard.digest())
        self._exchange, exchange = _ended, self._exchange
        self.is_over = True
        self._last_word(exchange, pack(Kind.END_ACK, t_ns=self.t_ns, payload=payload))
        raise Shutdown(_ENDED)

    def _last_word(self, exchange: Callable[[bytes], bytes], message: bytes) -> None:
        """Say that the end was heard, and leave."""
        try:
            # The bench answers once more: only then is it certain that it has our word.
            exchange(message)
        except Lost as error:
            self._lose(error)
        finally:
            self.close()

    def _hash(self) -> None:
        self._heard.update(b"".join(self._octets))
        self._octets.clear()

    def _lose(self, error: Lost) -> NoReturn:
        self.close()
        raise BenchLostError(
            f"bench {self._rig!r} at {self._channel.endpoint} was lost at "
            f"t={self.t_ns / 1e9:.6f} s: {error}; see why it ended, and start both again"
        ) from None

    def hand_over(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Give the bench what the storage holds, where it cannot look itself; return how many."""
        return 0

    def link_status(self) -> Mapping[str, int]:
        """Return what was counted about the link; nothing where none can break."""
        return {}

    def watch(self, alive: Callable[[], None]) -> None:
        """Call ``alive`` now and then while a bench that is away is waited for."""

    def leave(self, reason: str) -> None:
        """Leave before the end of the run, and say why where the bench can hear it."""
        self.close()

    def close(self) -> None:
        """Leave without a word; the bench sees a participant that is gone."""
        self._channel.close()


def _ended(message: bytes) -> bytes:
    raise Shutdown(_ENDED)


class DirectSession(Session):
    """A session by calls. What came in stays with the bench until somebody reads."""

    def __init__(self, port: Port) -> None:  # no channel, and so none of its state
        self.t_ns = port.welcome["t_ns"]
        self.sinks = {}
        self.welcome = port.welcome
        self._port = port
        self._seq = 0
        self._received = 0
        self._observed_nbytes = 0
        self._untold = 0
        self._posted = []

    def call(self, kind: int, channel: int, address: int, payload: bytes) -> tuple[int, bytes]:
        """Run one transaction to its end; return its status and the payload of its record."""
        header, reply, at = self._request(kind, channel, 0, self.t_ns, address, payload)
        self.t_ns = header[5] + header[6]
        return header[3], reply[at:]

    def _request(
        self, kind: int, channel: int, flags: int, t_ns: int, address: int, payload: bytes
    ) -> tuple[Header, bytes, int]:
        head = HEADER.pack(kind, channel, flags, 0, len(payload), t_ns, 0, self._number(), address)
        reply = self._port.request(head + payload)
        if not reply:
            raise Shutdown(_ENDED)
        header, at = self._walk(reply)
        return header, reply, at

    def post(self, kind: int, channel: int, address: int, payload: bytes) -> None:
        """Say something that nobody waits for."""
        self._port.post(_posted(kind, channel, self.t_ns, self._number(), address, payload))

    def post_at(self, t_ns: int, head: bytes, address: int, payload: bytes) -> int:
        """Hand over a record with a time of its own; return its number."""
        seq = self._number()
        self._port.post(_BEHIND_HEAD.pack(head, t_ns, 0, seq, address) + payload)
        return seq

    def _tell(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> None:
        super()._tell(kind, channel, flags, status, t_ns, duration_ns, address, payload)
        self._port.post(self._posted.pop())

    def _pass(self, t_ns: int) -> None:
        self.sleep_until(t_ns)

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    def sleep_until(self, t_ns: int) -> None:
        """Block until ``t_ns``."""
        if t_ns > self.t_ns:
            if not self._port.sleep(t_ns):
                raise Shutdown(_ENDED)
            self.t_ns = t_ns

    def late_ns(self) -> int:
        """Return how late on the wall's clock the present is, as the bench tells."""
        return self._port.late_ns()

    def wait_until(self, t_ns: int) -> None:
        """Block until ``t_ns`` or until something comes in, whichever is first."""
        self.sync()
        header, _, _ = self._request(_NEXT, 0, _WAKE, max(t_ns, self.t_ns), 0, b"")
        self.t_ns = header[5]

    def sync(self) -> None:
        """Take everything that has come in by now."""
        octets = self._port.inputs()
        at = 0
        while at < len(octets):
            header = HEADER.unpack_from(octets, at)
            at += HEADER_NBYTES
            self.sinks[header[1]](header, octets, at)
            at += header[4]

    def close(self) -> None:
        """Nothing is held."""
