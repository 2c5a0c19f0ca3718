"""Many space packets at once (CCSDS 133.0-B-2): columns of headers over octets that stay in place.

    table = scan(octets)                          packets one behind the other, or SyncError
    finder = PacketFinder(before_nbytes=4)        a stream that may be damaged: skips and counts
    table = finder.find(octets)
    table = table_at(units.octets, offsets)       packets that a frame receiver gave
    table.apid, table.seq, table.nbytes           one array a header field
    table.ok, table.lost_before                   error control, packets lost in front of each
    for apid, part in table.by_apid().items():    views, no octet is copied
        for packet in part.pieces(): ...
    Tracker, Joiner                               sequence counts and segmented packets

Octets may be anything that shows its memory: bytes, a memory map of a file, an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import places_of, view_of
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
_KINDS = ("uint64_t[]", "uint32_t[]", "uint16_t[]", "uint16_t[]")
_DTYPES = (np.uint64, np.uint32, np.uint16, np.uint16)
#: Buffers up to this size are scanned in one go, for larger ones the rows are estimated first.
_SMALL_NBYTES = 1 << 16
_SAMPLE_ROWS = 4096


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

        For more than one table, or more than gaps, feed them to a :class:`Tracker`.
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
            for kind, array, dtype in zip(_KINDS, arrays, _DTYPES, strict=True)
        ]
        return (ffi.new("fs_packet_columns *", pointers), *pointers)


def scan(buf: Octets, capacity: int | None = None) -> PacketTable:
    """Return the packets that stand one behind the other in ``buf``.

    Stops in front of an incomplete packet (see ``consumed``) or after ``capacity`` packets. Raises
    SyncError where a packet's version is not 0; :class:`PacketFinder` goes on behind such places.
    """
    consumed = ffi.new("uint64_t *")

    def walk(octets: Any, nbytes: int, columns: Any, rows: int) -> tuple[int, int]:
        found = lib.fs_packet_scan(octets, nbytes, columns, rows, consumed)
        return found, consumed[0]

    table, found = _fill(buf, capacity, walk)
    if found < 0:
        at = table.consumed
        version = _from_buffer("uint8_t[]", buf)[at] >> 5
        raise SyncError(
            f"packet scan: at octet {at} version {version}, must be 0; the octets before it"
            " can be scanned alone, and PacketFinder skips what is no packet"
        )
    return table


def table_at(buf: Octets, offset: npt.ArrayLike) -> PacketTable:
    """Return the packets that begin at ``offset`` (octets), as a frame receiver's units say.

    Raises SyncError where a packet's version is not 0, TruncatedError if one ends behind ``buf``.
    """
    octets = view_of("packet table", buf)
    at = places_of("packet table", offset, np.uint64).copy()
    n = len(at)
    arrays: list[npt.NDArray[Any]] = [at, *(np.empty(n, dtype) for dtype in _DTYPES[1:])]
    pointers = [_from_buffer(kind, array) for kind, array in zip(_KINDS, arrays, strict=True)]
    columns = ffi.new("fs_packet_columns *", pointers)
    code = lib.fs_packet_headers(octets, len(octets), pointers[0], n, columns)
    if code == lib.FS_E_FORMAT:
        raise SyncError(f"packet table: one of {n} packets has a version that is not 0")
    if code < 0:
        raise TruncatedError(f"packet table: one of {n} packets ends behind {len(octets)} octets")
    _, lengths, ids, sequences = arrays
    return PacketTable(buf, at, lengths, ids, sequences, len(octets))


class PacketFinder:
    """Finds packets in a stream that may be damaged, in chunks of any size.

    A header is believed when its version is 0, the packet has ``min_nbytes`` to ``max_nbytes``
    octets and its APID is one of ``apids`` (None: any). Behind octets that are no such header the
    next packet is looked for octet by octet and must be followed by another; what is skipped is
    counted. With ``error_control`` (packets end in their CRC) it must pass that instead, and so
    must a packet in front of such octets: a damaged length costs one packet. The more is known, the
    less is mistaken: without a list of APIDs zeros look like packets of APID 0. ``before_nbytes``
    and ``behind_nbytes`` are octets around each packet, such as the record headers of a recorder.

    Raises FieldRangeError for limits that allow no packet.
    """

    def __init__(
        self,
        *,
        before_nbytes: int = 0,
        behind_nbytes: int = 0,
        min_nbytes: int = MIN_NBYTES,
        max_nbytes: int = MAX_NBYTES,
        apids: Iterable[int] | None = None,
        error_control: bool = False,
    ) -> None:
        if not (MIN_NBYTES <= min_nbytes <= max_nbytes <= MAX_NBYTES):
            raise FieldRangeError(
                f"packet finder: packets of {min_nbytes} to {max_nbytes} octets; the standard has"
                f" {MIN_NBYTES} to {MAX_NBYTES}"
            )
        if not (0 <= before_nbytes < 1 << 20 and 0 <= behind_nbytes < 1 << 20):
            raise FieldRangeError(
                f"packet finder: {before_nbytes} octets before and {behind_nbytes} behind a packet;"
                " give 0 to 1,048,575"
            )
        self._state = ffi.new("fs_packet_finder *")
        state = self._state
        state.before_nbytes, state.behind_nbytes = before_nbytes, behind_nbytes
        state.min_nbytes, state.max_nbytes = min_nbytes, max_nbytes
        state.error_control = error_control
        if apids is not None:
            state.listed = 1
            ffi.memmove(state.apids, apid_bits(apids), 256)
        self._consumed = ffi.new("uint64_t *")
        #: A buffer of so many octets always gives a packet or is skipped in part.
        self.enough_nbytes = 2 * before_nbytes + max_nbytes + behind_nbytes + HEADER_NBYTES

    def find(self, buf: Octets, *, last: bool = True, capacity: int | None = None) -> PacketTable:
        """Return the packets in ``buf``; the octets from ``consumed`` on come again with the next.

        ``last`` says that nothing follows: what is left then is a packet that was cut off.
        """

        def walk(octets: Any, nbytes: int, columns: Any, rows: int) -> tuple[int, int]:
            found = lib.fs_packet_find(
                self._state, octets, nbytes, last, columns, rows, self._consumed
            )
            return found, self._consumed[0]

        return _fill(buf, capacity, walk)[0]

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start; the octets consumed are the sum of the three octet counts."""
        names = ("packets", "packet_octets", "record_octets", "skipped_octets", "searches")
        return {name: getattr(self._state, name) for name in names}

    @property
    def searching(self) -> bool:
        """Whether the place of the next packet is lost."""
        return bool(self._state.searching)


