"""Many space packets at once (CCSDS 133.0-B-2): columns of headers over octets that stay in place.

    table = scan(octets)                          from :mod:`flightsw.codec.packet.find`
    table.apid, table.seq, table.nbytes           one array a header field
    table.ok, table.lost_before                   error control, packets lost in front of each
    for apid, part in table.by_apid().items():    views, no octet is copied
        for packet in part.pieces(): ...
    Tracker, Joiner                               sequence counts and segmented packets

Octets may be anything that shows its memory: bytes, a memory map of a file, an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import places_of
from flightsw.codec.packet.sequence import Tracker

HEADER_NBYTES = 6
IDLE_APID: int = lib.FS_PACKET_APID_IDLE
#: Sequence counts run modulo this, one count for each packet type and APID.
SEQ_MODULO = 16_384
MIN_NBYTES: int = lib.FS_PACKET_MIN_NBYTES
MAX_NBYTES: int = lib.FS_PACKET_NBYTES

Octets = Any
"""Whatever shows its memory as octets."""

_from_buffer = ffi.from_buffer
#: Columns as C takes them: offset, octets, first header word, sequence word.
COLUMN_TYPES = ("uint64_t[]", "uint32_t[]", "uint16_t[]", "uint16_t[]")
COLUMN_DTYPES = (np.uint64, np.uint32, np.uint16, np.uint16)


class PacketTable:
    """Columns of packets, one element a packet, all arrays of the same length.

    ``buf`` is where the packets lie, ``offset`` (uint64, octets) and ``nbytes`` (uint32, the whole
    packet) say where; ``id`` and ``sequence`` (uint16) are the first two header words, of which the
    other columns are made when they are asked for. ``consumed`` is where the scan stopped: less
    than the buffer's length when a packet at its end is not complete.
    """

    def __init__(
        self,
        buf: Octets,
        offset: npt.NDArray[np.uint64],
        nbytes: npt.NDArray[np.uint32],
        id: npt.NDArray[np.uint16],
        sequence: npt.NDArray[np.uint16],
        consumed: int,
    ) -> None:
        self.buf, self.consumed = buf, consumed
        self.offset, self.nbytes, self.id, self.sequence = offset, nbytes, id, sequence

    def __len__(self) -> int:
        return len(self.offset)

    @cached_property
    def apid(self) -> npt.NDArray[np.uint16]:
        """Application process identifiers."""
        return self.id & np.uint16(0x7FF)

    @cached_property
    def seq(self) -> npt.NDArray[np.uint16]:
        """Sequence counts, modulo 16,384."""
        return self.sequence & np.uint16(0x3FFF)

    @cached_property
    def seq_flags(self) -> npt.NDArray[np.uint8]:
        """Sequence flags: 0 continuation, 1 first, 2 last, 3 unsegmented."""
        return (self.sequence >> 14).astype(np.uint8)

    @cached_property
    def telecommand(self) -> npt.NDArray[np.bool_]:
        """True for telecommands, False for telemetry."""
        return (self.id & np.uint16(0x1000)).astype(np.bool_)

    @cached_property
    def secondary(self) -> npt.NDArray[np.bool_]:
        """True where a secondary header follows the primary one."""
        return (self.id & np.uint16(0x0800)).astype(np.bool_)

    @cached_property
    def ok(self) -> npt.NDArray[np.bool_]:
        """True where the CRC over the whole packet is 0: the error control is right.

        Packets that carry none, as idle packets, are False; see :meth:`check`.
        """
        out = np.empty(len(self), np.uint8)
        _, offset, nbytes, *_ = self._pointers()
        octets = _from_buffer(self.buf)
        code = lib.fs_packet_check(
            octets, len(octets), offset, nbytes, len(self), _from_buffer("uint8_t[]", out)
        )
        if code < 0:
            raise TruncatedError(f"packet table: a packet ends behind the {len(octets)} octets")
        return out.view(np.bool_)

    @cached_property
    def lost_before(self) -> npt.NDArray[np.uint16]:
        """Packets of the same type and APID lost right in front of each, by this table alone.

        For more than one table, or more than gaps, feed them to a
        :class:`~flightsw.codec.packet.sequence.Tracker`.
        """
        return Tracker().follow(self).missing

    def check(self, apids: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Return :attr:`ok` for APIDs that carry error control, ``apids``, and True elsewhere."""
        part = np.flatnonzero(np.isin(self.apid, list(apids)))
        out = np.ones(len(self), np.bool_)
        out[part] = self._take(part).ok
        return out

    def select(
        self,
        apid: int | Iterable[int] | None = None,
        *,
        telecommand: bool | None = None,
        where: npt.NDArray[Any] | None = None,
    ) -> PacketTable:
        """Return the packets that fit all that is given, in order; no octet is copied.

        ``where`` is a mask of as many elements as packets, or row numbers; FieldRangeError for
        anything else.
        """
        rows: npt.NDArray[Any] = np.arange(len(self)) if where is None else np.asarray(where)
        if rows.dtype == np.bool_ and rows.shape == (len(self),):
            rows = np.flatnonzero(rows)
        elif where is not None:
            rows = self._rows(rows)
        if apid is not None:
            wanted = list(apid) if isinstance(apid, Iterable) else [apid]
            rows = rows[np.isin(self.apid[rows], wanted)]
        if telecommand is not None:
            rows = rows[self.telecommand[rows] == telecommand]
        return self._take(rows)

    def _rows(self, given: npt.NDArray[Any]) -> npt.NDArray[Any]:
        rows = places_of("packet table: rows", given, np.int64)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise FieldRangeError(
                f"packet table: rows {rows.min()} to {rows.max()} of {len(self)} packets"
            )
        return rows

    def by_apid(self) -> dict[int, PacketTable]:
        """Return one table an APID, lowest first, each in the order of the stream."""
        if not len(self):
            return {}
        sorted_table = self._take(np.argsort(self.apid, kind="stable"))
        apids = sorted_table.apid
        starts = [0, *(np.flatnonzero(apids[1:] != apids[:-1]) + 1).tolist(), len(apids)]
        return {
            int(apids[start]): sorted_table._take(slice(start, end))
            for start, end in pairwise(starts)
        }

    def pieces(self) -> Iterator[memoryview]:
        """Yield the octets of each packet, as views of the buffer."""
        view = memoryview(self.buf).cast("B")
        for at, nbytes in zip(self.offset.tolist(), self.nbytes.tolist(), strict=True):
            yield view[at : at + nbytes]

    def gather(self) -> bytes:
        """Return the packets one behind the other, as their own stream."""
        out = bytearray(int(self.nbytes.sum(dtype=np.uint64)))
        _, offset, nbytes, *_ = self._pointers()
        octets = _from_buffer(self.buf)
        code = lib.fs_gather(
            octets, len(octets), offset, nbytes, len(self), _from_buffer(out), len(out)
        )
        if code < 0:
            raise TruncatedError(f"packet table: a packet ends behind the {len(octets)} octets")
        return bytes(out)

    def _take(self, rows: npt.NDArray[Any] | slice) -> PacketTable:
        part = PacketTable(
            self.buf,
            self.offset[rows],
            self.nbytes[rows],
            self.id[rows],
            self.sequence[rows],
            self.consumed,
        )
        for name in ("ok", "lost_before"):
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][rows]
        return part

    def _pointers(self) -> tuple[Any, ...]:
        """Return the C struct of the columns, and the pointers in it, which keep their arrays."""
        arrays = (self.offset, self.nbytes, self.id, self.sequence)
        pointers = [
            _from_buffer(kind, np.ascontiguousarray(array, dtype))
            for kind, array, dtype in zip(COLUMN_TYPES, arrays, COLUMN_DTYPES, strict=True)
        ]
        return (ffi.new("fs_packet_columns *", pointers), *pointers)


def apid_bits(apids: Iterable[int]) -> bytes:
    """Return a map of 2,048 bits, bit (apid & 7) of octet apid >> 3; FieldRangeError above 2047."""
    bits = bytearray(256)
    for apid in apids:
        if not 0 <= apid <= 0x7FF:
            raise FieldRangeError(f"APID {apid}: must be 0 to 2047")
        bits[apid >> 3] |= 1 << (apid & 7)
    return bytes(bits)
