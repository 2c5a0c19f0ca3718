"""Variable layouts: packets with a payload of changing length, packets with lists and groups."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import Any, NamedTuple

import construct as c
import numpy as np
import numpy.typing as npt
from construct import this

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.columns.time_field import cuc
from hil.benches.codec.measure import best_s, by_tier, memcpy_s, ns_per
from hil.benches.codec.row import Row

PACKETS, A_FEW = 20_000, 300

#: A primary header, 26 octets of fields, a payload of 0 to 250, a checksum: 157 octets on average.
PAYLOAD = c.Struct(
    "header"
    / c.BitStruct(
        "version" / c.BitsInteger(3),
        "type" / c.BitsInteger(1),
        "secondary" / c.BitsInteger(1),
        "apid" / c.BitsInteger(11),
        "flags" / c.BitsInteger(2),
        "sequence" / c.BitsInteger(14),
        "length" / c.BitsInteger(16),
    ),
    "coarse" / c.Int32ub,
    "fine" / c.Int16ub,
    "mode" / c.Int8ub,
    "volts" / c.Int16ub,
    "amps" / c.Int16sb,
    "position" / c.Int32sb,
    "temperature" / c.Float32b,
    "count" / c.Int24ub,
    "errors" / c.Int32ub,
    "data" / c.Bytes(this.header.length - 27),
    "crc" / c.Int16ub,
)
#: A time, a list of samples, one of three bodies, and a field that need not be there.
LISTS = c.Struct(
    "t" / cuc(4, 3),
    "n" / c.Int8ub,
    "samples" / c.Array(this.n, c.Int16sb),
    "kind" / c.Int8ub,
    "body"
    / c.Switch(
        this.kind,
        {
            1: c.Struct("a" / c.Int32ub, "b" / c.Float32b),
            2: c.PrefixedArray(c.Int8ub, c.Struct("id" / c.Int8ub, "value" / c.Int16ub)),
        },
    ),
    "more" / c.If(this.n > 3, c.Int24ub),
)


class Dump(NamedTuple):
    """Packets one behind the other, made by construct."""

    octets: bytes
    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]

    def few(self) -> list[bytes]:
        """Return some packets one by one."""
        places = zip(self.offsets[:A_FEW].tolist(), self.lengths[:A_FEW].tolist(), strict=True)
        return [self.octets[at : at + nbytes] for at, nbytes in places]


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    made = []
    for name, declaration, values in (
        ("variable payload", PAYLOAD, _payload),
        ("lists and groups", LISTS, _lists),
    ):
        made += _rows(name, declaration, _dump(declaration, values), quick)
    return made


def _payload(i: int, rng: np.random.Generator) -> dict[str, Any]:
    n = int(rng.integers(0, 251))
    header = {"version": 0, "type": 0, "secondary": 1, "apid": 33, "flags": 3}
    header |= {"sequence": i & 0x3FFF, "length": n + 27}
    fields: dict[str, Any] = {
        "coarse": i,
        "fine": 3,
        "mode": 1,
        "volts": 5012,
        "amps": -4,
        "position": -7,
    }
    fields |= {"temperature": 21.5, "count": i & 0xFFFFFF, "errors": 0, "crc": 0xABCD}
    return {"header": header, "data": rng.bytes(n), **fields}


def _lists(i: int, rng: np.random.Generator) -> dict[str, Any]:
    n, kind = int(rng.integers(0, 12)), int(rng.integers(1, 4))
    bodies: dict[int, Any] = {1: {"a": i, "b": 0.5}}
    bodies[2] = [{"id": k, "value": i & 0xFFFF} for k in range(n // 2)]
    samples = rng.integers(-1000, 1000, n).tolist()
    return {
        "t": i * 10**9,
        "n": n,
        "samples": samples,
        "kind": kind,
        "body": bodies.get(kind),
        "more": 7 if n > 3 else None,
    }


def _dump(declaration: Any, values: Callable[[int, np.random.Generator], dict[str, Any]]) -> Dump:
    rng = np.random.default_rng(1)
    packets = [declaration.build(values(i, rng)) for i in range(A_FEW)]
    packets = [packets[i % A_FEW] for i in range(PACKETS)]
    lengths = np.array([len(each) for each in packets], np.uint64)
    return Dump(b"".join(packets), np.cumsum(lengths, dtype=np.uint64) - lengths, lengths)


def _rows(name: str, declaration: Any, dump: Dump, quick: bool) -> list[Row]:
    layout, scale, few = compile_layout(declaration), ns_per(PACKETS), dump.few()
    at, many = dump.offsets, dump.lengths
    columns = layout.decode_columns(dump.octets, offsets=at, lengths=many, strict=True)
    out = bytearray(len(dump.octets) + 16)
    assert layout.encode_columns_into(columns, out) == len(dump.octets)
    copy = scale(memcpy_s(len(dump.octets), quick))
    decoded = by_tier(
        lambda: layout.decode_columns(dump.octets, offsets=at, lengths=many, out=columns),
        scale,
        quick,
    )
    encoded = by_tier(lambda: layout.encode_columns_into(columns, out), scale, quick)
    parsed = [declaration.parse(each) for each in few]
    builders = {"construct": _each(declaration.build, parsed, quick)}
    one = {"construct": _each(declaration.parse, few, quick)}
    peers = one | _others(declaration, few, quick)
    return [
        Row(f"{name}, to columns", "ns/packet", decoded, copy, peers),
        Row(f"{name}, columns to packets", "ns/packet", encoded, copy, builders),
        Row(f"{name}, one to a dict", "ns/packet", _own(layout.decode, few, quick), None, one),
    ]


def _own(work: Callable[[bytes], object], few: list[bytes], quick: bool) -> dict[str, float]:
    return by_tier(lambda: [work(each) for each in few], ns_per(len(few)), quick)


def _each(work: Callable[[Any], object], given: list[Any], quick: bool) -> float:
    return ns_per(len(given))(best_s(lambda: [work(each) for each in given], quick=True))


def _others(declaration: Any, few: list[bytes], quick: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    if declaration is PAYLOAD:  # what construct generates code for
        found["construct compiled"] = _each(declaration.compile().parse, few, quick)
        with suppress(ImportError):
            found["ccsdspy"] = _ccsdspy(few)
    return found


def _ccsdspy(few: list[bytes]) -> float:
    """The same packets through the package that makes columns of them."""
    spy = import_module("ccsdspy")
    kinds = [("coarse", "uint", 32), ("fine", "uint", 16), ("mode", "uint", 8)]
    kinds += [("volts", "uint", 16), ("amps", "int", 16), ("position", "int", 32)]
    kinds += [("temperature", "float", 32), ("count", "uint", 24), ("errors", "uint", 32)]
    fields = [spy.PacketField(name=n, data_type=t, bit_length=b) for n, t, b in kinds]
    data = spy.PacketArray(name="data", data_type="uint", bit_length=8, array_shape="expand")
    made = spy.VariableLength(
        [*fields, data, spy.PacketField(name="crc", data_type="uint", bit_length=16)]
    )
    octets = b"".join(few)

    def load() -> None:
        with redirect_stdout(io.StringIO()):
            made.load(io.BytesIO(octets))

    return ns_per(len(few))(best_s(load, quick=True))
