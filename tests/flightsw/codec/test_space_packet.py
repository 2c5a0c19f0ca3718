"""Space packets: headers, limits, and the scan of a stream."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.packet import space_packet

packets = st.builds(
    lambda apid, seq, flags, tc, secondary, data: space_packet.SpacePacket(
        apid, seq, flags, tc, secondary, data, 6 + len(data)
    ),
    st.integers(0, 2047),
    st.integers(0, 16383),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.binary(min_size=1, max_size=80),
)


def packed(packet: space_packet.SpacePacket) -> bytes:
    """Return a packet's octets."""
    return space_packet.pack(
        packet.apid,
        packet.seq,
        packet.data,
        telecommand=packet.telecommand,
        secondary=packet.secondary,
        seq_flags=packet.seq_flags,
    )


@settings(deadline=None)
@given(st.binary(max_size=9), packets, st.binary(max_size=9))
def test_unpack_inverts_pack_anywhere(
    before: bytes, packet: space_packet.SpacePacket, behind: bytes
) -> None:
    """A packet comes back as it was, at any offset and with anything around it."""
    assert space_packet.unpack(before + packed(packet) + behind, len(before)) == packet


@settings(deadline=None)
@given(st.lists(packets, max_size=20), st.integers(0, 60))
def test_scan_equals_one_by_one(sent: list[space_packet.SpacePacket], cut: int) -> None:
    """The columns of a scan hold what unpack gives; an incomplete packet at the end stays."""
    stream = b"".join(map(packed, sent))
    stream = stream[: max(0, len(stream) - cut)]
    table = space_packet.scan(stream)
    at = 0
    for i in range(len(table.offset)):
        one = space_packet.unpack(stream, at)
        assert table.offset[i] == at
        assert (table.apid[i], table.seq[i], table.seq_flags[i]) == one[:3]
        assert (table.telecommand[i], table.secondary[i]) == one[3:5]
        assert table.nbytes[i] == one.total_nbytes
        at += one.total_nbytes
    assert table.consumed == at
    if at < len(stream):
        with pytest.raises(TruncatedError):
            space_packet.unpack(stream, at)


def test_scan_stops_at_its_capacity() -> None:
    """A scan for three packets takes three and says where the fourth begins."""
    stream = b"".join(space_packet.pack(1, i, bytes(i + 1)) for i in range(5))
    table = space_packet.scan(stream, 3)
    assert table.seq.tolist() == [0, 1, 2]
    assert table.consumed == 3 * 6 + 1 + 2 + 3
    assert table.offset.dtype == np.uint64


def test_scan_names_the_octet_that_is_no_packet() -> None:
    """Garbage behind packets is an error that says at which octet it stands."""
    good = space_packet.pack(1, 1, b"abc")
    with pytest.raises(SyncError, match="octet 9 version 7"):
        space_packet.scan(good + b"\xff" * 20)


@pytest.mark.parametrize(
    ("apid", "seq", "flags"),
    [(5000, 0, 3), (0, 20000, 3), (-1, 0, 3), (0, -1, 3), (0, 0, 4), (2048, 16384, 3)],
)
def test_values_do_not_leak_into_neighbours(apid: int, seq: int, flags: int) -> None:
    """What does not fit its field is refused instead of spilling into the next one."""
    with pytest.raises(FieldRangeError, match="do not fit"):
        space_packet.pack(apid, seq, b"x", seq_flags=flags)


@pytest.mark.parametrize("nbytes", [0, 65_537])
def test_data_field_is_never_empty_nor_beyond_its_length_field(nbytes: int) -> None:
    """A packet has 1 to 65,536 octets of data."""
    with pytest.raises(FieldRangeError, match=f"{nbytes} octets"):
        space_packet.pack(1, 1, bytes(nbytes))


def test_longest_packet() -> None:
    """A packet of 65,542 octets is made and read."""
    packet = space_packet.pack(1, 1, bytes(65_536))
    assert space_packet.unpack(packet).total_nbytes == len(packet) == 65_542
    assert space_packet.scan(packet).nbytes.tolist() == [65_542]


def test_sequence_flags_have_their_values() -> None:
    """First, continuation, last and unsegmented are the codes 1, 0, 2 and 3 of the header."""
    for flags, top in (
        (space_packet.FIRST, 0x40),
        (space_packet.CONTINUATION, 0x00),
        (space_packet.LAST, 0x80),
        (space_packet.UNSEGMENTED, 0xC0),
    ):
        packet = space_packet.pack(1, 0, b"x", seq_flags=flags)
        assert packet[2] == top
        assert space_packet.unpack(packet).seq_flags == flags


def test_version_must_be_zero() -> None:
    """A header of another version is refused."""
    with pytest.raises(SyncError, match="version 1"):
        space_packet.unpack(b"\x20" + bytes(9))
