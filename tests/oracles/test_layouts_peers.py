"""Layouts against programs that read the same declarations: construct, bitstruct, ccsdspy."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

import construct as c
import numpy as np
import pytest
from construct import this

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.columns.variable_layout import VariableLayout

sys.path.append(str(Path(__file__).parents[1] / "flightsw" / "codec"))
from declarations import agree_with_construct, same

CASES = [
    pytest.param(2_000, id="quick"),
    pytest.param(100_000, id="full", marks=pytest.mark.soak),
]
FLOATS = {16: c.Float16b, 32: c.Float32b, 64: c.Float64b}


@pytest.mark.parametrize("cases", CASES)
def test_construct_agrees_on_random_declarations(cases: int) -> None:
    """Construct's own parse and build of a declaration give what its compiled layout gives."""
    good = sum(agree_with_construct(Random(seed), 20) for seed in range(cases // 20))
    assert good > cases // 5, "most declarations must see packets that are good"


@pytest.mark.parametrize("cases", CASES)
def test_bitstruct_agrees_on_random_bit_fields(cases: int) -> None:
    """Integers of any width and floats at any bit are what bitstruct packs and unpacks."""
    bitstruct = pytest.importorskip("bitstruct")
    rnd = Random(cases)
    for _ in range(cases // 20):
        fields = [_bit_field(rnd) for _ in range(rnd.randint(1, 20))]
        total = sum(width for _, width in fields)
        spec = bitstruct.compile("".join(f"{kind}{width}" for kind, width in fields))
        members = [f"f{i}" / _as_construct(kind, width) for i, (kind, width) in enumerate(fields)]
        fixed = compile_layout(c.BitStruct(*members, c.Padding(-total % 8)))
        walked = VariableLayout(fixed.nodes)
        packets = [rnd.randbytes(fixed.nbytes) for _ in range(20)]
        dump = b"".join(packets)
        columns, again = fixed.decode_columns(dump), walked.decode_columns(dump)
        for row, packet in enumerate(packets):
            wanted = dict(
                zip((f"f{i}" for i in range(len(fields))), spec.unpack(packet), strict=True)
            )
            assert same(wanted, walked.decode(packet))
            assert same(wanted, fixed.decode(packet))
            assert same(wanted, {name: column[row].item() for name, column in columns.items()})
            assert same(wanted, {name: column[row].item() for name, column in again.items()})
            if not any(value != value for value in wanted.values()):
                packed = spec.pack(*wanted.values())
                assert packed == fixed.encode(wanted) == walked.encode(wanted)
        assert fixed.encode_columns(columns) == walked.encode_columns(again)


def _bit_field(rnd: Random) -> tuple[str, int]:
    if rnd.random() < 0.2:
        return "f", rnd.choice([16, 32, 64])
    return rnd.choice("us"), rnd.randint(1, 64)


def _as_construct(kind: str, width: int) -> Any:
    if kind == "f":
        return c.Bytewise(FLOATS[width])
    return c.BitsInteger(width, signed=kind == "s")


@pytest.mark.parametrize("cases", CASES)
def test_ccsdspy_agrees_on_lists(cases: int) -> None:
    """Lists counted by a field, and octets to the end, are the columns that ccsdspy makes."""
    spy = pytest.importorskip("ccsdspy")
    rnd = Random(cases)
    for _ in range(cases // 200):
        _compare_with_ccsdspy(spy, rnd, 200)


def _compare_with_ccsdspy(spy: Any, rnd: Random, packets: int) -> None:
    kinds = [(f"s{i}", rnd.choice(["uint", "int"]), rnd.choice([8, 16, 32])) for i in range(4)]
    element = rnd.choice([8, 16, 32])
    declared = c.Struct(
        "header" / c.Bytes(4),
        "length" / c.Int16ub,
        *(name / c.BytesInteger(bits // 8, signed=kind == "int") for name, kind, bits in kinds),
        "n" / c.Int8ub,
        "v" / c.Array(this.n, c.BytesInteger(element // 8)),
        "tail" / c.GreedyBytes,
        "crc" / c.Int16ub,
    )
    layout = compile_layout(declared)
    parts = []
    for sequence in range(packets):
        n, tail = rnd.randrange(5), rnd.randbytes(rnd.randint(1, 9))
        body = rnd.randbytes(sum(bits for *_, bits in kinds) // 8) + bytes([n])
        body += rnd.randbytes(n * element // 8) + tail + rnd.randbytes(2)
        head = bytes([0, 33, 0xC0 | sequence >> 8, sequence & 255])
        parts.append(head + (len(body) - 1).to_bytes(2, "big") + body)
    lengths = np.array([len(part) for part in parts])
    dump = b"".join(parts)
    ours = layout.decode_columns(
        dump, offsets=np.cumsum(lengths) - lengths, lengths=lengths, strict=True
    )
    array = {"data_type": "uint", "array_shape": "expand"}
    theirs = spy.VariableLength(
        [
            *(spy.PacketField(name=n, data_type=t, bit_length=b) for n, t, b in kinds),
            spy.PacketField(name="n", data_type="uint", bit_length=8),
            spy.PacketArray(name="v", data_type="uint", bit_length=element, array_shape="n"),
            spy.PacketArray(name="tail", bit_length=8, **array),
            spy.PacketField(name="crc", data_type="uint", bit_length=16),
        ]
    )
    with redirect_stdout(io.StringIO()):
        found = theirs.load(io.BytesIO(dump), include_primary_header=True)
    for name in (*(name for name, *_ in kinds), "n", "crc"):
        np.testing.assert_array_equal(found[name], ours[name])
    for name in ("v", "tail"):
        for row, values in enumerate(found[name]):
            assert np.atleast_1d(values).tolist() == ours[name].row(row).tolist()
