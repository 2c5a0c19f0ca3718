"""The CRCs against published values, the standard library, their definitions, and each other."""

from __future__ import annotations

import subprocess
import sys
from binascii import crc_hqx
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import tier as tiers
from flightsw.codec.coding import crc
from flightsw.codec.coding.crc import crc16, crc16_batch
from flightsw.codec.errors import CodecError, TruncatedError
from flightsw.codec.native import ffi, lib

ROOT = Path(__file__).resolve().parents[3]
#: Each length that takes another way through some kernel, and those around it.
LENGTHS = [*range(300), 383, 384, 385, 511, 640, 1115, 2047, 2176, 2177, 3071, 3072, 4300, 9001]


def by_definition(data: bytes, width: int, polynomial: int, init: int, mirrored: bool) -> int:
    """Run the shift register bit by bit."""
    top, register = 1 << width - 1, init
    for octet in data:
        for i in range(8):
            bit = octet >> (i if mirrored else 7 - i) & 1
            feedback = bool(register & top) ^ bit
            register = (register << 1) & 2 * top - 1 ^ (polynomial if feedback else 0)
    return register


def mirror(value: int) -> int:
    """Return 32 bits in reverse order."""
    return int(f"{value:032b}"[::-1], 2)


class Kind(NamedTuple):
    """One CRC: its single function, its batch, its face, its width, and what must come out."""

    single: Any
    batch: Any
    face: Callable[..., int]
    width: int
    truth: Callable[[bytes, int], int]


def uslp_truth(data: bytes, init: int) -> int:
    """CRC-32 of USLP by definition."""
    return by_definition(data, 32, 0x00A00805, init, False)


def crc32c_truth(data: bytes, init: int) -> int:
    """CRC-32C by definition."""
    start = mirror(init ^ 0xFFFFFFFF)
    return mirror(by_definition(data, 32, 0x1EDC6F41, start, True)) ^ 0xFFFFFFFF


