"""The stream: octets to packets to columns, the same however they are cut, all of them counted."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import construct as c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding import cltu
from flightsw.codec.coding.convolutional import Encoder as ConvolutionalEncoder
from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.randomiser import tc_randomise
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.link import tc_frame, tm_frame
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet import pus, space_packet
from flightsw.codec.packet.pus_format import PusFormat
from flightsw.codec.serial import cobs
from flightsw.codec.stream.channel import Channel, Convolutional, Packets, Rule
from flightsw.codec.stream.stream import Batch, Stream

APID, OTHER = 0x123, 0x45
LAYOUT = compile_layout(
    c.BitStruct(
        "mode" / c.BitsInteger(4),
        "bus_v" / c.BitsInteger(12),
        "temperature" / c.BitsInteger(16, signed=True),
    )
)
CODE = BlockCode(interleave=1)
AIR = Channel(
    "test",
    "octets",
    marker=Marker(inverted=True),
    randomiser="tm",
    reed_solomon=CODE,
    frames=Frames("tm", 223, scid=7, ocf=True),
    packets=Packets(error_control=True),
    rules=(Rule("status", LAYOUT, apid=APID, skip_nbytes=6),),
)


def status_packets(count: int) -> list[bytes]:
    """Return packets of known contents, every third of another APID and length."""
    rnd = random.Random(count)
    made = []
    for i in range(count):
        if i % 3:
            values = {"mode": i % 16, "bus_v": i * 7 % 4096, "temperature": i - 50}
            body, apid = LAYOUT.encode(values), APID
        else:
            body, apid = rnd.randbytes(rnd.randrange(1, 900)), OTHER
        head = space_packet.pack(apid, (i if apid == APID else i // 3) & 0x3FFF, body + b"\0\0")[:6]
        octets = head + body
        made.append(octets + crc16(octets).to_bytes(2, "big"))
    return made


def on_air(packets: list[bytes]) -> bytes:
    """Return the marked, coded and randomised stream of the packets."""
    encoder, code = tm_frame.Encoder(Frames("tm", 223, 7, ocf=True)), ReedSolomon(16, 1)
    for packet in packets:
        encoder.add(0, packet)
    stream = b""
    while frame := encoder.next_frame(0, bytes(4), flush=True):
        stream += tm_frame.cadu(code.encode(frame))
    return stream


PACKETS = status_packets(90)
STREAM = on_air(PACKETS)


def flat(batches: list[Batch]) -> dict[str, Any]:
    """Return what several batches hold together, as plain values."""
    columns: dict[str, list[Any]] = {name: [] for name in ("mode", "bus_v", "temperature")}
    rows, base = [], 0
    for batch in batches:
        if part := batch.columns.get("status"):
            rows += [base + row for row in part.rows.tolist()]
            for name, values in columns.items():
                values += part.columns[name].tolist()
        base += len(batch)
    return {
        "packets": [bytes(piece) for batch in batches for piece in batch.packets.pieces()],
        "good": [flag for batch in batches for flag in batch.good.tolist()],
        "missing": [n for batch in batches for n in batch.sequence.missing.tolist()],
        "frame": [n for batch in batches for n in batch.frame.tolist()],
        "rows": rows,
        **columns,
    }


def run(channel: Channel, octets: bytes, cuts: list[int]) -> tuple[dict[str, Any], Any]:
    """Return what a stream makes of octets cut at places, and its counters."""
    stream = Stream(channel)
    edges = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    batches = [stream.feed(octets[a:b]) for a, b in pairwise(edges)]
    batches.append(stream.finish())
    return flat(batches), stream.counters


def accounted_bits(counters: dict[str, dict[str, int]]) -> int:
    """Return the bits that the stages in front of the frames say they passed or hold."""
    names = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits", "held_bits")
    return sum(counters["link"][name] for name in names)


def test_packets_and_columns_come_out_as_they_went_in(tier: str) -> None:
    """Every packet comes back in order, and the layout's columns hold the values, on every tier."""
    found, counters = run(AIR, STREAM, [])
    assert found["packets"] == PACKETS
    wanted = [i for i in range(90) if i % 3]
    assert found["rows"] == wanted
    assert found["temperature"] == [i - 50 for i in wanted]
    assert found["mode"] == [i % 16 for i in wanted]
    assert counters["packets"]["bad_error_control"] == 0
    assert counters[f"apid {APID}"]["packets"] == 60
    assert counters["layout status"]["rows"] == 60


