"""Layouts against construct itself, against plain integer arithmetic, and at their limits."""

import math
import struct
from typing import Any, NamedTuple

import construct as c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.columns.layout import LayoutError, compile_layout, field
from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError

EVERYTHING = c.Struct(
    "a" / c.Int24ub,
    "bits"
    / c.BitStruct(
        "x" / c.BitsInteger(3, signed=True),
        "armed" / c.Flag,
        c.Padding(4, b"\x01"),
        "mode" / c.Enum(c.BitsInteger(8), idle=0, run=1),
        "volts" / c.Bytewise(c.Float32b),
        "list" / c.Array(3, c.BitsInteger(5)),
        c.Padding(1),
    ),
    c.Padding(2, b"\xaa"),
    "samples" / c.Array(3, c.Int16sl),
    "pairs" / c.Array(2, c.Struct("p" / c.Int8sb, "q" / c.Float64l)),
    "tag" / c.Bytes(4),
    "magic" / c.Const(b"ok"),
    "version" / c.Const(7, c.Int8ub),
    c.Const(b"\x55"),
    "limit" / c.Default(c.Int16ub, 900),
    "on" / c.Flag,
    "state" / c.Enum(c.Int8ub, off=0, on=1),
    "big" / c.Int64sb,
    "odd" / c.BytesInteger(5, signed=True, swapped=True),
)
VALUES: dict[str, Any] = {
    "a": 0xABCDEF,
    "bits": {"x": -4, "armed": True, "mode": "run", "volts": -2.5, "list": [31, 0, 17]},
    "samples": [-32768, 0, 32767],
    "pairs": [{"p": -1, "q": math.pi}, {"p": 127, "q": -0.0}],
    "tag": b"\x00\xff12",
    "limit": 5,
    "on": True,
    "state": "off",
    "big": -(1 << 63),
    "odd": -(1 << 39),
}


class Spec(NamedTuple):
    """One random bit field: its width, whether it is signed, and whether it is a float."""

    width: int
    signed: bool
    kind: str


specs = st.lists(
    st.one_of(
        st.builds(Spec, st.integers(1, 64), st.booleans(), st.just("int")),
        st.builds(Spec, st.sampled_from([32, 64]), st.just(True), st.just("float")),
    ),
    min_size=1,
    max_size=24,
)


def declare(fields: list[Spec]) -> Any:
    """Return the BitStruct of random fields, padded to whole octets."""
    members = []
    for i, f in enumerate(fields):
        number = c.Float32b if f.width == 32 else c.Float64b
        kind = c.BitsInteger(f.width, signed=f.signed) if f.kind == "int" else c.Bytewise(number)
        members.append(f"f{i}" / kind)
    return c.BitStruct(*members, c.Padding(-sum(f.width for f in fields) % 8))


def raw(f: Spec, draw: st.DataObject) -> tuple[Any, int]:
    """Draw a value of a field; return it and its bits."""
    if f.kind == "float":
        value = draw.draw(st.floats(width=32 if f.width == 32 else 64, allow_nan=False))
        return value, int.from_bytes(struct.pack(">f" if f.width == 32 else ">d", value), "big")
    low = -(1 << f.width - 1) if f.signed else 0
    value = draw.draw(st.integers(low, low + (1 << f.width) - 1))
    return value, value & (1 << f.width) - 1


@settings(deadline=None, max_examples=150)
@given(specs, st.data())
def test_any_bit_fields_against_integer_arithmetic(fields: list[Spec], draw: st.DataObject) -> None:
    """Fields of any width at any bit offset are what long-integer arithmetic makes them."""
    layout = compile_layout(declare(fields))
    values, whole, nbits = {}, 0, 0
    for i, f in enumerate(fields):
        values[f"f{i}"], bits = raw(f, draw)
        whole, nbits = whole << f.width | bits, nbits + f.width
    octets = (whole << -nbits % 8).to_bytes(layout.nbytes, "big")
    assert layout.encode(values) == octets
    assert layout.decode(b"\xff" * 3 + octets + b"\xff" * 3, 3) == values
    assert [f.bit for f in layout.fields] == [
        sum(g.width for g in fields[:i]) for i in range(len(fields))
    ]


