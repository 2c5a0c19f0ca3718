"""Packets and frames against four independent libraries.

spacepackets and puslib for headers and PUS, ccsdspy and space_packet_parser for streams. Each
comparison takes 100,000 random cases, those that are slow only with ``-m soak`` and a few hundred
without.
"""

import io
import random
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from puslib.packet import AckFlag, PusTcPacket, PusTmPacket
from puslib.time import CucTime
from spacepackets.ccsds import SpacePacketHeader
from spacepackets.ccsds.spacepacket import PacketType, SequenceFlags
from spacepackets.ccsds.tm_frame import TmTransferFrame
from spacepackets.ecss import PusTc, PusTm, tc_pus_a, tm_pus_a
from spacepackets.util import UnsignedByteField

from flightsw.codec import time_code
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus, space_packet
from flightsw.codec.packet.find import PacketFinder, scan
from flightsw.codec.packet.pus_format import PUS_C, PUS_VERSION_A, PusFormat
from flightsw.codec.packet.sequence import Joiner
from flightsw.codec.time_code import TimeFormat

RANDOM = random.Random(20260101)
COUNT = 500
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CASES = pytest.mark.parametrize("count", [COUNT, pytest.param(100_000, marks=pytest.mark.soak)])


def telecommands(count: int = COUNT) -> Iterator[dict[str, Any]]:
    """Yield random telecommands by field."""
    for _ in range(count):
        yield {
            "apid": RANDOM.randrange(2048),
            "seq": RANDOM.randrange(16384),
            "ack": RANDOM.randrange(16),
            "service": RANDOM.randrange(256),
            "subtype": RANDOM.randrange(256),
            "source": RANDOM.randrange(65536),
            "data": RANDOM.randbytes(RANDOM.choice([0, 1, 7, 100, 300])),
        }


def reports(count: int = COUNT) -> Iterator[dict[str, Any]]:
    """Yield random telemetry by field."""
    for _ in range(count):
        yield {
            "apid": RANDOM.randrange(2048),
            "seq": RANDOM.randrange(16384),
            "service": RANDOM.randrange(256),
            "subtype": RANDOM.randrange(256),
            "counter": RANDOM.randrange(65536),
            "destination": RANDOM.randrange(65536),
            "t_ns": RANDOM.randrange(10**18),
            "data": RANDOM.randbytes(RANDOM.choice([0, 1, 7, 100, 300])),
        }


@CASES
def test_telecommands_equal_spacepackets(count: int) -> None:
    """Random telecommands are the same octets from us and spacepackets, and read back alike."""
    for tc in telecommands(count):
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
        assert ours == bytes(theirs.pack()) == PUS_C.pack_tc(**tc)
        read = PusTc.unpack(ours)
        assert (read.apid, read.seq_count, read.source_id) == (tc["apid"], tc["seq"], tc["source"])
        assert (read.service, read.message_subtype) == (tc["service"], tc["subtype"])
        assert bytes(read.app_data) == tc["data"]
        assert pus.unpack_tc(bytes(theirs.pack()))._asdict() == tc


@CASES
def test_telecommands_equal_puslib(count: int) -> None:
    """Random telecommands are the same octets from us and from puslib, and read back alike."""
    for tc in telecommands(count):
        ours = pus.pack_tc(**tc)
        other = PusTcPacket.create(
            apid=tc["apid"],
            name=tc["seq"],
            ack_flags=AckFlag(tc["ack"]),
            service_type=tc["service"],
            service_subtype=tc["subtype"],
            source=tc["source"],
            data=tc["data"],
        )
        octets = other.serialize()
        assert ours == octets
        assert pus.unpack_tc(octets)._asdict() == tc
        read = PusTcPacket.deserialize(ours)
        assert (read.apid, read.name, read.source) == (tc["apid"], tc["seq"], tc["source"])
        assert (read.service, read.subservice) == (tc["service"], tc["subtype"])
        assert (read.app_data or b"") == tc["data"]


@CASES
def test_telemetry_equals_spacepackets(count: int) -> None:
    """Random reports of spacepackets are our octets, and each reads the other's."""
    for tm in reports(count):
        packet = pus.pack_tm(**tm)
        stamp = time_code.pack_cuc(tm["t_ns"])
        made = PusTm(
            tm["service"],
            tm["subtype"],
            stamp,
            source_data=tm["data"],
            apid=tm["apid"],
            seq_count=tm["seq"],
            message_counter=tm["counter"],
            destination_id=tm["destination"],
        )
        assert bytes(made.pack()) == packet
        theirs = PusTm.unpack(packet, timestamp_len=time_code.CUC_NBYTES)
        assert (theirs.apid, theirs.seq_count) == (tm["apid"], tm["seq"])
        assert (theirs.service, theirs.message_subtype) == (tm["service"], tm["subtype"])
        assert bytes(theirs.source_data) == tm["data"]
        assert theirs.timestamp == stamp
        read = pus.unpack_tm(bytes(made.pack()))
        assert read._replace(t_ns=0)._asdict() == tm | {"t_ns": 0}