def test_large_chunks_are_taken_where_they_are() -> None:
    """Chunks of more than 64 KiB behind a unit that waits, or noise, give what small ones give."""
    rnd = random.Random(8)
    long = on_air(status_packets(900))
    dirty = bytearray(rnd.randbytes(70_001) + long + rnd.randbytes(140_000) + long)
    for _ in range(60):
        dirty[rnd.randrange(len(dirty))] ^= 1 << rnd.randrange(8)
    octets = bytes(dirty)
    small = run(AIR, octets, list(range(0, len(octets), 5_000)))
    assert len(small[0]["packets"]) > 1_500
    for step in (65_537, 66_000, 100_003, 200_000):
        assert run(AIR, octets, list(range(100, len(octets), step))) == small
    stream, views = Stream(AIR), memoryview(octets)
    batches = [stream.feed(views[at : at + 90_000]) for at in range(0, len(octets), 90_000)]
    assert flat([*batches, stream.finish()]) == small[0]


def test_memory_is_used_again_only_when_nobody_looks_at_it() -> None:
    """Columns, tables and octets of a batch stay as they are while the stream goes on."""
    octets = on_air(status_packets(1_800))
    stream, kept, copies = Stream(AIR), [], []
    for at in range(0, len(octets), 70_000):
        batch = stream.feed(octets[at : at + 70_000])
        if len(kept) % 3:
            kept.append((batch.columns["status"].columns["bus_v"], batch.good, batch.packets.buf))
        else:
            kept.append((batch.columns["status"].rows, batch.frame, batch.packets.nbytes))
        copies.append([array.copy() for array in kept[-1]])
        del batch
    for arrays, copied in zip(kept, copies, strict=True):
        assert all(map(np.array_equal, arrays, copied))


