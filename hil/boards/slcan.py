"""A CAN stick that speaks the LAWICEL protocol (SLCAN), as a board with one CAN bus.

:class:`StickLink` has the face of :class:`hil.boards.link.Link`, so that a session looks after the
stick's port as after any board's: identity, moves, locks, loss and return. What a bridge asks of a
board by ``CAN_CONFIG`` and ``CAN_SEND`` python-can says to the stick, and what it hears comes as
``CAN_RX``. Sources: LAWICEL CANUSB manual; python-can 4.6, ``interfaces/slcan.py``; error and state
lines as Linux 6.0 and later reads them.

python-can reads no answers of a stick, so the link does: ``V`` is its greeting, ``F`` once a second
its keep-alive, three of which may go unanswered. A BELL is counted (``bells``): something that was
asked, perhaps a frame, was not done. Sticks without ``F`` or with a BELL for it stay as long as
they say anything at all.

Not modelled: acknowledgement of single frames (``CAN_SEND`` is answered when the line has taken
it), the stick's own time stamps (frames are stamped on arrival), filters.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from flightsw.codec.wire import Status
from hil.boards.clockfit import ClockFit
from hil.boards.link import LinkState
from hil.boards.protocol import (
    MOST_FRAME,
    Capability,
    Event,
    EventType,
    Identity,
    Reply,
    Request,
    ResetCause,
)
from hil.boards.window import MS, SECOND, Done
from hil.errors import BoardError

HELLO_LIMIT_NS, HELLO_RETRY_NS = 1_500 * MS, 250 * MS
POLL_NS, MISSES = SECOND, 3
#: First of all ends what a program before us has begun, then the channel is closed and asked.
GREETING: Final = b"\r\r\rC\rV\r"
#: The longest line of a stick: an extended CAN FD frame.
LINE_LIMIT_NBYTES: Final = 256
#: FIFO overrun, error warning, error passive and bus error in the answer to ``F``.
OVERRUN, WARNING, PASSIVE, BUS_ERROR = 0x08, 0x04, 0x20, 0x80
#: Error states as ``CAN_STATE`` has them, in the order of the letters of state lines.
STATES: Final = "awpb"
_ACTIVE, _WARNING, _PASSIVE, _OFF = range(4)

_CAN_CONFIG, _CAN_SEND = struct.Struct("<BIIB"), struct.Struct("<BIB")
_CAN_RX = struct.Struct("<BIIB")
_EXTENDED, _REMOTE, _ERROR = 1 << 31, 1 << 30, 1 << 29
_BRS, _ESI, _FDF = 1, 2, 4
_COUNTERS: Final = (
    *("sessions", "hello_tries", "requests", "failed", "refused", "events", "lines", "bells"),
    *("sent", "received", "unreadable", "error_frames", "overruns", "bus_errors", "misses"),
)


def _nobody(*_: Any) -> None:
    """Take a call that nobody is interested in."""


def _python_can() -> Any:
    """Return python-can's adapter. Raises ``BoardError`` where python-can is not installed."""
    try:
        from can.interfaces.slcan import slcanBus
    except ImportError:
        raise BoardError(
            "an SLCAN stick needs python-can, which is not installed: pip install 'flatsat[can]'"
        ) from None
    return slcanBus


