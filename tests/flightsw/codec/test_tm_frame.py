"""TM frames: octets of the header, packets across frames, and what a bad link does to them."""

import random

import pytest
from framing import FRAMES, OCF, SCID, on_air, packet, units_of
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import space_packet

#: 16,384 packets and more, one octet each: what a counter of 14 bits is tried with.
WRAP = 16_390


def fed(
    octets: bytes, cuts: list[int], nbytes: int = 256
) -> tuple[list[tuple[int, bytes]], dict[str, int]]:
    """Feed a receiver in chunks whose sizes repeat; return packets and counters."""
    receiver = tm_frame.Receiver(Frames("tm", nbytes, SCID, ocf=True))
    got, at, turn = [], 0, 0
    while at < len(octets):
        step = cuts[turn % len(cuts)]
        got += receiver.feed(octets[at : at + step])
        at, turn = at + step, turn + 1
    return got, receiver.counters


def by_channel(packets: list[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """Return packets by virtual channel, in order."""
    channels: dict[int, list[bytes]] = {}
    for vcid, octets in packets:
        channels.setdefault(vcid, []).append(octets)
    return channels


sizes = st.lists(st.tuples(st.integers(0, 7), st.integers(7, 700)), min_size=1, max_size=25)
chunks = st.lists(st.integers(1, 900), min_size=1, max_size=6)


def test_header_of_a_frame() -> None:
    """Each header field stands where the standard puts it; marker and CRC close the frame in."""
    encoder = tm_frame.Encoder(Frames("tm", 1115, SCID, ocf=True))
    encoder.add(3, packet(0, 2000))
    for _ in range(256):
        encoder.idle_frame(OCF)
    first = encoder.next_frame(3, OCF)
    assert first is not None
    assert first[:6].hex() == "2f6700001800"  # counts 0 after 256 frames of another channel
    assert first[-6:-2] == OCF
    assert crc16(first) == 0
    second = encoder.next_frame(3, OCF, flush=True)
    assert second is not None
    assert second[:4].hex() == "2f670101"
    assert (second[4] & 7) << 8 | second[5] == 2000 - encoder.data_nbytes
    unit = tm_frame.cadu(first)
    assert unit == b"\x1a\xcf\xfc\x1d" + tm_randomise(first)


def test_published_frame() -> None:
    """A published frame of spacecraft 758: the same octets from its packets, the packets from it.

    The octets are those of the unit tests of SpacePyLibrary (github.com/Stefan-Korner).
    """
    report = bytes.fromhex("0844C000000F000101") + bytes(13)
    idle = bytes.fromhex("07FFC0000432") + bytes(1073) + bytes.fromhex("C508")
    frame = bytes.fromhex("2F6100001800") + report + idle + OCF + bytes.fromhex("B2FC")
    assert len(frame) == 1115
    encoder, receiver = (
        tm_frame.Encoder(Frames("tm", 1115, 758, ocf=True)),
        tm_frame.Receiver(Frames("tm", 1115, 758, ocf=True)),
    )
    encoder.add(0, report)
    encoder.add(0, idle)
    assert encoder.next_frame(0, OCF) == frame
    assert receiver.frame(frame) == [(0, report)]
    assert receiver.counters["idle_packets"] == 1
    assert receiver.clcw == (0, 0, 0, False, False, False, False, False, 0)


@settings(deadline=None, max_examples=60)
@given(sizes, chunks, st.sampled_from([16, 64, 256, 1115, 2048]))
def test_any_chunking_gives_the_packets(
    plan: list[tuple[int, int]], cuts: list[int], nbytes: int
) -> None:
    """On a clean link all packets arrive unchanged and in order, whatever the chunks."""
    sent = [(vcid, packet(i, size)) for i, (vcid, size) in enumerate(plan)]
    encoder = tm_frame.Encoder(Frames("tm", nbytes, SCID, ocf=True))
    air = b"".join(on_air(encoder, sent))
    got, counters = fed(air, cuts, nbytes=nbytes)
    assert by_channel(got) == by_channel(sent)
    assert counters["packets"] == len(sent)
    assert counters["idle_packets"] <= encoder.counters["idle_packets"]
    good = {"frames", "packets", "idle_packets"}
    assert {name: n for name, n in counters.items() if n and name not in good} == {}


# A frame with octets exchanged passes a check of 16 bits once in 65,536 times: the same examples
# every time, so that this never comes by chance.
@settings(deadline=None, max_examples=80, derandomize=True)
@given(sizes, chunks, st.randoms(use_true_random=False))
def test_damage_never_depends_on_chunks_and_never_makes_packets(
    plan: list[tuple[int, int]], cuts: list[int], rnd: random.Random
) -> None:
    """With octets lost, hurt and inserted: one result for all chunkings, and only packets sent."""
    sent = [(vcid, packet(i, size)) for i, (vcid, size) in enumerate(plan)]
    air = bytearray(b"".join(on_air(tm_frame.Encoder(Frames("tm", 64, SCID, ocf=True)), sent)))
    for _ in range(rnd.randint(1, 6)):
        at = rnd.randrange(len(air))
        kind = rnd.randrange(3)
        if kind == 0:
            air[at] ^= 1 << rnd.randrange(8)
        elif kind == 1:
            del air[at : at + rnd.randint(1, 90)]
        else:
            air[at:at] = rnd.randbytes(rnd.randint(1, 90))
        if not air:
            return
    whole = fed(bytes(air), [len(air)], nbytes=64)
    assert fed(bytes(air), cuts, nbytes=64) == whole
    assert fed(bytes(air), [1], nbytes=64) == whole
    for vcid, packets in by_channel(whole[0]).items():
        left = iter(by_channel(sent)[vcid])
        assert all(any(one == other for other in left) for one in packets)


def test_lost_frame_costs_only_the_packets_in_it() -> None:
    """After a lost frame the first header pointer finds the next packet; the loss is counted."""
    sent, units = units_of(20)
    got, counters = fed(b"".join(units[:6] + units[7:]), [97])
    lost = [one for one in sent if one not in got]
    assert len(lost) == 2
    assert got == [one for one in sent if one not in lost]
    assert (counters["mc_gaps"], counters["vc_gaps"]) == (1, 1)
    assert (counters["mc_lost_frames"], counters["vc_lost_frames"]) == (1, 1)
    assert counters["packets_lost_pieces"] == 1
    assert counters["unaligned_octets"] > 0


@pytest.mark.parametrize("before", [1, 3, 100, 255, 256, 300])
def test_counts_that_begin_anew_are_a_restart_and_no_loss(before: int) -> None:
    """A spacecraft that was reset counts from 0 on all channels: nothing of that was lost."""
    first = [(0, packet(i, 245)) for i in range(before)] + [(1, packet(7, 245))]
    again = [(0, packet(9, 245)), (1, packet(10, 245)), (0, packet(11, 245))]
    old, new = (on_air(tm_frame.Encoder(FRAMES), packets) for packets in (first, again))
    got, counters = fed(b"".join(old + new), [97])
    assert sorted(got[-3:]) == sorted(again)
    lost = {name: n for name, n in counters.items() if n and ("lost" in name or "gaps" in name)}
    assert (counters["restarts_seen"], lost) == (1, {})


def test_a_packet_that_a_restart_cut_is_counted() -> None:
    """What was begun before a restart is never finished with octets of after it."""
    encoder, whole = tm_frame.Encoder(FRAMES), packet(1, 600)
    encoder.add(0, whole)
    cut = [tm_frame.cadu(encoder.next_frame(0, OCF) or b"") for _ in range(2)]
    got, counters = fed(b"".join(cut + units_of(4)[1]), [260])
    assert got == units_of(4)[0]
    assert (counters["restarts_seen"], counters["packets_lost_pieces"]) == (1, 1)


def test_losses_after_a_restart_count() -> None:
    """From a restart on every missing frame counts, also the first ones of another channel."""
    sent = [(0, packet(0, 245)), (1, packet(1, 245)), (1, packet(2, 245)), (1, packet(3, 245))]
    old, new = units_of(9)[1], on_air(tm_frame.Encoder(FRAMES), sent)
    counters = fed(b"".join(old + new[:1] + new[3:]), [260])[1]
    assert (counters["restarts_seen"], counters["mc_lost_frames"]) == (1, 2)
    assert counters["vc_lost_frames"] == 2


def test_hurt_frame_is_refused_and_the_next_is_found() -> None:
    """A frame with a flipped bit fails its check; nothing counts as skipped, the lock holds."""
    _, units = units_of(20)
    hurt = bytearray(b"".join(units))
    hurt[260 * 4 + 100] ^= 0x10
    _, counters = fed(bytes(hurt), [1000])
    assert counters["bad_fecf"] == 1
    assert counters["skipped_octets"] == 0
    assert counters["frames"] == len(units) - 1


@pytest.mark.parametrize("lost", [1, 2, 3, 4, 50, 255])
def test_octets_lost_in_a_frame_cost_that_frame_only(lost: int) -> None:
    """When octets are lost inside a frame, the next marker is found inside the gap."""
    _, units = units_of(20)
    units[4] = units[4][:5] + units[4][5 + lost :]
    for cuts in ([1], [260], [10_000]):
        _, counters = fed(b"".join(units), cuts)
        assert counters["frames"] == len(units) - 1
        assert counters["bad_fecf"] == 1
        assert counters["skipped_octets"] == 0


def test_octets_inserted_are_skipped_and_counted() -> None:
    """Noise between frames is passed over, octet by octet counted, and costs no frame."""
    _, units = units_of(20)
    noise = bytes(range(0x30, 0x30 + 77))
    _, counters = fed(noise + b"".join(units[:7]) + noise + b"".join(units[7:]), [33])
    assert counters["frames"] == len(units)
    assert counters["skipped_octets"] == 2 * 77


def test_marker_with_wrong_bits_is_taken_in_lock_only() -> None:
    """Three wrong bits in a marker right behind a frame are tolerated; at the start none is."""
    _, units = units_of(20)
    hurt = bytes([units[3][0] ^ 0x81, units[3][1] ^ 0x01]) + units[3][2:]
    _, counters = fed(b"".join([*units[:3], hurt, *units[4:]]), [61])
    assert counters["frames"] == len(units)
    assert counters["marker_bit_errors"] == 3
    _, counters = fed(b"".join([hurt, *units[4:]]), [61])
    assert counters["frames"] == len(units) - 4
    assert counters["skipped_octets"] == 260


def test_counts_wrap_without_a_gap() -> None:
    """Frame counts of 8 bits and packet counts of 14 bits wrap; no gap is reported for it."""
    encoder, receiver = (
        tm_frame.Encoder(Frames("tm", 2048, SCID, ocf=True)),
        tm_frame.Receiver(Frames("tm", 2048, SCID, ocf=True)),
    )
    seqs: list[int] = []
    for i in range(WRAP):
        encoder.add(0, packet(i, 40))
        while frame := encoder.next_frame(0, OCF):
            seqs += [space_packet.unpack(one).seq for _, one in receiver.frame(frame)]
    assert encoder.counters["frames"] > 256
    assert seqs == [i % 16384 for i in range(len(seqs))]
    assert len(seqs) > 16384
    assert receiver.counters["vc_gaps"] == receiver.counters["mc_gaps"] == 0


def test_idle_frames_keep_the_link_and_the_packets() -> None:
    """Idle frames between two halves of a packet are counted and change nothing."""
    encoder, receiver = (
        tm_frame.Encoder(FRAMES),
        tm_frame.Receiver(FRAMES),
    )
    one = packet(1, 400)
    encoder.add(0, one)
    first = encoder.next_frame(0, OCF)
    idle = encoder.idle_frame(OCF)
    second = encoder.next_frame(0, OCF, flush=True)
    assert first is not None
    assert second is not None
    air = b"".join(map(tm_frame.cadu, (first, idle, second)))
    assert receiver.feed(air) == [(0, one)]
    assert receiver.counters["idle_frames"] == encoder.counters["idle_frames"] == 1
    assert receiver.counters["idle_packets"] == encoder.counters["idle_packets"] == 1
    assert receiver.counters["mc_gaps"] == 0


@pytest.mark.parametrize("room", range(14))
def test_flush_fills_with_an_idle_packet_of_any_length(room: int) -> None:
    """However few octets are left, a frame is filled; the rest of an idle packet opens the next."""
    encoder, receiver = (
        tm_frame.Encoder(FRAMES),
        tm_frame.Receiver(FRAMES),
    )
    one, two = packet(1, encoder.data_nbytes - room), packet(2, 100)
    encoder.add(2, one)
    assert encoder.pending(2) == len(one)
    frame = encoder.next_frame(2, OCF, flush=True)
    assert frame is not None
    assert encoder.pending(2) == 0
    assert encoder.next_frame(2, OCF, flush=True) is None
    encoder.add(2, two)
    assert encoder.pending(2) == 100
    more = encoder.next_frame(2, OCF, flush=True)
    assert more is not None
    assert receiver.frame(frame) + receiver.frame(more) == [(2, one), (2, two)]
    assert receiver.counters["idle_packets"] == encoder.counters["idle_packets"]


def test_clcw_is_the_last_operational_control_field() -> None:
    """The control word of the last frame is decoded; before any, and for others, it is None."""
    encoder, receiver = (
        tm_frame.Encoder(FRAMES),
        tm_frame.Receiver(FRAMES),
    )
    assert receiver.clcw is None
    receiver.frame(encoder.idle_frame(bytes.fromhex("01040A55")))
    clcw = receiver.clcw
    assert clcw is not None
    assert (clcw.vcid, clcw.report, clcw.retransmit, clcw.farm_b) == (1, 0x55, True, 1)
    receiver.frame(encoder.idle_frame(bytes.fromhex("81040A55")))
    assert receiver.ocf == bytes.fromhex("81040A55")
    assert receiver.clcw is None


def test_frames_of_others_are_counted_apart() -> None:
    """Another spacecraft's frame, another version and a wrong length are told apart."""
    receiver = tm_frame.Receiver(FRAMES)
    assert (
        receiver.frame(tm_frame.Encoder(Frames("tm", 256, SCID + 1, ocf=True)).idle_frame(OCF))
        == []
    )
    frame = bytearray(tm_frame.Encoder(FRAMES).idle_frame(OCF))
    frame[0] |= 0x40
    frame[-2:] = crc16(frame[:-2]).to_bytes(2, "big")
    assert receiver.frame(bytes(frame)) == []
    frame[9] ^= 1
    with pytest.raises(ChecksumError, match="256 octets"):
        receiver.frame(bytes(frame))
    with pytest.raises(SyncError, match="must be 256"):
        receiver.frame(bytes(255))
    counters = receiver.counters
    assert (counters["foreign_frames"], counters["bad_version"], counters["bad_fecf"]) == (1, 1, 1)


def test_secondary_header_is_passed_over() -> None:
    """A frame secondary header is skipped by its length alone, without its version bits."""
    one = packet(1, 40)
    header = bytes.fromhex("43") + b"abc"  # version 1, four octets in all
    body = bytes.fromhex("2f6000009800") + header + one + packet(2, 64 - 6 - 4 - 40 - 2)
    receiver = tm_frame.Receiver(Frames("tm", 64, SCID))
    got = receiver.frame(body + crc16(body).to_bytes(2, "big"))
    assert got == [(0, one), (0, packet(2, 12))]


def test_pointer_that_contradicts_the_lengths_is_an_error_and_wins() -> None:
    """When pointer and packet length disagree, the packet begun is lost and the pointer is used."""
    encoder, receiver = (
        tm_frame.Encoder(Frames("tm", 256, SCID)),
        tm_frame.Receiver(Frames("tm", 256, SCID)),
    )
    encoder.add(0, packet(1, 300))
    encoder.add(0, packet(2, 300))
    first, second = encoder.next_frame(0), encoder.next_frame(0)
    assert first is not None
    assert second is not None
    receiver.frame(first)
    forged = bytearray(second)
    true_start = (forged[4] & 7) << 8 | forged[5]
    forged[5] += 10
    forged[6 + true_start + 10 : 6 + true_start + 20] = packet(3, 10)
    forged[6 + true_start + 20 :] = packet(4, len(forged) - 6 - true_start - 20 - 2) + bytes(2)
    forged[-2:] = crc16(forged[:-2]).to_bytes(2, "big")
    assert [space_packet.unpack(one).seq for _, one in receiver.frame(bytes(forged))] == [3, 4]
    assert receiver.counters["pointer_errors"] == receiver.counters["packets_lost_pieces"] == 1


def test_frames_without_check_and_control_field() -> None:
    """FECF and OCF can be absent; a control field where none was declared is counted."""
    encoder = tm_frame.Encoder(Frames("tm", 128, SCID, fecf=None))
    assert encoder.data_nbytes == 122
    encoder.add(1, packet(1, 122))
    frame = encoder.next_frame(1)
    assert frame is not None
    receiver = tm_frame.Receiver(Frames("tm", 128, ocf=True, fecf=None))
    assert receiver.frame(frame) == [(1, packet(1, 122))]
    assert receiver.counters["ocf_mismatches"] == 1


def test_longest_frame_is_allowed_and_values_do_not_leak() -> None:
    """2,048 octets are a legal frame; virtual channel 9 and other impossible values are refused."""
    encoder, receiver = (
        tm_frame.Encoder(Frames("tm", 2048, 1023, ocf=True)),
        tm_frame.Receiver(Frames("tm", 2048, 1023, ocf=True)),
    )
    encoder.add(7, packet(1, encoder.data_nbytes))
    frame = encoder.next_frame(7, OCF)
    assert frame is not None
    assert receiver.feed(tm_frame.cadu(frame)) == [(7, packet(1, encoder.data_nbytes))]
    for wrong in (
        lambda: tm_frame.Encoder(Frames("tm", 2049, SCID, ocf=True)),
        lambda: tm_frame.Encoder(Frames("tm", 256, 1024, ocf=True)),
    ):
        with pytest.raises(FieldRangeError, match="2048"):
            wrong()
    with pytest.raises(FieldRangeError, match="virtual channel 9"):
        encoder.add(9, packet(1, 20))
    with pytest.raises(FieldRangeError, match="virtual channel 9"):
        encoder.idle_frame(OCF, vcid=9)
    with pytest.raises(FieldRangeError, match="at most 2048"):
        tm_frame.cadu(bytes(2049))


def test_encoder_takes_packets_and_control_fields_only() -> None:
    """What is no space packet, and a control field of a wrong size, would break the stream."""
    encoder = tm_frame.Encoder(FRAMES)
    with pytest.raises(SyncError, match="not one space packet"):
        encoder.add(0, packet(1, 20) + b"x")
    with pytest.raises(SyncError, match="not one space packet"):
        encoder.add(0, b"\x28" + packet(1, 20)[1:])  # version 1
    encoder.add(0, packet(1, 300))
    with pytest.raises(FieldRangeError, match="control field of 0 octets"):
        encoder.next_frame(0)
    assert encoder.pending(0) == 300


def test_long_input_in_one_piece() -> None:
    """A megabyte of frames and packets near the limit pass through the receiver's store."""
    sent = [(i % 3, packet(i, 65_542 if i % 5 == 0 else 60_000)) for i in range(18)]
    air = b"".join(on_air(tm_frame.Encoder(Frames("tm", 1115, SCID, ocf=True)), sent))
    got, counters = fed(air, [len(air)], nbytes=1115)
    assert by_channel(got) == by_channel(sent)
    assert counters["packets"] == 18


def test_a_single_frame_gives_its_packets_once() -> None:
    """What a frame that was handed over alone gave does not come again with what is off the air."""
    frames = Frames("tm", 64, SCID, ocf=True)
    encoder, receiver = tm_frame.Encoder(frames), tm_frame.Receiver(frames)
    encoder.add(0, packet(1, 30))
    encoder.add(0, packet(2, 80))
    got = receiver.frame(encoder.next_frame(0, OCF) or b"")
    while frame := encoder.next_frame(0, OCF, flush=True):
        got += receiver.feed(tm_frame.cadu(frame))
    assert [octets for _, octets in got] == [packet(1, 30), packet(2, 80)]
