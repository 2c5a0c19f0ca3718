"""The host's end of HILwire 1 at its barest, for :mod:`hil.testing.contracts.board`.

Written from ``docs/board-protocol.md`` alone and for reading, not for speed: nothing of it is
shared with :mod:`hil.boards`, so that board and bench cannot agree on the same mistake. It sends
what it is told, right or wrong, and keeps replies and events apart; it repeats and repairs nothing.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import NamedTuple

MAJOR = 1
HELLO, PING, TIME, STATS, SET_BAUD, RESET, READ, WRITE = range(1, 9)
BOOT, LOG, RESEND = 0xC0, 0xC1, 0xC2
OK, UNSUPPORTED, INVALID = 0, 6, 7
#: In the order of STATS.
COUNTERS = (
    "frames",
    "bad_check",
    "bad_cobs",
    "overlong",
    "wrong_epoch",
    "no_session",
    "repeated",
    "out_of_order",
    "rx_overrun",
    "events_lost",
)
#: Of an identity, in front of the two names.
_NUMBERS = struct.Struct("<BBBHIBIBI8s3BI")
#: A board that is not heard for so long is not there.
PATIENCE_S = 5.0


def crc_octets(octets: bytes) -> bytes:
    """Return the CRC-16 (0x1021, preset to ones) of octets, as it stands behind them."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return bytes((crc & 0xFF, crc >> 8))


def check_octets(body: bytes) -> bytes:
    """Return fold and CRC of a body, as they stand behind it."""
    a, fold = 1, 0
    for octet in body:
        a = (a + octet) & 0xFF
        fold = (fold + a) & 0xFF
    return bytes((fold,)) + crc_octets(body + bytes((fold,)))


def on_line(decoded: bytes) -> bytes:
    """Return a decoded frame, check included, as it stands on the line (one COBS block)."""
    pieces = decoded.split(b"\0")
    return b"\0" + b"".join(bytes((len(piece) + 1,)) + piece for piece in pieces) + b"\0"


def decoded(line: bytes) -> bytes:
    """Return the decoded frame of what stood between two delimiters.

    Raises:
        ValueError: The line is no COBS block.
    """
    pieces, at = [], 0
    while at < len(line):
        end = at + line[at]
        if end > len(line):
            raise ValueError(f"COBS: a piece of {line[at] - 1} octets with {len(line) - at - 1}")
        pieces.append(line[at + 1 : end])
        at = end
    return b"\0".join(pieces)


class Frame(NamedTuple):
    """The body of a frame that a board sent."""

    major: int
    epoch: int
    type: int
    seq: int
    payload: bytes

    @property
    def status(self) -> int:
        """Return the status that a reply begins with."""
        return self.payload[0]

    @property
    def data(self) -> bytes:
        """Return what stands behind the status."""
        return self.payload[1:]


class Identity(NamedTuple):
    """What HELLO and BOOT say of a board (``docs/board-protocol.md``, identity)."""

    minor: int
    max_frame: int
    window: int
    rx_credit: int
    clock_hz: int
    clock_bits: int
    capabilities: int
    reset_cause: int
    boot_id: int
    uid: bytes
    version: tuple[int, ...]
    build: int
    board: str
    firmware: str

    @classmethod
    def of(cls, payload: bytes) -> Identity:
        """Take an identity apart; fails where it is too short or has no two names."""
        assert len(payload) > _NUMBERS.size, f"an identity of {len(payload)} octets"
        numbers = _NUMBERS.unpack_from(payload)
        names = payload[_NUMBERS.size :].split(b"\0")
        assert len(names) == 2, f"an identity with {len(names)} names: {names!r}"
        minor, frame, window, credit, hz, bits, can, cause, boot, uid, *version, build = numbers
        board, firmware = (name.decode() for name in names)
        sizes = (minor, frame, window, credit, hz, bits)
        return cls(*sizes, can, cause, boot, uid, tuple(version), build, board, firmware)


