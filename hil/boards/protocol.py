"""HILwire 1: numbers and layouts of every frame between bench and board.

``docs/board-protocol.md`` is the specification in words, :mod:`flightsw.codec.serial.hilwire` makes
and reads the frames. A *body* is ``head type seq payload``; :data:`REQUESTS`, :data:`REPLIES` (what
stands behind the status) and :data:`EVENTS` declare the payloads with construct, least significant
octet first. What is packed often is packed by ``struct``, made from these declarations.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import construct
from construct import (
    Array,
    Bytes,
    Computed,
    CString,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ul,
    Int16ul,
    Int32ul,
    Struct,
    this,
)

from flightsw.codec.wire import Status as BusStatus
from hil.errors import BoardError
from hil.printable import printable

MAJOR, MINOR = 1, 0
#: Decoded frame, in octets: head, type, seq, payload, fold and CRC.
LEAST_FRAME, DEFAULT_FRAME, MOST_FRAME = 64, 136, 252
#: Octets of a frame that are not payload: of the decoded one, and on the line.
HEAD_NBYTES, OVERHEAD_NBYTES, ON_LINE_NBYTES = 3, 6, 9
REPLY = 0x80
FIRST_EVENT = 0xC0


class Request(IntEnum):
    """What the host asks; the reply has bit 7 set and the same seq."""

    HELLO = 0x01
    PING = 0x02
    TIME = 0x03
    STATS = 0x04
    SET_BAUD = 0x05
    RESET = 0x06
    READ = 0x07
    WRITE = 0x08
    I2C_CONFIG = 0x10
    I2C_XFER = 0x11
    I2C_RECOVER = 0x12
    SPI_CONFIG = 0x18
    SPI_XFER = 0x19
    UART_CONFIG = 0x20
    UART_WRITE = 0x21
    GPIO_CONFIG = 0x28
    GPIO_WRITE = 0x29
    GPIO_READ = 0x2A
    CAN_CONFIG = 0x30
    CAN_SEND = 0x31
    TARGET_CONFIG = 0x38
    IMAGE_WRITE = 0x39
    IMAGE_READ = 0x3A


class EventType(IntEnum):
    """What a board says unasked; never retransmitted, seq counts them."""

    BOOT = 0xC0
    LOG = 0xC1
    RESEND = 0xC2
    UART_RX = 0xC8
    GPIO_EDGE = 0xC9
    CAN_RX = 0xCA
    CAN_STATE = 0xCB
    TARGET_WRITE = 0xD0
    TARGET_READ = 0xD1
    TARGET_STALE = 0xD2


#: A reply's first octet: a status of the wire record, or one of boards alone.
STATUS_NAMES = {int(status): status.name for status in BusStatus} | {0x10: "STALE"}
STALE = 0x10


class Capability(IntFlag):
    """What a board can do, of its identity."""

    I2C = 1 << 0
    SPI = 1 << 1
    UART = 1 << 2
    GPIO = 1 << 3
    CAN = 1 << 4
    CAN_FD = 1 << 5
    I2C_TARGET = 1 << 6
    SPI_TARGET = 1 << 7
    SET_BAUD = 1 << 8
    RESET = 1 << 9
    BOOT_LOADER = 1 << 10
    UID_WRITABLE = 1 << 11
    I2C_TEN_BIT = 1 << 12


class ResetCause(IntEnum):
    """Why a board started."""

    UNKNOWN = 0
    POWER_ON = 1
    EXTERNAL = 2
    BROWN_OUT = 3
    WATCHDOG = 4
    SOFTWARE = 5
    FAULT = 6


class ResendReason(IntEnum):
    """Why a board asks for a request again."""

    BAD_CHECK = 1
    OUT_OF_ORDER = 2
    OVERRUN = 3


class Space(IntEnum):
    """What READ and WRITE are about."""

    DESCRIPTION = 0
    UID = 1


class MessageFlag(IntFlag):
    """Bits of the address of an I2C message."""

    READ = 0x8000
    TEN = 0x4000
    NOSTART = 0x2000


#: Flags of I2C_XFER and SPI_XFER: leave the bus, or the chip select, as it is at the end. With
#: GO_ON the last message, a read, goes on with NOSTART in the next request, so that its last octet
#: is acknowledged.
HOLD, GO_ON = 1, 2
#: ``taken`` and ``failed`` of I2C_XFER where nothing failed.
NONE_FAILED = 0xFF

# --- payloads -------------------------------------------------------------------------------------

IDENTITY = Struct(
    "minor" / Int8ul,
    "max_frame" / Int8ul,
    "window" / Int8ul,
    "rx_credit" / Int16ul,
    "clock_hz" / Int32ul,
    "clock_bits" / Int8ul,
    "capabilities" / Int32ul,
    "reset_cause" / Int8ul,
    "boot_id" / Int32ul,
    "uid" / Bytes(8),
    "version" / Array(3, Int8ul),
    "build" / Int32ul,
    "board" / CString("ascii"),
    "firmware" / GreedyBytes,
)

I2C_MESSAGE = Struct(
    "address" / Int16ul,
    "length" / Int8ul,
    "data" / If(lambda this: not this.address & MessageFlag.READ, Bytes(this.length)),
)

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

REQUESTS: dict[Request, Any] = {
    Request.HELLO: Struct("major" / Int8ul, "minor" / Int8ul, "nonce" / Int16ul),
    Request.PING: Struct("data" / GreedyBytes),
    Request.TIME: Struct(),
    Request.STATS: Struct(),
    Request.SET_BAUD: Struct("baud" / Int32ul),
    Request.RESET: Struct("kind" / Int8ul),
    Request.READ: Struct("space" / Int8ul, "offset" / Int32ul, "n" / Int8ul),
    Request.WRITE: Struct("space" / Int8ul, "offset" / Int32ul, "data" / GreedyBytes),
    Request.I2C_CONFIG: Struct("bus" / Int8ul, "hz" / Int32ul),
    Request.I2C_XFER: Struct(
        "bus" / Int8ul, "flags" / Int8ul, "messages" / GreedyRange(I2C_MESSAGE)
    ),
    Request.I2C_RECOVER: Struct("bus" / Int8ul),
    Request.SPI_CONFIG: Struct("bus" / Int8ul, "cs" / Int8ul, "mode" / Int8ul, "hz" / Int32ul),
    Request.SPI_XFER: Struct("bus" / Int8ul, "cs" / Int8ul, "flags" / Int8ul, "data" / GreedyBytes),
    Request.UART_CONFIG: Struct(
        "port" / Int8ul,
        "baud" / Int32ul,
        "data_bits" / Int8ul,
        "parity" / Int8ul,
        "stop_half_bits" / Int8ul,
    ),
    Request.UART_WRITE: Struct("port" / Int8ul, "data" / GreedyBytes),
    Request.GPIO_CONFIG: Struct("pin" / Int8ul, "mode" / Int8ul, "edges" / Int8ul),
    Request.GPIO_WRITE: Struct("pin" / Int8ul, "level" / Int8ul),
    Request.GPIO_READ: Struct("pin" / Int8ul),
    Request.CAN_CONFIG: Struct(
        "bus" / Int8ul, "bitrate" / Int32ul, "data_bitrate" / Int32ul, "flags" / Int8ul
    ),
    Request.CAN_SEND: Struct(
        "bus" / Int8ul, "id" / Int32ul, "flags" / Int8ul, "data" / GreedyBytes
    ),
    Request.TARGET_CONFIG: Struct(
        "slot" / Int8ul,
        "bus" / Int8ul,
        "address" / Int16ul,
        "width" / Int8ul,
        "pointer" / Int8ul,
        "flags" / Int8ul,
        "fresh_ms" / Int16ul,
        "size" / Int16ul,
    ),
    Request.IMAGE_WRITE: Struct("slot" / Int8ul, "offset" / Int16ul, "data" / GreedyBytes),
    Request.IMAGE_READ: Struct("slot" / Int8ul, "offset" / Int16ul, "n" / Int8ul),
}

_NOTHING = Struct()
_DATA = Struct("data" / GreedyBytes)

#: What stands behind the status of a reply whose status is OK; I2C_XFER has it with any status
#: that the bus gave.
REPLIES: dict[Request, Any] = dict.fromkeys(Request, _NOTHING) | {
    Request.HELLO: IDENTITY,
    Request.PING: _DATA,
    Request.TIME: Struct("received_us" / Int32ul, "composed_us" / Int32ul),
    Request.STATS: Struct(*(name / Int16ul for name in COUNTERS)),
    Request.READ: _DATA,
    Request.I2C_CONFIG: Struct("hz" / Int32ul),
    Request.I2C_XFER: Struct(
        "t_us" / Int32ul, "taken" / Int8ul, "failed" / Int8ul, "data" / GreedyBytes
    ),
    Request.SPI_CONFIG: Struct("hz" / Int32ul),
    Request.SPI_XFER: Struct("t_us" / Int32ul, "data" / GreedyBytes),
    Request.UART_CONFIG: Struct("baud" / Int32ul),
    Request.UART_WRITE: Struct("taken" / Int8ul),
    Request.GPIO_CONFIG: Struct("level" / Int8ul),
    Request.GPIO_READ: Struct("level" / Int8ul),
    Request.IMAGE_READ: _DATA,
}

EVENTS: dict[EventType, Any] = {
    EventType.BOOT: IDENTITY,
    EventType.LOG: Struct("octets" / GreedyBytes, "text" / Computed(lambda c: log_text(c.octets))),
    EventType.RESEND: Struct("reason" / Int8ul, "expected" / Int8ul),
    EventType.UART_RX: Struct(
        "port" / Int8ul, "t_us" / Int32ul, "errors" / Int8ul, "data" / GreedyBytes
    ),
    EventType.GPIO_EDGE: Struct("pin" / Int8ul, "level" / Int8ul, "t_us" / Int32ul),
    EventType.CAN_RX: Struct(
        "bus" / Int8ul, "t_us" / Int32ul, "id" / Int32ul, "flags" / Int8ul, "data" / GreedyBytes
    ),
    EventType.CAN_STATE: Struct("bus" / Int8ul, "state" / Int8ul, "tec" / Int8ul, "rec" / Int8ul),
    EventType.TARGET_WRITE: Struct("slot" / Int8ul, "t_us" / Int32ul, "octets" / GreedyBytes),
    EventType.TARGET_READ: Struct(
        "slot" / Int8ul, "t_us" / Int32ul, "pointer" / Int16ul, "n" / Int8ul
    ),
    EventType.TARGET_STALE: Struct("slot" / Int8ul, "age_ms" / Int16ul),
}


def packer(declaration: Any) -> struct.Struct:
    """Return the ``struct`` of the fixed fields at the head of a declaration, in its order."""
    codes = []
    for field in declaration.subcons:
        if not hasattr(field.subcon, "fmtstr"):
            break
        codes.append(field.subcon.fmtstr[-1])
    return struct.Struct("<" + "".join(codes))


def log_text(octets: bytes) -> str:
    """Return the text of a LOG event; octets that cannot be printed are shown by their value."""
    return printable(octets.decode("ascii", "backslashreplace"))


def build(request: Request, **fields: Any) -> bytes:
    """Return the payload of a request; BoardError names a field that does not fit."""
    try:
        payload: bytes = REQUESTS[request].build(fields)
    except (construct.ConstructError, KeyError) as error:
        raise BoardError(f"request {request.name}: {error}".replace("\n", " ")) from error
    return payload


def parse(declaration: Any, payload: bytes) -> Any:
    """Return the fields of a payload; BoardError where it ends too early."""
    try:
        return declaration.parse(payload)
    except construct.ConstructError as error:
        raise BoardError(
            f"payload of {len(payload)} octets from the board is none of its type: the firmware"
            f" has an error ({str(error).splitlines()[0]})"
        ) from error


def status_name(status: int) -> str:
    """Return the name of a reply's status."""
    return STATUS_NAMES.get(status, f"status 0x{status:02X}")


