"""The chain from octets off the air to packets: every stage, any chunks, nothing uncounted."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import sync, tm_frame
from flightsw.codec.link.chain import BlockCode, Chain, Line
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from flightsw.codec.tier import available, forced

SCID = 0x2A
OCF = bytes(4)
SHORT = BlockCode(interleave=2, fill=150)  # frames of 146 octets, units of 210
LONG = BlockCode(interleave=5)  # of 1115, units of 1275


def packets_of(count: int, seed: int = 1) -> list[bytes]:
    """Return packets of many lengths."""
    rnd = random.Random(seed)
    return [space_packet.pack(5, i, rnd.randbytes(rnd.randint(1, 400))) for i in range(count)]


def data_nbytes(code: BlockCode) -> int:
    """Return the octets of data of a block."""
    return code.interleave * (255 - 2 * code.e - code.fill)


def frames_of(packets: list[bytes], nbytes: int, fecf: str | None = "crc16") -> list[bytes]:
    """Return the frames of one virtual channel that carry the packets."""
    encoder = tm_frame.Encoder(Frames("tm", nbytes, SCID, fecf=fecf, ocf=True))
    for packet in packets:
        encoder.add(1, packet)
    frames = []
    while frame := encoder.next_frame(1, OCF, flush=True):
        frames.append(frame)
    return frames


def encoded(frame: bytes, code: BlockCode | None, randomiser: str | None) -> bytes:
    """Return the unit behind a marker: the frame, its parity, all of it under the randomiser."""
    block = np.zeros(255 * 8, np.uint8)
    block[: len(frame)] = np.frombuffer(frame, np.uint8)
    nbytes = len(frame)
    if code is not None:
        numbers = (code.e, code.dual, code.interleave, code.fill, code.lenient)
        c_code = ffi.new("fs_rs_code *", numbers)
        nbytes = lib.fs_rs_encode(c_code, ffi.from_buffer("uint8_t[]", block), len(block))
    unit = block[:nbytes]
    if randomiser is not None:
        unit = unit ^ np.frombuffer(sequence(randomiser, nbytes), np.uint8)
    return unit.tobytes()


def on_air(
    frames: list[bytes],
    code: BlockCode | None = None,
    randomiser: str | None = "tm",
    marker: bytes = sync.ASM,
) -> bytes:
    """Return frames as they are sent."""
    return b"".join(marker + encoded(frame, code, randomiser) for frame in frames)


def chain_for(
    nbytes: int,
    code: BlockCode | None = None,
    *,
    fecf: str | None = "crc16",
    randomiser: str | None = "tm",
    **how: Any,
) -> Chain:
    """Return a chain for TM frames; ``how`` is of the marker."""
    receiver = FrameReceiver(Frames("tm", nbytes, SCID, fecf=fecf, ocf=True))
    return Chain(receiver, marker=sync.Marker(**how), randomiser=randomiser, reed_solomon=code)


def fed(chain: Chain, octets: bytes, cuts: list[int]) -> list[bytes]:
    """Feed octets in chunks whose sizes repeat; return the packets. Nothing may be uncounted."""
    got: list[bytes] = []
    at, turn = 0, 0
    while at < len(octets):
        step = cuts[turn % len(cuts)]
        got += chain.feed(octets[at : at + step]).each()
        at, turn = at + step, turn + 1
        assert_all_counted(chain, min(at, len(octets)))
    return got


def assert_all_counted(chain: Chain, fed_octets: int) -> None:
    """Each bit fed is in one counter of the synchroniser, each octet of a unit in one behind it."""
    n = chain.counters
    bits = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits", "held_bits")
    assert 8 * fed_octets == sum(n[name] for name in bits)
    octets = chain.receiver.octets
    assert n["air_units"] * chain.unit_nbytes == (
        n["failed_octets"] + n["parity_octets"] + octets["given"]
    )
    assert octets.pop("given") == sum(octets.values())


chunks = st.lists(st.integers(1, 3000), min_size=1, max_size=5)


@settings(deadline=None, max_examples=40)
@given(chunks, st.sampled_from((None, SHORT, LONG)), st.sampled_from((None, "tm", "tm17")))
def test_packets_come_out_whatever_the_chunks(
    cuts: list[int], code: BlockCode | None, randomiser: str | None
) -> None:
    """With and without code and randomiser, in any chunks, the packets sent are those received."""
    packets = packets_of(30, len(cuts))
    nbytes = 200 if code is None else data_nbytes(code)
    frames = frames_of(packets, nbytes)
    chain = chain_for(nbytes, code, randomiser=randomiser)
    assert fed(chain, on_air(frames, code, randomiser), cuts) == packets
    counters = chain.counters
    assert counters["frames"] == counters["air_units"] == len(frames)
    assert chain.receiver.channels[1]["packets"] == len(packets)
    bad = ("skipped_bits", "bad_units", "bad_fecf", "failed_units", "corrected_octets")
    assert {name: counters[name] for name in bad if counters[name]} == {}
    assert chain.state == "lock"


@settings(deadline=None, max_examples=20)
@given(chunks, st.sampled_from((None, SHORT)), st.randoms(use_true_random=False))
def test_damage_gives_one_result_for_all_chunks_and_tiers(
    cuts: list[int], code: BlockCode | None, rnd: random.Random
) -> None:
    """Bits turned, lost and inserted: the same packets and counters, and only packets sent."""
    packets = packets_of(25, rnd.randrange(100))
    nbytes = 100 if code is None else data_nbytes(code)
    bits = np.unpackbits(np.frombuffer(on_air(frames_of(packets, nbytes), code), np.uint8))
    for _ in range(rnd.randint(1, 12)):
        at = rnd.randrange(len(bits))
        kind = rnd.randrange(3)
        if kind == 0:
            bits[at : at + rnd.randint(1, 60)] ^= 1
        elif kind == 1:
            bits = np.delete(bits, slice(at, at + rnd.randint(1, 700)))
        else:
            bits = np.insert(bits, at, rnd.choices((0, 1), k=rnd.randint(1, 700)))
    octets = np.packbits(bits).tobytes()
    how = {"misses": rnd.randint(0, 2), "slip": rnd.choice((0, 2)), "verify": rnd.randint(0, 1)}
    results = []
    for name in available():
        for sizes in (cuts, [len(octets)]):
            with forced(name):
                chain = chain_for(nbytes, code, **how)
                got = fed(chain, octets, sizes)
            results.append((got, chain.counters, chain.receiver.channels, chain.state))
    assert all(one == results[0] for one in results)
    left = iter(packets)
    assert all(any(one == other for other in left) for one in results[0][0])


@pytest.mark.parametrize("shift", [0, 1, 5])
@pytest.mark.parametrize("inverted", [False, True])
def test_slipped_and_inverted_streams(shift: int, inverted: bool, tier: str) -> None:
    """A stream that begins at any bit and is turned over gives its packets."""
    packets = packets_of(40)
    bits = np.unpackbits(np.frombuffer(on_air(frames_of(packets, 1115), LONG), np.uint8))
    bits = np.concatenate([np.zeros(shift, np.uint8), bits ^ inverted])
    chain = chain_for(1115, LONG, inverted=True)
    assert fed(chain, np.packbits(bits).tobytes(), [997]) == packets
    assert chain.counters["skipped_bits"] == shift


def test_code_corrects_and_counts(tier: str) -> None:
    """Sixteen wrong octets in each codeword are corrected, counted, and cost nothing."""
    packets = packets_of(40)
    frames = frames_of(packets, 1115)
    octets = bytearray(on_air(frames, LONG))
    rnd = random.Random(4)
    for i in range(len(frames)):
        for c in range(5):
            for row in rnd.sample(range(255), 16):
                octets[1279 * i + 4 + 5 * row + c] ^= rnd.randint(1, 255)
    chain = chain_for(1115, LONG)
    assert fed(chain, bytes(octets), [4096]) == packets
    counters = chain.counters
    assert counters["corrected_octets"] == 80 * len(frames)
    assert counters["corrected_codewords"] == 5 * len(frames)
    assert counters["failed_codewords"] == counters["bad_units"] == 0


def test_failed_codewords_are_refused_and_the_next_unit_is_found(tier: str) -> None:
    """A unit that cannot be corrected is counted, searched for a marker, and costs one frame."""
    packets = packets_of(60)
    frames = frames_of(packets, 146, fecf=None)
    units = [sync.ASM + encoded(frame, SHORT, "tm") for frame in frames]
    hurt = bytearray(units[5])
    for i in range(4, 180):
        hurt[i] ^= 0x5A
    for five in (bytes(hurt), units[5][:-90], units[5][:100] + units[5][157:]):
        chain = chain_for(146, SHORT, fecf=None)
        got = fed(chain, b"".join([*units[:5], five, *units[6:]]), [333])
        counters = chain.counters
        assert counters["frames"] == len(frames) - 1
        assert counters["failed_units"] == counters["bad_units"] == 1
        assert counters["failed_codewords"] in (1, 2)
        assert counters["failed_octets"] == 146
        assert counters["vc_lost_frames"] == 1
        assert counters["skipped_bits"] == 0
        lost = [packet for packet in packets if packet not in got]
        assert got == [packet for packet in packets if packet not in lost]
        assert 1 <= len(lost) <= 4


def test_corrections_in_the_fill_are_told_apart() -> None:
    """A codeword corrected in its virtual fill is refused, unless the code is lenient."""
    frames = frames_of(packets_of(9), data_nbytes(SHORT))
    full = BlockCode(interleave=2, fill=148)
    fewer = BlockCode(interleave=2, fill=150, lenient=True)
    octets = b""
    for frame in frames:  # two octets a codeword that the receiver takes for zeros are not
        unit = encoded(b"\x11\x22\x33\x44" + frame, full, None)
        octets += sync.ASM + unit[4:]
    strict = chain_for(146, SHORT, randomiser=None)
    assert fed(strict, octets, [500]) == []
    assert strict.counters["fill_codewords"] == strict.counters["failed_codewords"] > 0
    lenient = chain_for(146, fewer, randomiser=None)
    assert fed(lenient, octets, [500]) == packets_of(9)
    assert lenient.counters["corrected_octets"] == 4 * len(frames)


def test_other_markers_and_a_flywheel(tier: str) -> None:
    """A marker of 64 bits, missing now and then, is bridged where the frame check stands by."""
    packets = packets_of(40)
    frames = frames_of(packets, 128)
    octets = bytearray(on_air(frames, None, "tm17", sync.ASM_64))
    for i in (3, 4, 9):
        octets[136 * i : 136 * i + 8] = bytes(8)
    how: dict[str, Any] = {"octets": sync.ASM_64, "randomiser": "tm17"}
    chain = chain_for(128, misses=1, **how)
    assert fed(chain, bytes(octets), [100]) == packets
    counters = chain.counters
    assert (counters["flywheel_units"], counters["missed_markers"]) == (3, 3)
    assert (counters["locks"], counters["locks_lost"]) == (1, 0)
    assert len(fed(chain_for(128, **how), bytes(octets), [100])) < len(packets)


def test_large_chunks_of_many_packets_have_room() -> None:
    """A megabyte of packets of seven octets, on eight channels, comes out in one call."""
    encoder = tm_frame.Encoder(Frames("tm", 1024, SCID, ocf=True))
    air, sent = [], 0
    while len(air) < 600:
        for vcid in range(8):
            for _ in range(300):
                encoder.add(vcid, space_packet.pack(vcid, sent % 16384, b"x"))
                sent += 1
            while frame := encoder.next_frame(vcid, OCF, flush=True):
                air.append(tm_frame.cadu(frame))
    units = chain_for(1024).feed(b"".join(air))
    assert len(units.rows) == sent
    assert {len(one) for one in units.each()} == {7}
    starts = units.rows["offset"].tolist()
    assert all(b - a == 7 for a, b in pairwise(starts))


def test_room_that_is_too_small_is_told_and_nothing_lost() -> None:
    """With room for one unit only, calls go on where they stopped; with less there is an error."""
    packets = packets_of(50)
    octets = on_air(frames_of(packets, 256))
    receiver = tm_frame.Receiver(Frames("tm", 256, SCID, ocf=True))
    line = Line(receiver._state, sync.Marker(step=8))
    rows, out = ffi.new("fs_frame_row[129]"), ffi.new("uint8_t[]", 65542 + 256)
    sink = ffi.new("fs_frame_sink *", {"rows": rows, "octets": out, "nrows": 129})
    consumed, at, got = ffi.new("uint64_t *"), 0, []
    assert lib.fs_chain_feed(line.state, octets, len(octets), consumed, sink) == lib.FS_E_CAPACITY
    assert consumed[0] == 0
    sink.noctets = 65542 + 256
    while at < len(octets):
        sink.rows_used = sink.octets_used = 0
        n = lib.fs_chain_feed(line.state, octets[at:], len(octets) - at, consumed, sink)
        assert 0 < consumed[0] < 2000
        at += consumed[0]
        got += [bytes(ffi.buffer(out + rows[i].offset, rows[i].nbytes)) for i in range(n)]
    assert got == packets


def test_chain_reads_nothing_behind_its_input(tier: str, guard: Guard) -> None:
    """Input at a forbidden page is never read beyond, at any cut."""
    receiver = tm_frame.Receiver(Frames("tm", 146, SCID, ocf=True))
    octets = on_air(frames_of(packets_of(3), 146), SHORT)
    sink, consumed = receiver._sink, ffi.new("uint64_t *")
    for n in range(0, len(octets), 13):
        line = Line(receiver._state, sync.Marker(slip=2, inverted=True), reed_solomon=SHORT)
        for at in guard.both(octets[:n]):
            sink.rows_used = sink.octets_used = 0
            assert lib.fs_chain_feed(line.state, at, n, consumed, sink) >= 0


@pytest.mark.parametrize(
    "how",
    [
        {"reed_solomon": LONG},
        {"reed_solomon": BlockCode(e=7)},
        {"randomiser": "tc"},
        {"octets": bytes(9)},
        {"verify": 300},
        {"search_wrong": 4},
        {"step": 3},
        {"slip": 1.5},
    ],
)
def test_settings_that_do_not_go_together_are_refused(how: dict[str, Any]) -> None:
    """A code for other frames, an unknown sequence, a marker or rule that cannot be: errors."""
    with pytest.raises(FieldRangeError, match=r"chain|marker|code"):
        chain_for(200, **({"code": how.pop("reed_solomon", None)} | how))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (BlockCode(e=7), "E is 16 or 8"),
        (BlockCode(interleave=6), "interleaving 1, 2, 3, 4, 5 or 8"),
        (BlockCode(fill=-1), "at most 254 - 2E"),
        (LONG, "frames of 200 octets, .* hold 1115"),
    ],
)
def test_a_code_that_does_not_fit_is_told_why(code: BlockCode, why: str) -> None:
    """A code that is none and one for other frames are told apart, with what may be."""
    with pytest.raises(FieldRangeError, match=why):
        chain_for(200, code)
