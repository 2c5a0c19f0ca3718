"""The CRC against the standard library's and against published values."""

from binascii import crc_hqx

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.crc import crc16, crc16_batch
from flightsw.codec.errors import CodecError, TruncatedError
from flightsw.codec.native import lib


@pytest.mark.parametrize(
    ("octets", "crc"),
    [
        ("313233343536373839", 0x29B1),
        ("0000", 0x1D0F),
        ("06000CF0000400558873C900000521", 0x75FB),
    ],
)
def test_published_values(octets: str, crc: int) -> None:
    """The check value, and vectors of other implementations, come out of both paths."""
    data = bytes.fromhex(octets)
    assert crc16(data) == crc
    assert lib.fs_crc16(data, len(data), 0xFFFF) == crc


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_equals_the_standard_library(data: bytes, init: int) -> None:
    """Every length and every start value gives what binascii gives, in C and through the face."""
    assert lib.fs_crc16(data, len(data), init) == crc_hqx(data, init) == crc16(data, init)
    assert crc16(bytearray(data), init) == crc16(memoryview(data), init) == crc_hqx(data, init)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=400), st.integers(0, 400))
def test_continues_where_it_stopped(data: bytes, cut: int) -> None:
    """A CRC over two parts, the second from the first's result, is the CRC of the whole."""
    assert crc16(data[cut:], crc16(data[:cut])) == crc16(data)


@pytest.mark.parametrize("nbytes", [1, 17, 254, 1115])
def test_contents_and_crc_leave_nothing(nbytes: int) -> None:
    """Over contents followed by their CRC the result is zero, and one flipped bit shows."""
    data = bytes(i * 37 & 0xFF for i in range(nbytes))
    whole = data + crc16(data).to_bytes(2, "big")
    assert crc16(whole) == 0
    for bit in range(0, 8 * len(whole), 7):
        hurt = bytearray(whole)
        hurt[bit // 8] ^= 1 << bit % 8
        assert crc16(hurt) != 0


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
    assert crc16_batch(buf, offsets, lengths, out=out) is out
    assert out.tolist() == want


def test_batch_refuses_parts_behind_the_buffer() -> None:
    """A part that ends behind the buffer is an error, and no result is written."""
    out = np.full(2, 7, np.uint16)
    for offset, length in ((10, 1), (0, 11), (2**63, 1), (11, 0)):
        with pytest.raises(TruncatedError, match="10 octets"):
            crc16_batch(bytes(10), [0, offset], [10, length], out=out)
    assert out.tolist() == [7, 7]
    with pytest.raises(CodecError, match="as many"):
        crc16_batch(bytes(10), [0, 1], [1])