@given(cuts=st.lists(st.integers(0, 1 << 20), max_size=30), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_cutting_changes_nothing(cuts: list[int], seed: int) -> None:
    """A damaged, bit-slipped, inverted stream gives the same packets and counters in any chunks."""
    rnd = random.Random(seed)
    dirty = bytearray(rnd.randbytes(50) + STREAM)
    for _ in range(40):
        dirty[rnd.randrange(len(dirty))] ^= 1 << rnd.randrange(8)
    del dirty[4000:4003]
    bits = np.unpackbits(np.frombuffer(bytes(dirty), np.uint8))
    octets = np.packbits(np.concatenate((bits[3:], [0, 1, 0]))).tobytes()
    if seed % 2:
        octets = bytes(255 - octet for octet in octets)
    whole, counters = run(AIR, octets, [])
    pieces, again = run(AIR, octets, cuts)
    assert pieces == whole
    assert again == counters
    assert accounted_bits(counters) == 8 * len(octets)
    assert set(whole["packets"]) <= set(PACKETS)
    assert len(whole["packets"]) > 60


@pytest.mark.parametrize("kind", ["bits", "symbols"])
def test_bits_and_soft_symbols_lead_to_the_same_packets(kind: str) -> None:
    """One bit an octet, or soft symbols of the code, give the packets of the octets."""
    bits = np.unpackbits(np.frombuffer(STREAM, np.uint8))
    channel = replace(AIR, input=kind)
    octets = bits.tobytes()
    if kind == "symbols":
        channel = replace(channel, convolutional=Convolutional())
        encoder = ConvolutionalEncoder()
        coded = encoder.feed(STREAM) + encoder.flush()
        hard = np.unpackbits(np.frombuffer(coded, np.uint8))[: 2 * len(bits)]
        octets = (hard * 255).astype(np.uint8).tobytes()
    found, _ = run(channel, octets, [1000, 20001, 33333])
    assert found["packets"] == PACKETS


def test_frames_without_markers_are_decoded_and_failed_blocks_counted() -> None:
    """Code blocks out of a file are derandomised and corrected; a hopeless one is counted."""
    blocks = [bytearray(STREAM[at + 4 : at + 259]) for at in range(0, len(STREAM), 259)]
    for i in range(0, 60, 3):
        blocks[2][i] ^= 0x55
    for i in range(40, 56):
        blocks[4][i] ^= 0xAA
    channel = replace(AIR, input="frames", marker=None)
    found, counters = run(channel, b"".join(blocks), [100, 3000])
    assert counters["link"]["failed_units"] == 1
    assert counters["link"]["corrected_octets"] == 16
    assert counters["link"]["vc_lost_frames"] == 1
    assert set(found["packets"]) < set(PACKETS)


def test_packet_files_and_serial_lines_need_no_frames() -> None:
    """Packets one behind the other, behind record headers, or in COBS frames come out alike."""
    plain = replace(
        AIR, input="packets", marker=None, randomiser=None, reed_solomon=None, frames=None
    )
    assert run(plain, b"".join(PACKETS), [9, 99, 999])[0]["packets"] == PACKETS
    headed = replace(plain, packets=Packets(error_control=True, before_nbytes=4))
    records = b"".join(b"abcd" + packet for packet in PACKETS)
    assert run(headed, records, [77])[0]["packets"] == PACKETS
    serial = replace(plain, input="cobs")
    found, counters = run(serial, cobs.frames([*PACKETS, b"no packet"]), [5, 500])
    assert found["packets"] == PACKETS
    assert counters["line"]["not_packets"] == 1


def test_an_uplink_gives_its_telecommands() -> None:
    """Packets in segmented, randomised telecommand frames come out of link units, in any chunks."""
    packets = [pus.pack_tc(5, i, 8, 1, bytes([i]) * (40 * i + 1)) for i in range(12)]
    stream = b"noise"
    for i, packet in enumerate(packets):
        for flags, data in tc_frame.segments(packet, 100):
            frame = tc_frame.pack(7, 3, i, data, segment_flags=flags)
            stream += cltu.encode(tc_randomise(frame))
    stream += cltu.encode(tc_randomise(tc_frame.pack(8, 3, 0, b"another spacecraft")))
    channel = Channel(
        "up",
        "cltu",
        randomiser="tc",
        frames=Frames("tc", 1024, scid=7),
        packets=Packets(error_control=True, pus=PusFormat()),
        rules=(Rule("first", compile_layout(c.Struct("n" / c.Int8ub)), service=8, longer=True),),
    )
    for cuts in ([], [3, 90, 91, 1000]):
        stream_object = Stream(channel)
        edges = sorted({0, len(stream), *cuts})
        batches = [stream_object.feed(stream[a:b]) for a, b in pairwise(edges)]
        assert [bytes(p) for b in batches for p in b.packets.pieces()] == packets
        values = [b.columns["first"].columns["n"].tolist() for b in batches if b.columns]
        assert [n for each in values for n in each] == list(range(12))
        counters = stream_object.counters
        assert counters["link"]["foreign_frames"] == 1
        assert counters["link"]["packets"] == 12
        assert counters["packets"]["no_pus_header"] == 0


def test_a_packet_of_another_length_is_counted_and_not_decoded() -> None:
    """A packet that is longer or shorter than its layout gives no row, unless longer is allowed."""
    plain = replace(
        AIR,
        input="packets",
        marker=None,
        randomiser=None,
        reed_solomon=None,
        frames=None,
        packets=Packets(),
    )
    long = space_packet.pack(APID, 1, bytes(9))
    short = space_packet.pack(APID, 2, bytes(3))
    right = space_packet.pack(APID, 3, bytes(4))
    found, counters = run(plain, long + short + right, [])
    assert found["rows"] == [2]
    assert counters["layout status"]["wrong_length"] == 2
    longer = replace(plain, rules=(replace(AIR.rules[0], longer=True),))
    assert run(longer, long + short + right, [])[0]["rows"] == [0, 2]


def test_a_wrong_error_control_is_marked_counted_and_kept_from_columns() -> None:
    """A packet whose CRC is wrong stays in the table, marked, but makes no row of columns."""
    broken = bytearray(PACKETS[1])
    broken[7] ^= 1
    plain = replace(
        AIR, input="packets", marker=None, randomiser=None, reed_solomon=None, frames=None
    )
    found, counters = run(plain, bytes(broken) + PACKETS[2] + PACKETS[4], [])
    assert found["good"] == [False, True, True]
    assert found["rows"] == [1, 2]
    assert counters["packets"]["bad_error_control"] == 1


def test_counters_are_readable_while_it_runs() -> None:
    """In the middle of a stream the counters tell what has come so far."""
    stream = Stream(AIR)
    stream.feed(STREAM[: len(STREAM) // 2])
    halfway = stream.counters
    assert 0 < halfway["packets"]["packets"] < 90
    assert accounted_bits(halfway) == 8 * (len(STREAM) // 2)


def test_a_file_is_read_in_pieces() -> None:
    """Reading a file gives a batch for each piece, and the last one at its end."""
    batches = list(Stream(AIR).read(io.BytesIO(STREAM), 1000))
    assert len(batches) == -(-len(STREAM) // 1000) + 1
    assert flat(batches)["packets"] == PACKETS


@pytest.mark.parametrize(
    "wrong",
    [
        replace(AIR, input="tape"),
        replace(AIR, marker=None),
        replace(AIR, frames=None),
        replace(AIR, input="symbols"),
        replace(AIR, convolutional=Convolutional()),
        replace(AIR, frames=Frames("tm", 200)),
        replace(AIR, frames=Frames("tc", 223)),
        replace(AIR, input="frames"),
        replace(AIR, input="packets", marker=None),
    ],
)
def test_stages_that_do_not_go_together_are_refused(wrong: Channel) -> None:
    """A channel that cannot be is refused with the name of what does not fit."""
    with pytest.raises(FieldRangeError):
        Stream(wrong)


@pytest.mark.parametrize("cuts", [[], [20]])
def test_a_packet_that_ends_in_front_of_its_layout_makes_no_row(cuts: list[int]) -> None:
    """Whatever follows in the chunk, a packet shorter than what is skipped has a wrong length."""
    rest = compile_layout(c.Struct("rest" / c.GreedyBytes))
    rules = (Rule("rest", rest, skip_nbytes=12),)
    stream = Stream(Channel("short", "packets", rules=rules))
    sent = [space_packet.pack(1, i, bytes(nbytes)) for i, nbytes in enumerate((5, 4, 6, 8, 4))]
    octets, rows = b"".join(sent), 0
    for start, end in pairwise([0, *cuts, len(octets)]):
        batch = stream.feed(octets[start:end])
        rows += sum(int(part.columns.good.sum()) for part in batch.columns.values())
    assert rows == 2
    counted = {"packets": 5, "rows": 2, "wrong_length": 3, "undecodable": 0}
    assert stream.counters["layout rest"] == counted


def test_what_an_uplink_still_holds_is_counted() -> None:
    """A link unit without its end, and a packet whose last segment did not come, are not silent."""
    packet = space_packet.pack(5, 0, bytes(30), telecommand=True)
    channel = Channel("up", "cltu", frames=Frames("tc", 100))
    unit = cltu.encode(tc_frame.pack(9, 0, 0, packet))
    for missing, held in ((8, 49), (12, 42 + 4), (len(unit), 0)):
        stream = Stream(channel)
        batches = [stream.feed(unit[: len(unit) - missing]), stream.finish()]
        assert sum(map(len, batches)) == 0
        assert stream.counters["cltu"]["held_octets"] == held
    stream = Stream(channel)
    for flags, piece in tc_frame.segments(packet, 20)[:-1]:
        stream.feed(cltu.encode(tc_frame.pack(9, 0, 0, piece, segment_flags=flags)))
    assert stream.counters["segments"]["held_octets"] == 20
    assert stream.counters["cltu"]["held_octets"] == 0


def test_an_input_that_is_none_is_refused_with_those_there_are() -> None:
    """Whoever misspells an input is told how each is spelled."""
    with pytest.raises(FieldRangeError, match="octets, bits, symbols, frames, packets, cltu, cobs"):
        Stream(Channel("x", "tape"))


def test_bits_that_are_none_are_refused() -> None:
    """Octets other than 0 and 1 are no bits, and the message says what they may be."""
    with pytest.raises(CodecError, match="octets or symbols"):
        Stream(replace(AIR, input="bits")).feed(b"\x00\x01\x02")
