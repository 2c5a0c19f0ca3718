"""Layouts whose fields stand where earlier fields say: lists, choices, strings, time codes.

They are declared, compiled and used as the fixed ones of :mod:`layout` are:

    REPORT = compile_layout(Struct(
        field("t", cuc(4, 3), doc="mission time"),
        field("n", Int8ub, doc="samples that follow"),
        field("samples", Array(this.n, Int16sb), unit="mV"),
        field("kind", Int8ub),
        field("detail", Switch(this.kind, {1: Int32ub, 2: Struct("a" / Int8ub, "b" / Float32b)})),
    ))
    columns = REPORT.decode_columns(dump, offsets=offsets, lengths=lengths)
    columns["samples"].values, columns["samples"].offsets
    columns["detail{1}"], columns.valid["detail{1}"], columns["detail{2}.a"]

A bad packet does not stop a batch: it is marked in ``columns.faults`` and counted, unless
``strict`` asks for an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.faults import REASONS, Fault
from flightsw.codec.columns.plan import Node, fields_of
from flightsw.codec.columns.prefix import head_of
from flightsw.codec.columns.program import Program, compile_program
from flightsw.codec.columns.slot_reader import Reader, reader_of
from flightsw.codec.columns.slot_writer import Writer, plans_of, writer_of
from flightsw.codec.columns.variable_columns import Store, VariableColumns
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib

_SMALL = 256


class Interpreter:
    """Runs the program of one tree, both ways; immutable."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.program: Program = compile_program(nodes)
        self._head = head_of(self.program)
        self._read = reader_of(nodes)
        needed = frozenset(f.name for f in fields_of(nodes))
        self._plans = plans_of(nodes, needed)
        self._write = writer_of(nodes, self._plans)

    def decode(self, buf: Any, at: int, calibrated: bool) -> dict[str, Any]:
        """Return the values of the packet at ``at``; what stands behind its last field is left."""
        fault, room = ffi.new("fs_fault *"), _SMALL
        octets = ffi.from_buffer("uint8_t[]", buf)
        nbytes = len(octets) - at
        while True:
            slots = np.empty(room, np.uint64)
            code = lib.fs_variable_decode_one(
                self.program.table,
                octets + at,
                nbytes,
                ffi.from_buffer("uint64_t[]", slots),
                room,
                fault,
            )
            if code >= 0:
                break
            if fault.code != lib.FS_V_ROOM:
                raise self.fault_of(fault).error(fault.code)
            room *= 4
        values: dict[str, Any] = {}
        self._read(Reader(slots, buf, at, calibrated), values)
        return values

    def encode(self, values: Mapping[str, Any], calibrated: bool) -> bytes:
        """Return one packet; FieldRangeError names the field."""
        w = Writer(self._plans.needed, calibrated)
        try:
            self._write(w, values)
        except (ArithmeticError, LookupError) as error:
            raise FieldRangeError(f"layout: a length or condition: {error!r}") from None
        slots, fault = w.slots(), ffi.new("fs_fault *")
        room = sum(self.program.bits) // 8 * (1 + len(w.values)) + len(w.octets) + 16
        out = bytearray(room)
        code = lib.fs_variable_encode_one(
            self.program.table,
            ffi.from_buffer("uint64_t[]", slots),
            len(w.values),
            ffi.from_buffer(w.octets),
            len(w.octets),
            ffi.from_buffer(out),
            room,
            fault,
        )
        if code >= 0:
            return bytes(memoryview(out)[:code])
        if fault.code == lib.FS_V_RANGE and 0 <= fault.number < len(w.values):
            raise w.refused(w.owners[fault.number], w.values[fault.number])
        found = self.fault_of(fault)
        raise FieldRangeError(f"{found.field}: the packet {found.reason}; nothing was written")

    def decode_columns(
        self,
        owner: object,
        buf: Any,
        places: tuple[Any, Any] | None,
        *,
        exact: bool,
        strict: bool,
        count: int | None,
        out: VariableColumns | None,
    ) -> VariableColumns:
        """Return columns of packets at (offsets, lengths), or of packets one behind the other."""
        octets = ffi.from_buffer(buf)
        nbytes = len(octets)
        wanted = len(places[0]) if places is not None else self._most(nbytes, count)
        rows = wanted if places is not None else min(wanted, max(1024, nbytes // 32))
        store = self._store(rows, nbytes, owner, out)
        fault = ffi.new("fs_fault *")
        faults = self._run(store, octets, nbytes, places, exact, wanted, fault)
        if self._head is not None:
            done = int(store.total[0])
            self._head.decode(octets, store.starts[:done], faults[:done], store.arrays)
        columns = VariableColumns(owner, self.program, store, faults)
        if fault.code:
            columns.fault = self._first(fault, store, nbytes, places)
            if strict:
                raise columns.fault.error(fault.code)
        return columns

    def _most(self, nbytes: int, count: int | None) -> int:
        """Return how many packets one behind the other there may be."""
        least = self.program.least_nbits // 8
        if count is None and least == 0:
            raise FieldRangeError(
                "layout: packets may be empty; say where they are, or how many there are"
            )
        return nbytes // least if count is None else count

    def _store(self, rows: int, nbytes: int, owner: object, out: VariableColumns | None) -> Store:
        if out is not None and out.owner is owner and out.store.room[0] >= rows:
            out.store.total[:] = 0
            out.store.table.next = 0
            return out.store
        room = [rows]
        for bits in self.program.bits[1:]:
            # Enough for most; a scope that has more elements grows.
            room.append(min(8 * nbytes // max(bits, 8), 16 * rows + 1024))
        return Store(self.program, room)

    def _run(
        self,
        store: Store,
        octets: Any,
        nbytes: int,
        places: tuple[Any, Any] | None,
        exact: bool,
        wanted: int,
        fault: Any,
    ) -> npt.NDArray[np.uint8]:
        """Decode, with more room as it is asked for; return the code of each packet."""
        offsets, lengths = (
            (ffi.NULL, ffi.NULL)
            if places is None
            else tuple(ffi.from_buffer("uint64_t[]", place) for place in places)
        )
        faults, table = np.zeros(store.room[0], np.uint8), store.table
        while True:
            rows = min(wanted, store.room[0])
            marks = ffi.from_buffer("uint8_t[]", faults)
            lib.fs_variable_decode(
                self.program.table if self._head is None else self._head.table,
                octets,
                nbytes,
                offsets,
                lengths,
                exact,
                rows,
                table,
                marks,
                fault,
            )
            done = int(store.total[0])
            if table.full:
                store.grow(table.full)
            elif done == wanted or (places is None and (table.next >= nbytes or faults[done - 1])):
                return faults
            else:
                store.grow(0)
                faults = np.concatenate([faults, np.zeros(store.room[0] - len(faults), np.uint8)])
            table = store.table

    def _first(self, fault: Any, store: Store, nbytes: int, places: Any) -> Fault:
        """Return the first fault, by the operations of the whole program."""
        op, bit = fault.op, fault.bit
        if self._head is not None:
            row = fault.row
            length = nbytes - int(store.starts[row]) if places is None else int(places[1][row])
            op, bit = self._head.place(op, bit, 8 * length)
        name = self.program.names[op] if op < len(self.program.names) else "its end"
        return Fault(fault.row, name, REASONS[fault.code], bit, fault.number)

    def fault_of(self, fault: Any) -> Fault:
        """Return what C found wrong, with names."""
        names = self.program.names
        name = names[fault.op] if fault.op < len(names) else "its end"
        return Fault(fault.row, name, REASONS[fault.code], fault.bit, fault.number)
