"""XTCE export: what it says of fields, conditions, headers and rules, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import construct as c
import numpy as np
import pytest
from construct import len_, this

from flightsw.codec.columns.calibration import Polynomial, Spline
from flightsw.codec.columns.layout import LayoutError, compile_layout, field
from flightsw.codec.columns.time_field import cds, cuc
from flightsw.codec.dictionary import EVENTS, REPORTS, STRUCTURES, export
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.stream.channel import Channel, Packets, Rule
from flightsw.codec.xtce.channel import HEADER, channel_xtce, rules_system
from flightsw.codec.xtce.conditions import Comparison
from flightsw.codec.xtce.model import NAMESPACE, System, legal

BARE = Packets()


def system_of(declaration: Any, packets: Packets = BARE, **rule: Any) -> System:
    """Return the definition of one layout named ``one`` on APID 5."""
    rule = {"apid": 5, "skip_nbytes": 0 if packets.pus else 6} | rule
    return rules_system("test", [Rule("one", compile_layout(declaration), **rule)], packets)


def parsed(system: System) -> ET.Element:
    """Return the document without its namespace."""
    root = ET.fromstring(system.text().replace(f'xmlns="{NAMESPACE}"', ""))
    assert root.tag == "SpaceSystem"
    return root


def found(root: ET.Element, path: str) -> ET.Element:
    """Return the one element at a path."""
    (element,) = root.findall(path)
    return element


def type_of(declaration: Any) -> ET.Element:
    """Return the type of the only field of a layout."""
    root = parsed(system_of(c.Struct("x" / declaration)))
    return found(root, ".//ParameterTypeSet/*[@name='one_x_Type']")


# The document


def test_the_root_is_abstract_and_holds_the_seven_fields_of_the_header() -> None:
    """A packet is a header first; one that no container extends it with is no packet of ours."""
    root = parsed(system_of(c.Struct("x" / c.Int8ub)))
    header = found(root, ".//SequenceContainer[@name='CCSDSPacket']")
    assert header.get("abstract") == "true"
    assert header.find("BaseContainer") is None
    names = [e.get("parameterRef") for e in header.findall("EntryList/*")]
    assert names == [name for name, _, _ in HEADER]
    widths = [
        found(root, f".//*[@name='{name}_Type']/IntegerDataEncoding").get("sizeInBits")
        for name in names
    ]
    assert widths == [str(width) for _, width, _ in HEADER]
    assert sum(width for _, width, _ in HEADER) == 48


def test_the_same_declaration_gives_the_same_octets() -> None:
    """No date and no random name: a document under version control changes with its source."""
    declared = c.Struct("x" / c.Int8ub, "y" / c.If(this.x > 3, c.Float32b), "z" / c.Bytes(this.x))
    assert system_of(declared).text() == system_of(declared).text()
    assert "date" not in found(parsed(system_of(declared)), "Header").attrib


def test_every_reference_leads_somewhere() -> None:
    """Types, parameters and containers that are named are there, once."""
    root = parsed(export.system())
    for kind, where in (
        ("parameterRef", ".//Parameter"),
        ("parameterTypeRef", ".//ParameterTypeSet/*"),
        ("containerRef", ".//SequenceContainer"),
    ):
        names = [e.get("name") for e in root.findall(where)]
        assert len(names) == len(set(names))
        assert {e.get(kind) for e in root.iter() if e.get(kind)} <= set(names)


def test_text_is_escaped_and_what_xml_cannot_hold_is_refused() -> None:
    """Units, labels and meanings with markup come back; a control character is an error."""
    declared = c.Struct(field("x", c.Enum(c.Int8ub, **{"a<b>&'\"": 1}), "<V>", "a & b"))
    root = parsed(system_of(declared))
    kind = found(root, ".//EnumeratedParameterType")
    assert found(kind, "EnumerationList/Enumeration").get("label") == "a<b>&'\""
    assert found(kind, "UnitSet/Unit").text == "<V>"
    assert found(root, ".//Parameter[@name='one_x']").get("shortDescription") == "a & b"
    with pytest.raises(LayoutError, match="cannot be written in XML"):
        system_of(c.Struct(field("x", c.Int8ub, doc="bell \x07"))).text()


def test_names_are_legal_and_stay_apart() -> None:
    """Dots and brackets have no place in an XTCE name; fields that differ by them keep theirs."""
    declared = c.Struct(
        "a" / c.Struct("b" / c.Int8ub), "a_b" / c.Int8ub, "c" / c.Array(2, c.Int8ub)
    )
    system = system_of(declared)
    assert system.names["one", "a.b"] == ["one_a_b"]
    assert system.names["one", "a_b"] == ["one_a_b_2"]
    assert system.names["one", "c"] == ["one_c_0", "one_c_1"]
    assert [legal(name) for name in ("x[0].y", "a{b}.c", "#n", "..")] == [
        "x_0_y",
        "a_b_c",
        "n",
        "unnamed",
    ]


# Fields


@pytest.mark.parametrize(
    ("declaration", "kind", "encoding"),
    [
        (c.Int8ub, "Integer", ("unsigned", "8", "most")),
        (c.Int16sl, "Integer", ("twosComplement", "16", "least")),
        (
            c.BytesInteger(5, signed=True, swapped=True),
            "Integer",
            ("twosComplement", "40", "least"),
        ),
        (c.Flag, "Boolean", ("unsigned", "8", "most")),
        (c.Enum(c.Int16ub, a=1), "Enumerated", ("unsigned", "16", "most")),
        (c.Float16b, "Float", ("IEEE754", "16", "most")),
        (c.Float32l, "Float", ("IEEE754_1985", "32", "least")),
        (c.Float64b, "Float", ("IEEE754_1985", "64", "most")),
    ],
)
def test_numbers(declaration: Any, kind: str, encoding: tuple[str, str, str]) -> None:
    """Kind, sign, width and byte order of a number are those of its field."""
    made = type_of(declaration)
    assert made.tag == f"{kind}ParameterType"
    inside = found(made, "*[@sizeInBits]")
    order = f"{encoding[2]}SignificantByteFirst"
    assert (inside.get("encoding"), inside.get("sizeInBits")) == encoding[:2]
    assert inside.get("byteOrder") == order


@pytest.mark.parametrize(
    ("declaration", "charset", "end"),
    [
        (c.PaddedString(6, "utf8"), "UTF-8", "00"),
        (c.PaddedString(6, "ascii"), "US-ASCII", "00"),
        (c.PaddedString(6, "utf_16_le"), "UTF-16LE", "0000"),
    ],
)
def test_padded_text(declaration: Any, charset: str, end: str) -> None:
    """Text of fixed size has its character set and ends at the first zero."""
    encoding = found(type_of(declaration), "StringDataEncoding")
    assert encoding.get("encoding") == charset
    assert found(encoding, "SizeInBits/Fixed/FixedValue").text == "48"
    assert found(encoding, "SizeInBits/TerminationChar").text == end


def test_calibrations() -> None:
    """A calibrated field is a float with a curve, in the unit of the curve."""
    declared = c.Struct(
        field("p", c.Int16ub, "raw", calibration=Polynomial((0.1, 2.0), "V")),
        field("s", c.Int8sb, "raw", calibration=Spline(((0, 1), (2, 5.5)), extrapolate=True)),
    )
    root = parsed(system_of(declared))
    first = found(root, ".//FloatParameterType[@name='one_p_Type']")
    assert first.get("sizeInBits") == "64"
    assert found(first, "UnitSet/Unit").text == "V"
    terms = [(t.get("exponent"), t.get("coefficient")) for t in first.iter("Term")]
    assert terms == [("0", "0.1"), ("1", "2.0")]
    second = found(root, ".//FloatParameterType[@name='one_s_Type']")
    assert found(second, "UnitSet/Unit").text == "raw"
    curve = found(second, ".//SplineCalibrator")
    assert (curve.get("order"), curve.get("extrapolate")) == ("1", "true")
    assert [(p.get("raw"), p.get("calibrated")) for p in curve] == [("0.0", "1.0"), ("2.0", "5.5")]


@dataclass(frozen=True)
class Logarithm:
    """A calibration that no XTCE reader knows."""

    unit: str = "dB"

    def apply(self, raw: Any) -> Any:
        """Return ten times the logarithm."""
        return 10 * np.log10(raw)

    def invert(self, values: Any) -> Any:
        """Return the power."""
        return 10 ** (np.asarray(values) / 10)


def test_times_are_the_integers_that_they_are_made_of() -> None:
    """A time code is seconds and fraction, or days, milliseconds and their fraction."""
    declared = c.Struct("t" / cuc(4, 3, preamble=True), "d" / cds(3, 4), "w" / cuc(2, 0))
    system = system_of(declared)
    assert system.containers["one"].entries == [
        "one_t_preamble", "one_t_coarse", "one_t_fine",
        "one_d_days", "one_d_ms", "one_d_fine", "one_w_coarse",
    ]  # fmt: skip
    units = [system.parameters[name].type.unit for name in system.names["one", "t"]]
    assert units == ["s", "1/2^24 s"]


def test_padding_and_constants_take_their_bits() -> None:
    """What has no value still has a place; a constant says its value."""
    declared = c.Struct(c.Padding(2), "m" / c.Const(513, c.Int16ub), c.Padding(12), "x" / c.Int8ub)
    system = system_of(declared)
    names = system.containers["one"].entries
    assert names == ["one_padding", "one_m", "one_padding_2", "one_x"]
    assert system.parameters["one_m"].doc == "(always 513)"
    assert system.parameters["one_padding_2"].type.kind == "Binary"


def test_what_has_no_bits_has_no_parameter() -> None:
    """Empty fields are declared for their name only; readers refuse a size of nothing."""
    declared = c.Struct("a" / c.Bytes(0), c.Padding(0), "b" / c.Array(0, c.Int8ub), "x" / c.Int8ub)
    assert system_of(declared).containers["one"].entries == ["one_x"]


# Lists


def test_a_counted_list_has_the_size_that_its_count_says() -> None:
    """A list is all its octets: a number of bits, times the raw count, plus a number of bits."""
    declared = c.Struct(
        field("n", c.Int8ub, calibration=Polynomial((0.0, 2.0))),
        "v" / c.Array(this.n * 2 + 1, c.Int16ub),
        "w" / c.Prefixed(c.Int8ub, c.GreedyBytes),
    )
    root = parsed(system_of(declared))
    sizes = []
    for name in ("v", "w"):
        size = found(root, f".//*[@name='one_{name}_Type']//DynamicValue")
        by, line = found(size, "ParameterInstanceRef"), found(size, "LinearAdjustment")
        assert by.get("useCalibratedValue") == "false"
        sizes.append((by.get("parameterRef"), line.get("slope"), line.get("intercept")))
    assert sizes == [("one_n", "32", "16"), ("one_w_length", "8", "0")]


def test_what_goes_to_the_end_counts_from_the_length_of_the_packet() -> None:
    """Headers, fields around it and error control are taken off the length of the packet."""
    declared = c.Struct("a" / c.Int16ub, "rest" / c.GreedyBytes, "z" / c.Int8ub)
    for packets, others in (
        (BARE, 6 + 3),
        (Packets(error_control=True), 6 + 3 + 2),
        (Packets(pus=PUS_C), 21 + 3 + 2),
    ):
        root = parsed(system_of(declared, packets))
        size = found(root, ".//*[@name='one_rest_Type']//DynamicValue")
        assert found(size, "ParameterInstanceRef").get("parameterRef") == "PKT_LEN"
        line = found(size, "LinearAdjustment")
        assert (line.get("slope"), line.get("intercept")) == ("8", str(8 * (7 - others)))


def test_the_last_list_of_changing_elements_takes_what_is_left() -> None:
    """Where a size cannot be counted it can still be what the packet has left, once."""
    element = c.PascalString(c.Int8ub, "utf8")
    for last in (c.PrefixedArray(c.Int8ub, element), c.Bytes(this.n * this.n)):
        root = parsed(system_of(c.Struct("n" / c.Int8ub, "last" / last, "z" / c.Int16ub)))
        size = found(root, ".//*[@name='one_last_Type']//ParameterInstanceRef")
        assert size.get("parameterRef") == "PKT_LEN"


def test_longer_packets_have_a_rest() -> None:
    """What a rule leaves undescribed is a parameter, so that every octet has a place."""
    system = system_of(c.Struct("a" / c.Int16ub), longer=True, skip_nbytes=8)
    assert system.containers["one"].entries == ["one_skipped", "one_a", "one_rest"]


# Choices


def test_each_way_through_a_choice_is_a_container() -> None:
    """A switch gives a container a case and one for none; what follows is in each of them."""
    declared = c.Struct(
        "kind" / c.Enum(c.Int8ub, a=1, b=2),
        "body" / c.Switch(this.kind, {"a": c.Int8ub, "b": c.Struct("y" / c.Int16ub)}),
        "end" / c.Int8ub,
    )
    system = system_of(declared)
    assert system.containers["one"].abstract
    ways = {name: one for name, one in system.containers.items() if one.base == "one"}
    assert {name: one.entries for name, one in ways.items()} == {
        "one_body_a": ["one_body_a", "one_end"],
        "one_body_b": ["one_body_b_y", "one_end"],
        "one_no_body": ["one_end"],
    }
    assert ways["one_body_a"].where == (Comparison("one_kind", "==", 1),)
    assert [each.sign for each in ways["one_no_body"].where] == ["!=", "!="]


def test_a_choice_made_before_is_not_made_again() -> None:
    """Two groups under one condition give two containers, not four."""
    declared = c.Struct(
        "n" / c.Int8ub,
        "x" / c.If(this.n > 4, c.Int8ub),
        "y" / c.If(this.n >= 5, c.Int8ub),
        "z" / c.If(this.n < 256, c.Int8ub),
    )
    system = system_of(declared)
    ways = {name: one.entries for name, one in system.containers.items() if one.base == "one"}
    assert ways == {"one_x": ["one_x", "one_y", "one_z"], "one_no_x": ["one_z"]}


# Rules


def test_fields_in_the_primary_header_are_its_parameters() -> None:
    """A layout of the whole packet depends on the header's parameters as on its own fields."""
    header = c.BitStruct(
        "ver" / c.BitsInteger(3), "tc" / c.Flag, c.Padding(1), "apid" / c.BitsInteger(11)
    )
    declared = c.Struct(
        "head" / header,
        "seq" / c.Int16ub,
        "length" / c.Int16ub,
        "data" / c.Bytes(this.length + 1),
    )
    system = system_of(declared, skip_nbytes=0)
    assert system.containers["one"].entries == ["one_data"]
    size = found(parsed(system), ".//*[@name='one_data_Type']//DynamicValue")
    assert found(size, "ParameterInstanceRef").get("parameterRef") == "PKT_LEN"
    with pytest.raises(LayoutError, match="word begins in the packet's primary header"):
        system_of(c.Struct("word" / c.Int64ub), skip_nbytes=0)
    with pytest.raises(LayoutError, match="ends within the packet's primary header"):
        system_of(c.Struct("word" / c.Int16ub), skip_nbytes=0)


