"""HILwire frames against a description with construct and octets written out, and any damage."""

from __future__ import annotations

from binascii import crc_hqx
from itertools import pairwise
from typing import Any

import pytest
from construct import Bytes, Checksum, GreedyBytes, Int8ul, Int16ul, RawCopy, Struct, this
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import tier as tiers
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib
from flightsw.codec.serial import cobs, hilwire

BODY = st.one_of(
    st.binary(min_size=3, max_size=249),
    st.lists(st.sampled_from([0, 1, 0xFF]), min_size=3, max_size=249).map(bytes),
)
FIELDS = Struct("head" / Int8ul, "type" / Int8ul, "seq" / Int8ul, "payload" / GreedyBytes)


def fold(body: bytes) -> int:
    """Return the fold as the specification writes it."""
    a, b = 1, 0
    for octet in body:
        a = (a + octet) & 255
        b = (b + a) & 255
    return b


def content(nbytes: int) -> Any:
    """Return the declaration of what COBS carries for a body of so many octets."""
    return Struct(
        "checked"
        / RawCopy(
            Struct(
                "body" / RawCopy(Bytes(nbytes)),
                "fold" / Checksum(Int8ul, fold, this.body.data),
            )
        ),
        "crc" / Checksum(Int16ul, lambda data: crc_hqx(data, 0xFFFF), this.checked.data),
    )


def build(body: bytes) -> bytes:
    """Return a frame as construct and the definition of COBS make it."""
    octets = content(len(body)).build({"checked": {"value": {"body": {"data": body}}}})
    pieces = octets.split(b"\0")
    assert all(len(piece) < 254 for piece in pieces)
    return b"\0" + b"".join(bytes([len(piece) + 1]) + piece for piece in pieces) + b"\0"


@given(bodies=st.lists(BODY, max_size=6))
@pytest.mark.parametrize("tier_name", tiers.available())
@settings(deadline=None, max_examples=60)
def test_frames_are_those_of_the_declaration(tier_name: str, bodies: list[bytes]) -> None:
    """Every body becomes the frame that its declaration gives, alone and among others."""
    with tiers.forced(tier_name):
        assert hilwire.enframe(bodies) == b"".join(map(build, bodies))
        assert [hilwire.Sender().frame(body) for body in bodies] == list(map(build, bodies))
        assert [hilwire.fold(body) for body in bodies] == list(map(fold, bodies))


