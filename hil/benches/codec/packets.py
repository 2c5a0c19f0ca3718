"""Space packets: header scan, error control, PUS columns, one packet at a time.

The stream is of 26 to 277 octets a packet, ten APIDs, PUS-C reports with right error control:
1 MiB of it lies in the cache, 64 MiB do not.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import pus, space_packet
from flightsw.codec.packet.find import PacketFinder, scan
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.packet.sequence import Tracker
from flightsw.codec.packet.table import PacketTable
from hil.benches.codec.measure import best_s, by_tier, gb_per_s, memcpy_s, ns_per
from hil.benches.codec.row import Row

_STREAM_NBYTES = 1 << 20
_MIB = 1 << 20
Peers = dict[str, float]


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    unit = reports(_STREAM_NBYTES)
    large = unit * (16 if quick else 64)
    return [
        *_scan_rows(unit, large, quick),
        *_column_rows(unit, quick),
        *_single_rows(quick),
    ]


def reports(nbytes: int) -> bytes:
    """Return about ``nbytes`` octets of reports of ten APIDs, each in sequence."""
    rng = np.random.default_rng(4)
    counts, packets, total = [0] * 10, [], 0
    while total < nbytes:
        which = int(rng.integers(10))
        data = rng.bytes(int(rng.integers(3, 255)))
        packet = pus.pack_tm(100 + which, counts[which] & 16383, 3, 25, data, t_ns=total, counter=0)
        counts[which] += 1
        packets.append(packet)
        total += len(packet)
    return b"".join(packets)


def _scan_rows(unit: bytes, large: bytes, quick: bool) -> list[Row]:
    found = []
    for name, octets in (("1 MiB", unit), (f"{len(large) // _MIB} MiB", large)):
        scale, copied = gb_per_s(len(octets)), memcpy_s(len(octets), quick)
        peers = _scan_peers(unit, quick) if octets is unit else {}
        ours = {"portable": scale(best_s(lambda o=octets: scan(o), quick))}  # type: ignore[misc]
        found.append(Row(f"packet headers, {name}", "GB/s", ours, scale(copied), peers))
    finder, scale = PacketFinder(error_control=True), gb_per_s(len(unit))
    ours = {"portable": scale(best_s(lambda: finder.find(unit), quick))}
    found.append(
        Row("packets found, resynchronising", "GB/s", ours, scale(memcpy_s(len(unit), quick)))
    )
    return found


def _column_rows(unit: bytes, quick: bool) -> list[Row]:
    table = scan(unit)
    scale, each = gb_per_s(len(unit)), ns_per(len(table))
    copied = best_s(gathering(table), quick)
    return [
        Row(
            "packet headers and error control, 1 MiB",
            "GB/s",
            by_tier(lambda: scan(unit).ok, scale, quick),
            scale(memcpy_s(len(unit), quick)),
            _checked_peers(unit, quick),
        ),
        Row(
            "packets copied one by one",
            "ns/packet",
            {"portable": each(copied)},
            each(memcpy_s(len(unit), quick)),
        ),
        Row(
            "sequence counts of packets",
            "ns/packet",
            {"portable": each(best_s(lambda: Tracker().follow(table), quick))},
            each(copied),
        ),
        Row(
            "PUS-C headers to columns",
            "ns/packet",
            {"portable": each(best_s(lambda: PUS_C.tm_columns(table), quick))},
            each(copied),
            _pus_peers(table, quick),
        ),
    ]


def gathering(table: PacketTable) -> Callable[[], object]:
    """Return what copies the packets of a table one by one into memory that is in use."""
    _, offset, nbytes, *_ = table._pointers()
    octets = ffi.from_buffer(table.buf)
    out = bytearray(len(octets))
    into, n = ffi.from_buffer(out), len(table)
    return lambda: lib.fs_gather(octets, len(octets), offset, nbytes, n, into, len(out))


def _single_rows(quick: bool) -> list[Row]:
    data = bytes(range(64))
    packet = space_packet.pack(5, 6, data)
    report = pus.pack_tm(5, 6, 3, 25, data, t_ns=10**9, counter=7)
    pack_peers, unpack_peers, tm_pack_peers, tm_unpack_peers = _single_peers(data, quick)
    each = ns_per(1)

    def ours(work: Callable[[], object]) -> Peers:
        return {"portable": each(best_s(work, quick))}

    return [
        Row(
            "one space packet packed",
            "ns/call",
            ours(lambda: space_packet.pack(5, 6, data)),
            None,
            pack_peers,
        ),
        Row(
            "one space packet unpacked",
            "ns/call",
            ours(lambda: space_packet.unpack(packet)),
            None,
            unpack_peers,
        ),
        Row(
            "one PUS-C report packed",
            "ns/call",
            ours(lambda: pus.pack_tm(5, 6, 3, 25, data, t_ns=10**9, counter=7)),
            None,
            tm_pack_peers,
        ),
        Row(
            "one PUS-C report unpacked",
            "ns/call",
            ours(lambda: pus.unpack_tm(report)),
            None,
            tm_unpack_peers,
        ),
    ]


def _module(name: str) -> Any | None:
    """Return a peer, or None where it is not installed."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def _scan_peers(unit: bytes, quick: bool) -> Peers:
    scale, found = gb_per_s(len(unit)), {}
    if (spp := _module("space_packet_parser")) is not None:
        found["space_packet_parser"] = scale(
            best_s(lambda: sum(1 for _ in spp.ccsds_generator(unit)), quick)
        )
    if (utils := _module("ccsdspy.utils")) is not None:
        found["ccsdspy split"] = scale(
            best_s(lambda: utils.split_packet_bytes(io.BytesIO(unit)), quick)
        )
    if (ccsds := _module("spacepackets.ccsds.spacepacket")) is not None:
        ids = tuple(ccsds.PacketId(ccsds.PacketType.TM, True, apid) for apid in range(100, 110))

        def parse() -> object:
            return ccsds.parse_space_packets(unit, ids)

        found["spacepackets"] = scale(best_s(parse, quick))
    return found


