"""The layouts of the benchmark of columns, and how other packages decode and encode them."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import construct as c
import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.layout import Layout, compile_layout


class Bits(NamedTuple):
    """One field of a packet."""

    name: str
    bit: int
    width: int
    kind: str = "u"  #: u, i or f


class Packet(NamedTuple):
    """A packet of ``nbytes`` octets with fields in wire order, and its layout of ours."""

    fields: tuple[Bits, ...]
    nbytes: int
    declaration: Any
    layout: Layout


def packet(widths: list[tuple[int, str]], nbytes: int) -> Packet:
    """Return the packet of these fields one behind the other; fields of kind "" are padding."""
    members: list[Any] = []
    fields: list[Bits] = []
    bit = 0
    for width, kind in [*widths, (8 * nbytes - sum(width for width, _ in widths), "")]:
        if kind:
            name = f"f{len(fields)}"
            fields.append(Bits(name, bit, width, kind))
            members.append(name / _subcon(width, kind))
        elif width:
            members.append(c.Padding(width))
        bit += width
    declaration = c.BitStruct(*members)
    return Packet(tuple(fields), nbytes, declaration, compile_layout(declaration))


def _subcon(width: int, kind: str) -> Any:
    if kind == "f":
        return c.Bytewise(c.Float32b if width == 32 else c.Float64b)
    return c.BitsInteger(width, signed=kind == "i")


HEADER = [(width, "u") for width in (3, 1, 1, 11, 2, 14, 16)]
#: 20 fields of 1 to 32 bits in 64 octets: header, time, housekeeping, and a word far behind.
TWENTY = packet(
    [
        *HEADER,
        *((32, "u"), (16, "u"), (12, "i"), (12, "i"), (12, "i"), (20, "u"), (5, "u"), (1, "u")),
        *((10, "u"), (24, "i"), (32, "u"), (17, "u"), (159, ""), (16, "u")),
    ],
    64,
)
#: 24 fields that fill what a header leaves of 64 octets, of up to 64 bits, with floats.
DENSE = packet(
    [
        (48, ""),
        *((32, "u"), (16, "u"), (3, "u"), (1, "u"), (1, "u"), (5, "u"), (6, "u"), (12, "i")),
        *((12, "i"), (10, "u"), (14, "u"), (24, "u"), (17, "u"), (7, "u"), (32, "f"), (64, "f")),
        *((64, "u"), (33, "u"), (15, "i"), (48, "u"), (8, "u"), (16, "i"), (20, "u"), (4, "u")),
    ],
    64,
)


def dump(which: Packet, count: int, seed: int = 1) -> bytes:
    """Return packets of one APID, numbered, with random contents."""
    rng = np.random.default_rng(seed)
    octets = rng.integers(0, 256, (count, which.nbytes), np.uint8)
    header = np.empty((count, 3), ">u2")
    header[:, 0], header[:, 2] = 0x0923, which.nbytes - 7
    header[:, 1] = 0xC000 | np.arange(count) & 0x3FFF
    octets[:, :6] = header.view(np.uint8)
    return octets.tobytes()


def numpy_columns(which: Packet) -> Callable[[bytes], dict[str, npt.NDArray[Any]]]:
    """Return what reads a dump through a structured view, with a shift and a mask a field."""
    plan: list[tuple[str, int, str, int, str, str]] = []
    dtype: dict[str, list[Any]] = {"names": [], "formats": [], "offsets": []}
    for f in which.fields:
        first, behind = f.bit // 8, (f.bit + f.width + 7) // 8
        size = next(n for n in (1, 2, 4, 8, 16) if n >= behind - first)
        start = min(first, which.nbytes - size)
        dtype["names"].append(f.name)
        dtype["offsets"].append(start)
        exact = f.kind == "f"
        dtype["formats"].append(f">{'f' if exact else 'u'}{size}")
        out = next(n for n in (1, 2, 4, 8) if 8 * n >= f.width)
        drop = 0 if exact else 8 * (start + size) - f.bit - f.width
        plan.append((f.name, drop, f.kind, f.width, f"u{out}", f"{f.kind}{out}"))
    record = np.dtype({**dtype, "itemsize": which.nbytes})  # type: ignore[call-overload]

    def decode(buf: bytes) -> dict[str, npt.NDArray[Any]]:
        view, columns = np.frombuffer(buf, record), {}
        for name, drop, kind, width, raw, out in plan:
            if kind == "f":
                columns[name] = view[name].astype(out)
                continue
            value = view[name] >> drop & (1 << width) - 1
            if kind == "i":
                value = (value ^ 1 << width - 1) - (1 << width - 1)
            columns[name] = value.astype(raw).view(out)
        return columns

    return decode


def ccsdspy_columns(which: Packet) -> Callable[[bytes], dict[str, npt.NDArray[Any]]]:
    """Return what reads a dump with ccsdspy; ImportError where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.INFO)  # it announces its version
        try:
            ccsdspy = import_module("ccsdspy")
        finally:
            logging.disable(logging.NOTSET)
    kinds = {"u": "uint", "i": "int", "f": "float"}
    fields = [
        ccsdspy.PacketField(f.name, kinds[f.kind], f.width, bit_offset=f.bit)
        for f in which.fields
        if f.bit >= 48
    ]
    tail = which.fields[-1].bit + which.fields[-1].width
    if tail < 8 * which.nbytes:
        fields.append(ccsdspy.PacketField("pad", "fill", 8 * which.nbytes - tail, bit_offset=tail))
    reader = ccsdspy.FixedLength(fields)
    logging.getLogger("ccsdspy").setLevel(logging.ERROR)

    def decode(buf: bytes) -> dict[str, npt.NDArray[Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            columns: dict[str, npt.NDArray[Any]] = reader.load(io.BytesIO(buf))
        return columns

    return decode


def bitstruct_codec(which: Packet) -> Any:
    """Return the compiled format of bitstruct's C extension; ImportError where it is absent."""
    text, bit = "", 0
    for f in which.fields:
        text += f"p{f.bit - bit}" if f.bit > bit else ""
        text += {"u": "u", "i": "s", "f": "f"}[f.kind] + str(f.width)
        bit = f.bit + f.width
    if 8 * which.nbytes > bit:
        text += f"p{8 * which.nbytes - bit}"
    return import_module("bitstruct.c").compile(text)


def agree(ours: dict[str, npt.NDArray[Any]], theirs: dict[str, npt.NDArray[Any]]) -> None:
    """Check that a peer decoded the same, so that its time is of the same work."""
    for name, column in ours.items():
        if name in theirs:
            np.testing.assert_array_equal(column, np.asarray(theirs[name]).astype(column.dtype))
