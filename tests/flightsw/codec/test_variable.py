"""Variable layouts: lists, groups, strings and times, against construct and at their limits."""

from __future__ import annotations

from random import Random
from typing import Any

import construct as c
import numpy as np
import pytest
from construct import this
from declarations import agree_with_construct, plain
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.columns.layout import LayoutError, compile_layout, field
from flightsw.codec.columns.time_field import cds, cuc
from flightsw.codec.columns.variable_layout import VariableLayout
from flightsw.codec.errors import CodecError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib

EVERYTHING = c.Struct(
    "n" / c.Int8ub,
    "v" / c.Array(this.n * 2 + 1, c.Int16ul),
    "kind" / c.Enum(c.Int8ub, a=1, b=2),
    "body"
    / c.Switch(this.kind, {"a": c.Struct("x" / c.Int8ub, "y" / c.Float16b), "b": c.Float32b}),
    "t" / cuc(preamble=True),
    "day" / cds(3, 4),
    "list" / c.PrefixedArray(c.Int8ub, c.Struct("m" / c.Int8ub, "d" / c.Bytes(this.m))),
    "name" / c.PascalString(c.Int8ub, "utf8"),
    c.If(this.n == 1, c.Padding(2)),
    "bits"
    / c.BitStruct(
        "k" / c.BitsInteger(4),
        "q" / c.Array(this.k, c.BitsInteger(4)),
        "odd" / c.If(this.k % 2 == 0, c.BitsInteger(4)),
    ),
    "label" / c.PaddedString(6, "ascii"),
    "text" / c.CString("utf8"),
    "opt" / c.If(this.n > 1, c.Int24sb),
    "magic" / c.Const(b"a constant of more than 64 bits"),
    "rest" / c.GreedyBytes,
)


def values(n: int, kind: Any) -> dict[str, Any]:
    """Return the values of one packet of EVERYTHING."""
    return {
        "n": n,
        "v": list(range(2 * n + 1)),
        "kind": kind,
        "body": {"a": {"x": 3, "y": 1.5}, "b": 2.5}.get(kind),
        "t": 10**18 + n * 10**9,
        "day": 123_456_789 * 10**9 + 5,
        "list": [{"m": j, "d": bytes(j)} for j in range(n)],
        "name": "hé" * n,
        "bits": {"k": n, "q": [7] * n, "odd": None if n % 2 else 5},
        "label": "abc",
        "text": "xyz" * n,
        "opt": -5 if n > 1 else None,
        "magic": b"a constant of more than 64 bits",
        "rest": b"R" * n,
    }


PACKETS = [values(0, "a"), values(1, "b"), values(2, 7), values(3, "a")]
OCTETS = [EVERYTHING.build(each) for each in PACKETS]
LENGTHS = np.array([len(each) for each in OCTETS])
OFFSETS = np.cumsum(LENGTHS) - LENGTHS
DUMP = b"".join(OCTETS)


def test_everything_as_construct_has_it() -> None:
    """Each kind of list, group, string and time encodes and decodes as construct does it."""
    layout = compile_layout(EVERYTHING)
    assert isinstance(layout, VariableLayout)
    for wanted, octets in zip(PACKETS, OCTETS, strict=True):
        assert layout.encode(wanted) == octets
        assert layout.decode(b"??" + octets, 2) == wanted == plain(EVERYTHING.parse(octets))


