"""One I2C transaction of the payload computer as requests to a board: as many as its frames need.

A message that does not fit into a frame goes on in the next request, with no START in front
(``NOSTART``) and the bus held in between (``HOLD``); ``GO_ON`` has the last octet of a read
acknowledged, since more of it follows. A read whose first octet says how many follow
is two. The next request goes out when the one before has been answered: after a failure nothing
more may reach the bus.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from flightsw.codec.wire import Status
from hil.boards.protocol import HOLD, NONE_FAILED, MessageFlag, Reply, Request
from hil.boards.targets import I2CAnswer
from hil.buses.i2c_messages import BLOCK_LIMIT, LENGTH_FIRST, TEN_BIT, Message

#: ``bus, flags`` in front of the messages, ``address, length`` of each, and of a reply ``status,
#: t_us, taken, failed``.
_HEAD_NBYTES, _REPLY_NBYTES = 2, 7
_MESSAGE = struct.Struct("<HB")
_REPLY = struct.Struct("<IBB")
_PIECE_LIMIT = 255
#: Flag of I2C_XFER beside HOLD: the last message goes on in the next request.
_GO_ON = 2
_OK = int(Status.OK)


class Line(Protocol):
    """A board as a transaction sees it."""

    @property
    def payload_nbytes(self) -> int:
        """Octets of payload that one of its frames has at most."""

    def ask(self, request: int, payload: bytes, done: Callable[[Reply | None], None]) -> None:
        """Put a request to the board; ``done`` gets its reply, None when there will be none."""


class Piece(NamedTuple):
    """A part of a message that fits into one request."""

    #: number of its message, and where in it the piece begins
    message: int
    offset: int
    address: int
    data: bytes
    length: int
    reads: bool


class I2CTransaction:
    """Runs ``messages`` on ``bus`` of a board; ``done`` gets the answer, None without one."""

    def __init__(
        self,
        line: Line,
        bus: int,
        messages: list[Message],
        done: Callable[[I2CAnswer | None], None],
    ) -> None:
        self._line = line
        self._bus = bus
        self._messages = messages
        self._done = done
        self._reads: dict[int, bytes] = {}
        self._left = self._pieces()
        self._under_way: list[Piece] = []
        self._holds = False

    def begin(self) -> None:
        """Put the first request to the board."""
        self._next()

    def _pieces(self) -> list[Piece]:
        """Cut the messages into pieces of which each fits into a request and its reply."""
        room = self._line.payload_nbytes
        write_limit = min(room - _HEAD_NBYTES - _MESSAGE.size, _PIECE_LIMIT)
        read_limit = min(room - _REPLY_NBYTES, _PIECE_LIMIT)
        pieces = []
        for nth, (address, flags, what) in enumerate(self._messages):
            head = address | (MessageFlag.TEN if flags & TEN_BIT else 0)
            if isinstance(what, int):
                length = 1 if flags & LENGTH_FIRST else what
                pieces += _cut(nth, head | MessageFlag.READ, b"", length, read_limit, 0)
            else:
                pieces += _cut(nth, head, what, len(what), write_limit, 0)
        return pieces

    def _next(self) -> None:
        """Put as many pieces into one request as fit, and send it."""
        room = self._line.payload_nbytes
        out, back = _HEAD_NBYTES, _REPLY_NBYTES
        taken: list[Piece] = []
        for piece in self._left:
            out += _MESSAGE.size + len(piece.data)
            back += piece.length if piece.reads else 0
            if taken and max(out, back) > room:
                break
            taken.append(piece)
            if self._messages[piece.message][1] & LENGTH_FIRST and piece.offset == 0:
                break  # what follows depends on what it says
        self._under_way, self._left = taken, self._left[len(taken) :]
        last = taken[-1]
        self._holds = bool(self._left) or (
            last.offset == 0 and bool(self._messages[last.message][1] & LENGTH_FIRST)
        )
        goes_on = self._left[0].message == last.message if self._left else self._holds
        flags = (HOLD if self._holds else 0) | (_GO_ON if goes_on else 0)
        payload = bytes((self._bus, flags)) + b"".join(
            _MESSAGE.pack(piece.address, piece.length) + piece.data for piece in taken
        )
        self._line.ask(Request.I2C_XFER, payload, self._answered)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None:
            self._done(None)
            return
        taken, failed, data = 0, NONE_FAILED, b""
        if len(reply.payload) >= _REPLY.size:
            _, taken, failed = _REPLY.unpack_from(reply.payload)
            data = reply.payload[_REPLY.size :]
        if reply.status != _OK:
            self._fail(reply.status, taken, failed)
            return
        if not self._keep(data):
            self._end(I2CAnswer(int(Status.PROTOCOL)))
        elif self._left:
            self._next()
        else:
            self._end(I2CAnswer(_OK, self._reads))

    def _end(self, answer: I2CAnswer) -> None:
        """Give the answer, when a bus that is still held is free again."""
        if not self._holds:
            self._done(answer)
            return
        free = bytes((self._bus,))
        self._line.ask(Request.I2C_RECOVER, free, lambda reply: self._done(answer))

    def _fail(self, status: int, taken: int, failed: int) -> None:
        if failed >= len(self._under_way):
            self._done(I2CAnswer(status))
            return
        piece = self._under_way[failed]
        octets = 0 if taken == NONE_FAILED else taken
        self._done(I2CAnswer(status, {}, piece.message, piece.offset + octets))

    def _keep(self, data: bytes) -> bool:
        """Keep what was read; False if it is less than was asked for, or no length."""
        for piece in self._under_way:
            if not piece.reads:
                continue
            octets, data = data[: piece.length], data[piece.length :]
            if len(octets) < piece.length:
                return False
            self._reads[piece.message] = self._reads.get(piece.message, b"") + octets
            _, flags, what = self._messages[piece.message]
            if flags & LENGTH_FIRST and piece.offset == 0:
                assert isinstance(what, int)
                if not 1 <= octets[0] <= BLOCK_LIMIT:
                    return bool(octets)  # the emulated wire says what it thinks of that
                limit = min(self._line.payload_nbytes - _REPLY_NBYTES, _PIECE_LIMIT)
                more = octets[0] + what - 1
                self._left[:0] = _cut(piece.message, piece.address, b"", more, limit, 1)
        return True


def _cut(
    message: int, address: int, data: bytes, length: int, limit: int, offset: int
) -> list[Piece]:
    """Cut one message, from ``offset`` on, into pieces of at most ``limit`` octets."""
    reads = bool(address & MessageFlag.READ)
    pieces = []
    begin = 0
    while True:
        size = min(length - begin, limit)
        at = offset + begin
        head = address | (MessageFlag.NOSTART if at else 0)
        pieces.append(Piece(message, at, head, data[begin : begin + size], size, reads))
        begin += size
        if begin >= length:
            return pieces
