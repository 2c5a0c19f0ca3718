"""Telecommand channel coding: published codeblocks, correction, and a noisy uplink."""

from __future__ import annotations

import random

import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding import cltu
from flightsw.codec.coding.randomiser import tc_randomise
from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib

TAIL = bytes.fromhex("C5C5C5C5C5C5C579")


def filled(frame: bytes) -> bytes:
    """Return the frame with the fill that its last codeblock gets."""
    return frame + b"\x55" * (-len(frame) % 7)


def flip(octets: bytes, *bits: int) -> bytes:
    """Return octets with some bits wrong; bit 0 is the first sent."""
    hurt = bytearray(octets)
    for bit in bits:
        hurt[bit // 8] ^= 0x80 >> bit % 8
    return bytes(hurt)


@pytest.mark.parametrize(
    ("info", "parity"),
    [
        ("22F600FF00421A", 0x12),
        ("8CC00E010D1906", 0x5A),
        ("301B0009008200", 0x54),
        ("10E4C155555555", 0x3E),
    ],
)
def test_published_codeblocks(info: str, parity: int) -> None:
    """Parity of published codeblocks, and the frame around them, come out right."""
    data = bytes.fromhex(info)
    assert cltu.encode(data) == b"\xeb\x90" + data + bytes([parity]) + TAIL


def test_fill_is_part_of_a_published_codeblock() -> None:
    """A frame that ends three octets into a codeblock is filled with 55."""
    assert cltu.encode(bytes.fromhex("10E4C1"))[2:10] == bytes.fromhex("10E4C1555555553E")


@pytest.mark.parametrize(("frame_nbytes", "unit_nbytes"), [(256, 306), (36, 58), (1, 18), (7, 18)])
def test_unit_lengths(frame_nbytes: int, unit_nbytes: int) -> None:
    """A unit has two octets of start, eight for each seven of the frame, eight of tail."""
    assert len(cltu.encode(bytes(frame_nbytes))) == unit_nbytes


def test_every_single_error_is_corrected_and_every_double_error_is_seen() -> None:
    """In a codeblock one wrong bit is put right wherever it is; two are never taken for one."""
    block = cltu.encode(b"\x10\xe4\xc1\x00\xff\x5a\x33")[2:10]

    def correct(octets: bytes) -> tuple[int, bytes]:
        buf = bytearray(octets)
        return int(lib.fs_bch_correct(ffi.from_buffer(buf))), bytes(buf)

    assert correct(block) == (0, block)
    for bit in range(63):
        assert correct(flip(block, bit)) == (1, block)
        for other in range(bit + 1, 63):
            assert correct(flip(block, bit, other))[0] < 0
    assert correct(flip(block, 63))[0] == 0  # the filler bit carries nothing


def test_tail_is_no_codeblock_even_with_a_wrong_bit_missing() -> None:
    """The tail sequence cannot be corrected into a codeblock."""
    assert lib.fs_bch_correct(ffi.from_buffer(bytearray(TAIL))) < 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1),
    st.data(),
)
def test_any_chunking_and_one_wrong_bit_a_codeblock(
    frames: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    """Units arrive whole, however they are cut, with idle between and one wrong bit a codeblock."""
    air, wrong = b"", 0
    for frame in frames:
        unit = cltu.encode(frame)
        for at in range(16, 8 * (len(unit) - len(TAIL)), 64):
            if data.draw(st.booleans()):
                unit, wrong = flip(unit, at + data.draw(st.integers(0, 62))), wrong + 1
        air += b"\x55" * data.draw(st.integers(0, 12)) + unit
    receiver, got, at, turn = cltu.Receiver(), [], 0, 0
    while at < len(air):
        step = cuts[turn % len(cuts)]
        got += receiver.feed(air[at : at + step])
        at, turn = at + step, turn + 1
    assert got == [filled(frame) for frame in frames] == cltu.decode(air)
    assert receiver.counters["corrected_bits"] == wrong
    assert receiver.counters["units"] == receiver.counters["tails"] == len(frames)


def test_start_sequence_with_one_wrong_bit() -> None:
    """The start is found with any one bit wrong, and not with two."""
    unit = cltu.encode(b"command")
    for bit in range(16):
        receiver = cltu.Receiver()
        assert receiver.feed(b"\x55" + flip(unit, bit)) == [b"command"]
        assert receiver.counters["start_errors"] == 1
    receiver = cltu.Receiver()
    assert receiver.feed(flip(unit, 3, 9)) == []
    assert receiver.counters["skipped_octets"] == len(unit) - 1


def test_damaged_codeblock_ends_the_unit_and_is_counted() -> None:
    """Two wrong bits end a unit early: what came before is given, the rest is searched."""
    unit = cltu.encode(bytes(range(21)))
    receiver = cltu.Receiver()
    assert receiver.feed(flip(unit, 16 + 64 + 3, 16 + 64 + 40) + cltu.encode(b"next")) == [
        bytes(range(7)),
        filled(b"next"),
    ]
    counters = receiver.counters
    assert (counters["rejected_codeblocks"], counters["tails"], counters["units"]) == (1, 1, 2)
    assert counters["skipped_octets"] == 16


def test_start_without_codeblock_and_endless_unit_are_counted() -> None:
    """A start with nothing behind it gives no unit; a unit beyond the store is cut and counted."""
    receiver = cltu.Receiver()
    assert receiver.feed(b"\xeb\x90" + TAIL) == []
    assert receiver.counters["empty_units"] == 1
    block = cltu.encode(bytes(7))[2:10]
    (unit,) = receiver.feed(b"\xeb\x90" + block * 600)
    assert receiver.counters["overlong_units"] == 1
    assert len(unit) == 4095


def test_nothing_to_carry() -> None:
    """An empty frame is refused."""
    with pytest.raises(TruncatedError, match="no octets"):
        cltu.encode(b"")


def by_definition(info: bytes) -> int:
    """Return the parity octet of 7 octets: divide by x^7 + x^6 + x^2 + 1, bit by bit."""
    register = 0
    for octet in info:
        for i in range(7, -1, -1):
            feedback = register >> 6 ^ octet >> i & 1
            register = register << 1 & 0x7F ^ (0x45 if feedback & 1 else 0)
    return (register ^ 0x7F) << 1


@settings(deadline=None)
@given(st.binary(min_size=7, max_size=140))
def test_codeblocks_follow_the_polynomial(octets: bytes) -> None:
    """Parity of any information octets is the remainder of its polynomial, complemented."""
    count = len(octets) // 7
    blocks = bytearray(8 * count)
    assert lib.fs_bch_encode(octets, count, ffi.from_buffer(blocks)) == count
    for i in range(count):
        info = octets[7 * i : 7 * i + 7]
        assert bytes(blocks[8 * i : 8 * i + 8]) == info + bytes([by_definition(info)])
    syndromes = bytearray(count)
    assert lib.fs_bch_check(bytes(blocks), count, ffi.from_buffer(syndromes)) == count
    assert not any(syndromes)
    blocks[3] ^= 0x10
    assert lib.fs_bch_check(bytes(blocks), count, ffi.from_buffer(syndromes)) == count - 1
    assert [bool(s) for s in syndromes] == [True] + [False] * (count - 1)


@pytest.mark.parametrize("nbytes", [36, 256, 1024])
def test_whole_units_there_and_back(nbytes: int) -> None:
    """Frames of three lengths arrive with a wrong bit in each codeblock, randomised or not."""
    rnd = random.Random(nbytes)
    frame = rnd.randbytes(nbytes)
    for randomised in (False, True):
        unit = cltu.encode(frame, randomised=randomised)
        assert len(unit) == 2 + -(-nbytes // 7) * 8 + 8
        for at in range(16, 8 * (len(unit) - len(TAIL)), 64):
            unit = flip(unit, at + rnd.randrange(63))
        receiver = cltu.Receiver(randomised=randomised)
        (got,) = receiver.feed(unit)
        assert got[:nbytes] == frame
        assert receiver.counters["corrected_bits"] == receiver.counters["codeblocks"]
        assert receiver.counters["tails"] == 1


def test_randomiser_comes_before_the_parity_and_spares_the_fill() -> None:
    """A randomised unit is the plain unit of the randomised frame (CCSDS 231.0-B-4 section 6)."""
    frame = bytes.fromhex("10E4C1")
    unit = cltu.encode(frame, randomised=True)
    assert unit == cltu.encode(tc_randomise(frame))
    assert unit[2:9] == bytes.fromhex("EFDD5F") + b"\x55" * 4


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1),
    st.lists(st.tuples(st.integers(8, 40), st.booleans()), min_size=4, max_size=4),
)
def test_units_at_any_bit_and_inverted(
    frames: list[bytes], cuts: list[int], gaps: list[tuple[int, bool]]
) -> None:
    """Units that begin at any bit, some inverted, arrive whole however the octets are cut."""
    bits, slipped, inverted = "", 0, 0
    for frame, (gap, turned) in zip(frames, gaps, strict=False):
        bits += ("01" * gap)[:gap]
        slipped += len(bits) % 8 != 0
        inverted += turned
        unit = "".join(f"{octet ^ (255 if turned else 0):08b}" for octet in cltu.encode(frame))
        bits += unit
    bits += "01010101"[: -len(bits) % 8]
    air = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    receiver, got, at, turn = cltu.Receiver(any_bit=True), [], 0, 0
    while at < len(air):
        step = cuts[turn % len(cuts)]
        got += receiver.feed(air[at : at + step])
        at, turn = at + step, turn + 1
    assert got == [filled(frame) for frame in frames] == cltu.decode(air, any_bit=True)
    assert receiver.counters["slipped_starts"] == slipped
    assert receiver.counters["inverted_starts"] == inverted
    assert receiver.counters["units"] == receiver.counters["tails"] == len(frames)