@settings(deadline=None, max_examples=60)
@given(specs, st.integers(0, 300), st.integers(0, 40), st.randoms(use_true_random=False))
def test_columns_equal_packets_one_by_one(
    fields: list[Spec], count: int, gap: int, rnd: Any
) -> None:
    """Columns, by stride and by offsets, hold what single packets give, and encode back."""
    layout = compile_layout(declare(fields))
    stride = layout.nbytes + gap
    buf = rnd.randbytes(stride * count + layout.nbytes)
    columns = layout.decode_columns(buf, stride=stride, count=count)
    picks = [rnd.randrange(count) for _ in range(min(count, 5))]
    for i in picks:
        one = layout.decode(buf, i * stride)
        for name, value in one.items():
            assert same(columns[name][i], value)
    order = np.array([i * stride for i in picks], np.uint64)
    picked = layout.decode_columns(buf, offsets=order)
    for name, column in picked.items():
        np.testing.assert_array_equal(column, columns[name][picks])
    again = layout.decode_columns(layout.encode_columns(columns))
    for name, column in again.items():
        np.testing.assert_array_equal(column.view("u1"), columns[name].view("u1"))


def same(one: Any, other: Any) -> bool:
    """Equal, or both not a number."""
    return bool(one == other or (one != one and other != other))


def test_everything_as_construct_has_it() -> None:
    """A declaration with each kind of field encodes and decodes as construct does it."""
    layout = compile_layout(EVERYTHING)
    octets = EVERYTHING.build(VALUES)
    assert layout.nbytes == EVERYTHING.sizeof() == len(octets)
    assert layout.encode(VALUES) == octets
    assert plain(EVERYTHING.parse(octets)) == layout.decode(octets)
    assert layout.decode(octets)["bits"]["mode"] == "run"


def plain(parsed: Any) -> Any:
    """Return construct's containers as dicts and lists."""
    if isinstance(parsed, dict):
        return {key: plain(value) for key, value in parsed.items() if not key.startswith("_")}
    return [plain(each) for each in parsed] if isinstance(parsed, list) else parsed


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=300, max_size=300))
def test_any_octets_decode_as_construct_decodes_them(octets: bytes) -> None:
    """Whatever the octets, single packet and columns give construct's values."""
    declaration = c.Struct(
        "n" / c.Int16ul,
        "b" / c.BitStruct("s" / c.BitsInteger(13, signed=True), "u" / c.BitsInteger(35)),
        "w" / c.Bitwise(c.Struct("q" / c.BitsInteger(24, signed=True, swapped=True))),
        "l" / c.Int24sl,
        "v" / c.Array(4, c.Int32sb),
        "z" / c.Int64ul,
        "t" / c.Bytes(3),
        "f" / c.Flag,
    )
    layout = compile_layout(declaration)
    columns = layout.decode_columns(octets)
    for i in range(len(octets) // layout.nbytes):
        want = plain(declaration.parse(octets[i * layout.nbytes :]))
        assert layout.decode(octets, i * layout.nbytes) == want
        assert columns["b.s"][i] == want["b"]["s"]
        assert columns["w.q"][i] == want["w"]["q"]
        assert columns["v"][i].tolist() == want["v"]
        assert columns["t"][i].tobytes() == want["t"]
        assert (columns["f"][i] != 0) == want["f"]
        assert columns["z"][i] == want["z"]


def test_constants_are_checked() -> None:
    """A constant that is not there is an error that names it, and is never asked for."""
    layout = compile_layout(EVERYTHING)
    octets = bytearray(layout.encode(VALUES))
    at = octets.index(b"ok")
    octets[at] ^= 1
    with pytest.raises(SyncError, match=r"magic: b'nk' where the layout has b'ok'"):
        layout.decode(octets)


def test_defaults_may_be_left_out() -> None:
    """A field with a default takes it when no value is given."""
    layout = compile_layout(EVERYTHING)
    values = {name: value for name, value in VALUES.items() if name != "limit"}
    assert layout.decode(layout.encode(values))["limit"] == 900


def test_unknown_enum_values_come_as_numbers() -> None:
    """A number without a label decodes as the number and encodes as it."""
    layout = compile_layout(c.Struct("state" / c.Enum(c.Int8ub, off=0)))
    assert layout.decode(b"\x09") == {"state": 9}
    assert layout.encode({"state": 9}) == b"\x09"


NARROW = c.Struct(
    "b" / c.BitStruct("u3" / c.BitsInteger(3), "s5" / c.BitsInteger(5, signed=True)),
    "u16" / c.Int16ub,
    "s64" / c.Int64sb,
    "f32" / c.Float32b,
    "mode" / c.Enum(c.Int8ub, off=0, on=1),
    "list" / c.Array(2, c.Int8sb),
    "tag" / c.Bytes(2),
)
FITTING: dict[str, Any] = {
    "b": {"u3": 7, "s5": -16},
    "u16": 65535,
    "s64": 0,
    "f32": 1e38,
    "mode": "on",
    "list": [1, 2],
    "tag": b"ab",
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"b": {"u3": 8, "s5": 0}}, r"b\.u3: 8 is not within 0 to 7"),
        ({"b": {"u3": -1, "s5": 0}}, r"b\.u3: -1 is not within"),
        ({"b": {"u3": 0, "s5": 16}}, r"b\.s5: 16 is not within -16 to 15"),
        ({"b": {"u3": 0, "s5": -17}}, r"b\.s5: -17"),
        ({"b": {"u3": 0}}, r"b\.s5: no value"),
        ({"b": 3}, r"b\.u3: no value"),
        ({"u16": 65536}, "u16: 65536"),
        ({"u16": 1 << 70}, "u16: 11805"),
        ({"u16": 1.5}, "u16: 1.5 is not an integer"),
        ({"u16": None}, "u16: None is not an integer"),
        ({"s64": 1 << 63}, "s64: 9223372036854775808"),
        ({"f32": 1e39}, "f32: 1e.39 is not a number of 32 bits"),
        ({"f32": "x"}, "f32: 'x' is not a number"),
        ({"mode": "standby"}, "mode: 'standby' is none of its labels off, on"),
        ({"mode": 256}, "mode: 256"),
        ({"list": [1, 128]}, "list: 128"),
        ({"list": [1]}, "list: 1 values, must be 2"),
        ({"tag": b"abc"}, "tag: 3 octets, must be 2"),
    ],
)
def test_range_errors_name_the_field(wrong: dict[str, Any], says: str) -> None:
    """A value that does not fit is refused by the name of its field."""
    layout = compile_layout(NARROW)
    assert layout.decode(layout.encode(FITTING))["b"] == FITTING["b"]
    with pytest.raises(FieldRangeError, match=says):
        layout.encode(FITTING | wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"b.u3": [0, 8]}, r"b\.u3: 8 in row 1 does not fit 3 bits"),
        ({"b.u3": np.array([0, 8], np.uint8)}, r"b\.u3: 8 in row 1"),
        ({"b.s5": np.array([-17, 0], np.int8)}, r"b\.s5: -17 in row 0"),
        ({"u16": [0, 65536]}, "u16: 65536 in row 1"),
        ({"u16": [0.0, 1.0]}, "u16: column of float64"),
        ({"s64": np.array([0, 1 << 63], np.uint64)}, "s64: 9223372036854775808 in row 1"),
        ({"f32": [0.0, 1e39]}, "f32: 1e.39 in row 1"),
        ({"list": [[1, 2, 3], [4, 5, 6]]}, "list: column of shape"),
        ({"u16": [1, 2, 3]}, "columns of 2 and of 3 rows"),
    ],
)
def test_column_range_errors_name_field_and_row(wrong: dict[str, Any], says: str) -> None:
    """The same for columns, with the row, whatever the type of the array."""
    layout = compile_layout(NARROW)
    columns: dict[str, Any] = dict(layout.decode_columns(layout.encode(FITTING) * 2))
    assert layout.encode_columns(columns) == layout.encode(FITTING) * 2
    with pytest.raises(FieldRangeError, match=says):
        layout.encode_columns(columns | wrong)
    del columns["u16"]
    with pytest.raises(FieldRangeError, match="u16: no column"):
        layout.encode_columns(columns)


