"""Lazy views against whole packets."""

from __future__ import annotations

import random
from typing import Any

import construct as c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layout import EVERYTHING, VALUES, Spec, declare, same, specs

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import SyncError, TruncatedError


@settings(deadline=None, max_examples=150)
@given(specs, st.integers(0, 20), st.randoms(use_true_random=False))
def test_any_field_is_what_the_packet_holds(fields: list[Spec], at: int, rnd: Any) -> None:
    """Each field of a view equals the field of the decoded packet, wherever the packet stands."""
    layout = compile_layout(declare(fields))
    buf = rnd.randbytes(at + layout.nbytes)
    view, packet = layout.view(buf, at), layout.decode(buf, at)
    assert list(view) == list(packet)
    for name, value in packet.items():
        assert same(view[name], value)
        assert type(view[name]) is type(value)


def test_every_kind_of_field() -> None:
    """Enums come as labels, flags as truth, arrays as lists, octets as octets, by column names."""
    layout = compile_layout(EVERYTHING)
    for buffer in (bytes, bytearray, memoryview):
        view = layout.view(buffer(b"xy" + layout.encode(VALUES)), 2)
        assert view["bits.mode"] == "run"
        assert view["bits.armed"] is True
        assert view["bits.volts"] == -2.5
        assert view["bits.list"] == [31, 0, 17]
        assert view["samples"] == [-32768, 0, 32767]
        assert view["pairs[1].p"] == 127
        assert view["tag"] == b"\x00\xff12"
        assert view["magic"] == b"ok"
        assert view["odd"] == -(1 << 39)
        assert view["limit"] == 5


def off_octets(subcon: Any, nbits: int) -> Any:
    """Return a struct in which a field of nbits begins three bits into an octet."""
    return c.Struct("x" / c.BitsInteger(3), "y" / subcon, "z" / c.BitsInteger(5 + -nbits % 8))


def test_swapped_fields_of_any_width() -> None:
    """Numbers and floats with the least significant octet first, on and off octet boundaries."""
    layout = compile_layout(
        c.Struct(
            "a" / c.Int24sl,
            "b" / c.Bitwise(off_octets(c.BitsInteger(24, swapped=True), 24)),
            "c" / c.Float32l,
            "d" / c.BytesInteger(7, signed=True, swapped=True),
            "e" / c.Bitwise(off_octets(c.Bytewise(c.Float64l), 64)),
            "f" / c.Bitwise(off_octets(c.BitsInteger(64, signed=True, swapped=True), 64)),
        )
    )
    rnd = random.Random(3)
    for _ in range(50):
        octets = rnd.randbytes(layout.nbytes)
        view, columns = layout.view(octets), layout.decode_columns(octets)
        for name in view:
            np.testing.assert_array_equal(view[name], columns[name][0])


def test_a_view_is_a_mapping_that_shows_the_buffer_as_it_is() -> None:
    """It makes a dict, knows its names, and follows changes of the buffer."""
    layout = compile_layout(c.Struct("a" / c.Int8ub, "b" / c.Int16ub))
    buf = bytearray(b"\x01\x00\x02")
    view = layout.view(buf)
    assert dict(view) == {"a": 1, "b": 2}
    assert len(view) == 2
    assert "a" in view
    assert "c" not in view
    buf[0] = 9
    assert view["a"] == 9
    with pytest.raises(KeyError, match="c"):
        view["c"]


def test_constants_are_checked_when_they_are_read() -> None:
    """A constant that is not there is an error that names it; other fields can still be read."""
    layout = compile_layout(EVERYTHING)
    octets = bytearray(layout.encode(VALUES))
    octets[octets.index(b"ok")] ^= 1
    view = layout.view(octets)
    assert view["limit"] == 5
    with pytest.raises(SyncError, match=r"magic: b'nk' where the layout has b'ok'"):
        view["magic"]


def test_packets_that_end_behind_the_buffer_have_no_view() -> None:
    """A view begins and ends inside of its buffer."""
    layout = compile_layout(c.Struct("n" / c.Int32ub))
    for at in (-1, 5):
        with pytest.raises(TruncatedError, match=f"4 octets at octet {at}: the buffer has 8"):
            layout.view(bytes(8), at)
