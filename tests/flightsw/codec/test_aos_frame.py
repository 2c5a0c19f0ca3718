"""AOS frames: octets of the header, its error control, packets, bitstreams, and what losses do."""

import random
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from framing import NASA_AOS, balanced, by_channel, in_order, losses, packet
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError
from flightsw.codec.link import aos_frame
from flightsw.codec.link import units as frames
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.native import ffi, lib

SCID = 0xA8

plans = st.lists(st.tuples(st.integers(0, 5), st.integers(7, 700)), min_size=1, max_size=25)


def stream(
    plan: list[tuple[int, int]], nbytes: int, **options: Any
) -> tuple[dict[tuple[int, int], list[bytes]], list[bytes]]:
    """Return packets by channel, and their frames, everything flushed."""
    cycle = options.pop("cycle", False)
    encoder = aos_frame.Encoder(Frames("aos", nbytes, SCID, **options), cycle=cycle)
    extra: dict[str, Any] = {"insert": b"\xa5" * options.get("insert_nbytes", 0)}
    extra["ocf"] = bytes(4 * options.get("ocf", False))
    sent: dict[tuple[int, int], list[bytes]] = {}
    out: list[bytes] = []
    for i, (vcid, size) in enumerate(plan):
        sent.setdefault((vcid, 0), []).append(packet(i, size))
        encoder.add(vcid, packet(i, size))
        while frame := encoder.next_frame(vcid, **extra):
            out.append(frame)
    for vcid, _ in sent:
        while frame := encoder.next_frame(vcid, flush=True, **extra):
            out.append(frame)
    return sent, out


def test_header_of_a_frame() -> None:
    """Each header field stands where the standard puts it."""
    frame = aos_frame.pack(0x2A8, 0x3E, 0x123456, b"field", replay=True, cycle=9, ocf=b"ocf!")
    assert frame[:6].hex() == "6a3e123456e9"
    assert frame[6:15] == b"fieldocf!"
    assert crc16(frame) == 0
    assert aos_frame.pack(SCID, 0, 1, b"x", insert=b"zone", fecf=None).hex() == (
        "6a0000000100" + b"zonex".hex()
    )