def test_columns_of_everything() -> None:
    """Columns hold what packets do: lists with their offsets, groups with their masks."""
    layout = compile_layout(EVERYTHING)
    columns = layout.decode_columns(DUMP, offsets=OFFSETS, lengths=LENGTHS, strict=True)
    assert columns.count == 4
    assert columns.bad_count == 0
    assert columns["n"].tolist() == [0, 1, 2, 3]
    assert columns["v"].offsets.tolist() == [0, 1, 4, 9, 16]
    assert [row.tolist() for row in columns["v"].rows()] == [p["v"] for p in PACKETS]
    assert columns["body{a}.y"].tolist() == [1.5, 0, 0, 1.5]
    assert columns.valid["body{a}.y"].tolist() == [True, False, False, True]
    assert columns.valid["body{b}"].tolist() == [False, True, False, False]
    assert columns["opt"].tolist() == [0, 0, -5, -5]
    assert columns.valid["opt"].tolist() == [False, False, True, True]
    assert columns["t"].tolist() == [p["t"] for p in PACKETS]
    assert columns["list.m"].row(3).tolist() == [0, 1, 2]
    assert columns["list.d"].by_packet().lengths().tolist() == [0, 0, 1, 3]
    assert columns["list.d"].parents[0].tolist() == [0, 0, 1, 3, 6]
    assert columns["name"].row(2).tobytes().decode() == "héhé"
    assert columns["label"].tolist() == [[97, 98, 99, 0, 0, 0]] * 4
    assert columns["magic"].shape == (4, 31)
    assert layout.encode_columns(columns) == DUMP


def test_packets_without_lengths() -> None:
    """Packets that say how long they are need no offsets; the last of others gets the rest."""
    layout = compile_layout(c.Struct("n" / c.Int8ub, "v" / c.Array(this.n, c.Int16ub)))
    dump = b"".join(layout.encode({"n": n, "v": [n] * n}) for n in (2, 0, 3, 1))
    columns = layout.decode_columns(dump)
    assert columns["n"].tolist() == [2, 0, 3, 1]
    assert columns.end == len(dump)
    assert columns["v"].offsets.tolist() == [0, 2, 2, 5, 6]
    few = layout.decode_columns(dump, count=2)
    assert few["n"].tolist() == [2, 0]
    assert few.end == 6
    cut = layout.decode_columns(dump[:-1])
    assert cut["n"].tolist() == [2, 0, 3, 0]
    assert cut.faults.tolist() == [0, 0, 0, lib.FS_V_SHORT]
    assert cut.end == 13
    greedy = compile_layout(c.Struct("a" / c.Int8ub, "r" / c.GreedyBytes))
    ends = greedy.decode_columns(bytes(range(9)), offsets=np.array([0, 2, 6]))
    assert ends["r"].lengths().tolist() == [1, 3, 2]
    steps = greedy.decode_columns(bytes(range(9)), stride=4)
    assert [row.tolist() for row in steps["r"].rows()] == [[1, 2, 3], [5, 6, 7]]


def test_room_grows_and_is_used_again() -> None:
    """Lists longer than expected and more packets than expected get their room, once."""
    layout = compile_layout(
        c.Struct("n" / c.Int16ub, "v" / c.Array(this.n, c.Struct("b" / c.Int8ub)))
    )
    long = layout.encode({"n": 60_000, "v": [{"b": 7}] * 60_000})
    columns = layout.decode_columns(long + bytes(2 * 5000))
    assert columns.count == 5001
    assert columns["v.b"].offsets[[0, 1, -1]].tolist() == [0, 60_000, 60_000]
    assert (columns["v.b"].values == 7).all()
    again = layout.decode_columns(bytes(2 * 5000), out=columns)
    assert again.store is columns.store
    assert again.count == 5000
    assert again["v.b"].lengths().sum() == 0


def test_trailer_behind_what_goes_to_the_end() -> None:
    """A list to the end of the packet stops in front of members of fixed size."""
    layout = compile_layout(
        c.Struct("a" / c.Int8ub, "v" / c.GreedyRange(c.Int16ub), "crc" / c.Int16ub)
    )
    assert layout.decode(bytes([9, 0, 1, 0, 2, 0xAB, 0xCD])) == {"a": 9, "v": [1, 2], "crc": 0xABCD}
    assert layout.encode({"a": 9, "v": [1, 2], "crc": 5}).hex() == "09000100020005"
    with pytest.raises(TruncatedError, match=r"v, bit 8: ends too early|v, bit 8: holds part"):
        layout.decode(bytes(4))
    with pytest.raises(TruncatedError, match="v, bit 8: ends too early"):
        layout.decode(bytes(2))
    records = compile_layout(
        c.Struct(
            "r" / c.GreedyRange(c.Struct("m" / c.Int8ub, "d" / c.Bytes(this.m))), "z" / c.Int8ub
        )
    )
    assert records.decode(bytes([1, 9, 0, 0, 4]))["r"] == [
        {"m": 1, "d": b"\x09"},
        {"m": 0, "d": b""},
        {"m": 0, "d": b""},
    ]
    with pytest.raises(CodecError, match="holds part of an octet or of an element"):
        records.decode(bytes([1, 9, 2, 0, 4]))


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 62))
def test_random_declarations_as_construct_has_them(seed: int) -> None:
    """Whatever is declared and whatever the octets: the values of construct, or both refuse."""
    agree_with_construct(Random(seed), 12)


