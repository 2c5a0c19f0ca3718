"""Space packets (CCSDS 133.0-B-2): a header of six octets, then at least one of data."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.table import HEADER_NBYTES, IDLE_APID, SEQ_MODULO, PacketTable

__all__ = [
    "CONTINUATION",
    "FIRST",
    "HEADER_NBYTES",
    "IDLE_APID",
    "LAST",
    "MAX_DATA_NBYTES",
    "SEQ_MODULO",
    "UNSEGMENTED",
    "PacketTable",
    "SpacePacket",
    "pack",
    "scan",
    "unpack",
]

MAX_DATA_NBYTES = 65_536

#: Sequence flags.
CONTINUATION, FIRST, LAST, UNSEGMENTED = range(4)

_HEADER = Struct(">HHH")
_unpack_from = _HEADER.unpack_from
_make = tuple.__new__  # what a named tuple's own constructor calls, without its arguments by name


class SpacePacket(NamedTuple):
    """One packet taken apart. ``data`` is all that follows the primary header."""

    apid: int
    seq: int
    seq_flags: int
    telecommand: bool
    secondary: bool
    data: bytes
    total_nbytes: int


def pack(
    apid: int,
    seq: int,
    data: bytes,
    *,
    telecommand: bool = False,
    secondary: bool = True,
    seq_flags: int = UNSEGMENTED,
) -> bytes:
    """Return the octets of one packet; raises FieldRangeError for what does not fit its field."""
    nbytes = len(data)
    if not (0 <= apid < 2048 and 0 <= seq < SEQ_MODULO and 0 <= seq_flags < 4):
        raise FieldRangeError(
            f"space packet: APID {apid} (at most 2047), sequence count {seq} (at most 16383) or"
            f" flags {seq_flags} (at most 3) do not fit; nothing was written"
        )
    if not 0 < nbytes <= MAX_DATA_NBYTES:
        raise FieldRangeError(
            f"space packet of APID {apid}: {nbytes} octets of data, must be 1 to"
            f" {MAX_DATA_NBYTES}; split it"
        )
    word = (0x1000 if telecommand else 0) | (0x0800 if secondary else 0) | apid
    return _HEADER.pack(word, seq_flags << 14 | seq, nbytes - 1) + data


def unpack(buf: bytes | bytearray | memoryview, at: int = 0) -> SpacePacket:
    """Take apart the packet at offset ``at``.

    Raises TruncatedError if ``buf`` ends inside it, SyncError if its version is not 0.
    """
    if type(buf) is memoryview and buf.itemsize > 1:
        buf = buf.cast("B")
    left = len(buf) - at
    if at < 0 or left < HEADER_NBYTES:
        raise TruncatedError(
            f"space packet at octet {at} of {len(buf)}: {left} octets left, a header takes 6"
        )
    word, sequence, length = _unpack_from(buf, at)
    if word >> 13:
        raise SyncError(f"space packet at octet {at}: version {word >> 13}, must be 0")
    total = length + 7
    if left < total:
        raise TruncatedError(f"space packet at octet {at}: says {total} octets, {left} are there")
    return _make(
        SpacePacket,
        (
            word & 0x7FF,
            sequence & 0x3FFF,
            sequence >> 14,
            word & 0x1000 != 0,
            word & 0x0800 != 0,
            bytes(buf[at + HEADER_NBYTES : at + total]),
            total,
        ),
    )
