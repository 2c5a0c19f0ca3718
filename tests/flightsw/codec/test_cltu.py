"""Telecommand channel coding: published codeblocks, correction, and a noisy uplink."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import cltu
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