def test_published_frame(tier: str) -> None:
    """A published frame: the same octets from its data field, and its packet waits for its rest."""
    assert aos_frame.pack(0xAB, 1, 343, NASA_AOS[6:-2]) == NASA_AOS
    receiver = FrameReceiver(Frames("aos", 128, 0xAB))
    found = receiver.frames(NASA_AOS, infos=True)
    assert found.frames is not None
    (info,) = found.frames
    assert (info["scid"], info["vcid"], info["count"], info["pointer"]) == (0xAB, 1, 343, 0)
    assert (info["data_at"], info["data_nbytes"]) == (8, 118)
    assert receiver.octets["pending"] == 118
    assert (losses(receiver), len(found.rows)) == ({}, 0)
    rest = NASA_AOS[8:-2] + bytes(397 - 118)
    field = aos_frame.POINTER_NONE.to_bytes(2, "big")
    for at in range(118, 397, 118):
        piece = rest[at : at + 118].ljust(118, b"\xe0")  # idle packets of one octet
        pointer = field if len(rest) - at >= 118 else (397 - at).to_bytes(2, "big")
        got = receiver.frame(aos_frame.pack(0xAB, 1, 343 + at // 118, pointer + piece))
    assert got == [(1, rest[:397])]
    assert receiver.counters["encapsulation_packets"] == 1
    assert receiver.counters["idle_packets"] == 4 * 118 - 397
    assert balanced(receiver)


@pytest.mark.parametrize(
    ("first", "signalling", "parity"), [(0x1234, 0x56, 0x94DC), (0x369C, 0xFA, 0x457C)]
)
def test_published_header_checks(first: int, signalling: int, parity: int) -> None:
    """The error control of published headers comes out, and stands behind the signalling field."""
    assert lib.fs_aos_fhec(first, signalling) == parity
    if first >> 14 == 0:
        return
    frame = aos_frame.pack(first >> 6 & 0xFF, first & 63, 0, b"x", fhec=True)
    assert int.from_bytes(frame[6:8], "big") == lib.fs_aos_fhec(first, 0)


def field_times(a: int, b: int) -> int:
    """Multiply in GF(16) by its definition, modulo x^4 + x + 1."""
    product = 0
    for i in range(4):
        product ^= (a << i) * (b >> i & 1)
    for i in (6, 5, 4):
        product ^= (0x13 << i - 4) * (product >> i & 1)
    return product


def test_header_check_has_the_roots_of_its_code() -> None:
    """Every codeword, as a polynomial over GF(16), is 0 at a^6, a^7, a^8 and a^9."""
    rnd, powers = random.Random(1), [1]
    for _ in range(14):
        powers.append(field_times(powers[-1], 2))
    for _ in range(300):
        first, signalling = rnd.randrange(65536), rnd.randrange(256)
        word = first << 24 | signalling << 16 | lib.fs_aos_fhec(first, signalling)
        for root in powers[6:10]:
            value = 0
            for place in range(9, -1, -1):
                value = field_times(value, root) ^ (word >> 4 * place & 15)
            assert value == 0


def header_of(word: int) -> Any:
    """Return a header of eight octets around a codeword of 40 bits."""
    octets = word.to_bytes(5, "big")
    return ffi.new("uint8_t[]", octets[:2] + b"\x11\x22\x33" + octets[2:])


def test_header_check_corrects_two_symbols() -> None:
    """Any one and any two wrong symbols are corrected, and how many is told."""
    rnd = random.Random(2)
    sound = 0x6A31 << 24 | 0x8F << 16 | lib.fs_aos_fhec(0x6A31, 0x8F)
    want = ffi.buffer(header_of(sound))[:]
    for count in (1, 2):
        for places in combinations(range(10), count):
            for _ in range(20):
                hurt = sound
                for place in places:
                    hurt ^= rnd.randrange(1, 16) << 4 * place
                header = header_of(hurt)
                assert lib.fs_aos_fhec_correct(header) == count
                assert ffi.buffer(header)[:] == want


def test_header_check_refuses_or_finds_a_codeword() -> None:
    """With three wrong symbols it says so and leaves the header, or ends at another codeword."""
    rnd, refused = random.Random(3), 0
    for _ in range(3000):
        word = 0x6A31 << 24 | 0x8F << 16 | lib.fs_aos_fhec(0x6A31, 0x8F)
        for place in rnd.sample(range(10), 3):
            word ^= rnd.randrange(1, 16) << 4 * place
        header = header_of(word)
        before = ffi.buffer(header)[:]
        code = lib.fs_aos_fhec_correct(header)
        after = ffi.buffer(header)[:]
        if code < 0:
            refused += 1
            assert (code, after) == (lib.FS_E_CHECK, before)
        else:
            first, signalling = int.from_bytes(after[:2], "big"), after[5]
            assert lib.fs_aos_fhec(first, signalling) == int.from_bytes(after[6:8], "big")
    assert refused > 1000


def test_hurt_header_without_frame_check_is_corrected() -> None:
    """Where frames have no CRC, the header's own check keeps a frame on its channel."""
    options: dict[str, Any] = {"fhec": True, "fecf": None}
    sent, made = stream([(3, 500), (3, 300)], 128, **options)
    hurt = bytearray(b"".join(made))
    for i in range(len(made)):
        hurt[128 * i + i % 2] ^= 0x07
    receiver = FrameReceiver(Frames("aos", 128, SCID, **options))
    assert by_channel(receiver.frames(hurt)) == sent
    assert losses(receiver) == {"corrected_headers": len(made)}
    hurt[0:2] = b"\x93\x5e"
    receiver = FrameReceiver(Frames("aos", 128, SCID, **options))
    receiver.frames(hurt)
    assert receiver.counters["bad_fhec"] == 1
    assert balanced(receiver)
    with pytest.raises(ChecksumError, match="header check"):
        receiver.frame(bytes(hurt[:128]))


@settings(deadline=None, max_examples=60)
@given(
    plans,
    st.sampled_from([32, 64, 220, 1115]),
    st.integers(0, 8),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "crc16"]),
    st.booleans(),
)
def test_packets_come_through_every_kind_of_frame(
    plan: list[tuple[int, int]],
    nbytes: int,
    insert: int,
    fhec: bool,
    ocf: bool,
    fecf: str | None,
    cycle: bool,
) -> None:
    """With any options all packets arrive unchanged and in order, one by one and in a batch."""
    options: dict[str, Any] = {"insert_nbytes": insert, "fhec": fhec, "ocf": ocf, "fecf": fecf}
    sent, made = stream(plan, nbytes, cycle=cycle, **options)
    receiver = FrameReceiver(Frames("aos", nbytes, SCID, **options))
    found = receiver.frames(b"".join(made), infos=True)
    assert by_channel(found) == sent
    assert losses(receiver) == {}
    assert balanced(receiver)
    assert found.frames is not None
    assert len(found.frames) == len(made)
    assert int(found.frames["rows"].sum()) == len(found.rows)
    single = FrameReceiver(Frames("aos", nbytes, SCID, **options))
    each = [one for frame in made for one in single.frame(frame)]
    assert each == list(zip(found.rows["vcid"].tolist(), found.each(), strict=True))
    assert (single.counters, single.octets) == (receiver.counters, receiver.octets)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(plans, st.randoms(use_true_random=False))
