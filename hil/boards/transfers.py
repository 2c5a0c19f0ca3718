"""Transfers that are longer than a frame, and bulk reads and writes, over a :class:`Link`.

An I2C transaction goes out in as many requests as it needs: HOLD keeps the bus between them,
NOSTART goes on with a message that was cut, and GO_ON has the board acknowledge the last octet of a
read that goes on. On the wires it is one transaction, with its clock held between two requests. The
requests of one bus follow each other; other buses of the board go on in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hil.boards.link import Link
from hil.boards.protocol import (
    GO_ON,
    HOLD,
    NONE_FAILED,
    OVERHEAD_NBYTES,
    MessageFlag,
    Reply,
    Request,
)
from hil.boards.window import MS, SECOND
from hil.errors import BoardError

#: What the board may take beyond the time on the bus: its own waits are bounded by 100 ms.
BUSY_NS = 200 * MS
I2C_HEAD, I2C_MESSAGE_HEAD, I2C_REPLY_HEAD = 2, 3, 7
SPI_HEAD, SPI_REPLY_HEAD = 3, 5
SPACE_HEAD = 5


class I2CMessage(NamedTuple):
    """One message of a transaction: octets to write, or how many to read."""

    address: int  #: with the bits of MessageFlag but READ
    write: bytes = b""
    read_nbytes: int = 0


class I2CResult(NamedTuple):
    """What became of a transaction."""

    status: int
    t_us: int  #: of its START, on the board's clock; 0 where it came to none
    failed: int  #: index of the message that failed, or NONE_FAILED
    taken: int  #: octets acknowledged in it, or NONE_FAILED
    data: bytes  #: what was read, of all messages


class SpiResult(NamedTuple):
    """What became of an exchange."""

    status: int
    t_us: int
    data: bytes


class _Piece(NamedTuple):
    """One I2C_XFER: its payload, and which messages (index, octets done before) it is made of."""

    payload: bytes
    messages: tuple[tuple[int, int], ...]
    nbytes: int


def i2c_pieces(bus: int, messages: Sequence[I2CMessage], max_frame: int) -> Iterator[_Piece]:
    """Yield the requests of one transaction for frames of so many octets."""
    room_out = max_frame - OVERHEAD_NBYTES - I2C_HEAD
    room_in = max_frame - OVERHEAD_NBYTES - I2C_REPLY_HEAD
    body, parts, out, back = b"", list[tuple[int, int]](), 0, 0
    for index, message in enumerate(messages):
        read = bool(message.read_nbytes)
        left, done = (message.read_nbytes if read else len(message.write)), 0
        while True:
            space = room_out - out - I2C_MESSAGE_HEAD
            n = min(left, room_in - back if read else space, 255)
            if space < 0 or (left and n <= 0):
                flags = HOLD | (GO_ON if read and done else 0)
                yield _Piece(bytes((bus, flags)) + body, tuple(parts), out + back)
                body, parts, out, back = b"", [], 0, 0
                continue
            address = message.address | (MessageFlag.READ if read else 0)
            address |= MessageFlag.NOSTART if done else 0
            body += address.to_bytes(2, "little") + bytes((n,))
            body += b"" if read else message.write[done : done + n]
            parts.append((index, done))
            out += I2C_MESSAGE_HEAD + (0 if read else n)
            back += n if read else 0
            left, done = left - n, done + n
            if not left:
                break
    yield _Piece(bytes((bus, 0)) + body, tuple(parts), out + back)


class Transfers:
    """Queues of transfers, one a bus, over one link; each ``done`` gets None if the link fails."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lanes: dict[str, deque[Callable[[], None]]] = {}

    def _queue(self, lane: str, start: Callable[[], None]) -> None:
        waiting = self._lanes.setdefault(lane, deque())
        waiting.append(start)
        if len(waiting) == 1:
            start()

    def _leave(self, lane: str) -> None:
        """One transfer of a lane is over: the next."""
        waiting = self._lanes[lane]
        waiting.popleft()
        if waiting:
            waiting[0]()

    def _max_frame(self) -> int:
        identity = self._link.identity
        if identity is None:
            raise BoardError(f"no board yet ({self._link.reason}): open the link first")
        return identity.max_frame

    # --- I2C ----------------------------------------------------------------------------------

    def i2c(
        self,
        bus: int,
        messages: Sequence[I2CMessage],
        done: Callable[[I2CResult | None], None],
        hz: int = 100_000,
    ) -> None:
        """Run one transaction; ``hz`` is the bus clock, from which patience follows."""
        lane = f"i2c{bus}"
        pieces = deque(i2c_pieces(bus, messages, self._max_frame()))
        data: list[bytes] = []
        begun_us: list[int] = []

        def finish(result: I2CResult | None) -> None:
            self._leave(lane)
            done(result)

        def go_on() -> None:
            piece = pieces.popleft()
            busy_ns = BUSY_NS + 2 * 9 * piece.nbytes * SECOND // hz

            def answered(reply: Reply | None) -> None:
                if reply is None:
                    finish(None)
                    return
                result = _merged(reply, piece, begun_us, data)
                if reply.ok and pieces:
                    go_on()
                else:
                    finish(result)

            self._link.request(Request.I2C_XFER, piece.payload, answered, busy_ns=busy_ns)

        self._queue(lane, go_on)

    # --- SPI ----------------------------------------------------------------------------------

    def spi(
        self,
        bus: int,
        cs: int,
        octets: bytes,
        done: Callable[[SpiResult | None], None],
        hz: int = 1_000_000,
        hold: bool = False,
    ) -> None:
        """Exchange octets, the chip selected from the first to the last (``hold``: beyond it)."""
        lane = f"spi{bus}"
        room = self._max_frame() - OVERHEAD_NBYTES - max(SPI_HEAD, SPI_REPLY_HEAD)
        back: list[bytes] = []
        begun_us: list[int] = []

        def finish(result: SpiResult | None) -> None:
            self._leave(lane)
            done(result)

        def go_on(at: int = 0) -> None:
            part = octets[at : at + room]
            last = at + len(part) >= len(octets)
            flags = 0 if last and not hold else HOLD

            def answered(reply: Reply | None) -> None:
                if reply is None:
                    finish(None)
                    return
                begun_us.append(int.from_bytes(reply.payload[:4], "little"))
                back.append(reply.payload[4:])
                if reply.ok and not last:
                    go_on(at + len(part))
                else:
                    finish(SpiResult(reply.status, begun_us[0], b"".join(back)))

            payload = bytes((bus, cs, flags)) + part
            busy_ns = BUSY_NS + 2 * 8 * len(part) * SECOND // hz
            self._link.request(Request.SPI_XFER, payload, answered, busy_ns=busy_ns)

        self._queue(lane, go_on)

    # --- bulk ---------------------------------------------------------------------------------

    def read(
        self, space: int, offset: int, nbytes: int, done: Callable[[int, bytes | None], None]
    ) -> None:
        """Read at most ``nbytes`` octets of a space; ``done`` gets status and octets, or None."""
        room = self._max_frame() - OVERHEAD_NBYTES - 1
        got: list[bytes] = []

        def go_on(at: int) -> None:
            n = min(nbytes - at, room)

            def answered(reply: Reply | None) -> None:
                if reply is None:
                    done(0, None)
                    return
                got.append(reply.payload)
                more = reply.ok and len(reply.payload) == n and at + n < nbytes
                if more:
                    go_on(at + n)
                else:
                    done(reply.status, b"".join(got))

            where = (offset + at).to_bytes(4, "little")
            self._link.request(Request.READ, bytes((space,)) + where + bytes((n,)), answered)

        go_on(0)

    def write(
        self, space: int, offset: int, octets: bytes, done: Callable[[int | None], None]
    ) -> None:
        """Write octets to a space; ``done`` gets the first status that is not OK, or OK."""
        room = self._max_frame() - OVERHEAD_NBYTES - SPACE_HEAD

        def go_on(at: int) -> None:
            part = octets[at : at + room]

            def answered(reply: Reply | None) -> None:
                if reply is None:
                    done(None)
                elif reply.ok and at + len(part) < len(octets):
                    go_on(at + len(part))
                else:
                    done(reply.status)

            where = (offset + at).to_bytes(4, "little")
            self._link.request(Request.WRITE, bytes((space,)) + where + part, answered)

        go_on(0)


def _merged(reply: Reply, piece: _Piece, begun_us: list[int], data: list[bytes]) -> I2CResult:
    """Return the result so far: the reply of one request in terms of the whole transaction."""
    failed = taken = NONE_FAILED
    if len(reply.payload) >= I2C_REPLY_HEAD - 1:
        begun_us.append(int.from_bytes(reply.payload[:4], "little"))
        taken, failed = reply.payload[4], reply.payload[5]
        data.append(reply.payload[6:])
    if failed < len(piece.messages):
        failed, before = piece.messages[failed]
        taken += before
    return I2CResult(reply.status, begun_us[0] if begun_us else 0, failed, taken, b"".join(data))
