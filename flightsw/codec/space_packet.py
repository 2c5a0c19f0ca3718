"""Space packets (CCSDS 133.0-B-2): a header of six octets, then at least one of data."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib

HEADER_NBYTES = 6
MAX_DATA_NBYTES = 65_536
IDLE_APID = 0x7FF
#: Sequence counts run modulo this, one count for each APID.
SEQ_MODULO = 16_384

CONTINUATION, FIRST, LAST, UNSEGMENTED = range(4)

_HEADER = Struct(">HHH")


class SpacePacket(NamedTuple):
    """One packet taken apart. ``data`` is all that follows the primary header."""

    apid: int
    seq: int
    seq_flags: int
    telecommand: bool
    secondary: bool
    data: bytes
    total_nbytes: int


class PacketTable(NamedTuple):
    """Columns of a scan, one element a packet, and where the scan stopped.

    ``consumed`` is less than the buffer's length when a packet at its end is not complete.
    """

    offset: npt.NDArray[np.uint64]
    nbytes: npt.NDArray[np.uint32]
    apid: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint16]
    seq_flags: npt.NDArray[np.uint8]
    telecommand: npt.NDArray[np.bool_]
    secondary: npt.NDArray[np.bool_]
    consumed: int


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


def unpack(buf: bytes, at: int = 0) -> SpacePacket:
    """Take apart the packet at offset ``at``.

    Raises TruncatedError if ``buf`` ends inside it, SyncError if its version is not 0.
    """
    left = len(buf) - at
    if left < HEADER_NBYTES:
        raise TruncatedError(f"space packet at octet {at}: {left} octets left, a header takes 6")
    word, sequence, length = _HEADER.unpack_from(buf, at)
    if word >> 13:
        raise SyncError(f"space packet at octet {at}: version {word >> 13}, must be 0")
    total = HEADER_NBYTES + length + 1
    if left < total:
        raise TruncatedError(f"space packet at octet {at}: says {total} octets, {left} are there")
    return SpacePacket(
        word & 0x7FF,
        sequence & 0x3FFF,
        sequence >> 14,
        bool(word & 0x1000),
        bool(word & 0x0800),
        bytes(buf[at + HEADER_NBYTES : at + total]),
        total,
    )


def scan(buf: bytes, capacity: int | None = None) -> PacketTable:
    """Return the headers of the packets that stand one behind the other in ``buf``, as columns.

    Stops in front of an incomplete packet (see ``consumed``) or after ``capacity`` packets. Raises
    SyncError where a packet's version is not 0.
    """
    n = len(buf) // (HEADER_NBYTES + 1) if capacity is None else capacity
    offset, nbytes = np.empty(n, np.uint64), np.empty(n, np.uint32)
    word, sequence = np.empty(n, np.uint16), np.empty(n, np.uint16)
    arrays = (offset, nbytes, word, sequence)
    kinds = ("uint64_t[]", "uint32_t[]", "uint16_t[]", "uint16_t[]")
    pointers = [ffi.from_buffer(kind, array) for kind, array in zip(kinds, arrays, strict=True)]
    columns, consumed = ffi.new("fs_packet_columns *", pointers), ffi.new("uint64_t *")
    found = lib.fs_packet_scan(ffi.from_buffer(buf), len(buf), columns, n, consumed)
    at = int(consumed[0])
    if found < 0:
        raise SyncError(
            f"packet scan: at octet {at} version {buf[at] >> 5}, must be 0; the octets before it"
            " can be scanned alone"
        )
    word, sequence = word[:found], sequence[:found]
    return PacketTable(
        offset[:found],
        nbytes[:found],
        word & np.uint16(0x7FF),
        sequence & np.uint16(0x3FFF),
        (sequence >> 14).astype(np.uint8),
        (word & 0x1000) != 0,
        (word & 0x0800) != 0,
        at,
    )