def test_lost_and_hurt_frames_never_make_packets(
    plan: list[tuple[int, int]], rnd: random.Random
) -> None:
    """Whatever is lost, hurt or repeated, only packets sent come out, and octets add up."""
    sent, made = stream(plan, 64)
    for _ in range(rnd.randint(1, 5)):
        at, kind = rnd.randrange(len(made)), rnd.randrange(3)
        if kind == 0 and len(made) > 1:
            del made[at]
        elif kind == 1:
            hurt = bytearray(made[at])
            hurt[rnd.randrange(64)] ^= 1 << rnd.randrange(8)
            made[at] = bytes(hurt)
        else:
            made.insert(at, made[at])
    receiver = FrameReceiver(Frames("aos", 64, SCID))
    found = by_channel(receiver.frames(b"".join(made)))
    once = {channel: list(dict.fromkeys(packets)) for channel, packets in found.items()}
    for channel, packets in once.items():
        assert in_order(packets, sent[channel])
    assert balanced(receiver)


def test_rows_tell_what_is_missing_in_front() -> None:
    """Behind a gap the first packet says how many frames are missing; with none, nothing is."""
    _, made = stream([(2, 100)] * 20, 128)
    receiver = FrameReceiver(Frames("aos", 128, SCID))
    found = receiver.frames(b"".join(made[:4] + made[7:]), infos=True)
    rows = found.rows
    assert rows["since"][0] == frames.SINCE_START
    (gap,) = np.flatnonzero(rows["lost"])
    assert rows["lost"][gap] == 3
    assert rows["since"][gap] == frames.SINCE_FRAMES | frames.SINCE_PIECE
    assert set(np.delete(rows["since"], [0, gap]).tolist()) == {0}
    assert rows["first_frame"][gap] == 4
    assert rows["first_frame"][1] == rows["frame"][0]
    assert found.frames is not None
    assert found.frames["lost"].tolist() == [0] * 4 + [3] + [0] * (len(made) - 8)
    assert receiver.channels[2]["vc_lost_frames"] == receiver.counters["vc_lost_frames"] == 3


def test_counts_wrap_and_steps_back_are_no_loss() -> None:
    """A count wraps at 24 bits, or with the cycle at 28; a frame sent again or late is no loss."""
    field = aos_frame.POINTER_IDLE.to_bytes(2, "big") + bytes(20)
    for top, cycles in ((0xFFFFFF, (None, None)), (0xFFFFFF, (15, 0)), (0xFFFFFF, (3, 4))):
        receiver = FrameReceiver(Frames("aos", 30, SCID))
        for count, cycle in ((top - 1, cycles[0]), (top, cycles[0]), (0, cycles[1])):
            receiver.frame(aos_frame.pack(SCID, 0, count, field, cycle=cycle))
        assert losses(receiver) == {}
    receiver.frame(aos_frame.pack(SCID, 0, 5, field, cycle=4))
    assert losses(receiver) == {"vc_gaps": 1, "vc_lost_frames": 4}
    receiver.frame(aos_frame.pack(SCID, 0, 5, field, cycle=4, replay=True))
    receiver.frame(aos_frame.pack(SCID, 0, 3, field, cycle=4))
    assert receiver.counters["back_frames"] == 2
    receiver.frame(aos_frame.pack(SCID, 0, 0, field, cycle=0))
    assert receiver.counters["restarts_seen"] == 1
    assert receiver.counters["vc_lost_frames"] == 4


