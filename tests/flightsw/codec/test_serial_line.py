"""COBS, SLIP, KISS and HDLC: published vectors, any content, any chunking, any damage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import tier as tiers
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.serial import cobs, hdlc, slip
from flightsw.codec.serial.line import Deframer

#: From the paper and from the worked examples that implementations share.
COBS_VECTORS = [
    ("00", "0101"),
    ("0000", "010101"),
    ("001100", "01021101"),
    ("11220033", "0311220233"),
    ("11223344", "0511223344"),
    ("11000000", "0211010101"),
    (bytes(range(1, 255)).hex(), "FF" + bytes(range(1, 255)).hex()),
    (bytes(range(255)).hex(), "01FF" + bytes(range(1, 255)).hex()),
    (bytes(range(1, 256)).hex(), "FF" + bytes(range(1, 255)).hex() + "02FF"),
    ((bytes(range(2, 256)) + b"\0").hex(), "FF" + bytes(range(2, 256)).hex() + "0101"),
    ((bytes(range(3, 256)) + b"\0\1").hex(), "FE" + bytes(range(3, 256)).hex() + "0201"),
]

#: Content that has what each encoding minds, in runs as long as the limits.
CONTENT = st.one_of(
    st.binary(min_size=1, max_size=700),
    st.lists(
        st.sampled_from([0, 0x7D, 0x7E, 0xC0, 0xDB, 0x20, 0x41]), min_size=1, max_size=300
    ).map(bytes),
    st.tuples(st.integers(250, 260), st.integers(0, 3)).map(lambda n: b"A" * n[0] + bytes(n[1])),
)
DECODERS = {
    "cobs": (cobs.frames, cobs.Decoder, 0),
    "slip": (slip.frames, slip.Decoder, 0xC0),
    "hdlc": (hdlc.frames, hdlc.Decoder, 0x7E),
}


def accounted(decoder: Deframer) -> int:
    """Return how many octets the counters of a decoder, and what it holds, add up to."""
    c = decoder.counters
    return c["good_octets"] + c["bad_octets"] + c["idle_octets"] + decoder.held_nbytes


@pytest.mark.parametrize(("content", "frame"), COBS_VECTORS)
def test_cobs_matches_published_examples(content: str, frame: str, tier: str) -> None:
    """The worked examples encode and decode as published, on every tier."""
    assert cobs.encode(bytes.fromhex(content)).hex().upper() == frame.upper()
    assert cobs.decode(bytes.fromhex(frame)) == bytes.fromhex(content)


def test_slip_escapes_as_rfc_1055(tier: str) -> None:
    """END becomes DB DC and ESC becomes DB DD, between two ENDs."""
    assert slip.encode(b"\x01\xc0\x02\xdb\x03") == bytes.fromhex("C001DBDC02DBDD03C0")
    assert slip.decode(bytes.fromhex("C001DBDC02DBDD03C0")) == b"\x01\xc0\x02\xdb\x03"


def test_hdlc_matches_rfc_1662(tier: str) -> None:
    """Flags and escapes are stuffed as RFC 1662 section 4.2 says, and the check is X.25's."""
    frame = hdlc.encode(b"123456789")
    assert frame == b"\x7e123456789\x6e\x90\x7e"  # check value 906E, least significant octet first
    assert hdlc.encode(b"\x7e\x7d", fcs_nbytes=0) == bytes.fromhex("7E7D5E7D5D7E")
    assert hdlc.decode(bytes.fromhex("7E7D5E7D5D7D237E"), fcs_nbytes=0) == b"\x7e\x7d\x03"
    wide = hdlc.encode(b"123456789", fcs_nbytes=4)
    assert wide == b"\x7e123456789" + (0xCBF43926).to_bytes(4, "little") + b"\x7e"


@given(contents=st.lists(CONTENT, max_size=8), cuts=st.lists(st.integers(0, 4000), max_size=8))
@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("tier_name", tiers.available())
@settings(deadline=None, max_examples=60)
def test_any_content_comes_back_in_any_chunks(
    name: str, tier_name: str, contents: list[bytes], cuts: list[int]
) -> None:
    """What was framed comes back, however the stream is cut, and every octet is counted."""
    frames, decoder_class, delimiter = DECODERS[name]
    with tiers.forced(tier_name):
        stream = frames(contents)
        decoder = decoder_class()
        got = []
        for start, end in pairwise(sorted({0, len(stream), *(min(c, len(stream)) for c in cuts)})):
            got += decoder.feed(stream[start:end])
            assert accounted(decoder) == end
    assert got == contents
    assert stream.count(delimiter) == len(contents) * (1 if name == "cobs" else 2)
    with tiers.forced("portable"):
        assert frames(contents) == stream


