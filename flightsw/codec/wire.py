"""The wire record: one unit of traffic on a bus, on the link, or between bench and participant.

What crosses a seam is one record, and the same octets are what a socket carries, what the capture
stores and what replay reads. The layout is the C ``fs_record`` of ``csrc/record/wire.h``;
:data:`RECORD` describes it with construct, and :data:`HEADER` is the packer made from that.

A *message* on a participant channel is one or more records, one after the other. See
:class:`Kind` for who sends which.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from construct import Bytes, Int8ul, Int32ul, Int64ul, Struct, this

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib


class Kind(IntEnum):
    """What a record is. Below 0x10: time protocol, never part of a digest."""

    HELLO = 0x01  #: participant -> bench, JSON {protocol, name, pid, boot}
    WELCOME = 0x02  #: bench -> participant, JSON {rig, board, channels, devices, config}
    NEXT = 0x03  #: participant -> bench: blocked until t_ns, or until input if flag WAKE
    GRANT = 0x04  #: bench -> participant: time is now t_ns
    END = 0x05  #: bench -> participant: the run is over; answer END_ACK
    END_ACK = 0x06  #: participant -> bench: u64 records seen + their BLAKE2b-256
    REFUSE = 0x07  #: bench -> participant: UTF-8 reason and remedy
    OPEN = 0x08  #: program -> bench: device path or bus name in UTF-8; docs/bench-socket.md
    ATTRIBUTE = 0x09  #: program -> bench: read a live attribute (or write it), the same page
    LINES = 0x0A  #: modem lines, rate and format of a serial line have changed, JSON
    NUMBER = 0x0B  #: in front of every message of a lasting link: its number, in seq
    STORED = 0x0C  #: participant -> bench, after the end: a file of its storage

    I2C = 0x10
    SPI = 0x11
    UART = 0x12
    CAN = 0x13
    GPIO = 0x14
    FRAME = 0x15  #: imager frame
    LOAD = 0x16  #: payload computer tells the power model what it computes
    ONEWIRE = 0x17

    TM = 0x20  #: telemetry transfer frame on the air (status: received, damaged)
    TC = 0x21  #: telecommand unit (CLTU) on the air
    LINK = 0x22  #: carrier state, JSON

    EVENT = 0x30  #: JSON {source, severity, name, ...}
    WORLD = 0x31  #: JSON sample of the world's state
    FAULT = 0x32  #: JSON: a fault plan entry that took effect


class Flag(IntFlag):
    """Record flags."""

    REPLY = 0x01  #: completed transaction (as recorded); without it, a request
    INPUT = 0x02  #: towards the unit under test (UART rx, CAN rx, GPIO input edge)
    FAULTED = 0x04  #: a fault or an interceptor changed this transaction
    WAKE = 0x08  #: on NEXT: grant early, at the time of the first input
    CAN_BRS = 0x10  #: on CAN: bit rate switched; these three are ``canfd_frame.flags``
    CAN_ESI = 0x20  #: on CAN: the sender is error passive
    CAN_FD = 0x40  #: on CAN: FD format
    BOARD = 0x80  #: a real board answered it or sent it


class Status(IntEnum):
    """Outcome of a transaction, independent of any adapter's errno."""

    OK = 0
    NAK_ADDRESS = 1
    NAK_DATA = 2
    ARBITRATION_LOST = 3
    TIMEOUT = 4
    STUCK = 5
    UNSUPPORTED = 6
    INVALID = 7
    BUS_OFF = 8
    OVERRUN = 9
    FRAMING = 10
    DAMAGED = 11
    ABSENT = 12
    BUSY = 13
    PROTOCOL = 14


#: First kind that is part of the digest of a run; WORLD samples are a view and are not.
FIRST_DIGEST_KIND = 0x10

HEADER_FIELDS = Struct(
    "kind" / Int8ul,
    "channel" / Int8ul,
    "flags" / Int8ul,
    "status" / Int8ul,
    "length" / Int32ul,
    "t_ns" / Int64ul,
    "duration_ns" / Int64ul,
    "seq" / Int32ul,
    "address" / Int32ul,
)
RECORD = Struct("header" / HEADER_FIELDS, "payload" / Bytes(this.header.length))

# construct's FormatField keeps the struct code of each field, so the fast packer cannot drift.
HEADER = struct.Struct("<" + "".join(field.subcon.fmtstr[-1] for field in HEADER_FIELDS.subcons))
HEADER_NBYTES = HEADER.size
assert HEADER_NBYTES == HEADER_FIELDS.sizeof() == 32


class Record(NamedTuple):
    """One decoded record. ``t_ns`` and ``duration_ns`` are nanoseconds of virtual time."""

    kind: int
    channel: int
    flags: int
    status: int
    t_ns: int
    duration_ns: int
    seq: int
    address: int
    payload: bytes

    def pack(self) -> bytes:
        """Return the octets of the record."""
        return pack(*self)


def pack(
    kind: int,
    channel: int = 0,
    flags: int = 0,
    status: int = 0,
    t_ns: int = 0,
    duration_ns: int = 0,
    seq: int = 0,
    address: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return the octets of one record: 32 of header, then the payload."""
    return (
        HEADER.pack(kind, channel, flags, status, len(payload), t_ns, duration_ns, seq, address)
        + payload
    )


def unpack_from(buf: bytes, at: int = 0) -> tuple[Record, int]:
    """Decode the record at offset ``at``; return it and the offset of the next one.

    Raises :class:`~flightsw.codec.errors.TruncatedError` if ``buf`` ends inside the record.
    """
    body = at + HEADER_NBYTES
    if at < 0 or body > len(buf):
        raise TruncatedError(f"wire record at octet {at}: header cut after {len(buf) - at} octets")
    kind, channel, flags, status, length, t_ns, duration_ns, seq, address = HEADER.unpack_from(
        buf, at
    )
    end = body + length
    if end > len(buf):
        raise TruncatedError(
            f"wire record at octet {at}: {length} octets of payload, {len(buf) - body} there"
        )
    return Record(kind, channel, flags, status, t_ns, duration_ns, seq, address, buf[body:end]), end


def unpack_all(buf: bytes) -> Iterator[Record]:
    """Decode every record of a message in order."""
    at, end = 0, len(buf)
    while at < end:
        record, at = unpack_from(buf, at)
        yield record


def scan(buf: bytes, capacity: int | None = None) -> list[int]:
    """Return the offset of every record in ``buf``, found in C.

    Raises :class:`~flightsw.codec.errors.TruncatedError` if ``buf`` ends inside a record.
    """
    n = len(buf) // HEADER_NBYTES + 1 if capacity is None else capacity
    offsets = ffi.new("uint64_t[]", n)
    found = lib.fs_wire_scan(ffi.from_buffer(buf), len(buf), offsets, n)
    if found < 0:
        raise TruncatedError(f"message of {len(buf)} octets ends inside a wire record")
    return list(offsets[0:found])