class BoardBench:
    """One descriptor with a board behind it; ``seq`` and ``epoch`` are of the next request."""

    def __init__(self, fd: int, patience_s: float = PATIENCE_S) -> None:
        self.fd = fd
        self.patience_s = patience_s
        self.epoch = 0
        self.seq = 0
        self.events: list[Frame] = []
        self._heard = b""

    # --- octets and frames ---------------------------------------------------------------------

    def write(self, octets: bytes) -> None:
        """Send octets as they are; fails when the line takes none for ``patience_s``."""
        while octets:
            _, ready, _ = select.select([], [self.fd], [], self.patience_s)
            assert ready, "the line takes no octets"
            octets = octets[os.write(self.fd, octets) :]

    def body(self, kind: int, payload: bytes = b"", seq: int | None = None) -> bytes:
        """Return the body of a request in this session, without check."""
        seq = self.seq if seq is None else seq
        return bytes((MAJOR << 4 | self.epoch, kind, seq & 0xFF)) + payload

    def send(self, body: bytes) -> None:
        """Send a body with its check, framed."""
        self.write(on_line(body + check_octets(body)))

    def receive(self) -> Frame:
        """Return the next frame, event or reply; fails when none comes or it is damaged."""
        until = time.monotonic() + self.patience_s
        while True:
            line, delimiter, rest = self._heard.partition(b"\0")
            if delimiter:
                self._heard = rest
                if line:
                    return self._frame(line)
                continue
            left = until - time.monotonic()
            ready, _, _ = select.select([self.fd], [], [], max(0.0, left))
            assert ready, f"the board says nothing for {self.patience_s} s"
            octets = os.read(self.fd, 4096)
            assert octets, "the line has ended"
            self._heard += octets

    @staticmethod
    def _frame(line: bytes) -> Frame:
        frame = decoded(line)
        assert len(frame) >= 6, f"a frame of {len(frame)} octets: {frame.hex(' ')}"
        assert check_octets(frame[:-3]) == frame[-3:], f"a damaged frame: {frame.hex(' ')}"
        return Frame(frame[0] >> 4, frame[0] & 15, frame[1], frame[2], frame[3:-3])

    def reply(self) -> Frame:
        """Return the next reply; events before it are kept in ``events``."""
        while (frame := self.receive()).type >= BOOT:
            self.events.append(frame)
        return frame

    def event(self, kind: int) -> Frame:
        """Return the oldest event of a kind, waiting for it; others are kept."""
        for index, frame in enumerate(self.events):
            if frame.type == kind:
                return self.events.pop(index)
        while True:
            frame = self.receive()
            if frame.type == kind:
                return frame
            assert frame.type >= BOOT, f"a reply that nobody waits for: {frame}"
            self.events.append(frame)

    # --- requests ------------------------------------------------------------------------------

    def request(self, kind: int, payload: bytes = b"") -> Frame:
        """Put one request and return its reply, which must be of this type, seq and epoch."""
        self.send(self.body(kind, payload))
        return self.answered(kind)

    def answered(self, kind: int) -> Frame:
        """Return the reply to the request that was sent with ``seq``, and go on to the next."""
        reply, seq = self.reply(), self.seq
        want = (MAJOR, self.epoch, kind | 0x80, seq)
        assert reply[:4] == want, f"a reply {reply[:4]} where {want} was due"
        assert reply.payload, f"a reply of type 0x{kind | 0x80:02x} without a status"
        self.seq = (seq + 1) & 0xFF
        return reply

    def hello(self, nonce: int, seq: int = 0, head: int = MAJOR << 4) -> Identity:
        """Open a session and return the board's identity; the epoch is taken from the reply."""
        body = bytes((head, HELLO, seq & 0xFF, MAJOR, 0)) + nonce.to_bytes(2, "little")
        self.send(body)
        reply = self.reply()
        assert (reply.major, reply.type, reply.seq) == (MAJOR, HELLO | 0x80, seq & 0xFF), reply
        assert reply.status == OK, f"HELLO ends with status {reply.status}"
        self.epoch, self.seq = reply.epoch, (seq + 1) & 0xFF
        return Identity.of(reply.data)

    def counters(self) -> dict[str, int]:
        """Return the board's counters by name; the STATS request itself is one of the frames."""
        data = self.request(STATS).data
        assert len(data) == 2 * len(COUNTERS), f"STATS of {len(data)} octets"
        values = [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]
        return dict(zip(COUNTERS, values, strict=True))

    def grown(self, before: dict[str, int]) -> dict[str, int]:
        """Return by how much counters have grown since, less the STATS request's own frame."""
        after = self.counters()
        growth = {name: (after[name] - before[name]) & 0xFFFF for name in COUNTERS}
        growth["frames"] -= 1
        return {name: value for name, value in growth.items() if value}
