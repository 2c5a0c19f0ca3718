"""Layouts: one construct declaration that encodes, decodes, makes columns and documents itself.

    STATUS = compile_layout(Struct(
        field("mode", Int8ub, doc="operating mode"),
        field("bus_v", Int16ub, unit="mV"),
        "flags" / BitStruct("armed" / Flag, "state" / BitsInteger(7)),
    ))
    STATUS.encode({"mode": 2, "bus_v": 5012, "flags": {"armed": True, "state": 3}})
    STATUS.decode(packet, at=17)
    columns = STATUS.decode_columns(dump, stride=64)
    columns["flags.state"]

A layout is immutable and holds a table (see :mod:`plan`) that one interpreter in C
(``csrc/columns/layout.c``) walks both ways. Column names are the path of a field; a decoded packet
nests as construct's own result does, with plain dicts and lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from struct import error as struct_error
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.calibration import calibrated_values, raw_columns, raw_values
from flightsw.codec.columns.declaration import field
from flightsw.codec.columns.document import Row, row_of
from flightsw.codec.columns.faults import judged
from flightsw.codec.columns.fixed_columns import Columns, PreparedLayout, as_column, offending
from flightsw.codec.columns.live import Live
from flightsw.codec.columns.plan import Field, LayoutError, Node, Plan, fixed_plan
from flightsw.codec.columns.values import builder, gatherer, look_up, plain_names, unfit
from flightsw.codec.columns.view import View, view_class
from flightsw.codec.columns.walk import compile_tree
from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import places_of, room_of, sliceable, view_of

__all__ = ["Columns", "Field", "Layout", "LayoutError", "Row", "compile_layout", "field"]

_decode_at = lib.fs_layout_decode_at
_KINDS = {"uint": lib.FS_UINT, "bytes": lib.FS_UINT, "int": lib.FS_INT, "float": lib.FS_FLOAT}
_SLOT_CODES = {"uint": "Q", "int": "q", "float": "d"}


def compile_layout(declaration: Any) -> Layout:
    """Compile a construct declaration; LayoutError names what it cannot take.

    If every field has its own place the result runs on the fastest kernels; else it is a
    :class:`variable_layout.VariableLayout`, with the same methods.
    """
    nodes = compile_tree(declaration)
    plan = fixed_plan(nodes)
    if plan is not None:
        return Layout(plan, nodes)
    from flightsw.codec.columns.variable_layout import VariableLayout

    return VariableLayout(nodes)


def _table(fields: tuple[Field, ...]) -> Any:
    rows = [(f.bit, f.elements, f.width, _KINDS[f.kind], f.dtype.itemsize, f.swap) for f in fields]
    return ffi.new("fs_field[]", rows)


def _slots(fields: tuple[Field, ...]) -> Struct:
    codes = ["?7x" if f.flag else _SLOT_CODES[f.kind] * f.elements for f in fields]
    return Struct("=" + "".join(codes))


class Layout:
    """A compiled layout of ``nbytes`` octets, ``fields`` in wire order; ``nodes`` is its tree."""

    fixed = True

    def __init__(self, plan: Plan, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self.fields = plan.fields
        self.nbytes = plan.nbytes
        self._blank = plan.blank
        numbers = tuple(f for f in plan.fields if f.kind != "bytes")
        inputs = tuple(f for f in numbers if f.const is None)
        self._octets = tuple(f for f in plan.fields if f.kind == "bytes")
        self.prepared = PreparedLayout(plan.fields, _table(plan.fields), plan.nbytes)
        self._out_table, self._nout = _table(numbers), len(numbers)
        one = PreparedLayout(numbers, self._out_table, plan.nbytes)
        self._one, self._keep = one.pointer, one
        self._in_table, self._nin = _table(inputs), len(inputs)
        self._out_slots, self._in_slots = _slots(numbers), _slots(inputs)
        self._inputs = inputs
        self._column_inputs = tuple(f for f in plan.fields if f.const is None)
        self._prepared_inputs = PreparedLayout(
            self._column_inputs, _table(self._column_inputs), plan.nbytes
        )
        self._view = view_class(plan.fields, plan.nbytes)
        self._unpack = self._out_slots.unpack
        self._slots_type = ffi.typeof(f"uint64_t[{max(self._out_slots.size // 8, 1)}]")
        self._gather, self._build = gatherer(inputs), builder(numbers, self._octets)
        self._names = plain_names(numbers, self._octets)
        # Slots of decode that no thread is using; more than one only if several do at a time.
        self._free: list[tuple[Any, Any]] = []

    def encode(self, values: Mapping[str, Any], *, calibrated: bool = False) -> bytes:
        """Return one packet. Raises FieldRangeError, which names the field.

        Enums take their label or their number. Constants need not be given, defaults may be left
        out. With ``calibrated``, fields with a calibration are given in its unit.
        """
        if calibrated:
            values = raw_values(self.fields, values)
        packet = bytearray(self._blank)
        try:
            slots = self._in_slots.pack(*self._gather(values))
            code = lib.fs_layout_encode(
                self._in_table, self._nin, slots, ffi.from_buffer(packet), self.nbytes
            )
        except (struct_error, TypeError, KeyError, OverflowError, LookupError) as error:
            raise unfit(self._inputs, values, error) from None
        if code < 0:
            raise unfit(self._inputs, values, None)
        if self._octets:
            self._place_octets(values, packet)
        return bytes(packet)

    def decode(
        self, buf: bytes | bytearray | memoryview, at: int = 0, *, calibrated: bool = False
    ) -> dict[str, Any]:
        """Return the values of the packet at octet ``at``; enums as labels where they have one.

        With ``calibrated``, fields with a calibration come in its unit. Raises TruncatedError if
        ``buf`` ends inside it, SyncError if a constant is not as declared.
        """
        try:
            slots, values = self._free.pop()
        except IndexError:
            slots = ffi.new(self._slots_type)
            values = ffi.buffer(slots, self._out_slots.size)
        octets = buf if type(buf) is bytes else view_of("layout", buf)
        nbytes = len(octets)
        if not 0 <= at <= nbytes or _decode_at(self._one, octets, nbytes, at, slots) < 0:
            raise self._outside(at, nbytes)
        names, found = self._names, self._unpack(values)
        self._free.append((slots, values))
        if names is None or calibrated:
            return self._built(found, buf, at, calibrated)
        return dict(zip(names, found))  # noqa: B905  # there are as many; the check costs a tenth

    def _outside(self, at: int, nbytes: int) -> TruncatedError:
        return TruncatedError(
            f"layout of {self.nbytes} octets at octet {at}: the buffer has {nbytes}"
        )

    def _built(self, found: tuple[Any, ...], buf: Any, at: int, calibrated: bool) -> dict[str, Any]:
        values = self._build(found, sliceable("layout", buf), at)
        return calibrated_values(self.fields, values) if calibrated else values

    def encode_columns(self, columns: Mapping[str, Any], *, calibrated: bool = False) -> bytes:
        """Return packets one behind the other from one array a field, all of the same length.

        With ``calibrated``, columns with a calibration are in its unit. Raises FieldRangeError that
        names the field and the row of the first value that does not fit.
        """
        if calibrated:
            columns = raw_columns(self.fields, columns)
        arrays = [as_column(f, columns) for f in self._column_inputs]
        out = np.empty((len(arrays[0]) if arrays else 0) * self.nbytes, np.uint8)
        self._encode_arrays(arrays, out)
        return out.tobytes()

    def encode_columns_into(
        self,
        columns: Mapping[str, npt.ArrayLike],
        out: bytearray | memoryview | npt.NDArray[np.uint8],
    ) -> int:
        """Write what :meth:`encode_columns` returns to the front of ``out``; return its octets.

        Raises FieldRangeError as that does, CodecError if it is longer than ``out``.
        """
        return self._encode_arrays([as_column(f, columns) for f in self._column_inputs], out)

    def _encode_arrays(self, arrays: list[npt.NDArray[Any]], out: Any) -> int:
        count = len(arrays[0]) if arrays else 0
        wrong = [len(a) for a in arrays if len(a) != count]
        if wrong:
            raise FieldRangeError(
                f"layout: columns of {count} and of {wrong[0]} rows; give equal ones"
            )
        keep = [ffi.from_buffer("uint8_t[]", array) for array in arrays]
        octets = room_of("layout", "uint8_t[]", out)
        code = lib.fs_layout_encode_columns(
            self._prepared_inputs.pointer,
            self._blank,
            ffi.new("uint8_t *[]", keep),
            count,
            octets,
            len(octets),
        )
        if code == lib.FS_E_CAPACITY:
            raise CodecError(
                f"layout: {count} packets of {self.nbytes} octets into {len(octets)}; give more"
            )
        if code < 0:
            raise offending(self._column_inputs, arrays)
        return count * self.nbytes

    def decode_columns(
        self,
        buf: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
        *,
        offsets: npt.NDArray[Any] | None = None,
        lengths: npt.NDArray[Any] | None = None,
        stride: int | None = None,
        count: int | None = None,
        strict: bool = False,
        out: Columns | None = None,
    ) -> Columns:
        """Return one native-endian array a field, by name, for many packets.

        Packets stand at ``offsets`` (octets), or every ``stride`` octets (default: one behind the
        other) and then ``count`` of them (default: as many as fit). All arrays lie in one arena;
        ``out``, a result of this method, is filled again where it is large enough, without
        allocation. Raises TruncatedError if a packet ends behind ``buf``. With ``lengths`` beside
        ``offsets``, a packet of another length is marked in ``columns.faults`` instead and left
        zero; with ``strict``, TruncatedError or SyncError name it.
        """
        if lengths is not None:
            return self._decode_lengths(buf, offsets, lengths, strict, out)
        octets = view_of("layout", buf)
        nbytes, step = len(octets), self.nbytes if stride is None else stride
        where: Any = ffi.NULL
        if offsets is not None:
            offsets = places_of("layout", offsets, np.uint64)
            where, count = ffi.from_buffer("uint64_t[]", offsets), len(offsets)
        elif not 0 < step < 1 << 63:
            raise FieldRangeError(f"layout: stride {step}, must be at least 1 octet")
        elif count is None:
            count = (nbytes - self.nbytes) // step + 1 if nbytes >= self.nbytes else 0
        assert count is not None
        if count < 0:
            raise FieldRangeError(f"layout: {count} packets asked for, must be 0 or more")
        if offsets is None and count > nbytes // step + 1:  # before memory is taken for them
            raise self._too_short(count, nbytes)
        if out is None or out.capacity < count or out.owner is not self:
            out = Columns(self, self.prepared, count)
        out.faults = out.fault = None
        code = lib.fs_layout_decode_columns(
            self.prepared.pointer,
            octets,
            nbytes,
            where,
            step,
            count,
            out.pointers,
        )
        if code < 0:
            raise self._too_short(count, nbytes)
        return out if count == out.count else out.first(count)

    def _too_short(self, count: int, nbytes: int) -> TruncatedError:
        return TruncatedError(
            f"layout of {self.nbytes} octets: one of {count} packets ends behind the {nbytes}"
            " octets of the buffer"
        )

    def _decode_lengths(
        self, buf: Any, offsets: Any, lengths: Any, strict: bool, out: Columns | None
    ) -> Columns:
        """Decode packets whose length is known, which must be that of the layout."""
        nbytes = len(view_of("layout", buf))
        where, codes, fault = judged(self.nbytes, nbytes, offsets, lengths)
        if strict and fault is not None:
            raise fault.error(codes[fault.row])
        good = np.flatnonzero(codes == 0)
        where[codes != 0] = where[good[0]] if len(good) else 0
        if len(good):
            columns = self.decode_columns(buf, offsets=where, out=out)
        else:
            columns = Columns(self, self.prepared, len(where))
        if fault is not None:
            for column in columns.values():
                column[codes != 0] = 0
        columns.faults, columns.fault = codes, fault
        return columns

    def live(
        self,
        capacity: int,
        *,
        stride: int | None = None,
        buffer: bytearray | memoryview | npt.NDArray[np.uint8] | None = None,
    ) -> Live:
        """Return what decodes up to ``capacity`` packets a call without allocating.

        Packets stand every ``stride`` octets (default: one behind the other) of ``buffer``
        (default: one of its own).
        """
        if capacity < 1:
            raise FieldRangeError(f"live batch: capacity {capacity}, must be at least 1 packet")
        columns = Columns(self, self.prepared, capacity)
        return Live(self.prepared, columns, self.nbytes if stride is None else stride, buffer)

    def view(self, buf: bytes | bytearray | memoryview, at: int = 0) -> View:
        """Return a view of the packet at octet ``at``, which decodes a field when it is asked for.

        Raises TruncatedError if ``buf`` ends inside the packet.
        """
        if isinstance(buf, memoryview | np.ndarray):
            buf = sliceable("layout", buf)
        if at < 0 or len(buf) - at < self.nbytes:
            raise self._outside(at, len(buf))
        view = self._view()
        view.buffer = buf
        view.at = at
        return view

    def document(self) -> list[Row]:
        """Return one row a field, in wire order, for a table or an interface document."""
        return [row_of(f) for f in self.fields]

    def _place_octets(self, values: Mapping[str, Any], packet: bytearray) -> None:
        for f in self._octets:
            if f.const is not None:
                continue
            try:
                octets = memoryview(look_up(values, f)).cast("B")
            except (LookupError, TypeError) as error:
                raise FieldRangeError(
                    f"{f.name}: no octets given ({error!r}); give {f.elements} as bytes"
                ) from None
            if len(octets) != f.elements:
                raise FieldRangeError(f"{f.name}: {len(octets)} octets, must be {f.elements}")
            packet[f.bit // 8 : f.bit // 8 + f.elements] = octets
