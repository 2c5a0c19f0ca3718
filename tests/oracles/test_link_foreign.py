"""What the ground received over the link in a flight, read by spacepackets and puslib."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from puslib.packet import PusTmPacket
from puslib.time import CucTime
from spacepackets.ccsds.tm_frame import TmTransferFrame
from spacepackets.ecss import PusTm

from flightsw.codec.coding import randomiser
from flightsw.codec.link import cop1, tm_frame
from flightsw.codec.packet import pus
from flightsw.codec.wire import Kind, Status
from hil.board import load_board
from hil.missions import load
from hil.rig import FRAME_NBYTES, Rig
from hil.supervisor import Supervisor
from hil.uut import DirectFlight

TIME_NBYTES = 8
EPOCH = datetime(2023, 4, 4, 2, 38, tzinfo=UTC)
WANTED = {(1, 1), (1, 3), (1, 7), (3, 25), (5, 1), (11, 13), (13, 1), (13, 2), (13, 3), (17, 2)}


@pytest.fixture(scope="module")
def flight(tmp_path_factory):
    """A rig after two passes, and the link records of it."""
    records = []
    rig = Rig(
        load_board("raspberrypi4"),
        load("tiansuan_bupt1"),
        seed=5,
        duration_s=1100,
        inference="threshold",
    )
    plain = rig.radio.record

    def tap(kind, channel, flags, status, *rest):
        if kind == Kind.TM:
            records.append((status, rest[-1]))
        return plain(kind, channel, flags, status, *rest)

    rig.radio.record = tap
    supervisor = Supervisor(rig)
    supervisor.flight = DirectFlight(supervisor, tmp_path_factory.mktemp("storage"))
    supervisor.flight.run()
    return rig, records


def test_every_received_packet_reads_the_same_in_both(flight):
    """Header fields, type, counter and source data of each packet are what both libraries read."""
    rig, _ = flight
    seen = Counter()
    for _, _, packet in rig.ground.archive:
        ours = pus.unpack_tm(packet)
        theirs = PusTm.unpack(packet, timestamp_len=TIME_NBYTES)
        assert bytes(theirs.pack()) == packet
        assert (theirs.apid, theirs.seq_count) == (ours.apid, ours.seq)
        assert (theirs.service, theirs.message_subtype) == (ours.service, ours.subtype)
        assert bytes(theirs.source_data) == ours.data
        cuc = CucTime(basic_unit_length=4, frac_unit_length=3, epoch=EPOCH)
        other = PusTmPacket.deserialize(packet, cuc_time=cuc)
        assert (other.service, other.subservice) == (ours.service, ours.subtype)
        assert (other.source_data or b"") == ours.data
        assert other.serialize() == packet
        seen[ours.service, ours.subtype] += 1
    assert set(seen) >= WANTED, f"missing: {WANTED - set(seen)}"


def test_every_good_frame_reads_the_same_in_spacepackets(flight):
    """Identifiers and control field of each undamaged frame are what spacepackets reads."""
    _, records = flight
    good = [payload for status, payload in records if status == Status.OK]
    assert len(good) > 300
    for cadu in good:
        frame = randomiser.tm_randomise(cadu[len(tm_frame.ASM) :])
        assert len(frame) == FRAME_NBYTES
        theirs = TmTransferFrame.unpack(frame, FRAME_NBYTES, has_error_control_field=True)
        head = theirs.primary_header
        assert head.master_channel_id.spacecraft_id == 261
        assert head.vc_id in {0, 1, 7}
        clcw = cop1.Clcw.unpack(bytes(theirs.op_ctrl_field))
        assert (clcw.vcid, clcw.lockout) == (0, False)
