"""What callers may get wrong with octets and places: refused by name, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import construct as c
import numpy as np
import pytest

from flightsw.codec import wire
from flightsw.codec.coding import cltu, convolutional, crc, randomiser
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.link import aos_frame, chain, sync, tm_frame, uslp_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet import find as packet_find
from flightsw.codec.packet import sequence as packet_sequence
from flightsw.codec.packet import space_packet
from flightsw.codec.serial import cobs, hdlc, slip
from flightsw.codec.stream.channel import INPUTS, Channel, Convolutional
from flightsw.codec.stream.stream import Stream
from flightsw.codec.time_code import TimeFormat

WORDS = np.arange(3000, dtype="<u4")
OCTETS = WORDS.tobytes()
CODE = ReedSolomon(16, 1)
FIXED = compile_layout(c.Struct("n" / c.Int8ub, "octets" / c.Bytes(2)))
LIST = compile_layout(c.Struct("n" / c.Int8ub, "values" / c.Array(c.this.n, c.Int16ub)))
TEXT = compile_layout(c.Struct("n" / c.Int8ub, "octets" / c.Bytes(c.this.n)))
FLAT = compile_layout(c.Struct("n" / c.Int8ub, "m" / c.Int16ub))
WIDE = compile_layout(c.BitStruct("a" / c.BitsInteger(3), "b" / c.BitsInteger(61)))
PACKETS = b"".join(space_packet.pack(1, i, b"abc") for i in range(5))


@pytest.mark.parametrize(
    "function",
    [
        crc.crc16,
        crc.crc32_uslp,
        crc.crc32c,
        randomiser.tm_randomise,
        lambda octets: cobs.decode(cobs.encode(octets)),
        lambda octets: slip.decode(slip.encode(octets)),
        lambda octets: hdlc.decode(hdlc.encode(octets)),
        lambda octets: cltu.encode(octets),
        lambda octets: convolutional.Encoder().feed(octets),
        lambda octets: convolutional.Viterbi().feed_hard(octets),
        lambda octets: sync.search(octets, OCTETS[40:44]).tolist(),
        lambda octets: packet_find.PacketFinder().find(octets).offset.tolist(),
        lambda octets: FIXED.decode(octets, 61),
        lambda octets: FIXED.decode(octets, 61, calibrated=True),
        lambda octets: FLAT.decode(octets, 61),
        lambda octets: dict(FIXED.view(octets, 61)),
        lambda octets: dict(WIDE.view(octets, 61)),
        lambda octets: LIST.decode(octets, 4),
        lambda octets: TEXT.decode(octets, 60),
        lambda octets: space_packet.unpack(octets, 2),
    ],
)
@pytest.mark.parametrize("nbytes", [80, 12_000])
def test_a_view_of_words_is_taken_by_its_octets(
    function: Callable[[Any], Any], nbytes: int
) -> None:
    """A view whose elements have four octets gives what the same octets give, all of them."""
    words = memoryview(WORDS[: nbytes // 4])
    assert function(words) == function(memoryview(OCTETS[:nbytes]))


@pytest.mark.parametrize("layout", [FIXED, FLAT, LIST])
@pytest.mark.parametrize("at", [-1, 6, 1 << 64, 1 << 80])
def test_a_packet_outside_of_its_buffer_is_refused(layout: Any, at: int) -> None:
    """Wherever a packet is said to begin, one that is not in the buffer is cut off."""
    for octets in (b"abcdef", bytearray(6), memoryview(WORDS[:1])):
        for read in (layout.decode, layout.view) if layout.fixed else (layout.decode,):
            with pytest.raises(TruncatedError, match=r"buffer|ends"):
                read(octets, at)


def test_memory_that_may_not_be_written_stays_as_it_is() -> None:
    """Results and corrections never go into bytes, which the rest of the program believes fixed."""
    block = bytearray(CODE.encode(bytes(223)))
    block[5] ^= 1
    fixed = bytes(block)
    blocks = np.frombuffer(fixed, np.uint8).reshape(1, 255)
    for write in (CODE.decode_batch, CODE.encode_batch):
        with pytest.raises(CodecError, match="may be written"):
            write(blocks)
    results = bytes(4)
    with pytest.raises(CodecError, match="may be written"):
        crc.crc16_batch(b"abcdef", [0, 1], [2, 2], out=np.frombuffer(results, np.uint16))
    verdicts = np.frombuffer(results[:2], np.int16).reshape(1, 1)
    with pytest.raises(CodecError, match="may be written"):
        CODE.decode_batch(blocks.copy(), out=verdicts)
    with pytest.raises(CodecError, match="may be written"):
        randomiser.randomise_units("tm", np.frombuffer(fixed, np.uint8), 255)
    for layout in (FIXED, LIST):
        with pytest.raises(CodecError, match="may be written"):
            layout.encode_columns_into(
                {"n": [1], "octets": [[1, 2]], "values": [[3]]}, np.frombuffer(fixed, np.uint8)
            )
    assert (fixed, results) == (bytes(block), bytes(4))


@pytest.mark.parametrize(
    ("offsets", "lengths"),
    [
        ([0], np.array([(1 << 32) + 5])),
        ([0], [1 << 32]),
        ([0], [-5]),
        ([-1], [5]),
        (np.array([-1]), [5]),
        ([0.5], [5]),
        ([1 << 64], [5]),
        (["0"], [5]),
        ([[0]], [5]),
        (np.zeros((1, 1), np.uint64), [5]),
        (0, [5]),
        (None, [5]),
    ],
)
def test_places_that_are_none_are_refused(offsets: Any, lengths: Any) -> None:
    """Offsets and lengths that do not fit their type are refused, not cut to size."""
    with pytest.raises(FieldRangeError, match="offsets or lengths"):
        crc.crc16_batch(bytes(100), offsets, lengths)


def test_places_of_every_whole_kind_mean_the_same() -> None:
    """Lists, arrays of any integer type and mixed numbers give the same results."""
    wanted = [crc.crc16(OCTETS[at : at + 9]) for at in (0, 7)]
    for offsets in ([0, 7], [0, np.uint64(7)], np.array([0, 7], "u1"), np.array([0, 7], ">i4")):
        assert crc.crc16_batch(OCTETS, offsets, [9, np.uint32(9)]).tolist() == wanted
    assert crc.crc16_batch(OCTETS, [], []).tolist() == []


def channel_of(kind: str) -> Channel:
    """Return the simplest channel of an input."""
    if kind in ("octets", "bits", "symbols"):
        code = Convolutional() if kind == "symbols" else None
        return Channel("x", kind, code, Marker(), frames=Frames("aos", 100))
    if kind in ("frames", "cltu"):
        return Channel("x", kind, frames=Frames("aos" if kind == "frames" else "tc", 100))
    return Channel("x", kind)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("wrong", ["abc", 7, [1, 2], None, memoryview(bytes(10))[::2]])
def test_a_stream_takes_nothing_of_what_are_no_octets(kind: str, wrong: Any) -> None:
    """Text, numbers, lists and views with gaps are refused; the counters stay as they were."""
    stream = Stream(channel_of(kind))
    before = stream.counters
    with pytest.raises(CodecError):
        stream.feed(wrong)
    assert stream.counters == before


@pytest.mark.parametrize(
    "call",
    [
        lambda: FrameReceiver(Frames("aos", -1, 5)),
        lambda: FrameReceiver(Frames("aos", 1 << 40, 5)),
        lambda: FrameReceiver(Frames("aos", 100, 1 << 40)),
        lambda: FrameReceiver(Frames("aos", 100, -1)),
        lambda: FrameReceiver(Frames("aos", 100, 5, insert_nbytes=-1)),
        lambda: FrameReceiver(Frames("aos", 100, 5, channels=0)),
        lambda: FrameReceiver(Frames("aos", 100, 5, channels=1 << 30)),
        lambda: FrameReceiver(Frames("aos", 100, 5, services={1: "tape"})),
        lambda: FrameReceiver(Frames("aos", 100, 5, services={64: "opaque"})),
        lambda: FrameReceiver(Frames("aos", 100, 5, services={-1: "opaque"})),
        lambda: FrameReceiver(Frames("uslp", 100, 5, fecf=300)),
        lambda: FrameReceiver(Frames("uslp", 100, 5, truncated_nbytes=-1)),
        lambda: tm_frame.Receiver(Frames("tm", 100, -1, ocf=True)),
        lambda: tm_frame.Encoder(Frames("tm", 100, -1, ocf=True)),
        lambda: aos_frame.Encoder(Frames("aos", 100, 1, insert_nbytes=-1)),
        lambda: uslp_frame.Encoder(Frames("uslp", 100, 1, insert_nbytes=-1)),
        lambda: uslp_frame.Encoder(Frames("uslp", 100, 1, fecf=3)),
        lambda: chain.Chain(
            FrameReceiver(Frames("aos", 223, 5)), reed_solomon=chain.BlockCode(e=300)
        ),
        lambda: chain.Chain(
            FrameReceiver(Frames("aos", 223, 5)), reed_solomon=chain.BlockCode(fill=-1)
        ),
        lambda: sync.search(OCTETS, max_wrong=1 << 40),
        lambda: sync.search(OCTETS, step=-1),
        lambda: packet_find.scan(PACKETS, -1),
        lambda: packet_find.PacketFinder().find(PACKETS, capacity=-1),
        lambda: packet_find.table_at(PACKETS, [-1]),
        lambda: packet_find.scan(PACKETS).select(where=np.ones(9, np.bool_)),
        lambda: packet_find.scan(PACKETS).select(where=np.ones((5, 2), np.bool_)),
        lambda: packet_find.scan(PACKETS).select(where=np.array([5])),
        lambda: packet_find.scan(PACKETS).select(where=np.array([-1])),
        lambda: packet_find.scan(PACKETS).select(where=np.array([0.5])),
        lambda: packet_sequence.Joiner(secondary_nbytes=1 << 40),
        lambda: randomiser.sequence("tm", -1),
        lambda: randomiser.Randomiser("tm", -1),
        lambda: crc.crc16_batch(OCTETS, [0], [5], init=1 << 16),
        lambda: FIXED.encode({"n": 1, "octets": 2}),
        lambda: FIXED.encode({"n": 1, "octets": "ab"}),
        lambda: FIXED.encode({"n": 1, "octets": None}),
        lambda: FIXED.encode({"n": 1}),
        lambda: FIXED.encode_columns({"n": [[1], [1, 2]], "octets": [[1, 2]]}),
        lambda: FIXED.decode_columns(OCTETS, offsets=np.array([-1])),
        lambda: FIXED.decode_columns(OCTETS, offsets=[0.5]),
        lambda: FIXED.decode_columns(OCTETS, offsets=[[1]]),
        lambda: FIXED.decode_columns(OCTETS, offsets=[1], lengths=[-5]),
        lambda: FIXED.decode_columns(OCTETS, count=-1),
        lambda: FIXED.decode_columns(OCTETS, stride=1 << 70),
        lambda: FIXED.live(1, stride=1 << 70),
        lambda: FIXED.live(3)(1 << 70),
        lambda: LIST.decode_columns(OCTETS, count=-1),
        lambda: LIST.decode_columns(OCTETS, stride=0),
        lambda: LIST.decode_columns(OCTETS, offsets=np.array([-1]), lengths=[3]),
        lambda: LIST.decode_columns(OCTETS, offsets=[1], lengths=[-3]),
        lambda: LIST.encode_columns({"n": [1], "values": [5]}),
        lambda: LIST.encode_columns({"n": [1, 1], "values": ["a", [1]]}),
        lambda: Stream(Channel("x", "frames", randomiser="tape", frames=Frames("aos", 100))),
        lambda: Stream(Channel("x", "frames", frames=Frames("tm", 100, insert_nbytes=4))),
        lambda: Stream(Channel("x", "frames", frames=Frames("uslp", 100, fhec=True))),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(call: Callable[[], Any]) -> None:
    """Settings that are negative, huge or unknown raise FieldRangeError, none from the depth."""
    with pytest.raises(FieldRangeError):
        call()


def test_frames_that_do_not_end_whole_are_refused_before_any_is_taken() -> None:
    """A buffer of fixed frames with a rest leaves the receiver as it was."""
    receiver = FrameReceiver(Frames("aos", 100, 5))
    for stride in (None, 120):
        with pytest.raises(SyncError, match="50 octets at the end"):
            receiver.frames(bytes(2 * (stride or 100) + 50), stride)
    for stride in (-1, 0, 99, 1 << 70):
        with pytest.raises(SyncError, match="one every"):
            receiver.frames(bytes(100), stride)
    assert receiver.octets["given"] == 0
    receiver.frames(bytes(220), 120)
    assert receiver.octets["given"] == 200


def test_a_count_of_packets_that_are_not_there_takes_no_memory_for_them() -> None:
    """More packets than the buffer can hold are refused before columns are made for them."""
    with pytest.raises(TruncatedError, match="ends behind"):
        FIXED.decode_columns(OCTETS, count=1 << 60)


def test_places_outside_of_a_buffer_are_refused() -> None:
    """A negative offset does not count from the end, and a short time is no shorter time."""
    for at in (-1, -20, len(PACKETS)):
        with pytest.raises(TruncatedError):
            space_packet.unpack(PACKETS, at)
    with pytest.raises(TruncatedError):
        wire.unpack_from(bytes(64), -40)
    with pytest.raises(TruncatedError):
        TimeFormat("cuc", 4, 3).unpack(bytes(6))


def test_an_empty_kiss_frame_is_refused() -> None:
    """A frame without its command octet is none."""
    with pytest.raises(TruncatedError, match="idle fill"):
        slip.kiss_split(b"")
