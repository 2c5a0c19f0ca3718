"""The frame layer behind its Python face: batches, rows that tell of gaps, counters, data."""

import random

import pytest
from framing import FRAMES, OCF, SCID, balanced, on_air, packet, units_of, with_fecf
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.errors import SyncError
from flightsw.codec.link import tm_frame
from flightsw.codec.link import units as frames
from flightsw.codec.link.frames import Frames
from flightsw.codec.native import lib


def test_published_frame_on_every_tier(tier: str) -> None:
    """The published frame comes out of the batch with its header fields in its row."""
    body = bytes.fromhex("2F6100001800 0844C000000F000101") + bytes(13)
    body += bytes.fromhex("07FFC0000432") + bytes(1073) + bytes.fromhex("C508") + OCF
    receiver = tm_frame.Receiver(Frames("tm", 1115, 758, ocf=True))
    found = receiver.frames(with_fecf(body), infos=True)
    assert found.frames is not None
    (info,) = found.frames
    assert (info["scid"], info["vcid"], info["mc_count"], info["count"]) == (758, 0, 0, 0)
    assert (info["ocf"], info["pointer"]) == (0x01000000, 0)
    assert (info["data_at"], info["data_nbytes"]) == (6, 1115 - 12)
    assert found.rows["nbytes"].tolist() == [22]
    assert balanced(receiver)


def test_a_batch_gives_what_frames_one_by_one_give() -> None:
    """A buffer of frames, also with octets between them, gives the same packets and counters."""
    encoder = tm_frame.Encoder(FRAMES)
    sent = [(i % 3, packet(i, 40 + 91 * i % 600)) for i in range(60)]
    units = on_air(encoder, sent)
    bare = [tm_randomise(unit[4:]) for unit in units]
    batch, single = (
        tm_frame.Receiver(FRAMES),
        tm_frame.Receiver(FRAMES),
    )
    wide = tm_frame.Receiver(FRAMES)
    found = batch.frames(b"".join(bare))
    assert list(zip(found.rows["vcid"].tolist(), found.each(), strict=True)) == [
        one for frame in bare for one in single.frame(frame)
    ]
    spaced = b"".join(frame + b"RS parity" for frame in bare)
    assert list(wide.frames(spaced, 265).each()) == list(found.each())
    assert batch.counters == single.counters == wide.counters
    assert batch.octets == single.octets
    assert balanced(batch)
    with pytest.raises(SyncError, match="every 255 octets"):
        wide.frames(spaced, 255)


def test_channels_have_counters_of_their_own() -> None:
    """What is lost on one virtual channel is in its counters, and in the totals."""
    units = on_air(
        tm_frame.Encoder(FRAMES),
        [(i % 2, packet(i, 245)) for i in range(10)],
    )
    receiver = tm_frame.Receiver(FRAMES)
    receiver.feed(b"".join(units[:4] + units[5:]))
    channels = receiver.channels
    assert set(channels) == {0, 1}
    assert (channels[0]["vc_lost_frames"], channels[1]["vc_lost_frames"]) == (1, 0)
    for name in ("frames", "packets", "vc_gaps"):
        assert sum(one[name] for one in channels.values()) == receiver.counters[name]


def test_rows_tell_what_happened_in_front() -> None:
    """A packet behind a gap, a restart, a lost piece or octets passed over says so."""
    first = [tm_randomise(unit[4:]) for unit in units_of(12)[1]]
    again = [tm_randomise(unit[4:]) for unit in units_of(12)[1]]
    rows = tm_frame.Receiver(FRAMES).frames(b"".join(first[:5] + first[7:10] + again)).rows
    told = [int(since) for since in rows["since"] if since]
    assert told == [
        frames.SINCE_START,
        frames.SINCE_FRAMES | frames.SINCE_PIECE,
        frames.SINCE_RESTART | frames.SINCE_PIECE,
    ]
    assert rows["lost"].max() == rows["lost"].sum() == 2


def test_data_fields_that_are_no_packets_come_out_as_they_are() -> None:
    """A frame with the synchronisation flag, or of an opaque channel, gives its data field."""
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID, services={5: "opaque"}))
    flagged = with_fecf(bytes.fromhex("2f6000004000") + bytes(range(56)))
    opaque = with_fecf(bytes.fromhex("2f6a01001800") + bytes(range(56)))
    found = receiver.frames(flagged + opaque)
    assert list(found.each()) == [bytes(range(56))] * 2
    assert {frames.KINDS[kind] for kind in found.rows["kind"]} == {"opaque"}
    assert receiver.counters["unpacketised_frames"] == receiver.counters["units"] == 2
    assert balanced(receiver)


@pytest.mark.parametrize("header", ["3f", "36", "35"])
def test_secondary_header_that_leaves_no_data_is_counted(header: str) -> None:
    """A secondary header that fills the frame or goes beyond it makes a broken frame."""
    body = bytes.fromhex("2f6000009800" + header) + bytes(55)
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID))
    receiver.frame(with_fecf(body))
    assert receiver.counters["broken_frames"] == (header != "35" and header != "36")
    assert balanced(receiver)


