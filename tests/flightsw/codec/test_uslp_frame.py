"""USLP frames: octets of the header, every construction rule, MAPs, counts of any width."""

import random
from typing import Any

import numpy as np
import pytest
from framing import balanced, by_channel, in_order, losses, packet, with_fecf
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError
from flightsw.codec.link import units as frames
from flightsw.codec.link import uslp_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.uslp_frame import Protocol, Rule
from flightsw.codec.native import ffi, lib

SCID = 0xB0A8

plans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(7, 700)), min_size=1, max_size=20
)


def stream(
    plan: list[tuple[int, int, int]], nbytes: int, **options: Any
) -> tuple[dict[tuple[int, int], list[bytes]], list[bytes]]:
    """Return packets by channel, and their frames of one length, everything flushed."""
    width = options.pop("count_nbytes", 2)
    encoder = uslp_frame.Encoder(Frames("uslp", nbytes, SCID, **options), count_nbytes=width)
    extra: dict[str, Any] = {"insert": b"\xa5" * options.get("insert_nbytes", 0)}
    extra["ocf"] = bytes(4 * options.get("ocf", False))
    sent: dict[tuple[int, int], list[bytes]] = {}
    out: list[bytes] = []
    for i, (vcid, map_id, size) in enumerate(plan):
        sent.setdefault((vcid, map_id), []).append(packet(i, size))
        encoder.add(vcid, packet(i, size), map_id)
        while frame := encoder.next_frame(vcid, map_id, **extra):
            out.append(frame)
    for vcid, map_id in sent:
        while frame := encoder.next_frame(vcid, map_id, flush=True, **extra):
            out.append(frame)
    return sent, out


@pytest.mark.parametrize(
    ("octets", "rule", "pointer"),
    [
        ("C00AB820001C8101000000" + "AA" * 16 + "F529", 0, 0),
        ("C00AB820001A8101E0" + "AA" * 16 + "F548", 7, None),
    ],
)
def test_published_frames(tier: str, octets: str, rule: int, pointer: int | None) -> None:
    """Published frames (of the tests of github.com/yamcs/yamcs), both ways."""
    frame = bytes.fromhex(octets)
    made = uslp_frame.pack(
        0xAB,
        1,
        0,
        b"\xaa" * 16,
        rule=rule,
        pointer=pointer,
        count=1,
        count_nbytes=1,
        destination=True,
        bypass=True,
    )
    assert made == frame
    receiver = FrameReceiver(Frames("uslp", len(frame), 0xAB))
    found = receiver.frames(frame, infos=True).frames
    assert found is not None
    (info,) = found
    assert (info["scid"], info["vcid"], info["map"], info["count"]) == (0xAB, 1, 0, 1)
    assert (info["rule"], info["protocol"], info["data_nbytes"]) == (rule, 0, 16)
    assert info["data_at"] == len(frame) - 18
    assert info["flags"] == lib.FS_FRAME_BYPASS | lib.FS_FRAME_DESTINATION
    assert pointer is None or info["pointer"] == pointer
    assert receiver.counters["bad_packets"] == 1  # AA.. is not the begin of a packet
    assert balanced(receiver)


def test_header_of_a_frame() -> None:
    """Each header field stands where the standard puts it, and the length is the total less one."""
    frame = uslp_frame.pack(
        0x1234,
        0x2A,
        9,
        b"data",
        rule=Rule.PACKETS,
        protocol=Protocol.PACKETS,
        pointer=0xFFFF,
        count=0xABCDEF,
        count_nbytes=3,
        control=True,
        insert=b"zone",
        ocf=b"ocf!",
        fecf="crc32",
    )
    assert frame[:10].hex() == "c1234552001c" + "4b" + "abcdef"
    assert frame[10:25] == b"zone\x00\xff\xffdataocf!"
    assert len(frame) == 0x1C + 1
    assert lib.fs_crc32_uslp(frame, len(frame), 0) == 0
    short = uslp_frame.pack(0x1234, 0x2A, 9, b"data", truncated=True, fecf=None)
    assert short.hex() == "c1234553" + "e0" + b"data".hex()


