"""Every input of a stream: the same result in any chunks, and each octet in one counter."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import construct as c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding import cltu, randomiser
from flightsw.codec.coding.convolutional import Encoder as ConvolutionalEncoder
from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import aos_frame, sync, tc_frame, uslp_frame
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.serial import cobs, hdlc, slip
from flightsw.codec.stream.channel import Channel, Convolutional, Packets, Rule
from flightsw.codec.stream.stream import Batch, Stream

LIST = compile_layout(c.Struct("n" / c.Int8ub, "values" / c.Array(c.this.n, c.Int16ub)))
WORD = compile_layout(c.Struct("word" / c.Int32ub))
RULES = (Rule("list", LIST, apid=2), Rule("word", WORD, apid=1, longer=True))
PACKETS = Packets(error_control=True, pus=PUS_C, no_error_control=frozenset([4]))
CODE = BlockCode(e=8, dual=False, interleave=2, fill=100)
AIR = Channel(
    "air",
    "octets",
    marker=Marker(inverted=True, misses=1),
    randomiser="tm17",
    reed_solomon=CODE,
    frames=Frames("aos", 278, fhec=True, insert_nbytes=3, services={3: "bitstream", 4: "opaque"}),
    packets=PACKETS,
    rules=RULES,
)


def packets_of(rnd: random.Random) -> list[bytes]:
    """Return packets of every kind: reports, commands, idle, without header, without check."""
    made = []
    for i in range(60):
        n = rnd.randrange(6)
        values = LIST.encode({"n": n, "values": [rnd.randrange(65536) for _ in range(n)]})
        made.append(PUS_C.pack_tm(2, i, 3, 25, values, t_ns=10**9 * i))
        made.append(PUS_C.pack_tc(1, i, 17, 1, rnd.randbytes(rnd.randrange(2, 300))))
        made.append(space_packet.pack(2047, 0, bytes(rnd.randrange(1, 90))))
        made.append(space_packet.pack(4, i, rnd.randbytes(rnd.randrange(1, 40))))
    return made


def aos_frames(packets: list[bytes]) -> list[bytes]:
    """Return frames of the packets, bits, fields as they are and idle frames, in turn."""
    encoder = aos_frame.Encoder(Frames("aos", 278, 5, fhec=True, insert_nbytes=3))
    made, insert = [], b"abc"
    for i, packet in enumerate(packets):
        encoder.add(i % 2, packet)
    for vcid in (0, 1):
        while frame := encoder.next_frame(vcid, insert=insert, flush=True):
            made += [frame, encoder.bits_frame(3, b"\xa5" * 9, 3 * len(made) % 70, insert=insert)]
            made.append(encoder.opaque_frame(4, bytes(encoder.field_nbytes), insert=insert))
            made.append(encoder.idle_frame(insert=insert))
    return made


def blocks(packets: list[bytes]) -> list[bytes]:
    """Return randomised code blocks around the frames of the packets."""
    code = ReedSolomon(CODE.e, CODE.interleave, CODE.dual, CODE.fill)
    return [randomiser.tm17_randomise(code.encode(frame)) for frame in aos_frames(packets)]


def variable_frames(packets: list[bytes]) -> bytes:
    """Return USLP frames of varying length with packets, units in segments, and octets."""
    encoder = uslp_frame.Encoder(Frames("uslp", 700, 5, variable=True, fecf="crc32"))
    made = []
    for packet in packets:
        made += [encoder.packets_frame(1, [packet]), *encoder.unit_frames(2, packet * 4)]
        made.append(encoder.octets_frame(3, packet[:9]))
    return b"".join(made)


def link_units(packets: list[bytes]) -> bytes:
    """Return telecommand frames of the packets, in segments, in link units."""
    made = []
    for seq, packet in enumerate(packets):
        for flags, portion in tc_frame.segments(packet, 100):
            frame = tc_frame.pack(5, seq % 2, seq % 256, portion, segment_flags=flags)
            made.append(bytes(3) + cltu.encode(frame, randomised=True))
    return b"".join(made)


def on_air(packets: list[bytes]) -> bytes:
    """Return the blocks behind their markers."""
    return b"".join(sync.ASM + block for block in blocks(packets))


def bits(packets: list[bytes]) -> bytes:
    """Return the bits of part of the stream off the air, one an octet."""
    return np.unpackbits(np.frombuffer(on_air(packets[:40]), np.uint8)).tobytes()


def symbols(packets: list[bytes]) -> bytes:
    """Return soft symbols of part of the stream off the air."""
    encoder = ConvolutionalEncoder()
    coded = encoder.feed(on_air(packets[:40])) + encoder.flush()
    return (np.unpackbits(np.frombuffer(coded, np.uint8)) * 255).astype(np.uint8).tobytes()


def plain(kind: str) -> Channel:
    """Return a channel without frames."""
    return Channel(kind, kind, packets=PACKETS, rules=RULES)


RECORDS = replace(plain("packets"), packets=replace(PACKETS, before_nbytes=4, behind_nbytes=2))
VARIABLE = Channel(
    "variable",
    "frames",
    frames=Frames("uslp", 700, variable=True, fecf="crc32"),
    packets=PACKETS,
    rules=RULES,
)
UPLINK = Channel("uplink", "cltu", randomiser="tc", frames=Frames("tc", 1024), packets=PACKETS)
CASES: dict[str, tuple[Channel, Callable[[list[bytes]], bytes]]] = {
    "octets": (AIR, on_air),
    "bits": (replace(AIR, input="bits"), bits),
    "symbols": (replace(AIR, input="symbols", convolutional=Convolutional()), symbols),
    "blocks": (replace(AIR, input="frames", marker=None), lambda p: b"".join(blocks(p))),
    "fixed frames": (
        replace(AIR, input="frames", marker=None, reed_solomon=None, randomiser=None),
        lambda p: b"".join(aos_frames(p)),
    ),
    "variable frames": (VARIABLE, variable_frames),
    "link units": (UPLINK, link_units),
    "packets": (plain("packets"), b"".join),
    "records": (RECORDS, lambda p: b"".join(b"head" + each + b"hi" for each in p)),
    "cobs": (plain("cobs"), cobs.frames),
    "slip": (plain("slip"), slip.frames),
    "hdlc": (plain("hdlc"), hdlc.frames),
}
PACKETS_SENT = packets_of(random.Random(4))
SENT = {name: make(PACKETS_SENT) for name, (_, make) in CASES.items()}


def damaged(octets: bytes, rnd: random.Random) -> bytes:
    """Return octets with wrong bits, holes and strangers in them."""
    dirty = bytearray(octets)
    for _ in range(rnd.choice((0, 2, 15))):
        at = rnd.randrange(len(dirty))
        dirty[at] ^= 1 << rnd.randrange(8)
        if rnd.random() < 0.3:
            del dirty[at : at + rnd.randrange(30)]
        if rnd.random() < 0.3:
            dirty[at:at] = rnd.randbytes(rnd.randrange(30))
    return bytes(dirty)


def flat(batches: list[Batch]) -> dict[str, Any]:
    """Return everything that several batches hold together, as plain values."""
    found: dict[str, Any] = {"units": [], "pus": []}
    base = 0
    for batch in batches:
        one: dict[str, Any] = {
            "packets": [bytes(piece) for piece in batch.packets.pieces()],
            **{name: getattr(batch, name).tolist() for name in ("good", "vcid", "frame")},
            **{name: array.tolist() for name, array in batch.sequence._asdict().items()},
        }
        if batch.pus is not None:
            columns = batch.pus._replace(data_offset=batch.pus.data_nbytes)
            found["pus"] += list(zip(*(column.tolist() for column in columns), strict=True))
        if batch.units is not None:
            rows = [row[1:] for row in batch.units.rows.tolist()]
            found["units"] += list(zip(rows, batch.units.each(), strict=True))
        for name, part in batch.columns.items():
            one[f"{name} rows"] = (part.rows + base).tolist()
            if part.columns.faults is not None:
                one[f"{name} faults"] = part.columns.faults.tolist()
            for field, values in part.columns.items():
                rows = values.rows() if hasattr(values, "rows") else values
                one[f"{name} {field}"] = [row.tolist() for row in rows]
        for name, values in one.items():
            found.setdefault(name, []).extend(values)
        base += len(batch)
    return found


def run(channel: Channel, octets: bytes, cuts: list[int]) -> tuple[dict[str, Any], Any]:
    """Return what a stream makes of octets cut at places, and its counters."""
    stream = Stream(channel)
    edges = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    batches = [stream.feed(octets[a:b]) for a, b in pairwise(edges)]
    batches.append(stream.finish())
    return flat(batches), stream.counters


_FILE = ("packet_octets", "record_octets", "skipped_octets")


def accounted(channel: Channel, counters: dict[str, dict[str, int]]) -> int:
    """Return the octets of the input that the counters of its first stage tell of."""
    if channel.input in ("octets", "bits"):
        names = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits", "held_bits")
        return sum(counters["link"][name] for name in names) // 8
    stage, names = {
        "frames": ("link", ("air_octets", "octets_left", "held_octets")),
        "packets": ("file", (*_FILE, "octets_left", "held_octets")),
    }.get(channel.input, ("line", ("good_octets", "bad_octets", "idle_octets", "held_octets")))
    return sum(counters[stage][name] for name in names)


@pytest.mark.parametrize("name", CASES)
@given(seed=st.integers(0, 1 << 30), cuts=st.lists(st.integers(0, 1 << 24), max_size=20))
@settings(deadline=None, max_examples=15)
def test_cutting_changes_neither_results_nor_counters(
    name: str, seed: int, cuts: list[int]
) -> None:
    """Clean or damaged, an input gives the same packets, columns and counters in any chunks."""
    channel, octets = CASES[name][0], damaged(SENT[name], random.Random(seed))
    if channel.input == "bits":
        octets = bytes(octet & 1 for octet in octets)
    whole, counters = run(channel, octets, [])
    pieces, again = run(channel, octets, cuts)
    assert pieces == whole
    assert again == counters
    assert counters["input"]["octets"] == len(octets)
    if channel.input == "bits":
        assert accounted(channel, counters) == (len(octets) + 7) // 8
    elif channel.input not in ("symbols", "cltu"):
        assert accounted(channel, counters) == len(octets)
    if "frame octets" in counters:
        gone = dict(counters["frame octets"])
        assert gone.pop("given") == sum(gone.values())


@pytest.mark.parametrize("name", CASES)
def test_octets_one_by_one_give_all_that_was_sent(name: str) -> None:
    """Fed one octet at a time, each input gives the packets that were put in, and no others."""
    channel, sent = CASES[name][0], PACKETS_SENT[:24]
    octets = CASES[name][1](sent)
    stream = Stream(replace(channel, packets=replace(channel.packets, keep_idle=True)))
    pieces = [octets[at : at + 1] for at in range(len(octets))]
    if len(octets) > 50_000:
        pieces = [octets[at : at + 97] for at in range(0, len(octets), 97)]
    batches = [*map(stream.feed, pieces), stream.finish()]
    found = [bytes(piece) for batch in batches for piece in batch.packets.pieces()]
    if channel.frames is not None and channel.frames.kind == "aos":  # encoders add idle packets
        found = [packet for packet in found if packet in sent]
    assert sorted(found) == sorted(sent)


@pytest.mark.parametrize("name", CASES)
def test_batches_keep_what_they_hold(name: str) -> None:
    """A batch holds its packets after the stream went on: none lies in memory used again."""
    channel, octets = CASES[name][0], SENT[name][:60_000]
    stream, batches, copies = Stream(channel), [], []
    for at in range(0, len(octets), 333):
        batches.append(stream.feed(octets[at : at + 333]))
        copies.append([bytes(piece) for piece in batches[-1].packets.pieces()])
    assert sum(map(len, copies)) > 0
    assert [[bytes(piece) for piece in batch.packets.pieces()] for batch in batches] == copies


def test_streams_in_threads_do_not_meet() -> None:
    """Streams that run at the same time give what each of them gives alone."""
    names = [name for name in CASES if name not in ("bits", "symbols")] * 2

    def alone(name: str) -> tuple[dict[str, Any], Any]:
        return run(CASES[name][0], SENT[name], list(range(0, 60_000, 1999)))

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(alone, names))
    assert together == [alone(name) for name in names]


def test_counters_that_were_read_stay_as_they_were() -> None:
    """What a stream counted is a snapshot: it does not change when the stream goes on."""
    channel, octets = CASES["packets"][0], SENT["packets"]
    stream = Stream(channel)
    stream.feed(octets[:9000])
    read, kept = stream.counters, {k: dict(v) for k, v in stream.counters.items()}
    stream.feed(octets[9000:])
    assert read == kept != stream.counters


def test_a_feed_that_completes_nothing_gives_an_empty_batch() -> None:
    """Batches without packets have every column, and none is shared with a batch that has some."""
    stream = Stream(CASES["packets"][0])
    empty = stream.feed(SENT["packets"][:3])
    full = stream.feed(SENT["packets"][3:])
    again = stream.feed(b"")
    assert (len(empty), len(again), empty.columns, again.columns) == (0, 0, {}, {})
    assert len(full) > 0
    assert empty.pus is not None
    for name in ("good", "vcid", "frame"):
        assert getattr(empty, name).dtype == getattr(full, name).dtype
    assert [a.dtype for a in empty.pus] == [a.dtype for a in full.pus or ()]
    assert [a.dtype for a in empty.sequence] == [a.dtype for a in full.sequence]


def test_a_frame_of_varying_length_with_a_wrong_flag_costs_itself_alone() -> None:
    """A bit that calls a frame truncated where none are does not swallow the frames behind it."""
    frames = [
        uslp_frame.pack(5, 1, 0, space_packet.pack(9, i, bytes(9 + i)), count=i, count_nbytes=1)
        for i in range(5)
    ]
    broken = bytearray(frames[2])
    broken[3] |= 1
    channel = replace(VARIABLE, frames=Frames("uslp", 700, variable=True), packets=Packets())
    found, counters = run(channel, b"".join((*frames[:2], broken, *frames[3:])), [50])
    assert len(found["packets"]) == 4
    assert counters["link"]["bad_length"] == 1
    assert counters["frame octets"]["refused"] == len(broken)


def test_what_the_error_control_takes_is_told_by_packet() -> None:
    """A rule for any APID finds the layout in packets with a check and in those without."""
    octets = WORD.encode({"word": 7})
    checked = space_packet.pack(1, 0, octets + b"\0\0")[:-2]
    packets = Packets(error_control=True, no_error_control=frozenset([4]))
    rule = Rule("word", WORD, skip_nbytes=6)
    stream = checked + crc16(checked).to_bytes(2, "big") + space_packet.pack(4, 0, octets)
    found, counters = run(Channel("x", "packets", packets=packets, rules=(rule,)), stream, [])
    assert found["word word"] == [7, 7]
    assert counters["layout word"]["wrong_length"] == 0


@pytest.mark.parametrize(
    "rules",
    [
        (Rule("a", WORD, apid=1), Rule("a", WORD, apid=2)),
        (Rule("a", WORD, apid=2048),),
        (Rule("a", WORD, apid=-1),),
        (Rule("a", WORD, vcid=64),),
        (Rule("a", WORD, skip_nbytes=-1),),
        (Rule("a", WORD, service=3),),
    ],
)
def test_rules_that_no_packet_can_meet_are_refused(rules: tuple[Rule, ...]) -> None:
    """Two layouts of one name, numbers out of range and services without PUS are refused."""
    with pytest.raises(FieldRangeError):
        Stream(Channel("x", "packets", rules=rules))


def test_frames_of_varying_length_under_a_randomiser_are_refused() -> None:
    """Where the length of a frame is hidden, a file of frames cannot be taken apart."""
    with pytest.raises(FieldRangeError, match="varying length"):
        Stream(replace(VARIABLE, randomiser="tm"))
