"""space_packet_parser loads the XTCE export and decodes packets of ours to the same values.

Three things it does are kept out of the way, by layouts and values that have no need of them: it
fails at the last point of a spline itself, at numbers without a label, and at text that fills its
field so that no zero ends it.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import construct as c
import numpy as np
import pytest
from construct import this
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("space_packet_parser")

from space_packet_parser.xtce.definitions import XtcePacketDefinition
from space_packet_parser.xtce.validation import validate_xtce

from flightsw.codec.coding.crc import crc16
from flightsw.codec.columns.calibration import Polynomial, Spline
from flightsw.codec.columns.layout import Layout, LayoutError, compile_layout, field
from flightsw.codec.columns.plan import Choice, Repeat, Value
from flightsw.codec.columns.time_field import cds, cuc
from flightsw.codec.errors import CodecError
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.pus_format import PUS_C, PUS_VERSION_A, PusFormat
from flightsw.codec.stream.channel import Channel, Packets, Rule
from flightsw.codec.time_code import TimeFormat
from flightsw.codec.xtce.channel import channel_system, rules_system
from flightsw.codec.xtce.model import System

sys.path.append(str(Path(__file__).parents[1] / "flightsw" / "codec"))
from declarations import declaration, packet

APID = 77
PACKETS = Packets(error_control=True)


def load(system: System) -> XtcePacketDefinition:
    """Return a definition as the peer reads it."""
    return XtcePacketDefinition.from_xtce(io.BytesIO(system.text().encode()))


def valid(system: System) -> bool:
    """Whether the standard's schema, of which the peer has a copy, and its references hold."""
    source: Any = io.BytesIO(system.text().encode())
    return bool(validate_xtce(source, print_results=False, allow_schema_download=False).valid)


def packed(data: bytes, seq: int = 0, apid: int = APID) -> bytes:
    """Return a space packet that ends in error control."""
    body = space_packet.pack(apid, seq % 16384, data + b"\0\0")[:-2]
    return body + crc16(body).to_bytes(2, "big")


def same(one: Any, other: Any) -> bool:
    """Equal, or both not a number; calibrated values to the last digits of a double."""
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or math.isclose(one, other, rel_tol=1e-11, abs_tol=1e-9)
    return bool(one == other)


# Layouts of fixed size


CURVES = [
    Polynomial((-40.0, 0.125), "degC"),
    Polynomial((1.0, -2.5e-3, 1e-7), "V"),
    Spline(((-(2.0**64), -8.0), (0.0, 0.5), (100.0, 40.0), (2.0**64, 1e6)), "bar"),
    Spline(((0.0, 1.0), (10.0, 2.0), (2.0**65, 3.0)), "K", extrapolate=True),
]
LABELS = {"off": 0, "on": 1, "standby": 2, "a label with <&>": 3}


def number(rnd: Random) -> Any:
    """Return a number of whole octets."""
    floats = (c.Float32b, c.Float32l, c.Float64b, c.Float64l)
    if rnd.random() < 0.2:
        return rnd.choice(floats)
    swapped, signed = rnd.random() < 0.4, rnd.random() < 0.5
    return c.BytesInteger(rnd.randint(1, 8), signed=signed, swapped=swapped)