@settings(deadline=None, max_examples=60)
@given(
    plans,
    st.sampled_from([40, 220, 1115, 65536]),
    st.integers(0, 7),
    st.integers(0, 8),
    st.booleans(),
    st.sampled_from([None, "crc16", "crc32"]),
)
def test_packets_come_through_every_kind_of_frame(
    plan: list[tuple[int, int, int]],
    nbytes: int,
    width: int,
    insert: int,
    ocf: bool,
    fecf: str | None,
) -> None:
    """With any options all packets of all MAPs arrive, one frame at a time and in a batch."""
    options: dict[str, Any] = {"insert_nbytes": insert, "ocf": ocf, "fecf": fecf}
    sent, made = stream(plan, nbytes, count_nbytes=width, **options)
    receiver = FrameReceiver(Frames("uslp", nbytes, SCID, channels=9, **options))
    found = receiver.frames(b"".join(made), infos=True)
    assert by_channel(found) == sent
    assert losses(receiver) == {}
    assert balanced(receiver)
    single = FrameReceiver(Frames("uslp", nbytes, SCID, channels=9, **options))
    each = [one for frame in made for one in single.frame(frame)]
    assert each == list(zip(found.rows["vcid"].tolist(), found.each(), strict=True))
    assert (single.counters, single.octets) == (receiver.counters, receiver.octets)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(plans, st.randoms(use_true_random=False))
def test_lost_and_hurt_frames_never_make_packets(
    plan: list[tuple[int, int, int]], rnd: random.Random
) -> None:
    """Whatever is lost, hurt or repeated, only packets sent come out, and octets add up."""
    sent, made = stream(plan, 64, fecf="crc32")
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
    receiver = FrameReceiver(Frames("uslp", 64, SCID, fecf="crc32", channels=9))
    found = by_channel(receiver.frames(b"".join(made)))
    for channel, packets in found.items():
        assert in_order(list(dict.fromkeys(packets)), sent[channel])
    assert balanced(receiver)


units = st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=900)), max_size=12)


@settings(deadline=None, max_examples=50)
@given(units, st.booleans(), st.sampled_from([24, 64, 1000]))
def test_units_come_through_their_frames(
    plan: list[tuple[int, bytes]], variable: bool, nbytes: int
) -> None:
    """Units of any length arrive as they were, by last valid octet or by segments."""
    encoder = uslp_frame.Encoder(Frames("uslp", nbytes, SCID, variable=variable))
    made = [frame for vcid, unit in plan for frame in encoder.unit_frames(vcid, unit, map_id=vcid)]
    receiver = FrameReceiver(Frames("uslp", nbytes, SCID, variable=variable))
    found = receiver.frames(b"".join(made))
    assert list(found.each()) == [unit for _, unit in plan]
    assert found.rows["map"].tolist() == [vcid for vcid, _ in plan]
    assert set(found.rows["kind"].tolist()) <= {frames.KINDS.index("sdu")}
    assert set(found.rows["info"].tolist()) <= {Protocol.SDU}
    assert losses(receiver) == {}
    assert balanced(receiver)


def test_packets_in_segments_must_be_as_long_as_they_say() -> None:
    """A packet put together of segments comes out as a packet, and not if its length is wrong."""
    encoder = uslp_frame.Encoder(Frames("uslp", 64, SCID, variable=True))
    receiver = FrameReceiver(Frames("uslp", 64, SCID, variable=True))
    whole = packet(1, 200)
    made = encoder.unit_frames(3, whole, protocol=Protocol.PACKETS)
    made += encoder.unit_frames(3, whole + b"x", protocol=Protocol.PACKETS)
    found = receiver.frames(b"".join(made))
    assert list(found.each()) == [whole]
    assert frames.KINDS[found.rows["kind"][0]] == "packet"
    assert losses(receiver) == {"bad_packets": 1, "packets_lost_pieces": 1}
    assert balanced(receiver)


def test_frames_of_varying_length_stand_one_behind_the_other() -> None:
    """Whole packets, octet streams and truncated frames are told apart by their own lengths."""
    encoder = uslp_frame.Encoder(Frames("uslp", 4096, SCID, variable=True))
    receiver = FrameReceiver(Frames("uslp", 4096, SCID, variable=True, truncated_nbytes=20))
    some = [packet(i, 20 + 31 * i) for i in range(5)]
    made = encoder.packets_frame(1, some) + encoder.octets_frame(2, b"stream")
    made += uslp_frame.pack(SCID, 1, 0, packet(9, 13), truncated=True)
    made += encoder.packets_frame(1, some[:1], bypass=True) + encoder.idle_frame()
    found = receiver.frames(made, infos=True)
    assert list(found.each()) == [*some, b"stream", packet(9, 13), some[0]]
    assert [frames.KINDS[kind] for kind in found.rows["kind"]] == (
        ["packet"] * 5 + ["octets"] + ["packet"] * 2
    )
    assert receiver.counters["truncated_frames"] == receiver.counters["idle_frames"] == 1
    assert losses(receiver) == {}
    assert balanced(receiver)
    assert found.frames is not None
    assert len(found.frames) == 5
    with pytest.raises(SyncError, match="octets at the end"):
        receiver.frames(made[:-1])
    receiver = FrameReceiver(Frames("uslp", 4096, SCID, variable=True))
    assert receiver.frame(made[: len(made) - 4096] + b"\x55" * 30)[:1] == [(1, some[0])]
    assert balanced(receiver)


