"""The face of a variable layout: what :class:`layout.Layout` is for a fixed one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.calibration import numbers_of, to_raw
from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.document import Row, document_tree
from flightsw.codec.columns.faults import REASONS
from flightsw.codec.columns.layout import Layout
from flightsw.codec.columns.live import Live
from flightsw.codec.columns.plan import Field, Node
from flightsw.codec.columns.ragged import as_ragged, fitted, fixed_octets
from flightsw.codec.columns.variable import Interpreter
from flightsw.codec.columns.variable_columns import VariableColumns, is_wide
from flightsw.codec.columns.view import View
from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import places_of, room_of, sliceable, view_of


class VariableLayout(Layout):
    """A compiled layout whose packets have ``nbytes`` octets or more; ``nodes`` is its tree."""

    fixed = False

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self._interpreter = Interpreter(nodes)
        self._program = self._interpreter.program
        self.fields = self._program.fields
        self.nbytes = self._program.least_nbits // 8

    def encode(self, values: Mapping[str, Any], *, calibrated: bool = False) -> bytes:
        """Return one packet; see :meth:`Layout.encode`. Counts in front of lists are not given."""
        return self._interpreter.encode(values, calibrated)

    def decode(
        self, buf: bytes | bytearray | memoryview, at: int = 0, *, calibrated: bool = False
    ) -> dict[str, Any]:
        """Return the values of the packet at octet ``at``, which ends where ``buf`` does at latest.

        Octets behind its last field are left alone. Raises TruncatedError or SyncError, which name
        the field and its bit.
        """
        buf = sliceable("layout", buf)
        if at < 0 or at > len(buf):
            raise TruncatedError(f"layout: octet {at} is outside of a buffer of {len(buf)}")
        return self._interpreter.decode(buf, at, calibrated)

    def decode_columns(
        self,
        buf: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
        *,
        offsets: npt.NDArray[Any] | None = None,
        lengths: npt.NDArray[Any] | None = None,
        stride: int | None = None,
        count: int | None = None,
        strict: bool = False,
        out: Any = None,
    ) -> VariableColumns:
        """Return columns of many packets.

        Packets stand at ``offsets`` (octets) and have ``lengths``, which their fields must fill; or
        end where the next begins at latest; or have ``stride`` octets each; or follow each other
        and end where their fields do. A bad packet is marked in ``columns.faults``; with
        ``strict``, TruncatedError or SyncError name the first one. ``out``, a result of this
        method, is filled again where it is large enough.
        """
        places = self._places(len(view_of("layout", buf)), offsets, lengths, stride, count)
        reuse = out if isinstance(out, VariableColumns) else None
        return self._interpreter.decode_columns(
            self,
            buf,
            places,
            exact=lengths is not None,
            strict=strict,
            count=count,
            out=reuse,
        )

    def _places(
        self, nbytes: int, offsets: Any, lengths: Any, stride: int | None, count: int | None
    ) -> tuple[Any, Any] | None:
        if count is not None and count < 0:
            raise FieldRangeError(f"layout: {count} packets asked for, must be 0 or more")
        if offsets is None and stride is not None:
            if not 0 < stride < 1 << 63:
                raise FieldRangeError(f"layout: stride {stride}, must be at least 1 octet")
            rows = nbytes // stride if count is None else count
            offsets = np.arange(rows, dtype=np.uint64) * np.uint64(stride)
            lengths = np.full(rows, stride, np.uint64) if lengths is None else lengths
        if offsets is None:
            if lengths is not None:
                raise FieldRangeError("layout: lengths need offsets")
            return None
        where = places_of("layout", offsets, np.uint64)
        if lengths is None:
            ends = np.append(where[1:], np.uint64(nbytes))
            lengths = np.where(ends >= where, ends - where, 0)
        many = places_of("layout", lengths, np.uint64)
        if many.shape != where.shape:
            raise FieldRangeError(f"layout: {len(where)} offsets and {len(many)} lengths")
        return where, many

    def encode_columns(self, columns: Mapping[str, Any], *, calibrated: bool = False) -> bytes:
        """Return packets one behind the other; see :meth:`encode_packets` for where each ends."""
        return self.encode_packets(columns, calibrated=calibrated)[0]

    def encode_packets(
        self, columns: Mapping[str, Any], *, calibrated: bool = False
    ) -> tuple[bytes, npt.NDArray[np.uint64]]:
        """Return packets one behind the other, and their offsets with the end as the last.

        ``columns`` holds one array a field, or :class:`Ragged` (a list of rows will do) for a field
        in a list. Columns of a group are needed only if some packet has it. FieldRangeError names
        field and row.
        """
        arrays, lists, count = self._inputs_of(columns, calibrated)
        instances = [count, *(int(chain[-1][-1]) for chain in lists[1:])]
        nbits = sum(b * n for b, n in zip(self._program.bits, instances, strict=True))
        out, ends = np.empty(nbits // 8 + 16, np.uint8), np.zeros(count + 1, np.uint64)
        nbytes = self._encode_inputs(arrays, count, out, ends)
        return out[:nbytes].tobytes(), ends

    def encode_columns_into(
        self,
        columns: Mapping[str, npt.ArrayLike],
        out: bytearray | memoryview | npt.NDArray[np.uint8],
    ) -> int:
        """Write what :meth:`encode_columns` returns to the front of ``out``; return its octets.

        Up to eight octets behind them may become zero. CodecError if ``out`` is too short.
        """
        arrays, _, count = self._inputs_of(columns, False)
        return self._encode_inputs(arrays, count, out, np.zeros(count + 1, np.uint64))

    def _encode_inputs(self, arrays: list[Any], count: int, out: Any, ends: Any) -> int:
        total = np.zeros(len(self._program.parents), np.uint64)
        keep = [
            ffi.NULL if array is None else ffi.from_buffer("uint8_t[]", array) for array in arrays
        ]
        pointers, room = ffi.new("uint8_t *[]", keep), ffi.new("uint64_t[]", len(total))
        table = ffi.new("fs_table *", (pointers, room, ffi.from_buffer("uint64_t[]", total)))
        octets, fault = room_of("layout", "uint8_t[]", out), ffi.new("fs_fault *")
        code: int = lib.fs_variable_encode(
            self._program.table,
            table,
            count,
            octets,
            len(octets),
            ffi.from_buffer("uint64_t[]", ends[1:]),
            fault,
        )
        if code >= 0:
            return code
        if fault.code == lib.FS_V_ROOM:
            raise CodecError(
                f"layout: {count} packets do not fit {len(octets)} octets; packet {fault.row} was"
                " the first to be cut"
            )
        raise self._misfit(fault)

    def _misfit(self, fault: Any) -> FieldRangeError:
        found = self._interpreter.fault_of(fault)
        if fault.code == lib.FS_V_RANGE:
            return FieldRangeError(
                f"{found.field}: {found.number} in row {found.row} does not fit; nothing was"
                " returned"
            )
        reason = REASONS[fault.code]
        if fault.code == lib.FS_V_ABSENT:
            reason = "needs a column that was not given, or a field that is absent"
        return FieldRangeError(f"{found.field}: row {found.row} {reason} (found {found.number})")

    def _inputs_of(
        self, columns: Mapping[str, Any], calibrated: bool
    ) -> tuple[list[Any], list[tuple[Any, ...]], int]:
        """Return arrays in the order of the program's columns, offsets by scope, rows."""
        program = self._program
        given: dict[str, npt.NDArray[Any]] = {}
        lists: list[tuple[Any, ...]] = [()] * len(program.parents)
        count: int | None = None
        for f in program.fields:
            if f.name not in columns:
                continue
            scope = program.scope_of[f.name]
            values = columns[f.name]
            depth = self._depth(scope)
            if depth:
                ragged = as_ragged(f, depth, values)
                self._agree(f, scope, ragged.chain(), lists)
                values, rows = ragged.values, len(ragged.chain()[0]) - 1
            else:
                values = fixed_octets(f, values) if f.kind == "bytes" else values
                rows = len(values)
            if count is not None and rows != count:
                raise FieldRangeError(
                    f"layout: columns of {count} and of {rows} rows ({f.name}); give equal ones"
                )
            count = rows
            if f.wire is None:
                given[f.name] = self._raw(f, values, lists[scope], calibrated)
        for scope in range(1, len(lists)):
            if not lists[scope]:
                lists[scope] = self._empty(scope, lists, count or 0)
        arrays: list[Any] = []
        for column in program.columns:
            if column.role == "offsets":
                arrays.append(lists[program.lists.index(column.name)][-1])
            else:
                arrays.append(given.get(column.name) if column.role == "values" else None)
        self._defaults(arrays, lists, count or 0)
        return arrays, lists, count or 0

    def _depth(self, scope: int) -> int:
        return 1 + self._depth(self._program.parents[scope]) if scope else 0

    def _agree(
        self, f: Field, scope: int, chain: tuple[Any, ...], lists: list[tuple[Any, ...]]
    ) -> None:
        """Note the offsets of the lists around a field, which must be those of its neighbours."""
        for depth in range(len(chain), 0, -1):
            if lists[scope] and not all(map(np.array_equal, lists[scope], chain[:depth])):
                raise FieldRangeError(
                    f"{f.name}: its rows are not as long as those of other fields in"
                    f" {self._program.lists[scope]}"
                )
            lists[scope] = chain[:depth]
            scope = self._program.parents[scope]

    def _empty(self, scope: int, lists: list[tuple[Any, ...]], count: int) -> tuple[Any, ...]:
        """Return offsets for a list of which no column was given: no packet may have elements."""
        parent = self._program.parents[scope]
        outer = lists[parent]
        rows = int(outer[-1][-1]) if outer else count
        return (*outer, np.zeros(rows + 1, np.int64))

    def _raw(
        self, f: Field, values: Any, chain: tuple[Any, ...], calibrated: bool
    ) -> npt.NDArray[Any]:
        if calibrated and f.calibration is not None:
            values = to_raw(f.name, f.calibration, values, f.dtype)
        if f.labels is not None:
            values = numbers_of(f.name, f.labels, values)

        def packet_of(index: int) -> int:
            for offsets in reversed(chain):
                index = int(np.searchsorted(offsets, index, side="right")) - 1
            return index

        return fitted(f, values, is_wide(f, self._program), packet_of)

    def _defaults(self, arrays: list[Any], lists: list[tuple[Any, ...]], count: int) -> None:
        """Fill the columns that were not given and have a default."""
        for index, column in enumerate(self._program.columns):
            f = column.field
            if f is None or f.default is None or arrays[index] is not None:
                continue
            chain = lists[column.scope]
            rows = int(chain[-1][-1]) if chain else count
            value = f.default
            if f.labels is not None and isinstance(value, str):
                value = {label: number for number, label in f.labels.items()}[value]
            one = (
                np.frombuffer(value, np.uint8) if f.kind == "bytes" else np.asarray(value, f.dtype)
            )
            arrays[index] = np.ascontiguousarray(np.broadcast_to(one, (rows, *one.shape)))

    def live(
        self,
        capacity: int,
        *,
        stride: int | None = None,
        buffer: bytearray | memoryview | npt.NDArray[np.uint8] | None = None,
    ) -> Live:
        """Not offered: a live batch needs packets of one size; use ``decode_columns(out=)``."""
        raise LayoutError("layout of changing size: no live batches; use decode_columns with out=")

    def view(self, buf: bytes | bytearray | memoryview, at: int = 0) -> View:
        """Not offered: fields have no place of their own; use ``decode``."""
        raise LayoutError("layout of changing size: no views; use decode")

    def document(self) -> list[Row]:
        """Return one row a field, list and group, in wire order."""
        return document_tree(self.nodes)
