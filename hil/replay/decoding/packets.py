"""Space packets by the data dictionary: ``tm.power.battery_mv``, ``tc.take_image.job``.

Numbers with a name (a mode, a reason) are given by it. A packet that the dictionary does not
describe keeps its headers, and its data as octets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from io import BytesIO
from typing import Any

from construct import ConstructError

from flightsw.codec import dictionary
from flightsw.codec.dictionary import enums
from flightsw.codec.errors import FlatsatError
from flightsw.codec.packet import pus, space_packet
from hil.replay.decoding.flat import Fields, flat, octets

#: names of reports and requests that have no name of their own in the dictionary
_REPORTS = {
    **dict(zip(range(1, 9), (
        "accepted", "refused", "started", "start_failed",
        "progressed", "progress_failed", "completed", "completion_failed",
    ), strict=True)),
    10: "routing_failed",
}  # fmt: skip
_PARTS = {
    dictionary.PART_FIRST: "first",
    dictionary.PART_NEXT: "next",
    dictionary.PART_LAST: "last",
}
_NAMED = re.compile(r"\bsee ([A-Z]\w+)")
_HEADER = ("apid", "seq", "service", "subtype", "counter", "destination", "t_ns")
_REQUEST_HEADER = ("apid", "seq", "ack", "service", "subtype", "source")


def telemetry(packet: bytes) -> Fields:
    """Return the fields of a telemetry packet; never raises."""
    try:
        report = pus.unpack_tm(packet)
    except FlatsatError as wrong:
        return _bare("tm", packet, str(wrong))
    told: Fields = {f"tm.{name}": _plain(getattr(report, name)) for name in _HEADER}
    name, struct, skip = _report(report.service, report.subtype, report.data)
    told |= {"tm.name": name}
    return told | _body(f"tm.{name}", struct, report.data[skip:])


def telecommand(packet: bytes) -> Fields:
    """Return the fields of a telecommand packet; never raises."""
    try:
        request = pus.unpack_tc(packet)
    except FlatsatError as wrong:
        return _bare("tc", packet, str(wrong))
    told: Fields = {f"tc.{name}": _plain(getattr(request, name)) for name in _REQUEST_HEADER}
    name, struct, skip = _request(request.service, request.subtype, request.data)
    told |= {"tc.name": name}
    return told | _body(f"tc.{name}", struct, request.data[skip:])


def _plain(value: int | None) -> int | str:
    return "none" if value is None else int(value)


def _bare(lead: str, packet: bytes, why: str) -> Fields:
    """Return what a packet that is none of ours still says."""
    try:
        bare = space_packet.unpack(packet)
    except FlatsatError:
        return {f"{lead}.fault": why, **octets(f"{lead}.octets", packet)}
    head: Fields = {f"{lead}.apid": bare.apid, f"{lead}.seq": bare.seq, f"{lead}.fault": why}
    return head | octets(f"{lead}.data", bare.data)


def _report(service: int, subtype: int, data: bytes) -> tuple[str, Any, int]:
    """Return name, layout and what stands before it, of a report."""
    if (service, subtype) == (3, 25) and data:
        structure = dictionary.STRUCTURE_BY_SID.get(data[0])
        return (structure.name, structure.struct, 1) if structure else (f"hk_{data[0]}", None, 1)
    if service == 5 and subtype <= max(enums.Severity):
        event = dictionary.EVENT_BY_ID.get(int.from_bytes(data[:2], "big"))
        return (f"event.{event.name}", event.struct, 2) if event else ("event", None, 0)
    if service == 13 and subtype in _PARTS:
        return f"part_{_PARTS[subtype]}", dictionary.PART_HEADER, 0
    name = _REPORTS.get(subtype, "") if service == 1 else ""
    struct = dictionary.LISTS.get((service, subtype), dictionary.REPORTS.get((service, subtype)))
    return name or f"report_{service}_{subtype}", struct, 0


def _request(service: int, subtype: int, data: bytes) -> tuple[str, Any, int]:
    """Return name, layout and what stands before it, of a request."""
    function = dictionary.FUNCTION_BY_ID.get(int.from_bytes(data[:2], "big"))
    if (service, subtype) == (8, 1) and function is not None:
        return function.name.lower(), function.struct, 2
    key = (service, subtype)
    struct = dictionary.LISTS.get(key, dictionary.TELECOMMANDS.get(key))
    return f"request_{service}_{subtype}", struct, 0


def _body(lead: str, struct: Any, data: bytes) -> Fields:
    """Return the fields of a layout, and the octets that it does not describe."""
    if struct is None:
        return octets(f"{lead}.data", data)
    stream = BytesIO(data)
    try:
        values = struct.parse_stream(stream)
    except (ConstructError, FlatsatError, ValueError):
        return octets(f"{lead}.data", data)
    labels = labels_of(struct)
    told = {
        name: labels.get(name, {}).get(value, value) if isinstance(value, int) else value
        for name, value in flat("", values).items()
    }
    body: Fields = {f"{lead}{name}": value for name, value in told.items()}
    return body | octets(f"{lead}.data", data[stream.tell() :])


@cache
def labels_of(struct: Any) -> Mapping[str, Mapping[int, str]]:
    """Return the names of the values of each field whose text says ``see Enum``."""
    found: dict[str, dict[int, str]] = {}
    for field in struct.subcons:
        match = _NAMED.search(str(getattr(field, "docs", "") or ""))
        kind = getattr(enums, match[1], None) if match else None
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            found[f".{field.name}"] = {int(one): one.name for one in kind}
    return found