def test_truncated_frames_are_refused_unless_expected() -> None:
    """Without a length for them, or with another construction rule, they are no frames."""
    short = uslp_frame.pack(SCID, 1, 0, packet(9, 13), truncated=True)
    receiver = FrameReceiver(Frames("uslp", len(short), SCID))
    with pytest.raises(SyncError):
        receiver.frame(short)
    assert losses(receiver) == {"bad_length": 1}
    receiver = FrameReceiver(Frames("uslp", 100, SCID, truncated_nbytes=len(short)))
    other = with_fecf(short[:4] + b"\xc0" + short[5:-2])
    assert receiver.frames(short + other).rows["nbytes"].tolist() == [13]
    assert losses(receiver) == {"broken_frames": 1}
    assert balanced(receiver)


@pytest.mark.parametrize("count_nbytes", range(8))
def test_counts_of_every_width(count_nbytes: int) -> None:
    """A gap is found modulo the width of the count; without a count there is none to find."""
    top = (1 << 8 * count_nbytes) - 1
    receiver = FrameReceiver(Frames("uslp", 40, SCID))

    def take(count: int, bypass: bool = False) -> None:
        fill = bytes(40 - 7 - count_nbytes - 3)
        receiver.frame(
            uslp_frame.pack(
                SCID, 4, 0, fill, rule=Rule.WHOLE, protocol=Protocol.IDLE,
                count=count & top, count_nbytes=count_nbytes, bypass=bypass,
            )
        )  # fmt: skip

    for count in (top - 1, top, 0, 1, 2):
        take(count)
    take(7, bypass=True)
    take(8, bypass=True)
    assert losses(receiver) == {}
    take(6)
    assert receiver.counters["vc_lost_frames"] == (3 if count_nbytes else 0)
    take(11, bypass=True)
    assert receiver.counters["vc_lost_frames"] == (5 if count_nbytes else 0)
    before = receiver.counters
    take(6)
    assert receiver.counters["repeated_frames"] == (count_nbytes > 0)
    take(5)
    after = receiver.counters
    if count_nbytes == 1:  # cannot be told from a loss
        assert after["vc_lost_frames"] - before["vc_lost_frames"] == 254
    else:
        assert after["back_frames"] == (count_nbytes > 1)
        assert after["vc_lost_frames"] == before["vc_lost_frames"]
    take(0)
    assert receiver.counters["restarts_seen"] == (count_nbytes > 1)


def test_a_gap_reaches_all_maps_of_its_channel_and_no_other() -> None:
    """A lost frame may have been of any MAP: each of them loses its packet, other channels none."""
    encoder = uslp_frame.Encoder(Frames("uslp", 64, SCID))
    made: dict[tuple[int, int], list[bytes]] = {}
    for vcid, map_id in ((1, 0), (1, 5), (2, 0)):
        encoder.add(vcid, packet(vcid, 150), map_id)
        encoder.add(vcid, packet(9, 150), map_id)
    order = []
    for _ in range(10):
        for vcid, map_id in ((1, 0), (1, 5), (2, 0)):
            if frame := encoder.next_frame(vcid, map_id, flush=True):
                order.append((vcid, map_id))
                made.setdefault((vcid, map_id), []).append(frame)
    receiver = FrameReceiver(Frames("uslp", 64, SCID))
    air, lost = [], False
    for channel in order:
        frame = made[channel].pop(0)
        if channel == (1, 0) and len(air) > 2 and not lost:
            lost = True
        else:
            air.append(frame)
    found = receiver.frames(b"".join(air))
    assert {key: len(value) for key, value in by_channel(found).items()} == {
        (1, 0): 1, (1, 5): 1, (2, 0): 2,
    }  # fmt: skip
    first_of_5 = found.rows[(found.rows["vcid"] == 1) & (found.rows["map"] == 5)][0]
    assert first_of_5["lost"] == 1
    assert first_of_5["since"] & frames.SINCE_PIECE
    assert receiver.counters["packets_lost_pieces"] == 2