def member(rnd: Random, name: str) -> Any:
    """Return one field, or a group of bits, or padding."""
    roll = rnd.random()
    if roll < 0.45:
        kind, unit = number(rnd), rnd.choice(["", "raw", "1/2^4 s"])
        # Powers of any double overflow there, and splines have no value for most of them.
        curves = CURVES if isinstance(kind, c.BytesInteger) else CURVES[:1]
        curve = rnd.choice(curves) if rnd.random() < 0.4 else None
        return field(name, kind, unit, "a <number>", curve)
    if roll < 0.5:
        return name / c.Array(rnd.randint(1, 12), number(rnd))
    if roll < 0.55:
        return name / rnd.choice([c.Flag, c.Enum(c.Int8ub, **LABELS), c.Enum(c.Int16sl, **LABELS)])
    if roll < 0.6:
        return name / c.PaddedString(rnd.randint(2, 9), rnd.choice(["utf8", "ascii"]))
    if roll < 0.65:
        return name / c.Bytes(rnd.randint(1, 12))
    if roll < 0.7:
        return name / rnd.choice([c.Const(b"\x1a\xcf"), c.Const(513, c.Int16ul)])
    if roll < 0.75:
        return c.Padding(rnd.randint(1, 12))
    bits, total = [], 0
    for i in range(rnd.randint(1, 6)):
        width = rnd.randint(1, 64)
        kind: Any = c.BitsInteger(width, signed=rnd.random() < 0.5)
        if rnd.random() < 0.2:
            width, kind = rnd.choice([(32, c.Bytewise(c.Float32b)), (64, c.Bytewise(c.Float64l))])
        elif rnd.random() < 0.2:
            width, kind = rnd.choice([(1, c.Flag), (2, c.Enum(c.BitsInteger(2), **LABELS))])
        elif rnd.random() < 0.2:
            width, kind = 24, c.BitsInteger(24, swapped=True)
        bits.append(f"b{i}" / kind)
        total += width
    return name / c.BitStruct(*bits, c.Padding(-total % 8))


def random_columns(rnd: Random, layout: Layout, count: int) -> dict[str, Any]:
    """Return values for every field, as columns."""
    columns: dict[str, Any] = {}
    for f in layout.fields:
        shape = (count, f.elements) if f.array or f.kind == "bytes" else (count,)
        if f.const is not None:
            continue
        if f.labels:
            columns[f.name] = np.array([rnd.choice(list(f.labels)) for _ in range(count)], f.dtype)
        elif f.text:
            rows = [rnd.choice(["", "a", "abcdefgh"])[: f.elements - 1] for _ in range(count)]
            octets = b"".join(row.encode().ljust(f.elements, b"\0") for row in rows)
            columns[f.name] = np.frombuffer(octets, np.uint8).reshape(shape)
        elif f.kind == "float" or f.kind == "bytes":
            noise = rnd.randbytes(count * f.elements * f.dtype.itemsize)
            columns[f.name] = np.frombuffer(noise, f.dtype).reshape(shape)
        else:
            low = -(1 << f.width - 1) if f.kind == "int" else 0
            values = [rnd.getrandbits(f.width) + low for _ in range(count * f.elements)]
            columns[f.name] = np.array(values, f.dtype).reshape(shape)
    return columns


def compare_fixed(rnd: Random, count: int) -> None:
    """Export a random layout and compare what both sides say of ``count`` packets."""
    members = [member(rnd, f"f{i}") for i in range(rnd.randint(1, 12))]
    layout = compile_layout(c.Struct("first" / c.Int8ub, *members))
    apid = rnd.randrange(2047)
    system = rules_system("fixed", [Rule("one", layout, apid=apid, skip_nbytes=6)], PACKETS)
    peer = load(system)
    octets = layout.encode_columns(random_columns(rnd, layout, count))
    columns = layout.decode_columns(octets)
    calibrated = {f.name: columns.calibrated(f.name) for f in layout.fields}
    texts = {f.name: f.text for f in layout.fields if f.text}
    for row in range(count):
        data = octets[row * layout.nbytes : (row + 1) * layout.nbytes]
        found = peer.parse_bytes(packed(data, row, apid))
        assert (found["PKT_APID"], found["SRC_SEQ_CTR"]) == (apid, row)
        for f in layout.fields:
            parameters = [found[name] for name in system.names["one", f.name]]
            raw, value = columns[f.name][row].tolist(), calibrated[f.name][row].tolist()
            value = bool(value) if f.flag else value
            if f.kind == "bytes":
                (parameter,) = parameters
                wire = bytes(raw)
                assert parameter.raw_value == wire
                text = wire.rstrip(b"\0").decode(texts[f.name]) if f.name in texts else wire
                assert parameter == text, f.name
                continue
            raws, values = (raw, value) if f.array else ([raw], [value])
            assert all(map(same, (p.raw_value for p in parameters), raws)), f.name
            assert all(map(same, parameters, values)), f.name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_fixed_layouts(seed: int) -> None:
    """Any fixed layout of numbers, flags, labels, text, octets and arrays reads the same."""
    compare_fixed(Random(seed), 40)


@pytest.mark.soak
def test_fixed_layouts_at_length() -> None:
    """The same over 60,000 packets of 600 layouts."""
    for seed in range(600):
        compare_fixed(Random(seed), 100)