@given(noise=st.binary(max_size=2000), content=CONTENT, size=st.integers(1, 300))
@pytest.mark.parametrize("name", DECODERS)
@settings(deadline=None, max_examples=60)
def test_noise_is_counted_and_frames_behind_it_are_found(
    name: str, noise: bytes, content: bytes, size: int
) -> None:
    """Whatever stood before, a frame behind a delimiter is found, the same on every tier."""
    frames, decoder_class, delimiter = DECODERS[name]
    stream = noise + bytes([delimiter]) + frames([content])
    seen = []
    for tier_name in tiers.available():
        with tiers.forced(tier_name):
            decoder = decoder_class(len(content))
            got = [
                frame
                for at in range(0, len(stream), size)
                for frame in decoder.feed(stream[at : at + size])
            ]
            assert accounted(decoder) == len(stream)
            seen.append((got, decoder.counters))
    assert all(each == seen[0] for each in seen)
    assert seen[0][0][-1] == content
    assert max(map(len, seen[0][0])) <= len(content)


@pytest.mark.parametrize("name", DECODERS)
def test_bad_frames_have_counters_of_their_own(name: str) -> None:
    """A frame that is too long, broken or aborted is dropped and says so in a counter."""
    _, decoder_class, delimiter = DECODERS[name]
    end = bytes([delimiter])
    decoder = decoder_class(16)
    assert decoder.feed(b"\x05A" * 4000 + end) == []
    assert decoder.counters["overlong_frames"] == 1
    broken = {"cobs": b"\x09ab", "slip": b"a\xdbb", "hdlc": b"abc\xdd\xdd"}[name]
    assert decoder.feed(broken + end) == []
    assert decoder.counters["bad_frames"] + decoder.counters["bad_checks"] == 1
    if name == "hdlc":
        assert decoder.feed(b"abc\x7d" + end + b"a" + end) == []
        assert decoder.counters["aborted_frames"] == 1
        assert decoder.counters["bad_checks"] == 2
    assert accounted(decoder) == decoder.counters["bad_octets"] > 8000


@pytest.mark.parametrize("name", DECODERS)
def test_a_line_joined_in_the_middle_begins_at_a_delimiter(name: str) -> None:
    """What stands before the first delimiter is idle when the line was joined in the middle."""
    frames, decoder_class, delimiter = DECODERS[name]
    decoder = decoder_class(64, joined=True)
    assert decoder.feed(b"\x03ab" + bytes([delimiter]) + frames([b"ok"])) == [b"ok"]
    assert decoder.counters["bad_octets"] == 0
    assert decoder.counters["idle_octets"] >= 4


def test_one_frame_that_is_none_is_refused() -> None:
    """Decoding a single frame names what it is instead, and an empty one cannot be made."""
    with pytest.raises(SyncError, match="bad_frames"):
        cobs.decode(b"\x09ab")
    with pytest.raises(SyncError, match="not one frame"):
        slip.decode(b"a\xc0b")
    with pytest.raises(ChecksumError):
        hdlc.decode(b"\x7e123456789\x6e\x91\x7e")
    with pytest.raises(TruncatedError):
        cobs.encode(b"")
    with pytest.raises(FieldRangeError):
        hdlc.encode(b"x", fcs_nbytes=3)
    with pytest.raises(FieldRangeError):
        slip.Decoder(0)


@given(data=CONTENT, port=st.integers(0, 15), command=st.integers(0, 15))
def test_kiss_puts_port_and_command_in_front(data: bytes, port: int, command: int) -> None:
    """Port and command of a KISS frame come back, with the data as it was."""
    content = slip.decode(slip.kiss_encode(data, port, command))
    assert slip.kiss_split(content) == (port, command, data)


def test_kiss_refuses_what_does_not_fit() -> None:
    """A port or command of more than four bits is refused."""
    with pytest.raises(FieldRangeError):
        slip.kiss_encode(b"x", port=16)


@pytest.mark.parametrize("kind", ["FS_COBS", "FS_SLIP", "FS_HDLC"])
def test_nothing_outside_of_the_buffers_is_touched(kind: str, tier: str, guard: Guard) -> None:
    """Encoding and decoding stay inside buffers of just the promised size, at both ends."""
    number, check = getattr(lib, kind), 2 if kind == "FS_HDLC" else 0
    for n in (1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 253, 254, 255, 300):
        for data in (b"\xc0\x7e\x00"[n % 3 :][:1] * n, bytes(i * 7 % 256 for i in range(n))):
            capacity = lib.fs_enframe_capacity(number, check, n)
            for at_end in (True, False):
                source, out = (
                    guard.place(data, at_end=at_end),
                    guard.place(bytes(capacity), at_end=at_end),
                )
                where, long = ffi.new("uint64_t *", 0), ffi.new("uint32_t *", n)
                made = lib.fs_enframe(number, check, 1, source, n, where, long, 1, out, capacity)
                assert 0 < made <= capacity
                frame = guard.place(ffi.buffer(out, made)[:], at_end=at_end)
                rx, consumed = ffi.new("fs_deframer *"), ffi.new("uint64_t *")
                assert lib.fs_deframer_reset(rx, number, check, n, 0) == 0
                room = lib.fs_deframer_room(rx)
                content = guard.place(bytes(room), at_end=at_end)
                row = ffi.new("fs_content_row *")
                assert lib.fs_deframe(rx, frame, made, consumed, row, 1, content, room) == 1
                assert ffi.buffer(content + row.offset, row.nbytes)[:] == data