def test_units_one_behind_the_other_off_octet_boundaries() -> None:
    """Bits behind a slipped unit in its last octet belong to the search for the next one."""
    units = cltu.encode(b"first command") + cltu.encode(b"second one")
    shifted = int.from_bytes(units, "big") << 5 | 0b01010
    air = shifted.to_bytes(len(units) + 1, "big")
    want = [filled(b"first command"), filled(b"second one")]
    assert cltu.decode(air, any_bit=True) == want
    assert cltu.decode(air) == []


def test_every_octet_is_accounted_for() -> None:
    """Octets fed are those of starts, of codeblocks and tails, skipped, or still held."""
    rnd = random.Random(6)
    for _ in range(200):
        air = b"".join(
            rnd.randbytes(rnd.randrange(30)) + cltu.encode(rnd.randbytes(rnd.randrange(1, 50)))
            for _ in range(3)
        )
        air = flip(air, *(rnd.randrange(8 * len(air)) for _ in range(6)))
        receiver = cltu.Receiver()
        receiver.feed(air)
        c = receiver.counters
        closed = c["tails"] + c["rejected_codeblocks"] + c["overlong_units"]
        started = closed + receiver._state.inside
        held = (
            receiver._state.nheld if receiver._state.inside else min(receiver._state.fresh // 8, 1)
        )
        blocks = 8 * (c["codeblocks"] + closed)
        assert 2 * started + blocks + c["skipped_octets"] + held == len(air)


def test_no_octet_outside_is_touched(guard: Guard) -> None:
    """Encoder, check and receiver stay inside buffers that stand against forbidden pages."""
    rnd = random.Random(4)
    for nbytes in [*range(1, 30), 256]:
        frame = rnd.randbytes(nbytes)
        unit = cltu.encode(frame)
        for source, place in zip(guard.both(frame), guard.both(bytes(len(unit))), strict=True):
            assert lib.fs_cltu_encode(source, nbytes, place, len(unit)) == len(unit)
            assert ffi.buffer(place, len(unit))[:] == unit
        for air in guard.both(unit):
            for any_bit in (0, 1):
                state = ffi.new("fs_cltu_receiver *", {"any_bit": any_bit})
                assert lib.fs_cltu_feed(state, air, len(unit)) == len(unit)
                assert state.ready
        for blocks in guard.both(unit[2:-8]):
            syndromes = guard.place(bytes((len(unit) - 10) // 8), at_end=True)
            lib.fs_bch_check(blocks, (len(unit) - 10) // 8, syndromes)