class Identity(NamedTuple):
    """Who a board says it is, in HELLO and BOOT."""

    minor: int
    max_frame: int  #: octets of a decoded frame, 64 to 252
    window: int  #: requests that may be unanswered
    rx_credit: int  #: octets on the line that may be unanswered
    clock_hz: int
    clock_bits: int
    capabilities: Capability
    reset_cause: ResetCause
    boot_id: int
    uid: bytes
    version: tuple[int, int, int]
    build: int
    board: str
    firmware: str

    @classmethod
    def parse(cls, payload: bytes) -> Identity:
        """Read an identity; BoardError if it is none or says what no board may say."""
        fields = parse(IDENTITY, payload)
        known = fields.reset_cause in ResetCause.__members__.values()
        identity = cls(
            minor=fields.minor,
            max_frame=fields.max_frame,
            window=fields.window,
            rx_credit=fields.rx_credit,
            clock_hz=fields.clock_hz,
            clock_bits=fields.clock_bits,
            capabilities=Capability(fields.capabilities),
            reset_cause=ResetCause(fields.reset_cause if known else 0),
            boot_id=fields.boot_id,
            uid=bytes(fields.uid),
            version=tuple(fields.version),
            build=fields.build,
            board=printable(fields.board),
            firmware=log_text(bytes(fields.firmware)),
        )
        wrong = identity._wrong()
        if wrong:
            raise BoardError(
                f"board {identity.board!r} with firmware {identity.firmware!r} says {wrong}, which"
                " HILwire 1 does not allow; flash a firmware that keeps docs/board-protocol.md"
            )
        return identity

    def _wrong(self) -> str:
        if not LEAST_FRAME <= self.max_frame <= MOST_FRAME:
            return f"max_frame {self.max_frame} (of {LEAST_FRAME} to {MOST_FRAME})"
        if not 1 <= self.window <= 64:
            return f"window {self.window} (of 1 to 64)"
        if (self.clock_hz, self.clock_bits) != (1_000_000, 32):
            return f"a clock of {self.clock_hz} Hz and {self.clock_bits} bits (of 1000000 and 32)"
        return ""

    @property
    def version_text(self) -> str:
        """The version as it is written: 1.2.3."""
        return ".".join(map(str, self.version))

    @property
    def payload_nbytes(self) -> int:
        """Octets of payload that a frame of this board has at most."""
        return self.max_frame - OVERHEAD_NBYTES


class Reply(NamedTuple):
    """What a board answered."""

    type: int  #: of the request
    status: int
    payload: bytes  #: behind the status
    sent_ns: int  #: host time of the last transmission of the request
    received_ns: int
    tries: int  #: transmissions that it took

    @property
    def ok(self) -> bool:
        """Whether the status is OK."""
        return self.status == 0

    def fields(self) -> Any:
        """Return the payload's fields by name; BoardError where it ends too early."""
        return parse(REPLIES[Request(self.type)], self.payload)


class Event(NamedTuple):
    """What a board said unasked."""

    type: int
    seq: int
    payload: bytes
    received_ns: int
    lost: int  #: events that were lost in front of this one

    def fields(self) -> Any:
        """Return the payload's fields by name; BoardError where it ends too early."""
        return parse(EVENTS[EventType(self.type)], self.payload)
