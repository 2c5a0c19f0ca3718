"""Packets of capture files by their link type, as wire records.

SocketCAN (LINKTYPE_CAN_SOCKETCAN, 227) is ``struct can_frame`` or ``canfd_frame`` with its
identifier in network order; Linux I2C (LINKTYPE_I2C_LINUX, 209) a bus number, flags, and one
message from its address octet on. A link type of the user's that holds whole wire records is what
``hil export`` writes: those come back as they were, also CAN frames, which carry the header of
their record behind them. Packets of any other link type become octets of a serial line.
"""

from __future__ import annotations

from collections import Counter

from flightsw.codec.bus_payload import I2C_READ, pack_i2c_reply
from flightsw.codec.wire import FIRST_DIGEST_KIND, HEADER, HEADER_NBYTES, Flag, Kind
from hil.capture.importing.unit import Unit

LINKTYPE_USER0, LINKTYPE_USER15 = 147, 162
LINKTYPE_I2C_LINUX = 209
LINKTYPE_CAN_SOCKETCAN = 227
#: which way a packet went, as the flags of pcapng say
UNKNOWN, INBOUND, OUTBOUND = 0, 1, 2

_CAN_HEAD_NBYTES = 8
_CAN_MOST_NBYTES = 64
_CAN_FD = 0x04  # of struct canfd_frame; BRS 1, ESI 2
_FORMAT_SHIFT = 4
_KINDS = frozenset(int(kind) for kind in Kind if kind >= FIRST_DIGEST_KIND)


def unit_of(
    link_type: int,
    data: bytes,
    whole: int,
    t_ns: int,
    name: str,
    way: int,
    counters: Counter[str],
) -> Unit | None:
    """Return what a packet of ``whole`` octets says, of which ``data`` was kept; None: it cannot be
    a record, and was counted.

    An interface without a name is called after what it carries.
    """
    if link_type == LINKTYPE_CAN_SOCKETCAN:
        return _can(data, t_ns, name or "can0", way, counters)
    if link_type == LINKTYPE_I2C_LINUX:
        return _i2c(data, t_ns, name, counters)
    name = name or "interface0"
    if LINKTYPE_USER0 <= link_type <= LINKTYPE_USER15:
        unit = _ours(data, t_ns, name)
        if unit is not None:
            return unit
        if len(data) < whole and _length(data) == whole:
            counters["skipped_cut_records"] += 1
            return None
    counters["octets_of_other_link_types"] += 1
    return Unit(t_ns, Kind.UART, name, data, _input(way))


def _input(way: int) -> int:
    """Return the flags of what went this way; what tells nothing was heard, so it came in."""
    return 0 if way == OUTBOUND else int(Flag.INPUT)


def _ours(record: bytes, t_ns: int, name: str) -> Unit | None:
    """Return a packet that is a whole wire record of a run; None: it is something else."""
    if len(record) < HEADER_NBYTES:
        return None
    kind, channel, flags, status, length, at_ns, duration_ns, seq, address = HEADER.unpack_from(
        record
    )
    if kind not in _KINDS or length != len(record) - HEADER_NBYTES or at_ns > t_ns:
        return None
    payload = record[HEADER_NBYTES:]
    return Unit(
        *(t_ns, kind, name, payload, flags, status, duration_ns, address),
        *(channel, seq, t_ns - at_ns),
    )


def _length(record: bytes) -> int:
    """Return how long the wire record is that begins with these octets."""
    return HEADER_NBYTES + int(HEADER.unpack_from(record)[4]) if len(record) >= HEADER_NBYTES else 0


def _can(data: bytes, t_ns: int, name: str, way: int, counters: Counter[str]) -> Unit | None:
    if len(data) < _CAN_HEAD_NBYTES:
        counters["skipped_cut_packets"] += 1
        return None
    can_id, length, form = int.from_bytes(data[:4], "big"), data[4], data[5]
    body = data[_CAN_HEAD_NBYTES : _CAN_HEAD_NBYTES + length]
    if length > _CAN_MOST_NBYTES or len(body) < length:
        counters["skipped_cut_packets"] += 1
        return None
    ours = _ours(data[_CAN_HEAD_NBYTES + length :] + body, t_ns, name)
    if ours is not None and (ours.kind, ours.address) == (Kind.CAN, can_id):
        return ours
    flags = (form & 0x07) << _FORMAT_SHIFT if form & _CAN_FD or length > 8 else 0
    if flags or length > 8:
        flags |= int(Flag.CAN_FD)
    return Unit(t_ns, Kind.CAN, name, body, flags | _input(way), address=can_id)


def _i2c(data: bytes, t_ns: int, name: str, counters: Counter[str]) -> Unit | None:
    """Return one message as a completed transaction of its own.

    A capture of this kind does not say which messages were one transaction, nor what was refused.
    """
    if len(data) < 5:
        counters["skipped_cut_packets"] += 1
        return None
    if data[0] & 0x80 or len(data) == 5:
        counters["skipped_i2c_events"] += 1
        return None
    address, body = data[5] >> 1, data[6:]
    read = data[5] & 1
    message = (address, I2C_READ if read else 0, len(body) if read else body)
    payload = pack_i2c_reply([message], [body] if read else [])
    name = name or f"i2c-{data[0]}"
    return Unit(t_ns, Kind.I2C, name, payload, int(Flag.REPLY), address=address)