KINDS = {
    "crc16": Kind(lib.fs_crc16, lib.fs_crc16_batch, crc16, 16, crc_hqx),
    "uslp": Kind(lib.fs_crc32_uslp, lib.fs_crc32_uslp_batch, crc.crc32_uslp, 32, uslp_truth),
    "crc32c": Kind(lib.fs_crc32c, lib.fs_crc32c_batch, crc.crc32c, 32, crc32c_truth),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.mark.parametrize(
    ("name", "octets", "init", "value"),
    [
        ("crc16", "313233343536373839", 0xFFFF, 0x29B1),
        ("crc16", "0000", 0xFFFF, 0x1D0F),
        ("crc16", "06000CF0000400558873C900000521", 0xFFFF, 0x75FB),
        ("crc16", "1801C00000062F11010000", 0xFFFF, 0x161D),
        ("crc16", "0801C000000820110200000000", 0xFFFF, 0x86D7),
        ("uslp", "12345678", 0, 0x34D74CB3),
        ("uslp", "313233343536373839", 0, 0x51693C0C),
        ("crc32c", "313233343536373839", 0, 0xE3069283),
        ("crc32c", "00" * 32, 0, 0x8A9136AA),
        ("crc32c", "FF" * 32, 0, 0x62A8AB43),
    ],
)
def test_published_values(tier: str, name: str, octets: str, init: int, value: int) -> None:
    """Check values and vectors of standards and of other implementations come out on each tier."""
    kind, data = KINDS[name], bytes.fromhex(octets)
    assert kind.single(data, len(data), init) == value
    assert kind.face(data) == kind.face(bytearray(data)) == kind.face(memoryview(data)) == value
    out = np.zeros(9, np.uint16 if kind.width == 16 else np.uint32)
    batch = {"crc16": crc.crc16_batch, "uslp": crc.crc32_uslp_batch, "crc32c": crc.crc32c_batch}
    assert batch[name](data, [0] * 9, [len(data)] * 9, out=out).tolist() == [value] * 9


@every_kind
def test_every_length_equals_the_definition(tier: str, kind: Kind) -> None:
    """On each tier every length, from any start value, gives what the shift register gives."""
    rng = np.random.default_rng(len(tier))
    data = rng.bytes(max(LENGTHS))
    for nbytes in LENGTHS if kind.width == 16 else [*range(140), 200, 300, 700, 2200]:
        init = int(rng.integers(0, 1 << kind.width))
        assert kind.single(data, nbytes, init) == kind.truth(data[:nbytes], init), nbytes


@every_kind
def test_every_tier_equals_the_portable_one(tier: str, kind: Kind) -> None:
    """Single calls and batches give the portable tier's result for lengths of every way through."""
    rng = np.random.default_rng(3)
    data = rng.bytes(20_000)
    inits = [0, (1 << kind.width) - 1, int(rng.integers(0, 1 << kind.width))]
    offsets = rng.integers(0, 9000, len(LENGTHS)).tolist()
    parts = list(zip(offsets, LENGTHS, strict=True))
    with tiers.forced("portable"):
        want = [
            [kind.single(ffi.from_buffer(data) + a, n, init) for a, n in parts] for init in inits
        ]
    for init, expected in zip(inits, want, strict=True):
        got = [kind.single(ffi.from_buffer(data) + a, n, init) for a, n in parts]
        assert got == expected
        at, n = np.array(offsets, np.uint64), np.array(LENGTHS, np.uint32)
        out = np.zeros(len(n), np.uint16 if kind.width == 16 else np.uint32)
        call = (ffi.from_buffer("uint64_t[]", at), ffi.from_buffer("uint32_t[]", n), len(n), init)
        place = ffi.from_buffer(f"uint{kind.width}_t[]", out)
        assert kind.batch(data, len(data), *call, place) == len(n)
        assert out.tolist() == expected


@every_kind
def test_no_octet_outside_is_touched(tier: str, guard: Guard, kind: Kind) -> None:
    """Parts flush against forbidden pages, at either end, give the same as elsewhere."""
    rng = np.random.default_rng(8)
    for nbytes in [*range(40), 63, 64, 65, 127, 128, 129, 191, 255, 256, 300, 513, 1115, 2500]:
        data = rng.bytes(nbytes)
        want = kind.single(data, nbytes, 1)
        for place in guard.both(data):
            assert kind.single(place, nbytes, 1) == want
            offsets = guard.place(bytes(8 * 5), at_end=True)
            lengths = guard.place(np.full(5, nbytes, np.uint32).tobytes(), at_end=True)
            out = guard.place(bytes(5 * kind.width // 8), at_end=True)
            lists = ffi.cast("uint64_t *", offsets), ffi.cast("uint32_t *", lengths)
            results = ffi.cast(f"uint{kind.width}_t *", out)
            assert kind.batch(place, nbytes, *lists, 5, 1, results) == 5
            assert list(results[0:5]) == [want] * 5


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_equals_the_standard_library(data: bytes, init: int) -> None:
    """Every length and every start value gives what binascii gives, in C and through the face."""
    assert lib.fs_crc16(data, len(data), init) == crc_hqx(data, init) == crc16(data, init)
    assert crc16(bytearray(data), init) == crc16(memoryview(data), init) == crc_hqx(data, init)


@every_kind
@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=400), cut=st.integers(0, 400))
def test_continues_where_it_stopped(kind: Kind, data: bytes, cut: int) -> None:
    """A CRC over two parts, the second from the first's result, is the CRC of the whole."""
    assert kind.face(data[cut:], kind.face(data[:cut])) == kind.face(data)


@pytest.mark.parametrize("nbytes", [1, 17, 254, 1115])
@pytest.mark.parametrize("name", ["crc16", "uslp"])
def test_contents_and_crc_leave_nothing(tier: str, name: str, nbytes: int) -> None:
    """Over contents followed by their CRC the result is zero, and one flipped bit shows."""
    face, width = KINDS[name].face, KINDS[name].width
    data = bytes(i * 37 & 0xFF for i in range(nbytes))
    whole = data + face(data).to_bytes(width // 8, "big")
    assert face(whole) == 0
    for bit in range(0, 8 * len(whole), 7):
        hurt = bytearray(whole)
        hurt[bit // 8] ^= 1 << bit % 8
        assert face(hurt) != 0


def test_batch_equals_one_by_one() -> None:
    """A batch gives for each part what a single call gives, also into an array of the caller."""
    rng = np.random.default_rng(5)
    buf = rng.bytes(4000)
    offsets = rng.integers(0, 2000, 200)
    lengths = rng.integers(0, 2000, 200)
    want = [
        crc_hqx(buf[a : a + n], 0xFFFF)
        for a, n in zip(offsets.tolist(), lengths.tolist(), strict=True)
    ]
    out = np.zeros(200, np.uint16)
    assert crc16_batch(buf, offsets, lengths).tolist() == want
    assert crc16_batch(np.frombuffer(buf, np.uint8), offsets, lengths).tolist() == want
    assert crc16_batch(buf, offsets, lengths, out=out) is out
    assert out.tolist() == want
    assert crc16_batch(buf, [], []).tolist() == []


@pytest.mark.parametrize("name", KINDS)
def test_batch_refuses_parts_behind_the_buffer(tier: str, name: str) -> None:
    """A part that ends behind the buffer, wherever it stands, is an error; nothing is written."""
    faces = {"crc16": crc16_batch, "uslp": crc.crc32_uslp_batch, "crc32c": crc.crc32c_batch}
    batch, dtype = faces[name], np.uint16 if name == "crc16" else np.uint32
    out = np.full(9, 7, dtype)
    for place in range(9):
        for offset, length in ((10, 1), (0, 11), (2**63, 1), (11, 0), (2**64 - 1, 2)):
            offsets, lengths = [0] * 9, [10] * 9
            offsets[place], lengths[place] = offset, length
            with pytest.raises(TruncatedError, match="10 octets"):
                batch(bytes(10), np.array(offsets, np.uint64), lengths, out=out)
    assert out.tolist() == [7] * 9
    with pytest.raises(CodecError, match="as many"):
        batch(bytes(10), [0, 1], [1])
    with pytest.raises(CodecError, match=f"results of {np.dtype(dtype)}"):
        batch(bytes(10), [0], [1], out=np.zeros(1, np.int64))


def test_the_constants_are_what_their_script_writes(tmp_path: Path) -> None:
    """The committed table of constants is the one that its script makes."""
    tables = ROOT / "csrc" / "coding" / "tables"
    script = (tables / "make_crc.py").read_text()
    (tmp_path / "make_crc.py").write_text(script)
    subprocess.run([sys.executable, tmp_path / "make_crc.py"], check=True, capture_output=True)
    assert (tmp_path / "crc.h").read_text() == (tables / "crc.h").read_text()