@given(
    bodies=st.lists(BODY, max_size=8),
    junk=st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
@pytest.mark.parametrize("tier_name", tiers.available())
@settings(deadline=None, max_examples=60)
def test_any_chunks_give_the_bodies_back(
    tier_name: str, bodies: list[bytes], junk: bytes, cuts: list[int]
) -> None:
    """However a stream is cut, each body comes out once, and each octet is counted once."""
    stream = junk.replace(b"\0", b"\1") + hilwire.enframe(bodies)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    with tiers.forced(tier_name):
        receiver = hilwire.Receiver()
        got = []
        for begin, end in pairwise(edges):
            got += receiver.feed(stream[begin:end])
    counts = receiver.counters
    assert got == bodies
    assert counts["frames"] == len(bodies)
    assert counts["bad_octets"] == counts["bad_checks"] == counts["bad_frames"] == 0
    octets = counts["good_octets"] + counts["idle_octets"] + receiver.held_nbytes
    assert octets == len(stream)


@given(chunks=st.lists(st.binary(max_size=600), max_size=6), limit=st.integers(6, 252))
@settings(deadline=None)
def test_no_octet_is_lost_to_the_counters(chunks: list[bytes], limit: int) -> None:
    """Whatever comes, every octet is good, bad, idle or held, and no body is above the limit."""
    receiver = hilwire.Receiver(limit)
    for chunk in chunks:
        assert all(3 <= len(body) <= limit - 3 for body in receiver.feed(chunk))
    counts = receiver.counters
    total = sum(counts[name] for name in ("good_octets", "bad_octets", "idle_octets"))
    assert total + receiver.held_nbytes == sum(map(len, chunks))


@pytest.mark.parametrize(
    ("damage", "counter"),
    [
        (lambda octets: octets[:-1] + bytes([octets[-1] ^ 1]), "bad_checks"),
        (lambda octets: octets[:4], "bad_checks"),
        (lambda octets: octets + b"a", "bad_checks"),
    ],
)
def test_a_wrong_check_is_counted_and_its_octets_are_bad(damage: Any, counter: str) -> None:
    """A frame whose check is wrong or missing gives nothing and is counted with its octets."""
    inner = cobs.decode(build(b"\x10\x02\x05hello"))
    receiver = hilwire.Receiver()
    damaged = cobs.frames([damage(inner)], lead=True)
    assert receiver.feed(damaged) == []
    assert receiver.counters[counter] == 1
    assert receiver.counters["frames"] == receiver.counters["good_octets"] == 0
    assert receiver.counters["bad_octets"] == len(damaged) - 1  # the first delimiter is idle


def test_a_wrong_fold_under_a_right_crc_is_told_apart() -> None:
    """What CRC-16 alone would let through is counted as such."""
    body = b"\x10\x02\x05hello"
    checked = body + bytes([fold(body) ^ 0x40])
    octets = checked + crc_hqx(checked, 0xFFFF).to_bytes(2, "little")
    receiver = hilwire.Receiver()
    assert receiver.feed(cobs.frames([octets], lead=True)) == []
    assert (receiver.counters["bad_folds"], receiver.counters["bad_checks"]) == (1, 1)


@pytest.mark.parametrize("nbytes", [0, 2, 250, 300])
def test_bodies_of_other_lengths_are_refused(nbytes: int) -> None:
    """A body has 3 to 249 octets, so that a frame is one COBS block and one octet can say so."""
    for make in (hilwire.Sender().frame, lambda body: hilwire.enframe([body])):
        with pytest.raises(FieldRangeError, match=f"a body of {nbytes} octets"):
            make(bytes(nbytes))


@pytest.mark.parametrize("limit", [0, 5, 253])
def test_receivers_of_other_limits_are_refused(limit: int) -> None:
    """A receiver holds frames of 6 to 252 octets."""
    with pytest.raises(FieldRangeError, match=f"at most {limit} octets"):
        hilwire.Receiver(limit)


def test_c_says_what_does_not_fit() -> None:
    """Parts behind the buffer and output without room are told before anything is written."""
    one, length = ffi.new("uint64_t[1]"), ffi.new("uint32_t[1]", [9])
    out = ffi.new("uint8_t[]", lib.FS_HILWIRE_LINE)
    assert lib.fs_hilwire_enframe(b"abcdefgh", 8, one, length, 1, out, 255) == lib.FS_E_SHORT
    assert lib.fs_hilwire_enframe(b"abcdefghi", 9, one, length, 1, out, 254) == lib.FS_E_CAPACITY


@pytest.mark.parametrize("at_end", [True, False])
def test_no_octet_outside_is_touched(tier: str, guard: Guard, at_end: bool) -> None:
    """Making and taking the longest frame stays inside buffers of just the promised size."""
    for nbytes in (3, 4, 17, 248, 249):
        body = bytes(i * 7 % 256 for i in range(nbytes))
        source = guard.place(body, at_end=at_end)
        out = guard.place(bytes(lib.FS_HILWIRE_LINE), at_end=at_end)
        at, length = ffi.new("uint64_t[1]"), ffi.new("uint32_t[1]", [nbytes])
        made = lib.fs_hilwire_enframe(source, nbytes, at, length, 1, out, lib.FS_HILWIRE_LINE)
        assert made == nbytes + 6
        rx, row = ffi.new("fs_hilwire *"), ffi.new("fs_content_row *")
        assert lib.fs_hilwire_reset(rx, lib.FS_HILWIRE_MOST) == 0
        frame = guard.place(ffi.buffer(out, made)[:], at_end=at_end)
        room = guard.place(bytes(lib.FS_HILWIRE_LINE), at_end=at_end)
        where, found = 0, 0
        while where < made:
            found += lib.fs_hilwire_feed(
                rx, frame + where, made - where, at, row, 1, room, lib.FS_HILWIRE_LINE
            )
            where += at[0]
        assert found == 1
        assert ffi.buffer(room + row.offset, row.nbytes)[:] == body
