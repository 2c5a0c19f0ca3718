"""Variable layouts the other way: what does not fit is refused by field and row, never dropped."""

from __future__ import annotations

from typing import Any

import construct as c
import numpy as np
import pytest
from construct import len_, this
from guard import Guard

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.columns.ragged import Ragged
from flightsw.codec.columns.variable_columns import Store
from flightsw.codec.columns.variable_layout import VariableLayout
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.native import ffi, lib

REPORT = c.Struct(
    "n" / c.Int8ub,
    "v" / c.Array(this.n, c.Int16ub),
    "flag" / c.Flag,
    "more" / c.If(this.flag, c.PrefixedArray(c.Int8ub, c.Int8ub)),
    "magic" / c.Const(0x5A, c.Int8ub),
)
LISTS = c.Struct(
    "n" / c.Int8ub,
    "v" / c.Array(this.n, c.Int16sb),
    "kind" / c.Int8ub,
    "body" / c.Switch(this.kind, {1: c.Int8ub, 2: c.Struct("a" / c.Int16ub)}),
    "bits" / c.BitStruct("u3" / c.BitsInteger(3), "s5" / c.BitsInteger(5, signed=True)),
    "name" / c.CString("ascii"),
)
FITTING: dict[str, Any] = {
    "n": 2,
    "v": [1, -2],
    "kind": 2,
    "body": {"a": 7},
    "bits": {"u3": 7, "s5": -16},
    "name": "ab",
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"v": [1, 40_000]}, "v: 40000 is not within -32768 to 32767"),
        ({"v": [1]}, r"v: the packet has a count that does not agree with its list"),
        ({"v": 3}, "v: 3 is no list"),
        ({"v": [1, "x"]}, "v: 'x' is not an integer of 16 bits"),
        ({"kind": 256}, "kind: 256 is not within 0 to 255"),
        ({"body": None}, r"body\{2\}\.a: no value given"),
        ({"body": {}}, r"body\{2\}\.a: no value given"),
        ({"bits": {"u3": 8, "s5": 0}}, r"bits\.u3: 8 is not within 0 to 7"),
        ({"name": "a\0b"}, "name: the packet has a string without its zero octet"),
        ({"name": "é"}, "name: 'é' is not ascii"),
    ],
)
def test_range_errors_name_the_field(wrong: dict[str, Any], says: str) -> None:
    """A value, a list or a string that does not fit is refused by the name of its field."""
    layout = compile_layout(LISTS)
    assert layout.decode(layout.encode(FITTING)) == FITTING
    with pytest.raises(FieldRangeError, match=says):
        layout.encode(FITTING | wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"v": [[1, 2], [3, 70_000]]}, "v: 70000 in row 1 does not fit 16 bits"),
        ({"v": [[1, 2], [3]]}, r"v: row 1 has a count that does not agree .* \(found 1\)"),
        ({"v": [[1.5, 2], [3, 4]]}, "v: column of float64"),
        ({"bits.u3": [7, 8]}, r"bits\.u3: 8 in row 1 does not fit"),
        ({"bits.s5": np.array([0, -17])}, r"bits\.s5: -17 in row 1 does not fit"),
        ({"n": [2, 2, 2]}, r"columns of 3 and of 2 rows \(v\)"),
        ({"kind": [1, 9]}, r"^$"),
        ({"name": [b"ab", b"a\0"]}, "name: row 1 has a string without its zero octet"),
        ({"v": Ragged(np.arange(4), np.array([0, 3, 2, 4]))}, "v: offsets must begin with 0"),
        ({"v": 5}, "v: column of int, must be Ragged"),
    ],
)
def test_column_range_errors_name_field_and_row(wrong: dict[str, Any], says: str) -> None:
    """The same for columns, with the row; what a packet does not have is not asked for."""
    layout = compile_layout(LISTS)
    columns: dict[str, Any] = dict(layout.decode_columns(layout.encode(FITTING) * 2))
    assert layout.encode_columns(columns) == layout.encode(FITTING) * 2
    if says == "^$":
        assert layout.encode_columns(columns | wrong)[:5] == layout.encode(FITTING)[:5]
        return
    with pytest.raises(FieldRangeError, match=says):
        layout.encode_columns(columns | wrong)