# Layouts of changing size


REST = c.Struct("mode" / c.Enum(c.Int8ub, idle=0, run=7), "rest" / c.GreedyBytes, "end" / c.Int16ub)
WORDS = c.Struct("a" / c.Int8ub, "text" / c.GreedyString("utf8"))
ENDED = c.Struct("a" / c.Int8ub, "text" / c.CString("utf8"), "z" / c.Int8sb)
COUNTED = c.Struct(
    "n" / c.Int8ub,
    "k" / c.BitStruct("hi" / c.BitsInteger(5), "few" / c.BitsInteger(3)),
    "values" / c.Array(this.n, c.Int16ul),
    "pairs" / c.Array(this.k.few * 2 + 1, c.Struct("x" / c.Int8sb, "y" / c.Float32b)),
    "name" / c.PascalString(c.Int8ub, "utf8"),
    "blob" / c.Prefixed(c.Int16ul, c.GreedyBytes, includelength=True),
    "t" / cuc(4, 3, preamble=True),
    "day" / cds(2, 2),
    "end" / c.Int32sb,
)
NESTED = c.Struct(
    "n" / c.Int8ub,
    "lists" / c.PrefixedArray(c.Int8ub, c.PascalString(c.Int8ub, "utf8")),
    "end" / c.Int16ub,
)
CHOOSY = c.Struct(
    "kind" / c.Enum(c.Int8ub, none=0, short=1, long=2, wide=9),
    "level" / c.Int16sb,
    "high" / c.If((this.level > 100) | (this.level <= -100), c.Int8ub),
    "body"
    / c.Switch(
        this.kind,
        {
            "short": c.Struct("x" / c.Int16ub),
            "long": c.Struct(
                "x" / c.Int32ul, "more" / c.Int8ub, "tail" / c.If(this.more > 3, c.Int8sb)
            ),
        },
        default=c.Struct("y" / c.Float32l),
    ),
    "sign"
    / c.IfThenElse(
        (this.level >= 0) & (this.kind != "none"), c.Int8ub, c.Struct("neg" / c.Int16sl)
    ),
    "end" / c.Int8ub,
)


def word(rnd: Random) -> str:
    """Return a short text."""
    return "".join(rnd.choice("abc é€") for _ in range(rnd.randint(0, 6)))


def rest(rnd: Random) -> dict[str, Any]:
    """Return values of REST."""
    octets = rnd.randbytes(rnd.randint(0, 40))
    return {"mode": rnd.choice(["idle", "run"]), "rest": octets, "end": rnd.getrandbits(16)}


def words(rnd: Random) -> dict[str, Any]:
    """Return values of WORDS and of ENDED."""
    return {"a": rnd.getrandbits(8), "text": word(rnd), "z": rnd.randint(-128, 127)}


def nested(rnd: Random) -> dict[str, Any]:
    """Return values of NESTED."""
    lists = [word(rnd) for _ in range(rnd.randint(0, 5))]
    return {"n": rnd.getrandbits(8), "lists": lists, "end": rnd.getrandbits(16)}


def counted(rnd: Random) -> dict[str, Any]:
    """Return values of COUNTED."""
    n, few = rnd.randint(0, 9), rnd.randrange(8)
    pairs = [{"x": rnd.randint(-128, 127), "y": rnd.randint(-9, 9) / 4} for _ in range(few * 2 + 1)]
    return {
        "n": n,
        "k": {"hi": rnd.randrange(32), "few": few},
        "values": [rnd.getrandbits(16) for _ in range(n)],
        "pairs": pairs,
        "name": word(rnd),
        "blob": rnd.randbytes(rnd.randint(0, 20)),
        "t": rnd.getrandbits(60) >> rnd.randrange(60),
        "day": rnd.randrange(60_000 * 86_400_000_000) * 1000,
        "end": rnd.randint(-(2**31), 2**31 - 1),
    }