def apid_bits(apids: Iterable[int]) -> bytes:
    """Return a map of 2,048 bits, bit (apid & 7) of octet apid >> 3; FieldRangeError above 2047."""
    bits = bytearray(256)
    for apid in apids:
        if not 0 <= apid <= 0x7FF:
            raise FieldRangeError(f"APID {apid}: must be 0 to 2047")
        bits[apid >> 3] |= 1 << (apid & 7)
    return bytes(bits)


def _fill(
    buf: Octets,
    capacity: int | None,
    walk: Callable[[Any, int, Any, int], tuple[int, int]],
) -> tuple[PacketTable, int]:
    """Walk all of ``buf``, with arrays of about as many rows as it has packets.

    Returns the table and the last answer of ``walk``, which is negative for an error.
    """
    octets = view_of("packets", buf)
    nbytes = len(octets)
    if capacity is not None and capacity < 0:
        raise FieldRangeError(f"packets: capacity {capacity}, must be 0 or more")
    most = nbytes // MIN_NBYTES if capacity is None else capacity
    rows = min(most, _SAMPLE_ROWS) if nbytes > _SMALL_NBYTES else most
    arrays = _columns(rows)
    at = n = 0
    while True:
        pointers = [
            _from_buffer(kind, array[n:]) for kind, array in zip(_KINDS, arrays, strict=True)
        ]
        columns = ffi.new("fs_packet_columns *", pointers)
        found, consumed = walk(octets + at, nbytes - at, columns, rows - n)
        if found > 0:
            if at:
                arrays[0][n : n + found] += np.uint64(at)
            n += found
        at += consumed
        if found < 0 or n < rows or n >= most:
            break
        estimate = (nbytes - at) * n // max(at, 1)
        rows = min(most, n + estimate + estimate // 16 + _SAMPLE_ROWS)
        longer = _columns(rows)
        for array, old in zip(longer, arrays, strict=True):
            array[:n] = old[:n]
        arrays = longer
    offset, lengths, ids, sequences = (array[:n] for array in arrays)
    return PacketTable(buf, offset, lengths, ids, sequences, at), found


def _columns(rows: int) -> list[npt.NDArray[Any]]:
    """Return the four columns in one arena: fresh memory costs by the page, large pages less."""
    arena, n = np.empty(16 * rows, np.uint8), rows
    return [
        arena[: 8 * n].view(np.uint64),
        arena[8 * n : 12 * n].view(np.uint32),
        arena[12 * n : 14 * n].view(np.uint16),
        arena[14 * n :].view(np.uint16),
    ]