def test_bitstream_tells_its_bits() -> None:
    """A bitstream zone gives its valid bits and says how many; the special values are 14 bits."""
    encoder = aos_frame.Encoder(Frames("aos", 64, SCID))
    receiver = FrameReceiver(Frames("aos", 64, SCID, services={9: "bitstream"}))
    room = encoder.data_nbytes
    made = [encoder.bits_frame(9, b"\xc5" * room), encoder.bits_frame(9, b"\xc5\xc5", 11)]
    made += [encoder.bits_frame(9, b""), encoder.bits_frame(9, b"\xff", 1, replay=True)]
    assert made[0][6:8].hex() == "3fff"
    assert made[1][6:8].hex() == "000a"
    assert made[2][6:8].hex() == "3ffe"
    found = receiver.frames(b"".join(made))
    assert found.rows["info"].tolist() == [8 * room, 11, 1]
    assert found.rows["nbytes"].tolist() == [room, 2, 1]
    assert {frames.KINDS[kind] for kind in found.rows["kind"]} == {"bitstream"}
    assert found.rows["since"].tolist() == [frames.SINCE_START, 0, frames.SINCE_REPLAY]
    assert receiver.counters["idle_frames"] == 1
    broken = aos_frame.pack(SCID, 9, 4, (8 * room).to_bytes(2, "big") + bytes(room))
    assert receiver.frame(broken) == []
    assert losses(receiver) == {"broken_frames": 1}
    assert balanced(receiver)


def test_opaque_fields_and_idle_channel() -> None:
    """A data field comes out as it is; channel 63 is idle; pointers of packets have 11 bits."""
    encoder = aos_frame.Encoder(Frames("aos", 64, SCID, insert_nbytes=4))
    receiver = FrameReceiver(Frames("aos", 64, SCID, insert_nbytes=4, services={9: "opaque"}))
    field = random.Random(1).randbytes(encoder.field_nbytes)
    zone = b"time"
    assert receiver.frame(encoder.opaque_frame(9, field, insert=zone)) == [(9, field)]
    assert receiver.frame(encoder.idle_frame(insert=zone)) == []
    spare = (0xF800 | aos_frame.POINTER_IDLE).to_bytes(2, "big") + bytes(encoder.data_nbytes)
    assert receiver.frame(aos_frame.pack(SCID, 1, 0, spare, insert=zone)) == []
    assert receiver.counters["idle_frames"] == 2
    assert losses(receiver) == {}


def test_channels_beyond_the_slots_are_refused_and_counted() -> None:
    """With two slots a third channel finds none; its frames and octets are counted."""
    sent, made = stream([(vcid, 300) for vcid in (1, 2, 3)] * 3, 128)
    receiver = FrameReceiver(Frames("aos", 128, SCID, channels=2))
    found = by_channel(receiver.frames(b"".join(made), infos=False))
    taken = list(found)
    assert len(taken) == 2
    assert all(found[channel] == sent[channel] for channel in taken)
    assert receiver.counters["no_slot_frames"] == receiver.channels[3]["frames"]
    assert balanced(receiver)


def test_idle_packets_are_kept_if_wanted() -> None:
    """With keep_idle idle packets come out as rows of their kind, and nothing else changes."""
    _, made = stream([(1, 100), (1, 90)], 256)
    plain, keeping = (
        FrameReceiver(Frames("aos", 256, SCID)),
        FrameReceiver(Frames("aos", 256, SCID, keep_idle=True)),
    )
    few, all_of = plain.frames(b"".join(made)), keeping.frames(b"".join(made))
    kinds = [frames.KINDS[kind] for kind in all_of.rows["kind"]]
    assert kinds == ["packet", "packet", "idle"]
    assert list(all_of.each())[:2] == list(few.each())
    assert plain.counters == keeping.counters
    assert plain.octets == keeping.octets


