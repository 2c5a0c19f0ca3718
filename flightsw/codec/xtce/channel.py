"""XTCE of a channel: what its packets are, for Yamcs, space_packet_parser and their like.

    Path("mission.xml").write_text(channel_xtce(channel))

The root is the abstract container ``CCSDSPacket`` with the seven fields of the space packet header
(CCSDS 133.0-B-2 section 4.1.3) under the names that public definitions use; ``PUSTelemetry``
extends it with the secondary header. Each rule of the channel is a container that restricts APID,
service and subtype, and its fields are parameters named after layout and field:
``status_bus_v``. A packet that no rule describes fits no container.

Fields come raw and, where they have a calibration or labels, in engineering units. Arrays of fixed
size are numbered parameters, time codes the integers that they are made of, lists one parameter
with all their octets. :class:`flightsw.codec.columns.declaration.LayoutError` names what cannot
be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.plan import Fixed, Node, Repeat, Value, nbits_of
from flightsw.codec.packet.pus_format import PusFormat
from flightsw.codec.packet.space_packet import IDLE_APID
from flightsw.codec.stream.channel import Channel, Packets, Rule
from flightsw.codec.xtce.conditions import All, Comparison, narrow, range_of
from flightsw.codec.xtce.fields import time_parts, unsigned
from flightsw.codec.xtce.model import Number, System, Type
from flightsw.codec.xtce.tree import Place, Trailer, TreeExport

ROOT = "CCSDSPacket"
PUS = "PUSTelemetry"
#: Fields of the primary header: name, bits, meaning.
HEADER = (
    ("VERSION", 3, "packet version number"),
    ("TYPE", 1, "0 telemetry, 1 telecommand"),
    ("SEC_HDR_FLG", 1, "1 if there is a secondary header"),
    ("PKT_APID", 11, "application process"),
    ("SEQ_FLGS", 2, "0 continues, 1 begins, 2 ends a segmented packet, 3 is whole"),
    ("SRC_SEQ_CTR", 14, "sequence count of the application process"),
    ("PKT_LEN", 16, "octets behind the primary header, less one"),
)
_HEADER_NBITS = 48
_PEC_NBITS = 16


@dataclass(frozen=True)
class Base:
    """A container that others extend, and where they begin."""

    container: str
    place: Place


def channel_xtce(channel: Channel) -> str:
    """Return an XTCE document that describes the packets of a channel.

    LayoutError if two rules can take the same packet, or for what the subset cannot say.
    """
    return channel_system(channel).text()


def channel_system(channel: Channel) -> System:
    """Return the definition as data; ``names`` gives the parameters of each (rule, field)."""
    return rules_system(channel.name, channel.rules, channel.packets)


def rules_system(name: str, rules: Iterable[Rule], packets: Packets) -> System:
    """Return the definition of the packets that rules describe."""
    system = System(name)
    base = space_packets(system)
    if packets.pus is not None:
        without = [Comparison("PKT_APID", "!=", apid) for apid in sorted(packets.no_pus)]
        base = pus_reports(system, base, packets.pus, tuple(without))
    taken: list[tuple[str, All]] = []
    for rule in rules:
        where = _where(rule, packets)
        for other, theirs in taken:
            if narrow(base.place.known, where + theirs) is not None:
                raise LayoutError(
                    f"layout {rule.name}: can take the same packets as layout {other}; XTCE reads"
                    " a packet in one way, so restrict one by APID, service or subtype"
                )
        taken.append((rule.name, where))
        _add_rule(system, base, rule, where, packets)
    return system


def space_packets(system: System) -> Base:
    """Add the root container; return it."""
    root = system.container(ROOT, "space packet, CCSDS 133.0-B")
    root.abstract = True
    known = {}
    for name, nbits, doc in HEADER:
        root.entries.append(system.parameter("", name, name, unsigned(nbits), doc))
        known[name] = range_of(nbits, signed=False)
    return Base(root.name, Place(_HEADER_NBITS, known, {}))


def pus_reports(system: System, base: Base, pus: PusFormat, where: All = ()) -> Base:
    """Add the container of PUS reports (ECSS-E-ST-70-41C section 7.4.3); return it."""
    made = system.container(
        PUS,
        f"report with a secondary header of PUS-{'AC'[pus.version - 1]}",
        base.container,
        (
            Comparison("TYPE", "==", 0),
            Comparison("SEC_HDR_FLG", "==", 1),
            Comparison("PKT_APID", "!=", IDLE_APID),
            *where,
        ),
    )
    made.abstract = True
    found = narrow(base.place.known, made.where)
    assert found is not None, "telemetry with a secondary header can be"
    known = found[0]
    for name, kind, doc in _pus_parts(pus):
        made.entries.append(system.parameter("", name, name, kind, doc))
        if isinstance(kind.encoding, Number):
            known[name] = range_of(kind.encoding.nbits, signed=False)
    return Base(made.name, Place(8 * pus.tm_header_nbytes, known, {}))


def _pus_parts(pus: PusFormat) -> Iterator[tuple[str, Type, str]]:
    yield "PUS_VERSION", unsigned(4), "version of the standard: 1 PUS-A, 2 PUS-C"
    yield "PUS_TIME_STATUS", unsigned(4), "time reference status"
    yield "PUS_SERVICE", unsigned(8), "service"
    yield "PUS_SUBTYPE", unsigned(8), "subtype"
    if pus.counter_nbytes:
        yield "PUS_COUNTER", unsigned(8 * pus.counter_nbytes), "message counter"
    if pus.destination_nbytes:
        yield "PUS_DESTINATION", unsigned(8 * pus.destination_nbytes), "destination"
    if pus.time is not None:
        if pus.preamble_sent:
            head = pus.time.preamble()
            yield "PUS_TIME_PREAMBLE", unsigned(8 * len(head)), f"always 0x{head.hex()}"
        for suffix, kind, doc in time_parts(pus.time):
            yield f"PUS_TIME{suffix.upper()}", kind, doc
    if pus.tm_spare_nbytes:
        yield "PUS_SPARE", unsigned(8 * pus.tm_spare_nbytes), "spare"


def add_layout(
    system: System,
    base: Base,
    name: str,
    nodes: tuple[Node, ...],
    where: All = (),
    *,
    error_control: bool = False,
    extended: bool = False,
    doc: str = "",
) -> Base:
    """Add the container of a layout, and those of its choices; return it.

    With ``error_control`` it ends with that of the packet. If it is ``extended``, packets are what
    extends it.
    """
    assert not (error_control and extended), "error control is the end of a packet"
    container = system.container(name, doc, base.container, where)
    container.abstract = extended
    found = narrow(base.place.known, where)
    if found is None:
        raise LayoutError(f"layout {name}: no packet can be one")
    trailer = Trailer((_error_control(system),), _PEC_NBITS) if error_control else Trailer()
    place = replace(base.place, known=found[0])
    return Base(container.name, TreeExport(system, name, trailer).fill(container, nodes, place))


def _error_control(system: System) -> str:
    name = "PKT_ERROR_CONTROL"
    return system.parameter("", name, name, unsigned(_PEC_NBITS), "CRC over the packet")


def _where(rule: Rule, packets: Packets) -> All:
    """Return what a packet of the rule has in its headers."""
    if rule.vcid is not None:
        raise LayoutError(
            f"layout {rule.name}: is for virtual channel {rule.vcid}, which a packet does not carry"
            " and XTCE cannot restrict; restrict it by APID"
        )
    pus = packets.pus is not None
    if not pus and (rule.service, rule.subtype) != (None, None):
        raise LayoutError(f"layout {rule.name}: service and subtype need the channel's PUS header")
    if pus and (rule.telecommand or rule.apid in (IDLE_APID, *packets.no_pus)):
        raise LayoutError(f"layout {rule.name}: its packets have no header of a PUS report")
    wanted = {"PKT_APID": rule.apid, "PUS_SERVICE": rule.service, "PUS_SUBTYPE": rule.subtype}
    if rule.telecommand is not None and not pus:
        wanted["TYPE"] = int(rule.telecommand)
    where = [Comparison(name, "==", value) for name, value in wanted.items() if value is not None]
    if rule.apid is None and not pus and not packets.keep_idle:
        where.append(Comparison("PKT_APID", "!=", IDLE_APID))
    return tuple(where)


def _add_rule(system: System, base: Base, rule: Rule, where: All, packets: Packets) -> None:
    nodes, place = rule.layout.nodes, base.place
    if packets.pus is not None:
        skip, crc = rule.skip_nbytes, packets.pus.error_control
    else:
        skip = rule.skip_nbytes - _HEADER_NBITS // 8
        crc = packets.error_control and rule.apid not in packets.no_error_control
    if skip < 0:
        nodes, fields = _without_header(rule, -8 * skip)
        place = replace(place, fields=fields)
    elif skip:
        nodes = (Fixed("skipped", 8, 0, skip, checked=False), *nodes)
    if rule.longer:
        nodes = (*nodes, Repeat("rest", ("rest",), "packet", None, 0, (), None, octets=True))
    add_layout(system, replace(base, place=place), rule.name, nodes, where, error_control=crc)


def _without_header(rule: Rule, nbits: int) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Return the nodes behind the primary header, and which of its parameters fields are."""
    starts, bit = {}, 0
    for name, width, _ in HEADER:
        starts[bit, width] = name
        bit += width
    at, fields, nodes = _HEADER_NBITS - nbits, {}, list(rule.layout.nodes)
    while at < _HEADER_NBITS and nodes:
        node = nodes.pop(0)
        if isinstance(node, Value):
            f = node.field
            if (at, f.width) in starts and f.kind == "uint" and f.elements == 1:
                fields[f.name] = starts[at, f.width]
        size = nbits_of((node,))
        if size is None or at + size > _HEADER_NBITS:
            name = node.field.name if isinstance(node, Value) else node.name or "padding"
            raise LayoutError(
                f"layout {rule.name}: {name} begins in the packet's primary header and ends beyond;"
                " XTCE has the header in a container of its own"
            )
        at += size
    if at < _HEADER_NBITS:
        raise LayoutError(f"layout {rule.name}: ends within the packet's primary header")
    return tuple(nodes), fields
