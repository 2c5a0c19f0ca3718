"""Counts of frames of all three kinds: what came twice, and what must not hide a loss."""

from collections.abc import Callable
from typing import Any

import pytest
from framing import NASA_AOS, OCF, SCID, balanced, losses, packet
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.link import aos_frame, tm_frame, uslp_frame
from flightsw.codec.link.chain import Chain
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.uslp_frame import Protocol, Rule
from flightsw.codec.native import lib

#: Published frames: the tests of SpacePyLibrary and of Yamcs have them.
TM = bytes.fromhex(
    "2F61000018000844C000000F000101" + "00" * 13 + "07FFC0000432" + "00" * 1073 + "C50801000000B2FC"
)
USLP = bytes.fromhex("C00AB820001C8101000000" + "AA" * 16 + "F529")


def tm_frames() -> list[bytes]:
    """Return frames of packets that go on across them."""
    encoder, made = tm_frame.Encoder(Frames("tm", 64, SCID, ocf=True)), []
    for i in range(30):
        encoder.add(i % 2, packet(i, 20 + 37 * i % 150))
        while frame := encoder.next_frame(i % 2, OCF):
            made.append(frame)
    return made


def aos_frames() -> list[bytes]:
    """The same in AOS frames."""
    encoder, made = aos_frame.Encoder(Frames("aos", 64, SCID)), []
    for i in range(30):
        encoder.add(i % 2, packet(i, 20 + 37 * i % 150))
        while frame := encoder.next_frame(i % 2):
            made.append(frame)
    return made


def uslp_frames(count_nbytes: int) -> list[bytes]:
    """The same in USLP frames."""
    encoder, made = uslp_frame.Encoder(Frames("uslp", 64, SCID), count_nbytes=count_nbytes), []
    for i in range(30):
        encoder.add(i % 2, packet(i, 20 + 37 * i % 150))
        while frame := encoder.next_frame(i % 2):
            made.append(frame)
    return made


KINDS: dict[str, tuple[Callable[[], FrameReceiver], list[bytes]]] = {
    "tm": (lambda: tm_frame.Receiver(Frames("tm", 64, SCID, ocf=True)), tm_frames()),
    "aos": (lambda: FrameReceiver(Frames("aos", 64, SCID)), aos_frames()),
    "uslp 1": (lambda: FrameReceiver(Frames("uslp", 64, SCID)), uslp_frames(1)),
    "uslp 4": (lambda: FrameReceiver(Frames("uslp", 64, SCID)), uslp_frames(4)),
}


@pytest.mark.parametrize(
    ("receiver", "frame"),
    [
        (lambda: tm_frame.Receiver(Frames("tm", 1115, 758, ocf=True)), TM),
        (lambda: FrameReceiver(Frames("aos", 128, 0xAB)), NASA_AOS),
        (lambda: FrameReceiver(Frames("uslp", 29, 0xAB)), USLP),
    ],
    ids=["tm", "aos", "uslp"],
)
def test_a_published_frame_that_comes_twice_counts_once(
    tier: str, receiver: Callable[[], FrameReceiver], frame: bytes
) -> None:
    """The second of two equal frames is counted, gives nothing, and is no loss."""
    once, twice = receiver(), receiver()
    want = once.frames(frame)
    got = twice.frames(frame + frame, infos=True)
    assert list(got.each()) == list(want.each())
    assert got.frames is not None
    assert ((got.frames["flags"] & lib.FS_FRAME_REPEATED) > 0).tolist() == [False, True]
    assert got.frames["lost"].tolist() == [0, 0]
    changed = {name: n for name, n in twice.counters.items() if n != once.counters[name]}
    assert changed == {"frames": 2, "repeated_frames": 1} | (
        {"ocf_mismatches": 2} if "ocf_mismatches" in changed else {}
    )
    data = int(got.frames["data_nbytes"][1])
    assert twice.octets["repeated"] == data
    assert balanced(twice)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.sets(st.integers(0, 19)), st.integers(1, 3))
def test_frames_that_come_again_change_nothing(kind: str, again: set[int], times: int) -> None:
    """Whichever frames come again right behind themselves, packets and losses are the same."""
    make, frames = KINDS[kind]
    plain, batch, single = make(), make(), make()
    chain = Chain(make())
    want = list(plain.frames(b"".join(frames)).each())
    assert losses(plain) == {}
    doubled = [one for i, one in enumerate(frames) for _ in range(1 + times * (i in again))]
    assert list(batch.frames(b"".join(doubled)).each()) == want
    assert [octets for one in doubled for _, octets in single.frame(one)] == want
    assert list(chain.feed(b"".join(map(tm_frame.cadu, doubled))).each()) == want
    count = times * len([i for i in again if i < len(frames)])
    for receiver in (batch, single, chain.receiver):
        assert losses(receiver) == ({"repeated_frames": count} if count else {})
        assert balanced(receiver)


