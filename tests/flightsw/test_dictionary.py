"""The data dictionary: unique, documented, and the same bytes from every encoder."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.columns.declaration import split_docs
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.dictionary import (
    EVENT_BY_ID,
    EVENTS,
    FUNCTION_BY_ID,
    FUNCTIONS,
    PARAMETERS,
    PART_HEADER,
    PART_NBYTES,
    POOL,
    REPORTS,
    STRUCTURES,
    TELECOMMANDS,
)
from flightsw.codec.dictionary.fields import code_of, limits_of, names_of
from flightsw.codec.packet.pus import pack_tm

#: largest data field of a TM frame of 256 octets with OCF and FECF (132.0-B-3)
FRAME_DATA_NBYTES = 256 - 6 - 4 - 2
EVERYTHING = [
    *((s.name, s.struct) for s in STRUCTURES),
    *((e.name, e.struct) for e in EVENTS),
    *((f.name, f.struct) for f in FUNCTIONS),
    *((f"TC[{s},{t}]", layout) for (s, t), layout in TELECOMMANDS.items()),
    *((f"TM[{s},{t}]", layout) for (s, t), layout in REPORTS.items()),
]


@pytest.mark.parametrize(("name", "layout"), EVERYTHING, ids=[name for name, _ in EVERYTHING])
def test_every_field_says_what_it_is(name: str, layout: Any) -> None:
    """No field without meaning, no name twice."""
    names = names_of(layout)
    assert len(set(names)) == len(names)
    assert all(subcon.docs for subcon in layout.subcons)


@pytest.mark.parametrize(("name", "layout"), EVERYTHING, ids=[name for name, _ in EVERYTHING])
def test_no_field_hides_behind_a_method_of_its_container(name: str, layout: Any) -> None:
    """Parsed values are read as attributes, so no field is called like a method of dict."""
    assert not set(names_of(layout)) & set(dir(dict))


def test_ids_are_unique() -> None:
    """Structures, events, functions, parameters and pool fields each have ids of their own."""
    assert len({s.sid for s in STRUCTURES}) == len(STRUCTURES)
    assert len(EVENT_BY_ID) == len(EVENTS)
    assert len(FUNCTION_BY_ID) == len(FUNCTIONS)
    assert len({p.id for p in PARAMETERS} | set(POOL)) == len(PARAMETERS) + len(POOL)


def test_every_parameter_lies_in_its_range_and_names_its_unit() -> None:
    """Defaults are valid, ranges are not empty, fractions and counts say so."""
    for parameter in PARAMETERS:
        assert parameter.lower <= parameter.default <= parameter.upper
        assert parameter.lower < parameter.upper
        assert split_docs(parameter.subcon().docs)[1] == parameter.unit


@given(data=st.data())
@pytest.mark.parametrize("structure", STRUCTURES, ids=[s.name for s in STRUCTURES])
def test_three_encoders_make_the_same_bytes(structure: Any, data: Any) -> None:
    """construct, the compiled layout and the packer of the housekeeping service agree."""
    values = {
        subcon.name: data.draw(st.integers(*limits_of(subcon)))
        for subcon in structure.struct.subcons
    }
    built = structure.struct.build(values)
    layout = compile_layout(structure.struct)
    assert layout.encode(values) == built
    codes = "".join(map(code_of, structure.struct.subcons))
    assert struct.pack(">" + codes, *values.values()) == built
    assert layout.decode(built) == values


def test_a_product_part_fills_one_frame() -> None:
    """Header, part and error control are exactly the data field of a frame of 256 octets."""
    body = bytes(PART_HEADER.sizeof() + PART_NBYTES)
    assert len(pack_tm(0x101, 0, 13, 2, body, t_ns=0, counter=0)) == FRAME_DATA_NBYTES


def test_every_report_fits_a_frame() -> None:
    """Housekeeping and events fit one frame each, so that one lost frame costs few packets."""
    for layout in [s.struct for s in STRUCTURES] + [e.struct for e in EVENTS]:
        body = bytes(2 + layout.sizeof())
        assert len(pack_tm(0x101, 0, 3, 25, body, t_ns=0, counter=0)) <= FRAME_DATA_NBYTES
