"""The pseudo-random sequences against published octets and against their polynomials."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib
from flightsw.codec.randomiser import MAX_NBYTES, sequence, tc_randomise, tm_randomise

PUBLISHED = {
    lib.FS_PN_TM: "FF480EC09A0D70BC8E2C93ADA7B746CE",
    lib.FS_PN_TC: "FF399E5A68E906F56C892FA1315E08C0",
    lib.FS_PN_TM17: "1C71B91BA9BA8457B4BC5054BFD05540",
}
#: The exponents of each polynomial below its degree, its degree, and its start bits.
POLYNOMIALS = {
    lib.FS_PN_TM: ((7, 5, 3, 0), 8, [1] * 8),
    lib.FS_PN_TC: ((6, 4, 3, 2, 1, 0), 8, [1] * 8),
    lib.FS_PN_TM17: ((14, 0), 17, [int(c) for c in reversed("11000111000111000")]),
}


def by_definition(kind: int, nbytes: int) -> bytes:
    """Run the recurrence bit by bit."""
    taps, degree, bits = POLYNOMIALS[kind]
    bits = list(bits)
    while len(bits) < 8 * nbytes:
        start = len(bits) - degree
        bits.append(sum(bits[start + tap] for tap in taps) & 1)
    return bytes(int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, 8 * nbytes, 8))


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_octets(kind: int) -> None:
    """The first sixteen octets of each sequence are the published ones."""
    assert sequence(kind, 16) == bytes.fromhex(PUBLISHED[kind])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_follows_the_polynomial(kind: int) -> None:
    """Two thousand octets equal the recurrence run bit by bit."""
    assert sequence(kind, 2000) == by_definition(kind, 2000)


def test_long_sequence_repeats_after_its_period() -> None:
    """The sequence of degree 17 repeats after 131,071 octets and not before its first octets do."""
    octets = sequence(lib.FS_PN_TM17, 131_071 + 64)
    assert octets[131_071:] == octets[:64]
    assert octets.find(octets[:17], 1) == 131_071


@settings(deadline=None)
@given(st.binary(max_size=MAX_NBYTES))
def test_twice_is_nothing(data: bytes) -> None:
    """Applying a sequence twice gives the octets back; once gives the sequence over zeros."""
    assert tm_randomise(tm_randomise(data)) == data
    assert tc_randomise(tc_randomise(data)) == data
    assert tm_randomise(bytes(len(data))) == sequence(lib.FS_PN_TM, len(data))
    assert tc_randomise(bytes(len(data))) == sequence(lib.FS_PN_TC, len(data))


def test_units_start_anew() -> None:
    """A batch begins the sequence again in every unit, and may work in place."""
    data = bytes(range(250)) * 3
    buf = bytearray(data)
    assert lib.fs_randomise(lib.FS_PN_TM, data, ffi.from_buffer(buf), 250, 3) == 750
    assert bytes(buf) == tm_randomise(data[:250]) * 3
    lib.fs_randomise(lib.FS_PN_TM, ffi.from_buffer(buf), ffi.from_buffer(buf), 250, 3)
    assert bytes(buf) == data


def test_refuses_what_it_cannot_do() -> None:
    """A unit beyond the longest frame and an unknown sequence are errors that say so."""
    with pytest.raises(FieldRangeError, match="2049"):
        tm_randomise(bytes(MAX_NBYTES + 1))
    with pytest.raises(FieldRangeError, match="no sequence 9"):
        sequence(9, 4)