def test_float_off_an_octet_boundary() -> None:
    """A float that begins three bits into an octet is that float."""
    layout = compile_layout(
        c.BitStruct("x" / c.BitsInteger(3), "f" / c.Bytewise(c.Float32b), c.Padding(5))
    )
    assert layout.decode(layout.encode({"x": 5, "f": 3.5})) == {"x": 5, "f": 3.5}
    assert layout.decode_columns(layout.encode({"x": 5, "f": 3.5}))["f"].tolist() == [3.5]


@pytest.mark.parametrize("shift", range(8))
def test_field_of_64_bits_over_nine_octets(shift: int) -> None:
    """A field of 64 bits at any offset is whole, single and in columns."""
    layout = compile_layout(
        c.BitStruct(
            "a" / c.BitsInteger(shift + 1),
            "n" / c.BitsInteger(64),
            "z" / c.BitsInteger(7 - shift + 8),
        )
    )
    values = {"a": 0, "n": 0x8123456789ABCDEF, "z": 0}
    octets = layout.encode(values)
    assert layout.decode(octets) == values
    columns = layout.decode_columns(octets * 3)
    assert columns["n"].tolist() == [values["n"]] * 3
    assert layout.encode_columns(columns) == octets * 3


def test_packets_of_other_lengths_between() -> None:
    """With offsets, packets of unequal length around a fixed layout do not shift its fields."""
    layout = compile_layout(c.Struct("n" / c.Int32ub))
    parts = [i.to_bytes(4, "big") + bytes(i % 5) for i in range(50)]
    offsets = np.cumsum([0] + [len(part) for part in parts[:-1]])
    assert layout.decode_columns(b"".join(parts), offsets=offsets)["n"].tolist() == list(range(50))