REPORT = c.Struct(
    "n" / c.Int8ub,
    "v" / c.Array(this.n, c.Int16ub),
    "flag" / c.Flag,
    "more" / c.If(this.flag, c.PrefixedArray(c.Int8ub, c.Int8ub)),
    "magic" / c.Const(0x5A, c.Int8ub),
)
GOOD = bytes.fromhex("02 0001 0002 01 01 07 5A")


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        ("02 0001 00", r"v, bit 8: ends too early \(found 2\)"),
        ("02 0001 0002 01 05 07 5A", r"more, bit 56: ends too early \(found 5\)"),
        ("02 0001 0002 01 01 07 5B", r"magic, bit 64: does not hold its constant \(found 91\)"),
        ("02 0001 0002 00", "magic, bit 48: ends too early"),
        ("", "n, bit 0: ends too early"),
    ],
)
def test_bad_packets_say_where(octets: str, says: str) -> None:
    """A packet that is cut or inconsistent is refused by field, bit and what was found."""
    layout = compile_layout(REPORT)
    assert layout.decode(GOOD)["more"] == [7]
    with pytest.raises((TruncatedError, SyncError), match=says):
        layout.decode(bytes.fromhex(octets))


def test_a_bad_packet_does_not_stop_the_batch() -> None:
    """Bad rows hold zeros and empty lists, are counted by reason, and raise only when strict."""
    layout = compile_layout(REPORT)
    bad = bytes.fromhex("02 0001 0002 01 05 07 5A")
    wrong = bytes.fromhex("02 0001 0002 01 01 07 00")
    packets = [GOOD, bad, GOOD, wrong, GOOD + b"?", GOOD]
    lengths = np.array([len(each) for each in packets])
    places = {"offsets": np.cumsum(lengths) - lengths, "lengths": lengths}
    columns = layout.decode_columns(b"".join(packets), **places)
    assert columns.good.tolist() == [True, False, True, False, False, True]
    assert columns.bad_count == 3
    assert columns.reasons() == {
        "ends too early": 1,
        "does not hold its constant": 1,
        "has octets behind its last field": 1,
    }
    assert columns.fault == (1, "more", "ends too early", 56, 5)
    assert columns["n"].tolist() == [2, 0, 2, 0, 0, 2]
    assert columns["v"].lengths().tolist() == [2, 0, 2, 0, 0, 2]
    assert columns["more"].lengths().tolist() == [1, 0, 1, 0, 0, 1]
    assert columns.valid["more"].tolist() == [True, False, True, False, False, True]
    with pytest.raises(TruncatedError, match="packet 1, more, bit 56: ends too early"):
        layout.decode_columns(b"".join(packets), **places, strict=True)
    beyond = layout.decode_columns(GOOD, offsets=[0, 5, 99], lengths=[9, 9, 1])
    assert beyond.faults.tolist() == [0, lib.FS_V_SHORT, lib.FS_V_SHORT]


def test_longer_packet_given_to_a_fixed_layout() -> None:
    """ccsdspy defect 9: a packet of another length is marked and zero, never shifted values."""
    layout = compile_layout(c.Struct("n" / c.Int32ub))
    packets = [bytes([0, 0, 0, 1]), bytes([0, 0, 0, 2, 9]), bytes([0, 0, 3]), bytes([0, 0, 0, 4])]
    lengths = np.array([len(each) for each in packets])
    places = {"offsets": np.cumsum(lengths) - lengths, "lengths": lengths}
    columns = layout.decode_columns(b"".join(packets), **places)
    assert columns["n"].tolist() == [1, 0, 0, 4]
    assert columns.reasons() == {"has octets behind its last field": 1, "ends too early": 1}
    with pytest.raises(SyncError, match="packet 1, its length"):
        layout.decode_columns(b"".join(packets), **places, strict=True)
    again = layout.decode_columns(b"".join(packets[:1]), out=columns)
    assert again.faults is None
    assert again.good.tolist() == [True]
    none = layout.decode_columns(b"abc", offsets=[0], lengths=[3])
    assert none["n"].tolist() == [0]