def _checked_peers(unit: bytes, quick: bool) -> Peers:
    spp = _module("space_packet_parser")
    if spp is None:
        return {}
    from binascii import crc_hqx

    def check() -> int:
        return sum(crc_hqx(packet, 0xFFFF) == 0 for packet in spp.ccsds_generator(unit))

    return {"space_packet_parser + binascii": gb_per_s(len(unit))(best_s(check, quick))}


def _pus_peers(table: PacketTable, quick: bool) -> Peers:
    packets = [bytes(piece) for piece in table.select(where=np.arange(1000)).pieces()]
    each, found = ns_per(len(packets)), {}
    if (ecss := _module("spacepackets.ecss")) is not None:
        found["spacepackets"] = each(
            best_s(lambda: [ecss.PusTm.unpack(p, timestamp_len=8) for p in packets], quick)
        )
    if (puslib := _module("puslib")) is not None:
        from datetime import UTC, datetime

        cuc = puslib.CucTime(
            basic_unit_length=4, frac_unit_length=3, epoch=datetime(2026, 1, 1, tzinfo=UTC)
        )
        found["puslib"] = each(
            best_s(
                lambda: [
                    puslib.PusTmPacket.deserialize(p, cuc_time=cuc, validate_pec=False)
                    for p in packets
                ],
                quick,
            )
        )
    return found


def _single_peers(data: bytes, quick: bool) -> tuple[Peers, Peers, Peers, Peers]:
    """Return the figures of peers for packing and unpacking a packet and a report."""
    packing: Peers = {}
    unpacking: Peers = {}
    reporting: Peers = {}
    reading: Peers = {}
    each = ns_per(1)
    packet = space_packet.pack(5, 6, data)
    report = pus.pack_tm(5, 6, 3, 25, data, t_ns=10**9, counter=7)
    stamp = report[13:21]
    if (sp := _module("spacepackets.ccsds.spacepacket")) is not None:
        ecss = importlib.import_module("spacepackets.ecss")
        kind = sp.PacketType.TM

        def pack() -> bytes:
            header = sp.SpacePacketHeader(kind, 5, 6, len(data) - 1, True)
            return bytes(header.pack()) + data

        def pack_report() -> bytes:
            tm = ecss.PusTm(3, 25, stamp, source_data=data, apid=5, seq_count=6, message_counter=7)
            return bytes(tm.pack())

        assert pack() == packet
        assert pack_report() == report
        packing["spacepackets"] = each(best_s(pack, quick))
        unpacking["spacepackets"] = each(best_s(lambda: sp.SpacePacketHeader.unpack(packet), quick))
        reporting["spacepackets"] = each(best_s(pack_report, quick))
        reading["spacepackets"] = each(
            best_s(lambda: ecss.PusTm.unpack(report, timestamp_len=8), quick)
        )
    if (puslib := _module("puslib")) is not None:
        from datetime import UTC, datetime

        cuc = puslib.CucTime(
            basic_unit_length=4, frac_unit_length=3, epoch=datetime(2026, 1, 1, tzinfo=UTC)
        )
        tm = puslib.PusTmPacket.deserialize(report, cuc_time=cuc)
        assert tm.serialize() == report
        reporting["puslib (serialize alone)"] = each(best_s(tm.serialize, quick))
        reading["puslib"] = each(
            best_s(lambda: puslib.PusTmPacket.deserialize(report, cuc_time=cuc), quick)
        )
    if (spp := _module("space_packet_parser.generators.ccsds")) is not None:
        unpacking["space_packet_parser"] = each(
            best_s(lambda: spp.CCSDSPacketBytes(packet).header_values, quick)
        )
    return packing, unpacking, reporting, reading