def test_arena_is_filled_again() -> None:
    """With out= the same arrays are filled; fewer rows are views of them, more are new ones."""
    layout = compile_layout(c.Struct("n" / c.Int16ub, "v" / c.Array(2, c.Int8ub)))
    first = layout.decode_columns(bytes(range(40)))
    n = first["n"]
    assert layout.decode_columns(bytes(40), out=first) is first
    assert n.tolist() == [0] * 10
    fewer = layout.decode_columns(bytes(range(8)), out=first)
    assert fewer["v"].tolist() == [[2, 3], [6, 7]]
    assert np.shares_memory(fewer["n"], n)
    assert n[:3].tolist() == [0x0001, 0x0405, 0]
    more = layout.decode_columns(bytes(400), out=first)
    assert len(more["n"]) == 100
    other = compile_layout(c.Struct("n" / c.Int16ub, "v" / c.Array(2, c.Int8ub)))
    assert other.decode_columns(bytes(40), out=first) is not first


def test_layout_of_nothing() -> None:
    """A declaration without fields, as of a command without arguments, is no octets at all."""
    layout = compile_layout(c.Struct())
    assert layout.encode({}) == b""
    assert layout.decode(b"", 0) == layout.decode(b"xyz", 3) == {}
    assert layout.document() == []


def test_nothing_is_read_behind_the_buffer() -> None:
    """Packets that end behind the buffer are an error, single and in columns."""
    layout = compile_layout(c.Struct("n" / c.Int32ub))
    for call in (
        lambda: layout.decode(bytes(3)),
        lambda: layout.decode(bytes(8), 5),
        lambda: layout.decode(bytes(8), -1),
        lambda: layout.decode_columns(bytes(8), count=3),
        lambda: layout.decode_columns(bytes(8), stride=5, count=2),
        lambda: layout.decode_columns(bytes(8), offsets=np.array([0, 5])),
        lambda: layout.decode_columns(bytes(8), offsets=np.array([2**63], np.uint64)),
    ):
        with pytest.raises(TruncatedError, match="4 octets"):
            call()
    with pytest.raises(FieldRangeError, match="stride 0"):
        layout.decode_columns(bytes(8), stride=0)
    assert len(layout.decode_columns(b"\x01\x02\x03")["n"]) == 0


def test_documentation_comes_from_the_declaration() -> None:
    """Name, place, type, unit and meaning of each field are those of the declaration."""
    layout = compile_layout(
        c.Struct(
            field("bus_v", c.Int16ub, "mV", "bus voltage"),
            field("mode", c.Enum(c.Int8ub, off=0), doc="operating mode"),
            field("temps", c.Array(3, c.Int16sl), unit="cK"),
            "plain" / c.Bytes(2),
        )
    )
    assert layout.document() == [
        ("bus_v", 0, 16, "uint16", "mV", "bus voltage"),
        ("mode", 16, 8, "enum", "", "operating mode"),
        ("temps", 24, 48, "int16[3] little-endian", "cK", ""),
        ("plain", 72, 16, "octets[2]", "", ""),
    ]


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (c.Struct("n" / c.VarInt), "n: construct VarInt"),
        (c.Struct("n" / c.Bytes(c.this.m)), "n: construct Bytes needs an earlier field: m"),
        (c.Struct("n" / c.Array(c.this.m, c.Byte)), "n: construct Array needs an earlier field"),
        (c.Struct("s" / c.Struct("n" / c.Computed(1))), r"s\.n: construct Computed"),
        (c.Struct("n" / c.Int16un), "byte order of the host"),
        (c.Struct("n" / c.BytesInteger(9)), "of 72 bits"),
        (c.Struct("n" / c.BitsInteger(3)), "bits among octets"),
        (c.BitStruct("n" / c.Int8ub), "wrap it in Bytewise"),
        (c.BitStruct("x" / c.BitsInteger(4), "b" / c.Bytewise(c.Bytes(1)), c.Padding(4)), "begin"),
        (c.Struct(c.Int8ub), "has no name"),
        (c.Struct("a" / c.Int8ub, "a" / c.Int8ub), "'a' is declared twice"),
        (c.Bitwise(c.BitsInteger(3)), "3 bits"),
        (c.Struct("n" / c.PascalString(c.VarInt, "utf8")), "length: construct VarInt"),
        (c.Int8ub, "put it in a Struct"),
    ],
)
def test_declarations_that_are_no_layout_are_refused(declaration: Any, says: str) -> None:
    """What has no fixed place, or would not mean the same here, is refused by name."""
    with pytest.raises(LayoutError, match=says):
        compile_layout(declaration)