class StickLink:
    """The link of one stick; driven as :class:`hil.boards.link.Link` is."""

    def __init__(self, *, name: str = "slcan") -> None:
        """``name``: what the stick is called in its identity. Raises ``BoardError``."""
        self._bus_type = _python_can()
        from hil.boards.stickport import MemoryPort

        self.baud: int | None = None
        self.state = LinkState.CLOSED
        self.reason = "the link was never opened"
        self.identity: Identity | None = None
        #: a stick has no clock that it shows
        self.clock = ClockFit()
        self.counters = dict.fromkeys(_COUNTERS, 0)
        self.on_event: Callable[[Event], None] = _nobody
        self.on_state: Callable[[LinkState, str], None] = _nobody
        self.on_baud: Callable[[int], None] = _nobody
        self._name = name
        self._port = MemoryPort()
        self._bus: Any = None
        self._out = bytearray()
        self._line = bytearray()
        self._began_ns = self._due_ns = 0
        self._limit_ns = HELLO_LIMIT_NS
        self._heard = False
        self._misses = 0
        self._condition = (_ACTIVE, 0, 0)
        self._seq = 0
        #: (done, type, status, payload) of replies
        self._answers: list[tuple[Done, int, int, bytes]] = []

    # --- the line -----------------------------------------------------------------------------

    def output(self) -> bytes:
        """Return the octets that are to be written now, once."""
        octets = bytes(self._out + self._port.sent)
        self._out.clear()
        self._port.sent.clear()
        return octets

    def feed(self, octets: bytes, now_ns: int) -> None:
        """Take octets off the line; calls ``on_event`` and ``on_state``."""
        for octet in octets:
            self._line.append(octet)
            if octet in b"\r\a":
                line = bytes(self._line)
                self._line.clear()
                self._take(line, now_ns)
        if len(self._line) > LINE_LIMIT_NBYTES:
            self.counters["unreadable"] += 1
            self._line.clear()

    @property
    def due_ns(self) -> int | None:
        """When :meth:`service` must be called at the latest; None while nothing is awaited."""
        if self._answers:
            return 0
        return self._due_ns if self.state in (LinkState.GREETING, LinkState.OPEN) else None

    def service(self, now_ns: int) -> None:
        """Do what time asks for: answer, greet again, ask for the status, give up."""
        answers, self._answers = self._answers, []
        for done, type_, status, payload in answers:
            done(Reply(type_, status, payload, now_ns, now_ns, 1))
        if self.state is LinkState.GREETING:
            if now_ns >= self._began_ns + self._limit_ns:
                self._end(LinkState.LOST, f"no answer to V within {self._limit_ns // MS} ms")
            elif now_ns >= self._due_ns:
                self._greet(now_ns)
        elif self.state is LinkState.OPEN and now_ns >= self._due_ns:
            self._misses = 0 if self._heard else self._misses + 1
            self.counters["misses"] += not self._heard
            if self._misses >= MISSES:
                self._end(LinkState.LOST, f"the stick has said nothing for {MISSES} s")
                return
            self._heard = False
            self._due_ns = now_ns + POLL_NS
            self._out += b"F\r" if self._bus else b"V\r"

    @property
    def unanswered(self) -> int:
        """Requests whose answer waits for the next :meth:`service`."""
        return len(self._answers)

    # --- sessions -----------------------------------------------------------------------------

    def hello(self, now_ns: int, limit_ns: int = HELLO_LIMIT_NS) -> None:
        """Look for a stick at the line's end; it is open or lost by the limit."""
        self._drop("the stick was greeted anew")
        self._began_ns, self._limit_ns = now_ns, limit_ns
        self._line.clear()
        self._enter(LinkState.GREETING, "V is out")
        self._greet(now_ns)

    def close(self, reason: str = "the link was closed") -> None:
        """End the session here; the stick's channel is closed by what :meth:`output` still has."""
        self._end(LinkState.CLOSED, reason)

    def _greet(self, now_ns: int) -> None:
        self.counters["hello_tries"] += 1
        self._due_ns = min(now_ns + HELLO_RETRY_NS, self._began_ns + self._limit_ns)
        self._out += GREETING

    def _open(self, line: bytes, now_ns: int) -> None:
        self.identity = self._identity_of(line)
        self.counters["sessions"] += 1
        self._heard, self._misses, self._condition = True, 0, (_ACTIVE, 0, 0)
        self._due_ns = now_ns + POLL_NS
        self._enter(LinkState.OPEN, f"SLCAN stick, version {line[1:-1].decode('ascii', 'replace')}")

    def _identity_of(self, line: bytes) -> Identity:
        digits = [int(text) if text.isdigit() else 0 for text in (line[1:3], line[3:5])]
        return Identity(
            minor=0,
            max_frame=MOST_FRAME,
            window=1,
            rx_credit=4096,
            clock_hz=1_000_000,
            clock_bits=32,
            capabilities=Capability.CAN | Capability.CAN_FD,
            reset_cause=ResetCause.UNKNOWN,
            boot_id=0,
            uid=bytes(8),
            version=(0, digits[0], digits[1]),  # of the hardware and of its firmware
            build=0,
            board=self._name,
            firmware="slcan",
        )

    def _end(self, state: LinkState, reason: str) -> None:
        self._drop(reason)
        self._enter(state, reason)

    def _drop(self, reason: str) -> None:
        """Forget what waits; a channel that is open is closed by what :meth:`output` then has."""
        self.reason = reason
        answers, self._answers = self._answers, []
        self.counters["failed"] += len(answers)
        self._out.clear()
        self._port.sent.clear()
        self._port.received.clear()
        self._shut()
        for done, *_ in answers:
            done(None)

    def _shut(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.shutdown()

    def _enter(self, state: LinkState, reason: str) -> None:
        self.state, self.reason = state, reason
        self.on_state(state, reason)

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
        """Ask the stick; ``done`` gets the reply from the next :meth:`service`, which is due now.

        Without a session ``done(None)`` comes before this returns.
        """
        if self.state is not LinkState.OPEN:
            self.counters["refused"] += 1
            done(None)
            return
        self.counters["requests"] += 1
        status, answer = Status.UNSUPPORTED, b""
        if type_ == Request.CAN_CONFIG:
            status = self._configure(payload)
        elif type_ == Request.CAN_SEND:
            status = self._send(payload)
        elif type_ == Request.PING:
            status, answer = Status.OK, payload
        self._answers.append((done, int(type_), int(status), answer))

    def set_baud(self, baud: int, done: Callable[[bool], None], now_ns: int) -> None:
        """Refuse: a stick's line has no rate that can be asked for. Raises ``BoardError``."""
        raise BoardError(f"line rate {baud}: an SLCAN stick has none to set; leave it away")

    def _configure(self, payload: bytes) -> Status:
        """Open the stick's channel at the rates of the bus."""
        if len(payload) < _CAN_CONFIG.size:
            return Status.INVALID
        _, bitrate_hz, data_bitrate_hz, flags = _CAN_CONFIG.unpack_from(payload)
        from can import CanError

        self._shut()
        bus = self._bus = self._bus_type(
            self._port.port, sleep_after_open=0.0, timeout=0.0, listen_only=bool(flags & 1)
        )
        self._port.sent.clear()  # it has opened the channel before it was told the rate
        try:
            bus.set_bitrate(bitrate_hz, data_bitrate_hz or None)
        except (CanError, ValueError) as wrong:
            self._shut()
            self.counters["failed"] += 1
            self.reason = f"{self.reason}; not at {bitrate_hz} bit/s: {wrong}"
            return Status.UNSUPPORTED
        return Status.OK

    def _send(self, payload: bytes) -> Status:
        """Hand a frame to the stick."""
        if len(payload) < _CAN_SEND.size or self._bus is None:
            return Status.INVALID
        _, can_id, flags = _CAN_SEND.unpack_from(payload)
        data = payload[_CAN_SEND.size :]
        from can import CanError, Message

        remote = bool(can_id & _REMOTE)
        try:
            message = Message(
                arbitration_id=can_id & 0x1FFF_FFFF,
                is_extended_id=bool(can_id & _EXTENDED),
                is_remote_frame=remote,
                is_fd=bool(flags & _FDF),
                bitrate_switch=bool(flags & _BRS),
                error_state_indicator=bool(flags & _ESI),
                dlc=len(data),
                data=None if remote else data,
                check=True,
            )
            self._bus.send(message, timeout=0.0)
        except (CanError, ValueError):
            self.counters["failed"] += 1
            return Status.INVALID
        self.counters["sent"] += 1
        return Status.OK

    # --- what the stick says ------------------------------------------------------------------

    def _take(self, line: bytes, now_ns: int) -> None:
        self._heard = True
        self.counters["lines"] += 1
        self.counters["bells"] += line[-1:] == b"\a"
        if self.state is LinkState.GREETING:
            if line[:1] == b"V" and line[-1:] == b"\r":
                self._open(line, now_ns)
            return
        if self.state is not LinkState.OPEN:
            return
        letter = line[:1]
        if letter in b"tTrRdDbBx" and len(line) > 1:
            self._frame(line, now_ns)
        elif letter == b"F" and len(line) > 1:
            self._status(line, now_ns)
        elif letter == b"s" and len(line) > 1:
            self._state_line(line, now_ns)
        elif letter == b"e" and len(line) > 1:
            self.counters["error_frames"] += 1

    def _frame(self, line: bytes, now_ns: int) -> None:
        """Have python-can read a frame."""
        if self._bus is None:
            return  # of a channel that somebody else has left open
        self._port.received += line
        try:
            message = self._bus.recv(0.0)
        except (ValueError, IndexError, KeyError):
            message = None
        if message is None:
            self.counters["unreadable"] += 1
            self._port.received.clear()
            return
        can_id = message.arbitration_id
        can_id |= _EXTENDED if message.is_extended_id else 0
        can_id |= _REMOTE if message.is_remote_frame else 0
        flags = _FDF if message.is_fd else 0
        flags |= _BRS if message.bitrate_switch else 0
        data = bytes(message.dlc) if message.is_remote_frame else bytes(message.data)
        self.counters["received"] += 1
        self._tell(EventType.CAN_RX, _CAN_RX.pack(0, 0, can_id, flags) + data, now_ns)

    def _status(self, line: bytes, now_ns: int) -> None:
        try:
            flags = int(line[1:3], 16)
        except ValueError:
            self.counters["unreadable"] += 1
            return
        self.counters["overruns"] += bool(flags & OVERRUN)
        self.counters["bus_errors"] += bool(flags & BUS_ERROR)
        state, tec, rec = self._condition
        if state == _OFF:
            return  # a state line has said so, and one will say when it is over
        if not flags & (PASSIVE | WARNING):
            self._condition_is(_ACTIVE, 0, 0, now_ns)
        else:
            self._condition_is(_PASSIVE if flags & PASSIVE else _WARNING, tec, rec, now_ns)

    def _state_line(self, line: bytes, now_ns: int) -> None:
        text = line.decode("ascii", "replace")
        state = STATES.find(text[1])
        if state < 0 or not text[2:8].isdigit() or len(text) != 9:
            self.counters["unreadable"] += 1
            return
        self._condition_is(state, int(text[5:8]), int(text[2:5]), now_ns)

    def _condition_is(self, state: int, tec: int, rec: int, now_ns: int) -> None:
        if (state, tec, rec) != self._condition:
            self._condition = (state, tec, rec)
            payload = bytes((0, state, min(tec, 255), min(rec, 255)))
            self._tell(EventType.CAN_STATE, payload, now_ns)

    def _tell(self, kind: EventType, payload: bytes, now_ns: int) -> None:
        self._seq = (self._seq + 1) & 0xFF
        self.counters["events"] += 1
        self.on_event(Event(int(kind), self._seq, payload, now_ns, 0))