@pytest.mark.parametrize("shift", range(8))
def test_float_off_an_octet_boundary(shift: int) -> None:
    """ccsdspy defect 7: a float of any size at any bit is that float, also behind a list."""
    layout = compile_layout(
        c.BitStruct(
            "n" / c.BitsInteger(2),
            "v" / c.Array(this.n, c.BitsInteger(8)),
            "x" / c.BitsInteger(shift + 1),
            "h" / c.Bytewise(c.Float16l),
            "f" / c.Bytewise(c.Float32b),
            "d" / c.Bytewise(c.Float64l),
            c.Padding(-(shift + 3) % 8),
        )
    )
    given = {"n": 2, "v": [1, 2], "x": 1, "h": 3.5, "f": 3.5, "d": -1.8e-312}
    assert layout.decode(layout.encode(given)) == given
    columns = layout.decode_columns(layout.encode(given) * 3)
    assert columns["h"].tolist() == columns["f"].tolist() == [3.5] * 3
    assert columns["d"].tolist() == [-1.8e-312] * 3


@pytest.mark.parametrize("shift", range(8))
def test_unaligned_field_of_64_bits(shift: int) -> None:
    """ccsdspy defect 8: a field of 64 bits over nine octets is whole, in lists and alone."""
    layout = compile_layout(
        c.BitStruct(
            "x" / c.BitsInteger(shift + 1),
            "n" / c.BitsInteger(2),
            "v" / c.Array(this.n, c.BitsInteger(64)),
            "s" / c.BitsInteger(64, signed=True),
            c.Padding(-(shift + 3) % 8),
        )
    )
    given = {"x": 1, "n": 2, "v": [0x8123456789ABCDEF, 1], "s": -(1 << 63)}
    octets = layout.encode(given)
    assert layout.decode(octets) == given
    columns = layout.decode_columns(octets * 2)
    assert columns["v"].values.tolist() == given["v"] * 2
    assert columns["s"].tolist() == [given["s"]] * 2
    assert layout.encode_columns(columns) == octets * 2


@pytest.mark.parametrize("tail", [b"", b"\xa5"])
def test_nothing_outside_of_the_buffer_is_touched(guard: Guard, tail: bytes) -> None:
    """Reading and writing stay inside of their buffers, at both ends."""
    layout = compile_layout(EVERYTHING)
    assert isinstance(layout, VariableLayout)
    program, fault = layout._program.table, ffi.new("fs_fault *")
    for octets in (OCTETS[3] + tail, OCTETS[0][:1] + tail):
        slots = ffi.new("uint64_t[]", 200)
        for packet_ in guard.both(octets):
            found = lib.fs_variable_decode_one(program, packet_, len(octets), slots, 200, fault)
            assert found > 0 or fault.code == lib.FS_V_SHORT
        if found < 0:
            continue
        for out in guard.both(bytes(len(octets))):
            code = lib.fs_variable_encode_one(
                program, slots, found, packet_, len(octets), out, len(octets), fault
            )
            assert bytes(ffi.buffer(out, code)) == octets
            assert (
                lib.fs_variable_encode_one(
                    program, slots, found, packet_, len(octets), out, len(octets) - 1, fault
                )
                == lib.FS_E_RANGE
            )
            assert fault.code == lib.FS_V_ROOM


