"""Columns against other packages that take bits apart: random layouts, random packets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hil.benches.codec.columns_peers import (
    HEADER,
    Packet,
    agree,
    bitstruct_codec,
    ccsdspy_columns,
    dump,
    numpy_columns,
    packet,
)

#: 100,000 packets a peer.
LAYOUTS, PACKETS = 500, 200


def any_layouts(count: int, seed: int) -> Iterator[Packet]:
    """Yield layouts of 1 to 30 fields of 1 to 64 bits, floats among them, at any bit."""
    rnd = random.Random(seed)
    for _ in range(count):
        widths = []
        for _ in range(rnd.randint(1, 30)):
            kind = rnd.choice("uuiif")
            widest = rnd.choice((8, 16, 33, 64))
            width = rnd.choice((32, 64)) if kind == "f" else rnd.randint(1, widest)
            widths.append((width, kind))
        yield packet([*HEADER, *widths], 6 + (sum(w for w, _ in widths) + 7) // 8)


def modest_layouts(count: int, seed: int, widest: int) -> Iterator[Packet]:
    """Yield layouts without what peers get wrong: floats and 64 bits stand on octets."""
    rnd = random.Random(seed)
    for _ in range(count):
        widths: list[tuple[int, str]] = []
        while len(widths) < rnd.randint(2, 24):
            kind = rnd.choice("uuif")
            if kind == "f":
                fill = -sum(width for width, _ in widths) % 8
                widths += [(fill, "u")] if fill else []
                widths.append((rnd.choice((32, 64)), "f"))
            else:
                widths.append((rnd.randint(1, widest), kind))
        yield packet([*HEADER, *widths], 6 + (sum(w for w, _ in widths) + 7) // 8)


def test_bitstruct_unpacks_and_packs_the_same() -> None:
    """Every value of every packet, single and in columns, and the packets made of them again."""
    pytest.importorskip("bitstruct.c", reason="bitstruct is an oracle, not a requirement")
    for i, which in enumerate(any_layouts(LAYOUTS, seed=1)):
        data, codec = dump(which, PACKETS, seed=i), bitstruct_codec(which)
        columns = which.layout.decode_columns(data)
        rows = [codec.unpack(data[at : at + which.nbytes]) for at in _places(which)]
        for f, theirs in zip(which.fields, zip(*rows, strict=True), strict=True):
            column = columns[f.name]
            if f.kind == "f":
                np.testing.assert_array_equal(column, np.array(theirs, column.dtype))
            else:
                assert column.tolist() == list(theirs), f
        if all(f.kind != "f" for f in which.fields):  # other bits of a NaN do not survive Python
            pad = -(which.fields[-1].bit + which.fields[-1].width) % 8
            packed = b"".join(codec.pack(*row) for row in rows)
            ours = np.frombuffer(which.layout.encode_columns(columns), np.uint8)
            assert ours.tobytes() == packed
            whole = np.frombuffer(data, np.uint8).reshape(-1, which.nbytes).copy()
            whole[:, -1] &= 0xFF << pad & 0xFF
            assert packed == whole.tobytes()


def test_bitstruct_packs_floats_at_any_bit_the_same() -> None:
    """Finite floats off octet boundaries make the same packets, from columns and one by one."""
    pytest.importorskip("bitstruct.c", reason="bitstruct is an oracle, not a requirement")
    rng = np.random.default_rng(4)
    for shift in range(LAYOUTS):
        which = packet([(1 + shift % 7, "u"), (32, "f"), (64, "f"), (3, "u")], 14)
        codec, layout = bitstruct_codec(which), which.layout
        columns: dict[str, Any] = {
            "f0": rng.integers(0, 2, PACKETS, np.uint8),
            "f1": rng.normal(0, 1e10, PACKETS).astype(np.float32),
            "f2": rng.normal(0, 1e200, PACKETS),
            "f3": rng.integers(0, 8, PACKETS, np.uint8),
        }
        rows = list(zip(*(column.tolist() for column in columns.values()), strict=True))
        packed = [codec.pack(*row) for row in rows]
        assert layout.encode_columns(columns) == b"".join(packed)
        values = dict(zip(columns, rows[0], strict=True))
        assert layout.encode(values) == packed[0]
        assert layout.decode(packed[0]) == values


def test_ccsdspy_makes_the_same_columns() -> None:
    """Every column of files of space packets, with floats and 64 bits where ccsdspy is right."""
    pytest.importorskip("ccsdspy", reason="ccsdspy is an oracle, not a requirement")
    for i, which in enumerate(modest_layouts(LAYOUTS, seed=2, widest=48)):
        data = dump(which, PACKETS, seed=i)
        theirs = ccsdspy_columns(which)(data)
        assert set(theirs) >= {f.name for f in which.fields[len(HEADER) :]}
        agree(which.layout.decode_columns(data), theirs)


def test_numpy_makes_the_same_columns() -> None:
    """A structured view with a shift and a mask a field gives the same columns."""
    for i, which in enumerate(modest_layouts(LAYOUTS, seed=3, widest=57)):
        data = dump(which, PACKETS, seed=i)
        theirs = numpy_columns(which)(data)
        assert set(theirs) == {f.name for f in which.fields}
        agree(which.layout.decode_columns(data), theirs)


def _places(which: Packet) -> range:
    return range(0, PACKETS * which.nbytes, which.nbytes)