def choosy(rnd: Random) -> dict[str, Any]:
    """Return values of CHOOSY."""
    kind = rnd.choice(["none", "short", "long", "wide"])
    level = rnd.choice([-101, -100, -1, 0, 1, 100, 101, rnd.randint(-(2**15), 2**15 - 1)])
    more = rnd.randrange(8)
    bodies: dict[str, dict[str, Any]] = {
        "short": {"x": rnd.getrandbits(16)},
        "long": {"x": rnd.getrandbits(32), "more": more, "tail": -5 if more > 3 else None},
    }
    return {
        "kind": kind,
        "level": level,
        "high": rnd.getrandbits(8) if level > 100 or level <= -100 else None,
        "body": bodies.get(kind, {"y": 0.5}),
        "sign": 3 if level >= 0 and kind != "none" else {"neg": -7},
        "end": rnd.getrandbits(8),
    }


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rest": (REST, rest, {}),
    "words": (WORDS, words, {}),
    "ended": (ENDED, words, {}),
    "counted": (
        COUNTED,
        counted,
        {"values": c.Int16ul, "pairs": c.Struct("x" / c.Int8sb, "y" / c.Float32b)},
    ),
    "nested": (NESTED, nested, {"lists": c.PascalString(c.Int8ub, "utf8")}),
    "choosy": (CHOOSY, choosy, {}),
}
HEADERS = [
    None,
    PUS_C,
    PusFormat(PUS_VERSION_A, counter_nbytes=1, destination_nbytes=0, time=TimeFormat("cds", 2, 0)),
    PusFormat(time=TimeFormat("cuc", 4, 2), preamble_sent=False, tm_spare_nbytes=3),
    PusFormat(time=None, error_control=False),
]


def outside_lists(nodes: Any) -> Iterator[Any]:
    """Yield the fields and lists that a packet has at most once."""
    for node in nodes:
        if isinstance(node, Choice):
            for group in node.groups:
                yield from outside_lists(group.members)
        elif isinstance(node, Repeat) or (isinstance(node, Value) and node.field.elements):
            yield node


def value_at(values: Any, path: Any) -> Any:
    """Return a value of a decoded packet, None if it is not there."""
    for part in path:
        inside = isinstance(values, list if isinstance(part, int) else dict)
        values = (values[part] if isinstance(part, int) else values.get(part)) if inside else None
    return values


def agrees(node: Any, parameters: list[Any], value: Any, elements: dict[str, Any]) -> bool:
    """Whether the parameters of a field or list say its value."""
    if isinstance(node, Repeat):
        (found,) = parameters
        if node.octets:
            return bool(found == value)
        if node.name not in elements:
            return True
        built: bytes = c.Array(len(value), elements[node.name]).build(value)
        return bool(found == built)
    f = node.field
    if f.time is not None:
        widths = [f.time.coarse, f.time.fine]
        if f.time.code == "cds":
            widths.insert(1, 4)
        sent = (
            p if isinstance(p, bytes) else p.to_bytes(n, "big")
            for p, n in zip(parameters, filter(None, widths), strict=True)
        )
        return bool(f.time.unpack(b"".join(sent)) == value)
    values = value if f.array else [value]
    return all(map(same, parameters, values)) and len(parameters) == len(values)


def compare_values(
    system: System, name: str, layout: Layout, values: Any, found: Any, elements: dict[str, Any]
) -> None:
    """Compare every value of a packet; one that is absent has no parameter."""
    by_path: dict[Any, list[Any]] = {}
    for node in outside_lists(layout.nodes):
        path = node.path if isinstance(node, Repeat) else node.field.path
        key = node.name if isinstance(node, Repeat) else node.field.name
        if isinstance(node, Value) and node.field.hidden:
            continue  # counts in front of lists are not values of ours
        present = [found[p] for p in system.names[name, key] if p in found]
        by_path.setdefault(path, []).extend([(node, present)] if present else [])
    for path, ways in by_path.items():
        value = value_at(values, path)
        if isinstance(value, dict):
            value = None  # the field of another case has this name
        assert len(ways) == (value is not None), (name, path, values)
        for node, present in ways:
            assert agrees(node, present, value, elements), (name, path, present, value)


def changing_system(layouts: dict[str, Layout], pus: PusFormat | None) -> System:
    """Return the definition of every case, each on an application process of its own."""
    rules = [
        Rule(name, layout, apid=i, service=200 if pus else None, skip_nbytes=0 if pus else 8)
        for i, (name, layout) in enumerate(layouts.items())
    ]
    return rules_system("changing", rules, Packets(error_control=True, pus=pus))