def test_control_commands_idle_and_opaque_frames() -> None:
    """Control commands come out as such, channel 63 and protocol 31 are idle, fields stay."""
    receiver = FrameReceiver(Frames("uslp", 64, SCID, variable=True, services={8: "opaque"}))
    made = uslp_frame.pack(SCID, 1, 0, b"\x82\x00\x07", protocol=Protocol.COP_1, control=True)
    made += uslp_frame.pack(SCID, 63, 0, b"idle")
    made += uslp_frame.pack(SCID, 1, 0, b"idle", protocol=Protocol.IDLE)
    made += uslp_frame.pack(SCID, 8, 2, b"opaque", rule=Rule.OCTETS, protocol=Protocol.OCTETS)
    found = receiver.frames(made)
    assert list(found.each()) == [b"\x82\x00\x07", b"opaque"]
    assert [frames.KINDS[kind] for kind in found.rows["kind"]] == ["control", "opaque"]
    assert found.rows["info"].tolist() == [Protocol.COP_1, Protocol.OCTETS]
    assert receiver.counters["idle_frames"] == 2
    assert losses(receiver) == {}


def test_units_longer_than_a_slot_are_counted() -> None:
    """A unit of segments without end is dropped when its slot is full; the next one is whole."""
    receiver = FrameReceiver(Frames("uslp", 30_000, SCID, variable=True))
    made = []
    for i, rule in enumerate((Rule.FIRST, Rule.CONTINUING, Rule.CONTINUING, Rule.LAST, Rule.WHOLE)):
        made.append(
            uslp_frame.pack(
                SCID, 1, 0, bytes(29_000), rule=rule, protocol=Protocol.SDU, count=i, count_nbytes=2
            )
        )
    found = receiver.frames(b"".join(made))
    assert found.rows["nbytes"].tolist() == [29_000]
    assert found.rows["since"][0] & frames.SINCE_BROKEN
    assert receiver.counters["oversize_units"] == 1
    assert balanced(receiver)


@pytest.mark.parametrize("pointer", [16, 17, 0xFFFE])
def test_pointers_have_sixteen_bits(pointer: int) -> None:
    """A pointer beyond its zone is an error, 0x7FE and 0x7FF are places, only 0xFFFF is none."""
    receiver = FrameReceiver(Frames("uslp", 29, SCID))
    zone = bytes(16)
    frame = uslp_frame.pack(
        SCID, 1, 0, zone, rule=Rule.PACKETS, pointer=pointer, count=0, count_nbytes=1
    )
    assert receiver.frame(frame) == []
    assert losses(receiver) == {"pointer_errors": 1, "unaligned_octets": 16}
    frame = uslp_frame.pack(
        SCID, 1, 0, zone, rule=Rule.SDU_BEGINS, pointer=pointer, count=1, count_nbytes=1
    )
    assert receiver.frame(frame) == []
    assert receiver.counters["broken_frames"] == 1
    assert balanced(receiver)
    for start in (0x7FE, 0x7FF):
        data = bytes(start) + packet(1, 100)
        frame = uslp_frame.pack(SCID, 1, 0, data, rule=Rule.PACKETS, pointer=start)
        assert FrameReceiver(Frames("uslp", len(frame), SCID)).frame(frame) == [(1, packet(1, 100))]


def test_frames_of_others_are_counted_apart() -> None:
    """Another spacecraft, version, check or length: each has its counter or its error."""
    receiver = FrameReceiver(Frames("uslp", 64, SCID))
    idle = uslp_frame.Encoder(Frames("uslp", 64, SCID)).idle_frame()
    other = uslp_frame.Encoder(Frames("uslp", 64, SCID ^ 0x1000)).idle_frame()
    version = with_fecf(b"\x8b" + idle[1:-2])
    length = with_fecf(idle[:5] + b"\x30" + idle[6:-2])
    hurt = idle[:-1] + bytes((idle[-1] ^ 1,))
    found = receiver.frames(idle + other + version + length + hurt, infos=True).frames
    assert found is not None
    assert [frames.VERDICTS[v] for v in found["verdict"]] == [
        "taken", "foreign", "bad_version", "bad_length", "bad_fecf",
    ]  # fmt: skip
    assert balanced(receiver)
    with pytest.raises(ChecksumError, match="frame check"):
        receiver.frame(hurt)
    with pytest.raises(SyncError, match="must be 64"):
        receiver.frame(idle[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"scid": 65536},
        {"vcid": 64},
        {"map_id": 16},
        {"rule": 8},
        {"protocol": 32},
        {"count": 1},
        {"count": 256, "count_nbytes": 1},
        {"count": -1, "count_nbytes": 1},
        {"count_nbytes": 8},
        {"pointer": 0},
        {"rule": 0},
        {"rule": 0, "pointer": 65536},
        {"ocf": b"abc"},
        {"fecf": 3},
        {"data": b""},
        {"data": bytes(65530)},
        {"truncated": True, "bypass": True},
        {"truncated": True, "rule": 3},
    ],
)
def test_values_must_fit(wrong: dict[str, Any]) -> None:
    """What does not fit its field, or does not go together, is refused; nothing leaks."""
    values: dict[str, Any] = {"scid": 1, "vcid": 1, "map_id": 1, "data": b"x"}
    with pytest.raises(FieldRangeError, match="USLP"):
        uslp_frame.pack(**values | wrong)