@CASES
def test_telemetry_equals_puslib(count: int) -> None:
    """Random reports hold for puslib what we put in, and it writes the same octets."""
    cuc = CucTime(basic_unit_length=4, frac_unit_length=3, epoch=EPOCH)
    for tm in reports(count):
        packet = pus.pack_tm(**tm)
        other = PusTmPacket.deserialize(packet, cuc_time=cuc)
        assert (other.apid, other.seq_count) == (tm["apid"], tm["seq"])
        assert (other.service, other.subservice) == (tm["service"], tm["subtype"])
        assert (other.counter, other.destination) == (tm["counter"], tm["destination"])
        assert (other.source_data or b"") == tm["data"]
        assert other.serialize() == packet


@CASES
def test_pus_a_equals_spacepackets(count: int) -> None:
    """Random PUS-A telecommands and reports, with and without optional fields, are equal octets."""
    formats = [
        PusFormat(PUS_VERSION_A, counter, 0, source, TimeFormat("cds", 2, 0, epoch=1))
        for counter in (0, 1)
        for source in (0, 1, 2)
    ]
    for tm, tc in zip(reports(count), telecommands(count), strict=True):
        mission = RANDOM.choice(formats)
        width, counted = mission.source_nbytes, mission.counter_nbytes == 1
        tc["source"] &= (1 << 8 * width) - 1
        ours = mission.pack_tc(**tc)
        theirs = tc_pus_a.PusTc(
            service=tc["service"],
            subservice=tc["subtype"],
            apid=tc["apid"],
            app_data=tc["data"],
            source_id=UnsignedByteField(tc["source"], width) if width else None,
            seq_count=tc["seq"],
            ack_flags=tc["ack"],
        )
        assert ours == bytes(theirs.pack())
        assert mission.unpack_tc(bytes(theirs.pack()))._asdict() == tc
        again = tc_pus_a.PusTc.unpack(ours, source_id_len=width or None)
        assert (again.service, again.subservice, again.apid) == (*ours[7:9], tc["apid"])
        assert bytes(again.app_data) == tc["data"]
        assert mission.time is not None
        tm |= {"counter": tm["counter"] & (255 * counted), "destination": 0}
        tm["t_ns"] = tm["t_ns"] // 10**6 * 10**6
        ours = mission.pack_tm(**tm)
        report = tm_pus_a.PusTm(
            tm["service"],
            tm["subtype"],
            mission.time.preamble() + mission.time.pack(tm["t_ns"]),
            tm["data"],
            tm["apid"],
            tm["seq"],
            message_counter=tm["counter"] if counted else None,
        )
        assert ours == bytes(report.pack())
        assert mission.unpack_tm(bytes(report.pack()))._asdict() == tm
        read = tm_pus_a.PusTm.unpack(ours, 7, has_message_counter=counted, dest_id_len=None)
        assert bytes(read._source_data) == tm["data"]


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
    """Random primary headers are the same octets from both, and read alike by both."""
    for tc in telecommands(100_000):
        data, kind, flags = tc["data"] or b"x", tc["ack"] & 1, tc["ack"] >> 2
        ours = space_packet.pack(
            tc["apid"],
            tc["seq"],
            data,
            telecommand=bool(kind),
            secondary=bool(tc["ack"] & 2),
            seq_flags=flags,
        )
        header = SpacePacketHeader.unpack(ours)
        assert (header.apid, header.seq_count, header.data_len) == (
            tc["apid"],
            tc["seq"],
            len(data) - 1,
        )
        made = SpacePacketHeader(
            PacketType(kind),
            tc["apid"],
            tc["seq"],
            len(data) - 1,
            bool(tc["ack"] & 2),
            SequenceFlags(flags),
        )
        assert bytes(header.pack()) == bytes(made.pack()) == ours[:6]
        read = space_packet.unpack(bytes(made.pack()) + data)
        assert read[:3] == (tc["apid"], tc["seq"], flags)
        assert (read.telecommand, read.secondary, read.data) == (
            bool(kind),
            bool(tc["ack"] & 2),
            data,
        )


def mixed_stream(count: int) -> list[bytes]:
    """Return random packets of any kind."""
    return [
        space_packet.pack(
            RANDOM.randrange(2048),
            RANDOM.randrange(16384),
            RANDOM.randbytes(RANDOM.choice([1, 2, 20, 90])),
            telecommand=RANDOM.random() < 0.5,
            secondary=RANDOM.random() < 0.5,
            seq_flags=RANDOM.randrange(4),
        )
        for _ in range(count)
    ]