def test_a_frame_again_behind_one_of_another_channel(tier: str) -> None:
    """Between a frame and its repetition others of the master channel may lie."""
    encoder = tm_frame.Encoder(Frames("tm", 64, SCID, ocf=True))
    for vcid in (0, 1):
        encoder.add(vcid, packet(vcid, 40))
    first, other = (encoder.next_frame(vcid, OCF, flush=True) or b"" for vcid in (0, 1))
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID, ocf=True))
    rows = receiver.frames(first + other + first + encoder.idle_frame(OCF)).rows
    assert rows["vcid"].tolist() == [0, 1]
    assert losses(receiver) == {"repeated_frames": 1}


def test_the_same_count_on_another_frame_is_a_loss() -> None:
    """255 frames of a channel that are missing bring the same count: their octets tell."""
    encoder = tm_frame.Encoder(Frames("tm", 64, SCID, fecf=None, ocf=True))
    made = []
    for i in range(258):
        encoder.add(0, packet(i, 54))
        made.append(encoder.next_frame(0, OCF) or b"")
    assert made[1][3] == made[257][3]
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID, fecf=None, ocf=True))
    rows = receiver.frames(made[1] + made[257]).rows
    assert rows["lost"].tolist() == [0, 255]
    assert receiver.counters["repeated_frames"] == 0
    assert (receiver.counters["mc_lost_frames"], receiver.counters["vc_lost_frames"]) == (255, 255)


def uslp(count: int, **options: Any) -> bytes:
    """Return a frame of one unit."""
    return uslp_frame.pack(
        SCID,
        1,
        0,
        b"unit %d" % count,
        **{"protocol": Protocol.SDU, "count": count, "count_nbytes": 2} | options,
    )


def test_a_frame_without_a_count_hides_no_loss() -> None:
    """Truncated frames, and those whose count has no octets, leave the count of the others."""
    short = uslp_frame.pack(SCID, 1, 0, packet(9, 13), truncated=True)
    bare = uslp(0, count_nbytes=0)
    receiver = FrameReceiver(Frames("uslp", 64, SCID, variable=True, truncated_nbytes=len(short)))
    receiver.frames(uslp(5) + short + uslp(6) + bare + uslp(7))
    assert losses(receiver) == {}
    receiver.frames(short + uslp(9) + bare + bare + uslp(12))
    assert losses(receiver) == {"vc_gaps": 2, "vc_lost_frames": 3}
    assert balanced(receiver)


def test_truncated_frames_lack_no_control_field() -> None:
    """A truncated frame has no place for a control field, and so is no mismatch."""
    short = uslp_frame.pack(SCID, 1, 0, packet(9, 13), truncated=True)
    receiver = FrameReceiver(
        Frames("uslp", 64, SCID, variable=True, ocf=True, truncated_nbytes=len(short))
    )
    receiver.frames(short + uslp(0, ocf=b"ocf!") + uslp(1))
    assert receiver.counters["ocf_mismatches"] == 1


def test_a_count_of_another_width_hides_no_loss() -> None:
    """Where the width of a count changes, the bits that both have tell what is missing."""
    receiver = FrameReceiver(Frames("uslp", 64, SCID, variable=True))
    receiver.frames(uslp(0x12FE) + uslp(0xFF, count_nbytes=1) + uslp(0x1300))
    assert losses(receiver) == {}
    receiver.frames(uslp(0x02, count_nbytes=1))
    assert losses(receiver) == {"vc_gaps": 1, "vc_lost_frames": 1}
    aos = FrameReceiver(Frames("aos", 30, SCID))
    field = aos_frame.POINTER_IDLE.to_bytes(2, "big") + bytes(20)
    for count, cycle in ((7, None), (8, 3), (11, None)):
        aos.frame(aos_frame.pack(SCID, 0, count, field, cycle=cycle))
    assert losses(aos) == {"vc_gaps": 1, "vc_lost_frames": 2}


def test_portions_of_two_protocols_make_no_unit() -> None:
    """Where counts do not tell that frames are missing, the protocol of a portion may."""
    receiver = FrameReceiver(Frames("uslp", 64, SCID, variable=True))
    first = uslp(0, count_nbytes=0, rule=Rule.FIRST, protocol=Protocol.PACKETS)
    last = uslp(0, count_nbytes=0, rule=Rule.LAST, protocol=Protocol.SDU)
    found = receiver.frames(first + last)
    assert len(found.rows) == 0
    assert losses(receiver) == {"packets_lost_pieces": 1, "unaligned_octets": 6}
    assert balanced(receiver)
