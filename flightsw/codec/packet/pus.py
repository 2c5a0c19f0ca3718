"""Packets of the packet utilisation standard, PUS-C (ECSS-E-ST-70-41C section 7.4).

A PUS packet is a space packet with a secondary header and, as its last two octets, the packet error
control: a CRC over everything before it.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.time_code import CUC_NBYTES, pack_cuc, unpack_cuc

PUS_VERSION = 2

_TM = Struct(">HHHBBBHH")  # primary header, then version, service, subtype, counter, destination
_TC = Struct(">HHHBBBH")  # primary header, then version and flags, service, subtype, source
_PEC = Struct(">H")
_PRIMARY_NBYTES = 6


class ShortPacketError(TruncatedError):
    """A packet has fewer octets than its headers and error control take."""


class PacketLengthError(TruncatedError):
    """A packet's length field and its number of octets disagree."""


class PecError(ChecksumError):
    """The packet error control does not match: the packet was damaged."""


class PusVersionError(SyncError):
    """A packet has no secondary header, or one of another PUS version."""


class PacketTypeError(SyncError):
    """Telemetry where a telecommand belongs, or the other way round."""


class TmPacket(NamedTuple):
    """A telemetry packet; ``t_ns`` is None if it carries no time."""

    apid: int
    seq: int
    service: int
    subtype: int
    counter: int
    destination: int
    t_ns: int | None
    data: bytes


class TcPacket(NamedTuple):
    """A telecommand packet; ``ack`` has bits 1 acceptance, 2 start, 4 progress, 8 completion."""

    apid: int
    seq: int
    ack: int
    service: int
    subtype: int
    source: int
    data: bytes


def pack_tm(
    apid: int,
    seq: int,
    service: int,
    subtype: int,
    data: bytes,
    *,
    t_ns: int | None,
    counter: int,
    destination: int = 0,
    time_status: int = 0,
) -> bytes:
    """Return a telemetry packet; ``t_ns`` since the mission epoch, None leaves the time out."""
    time = b"" if t_ns is None else pack_cuc(t_ns)
    length = _TM.size - _PRIMARY_NBYTES + len(time) + len(data) + 1
    try:
        if not (0 <= apid < 2048 and 0 <= seq < 16_384 and 0 <= time_status < 16):
            raise FieldRangeError("APID, sequence count or time status")
        head = _TM.pack(
            0x0800 | apid,
            0xC000 | seq,
            length,
            PUS_VERSION << 4 | time_status,
            service,
            subtype,
            counter,
            destination,
        )
    except (FieldRangeError, struct_error):
        raise FieldRangeError(
            f"TM[{service},{subtype}] of APID {apid}: a header value does not fit its field"
            f" (sequence {seq}, counter {counter}, destination {destination}, time status"
            f" {time_status}, {len(data)} octets of data); nothing was written"
        ) from None
    body = head + time + data
    return body + _PEC.pack(crc16(body))


def pack_tc(
    apid: int,
    seq: int,
    service: int,
    subtype: int,
    data: bytes,
    *,
    ack: int = 0b1111,
    source: int = 0,
) -> bytes:
    """Return a telecommand packet that asks for the reports in ``ack``."""
    length = _TC.size - _PRIMARY_NBYTES + len(data) + 1
    try:
        if not (0 <= apid < 2048 and 0 <= seq < 16_384 and 0 <= ack < 16):
            raise FieldRangeError("APID, sequence count or acknowledgement flags")
        head = _TC.pack(
            0x1800 | apid, 0xC000 | seq, length, PUS_VERSION << 4 | ack, service, subtype, source
        )
    except (FieldRangeError, struct_error):
        raise FieldRangeError(
            f"TC[{service},{subtype}] of APID {apid}: a header value does not fit its field"
            f" (sequence {seq}, flags {ack}, source {source}, {len(data)} octets of data);"
            " nothing was written"
        ) from None
    body = head + data
    return body + _PEC.pack(crc16(body))


def check_packet(
    packet: bytes,
    header_nbytes: int,
    *,
    telecommand: bool,
    version: int = PUS_VERSION,
    error_control: bool = True,
) -> None:
    """Raise what is wrong with a packet, the most basic fault first, as :func:`unpack_tm` says."""
    name = "telecommand" if telecommand else "telemetry"
    nbytes, least = len(packet), header_nbytes + _PEC.size * error_control
    if nbytes < least:
        raise ShortPacketError(
            f"{name} packet of {nbytes} octets: headers and error control take {least}"
        )
    said = (packet[4] << 8 | packet[5]) + 7
    if said != nbytes:
        raise PacketLengthError(f"{name} packet: says {said} octets, {nbytes} were given")
    if error_control and crc16(packet):
        raise PecError(f"{name} packet of {nbytes} octets: error control does not match; dropped")
    if packet[0] >> 5:
        raise PusVersionError(f"{name} packet: packet version {packet[0] >> 5}, must be 0")
    if bool(packet[0] & 0x10) is not telecommand:
        other = "telemetry" if telecommand else "telecommand"
        raise PacketTypeError(f"{name} packet wanted: this one is marked as {other}")
    if not packet[0] & 0x08 or packet[6] >> 4 != version:
        raise PusVersionError(
            f"{name} packet: no secondary header of PUS version {version}"
            f" (flag {packet[0] >> 3 & 1}, version {packet[6] >> 4})"
        )


def unpack_tm(packet: bytes, time_nbytes: int = CUC_NBYTES, preamble: bytes = b"") -> TmPacket:
    """Take a telemetry packet apart.

    ``time_nbytes`` is the size of the mission's time field, 0 for none; ``preamble`` is what a
    mission that leaves the preamble of its times out would have written there.
    Raises ShortPacketError, PacketLengthError, PecError, PacketTypeError or PusVersionError.
    """
    at = _TM.size + time_nbytes
    check_packet(packet, at, telecommand=False)
    word, sequence, _, _, service, subtype, counter, destination = _TM.unpack_from(packet)
    t_ns = unpack_cuc(preamble + packet[_TM.size : at]) if time_nbytes else None
    data = packet[at : -_PEC.size]
    return TmPacket(
        word & 0x7FF, sequence & 0x3FFF, service, subtype, counter, destination, t_ns, data
    )


def unpack_tc(packet: bytes) -> TcPacket:
    """Take a telecommand packet apart.

    Raises ShortPacketError, PacketLengthError, PecError, PacketTypeError or PusVersionError.
    """
    check_packet(packet, _TC.size, telecommand=True)
    word, sequence, _, flags, service, subtype, source = _TC.unpack_from(packet)
    data = packet[_TC.size : -_PEC.size]
    return TcPacket(word & 0x7FF, sequence & 0x3FFF, flags & 15, service, subtype, source, data)
