"""Recorded downlink: frames of a fixed length, streams with sync markers, space packets.

A record holds one unit as it was recorded, so that the ground endpoint decodes what a station did,
by the channel description that goes with the capture: nothing is decoded here. Bits, one an octet,
become octets; record headers around packets are taken off and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from flightsw.codec.packet.find import PacketFinder
from flightsw.codec.stream.channel import Channel
from flightsw.codec.wire import Flag, Kind
from hil.capture.importing.unit import (
    TIME_LIMIT_NS,
    UNIT_LIMIT_NBYTES,
    ImportDamage,
    Octets,
    Source,
    Unit,
)

SECOND = 1_000_000_000
LINK = "link"
_READ_NBYTES = 1 << 20
#: end of a link unit of an uplink (CCSDS 231.0-B-4, BCH tail sequence)
CLTU_TAIL = bytes.fromhex("c5c5c5c5c5c5c579")


class _Raw(Source):
    """A file without times: at ``rate_bps`` bits a second, or all at once without."""

    absolute = False
    kind = Kind.TM
    bits_an_octet = 8

    def __init__(self, file: BinaryIO, name: str, rate_bps: float | None = None) -> None:
        super().__init__(name)
        self.octets = Octets(file)
        self._rate = rate_bps
        self._sent = 0

    def unit(self, data: bytes, whole: int | None = None, flags: int = 0) -> Unit:
        """Return the next unit; ``whole`` octets of the file were sent for it, if not its own."""
        begin_ns = self._time_ns(self._sent)
        self._sent += len(data) if whole is None else whole
        duration_ns = self._time_ns(self._sent) - begin_ns
        if begin_ns + duration_ns >= TIME_LIMIT_NS:
            raise ImportDamage(self._sent, "at this rate it lasts longer than 292 years")
        return Unit(begin_ns, self.kind, LINK, data, flags, duration_ns=duration_ns)

    def _time_ns(self, octets: int) -> int:
        if self._rate is None:
            return 0
        return round(octets * self.bits_an_octet * SECOND / self._rate)


class FrameSource(_Raw):
    """Transfer frames, or code blocks, of one length behind each other."""

    form = "frames"

    def __init__(
        self, file: BinaryIO, name: str, nbytes: int, rate_bps: float | None = None
    ) -> None:
        super().__init__(file, name, rate_bps)
        self.nbytes = nbytes

    def units(self) -> Iterator[Unit]:
        while frame := self.octets.maybe(self.nbytes, "a frame"):
            yield self.unit(frame)


class AirSource(_Raw):
    """A stream off the air, cut in front of each sync marker that stands on an octet.

    Where none does it is cut after each length of a unit with its marker, ``unit_nbytes``: the
    records together are the stream, always.
    """

    form = "cadu"

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        channel: Channel,
        unit_nbytes: int,
        rate_bps: float | None = None,
    ) -> None:
        super().__init__(file, name, rate_bps)
        self._bits = channel.input == "bits"
        self._symbols = channel.input == "symbols"
        known = channel.marker is not None and not self._symbols
        self._marker = channel.marker.octets if known and channel.marker else b""
        self.bits_an_octet = 1 if self._symbols else 8
        self._piece_nbytes = unit_nbytes * (16 if self._symbols else 1)

    def units(self) -> Iterator[Unit]:
        held = b""
        for chunk in self._chunks():
            *whole, held = self._cut(held + chunk)
            for piece in whole:
                yield self.unit(piece)
        if held:
            yield self.unit(held)

    def _cut(self, octets: bytes) -> list[bytes]:
        """Return the pieces of some octets; the last one may go on."""
        pieces: list[bytes] = []
        at = 0
        while at + self._piece_nbytes < len(octets):
            most = at + self._piece_nbytes
            end = octets.find(self._marker, at + 1, most) if self._marker else -1
            end = most if end < 0 else end
            pieces.append(octets[at:end])
            at = end
        return [*pieces, octets[at:]]

    def _chunks(self) -> Iterator[bytes]:
        """Yield the octets of the stream."""
        file, held = self.octets.file, np.empty(0, np.uint8)
        while chunk := file.read(_READ_NBYTES):
            if not self._bits:
                yield chunk
                continue
            bits = np.concatenate((held, np.frombuffer(chunk, np.uint8)))
            self.counters["octets_that_are_no_bit"] += int((bits[len(held) :] > 1).sum())
            end = len(bits) & ~7
            held = bits[end:]
            yield np.packbits(bits[:end] & 1).tobytes()
        if len(held):
            self.counters["skipped_bits_at_the_end"] += len(held)


class CltuSource(_Raw):
    """An uplink, cut behind the tail sequence of each link unit."""

    form = "cltu"
    kind = Kind.TC

    def units(self) -> Iterator[Unit]:
        held, sought = bytearray(), 0
        while chunk := self.octets.file.read(_READ_NBYTES):
            held += chunk
            begin = 0
            while (at := held.find(CLTU_TAIL, max(begin, sought))) >= 0:
                end = at + len(CLTU_TAIL)
                yield self.unit(bytes(held[begin:end]))
                begin = end
            del held[:begin]
            sought = max(0, len(held) - len(CLTU_TAIL) + 1)
            self._check(len(held))
        if held:
            yield self.unit(bytes(held))

    def _check(self, nbytes: int) -> None:
        if nbytes > UNIT_LIMIT_NBYTES:
            raise ImportDamage(self._sent, f"no tail sequence ends {nbytes} octets of uplink")


class OctetSource(_Raw):
    """What a serial line received."""

    form = "octets"
    kind = Kind.UART

    def units(self) -> Iterator[Unit]:
        while data := self.octets.file.read(64):
            yield self.unit(data, flags=int(Flag.INPUT))


class PacketSource(_Raw):
    """Space packets behind each other, each perhaps behind a record header and before a trailer.

    ``time_of`` reads the time of a packet, nanoseconds since the epoch of its code; None: it has
    none. Times count from the first packet that has one.
    """

    form = "packets"

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        finder: PacketFinder,
        around: tuple[int, int] = (0, 0),
        rate_bps: float | None = None,
        time_of: Callable[[bytes], int | None] | None = None,
    ) -> None:
        super().__init__(file, name, rate_bps)
        self._finder = finder
        self._around = around
        self._time_of = time_of
        self._first_ns: int | None = None
        self._last_ns = 0

    def units(self) -> Iterator[Unit]:
        held, last = b"", False
        while not last:
            chunk = self.octets.file.read(_READ_NBYTES)
            last = not chunk
            held += chunk
            table = self._finder.find(held, last=last)
            for at, nbytes in zip(table.offset.tolist(), table.nbytes.tolist(), strict=True):
                yield self._packet(held[at : at + nbytes])
            held = held[table.consumed :]
        for name in ("record_octets", "skipped_octets", "searches"):
            self.counters[name] += self._finder.counters[name]
        self.counters["skipped_octets"] += len(held)

    def _packet(self, packet: bytes) -> Unit:
        unit = self.unit(packet, len(packet) + sum(self._around))
        if self._time_of is None:
            return unit
        t_ns = self._time_of(packet)
        if t_ns is None:
            self.counters["packets_without_time"] += 1
        else:
            if self._first_ns is None:
                self._first_ns = t_ns
            self.counters["times_before_the_first"] += t_ns < self._first_ns
            self._last_ns = max(0, t_ns - self._first_ns)
        return unit._replace(t_ns=self._last_ns, duration_ns=0)
