"""CAN frames as a log of ``candump -L`` (can-utils): ``(1436509052.249713) can0 044#2A366C R``.

The last word says which way a frame went, as ``candump -x`` does: R to the unit under test, T from
it. Times count from 1970 in microseconds, which is what readers of the format take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from flightsw.codec.wire import Flag, Kind, Record, Status, unpack_all
from hil.capture.export.naming import Names

_EXTENDED, _REMOTE, _ERROR = 0x80000000, 0x40000000, 0x20000000
_FORMAT_SHIFT = 4
#: what happened to a frame that was on the bus all the same
_SENT = (Status.OK, Status.OVERRUN, Status.DAMAGED)


def line(record: Record, name: str, epoch_ns: int) -> str:
    """Return the line of a CAN record."""
    at_us = (epoch_ns + record.t_ns) // 1000
    way = "R" if record.flags & Flag.INPUT else "T"
    return f"({at_us // 10**6}.{at_us % 10**6:06d}) {name} {frame(record)} {way}\n"


def frame(record: Record) -> str:
    """Return identifier, format and data of a CAN record as candump writes them."""
    address = record.address
    if address & _ERROR:
        return f"{address & 0x3FFFFFFF:08X}#{record.payload.hex().upper()}"
    number = f"{address & 0x1FFFFFFF:08X}" if address & _EXTENDED else f"{address & 0x7FF:03X}"
    if record.flags & Flag.CAN_FD:
        form = record.flags >> _FORMAT_SHIFT & 3
        return f"{number}##{form:X}{record.payload.hex().upper()}"
    if address & _REMOTE:
        length = len(record.payload)
        return f"{number}#R{length:X}" if length else f"{number}#R"
    return f"{number}#{record.payload.hex().upper()}"


def write(
    buffers: Iterable[bytes], names: Names, epoch_ns: int, put: Callable[[bytes], object]
) -> Counter[str]:
    """Write the CAN frames of buffers of wire records; return what was written and what was not.

    Frames that never were on the bus (status) and records of other kinds are left out, and counted.
    """
    counters: Counter[str] = Counter()
    for buffer in buffers:
        lines = []
        for record in unpack_all(buffer):
            if record.kind != Kind.CAN or len(record.payload) > _most(record):
                counters["records that are no CAN frame"] += 1
            elif record.status not in _SENT:
                counters["frames that were never sent"] += 1
            else:
                name = names.name(record.kind, record.channel).replace(" ", "_")
                lines.append(line(record, name, epoch_ns))
                counters[f"{name}: frames"] += 1
        put("".join(lines).encode())
    return counters


def _most(record: Record) -> int:
    """Return the octets of data that a frame of its format can have."""
    return 64 if record.flags & Flag.CAN_FD else 8