@pytest.mark.parametrize(
    ("divisor", "reason"), [(0, "division by zero"), (1, "ends too early"), (250, "")]
)
def test_arithmetic_that_fails_is_a_bad_packet(divisor: int, reason: str) -> None:
    """Division by zero in a length is the packet's fault, not a crash."""
    layout = compile_layout(c.Struct("d" / c.Int8ub, "v" / c.Bytes(100 // this.d)))
    octets = bytes([divisor, 1, 2])
    if not reason:
        assert layout.decode(octets)["v"] == b""
        return
    with pytest.raises(CodecError, match=reason):
        layout.decode(octets)


def test_lengths_are_refused_below_zero() -> None:
    """A length that comes out negative is the packet's fault."""
    layout = compile_layout(c.Struct("length" / c.Int16ub, "data" / c.Bytes(this.length - 7)))
    assert layout.decode(bytes([0, 9, 1, 2]))["data"] == b"\x01\x02"
    with pytest.raises(SyncError, match=r"data, bit 16: has a count .* \(found -6\)"):
        layout.decode(bytes([0, 1, 1, 2]))


def test_documentation_says_behind_what() -> None:
    """Offsets are numbers up to the first list, and then say behind what they stand."""
    layout = compile_layout(
        c.Struct(
            field("n", c.Int8ub, doc="samples"),
            field("v", c.Array(this.n * 2, c.Int16ub), "mV", "voltages"),
            field("kind", c.Int8ub),
            field("body", c.If(this.kind == 3, c.Int32ub), "s", "time left"),
            field("end", c.GreedyBytes),
            field("crc", c.Int16ub),
        )
    )
    assert layout.document() == [
        ("n", 0, 8, "uint8", "", "samples"),
        ("v", 8, 16, "list of uint16, n * 2 times", "mV", "voltages"),
        ("kind", "after v", 8, "uint8", "", ""),
        ("body", "after v + 8", 32, "uint32, if kind == 3", "s", "time left"),
        ("end", "after body", 8, "list of octets, to the end of the packet", "", ""),
        ("crc", "after end", 16, "uint16", "", ""),
    ]


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (c.Struct("n" / c.Int8ub, "v" / c.Array(lambda t: t.n, c.Byte)), "v: .* by a function"),
        (c.Struct("v" / c.Array(this.n, c.Byte), "n" / c.Int8ub), "v: .* n is no field"),
        (c.Struct("n" / c.Float32b, "v" / c.Bytes(this.n)), "n is no field"),
        (c.Struct("n" / c.Int8ub, "v" / c.Bytes(this.n / 2)), "operator"),
        (c.Struct("v" / c.GreedyBytes, "w" / c.GreedyBytes), "v: goes to the end"),
        (c.Struct("n" / c.Int8ub, "v" / c.Array(this.n, c.Bytes(0))), "may be empty"),
        (c.Struct("v" / c.PrefixedArray(c.Byte, c.Struct("g" / c.GreedyBytes, "e" / c.Byte))), "g"),
        (c.Struct("k" / c.Enum(c.Byte, a=1), "v" / c.If(this.k == 1, c.Byte)), "is an Enum"),
        (c.Struct("k" / c.Enum(c.Byte, a=1), "v" / c.If(this.k == "b", c.Byte)), "no label"),
        (c.Struct("k" / c.Enum(c.Byte, a=1), "v" / c.Switch(this.k, {1: c.Byte})), "give a label"),
        (c.Struct("k" / c.Byte, c.If(this.k, c.Int8ub)), "has no name"),
        (c.Struct("p" / c.Prefixed(c.Byte, c.Int8ub)), "around GreedyBytes only"),
        (c.Struct("s" / c.CString("utf16")), "one zero octet"),
        (c.Struct("l" / c.PrefixedArray(c.Byte, c.Padding(1))), "nothing but padding"),
        (c.Struct("v" / c.RepeatUntil(lambda x, so_far, t: x == 0, c.Byte)), "RepeatUntil"),
        (
            c.Struct(
                "a" / c.PrefixedArray(c.Byte, c.Struct("n" / c.Byte)), "b" / c.Bytes(this.a.n)
            ),
            "a.n is no field",
        ),
    ],
)
def test_declarations_that_are_no_layout_are_refused(declaration: Any, says: str) -> None:
    """What would not mean the same to construct and to us is refused by name."""
    with pytest.raises(LayoutError, match=says):
        compile_layout(declaration)