def test_longest_frame() -> None:
    """A frame of exactly 65,536 octets is legal, both ways."""
    frame = uslp_frame.pack(1, 1, 1, bytes(65_536 - 10), protocol=Protocol.SDU)
    assert len(frame) == 65_536
    assert frame[4:6] == b"\xff\xff"
    receiver = FrameReceiver(Frames("uslp", 65_536, 1))
    assert receiver.frame(frame) == [(1, bytes(65_526))]


def test_encoder_and_receiver_refuse_what_cannot_be() -> None:
    """Channels, modes and settings that do not go together are named."""
    fixed, varying = (
        uslp_frame.Encoder(Frames("uslp", 64, 1)),
        uslp_frame.Encoder(Frames("uslp", 64, 1, variable=True)),
    )
    for wrong in (
        lambda: uslp_frame.Encoder(Frames("uslp", 64, 65536)),
        lambda: uslp_frame.Encoder(Frames("uslp", 14, 1)),
        lambda: uslp_frame.Encoder(Frames("uslp", 64, 1, variable=True, insert_nbytes=3)),
        lambda: fixed.add(63, packet(1, 20)),
        lambda: fixed.add(1, packet(1, 20), 16),
        lambda: fixed.packets_frame(1, [packet(1, 20)]),
        lambda: fixed.idle_frame(b"ocf!"),
        lambda: varying.next_frame(1),
        lambda: varying.packets_frame(1, [packet(1, 200)]),
        lambda: varying.unit_frames(1, b""),
        lambda: FrameReceiver(Frames("uslp", 64, 65536)),
        lambda: FrameReceiver(Frames("uslp", 10, 1)),
        lambda: FrameReceiver(Frames("uslp", 64, 1, fecf="crc8")),
        lambda: FrameReceiver(Frames("uslp", 64, 1, truncated_nbytes=65)),
        lambda: FrameReceiver(Frames("uslp", 64, 1, services={1: "bitstream"})),
    ):
        with pytest.raises(FieldRangeError, match="USLP"):
            wrong()


def test_frames_are_read_inside_their_buffers(guard: Guard, tier: str) -> None:
    """Frames of any length flush against forbidden pages, sound and random, are taken so."""
    rnd = random.Random(7)
    options: dict[str, Any] = {"variable": True, "truncated_nbytes": 12, "fecf": None}
    receiver = FrameReceiver(Frames("uslp", 64, **options))
    for i in range(150):
        head = (12 << 28 | rnd.randrange(1 << 28)).to_bytes(4, "big")
        nbytes = rnd.randrange(0, 64)
        frame = (head + bytes((0, rnd.randrange(64))) + rnd.randbytes(64))[:nbytes]
        place = guard.place(frame, at_end=bool(i % 2))
        receiver._sink.rows_used = receiver._sink.octets_used = 0
        assert lib.fs_frame_take(receiver._state, place, nbytes, receiver._sink) >= 0
    assert balanced(receiver)
    assert receiver.counters["frames"] > 20
    consumed = ffi.new("uint64_t *")
    noise = rnd.randbytes(500)
    for place in guard.both(noise):
        receiver._sink.rows_used = receiver._sink.octets_used = 0
        took = lib.fs_frame_take_batch(receiver._state, place, 500, 0, consumed, receiver._sink)
        assert took >= 0
        assert consumed[0] <= 500


def test_rows_are_what_c_writes() -> None:
    """The tables of Python have the shape and the places of the structures of C."""
    for dtype, name in ((frames.UNIT_DTYPE, "fs_frame_row"), (frames.FRAME_DTYPE, "fs_frame_info")):
        assert ffi.sizeof(name) == dtype.itemsize
        assert dtype.names is not None
        for field in dtype.names:
            assert dtype.fields is not None
            assert dtype.fields[field][1] == ffi.offsetof(name, field)
            at = np.dtype(dtype.fields[field][0])
            assert at.itemsize == ffi.sizeof(dict(ffi.typeof(name).fields)[field].type)
