"""PUS packets: published octets, inverses, and one exception for each way of being wrong."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.packet import pus, space_packet
from flightsw.codec.time_code import pack_cuc

octet, word = st.integers(0, 255), st.integers(0, 65535)


def with_pec(body: bytes) -> bytes:
    """Return a packet body with a right error control, whatever else it says."""
    return body + crc16(body).to_bytes(2, "big")


def test_published_packets() -> None:
    """TC[17,1] and TM[17,2] of APID 1 are the published octets."""
    assert pus.pack_tc(1, 0, 17, 1, b"").hex().upper() == "1801C00000062F11010000161D"
    tm = pus.pack_tm(1, 0, 17, 2, b"", t_ns=None, counter=0)
    assert tm.hex().upper() == "0801C00000082011020000000086D7"
    assert pus.unpack_tm(tm, 0) == (1, 0, 17, 2, 0, 0, None, b"")


@settings(deadline=None)
@given(
    st.integers(0, 2047),
    st.integers(0, 16383),
    octet,
    octet,
    st.binary(max_size=200),
    st.integers(0, 10**18),
    word,
    word,
    st.integers(0, 15),
)
def test_telemetry_comes_back(
    apid: int,
    seq: int,
    service: int,
    subtype: int,
    data: bytes,
    t_ns: int,
    counter: int,
    destination: int,
    status: int,
) -> None:
    """Every field of a telemetry packet comes back, the time within half a unit."""
    packet = pus.pack_tm(
        apid,
        seq,
        service,
        subtype,
        data,
        t_ns=t_ns,
        counter=counter,
        destination=destination,
        time_status=status,
    )
    tm = pus.unpack_tm(packet)
    assert tm[:6] == (apid, seq, service, subtype, counter, destination)
    assert tm.data == data
    assert tm.t_ns is not None
    assert pack_cuc(tm.t_ns) == pack_cuc(t_ns)
    assert packet[6] == 0x20 | status


@settings(deadline=None)
@given(
    st.integers(0, 2047),
    st.integers(0, 16383),
    st.integers(0, 15),
    octet,
    octet,
    word,
    st.binary(max_size=200),
)
def test_telecommand_comes_back(
    apid: int, seq: int, ack: int, service: int, subtype: int, source: int, data: bytes
) -> None:
    """Every field of a telecommand packet comes back, and it is a space packet as well."""
    packet = pus.pack_tc(apid, seq, service, subtype, data, ack=ack, source=source)
    assert pus.unpack_tc(packet) == (apid, seq, ack, service, subtype, source, data)
    outer = space_packet.unpack(packet)
    assert (outer.apid, outer.seq, outer.telecommand, outer.secondary) == (apid, seq, True, True)


@settings(deadline=None)
@given(st.binary(max_size=40), st.data())
def test_every_truncation_and_every_flipped_bit_is_refused(
    data: bytes, draw: st.DataObject
) -> None:
    """A telecommand cut anywhere, or with any bit wrong, never comes through."""
    packet = pus.pack_tc(5, 6, 8, 1, data)
    with pytest.raises(TruncatedError):
        pus.unpack_tc(packet[: draw.draw(st.integers(0, len(packet) - 1))])
    with pytest.raises(pus.PacketLengthError):
        pus.unpack_tc(packet + b"\x00")
    hurt = bytearray(packet)
    bit = draw.draw(st.integers(0, 8 * len(packet) - 1))
    hurt[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ChecksumError, TruncatedError)):
        pus.unpack_tc(bytes(hurt))


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"", pus.ShortPacketError),
        (with_pec(bytes.fromhex("1801C00000032F11")), pus.ShortPacketError),
        (bytes.fromhex("1801C00000072F11010000161D"), pus.PacketLengthError),
        (bytes.fromhex("1801C00000062F11010000161E"), pus.PecError),
        (with_pec(bytes.fromhex("1801C00000061F11010000")), pus.PusVersionError),
        (with_pec(bytes.fromhex("1001C00000062F11010000")), pus.PusVersionError),
        (with_pec(bytes.fromhex("3801C00000062F11010000")), pus.PusVersionError),
        (with_pec(bytes.fromhex("0801C00000062F11010000")), pus.PacketTypeError),
    ],
)
def test_each_fault_has_its_exception(packet: bytes, error: type[Exception]) -> None:
    """Short, of wrong length, damaged, of another version, and telemetry are told apart."""
    with pytest.raises(error, match="telecommand") as caught:
        pus.unpack_tc(packet)
    assert type(caught.value) is error


def test_faults_belong_to_the_tree_of_errors() -> None:
    """Each fault is also one of the codec's general errors, so that callers may catch few."""
    assert issubclass(pus.PecError, ChecksumError)
    assert issubclass(pus.ShortPacketError, TruncatedError)
    assert issubclass(pus.PusVersionError, SyncError)
    assert issubclass(pus.PacketTypeError, SyncError)


def test_telecommand_is_not_telemetry() -> None:
    """A telecommand given to the telemetry reader is refused by type."""
    with pytest.raises(pus.PacketTypeError, match="marked as telecommand"):
        pus.unpack_tm(pus.pack_tc(1, 1, 1, 1, bytes(20)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"apid": 2048},
        {"seq": 16384},
        {"service": 256},
        {"subtype": -1},
        {"counter": 65536},
        {"destination": 70000},
        {"time_status": 16},
        {"t_ns": -(10**9)},
        {"data": bytes(65536)},
    ],
)
def test_telemetry_values_must_fit(wrong: dict[str, Any]) -> None:
    """A header value that does not fit its field is refused and named with its packet."""
    values: dict[str, Any] = {
        "apid": 1,
        "seq": 1,
        "service": 3,
        "subtype": 25,
        "data": b"",
        "t_ns": 0,
        "counter": 0,
    }
    with pytest.raises(FieldRangeError):
        pus.pack_tm(**values | wrong)


@pytest.mark.parametrize(
    "wrong", [{"apid": 2048}, {"seq": -1}, {"ack": 16}, {"source": 65536}, {"subtype": 256}]
)
def test_telecommand_values_must_fit(wrong: dict[str, Any]) -> None:
    """The same for telecommands."""
    values: dict[str, Any] = {"apid": 1, "seq": 1, "service": 8, "subtype": 1, "data": b""}
    with pytest.raises(FieldRangeError, match=r"TC\[8,"):
        pus.pack_tc(**values | wrong)
