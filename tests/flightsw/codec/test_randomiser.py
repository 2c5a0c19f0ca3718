"""The pseudo-random sequences against published octets and against their polynomials."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.randomiser import (
    RANDOMISERS,
    Randomiser,
    randomise_units,
    sequence,
    tc_randomise,
    tm17_randomise,
    tm_randomise,
)
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.native import ffi, lib

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = {
    "tm": "FF480EC09A0D70BC8E2C93ADA7B746CE",
    "tc": "FF399E5A68E906F56C892FA1315E08C0",
    "tm17": "1C71B91BA9BA8457B4BC5054BFD05540",
}
FACES = {"tm": tm_randomise, "tc": tc_randomise, "tm17": tm17_randomise}
#: The exponents of each polynomial below its degree, its degree, and its start bits.
POLYNOMIALS = {
    "tm": ((7, 5, 3, 0), 8, [1] * 8),
    "tc": ((6, 4, 3, 2, 1, 0), 8, [1] * 8),
    "tm17": ((14, 0), 17, [int(c) for c in reversed("11000111000111000")]),
}
LENGTHS = [*range(140), 223, 255, 256, 1115, 1275, 2047, 2048, 2049, 4079, 4080, 4081, 9000]


def by_definition(kind: str, nbytes: int) -> bytes:
    """Run the recurrence bit by bit."""
    taps, degree, bits = POLYNOMIALS[kind]
    bits = list(bits)
    while len(bits) < 8 * nbytes:
        start = len(bits) - degree
        bits.append(sum(bits[start + tap] for tap in taps) & 1)
    return bytes(int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, 8 * nbytes, 8))


def exclusive_or(a: bytes, b: bytes) -> bytes:
    """Return a ^ b, octet by octet."""
    return (np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).tobytes()


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_octets(tier: str, kind: str) -> None:
    """The first sixteen octets of each sequence are the published ones, there and back."""
    published = bytes.fromhex(PUBLISHED[kind])
    assert sequence(kind, 16) == FACES[kind](bytes(16)) == published
    assert FACES[kind](published) == bytes(16)
    buf = bytearray(16)
    lib.fs_randomise(RANDOMISERS[kind], ffi.from_buffer(buf), ffi.from_buffer(buf), 16, 1)
    assert bytes(buf) == published


@pytest.mark.parametrize("kind", PUBLISHED)
def test_follows_the_polynomial(kind: str) -> None:
    """Six thousand octets equal the recurrence run bit by bit, at every shorter length too."""
    truth = by_definition(kind, 6000)
    for nbytes in [*range(600), 1000, 2000, 6000]:
        assert sequence(kind, nbytes) == truth[:nbytes]


@pytest.mark.parametrize(("kind", "period"), [("tm", 255), ("tc", 255), ("tm17", 131_071)])
def test_repeats_after_its_period(kind: str, period: int) -> None:
    """A sequence repeats after its period and not before its first octets do."""
    octets = sequence(kind, 2 * period + 64)
    assert octets[period:] == octets[: period + 64]
    assert octets.find(octets[:17], 1) == period


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_twice_is_nothing(data: bytes) -> None:
    """Applying a sequence twice gives the octets back; once gives the sequence over zeros."""
    for kind, face in FACES.items():
        assert face(face(data)) == data
        assert face(bytes(len(data))) == sequence(kind, len(data))


@pytest.mark.parametrize("kind", PUBLISHED)
def test_units_start_anew_at_any_length(tier: str, kind: str) -> None:
    """A batch begins the sequence again in every unit, of any length, and may work in place."""
    rng = np.random.default_rng(1)
    for nbytes in [n for n in LENGTHS if n] + [140_000]:
        data = rng.bytes(3 * nbytes)
        want = exclusive_or(data, sequence(kind, nbytes) * 3)
        buf = bytearray(data)
        out = bytearray(3 * nbytes)
        assert (
            lib.fs_randomise(RANDOMISERS[kind], data, ffi.from_buffer(out), nbytes, 3) == 3 * nbytes
        )
        assert bytes(out) == want
        randomise_units(kind, buf, nbytes)
        assert bytes(buf) == want
        randomise_units(kind, buf, nbytes)
        assert bytes(buf) == data


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 600), st.integers(0, 5), st.integers(0, 70), st.integers(0, 70))
def test_rows_with_gaps(nbytes: int, count: int, gap_in: int, gap_out: int) -> None:
    """Units with gaps between them are randomised alone; what lies between is left as it was."""
    rng = np.random.default_rng(nbytes)
    source = rng.integers(0, 256, (count, nbytes + gap_in), np.uint8)
    target = rng.integers(0, 256, (count, nbytes + gap_out), np.uint8)
    kept = target[:, nbytes:].copy()
    pn = np.frombuffer(sequence("tm17", nbytes), np.uint8)
    made = Randomiser("tm17", nbytes)
    assert (made.apply(source[:, :nbytes]) == source[:, :nbytes] ^ pn).all()
    made.apply(source[:, :nbytes], target[:, :nbytes])
    assert (target[:, :nbytes] == source[:, :nbytes] ^ pn).all()
    assert (target[:, nbytes:] == kept).all()
    before = source.copy()
    made.apply(source[:, :nbytes], source[:, :nbytes])
    assert (source[:, :nbytes] == before[:, :nbytes] ^ pn).all()
    assert (source[:, nbytes:] == before[:, nbytes:]).all()


def test_no_octet_outside_is_touched(tier: str, guard: Guard) -> None:
    """All three buffers may stand flush against forbidden pages, in place as well."""
    rng = np.random.default_rng(2)
    for nbytes in [*range(1, 40), 63, 64, 65, 127, 128, 200, 256, 257, 300, 1115]:
        data, pn = rng.bytes(2 * nbytes), rng.bytes(nbytes)
        want = exclusive_or(data, 2 * pn)
        for place, table in zip(guard.both(data), guard.both(pn), strict=True):
            out = guard.place(bytes(2 * nbytes), at_end=True)
            assert lib.fs_pn_apply(table, place, nbytes, out, nbytes, nbytes, 2) == 2 * nbytes
            assert ffi.buffer(out, 2 * nbytes)[:] == want
            lib.fs_pn_apply(table, place, nbytes, place, nbytes, nbytes, 2)
            assert ffi.buffer(place, 2 * nbytes)[:] == want
            for kind in PUBLISHED:
                assert lib.fs_pn_fill(RANDOMISERS[kind], table, nbytes) == nbytes


def test_refuses_what_it_cannot_do() -> None:
    """Unknown sequences, units that are cut, and arrays of another shape are errors that say so."""
    with pytest.raises(FieldRangeError, match=r"called .tape.; give tm"):
        sequence("tape", 4)
    with pytest.raises(FieldRangeError, match=r"called .tape."):
        randomise_units("tape", bytearray(4), 4)
    with pytest.raises(CodecError, match="7 octets are not whole units of 4"):
        randomise_units("tm", bytearray(7), 4)
    with pytest.raises(CodecError, match="whole units of 0"):
        randomise_units("tm", bytearray(7), 0)
    made = Randomiser("tm", 8)
    for units in (
        np.zeros((2, 9), np.uint8),
        np.zeros((2, 8), np.int8),
        np.zeros((2, 8), "u1", "F"),
    ):
        with pytest.raises(CodecError, match="give uint8"):
            made.apply(units)
    with pytest.raises(CodecError, match="rows in order"):
        made.apply(np.zeros((2, 8), np.uint8)[::-1])
    fixed = np.zeros((2, 8), np.uint8)
    fixed.flags.writeable = False
    with pytest.raises(CodecError, match="read-only"):
        made.apply(fixed, fixed)
    assert (
        lib.fs_pn_apply(bytes(8), bytes(20), 7, ffi.new("uint8_t[20]"), 8, 8, 2) == lib.FS_E_RANGE
    )


def test_the_starts_are_what_their_script_writes(tmp_path: Path) -> None:
    """The committed first octets are those that their script makes."""
    tables = ROOT / "csrc" / "coding" / "tables"
    (tmp_path / "make.py").write_text((tables / "make_randomiser.py").read_text())
    subprocess.run([sys.executable, tmp_path / "make.py"], check=True, capture_output=True)
    assert (tmp_path / "randomiser.h").read_text() == (tables / "randomiser.h").read_text()
