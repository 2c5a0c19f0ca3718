"""The dictionary as layouts: every declaration means the same to C as to construct."""

from __future__ import annotations

import zlib
from random import Random
from typing import Any

import numpy as np
import pytest
from construct import ConstructError
from declarations import packet, plain

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.dictionary import (
    EVENTS,
    FUNCTIONS,
    LISTS,
    PARAMETERS,
    POOL,
    PRODUCT,
    PRODUCT_HEADER,
    REPORTS,
    STRUCTURES,
    TELECOMMANDS,
)
from flightsw.codec.errors import CodecError
from flightsw.codec.time_code import pack_cuc

EVERYTHING = [
    *((s.name, s.struct) for s in STRUCTURES),
    *((e.name, e.struct) for e in EVENTS),
    *((f.name, f.struct) for f in FUNCTIONS),
    *((f"TC[{s},{t}]", layout) for (s, t), layout in TELECOMMANDS.items()),
    *((f"TM[{s},{t}]", layout) for (s, t), layout in REPORTS.items()),
    *((f"lists of [{s},{t}]", layout) for (s, t), layout in LISTS.items()),
    ("PRODUCT", PRODUCT),
]


@pytest.mark.parametrize(("name", "struct"), EVERYTHING, ids=[name for name, _ in EVERYTHING])
def test_every_declaration_is_a_layout(name: str, struct: Any) -> None:
    """Random octets give the values, the refusals and the octets that construct gives."""
    layout, rnd = compile_layout(struct), Random(name)
    good: list[bytes] = []
    for _ in range(60):
        octets = packet(rnd) * rnd.choice([1, 3])
        try:
            wanted = plain(struct.parse(octets))
        except ConstructError:
            with pytest.raises(CodecError):
                layout.decode(octets)
            continue
        assert layout.decode(octets) == wanted
        good.append(struct.build(wanted))
        assert layout.encode(wanted) == good[-1]
    lengths = np.array([len(each) for each in good], np.uint64)
    offsets = np.cumsum(lengths, dtype=np.uint64) - lengths
    columns = layout.decode_columns(b"".join(good), offsets=offsets, lengths=lengths, strict=True)
    if layout.fields and good:
        assert layout.encode_columns(columns) == b"".join(good)


def test_activities_of_the_schedule_are_columns() -> None:
    """The octets of TC[11,4] are release times and whole packets, as the services cut them."""
    packets = [bytes([0x19, 1, 0xC0, k, 0, k, *range(k + 1)]) for k in range(3)]
    body = b"".join(pack_cuc(k * 10**9) + each for k, each in enumerate(packets))
    octets = TELECOMMANDS[11, 4].build({"count": 3, "activities": body})
    columns = compile_layout(LISTS[11, 4]).decode_columns(octets, strict=True)
    assert columns["activities.release"].row(0).tolist() == [0, 10**9, 2 * 10**9]
    assert columns["activities.sequence"].row(0).tolist() == [0xC000, 0xC001, 0xC002]
    assert columns["activities.data"].lengths().tolist() == [1, 2, 3]


def test_values_have_the_width_of_their_parameter() -> None:
    """Every parameter of TM[20,2], of the pool too, is read by the kind that its id has."""
    layout = compile_layout(LISTS[20, 2])
    kinds = {p.id: p.kind for p in PARAMETERS} | {n: s.subcon for n, (_, s) in POOL.items()}
    rows = [{"id": number, "value": kind.parse(b"\x41" * 8)} for number, kind in kinds.items()]
    octets = layout.encode({"rows": rows})
    body = b"".join(n.to_bytes(2, "big") + b"\x41" * kinds[n].sizeof() for n in kinds)
    assert octets == bytes([len(kinds)]) + body
    columns = layout.decode_columns(octets * 2)
    assert columns["rows.id"].row(1).tolist() == list(kinds)
    name = f"rows.value{{{PARAMETERS[0].id}}}"
    assert np.count_nonzero(columns.valid[name]) == 2
    assert columns[name].values[columns.valid[name]].tolist() == [rows[0]["value"]] * 2


def test_a_whole_product() -> None:
    """Header, class map and checksum are one layout, whose octets are those of the parts."""
    layout = compile_layout(PRODUCT)
    head = dict.fromkeys((f.name for f in compile_layout(PRODUCT_HEADER).fields), 1)
    head |= {"magic": 0xF5A7, "model": b"12345678", "body_nbytes": 5}
    octets = PRODUCT_HEADER.build(head) + b"class"
    octets += zlib.crc32(octets).to_bytes(4, "big")
    values = layout.decode(octets)
    assert values["body"] == b"class"
    assert values["crc"] == zlib.crc32(octets[:-4])
    assert layout.encode(values) == octets
