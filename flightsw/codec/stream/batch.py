"""What a stream gives for each chunk of its input.

C has written everything by then, into two arenas: the table of packets, and the columns of layouts
(``csrc/stream/sift.h``). Arrays are made over them when they are asked for, since those of a small
chunk cost more than what is in them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.fixed_columns import Columns
from flightsw.codec.link.units import Units
from flightsw.codec.packet.pus_format import PusColumns
from flightsw.codec.packet.sequence import Sequence
from flightsw.codec.packet.table import PacketTable

if TYPE_CHECKING:
    from flightsw.codec.columns.layout import Layout

_LINE = 64
#: The columns of a table in the order of fs_sift_take; the first list is without PUS headers.
_HEADS = ("offset u8", "frame u8", "nbytes u4", "id u2", "sequence u2", "missing u2")
_PLAIN = (*_HEADS, "good ?", "verdict u1", "vcid u1")
_PUS = (
    *("offset u8", "frame u8", "t_ns i8", "data_offset u8"),
    *("nbytes u4", "counter u4", "party u4", "data_nbytes u4"),
    *("id u2", "sequence u2", "missing u2", "good ?", "verdict u1", "vcid u1"),
    *("fault u1", "status u1", "service u1", "subtype u1"),
)


def _places(columns: tuple[str, ...]) -> dict[str, tuple[np.dtype[Any], int]]:
    """Return the type of each column, and where it begins for each element of capacity."""
    found, at = {}, 0
    for name, code in map(str.split, columns):
        dtype = np.dtype(code)
        found[name], at = (dtype, at), at + dtype.itemsize
    return found


PLAIN, WITH_PUS = _places(_PLAIN), _places(_PUS)


class Delivered(NamedTuple):
    """What a front brings out of a chunk: ``total`` units as rows in C, or packets at offsets.

    They stand in ``octets``; the other of the two is NULL.
    """

    octets: Any
    consumed: int
    total: int
    units: Any
    offsets: Any


class Part:
    """What a layout made of a batch: ``rows`` (int64) are the packets, by their place in it.

    ``columns`` of a layout of varying size mark packets that they could not decode in ``faults``.
    """

    def __init__(self, layout: Layout, count: int, block: npt.NDArray[np.uint8]) -> None:
        """``block`` holds the rows and behind them, from the next cache line on, the columns."""
        self._layout, self._count, self._block = layout, count, block

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        return np.ndarray((self._count,), np.int64, self._block)

    @cached_property
    def columns(self) -> Any:
        behind = self._block[-(-8 * self._count // _LINE) * _LINE :]
        return Columns(self._layout, self._layout.prepared, self._count, behind)


class DecodedPart(Part):
    """The same of a layout whose columns are made one packet after another."""

    def __init__(self, rows: npt.NDArray[np.int64], columns: Any) -> None:
        self.rows, self.columns = rows, columns


class Batch:
    """What some octets completed, one element a packet in every array.

    ``units`` is what virtual channels carry other than packets, None if there is none; ``columns``
    has a :class:`Part` for each layout that describes any of the packets, by name.
    """

    def __init__(
        self,
        count: int,
        octets: Any,
        consumed: int,
        arena: npt.NDArray[np.uint8],
        capacity: int,
        places: dict[str, tuple[np.dtype[Any], int]],
        units: Units | None,
        columns: dict[str, Part],
    ) -> None:
        """Show ``count`` rows of a table with ``capacity`` at the front of ``arena``."""
        self.units, self.columns = units, columns
        self._count, self._octets, self._consumed = count, octets, consumed
        self._arena, self._capacity, self._places = arena, capacity, places

    def __len__(self) -> int:
        return self._count

    def _column(self, name: str) -> npt.NDArray[Any]:
        dtype, place = self._places[name]
        return np.ndarray((self._count,), dtype, self._arena, place * self._capacity)

    @cached_property
    def packets(self) -> PacketTable:
        """Where packets stand, and their headers."""
        column = self._column
        heads = column("offset"), column("nbytes"), column("id"), column("sequence")
        return PacketTable(self._octets, *heads, self._consumed)

    @cached_property
    def good(self) -> npt.NDArray[np.bool_]:
        """False where packet error control failed."""
        return self._column("good")

    @cached_property
    def sequence(self) -> Sequence:
        """What the sequence counts say."""
        return Sequence(self._column("missing"), self._column("verdict"))

    @cached_property
    def vcid(self) -> npt.NDArray[np.uint8]:
        """Virtual channels; zeros where there are no frames."""
        return self._column("vcid")

    @cached_property
    def frame(self) -> npt.NDArray[np.uint64]:
        """The frame in which each packet ends, from 0; zeros where there are no frames."""
        return self._column("frame")

    @cached_property
    def pus(self) -> PusColumns | None:
        """Secondary headers, None for a channel without."""
        if self._places is PLAIN:
            return None
        return PusColumns(*map(self._column, PusColumns._fields))
