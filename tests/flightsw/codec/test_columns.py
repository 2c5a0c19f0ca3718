"""Column kernels: every tier against arithmetic on single bits, and between forbidden pages."""

from __future__ import annotations

from typing import Any, NamedTuple

import construct as c
import numpy as np
import numpy.typing as npt
import pytest
from guard import Guard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError
from flightsw.codec.native import ffi, lib

#: The tier fixture stays the same for all examples of a test.
relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class RawField(NamedTuple):
    """A row of the table that C reads."""

    bit: int
    count: int
    width: int
    kind: int
    size: int
    swap: int


class RawLayout:
    """A table of fields, prepared for columns."""

    def __init__(self, fields: list[RawField], nbytes: int) -> None:
        self.fields, self.nbytes = fields, nbytes
        self.table = ffi.new("fs_field[]", [tuple(f) for f in fields])
        self.steps = ffi.new("fs_layout_step[]", max(len(fields), 1))
        self.pointer = ffi.new("fs_layout *")
        self.code = lib.fs_layout_prepare(self.pointer, self.table, len(fields), nbytes, self.steps)


@st.composite
def raw_fields(draw: st.DrawFn, nbytes: int) -> RawField:
    """A field anywhere in a packet of nbytes octets, in a column at least as wide."""
    kind = draw(st.sampled_from([lib.FS_UINT, lib.FS_INT, lib.FS_FLOAT]))
    swap = draw(st.integers(0, 4)) == 0
    widest = min(64, 8 * nbytes)
    if kind == lib.FS_FLOAT and widest >= 32:
        width = draw(st.sampled_from([32, 64] if widest == 64 else [32]))
    elif swap:
        width = 8 * draw(st.integers(1, widest // 8))
    else:
        width = draw(st.integers(1, widest))
    sizes = [n for n in (1, 2, 4, 8) if 8 * n >= width]
    if kind == lib.FS_FLOAT:
        kind, sizes = (kind if width in (32, 64) else lib.FS_UINT), sizes[:1]
    most = 8 * nbytes // width
    count = draw(st.sampled_from([1, 1, 1, 1, min(most, 3), min(most, 20)]))
    bit = draw(st.integers(0, 8 * nbytes - count * width))
    size = sizes[0] if draw(st.integers(0, 5)) else draw(st.sampled_from(sizes))
    return RawField(bit, count, width, kind, size, int(swap))


@st.composite
def raw_layouts(draw: st.DrawFn) -> RawLayout:
    """Fields in any order, also over one another, in packets below and above one vector."""
    nbytes = draw(st.one_of(st.integers(1, 40), st.integers(41, 300)))
    return RawLayout(draw(st.lists(raw_fields(nbytes), max_size=24)), nbytes)


def reference(f: RawField, packets: npt.NDArray[np.uint8]) -> bytes:
    """Return the column of a field of (n, nbytes) packets, one bit after the other."""
    n = len(packets)
    bits = np.unpackbits(packets, axis=1)[:, f.bit : f.bit + f.count * f.width]
    bits = bits.reshape(n, f.count, f.width)
    if f.swap:
        bits = bits.reshape(n, f.count, f.width // 8, 8)[:, :, ::-1, :].reshape(bits.shape)
    values = np.zeros((n, f.count), np.uint64)
    for k in range(f.width):
        values = values << np.uint64(1) | bits[:, :, k]
    if f.kind == lib.FS_INT and f.width < 64:
        sign = np.uint64(1 << f.width - 1)
        values = (values ^ sign) - sign
    return values.astype(f"u{f.size}").tobytes()


def decode(
    layout: RawLayout,
    buf: Any,
    nbytes: int,
    count: int,
    columns: list[Any],
    *,
    stride: int = 0,
    offsets: npt.NDArray[np.uint64] | None = None,
) -> int:
    """Call the decoder on pointers; return its code."""
    where = ffi.NULL if offsets is None else ffi.from_buffer("uint64_t[]", offsets)
    pointers = ffi.new("uint8_t *[]", columns) if columns else ffi.NULL
    code: int = lib.fs_layout_decode_columns(
        layout.pointer, buf, nbytes, where, stride, count, pointers
    )
    return code


@relaxed
@given(raw_layouts(), st.integers(0, 600), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_columns_by_stride(tier: str, layout: RawLayout, count: int, gap: int, seed: int) -> None:
    """Any fields of packets at a stride are what arithmetic on their bits gives."""
    stride = layout.nbytes + gap
    octets = np.random.default_rng(seed).integers(0, 256, count * stride, np.uint8)
    packets = octets.reshape(count, stride)[:, : layout.nbytes]
    nbytes = max(count * stride - gap, 0)
    with Guard() as guard:
        buf = guard.place(octets[:nbytes].tobytes(), at_end=bool(seed & 1))
        columns = [
            guard.place(bytes(count * f.count * f.size), at_end=bool(seed & 2))
            for f in layout.fields
        ]
        assert decode(layout, buf, nbytes, count, columns, stride=stride) == count
        for f, column in zip(layout.fields, columns, strict=True):
            assert ffi.buffer(column, count * f.count * f.size)[:] == reference(f, packets), f


@relaxed
@given(raw_layouts(), st.integers(0, 300), st.integers(0, 600), st.integers(0, 2**32 - 1))
def test_columns_by_offsets(tier: str, layout: RawLayout, room: int, count: int, seed: int) -> None:
    """The same for packets anywhere in the buffer, to its last octet, in any order."""
    rng = np.random.default_rng(seed)
    octets = rng.integers(0, 256, layout.nbytes + room, np.uint8)
    offsets = rng.integers(0, room + 1, count).astype(np.uint64)
    offsets[: count // 3] = room
    packets = np.lib.stride_tricks.sliding_window_view(octets, layout.nbytes)[offsets]
    with Guard() as guard:
        buf = guard.place(octets.tobytes(), at_end=bool(seed & 1))
        columns = [
            guard.place(bytes(count * f.count * f.size), at_end=bool(seed & 2))
            for f in layout.fields
        ]
        assert decode(layout, buf, len(octets), count, columns, offsets=offsets) == count
        for f, column in zip(layout.fields, columns, strict=True):
            assert ffi.buffer(column, count * f.count * f.size)[:] == reference(f, packets), f


@relaxed
@given(raw_layouts(), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_columns_make_their_packets_again(
    tier: str, layout: RawLayout, count: int, seed: int
) -> None:
    """What was decoded is encoded to the same bits, wherever fields do not lie over others."""
    nbytes, size = layout.nbytes, layout.nbytes * count
    used = np.zeros(8 * nbytes, np.bool_)
    apart = []
    for f in layout.fields:
        if not used[f.bit : f.bit + f.count * f.width].any():
            used[f.bit : f.bit + f.count * f.width] = True
            apart.append(f)
    alone = RawLayout(apart, nbytes)
    octets = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    want = octets.reshape(count, nbytes) & np.packbits(used)
    with Guard() as guard:
        buf = guard.place(octets.tobytes(), at_end=True)
        columns = [guard.place(bytes(count * f.count * f.size), at_end=True) for f in apart]
        assert decode(alone, buf, size, count, columns, stride=nbytes) == count
        out = guard.place(bytes(size), at_end=bool(seed & 1))
        pointers = ffi.new("uint8_t *[]", columns) if columns else ffi.NULL
        blank = guard.place(bytes(nbytes), at_end=True)
        code = lib.fs_layout_encode_columns(alone.pointer, blank, pointers, count, out, size)
        assert code == count
        assert ffi.buffer(out, size)[:] == want.tobytes()


@pytest.mark.parametrize("skip", [0, 8])
def test_columns_larger_than_the_caches(tier: str, skip: int) -> None:
    """Columns that are filled past the caches hold the same, on cache lines and off them."""
    count, nbytes = 70_001, 24
    places = ((0, 5, 1), (5, 12, 2), (17, 31, 4), (48, 40, 8), (88, 64, 8), (152, 16, 2))
    layout = RawLayout([RawField(at, 1, w, lib.FS_INT, n, 0) for at, w, n in places], nbytes)
    packets = np.random.default_rng(5).integers(0, 256, (count, nbytes), np.uint8)
    arenas = [np.zeros(count * f.size + 128, np.uint8) for f in layout.fields]
    columns = []
    for arena in arenas:
        start = ffi.from_buffer("uint8_t[]", arena)
        columns.append(start + (-int(ffi.cast("uintptr_t", start)) % 64 + skip))
    buf = ffi.from_buffer("uint8_t[]", packets)
    assert decode(layout, buf, packets.size, count, columns, stride=nbytes) == count
    for f, column in zip(layout.fields, columns, strict=True):
        assert ffi.buffer(column, count * f.size)[:] == reference(f, packets)


def test_packets_behind_the_buffer_write_nothing(tier: str) -> None:
    """A packet that ends behind the buffer is an error, and every column stays as it was."""
    layout = RawLayout([RawField(0, 1, 24, lib.FS_UINT, 4, 0)], 3)
    column = ffi.new("uint8_t[]", b"\xee" * 64)
    buf = ffi.new("uint8_t[]", 32)
    for count, stride, offsets in (
        (11, 3, None),
        (2, 30, None),
        (2, 2**63, None),
        (2, 0, np.array([0, 30], np.uint64)),
        (2, 0, np.array([2**64 - 1, 0], np.uint64)),
    ):
        code = decode(layout, buf, 32, count, [column], stride=stride, offsets=offsets)
        assert code == lib.FS_E_SHORT
    assert bytes(ffi.buffer(column))[:64] == b"\xee" * 64


def test_output_that_does_not_fit_is_refused(tier: str) -> None:
    """Encoding more packets than the output holds is refused, also where their size overflows."""
    layout = RawLayout([RawField(0, 1, 8, lib.FS_UINT, 1, 0)], 16)
    column, out = ffi.new("uint8_t[64]"), ffi.new("uint8_t[64]")
    for count in (5, 2**60, 2**64 - 1):
        code = lib.fs_layout_encode_columns(
            layout.pointer, bytes(16), ffi.new("uint8_t *[]", [column]), count, out, 64
        )
        assert code == lib.FS_E_CAPACITY


@pytest.mark.parametrize(
    "wrong",
    [
        RawField(57, 1, 8, lib.FS_UINT, 1, 0),
        RawField(0, 9, 8, lib.FS_UINT, 1, 0),
        RawField(0, 1, 0, lib.FS_UINT, 1, 0),
        RawField(0, 1, 65, lib.FS_UINT, 8, 0),
        RawField(0, 1, 9, lib.FS_UINT, 1, 0),
        RawField(0, 1, 8, lib.FS_UINT, 3, 0),
        RawField(0, 1, 8, 3, 1, 0),
        RawField(0, 1, 12, lib.FS_UINT, 2, 1),
        RawField(0, 1, 16, lib.FS_FLOAT, 2, 0),
        RawField(0, 1, 32, lib.FS_FLOAT, 8, 0),
        RawField(2**32 - 1, 2**32 - 1, 64, lib.FS_UINT, 8, 0),
    ],
)
def test_fields_that_are_none_are_refused(wrong: RawField) -> None:
    """A field outside of the packet, or of a shape that no field has, is refused."""
    assert RawLayout([RawField(0, 1, 8, lib.FS_UINT, 1, 0), wrong], 8).code == lib.FS_E_RANGE


def test_packets_are_written_into_a_buffer_in_use(tier: str) -> None:
    """Encoding into a buffer gives the same octets at its front, and refuses one too short."""
    layout = compile_layout(c.Struct("a" / c.Int16ub, "b" / c.Int24sl))
    columns = {"a": np.arange(9, dtype=np.uint16), "b": np.arange(-4, 5, dtype=np.int32)}
    whole = layout.encode_columns(columns)
    out = bytearray(b"\xee" * 50)
    assert layout.encode_columns_into(columns, out) == len(whole) == 45
    assert out == whole + b"\xee" * 5
    with pytest.raises(CodecError, match="9 packets of 5 octets into 44"):
        layout.encode_columns_into(columns, bytearray(44))
