"""The telemetry of the dictionary as XTCE: ``python -m flightsw.codec.dictionary.export``.

What ``docs/telemetry.md`` tells people, this tells programs. Containers are ``HK_`` and the name of
a housekeeping structure, ``EVENT_`` and the name of an event, ``TM_`` with service and subtype for
every other report. Structures that ground defined in flight are in no dictionary.
"""

from __future__ import annotations

import sys
from typing import Any

import construct

from flightsw.codec.columns.declaration import field
from flightsw.codec.columns.walk import compile_tree
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.xtce.channel import Base, add_layout, pus_reports, space_packets
from flightsw.codec.xtce.conditions import All, Comparison
from flightsw.codec.xtce.model import System

from .commands import REPORTS
from .enums import APID, Severity
from .events import EVENTS
from .housekeeping import STRUCTURES
from .products import PART_FIRST, PART_HEADER, PART_LAST, PART_NEXT

_SID = construct.Struct(field("sid", construct.Int8ub, "", "structure id"))
_EVENT = construct.Struct(field("event", construct.Int16ub, "", "event id"))
_PART = construct.Struct(
    *PART_HEADER.subcons, field("data", construct.GreedyBytes, "", "octets of the product")
)
_PARTS = {PART_FIRST: "first part", PART_NEXT: "next part", PART_LAST: "last part"}


def xtce(apid: int = APID) -> str:
    """Return the document for the telemetry of one application process."""
    return system(apid).text()


def system(apid: int = APID) -> System:
    """Return the definition as data."""
    made = System("FlatSat", "telemetry of the payload computer")
    base = space_packets(made)
    base = pus_reports(made, base, PUS_C, (Comparison("PKT_APID", "==", apid),))
    _housekeeping(made, base)
    _events(made, base)
    for (service, subtype), struct in REPORTS.items():
        _report(made, base, f"TM_{service}_{subtype}", struct, _of(service, subtype))
    for subtype, doc in _PARTS.items():
        _report(made, base, f"TM_13_{subtype}", _PART, _of(13, subtype), f"{doc} of a product")
    return made


def _of(service: int, subtype: int) -> All:
    return (Comparison("PUS_SERVICE", "==", service), Comparison("PUS_SUBTYPE", "==", subtype))


def _report(made: System, base: Base, name: str, struct: Any, where: All, doc: str = "") -> None:
    add_layout(made, base, name, compile_tree(struct), where, error_control=True, doc=doc)


def _housekeeping(made: System, base: Base) -> None:
    doc = "housekeeping report"
    nodes = compile_tree(_SID)
    base = add_layout(made, base, "HK", nodes, _of(3, 25), extended=True, doc=doc)
    for structure in STRUCTURES:
        every = f"every {structure.interval_s} s" if structure.periodic else "when asked for"
        every += ", where it was told to" if structure.optional else ""
        where = (Comparison("HK_sid", "==", structure.sid),)
        _report(made, base, f"HK_{structure.name}", structure.struct, where, f"{doc}, {every}")


def _events(made: System, base: Base) -> None:
    where = (
        Comparison("PUS_SERVICE", "==", 5),
        Comparison("PUS_SUBTYPE", ">=", int(min(Severity))),
        Comparison("PUS_SUBTYPE", "<=", int(max(Severity))),
    )
    nodes = compile_tree(_EVENT)
    base = add_layout(made, base, "EVENT", nodes, where, extended=True, doc="event report")
    for event in EVENTS:
        own = (Comparison("EVENT_event", "==", event.id),)
        doc = f"event of {event.severity.name.lower()} severity"
        _report(made, base, f"EVENT_{event.name}", event.struct, own, doc)


if __name__ == "__main__":
    sys.stdout.write(xtce())