def compare_changing(seed: int, count: int) -> int:
    """Send packets of every case under one form of headers; return how many."""
    rnd = Random(seed)
    pus = HEADERS[seed % len(HEADERS)]
    layouts = {name: compile_layout(case[0]) for name, case in CASES.items()}
    system = changing_system(layouts, pus)
    peer = load(system)
    for at in range(count):
        apid = at % len(CASES)
        name, (_, values_of, elements) = list(CASES.items())[apid]
        layout = layouts[name]
        data = layout.encode(values_of(rnd))
        if pus is None:
            packet = packed(b"??" + data, at, apid)
        else:
            t_ns = None if pus.time is None else at * 10**9
            packet = pus.pack_tm(apid, at % 16384, 200, at % 256, data, t_ns=t_ns)
        found, values = peer.parse_bytes(packet), layout.decode(data)
        compare_values(system, name, layout, values, found, elements)
    return count


@pytest.mark.parametrize("pus", HEADERS)
def test_documents_are_valid(pus: PusFormat | None) -> None:
    """The schema of the standard accepts what we write, under every form of headers."""
    layouts = {name: compile_layout(case[0]) for name, case in CASES.items()}
    rnd = Random(5)
    layouts["fixed"] = compile_layout(c.Struct(*(member(rnd, f"f{i}") for i in range(80))))
    assert valid(changing_system(layouts, pus))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_lists_text_times_and_choices(seed: int) -> None:
    """Octets and text of any length, counted lists, times and groups read the same."""
    compare_changing(seed, 60)


@pytest.mark.soak
def test_lists_text_times_and_choices_at_length() -> None:
    """The same over 30,000 packets."""
    assert sum(compare_changing(seed, 1500) for seed in range(20)) == 30_000


def peer_can(layout: Layout, values: Any) -> bool:
    """Whether numbers have their labels, and a zero ends padded text but is not in it."""
    for node in outside_lists(layout.nodes):
        if isinstance(node, Repeat):
            continue
        value = value_at(values, node.field.path)
        if node.field.labels and isinstance(value, int):
            return False
        if node.field.padded and isinstance(value, str):
            octets = value.encode()
            if b"\0" in octets or len(octets) == node.field.elements:
                return False
    return True


def compare_random(seed: int, count: int) -> int:
    """Export a random declaration and compare; return packets, 0 if XTCE cannot say it."""
    rnd = Random(seed)
    layout = compile_layout(declaration(rnd, rnd.randint(0, 2)))
    rule = Rule("any", layout, apid=3, skip_nbytes=6)
    try:
        system = rules_system("random", [rule], PACKETS)
    except LayoutError:
        return 0
    peer, compared = load(system), 0
    for at in range(count):
        try:
            data = layout.encode(layout.decode(packet(rnd)))
        except CodecError:
            continue  # random octets that are no packet
        values = layout.decode(data)
        if peer_can(layout, values):
            found = peer.parse_bytes(packed(data, at, 3))
            compare_values(system, "any", layout, values, found, {})
            compared += 1
    return compared


@pytest.mark.parametrize(
    "layouts",
    [pytest.param(300, id="quick"), pytest.param(6000, id="long", marks=pytest.mark.soak)],
)
def test_random_declarations(layouts: int) -> None:
    """Whatever declaration can be said at all reads the same, to the last bit of each packet."""
    compared = [compare_random(seed, 10) for seed in range(layouts)]
    assert sum(map(bool, compared)) > layouts // 3
    assert sum(compared) > layouts * 2


def test_a_channel_as_its_description_says() -> None:
    """The export of a channel reads what its own layouts write."""
    layout = compile_layout(c.Struct(field("v", c.Int16ub, "V", calibration=Polynomial((0, 0.5)))))
    rule = Rule("x", layout, apid=5, skip_nbytes=6)
    channel = Channel("mission one", "packets", packets=PACKETS, rules=(rule,))
    system = channel_system(channel)
    found = load(system).parse_bytes(packed(layout.encode({"v": 7}), apid=5))
    assert (found["x_v"], found["x_v"].raw_value) == (3.5, 7)
