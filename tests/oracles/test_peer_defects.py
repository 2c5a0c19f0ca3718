"""Twelve defects that were found in public packet libraries, each held against ours.

The first six are of spacepackets 0.32.0, the next five of ccsdspy 2.0.1, the last of LibreCube's
spacepacket 0.3.1; each docstring says what the peer does.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import construct as c
import numpy as np
import pytest

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.sequence import Tracker, Verdict
from flightsw.codec.time_code import DAY_NS, Cds, decode_cds, pack_cds

HOUR_NS = 3600 * 10**9
EPOCH = datetime(1958, 1, 1, tzinfo=UTC)


def as_date(t_ns: int) -> datetime:
    """Return the date of nanoseconds since 1958, to a millisecond."""
    return EPOCH + timedelta(milliseconds=t_ns // 10**6)


def test_01_day_segmented_time_before_1970_has_the_right_sign() -> None:
    """Day 0, 3,600,000 ms is one in the morning of 1958-01-01; the peer goes back an hour."""
    octets = bytes.fromhex("40") + (0).to_bytes(2, "big") + (3_600_000).to_bytes(4, "big")
    time = decode_cds(octets)
    assert as_date(time.t_ns).isoformat() == "1958-01-01T01:00:00+00:00"
    assert pack_cds(time.t_ns) == octets
    for day in (0, 1, 4382, 4383, 20_000):
        assert decode_cds(pack_cds(day * DAY_NS + HOUR_NS)).t_ns == day * DAY_NS + HOUR_NS


def test_02_adding_to_a_time_leaves_the_time_alone() -> None:
    """A sum is a new value; the peer changes its left operand and returns that."""
    before = decode_cds(pack_cds(5 * DAY_NS))
    later = before.t_ns + HOUR_NS
    assert (before.t_ns, later) == (5 * DAY_NS, 5 * DAY_NS + HOUR_NS)
    with pytest.raises(AttributeError):
        before.t_ns = later  # type: ignore[misc]
    assert isinstance(before, Cds)


def test_03_adding_up_to_midnight_is_the_next_day() -> None:
    """Exactly midnight is millisecond 0 of the next day; the peer leaves 86,400,000 of the old."""
    last = decode_cds(pack_cds(DAY_NS - 10**6))
    octets = pack_cds(last.t_ns + 10**6)
    assert octets == bytes.fromhex("40") + (1).to_bytes(2, "big") + bytes(4)
    # rounding carries over midnight as well
    assert pack_cds(DAY_NS - 1) == octets


def test_04_every_sequence_flag_has_its_own_name_and_text() -> None:
    """The four flags read as what they are; the peer raises for first and prints FIRST for last."""
    names = {
        space_packet.CONTINUATION: 0b00,
        space_packet.FIRST: 0b01,
        space_packet.LAST: 0b10,
        space_packet.UNSEGMENTED: 0b11,
    }
    assert list(names) == list(names.values())
    for flags in names:
        packet = space_packet.unpack(space_packet.pack(1, 2, b"x", seq_flags=flags))
        assert f"seq_flags={flags}" in str(packet)


def test_05_the_longest_transfer_frame_is_taken() -> None:
    """A TM frame of 2,048 octets is made and read; the peer refuses what it names as its limit."""
    encoder = tm_frame.Encoder(Frames("tm", 2048, 0x2F6, ocf=True))
    packet = space_packet.pack(1, 2, bytes(encoder.data_nbytes - 6))
    encoder.add(0, packet)
    frame = encoder.next_frame(0, bytes(4))
    assert frame is not None
    assert len(frame) == 2048
    assert tm_frame.Receiver(Frames("tm", 2048, 0x2F6, ocf=True)).frame(frame) == [(0, packet)]
    with pytest.raises(FieldRangeError, match="2048"):
        tm_frame.Encoder(Frames("tm", 2049, 0x2F6, ocf=True))


def test_06_a_virtual_channel_beyond_its_bits_is_refused() -> None:
    """Virtual channel 9 is an error; the peer writes its top bit into the spacecraft's number."""
    encoder = tm_frame.Encoder(Frames("tm", 128, 0x2F6, ocf=True))
    for vcid in (8, 9, -1):
        with pytest.raises(FieldRangeError, match=f"virtual channel {vcid}"):
            encoder.add(vcid, space_packet.pack(1, 2, b"x"))
        with pytest.raises(FieldRangeError, match=f"virtual channel {vcid}"):
            encoder.idle_frame(bytes(4), vcid=vcid)
    frame = encoder.idle_frame(bytes(4), vcid=7)
    assert (frame[0] << 8 | frame[1]) >> 4 == 0x2F6


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("kind", ["f", "d"])
def test_07_floats_off_an_octet_boundary_are_right(bit: int, kind: str) -> None:
    """3.5 is 3.5 at every bit offset; the peer gives 1.8e-312 without a word."""
    number = c.Float32b if kind == "f" else c.Float64b
    width = 8 * struct.calcsize(kind)
    layout = compile_layout(
        c.BitStruct(
            "before" / c.BitsInteger(bit + 1),
            "value" / c.Bytewise(number),
            "behind" / c.BitsInteger(7 - bit),
        )
        if bit < 7
        else c.BitStruct("before" / c.BitsInteger(8), "value" / c.Bytewise(number))
    )
    for value in (3.5, -0.0, 1.25e-30, float("inf")):
        raw = int.from_bytes(struct.pack(">" + kind, value), "big")
        octets = (raw << 7 - bit).to_bytes(1 + width // 8, "big")
        assert layout.decode(octets)["value"] == pytest.approx(value, rel=1e-7)
        assert (
            layout.decode_columns(octets * 3)["value"].tolist()
            == [layout.decode(octets)["value"]] * 3
        )
        values = {"before": 0, "value": layout.decode(octets)["value"], "behind": 0}
        assert layout.encode(values) == octets


@pytest.mark.parametrize("bit", range(1, 8))
def test_08_integers_of_64_bits_may_begin_at_any_bit(bit: int) -> None:
    """A 64-bit field over nine octets is read; the peer raises TypeError in both decoders."""
    layout = compile_layout(
        c.BitStruct(
            "before" / c.BitsInteger(bit),
            "value" / c.BitsInteger(64),
            "behind" / c.BitsInteger(8 - bit),
        )
    )
    for value in (1, 2**63, 2**64 - 1, 0x0123456789ABCDEF):
        octets = (((1 << bit) - 1) << 72 - bit | value << 8 - bit).to_bytes(9, "big")
        assert layout.decode(octets)["value"] == value
        assert layout.decode_columns(octets * 2)["value"].tolist() == [value] * 2
        assert layout.encode({"before": (1 << bit) - 1, "value": value, "behind": 0}) == octets


def test_09_one_longer_packet_shifts_no_other() -> None:
    """Fields of every packet are right beside a longer one; the peer gives 196,608 for 3."""
    layout = compile_layout(c.Struct(c.Padding(6), "value" / c.Int32ub))
    sent = [space_packet.pack(1, i, i.to_bytes(4, "big") + bytes(2 * (i == 2))) for i in range(6)]
    table = scan(b"".join(sent))
    columns = layout.decode_columns(table.buf, offsets=table.offset)
    assert columns["value"].tolist() == list(range(6))
    assert table.nbytes.tolist() == [10, 10, 12, 10, 10, 10]


def test_10_sequence_counts_are_written_as_given() -> None:
    """20,000 packets from columns have the counts that were given, over the wrap; the peer begins
    at 0 whatever it is told and fails after 16,384.
    """
    layout = compile_layout(
        c.Struct(
            "id" / c.Int16ub,
            "control" / c.BitStruct("flags" / c.BitsInteger(2), "seq" / c.BitsInteger(14)),
            "length" / c.Int16ub,
            "value" / c.Int32ub,
        )
    )
    seq = (np.arange(20_000) + 777) % 16_384
    columns = {
        "id": np.full(20_000, 0x0805),
        "control.flags": np.full(20_000, 3),
        "control.seq": seq,
        "length": np.full(20_000, 3),
        "value": np.arange(20_000),
    }
    table = scan(layout.encode_columns(columns))
    assert np.array_equal(table.seq, seq)
    assert not table.lost_before.any()
    with pytest.raises(FieldRangeError, match=r"control\.seq"):
        layout.encode_columns(columns | {"control.seq": np.arange(20_000)})


def test_11_a_wrap_of_the_count_is_no_gap() -> None:
    """16,383 is followed by 0 in order; the peer reports packets out of order."""
    sent = [space_packet.pack(1, i % 16_384, b"x") for i in range(16_380, 16_390)]
    table = scan(b"".join(sent))
    tracker = Tracker()
    verdicts = tracker.follow(table).verdict.tolist()
    assert verdicts == [Verdict.FIRST] + [Verdict.NEXT] * 9
    assert {name for name, n in tracker.totals.items() if n} == {"packets", "octets"}


@pytest.mark.parametrize(("apid", "seq"), [(5000, 0), (0, 20_000), (2048, 0), (0, 16_384)])
def test_12_header_values_do_not_spill_into_their_neighbours(apid: int, seq: int) -> None:
    """APID 5000 and sequence count 20,000 are errors; the peer writes them into other fields."""
    with pytest.raises(FieldRangeError, match="do not fit"):
        space_packet.pack(apid, seq, b"x")