def test_a_channel_says_how_its_rules_are_told_apart() -> None:
    """APID, kind, service and subtype are comparisons; idle packets belong to no rule."""
    layout = compile_layout(c.Struct("x" / c.Int8ub))
    rules = (
        Rule("a", layout, apid=5, telecommand=True, skip_nbytes=6),
        Rule("b", layout, telecommand=False, skip_nbytes=6),
    )
    root = ET.fromstring(
        channel_xtce(Channel("my mission", "packets", rules=rules)).replace("xmlns=", "x=")
    )
    assert root.get("name") == "my_mission"
    wanted = {
        "a": [("PKT_APID", "==", "5"), ("TYPE", "==", "1")],
        "b": [("TYPE", "==", "0"), ("PKT_APID", "!=", "2047")],
    }
    for name, comparisons in wanted.items():
        inside = root.findall(f".//SequenceContainer[@name='{name}']//Comparison")
        assert comparisons == [
            (e.get("parameterRef"), e.get("comparisonOperator"), e.get("value")) for e in inside
        ]


REFUSED: list[tuple[Any, str]] = [
    (c.Struct("n" / c.Int8ub, "a" / c.If(this.n & 4, c.Int8ub)), "a: XTCE cannot say it: (n & 4)"),
    (
        c.Struct("n" / c.Int8ub, "m" / c.Int8ub, "a" / c.If(this.n < this.m, c.Int8ub)),
        "n < m is no comparison of one field with a number",
    ),
    (
        c.Struct("n" / c.Int8ub, "v" / c.Bytes(this.n), "rest" / c.GreedyBytes),
        "rest: goes to the end of the packet, and v in front of it changes size too",
    ),
    (
        c.Struct("n" / c.Int8ub, "v" / c.Bytes(this.n // 2), "w" / c.Bytes(this.n)),
        "v: has n // 2 elements, and what follows it changes size too; XTCE says",
    ),
    (
        c.Struct(
            "v" / c.PrefixedArray(c.Int8ub, c.PascalString(c.Int8ub, "utf8")),
            "w" / c.CString("utf8"),
        ),
        "v: has elements of changing size, and what follows",
    ),
    (
        c.Struct("s" / c.CString("utf8"), "t" / c.CString("utf8")),
        "s: ends at a zero octet, and what follows",
    ),
    (c.Struct("s" / c.PaddedString(6, "utf16")), "s: XTCE has no text in 'utf16'"),
    (
        c.Struct("n" / c.Int8ub, "o" / c.If(this.n > 1, c.Int8ub), "v" / c.Bytes(this.o)),
        "v: depends on o, which is not in every packet that has v",
    ),
    (c.Struct(field("x", c.Int8ub, calibration=Logarithm())), "one_x: a Logarithm is none of the"),
    (c.Struct("x" / c.Enum(c.Int64ub, big=2**63)), "one_x: XTCE has no label for"),
    (
        c.Struct(
            *(f"n{i}" / c.Int8ub for i in range(12)),
            *(f"o{i}" / c.If(this[f"n{i}"] > 0, c.Int8ub) for i in range(12)),
        ),
        "one: its choices give more than 1000 containers",
    ),
]


@pytest.mark.parametrize(("declaration", "why"), REFUSED, ids=[why[:20] for _, why in REFUSED])
def test_what_xtce_cannot_say_is_refused_by_name(declaration: Any, why: str) -> None:
    """The layout itself compiles; the export names the field and what is in the way."""
    with pytest.raises(LayoutError) as caught:
        system_of(declaration).text()
    assert why in str(caught.value)


def test_rules_that_xtce_cannot_tell_apart_are_refused() -> None:
    """A reader takes a packet in one way; rules need something in the packet to differ by."""
    layout = compile_layout(c.Struct("x" / c.Int8ub))
    both = [Rule("a", layout, apid=5, skip_nbytes=6), Rule("b", layout, skip_nbytes=6)]
    with pytest.raises(LayoutError, match="layout b: can take the same packets as layout a"):
        rules_system("t", both, BARE)
    with pytest.raises(LayoutError, match="layout a: is for virtual channel 3"):
        rules_system("t", [Rule("a", layout, vcid=3)], BARE)
    with pytest.raises(LayoutError, match="layout a: service and subtype need"):
        rules_system("t", [Rule("a", layout, service=3)], BARE)
    for rule in (Rule("a", layout, apid=9), Rule("a", layout, telecommand=True)):
        with pytest.raises(LayoutError, match="layout a: its packets have no header"):
            rules_system("t", [rule], Packets(pus=PUS_C, no_pus=frozenset({9})))


# The dictionary


def test_the_dictionary_has_a_container_for_every_report() -> None:
    """What the dictionary declares is in the export, with every field and its unit."""
    system = export.system()
    wanted = {f"HK_{one.name}": one.struct for one in STRUCTURES}
    wanted |= {f"EVENT_{event.name}": event.struct for event in EVENTS}
    wanted |= {f"TM_{s}_{t}": struct for (s, t), struct in REPORTS.items()}
    for name, struct in wanted.items():
        assert not system.containers[name].abstract
        for f in compile_layout(struct).fields:
            if not f.after:
                units = {system.parameters[p].type.unit for p in system.names[name, f.name]}
                assert units <= {f.unit}
    concrete = {name for name, one in system.containers.items() if not one.abstract}
    assert concrete == {*wanted, "TM_13_1", "TM_13_2", "TM_13_3"}


def test_the_dictionary_prints_itself() -> None:
    """Run as a module it writes the document, the same in every process."""
    command = [sys.executable, "-m", "flightsw.codec.dictionary.export"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == export.xtce()


def test_lists_know_their_own_length() -> None:
    """A count that encoding computes is an ordinary parameter to a reader."""
    declared = c.Struct("n" / c.Rebuild(c.Int8ub, len_(this.v)), "v" / c.Array(this.n, c.Int8ub))
    assert system_of(declared).containers["one"].entries == ["one_n", "one_v"]
