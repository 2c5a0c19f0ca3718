"""Packets and frames against two independent libraries, spacepackets and puslib."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from puslib.packet import AckFlag, PusTcPacket, PusTmPacket
from puslib.time import CucTime
from spacepackets.ccsds import SpacePacketHeader
from spacepackets.ccsds.tm_frame import TmTransferFrame
from spacepackets.ecss import PusTc, PusTm

from flightsw.codec import pus, space_packet, time_code, tm_frame

RANDOM = random.Random(20260101)
COUNT = 500
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def telecommands() -> list[dict[str, Any]]:
    """Return random telecommands by field."""
    return [
        {
            "apid": RANDOM.randrange(2048),
            "seq": RANDOM.randrange(16384),
            "ack": RANDOM.randrange(16),
            "service": RANDOM.randrange(256),
            "subtype": RANDOM.randrange(256),
            "source": RANDOM.randrange(65536),
            "data": RANDOM.randbytes(RANDOM.choice([0, 1, 7, 100, 300])),
        }
        for _ in range(COUNT)
    ]


def reports() -> list[dict[str, Any]]:
    """Return random telemetry by field."""
    return [
        {
            "apid": RANDOM.randrange(2048),
            "seq": RANDOM.randrange(16384),
            "service": RANDOM.randrange(256),
            "subtype": RANDOM.randrange(256),
            "counter": RANDOM.randrange(65536),
            "destination": RANDOM.randrange(65536),
            "t_ns": RANDOM.randrange(10**18),
            "data": RANDOM.randbytes(RANDOM.choice([0, 1, 7, 100, 300])),
        }
        for _ in range(COUNT)
    ]


def test_telecommands_equal_two_libraries_octet_for_octet() -> None:
    """500 random telecommands are the same octets from us, spacepackets and puslib."""
    for tc in telecommands():
        ours = pus.pack_tc(**tc)
        theirs = PusTc(
            service=tc["service"],
            message_subtype=tc["subtype"],
            apid=tc["apid"],
            app_data=tc["data"],
            seq_count=tc["seq"],
            source_id=tc["source"],
            ack_flags=tc["ack"],
        )
        assert ours == bytes(theirs.pack())
        other = PusTcPacket.create(
            apid=tc["apid"],
            name=tc["seq"],
            ack_flags=AckFlag(tc["ack"]),
            service_type=tc["service"],
            service_subtype=tc["subtype"],
            source=tc["source"],
            data=tc["data"],
        )
        assert ours == other.serialize()


def test_telemetry_reads_the_same_in_two_libraries() -> None:
    """500 random reports read by spacepackets and puslib hold what we put in, and repack."""
    for tm in reports():
        packet = pus.pack_tm(**tm)
        theirs = PusTm.unpack(packet, timestamp_len=time_code.CUC_NBYTES)
        assert (theirs.apid, theirs.seq_count) == (tm["apid"], tm["seq"])
        assert (theirs.service, theirs.message_subtype) == (tm["service"], tm["subtype"])
        assert bytes(theirs.source_data) == tm["data"]
        assert theirs.timestamp == time_code.pack_cuc(tm["t_ns"])
        assert bytes(theirs.pack()) == packet
        cuc = CucTime(basic_unit_length=4, frac_unit_length=3, epoch=EPOCH)
        other = PusTmPacket.deserialize(packet, cuc_time=cuc)
        assert (other.service, other.subservice) == (tm["service"], tm["subtype"])
        assert (other.source_data or b"") == tm["data"]
        assert other.serialize() == packet


def test_time_field_equals_puslib() -> None:
    """The seven octets of a time mean the same seconds and fraction to puslib."""
    for tm in reports():
        octets = time_code.pack_cuc(tm["t_ns"])
        cuc = CucTime.deserialize(octets, epoch=EPOCH)
        whole, fraction = cuc.time_field
        seconds, rest = divmod(time_code.unpack_cuc(octets), 10**9)
        assert whole == seconds
        assert abs(fraction - (rest << 24) / 10**9) <= 1


def test_space_packet_headers_equal_spacepackets() -> None:
    """Random primary headers are the same octets."""
    for tc in telecommands():
        data = tc["data"] or b"x"
        ours = space_packet.pack(tc["apid"], tc["seq"], data, telecommand=True, secondary=False)
        header = SpacePacketHeader.unpack(ours)
        assert (header.apid, header.seq_count, header.data_len) == (
            tc["apid"],
            tc["seq"],
            len(data) - 1,
        )
        assert bytes(header.pack()) == ours[:6]


@pytest.mark.parametrize("vcid", [0, 1, 7])
def test_frames_read_the_same_in_spacepackets(vcid: int) -> None:
    """Header fields, data, control field and check of our frames are what spacepackets reads."""
    encoder = tm_frame.Encoder(0x2F6, 1115)
    for tm in reports():
        encoder.add(vcid, pus.pack_tm(**tm))
    count, data = 0, b""
    while frame := encoder.next_frame(vcid, bytes.fromhex("01000055")):
        theirs = TmTransferFrame.unpack(frame, 1115, has_error_control_field=True)
        head = theirs.primary_header
        assert head.master_channel_id.spacecraft_id == 0x2F6
        assert head.vc_id == vcid
        assert head.master_ch_frame_count == head.vc_frame_count == count & 0xFF
        assert theirs.op_ctrl_field == bytes.fromhex("01000055")
        assert bytes(theirs.pack()) == frame
        pointer = head.frame_datafield_status.first_header_pointer
        if pointer != tm_frame.POINTER_NONE:
            start = len(data) + pointer
            data += theirs.data_field
            whole = space_packet.scan(data)
            assert start in {*whole.offset.tolist(), whole.consumed}
        count += 1
    assert count > 10
