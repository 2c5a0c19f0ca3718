"""Space packets in octets: where they begin, and the table of them.

table = scan(octets)                          packets one behind the other, or SyncError
finder = PacketFinder(before_nbytes=4)        a stream that may be damaged: skips and counts
table = finder.find(octets)
table = table_at(units.octets, offsets)       packets that a frame receiver gave
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import places_of, view_of
from flightsw.codec.packet.table import (
    COLUMN_DTYPES,
    COLUMN_TYPES,
    HEADER_NBYTES,
    MAX_NBYTES,
    MIN_NBYTES,
    Octets,
    PacketTable,
    apid_bits,
)

#: Buffers up to this size are scanned in one go, for larger ones the rows are estimated first.
_SMALL_NBYTES = 1 << 16
_SAMPLE_ROWS = 4096

_from_buffer = ffi.from_buffer


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
    arrays: list[npt.NDArray[Any]] = [at, *(np.empty(n, dtype) for dtype in COLUMN_DTYPES[1:])]
    pointers = [_from_buffer(kind, array) for kind, array in zip(COLUMN_TYPES, arrays, strict=True)]
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
            _from_buffer(kind, array[n:]) for kind, array in zip(COLUMN_TYPES, arrays, strict=True)
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