def test_frames_of_others_are_counted_apart() -> None:
    """Another spacecraft, version, check or length: each has its counter or its error."""
    receiver = FrameReceiver(Frames("aos", 64, SCID))
    idle = aos_frame.Encoder(Frames("aos", 64, SCID)).idle_frame()
    other = aos_frame.Encoder(Frames("aos", 64, SCID + 1)).idle_frame()
    version = bytearray(idle)
    version[0] ^= 0x80
    version[-2:] = crc16(version[:-2]).to_bytes(2, "big")
    hurt = idle[:-1] + bytes((idle[-1] ^ 1,))
    found = receiver.frames(idle + other + version + hurt, infos=True)
    assert found.frames is not None
    assert [frames.VERDICTS[v] for v in found.frames["verdict"]] == [
        "taken", "foreign", "bad_version", "bad_fecf",
    ]  # fmt: skip
    assert losses(receiver) == {"bad_fecf": 1, "bad_version": 1, "foreign_frames": 1}
    assert balanced(receiver)
    with pytest.raises(ChecksumError, match="frame check"):
        receiver.frame(hurt)
    with pytest.raises(SyncError, match="must be 64"):
        receiver.frame(idle[:-1])
    with pytest.raises(SyncError, match="30 octets at the end"):
        receiver.frames(idle + bytes(30))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scid": 1024},
        {"vcid": 64},
        {"count": 1 << 24},
        {"count": -1},
        {"cycle": 16},
        {"ocf": b"abc"},
        {"field": b""},
        {"field": bytes(65536)},
    ],
)
def test_values_must_fit(wrong: dict[str, Any]) -> None:
    """What does not fit its field is refused; nothing leaks into its neighbour."""
    values: dict[str, Any] = {"scid": 1, "vcid": 1, "count": 1, "field": b"x"}
    with pytest.raises(FieldRangeError, match="AOS frame"):
        aos_frame.pack(**values | wrong)


def test_encoder_and_receiver_refuse_what_cannot_be() -> None:
    """Channels, fields and settings that do not go together are named."""
    encoder = aos_frame.Encoder(Frames("aos", 64, SCID, ocf=True))
    for wrong in (
        lambda: aos_frame.Encoder(Frames("aos", 64, 1024)),
        lambda: aos_frame.Encoder(Frames("aos", 10, SCID)),
        lambda: encoder.add(63, packet(1, 20)),
        lambda: encoder.idle_frame(),
        lambda: encoder.opaque_frame(1, b"short", bytes(4)),
        lambda: encoder.bits_frame(1, b"x", 9, bytes(4)),
        lambda: FrameReceiver(Frames("aos", 64, 1024)),
        lambda: FrameReceiver(Frames("aos", 10, SCID)),
        lambda: FrameReceiver(Frames("aos", 65537, SCID)),
    ):
        with pytest.raises(FieldRangeError, match="AOS"):
            wrong()


def test_frames_are_read_inside_their_buffers(guard: Guard, tier: str) -> None:
    """Frames flush against forbidden pages, sound and random, are taken without touching them."""
    rnd = random.Random(7)
    for options in ({}, {"fhec": True, "ocf": True, "insert_nbytes": 3, "fecf": None}):
        sent, made = stream([(1, 90), (1, 300), (2, 40)], 64, **options)
        got = []
        receiver = FrameReceiver(Frames("aos", 64, SCID, **options))
        fuzzed = FrameReceiver(Frames("aos", 64, **options))
        out = guard.place(bytes(lib.fs_frame_octets_room(receiver._state)), at_end=True)
        receiver._sink.octets = out
        receiver._sink.noctets = lib.fs_frame_octets_room(receiver._state)
        for frame in made:
            receiver._sink.rows_used = receiver._sink.octets_used = 0
            place = guard.place(frame, at_end=True)
            assert lib.fs_frame_take(receiver._state, place, 64, receiver._sink) == 0
            got += [bytes(ffi.buffer(out, receiver._sink.octets_used))]
            noise = guard.place(bytes((0x40 | rnd.randrange(64),)) + rnd.randbytes(63), at_end=True)
            fuzzed._sink.rows_used = fuzzed._sink.octets_used = 0
            assert lib.fs_frame_take(fuzzed._state, noise, 64, fuzzed._sink) >= 0
        assert b"".join(got) == sent[1, 0][0] + sent[1, 0][1] + sent[2, 0][0]
        assert balanced(fuzzed)
