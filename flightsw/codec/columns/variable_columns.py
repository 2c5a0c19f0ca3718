"""Columns of packets whose fields stand where earlier fields say.

Beside the columns themselves there is what a user must be able to see of foreign packets: which
rows are bad and why, and which groups are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.faults import Fault
from flightsw.codec.columns.fixed_columns import Columns
from flightsw.codec.columns.plan import Field
from flightsw.codec.columns.program import Column, Program
from flightsw.codec.columns.ragged import Offsets, Ragged
from flightsw.codec.native import ffi


class Store:
    """The arrays that the C codec fills, by column of the program; kept for the next batch."""

    def __init__(self, program: Program, room: list[int]) -> None:
        self.program, self.room = program, room
        self.arrays = [self._make(column) for column in program.columns]
        self.total = np.zeros(len(room), np.uint64)
        self.starts = np.zeros(room[0], np.uint64)
        self._point()

    def _make(self, column: Column) -> npt.NDArray[Any]:
        count = self.room[column.scope]
        if column.role == "offsets":
            return np.zeros(count + 1, np.int64)
        if column.role == "mask":
            return np.empty(count, np.bool_)
        assert column.field is not None, "columns of values have a field"
        return np.empty(count * column.field.elements, column.field.dtype)

    def _point(self) -> None:
        keep = [ffi.from_buffer("uint8_t[]", array) for array in self.arrays]
        self._room = ffi.new("uint64_t[]", self.room)
        self._keep = keep, ffi.new("uint8_t *[]", keep)
        self.table = ffi.new(
            "fs_table *",
            {
                "columns": self._keep[1],
                "room": self._room,
                "total": ffi.from_buffer("uint64_t[]", self.total),
                "starts": ffi.from_buffer("uint64_t[]", self.starts),
            },
        )

    def grow(self, scope: int) -> None:
        """Give a scope at least twice the room; what is there stays."""
        self.room[scope] = max(2 * self.room[scope], 1024)
        at = self.table.next
        if scope == 0:
            old = self.starts
            self.starts = np.zeros(self.room[0], np.uint64)
            self.starts[: len(old)] = old
        for index, column in enumerate(self.program.columns):
            if column.scope == scope:
                old = self.arrays[index]
                self.arrays[index] = self._make(column)
                self.arrays[index][: len(old)] = old
        self._point()
        self.table.next = at


class VariableColumns(Columns):
    """Arrays by field name for ``count`` packets; a field in a list is :class:`Ragged`.

    ``valid`` has a mask for each field, list and group that need not be there, by packet or by
    element of the list around it; where it is False, the column holds zero. ``faults`` has the code
    of each packet, 0 if it is good; a bad packet holds zeros and empty lists. ``end`` is the octet
    behind the last good packet, where packets were told apart by their own fields; ``starts`` the
    octet at which each begins.
    """

    def __init__(self, owner: object, program: Program, store: Store, faults: Any) -> None:
        dict.__init__(self)
        self.owner, self.fields, self.store = owner, program.fields, store
        self.count = int(store.total[0])
        self.capacity = store.room[0]
        self.faults = faults[: self.count]
        self.fault: Fault | None = None
        self.end = int(store.table.next)
        self.starts = store.starts[: self.count]
        self.valid: dict[str, npt.NDArray[np.bool_]] = {}
        self._fill(program)

    def __getitem__(self, name: str) -> Any:
        """Return an array, or a :class:`Ragged` for a field in a list."""
        return dict.__getitem__(self, name)

    def first(self, count: int) -> VariableColumns:
        """Not offered: rows of lists are cut by their offsets."""
        raise LayoutError("columns of a variable layout: take rows by their offsets instead")

    def _fill(self, program: Program) -> None:
        arrays: dict[tuple[str, str], Any] = {}
        for column, array in zip(program.columns, self.store.arrays, strict=True):
            count = int(self.store.total[column.scope])
            if column.role == "offsets":
                arrays[column.role, column.name] = array[: count + 1]
                continue
            width = column.field.elements if column.field is not None else 1
            view = array[: count * width]
            f = column.field
            wide = f is not None and is_wide(f, program)
            arrays[column.role, column.name] = view.reshape(count, width) if wide else view
        masks = {name: array for (role, name), array in arrays.items() if role == "mask"}
        for f in program.fields:
            scope = program.scope_of[f.name]
            values = arrays.get(("values", f.name))
            if values is None:  # a constant: one value seen from every row
                values = _constant(f, int(self.store.total[scope]))
            chain = _chain(program, scope, arrays)
            whole: Any = Ragged(values, chain[-1], chain[:-1]) if chain else values
            dict.__setitem__(self, f.name, whole)
        self.valid = masks | {
            name: masks[group]
            for name, group in program.groups.items()
            if group in masks and name not in masks
        }


def is_wide(f: Field, program: Program) -> bool:
    """Whether a column has the elements of its field as axis 1."""
    return f.name not in program.flat and (f.array or f.kind == "bytes")


def _constant(f: Any, count: int) -> npt.NDArray[Any]:
    octets = (f.wire or 0).to_bytes(-(-f.width * f.elements // 8), "big")
    if f.kind == "bytes":
        one = np.frombuffer(octets, np.uint8)
        return np.broadcast_to(one, (count, len(one)))
    return np.broadcast_to(np.asarray(f.const, f.dtype), (count, *np.shape(f.const)))


def _chain(program: Program, scope: int, arrays: dict[tuple[str, str], Any]) -> tuple[Offsets, ...]:
    chain: list[Offsets] = []
    while scope:
        chain.append(arrays["offsets", program.lists[scope]])
        scope = program.parents[scope]
    return tuple(reversed(chain))
