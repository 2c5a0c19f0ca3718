"""Reading pcapng and pcap files.

pcapng is draft-ietf-opsawg-pcapng: sections of blocks, interfaces with their names and clocks.
pcap is draft-ietf-opsawg-pcap. Lengths, names and clocks of a file are believed only within limits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hil.capture.importing.linktypes import INBOUND, OUTBOUND, UNKNOWN, unit_of
from hil.capture.importing.unit import (
    TIME_LIMIT_NS,
    UNIT_LIMIT_NBYTES,
    ImportDamage,
    Octets,
    Source,
    Unit,
    plain,
)

SECOND = 1_000_000_000
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_BLOCK_LIMIT_NBYTES = UNIT_LIMIT_NBYTES + 65536
_INTERFACES_LIMIT = 4096
#: if_name, if_tsresol, if_tsoffset; epb_flags
_OPT_NAME, _OPT_RESOLUTION, _OPT_OFFSET, _OPT_FLAGS = 2, 9, 14, 2
_ORDERS = {_BYTE_ORDER.to_bytes(4, "little"): "<", _BYTE_ORDER.to_bytes(4, "big"): ">"}
#: magic -> (byte order, nanoseconds of the fraction's unit)
PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"


class _Interface(NamedTuple):
    link_type: int
    name: str
    #: ticks of a second, and nanoseconds that are added
    ticks: int
    offset_ns: int

    def time_ns(self, stamp: int) -> int:
        """Return a time stamp as nanoseconds since 1970, to the nearest, halves up."""
        return (2 * stamp * SECOND + self.ticks) // (2 * self.ticks) + self.offset_ns


class PcapngSource(Source):
    """A pcapng file, sections, byte orders and all."""

    form = "pcapng"

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(name)
        self._octets = Octets(file)
        self._order = "<"
        self._interfaces: list[_Interface] = []

    def units(self) -> Iterator[Unit]:
        while True:
            at = self._octets.at
            block = self._block()
            if block is None:
                return
            kind, body = block
            try:
                unit = self._take(kind, body)
            except struct.error:
                raise ImportDamage(at, f"a block of type {kind:#x} is too short") from None
            except ValueError as wrong:
                raise ImportDamage(at, str(wrong)) from None
            if unit is not None:
                yield unit

    def _block(self) -> tuple[int, bytes] | None:
        """Return type and body of the next block; None at the end of the file."""
        octets = self._octets
        at = octets.at
        head = octets.maybe(8, "the head of a block")
        if not head:
            return None
        if head[:4] == PCAPNG_MAGIC:
            order = octets.take(4, "a section header")
            if order not in _ORDERS:
                raise ImportDamage(at + 8, f"byte order {order.hex()} is none of pcapng")
            self._order = _ORDERS[order]
            self._interfaces = []
            self.counters["sections"] += 1
        elif not self.counters["sections"]:
            raise ImportDamage(at, "no pcapng section begins here")
        kind, length = struct.unpack(self._order + "II", head)
        extra = 4 if kind == _SECTION else 0
        if not 12 + extra <= length <= _BLOCK_LIMIT_NBYTES or length % 4:
            raise ImportDamage(at + 4, f"a block claims {length} octets")
        body = octets.take(length - 12 - extra, "a block")
        (again,) = struct.unpack(self._order + "I", octets.take(4, "the end of a block"))
        if again != length:
            raise ImportDamage(octets.at - 4, f"a block of {length} octets ends as {again}")
        return kind, body

    def _take(self, kind: int, body: bytes) -> Unit | None:
        if kind == _SECTION:
            return None
        if kind == _INTERFACE:
            self._add_interface(body)
            return None
        order = self._order
        if kind == _PACKET:
            index, high, low, kept, whole = struct.unpack_from(order + "IIIII", body)
            at = 20
        elif kind == _OLD_PACKET:
            index, _drops, high, low, kept, whole = struct.unpack_from(order + "HHIIII", body)
            at = 20
        elif kind == _SIMPLE:
            (whole,) = struct.unpack_from(order + "I", body)
            index, high, low, kept, at = 0, 0, 0, min(whole, len(body) - 4), 4
            self.counters["packets_without_time"] += 1
        else:
            self.counters["blocks_of_other_types"] += 1
            return None
        if index >= len(self._interfaces):
            raise ValueError(f"a packet of interface {index}, of {len(self._interfaces)} declared")
        if kept > len(body) - at:
            raise ValueError(f"a packet claims {kept} octets in a block of {len(body)}")
        self.counters["packets_cut_when_captured"] += kept < whole
        way = UNKNOWN
        if kind != _SIMPLE:
            way = self._way(body, at + kept + -kept % 4)
        data = body[at : at + kept]
        return self._packet(self._interfaces[index], high << 32 | low, data, whole, way)

    def _packet(
        self, interface: _Interface, stamp: int, data: bytes, whole: int, way: int
    ) -> Unit | None:
        t_ns = interface.time_ns(stamp)
        if not 0 <= t_ns < TIME_LIMIT_NS:
            raise ValueError(f"a packet is {t_ns} ns from 1970")
        return unit_of(
            *(interface.link_type, data, whole, t_ns, interface.name, way, self.counters)
        )

    def _way(self, body: bytes, at: int) -> int:
        for code, value in self._options(body, at):
            if code == _OPT_FLAGS and len(value) == 4:
                way = int(struct.unpack(self._order + "I", value)[0]) & 3
                return way if way in (INBOUND, OUTBOUND) else UNKNOWN
        return UNKNOWN

    def _options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the options from an offset on, as far as they are whole; counted where not."""
        while at + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, at)
            at += 4
            if code == 0:
                return
            if length > len(body) - at:
                self.counters["options_cut"] += 1
                return
            yield code, body[at : at + length]
            at += length + -length % 4

    def _add_interface(self, body: bytes) -> None:
        if len(self._interfaces) >= _INTERFACES_LIMIT:
            raise ValueError(f"more than {_INTERFACES_LIMIT} interfaces in a section")
        link_type, _, _snap = struct.unpack_from(self._order + "HHI", body)
        name, ticks, offset_ns = "", 1_000_000, 0
        for code, value in self._options(body, 8):
            if code == _OPT_NAME:
                name = plain(value)
            elif code == _OPT_RESOLUTION and len(value) == 1:
                power = value[0] & 0x7F
                ticks = 2**power if value[0] & 0x80 else 10 ** min(power, 38)
            elif code == _OPT_OFFSET and len(value) == 8:
                offset_ns = struct.unpack(self._order + "q", value)[0] * SECOND
        if not name and self._interfaces:
            name = f"interface{len(self._interfaces)}"
        self._interfaces.append(_Interface(link_type, name, ticks, offset_ns))


class PcapSource(Source):
    """A pcap file: one interface without a name."""

    form = "pcap"

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(name)
        self._octets = Octets(file)

    def units(self) -> Iterator[Unit]:
        octets = self._octets
        magic = octets.take(4, "the head of the file")
        if magic not in PCAP_MAGICS:
            raise ImportDamage(0, "no pcap file begins here")
        order, unit_ns = PCAP_MAGICS[magic]
        *_, link = struct.unpack(order + "HHIIII", octets.take(20, "the head of the file"))
        link_type = link & 0xFFFF  # above it stands the length of frame checks
        head = struct.Struct(order + "IIII")
        while raw := octets.maybe(head.size, "the head of a packet"):
            seconds, fraction, kept, whole = head.unpack(raw)
            if kept > UNIT_LIMIT_NBYTES:
                raise ImportDamage(octets.at - 8, f"a packet claims {kept} octets")
            data = octets.take(kept, "a packet")
            self.counters["packets_cut_when_captured"] += kept < whole
            t_ns = seconds * SECOND + fraction * unit_ns
            unit = unit_of(link_type, data, whole, t_ns, "", UNKNOWN, self.counters)
            if unit is not None:
                yield unit