def test_streams_split_as_by_space_packet_parser() -> None:
    """A stream is cut into the same packets with the same headers, and packed the same."""
    spp = pytest.importorskip("space_packet_parser.generators.ccsds")
    stream = b"".join(mixed_stream(100_000))
    table, made = scan(stream), []
    rows = zip(
        table.telecommand.tolist(),
        table.secondary.tolist(),
        table.apid.tolist(),
        table.seq_flags.tolist(),
        table.seq.tolist(),
        table.nbytes.tolist(),
        table.pieces(),
        spp.ccsds_generator(stream),
        strict=True,
    )
    for kind, secondary, apid, flags, seq, nbytes, ours, theirs in rows:
        assert theirs.header_values == (0, kind, secondary, apid, flags, seq, nbytes - 7)
        assert theirs == ours
        made.append(
            spp.create_ccsds_packet(
                bytes(ours[6:]),
                type=int(kind),
                secondary_header_flag=int(secondary),
                apid=apid,
                sequence_flags=flags,
                sequence_count=seq,
            )
        )
    assert len(made) == 100_000
    assert b"".join(made) == stream


@CASES
def test_streams_split_as_by_ccsdspy(count: int) -> None:
    """Packets, primary header columns and the split by APID are those of ccsdspy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("ccsdspy.utils")
    sent = mixed_stream(count)
    stream = b"".join(sent)
    table = scan(stream)
    assert [bytes(piece) for piece in table.pieces()] == sent
    assert utils.split_packet_bytes(io.BytesIO(stream)) == sent
    parts = utils.split_by_apid(io.BytesIO(stream))
    ours = table.by_apid()
    assert {apid: part.gather() for apid, part in ours.items()} == {
        apid: octets.read() for apid, octets in parts.items()
    }
    theirs = utils.read_primary_headers(io.BytesIO(stream))
    for name, column in (
        ("CCSDS_PACKET_TYPE", table.telecommand),
        ("CCSDS_SECONDARY_FLAG", table.secondary),
        ("CCSDS_SEQUENCE_FLAG", table.seq_flags),
        ("CCSDS_APID", table.apid),
        ("CCSDS_SEQUENCE_COUNT", table.seq),
        ("CCSDS_PACKET_LENGTH", table.nbytes - 7),
    ):
        assert np.array_equal(theirs[name], column)


def test_segments_join_as_by_space_packet_parser() -> None:
    """Segmented packets of one APID at a time are put together as space_packet_parser does."""
    spp = pytest.importorskip("space_packet_parser.generators.ccsds")
    stream, seq = [], 0
    while len(stream) < 100_000:
        apid, parts = RANDOM.randrange(2047), RANDOM.randrange(1, 6)
        flags = [3] if parts == 1 else [1, *[0] * (parts - 2), 2]
        for flag in flags:
            data = RANDOM.randbytes(RANDOM.randrange(5, 40))
            stream.append(space_packet.pack(apid, seq, data, seq_flags=flag))
            seq = (seq + 1) % 16384
    octets = b"".join(stream)
    theirs = spp.ccsds_generator(octets, combine_segmented_packets=True, secondary_header_bytes=4)
    ours = Joiner(secondary_nbytes=4).join(scan(octets))
    for unit, packet in zip(ours, theirs, strict=True):
        assert (unit.apid, unit.seq) == (packet.apid, packet.sequence_count)
        assert unit.data == packet[6:]


def test_pus_columns_are_what_spacepackets_reads() -> None:
    """The columns of a stream hold, row by row, what spacepackets unpacks."""
    sent = list(reports())
    stream = b"".join(pus.pack_tm(**tm) for tm in sent if tm["apid"] != space_packet.IDLE_APID)
    table = PacketFinder(error_control=True).find(stream)
    columns = PUS_C.tm_columns(table)
    assert columns.good.all()
    assert table.ok.all()
    for i, piece in enumerate(table.pieces()):
        theirs = PusTm.unpack(bytes(piece), timestamp_len=time_code.CUC_NBYTES)
        head = theirs.pus_tm_sec_header
        assert (columns.service[i], columns.subtype[i]) == (theirs.service, theirs.message_subtype)
        assert (columns.counter[i], columns.party[i]) == (head.message_counter, head.dest_id)
        assert columns.t_ns[i] == time_code.unpack_cuc(theirs.timestamp)
        at = int(columns.data_offset[i])
        assert stream[at : at + int(columns.data_nbytes[i])] == theirs.source_data


@pytest.mark.parametrize("vcid", [0, 1, 7])
def test_frames_read_the_same_in_spacepackets(vcid: int) -> None:
    """Header fields, data, control field and check of our frames are what spacepackets reads."""
    encoder = tm_frame.Encoder(Frames("tm", 1115, 0x2F6, ocf=True))
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