@pytest.mark.parametrize("pointer", [0x7FD, 56, 100])
def test_pointer_behind_the_data_field_is_an_error(pointer: int) -> None:
    """Special values are two of 11 bits and no other; a pointer behind the field is an error."""
    head = bytes.fromhex("2f600000") + (0x1800 | pointer).to_bytes(2, "big")
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID))
    assert receiver.frame(with_fecf(head + bytes(56))) == []
    assert receiver.counters["pointer_errors"] == 1
    assert balanced(receiver)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 3))
def test_encapsulation_packets_across_frames(sizes: list[int], lengths: int) -> None:
    """Encapsulation packets with every length of length cross frames; idle ones are dropped."""
    some = []
    for i, size in enumerate(sizes):
        kind = min(lengths, 3) if size > 8 else 0
        nhead = (1, 2, 4, 8)[kind]
        head = bytes((0xE0 | (2 if kind else 0) << 2 | kind,))
        if kind:
            head = head.ljust(nhead - nhead // 2, b"\0") + size.to_bytes(nhead // 2, "big")
        some.append(head + bytes((i,)) * (size - nhead) if kind else b"\xe0")
    data = b"".join(some).ljust(-(-len(b"".join(some)) // 20) * 20, b"\xe0")
    starts, at = set(), 0
    for one in some:
        starts.add(at)
        at += len(one)
    starts |= set(range(at, len(data)))
    receiver = tm_frame.Receiver(Frames("tm", 28, SCID))
    got = []
    for i in range(0, len(data), 20):
        pointer = min((at - i for at in starts if i <= at < i + 20), default=0x7FF)
        head = bytes((0x2F, 0x60, i // 20 & 255, i // 20 & 255)) + (0x1800 | pointer).to_bytes(2)
        got += receiver.frame(with_fecf(head + data[i : i + 20]))
    assert [octets for _, octets in got] == [one for one in some if len(one) > 1]
    assert receiver.counters["encapsulation_packets"] == len(got)
    assert receiver.counters["pointer_errors"] == receiver.counters["bad_packets"] == 0
    assert balanced(receiver)


def test_packets_of_impossible_lengths_are_passed_over() -> None:
    """Encapsulation packets longer than any slot, shorter than their header, or without a length
    that are not idle, are refused.
    """
    receiver = tm_frame.Receiver(Frames("tm", 28, SCID))
    long = bytes.fromhex("eb000000 00010007") + bytes(12)
    short = bytes.fromhex("e9010000") + bytes(16)
    version = bytes.fromhex("41000000") + bytes(16)
    lone = bytes.fromhex("f0") * 20
    for i, data in enumerate((long, short, version, lone)):
        receiver.frame(with_fecf(bytes((0x2F, 0x60, i, i, 0x18, 0)) + data))
    assert receiver.counters["oversize_units"] == 1
    assert receiver.counters["bad_packets"] == 3
    assert receiver.counters["unaligned_octets"] == 80
    assert balanced(receiver)


def test_frames_stay_inside_their_buffers(guard: Guard, tier: str) -> None:
    """Frames flush against forbidden pages, sound and with any header, are taken so."""
    rnd = random.Random(8)
    receiver = tm_frame.Receiver(Frames("tm", 64, ocf=True, fecf=None))
    sink = receiver._sink
    for i in range(300):
        head = (rnd.randrange(1 << 14) << 32 | rnd.randrange(1 << 32)).to_bytes(6, "big")
        place = guard.place(head + rnd.randbytes(58), at_end=bool(i % 2))
        sink.rows_used = sink.octets_used = 0
        assert lib.fs_frame_take(receiver._state, place, 64, sink) == 0
    assert balanced(receiver)


def test_a_sink_without_room_takes_nothing() -> None:
    """Without room for a frame's worst case the answer is an error and nothing was counted."""
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID, ocf=True))
    frame, state = (
        tm_frame.Encoder(Frames("tm", 64, SCID, ocf=True)).idle_frame(OCF),
        receiver._state,
    )
    rows, octets = lib.fs_frame_rows_room(state), lib.fs_frame_octets_room(state)
    sink = receiver._sink
    for nrows, noctets, code in ((rows - 1, octets, -3), (rows, octets - 1, -3), (rows, octets, 0)):
        sink.nrows, sink.noctets = nrows, noctets
        assert lib.fs_frame_take(state, frame, 64, sink) == code
        assert receiver.octets["given"] == (0 if code else 64)


def test_a_batch_of_very_short_packets_outgrows_its_first_table() -> None:
    """Tables grow with the packets: thousands of the shortest ones come out, all in order."""
    encoder, receiver = (
        tm_frame.Encoder(FRAMES),
        tm_frame.Receiver(FRAMES),
    )
    sent = [packet(i, 7) for i in range(8000)]
    made = []
    for one in sent:
        encoder.add(0, one)
        while frame := encoder.next_frame(0, OCF):
            made.append(frame)
    found = receiver.frames(b"".join(made), infos=True)
    assert found.frames is not None
    assert len(found.frames) == len(made)
    assert len(found.rows) > 8 * len(made) + 200
    assert list(found.each()) == sent[: len(found.rows)]
    assert found.rows["offset"].tolist() == list(range(0, 7 * len(found.rows), 7))
    assert balanced(receiver)