def test_columns_of_absent_groups_may_be_left_out() -> None:
    """A column is needed where a packet has it, and its absence is an error only there."""
    layout = compile_layout(LISTS)
    columns: dict[str, Any] = dict(layout.decode_columns(layout.encode(FITTING) * 2))
    del columns["body{1}"]
    assert layout.encode_columns(columns) == layout.encode(FITTING) * 2
    del columns["body{2}.a"]
    with pytest.raises(FieldRangeError, match=r"body\{2\}\.a: row 0 needs a column"):
        layout.encode_columns(columns)


def test_lists_of_an_absent_group_are_not_dropped() -> None:
    """A list that the packet has no place for is an error, not left out."""
    layout = compile_layout(REPORT)
    columns = {
        "n": [0, 0],
        "v": [[], []],
        "flag": [1, 0],
        "more": [[1, 2], [3]],
    }
    with pytest.raises(FieldRangeError, match=r"more: row 1 has a count .* \(found 1\)"):
        layout.encode_columns(columns)
    columns["more"] = [[1, 2], []]
    assert layout.encode_columns(columns).hex() == "00010201025a00005a"


def test_lists_of_lists_and_their_lengths() -> None:
    """Counts in front of lists, also of lists in lists, come from the lists themselves."""
    made = c.Struct(
        "rows" / c.PrefixedArray(c.Int8ub, c.PrefixedArray(c.Int8ub, c.Int16ub)),
        "total" / c.Rebuild(c.Int16ub, len_(this.tail) * 2 + 1),
        "tail" / c.Array((this.total - 1) // 2, c.Int8ub),
    )
    layout = compile_layout(made)
    given = {"rows": [[1, 2], [], [3]], "total": 5, "tail": [8, 9]}
    octets = made.build(given)
    assert layout.encode({"rows": given["rows"], "tail": [8, 9]}) == octets
    assert layout.decode(octets) == given
    columns = layout.decode_columns(octets * 2)
    assert columns["rows"].parents[0].tolist() == [0, 3, 6]
    assert columns["rows"].offsets.tolist() == [0, 2, 2, 3, 5, 5, 6]
    assert layout.encode_columns({k: v for k, v in columns.items() if k != "total"}) == octets * 2


def test_encoding_into_a_buffer_in_use() -> None:
    """Packets go to the front of a buffer; one that is too small is refused."""
    layout = compile_layout(LISTS)
    octets = layout.encode(FITTING)
    columns = layout.decode_columns(octets * 3)
    room = bytearray(b"\xff" * (3 * len(octets) + 9))
    assert layout.encode_columns_into(columns, room) == 3 * len(octets)
    assert room.startswith(octets * 3)
    assert room.endswith(b"\xff")
    with pytest.raises(CodecError, match=r"3 packets do not fit 20 octets; packet 1"):
        layout.encode_columns_into(columns, bytearray(20))


def test_batches_stay_inside_of_their_buffers(guard: Guard) -> None:
    """Packets are read, and written, between forbidden pages, whole and cut."""
    layout = compile_layout(LISTS)
    assert isinstance(layout, VariableLayout)
    dump = layout.encode(FITTING) * 3
    for nbytes in (len(dump), len(dump) - 1, 5, 1, 0):
        store = Store(layout._program, [4] * len(layout._program.parents))
        for buf in guard.both(dump[:nbytes]):
            for array in store.arrays:
                array[:] = 0
            store.total[:] = 0
            store.table.next = 0
            faults, fault = ffi.new("uint8_t[]", 4), ffi.new("fs_fault *")
            while True:
                lib.fs_variable_decode(
                    layout._program.table,
                    buf,
                    nbytes,
                    ffi.NULL,
                    ffi.NULL,
                    0,
                    4,
                    store.table,
                    faults,
                    fault,
                )
                if not store.table.full:
                    break
                store.grow(store.table.full)
            assert int(store.total[0]) == -(-nbytes // (len(dump) // 3))
        if nbytes < len(dump):
            continue
        for out in guard.both(bytes(nbytes)):
            store.total[:] = 0
            ends = ffi.new("uint64_t[]", 3)
            code = lib.fs_variable_encode(
                layout._program.table, store.table, 3, out, nbytes, ends, fault
            )
            assert code == nbytes
            assert bytes(ffi.buffer(out, nbytes)) == dump
