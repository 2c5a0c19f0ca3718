"""Lines of octets on which units span records: frames and packets, telecommands, GNSS messages.

A line takes the octets of its records in order and gives each unit as soon as it is complete, with
the places in the stream where it begins and ends, so that whoever compares knows which records it
touches. What belongs to no unit is given as octets: nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from flightsw.codec.coding import cltu
from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.dictionary import APID_IDLE
from flightsw.codec.errors import FlatsatError
from flightsw.codec.link import tc_frame, tm_frame
from flightsw.codec.link.cop1 import Clcw
from hil.parts.ublox import messages, ubx
from hil.replay.decoding import packets
from hil.replay.decoding.flat import Fields, octets

_OCF_NBYTES, _FECF_NBYTES = 4, 2
_PRIMARY_NBYTES = 6
_CLTU_START, _CLTU_TAIL = b"\xeb\x90", b"\xc5\xc5\xc5\xc5\xc5\xc5\xc5\x79"
#: more than the longest CLTU: 1024 octets of frame in codeblocks of 7
_CLTU_NBYTES = 1200
_FRAME, _PACKET, _REST = "frames", "packets", "octets"


@dataclass(frozen=True)
class Unit:
    """One unit of a line; ``begin`` and ``end`` are octets since the line was made."""

    #: frames, packets or octets: units of one kind are compared with each other
    kind: str
    begin: int
    end: int
    #: everything that is compared of it
    octets: bytes
    #: the same without what merely counts or dates it
    content: bytes
    decode: Callable[[], Fields]

    @cached_property
    def fields(self) -> Fields:
        """What it says; never raises."""
        return self.decode()


class Line(Protocol):
    """One direction of one channel."""

    def feed(self, data: bytes) -> Iterator[Unit]:
        """Take the octets of the next record; yield the units that they complete."""

    def end(self) -> Iterator[Unit]:
        """Yield what was begun and never completed; nothing comes behind it."""


class _Buffer:
    """Octets that no unit was made of yet; ``at`` is the place of the first."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.at = 0

    def drop(self, count: int) -> bytes:
        """Take octets off the front."""
        gone = bytes(self.held[:count])
        del self.held[:count]
        self.at += count
        return gone

    def rest(self, count: int) -> Iterator[Unit]:
        """Take octets off the front that belong to nothing."""
        if count > 0:
            begin = self.at
            yield _rest(begin, self.drop(count))


def _rest(begin: int, data: bytes) -> Unit:
    return Unit(_REST, begin, begin + len(data), data, data, lambda: octets("octets", data))


class TelemetryLine:
    """Transfer frames of telemetry behind their markers (CCSDS 132.0-B-3), and their packets."""

    def __init__(self, frame_nbytes: int, ocf: bool = True) -> None:
        self._nbytes = frame_nbytes
        self._tail = _OCF_NBYTES * ocf + _FECF_NBYTES
        self._ocf = ocf
        self._buffer = _Buffer()
        self._channels: dict[int, _PacketZone] = {}

    def feed(self, data: bytes) -> Iterator[Unit]:
        """Take octets; yield frames and packets."""
        buffer, marker = self._buffer, tm_frame.ASM
        buffer.held += data
        while True:
            at = buffer.held.find(marker)
            if at < 0:
                yield from buffer.rest(len(buffer.held) - _overlap(buffer.held, marker))
                return
            yield from buffer.rest(at)
            if len(buffer.held) < len(marker) + self._nbytes:
                return
            begin = buffer.at
            cadu = buffer.drop(len(marker) + self._nbytes)
            yield from self._frame(begin, tm_randomise(cadu[len(marker) :]))

    def end(self) -> Iterator[Unit]:
        """Yield the rest of the last frame, and of the last packet of each channel."""
        yield from self._buffer.rest(len(self._buffer.held))
        for zone in self._channels.values():
            yield from zone.lose()

    def _frame(self, begin: int, frame: bytes) -> Iterator[Unit]:
        """Yield a frame and the packets that it completes."""
        place = begin + len(tm_frame.ASM)
        end = place + len(frame)
        is_good = crc16(frame) == 0
        head, data = frame[: tm_frame.HEADER_NBYTES], frame[tm_frame.HEADER_NBYTES : -self._tail]
        shown = head + frame[-self._tail : -_FECF_NBYTES] + bytes((is_good,))
        yield Unit(_FRAME, begin, end, shown, shown[:2] + shown[4:], lambda: self._says(frame))
        if is_good:
            zone = self._channels.setdefault(head[1] >> 1 & 7, _PacketZone())
            pointer = int.from_bytes(head[4:6], "big") & 0x7FF
            yield from zone.take(place + len(head), data, pointer, head[3])
        else:
            yield _rest(place + len(head), data)

    def _says(self, frame: bytes) -> Fields:
        word, status = int.from_bytes(frame[:2], "big"), frame[4:6]
        told: Fields = {
            "frame.scid": word >> 4 & 0x3FF,
            "frame.vcid": word >> 1 & 7,
            "frame.mc_count": frame[2],
            "frame.vc_count": frame[3],
            "frame.first_header": int.from_bytes(status, "big") & 0x7FF,
            "frame.flags": (word >> 14) << 6 | (word & 1) << 5 | status[0] >> 3,
            "frame.fecf": "bad" if crc16(frame) else "good",
        }
        return told | (_control(frame[-self._tail : -_FECF_NBYTES]) if self._ocf else {})


def _overlap(held: bytes | bytearray, marker: bytes) -> int:
    """Return how many octets at the end may be the beginning of a marker."""
    sizes = range(min(len(marker) - 1, len(held)), 0, -1)
    return next((n for n in sizes if held[-n:] == marker[:n]), 0)


def _control(word: bytes) -> Fields:
    """Return an operational control field."""
    try:
        clcw = Clcw.unpack(word)
    except FlatsatError:
        return octets("frame.ocf", word)
    return {f"frame.clcw.{name}": int(value) for name, value in clcw._asdict().items()}


class _PacketZone:
    """The packets of one virtual channel."""

    def __init__(self) -> None:
        self._held = bytearray()
        #: where each octet held was in the stream: (place in held, place in stream)
        self._places: list[tuple[int, int]] = []
        self._synced = False
        self._count = -1

    def take(self, place: int, data: bytes, pointer: int, count: int) -> Iterator[Unit]:
        """Take the data field of a frame."""
        if self._count >= 0 and (self._count + 1) & 0xFF != count:
            yield from self.lose()
        self._count = count
        if pointer == tm_frame.POINTER_IDLE:
            return
        if not self._synced:
            if pointer == tm_frame.POINTER_NONE or pointer > len(data):
                yield _rest(place, data)
                return
            if pointer:
                yield _rest(place, data[:pointer])
            place, data, self._synced = place + pointer, data[pointer:], True
        self._places.append((len(self._held), place))
        self._held += data
        while len(self._held) >= _PRIMARY_NBYTES:
            nbytes = int.from_bytes(self._held[4:6], "big") + _PRIMARY_NBYTES + 1
            if len(self._held) < nbytes:
                return
            yield self._cut(nbytes)

    def _cut(self, nbytes: int) -> Unit:
        begin, end = self._where(0), self._where(nbytes - 1) + 1
        packet = bytes(self._held[:nbytes])
        del self._held[:nbytes]
        kept: list[tuple[int, int]] = []
        for at, place in reversed(self._places):
            kept.append((max(0, at - nbytes), place + max(0, nbytes - at)))
            if at <= nbytes:
                break
        self._places = kept[::-1]
        return packet_unit(begin, end, packet, packets.telemetry)

    def _where(self, index: int) -> int:
        """Return the place in the stream of an octet held."""
        at, place = next(row for row in reversed(self._places) if row[0] <= index)
        return place + index - at

    def lose(self) -> Iterator[Unit]:
        """Give up a packet whose rest did not come."""
        if self._held:
            yield _rest(self._where(0), bytes(self._held))
        self._held.clear()
        self._places.clear()
        self._synced = False


def packet_unit(begin: int, end: int, packet: bytes, decode: Callable[[bytes], Fields]) -> Unit:
    """Return a packet; its sequence count and error control do not tell what it is."""
    if int.from_bytes(packet[:2], "big") & 0x7FF == APID_IDLE:
        idle: Fields = {"idle.nbytes": len(packet)}
        return Unit("idle", begin, end, packet[:2], packet[:2], lambda: idle)
    content = packet[:2] + packet[4:9] + packet[11:-2]
    return Unit(_PACKET, begin, end, packet, content, lambda: decode(packet))


class TelecommandLine:
    """Units of the uplink (CCSDS 231.0-B-4), their frames (232.0-B-4) and packets."""

    def __init__(self) -> None:
        self._buffer = _Buffer()
        self._segments = tc_frame.SegmentReceiver()

    def feed(self, data: bytes) -> Iterator[Unit]:
        """Take octets; yield frames and packets."""
        buffer = self._buffer
        buffer.held += data
        while True:
            at = buffer.held.find(_CLTU_START)
            if at < 0:
                yield from buffer.rest(len(buffer.held) - _overlap(buffer.held, _CLTU_START))
                return
            yield from buffer.rest(at)
            tail = buffer.held.find(_CLTU_TAIL)
            if tail < 0 and len(buffer.held) <= _CLTU_NBYTES:
                return
            nbytes = len(_CLTU_START) if tail < 0 else tail + len(_CLTU_TAIL)
            begin, whole = buffer.at, buffer.drop(nbytes)
            units = cltu.decode(whole)
            if not units:
                yield _rest(begin, whole)
            for unit in units:
                yield from self._frame(begin, begin + nbytes, unit, whole)

    def end(self) -> Iterator[Unit]:
        """Yield the rest of the last unit."""
        yield from self._buffer.rest(len(self._buffer.held))

    def _frame(self, begin: int, end: int, unit: bytes, whole: bytes) -> Iterator[Unit]:
        try:
            frame = tc_frame.unpack(unit)
        except FlatsatError:
            yield _rest(begin, whole)
            return
        head = unit[: tc_frame.HEADER_NBYTES + 1]
        told: Fields = {
            f"tcframe.{name}": int(getattr(frame, name))
            for name in ("scid", "vcid", "seq", "bypass", "control", "map_id", "segment_flags")
        }
        packet = None if frame.control else self._segments.accept(frame)
        if packet is None:  # a command to the receiver, or a segment
            told |= octets("tcframe.command" if frame.control else "tcframe.segment", frame.data)
            head += frame.data
        yield Unit(_FRAME, begin, end, head, head[:4] + head[5:], lambda: told)
        if packet is not None:
            yield packet_unit(begin, end, packet, packets.telecommand)


_UBX_NAMES = {
    message: row.name.removeprefix("UBX_").lower() for message, row in messages.MESSAGES.items()
} | {
    value: name.lower()
    for name, value in vars(ubx).items()
    if name.isupper() and isinstance(value, tuple) and len(value) == 2
}
_SENTENCE = re.compile(rb"\$[ -~]*\r?\n")


class GnssLine:
    """UBX messages and NMEA sentences of a GNSS receiver."""

    def __init__(self) -> None:
        self._buffer = _Buffer()

    def feed(self, data: bytes) -> Iterator[Unit]:
        """Take octets; yield messages and sentences."""
        buffer = self._buffer
        buffer.held += data
        while buffer.held:
            starts = [at for mark in (ubx.SYNC, b"$") if (at := buffer.held.find(mark)) >= 0]
            first = min(starts, default=len(buffer.held) - (buffer.held[-1:] == ubx.SYNC[:1]))
            yield from buffer.rest(first)
            nbytes = self._length()
            if nbytes is None:
                return
            begin = buffer.at
            yield (
                self._unit(begin, buffer.drop(nbytes))
                if nbytes > 1
                else _rest(begin, buffer.drop(1))
            )

    def end(self) -> Iterator[Unit]:
        """Yield the rest of the last message."""
        yield from self._buffer.rest(len(self._buffer.held))

    def _length(self) -> int | None:
        """Return the octets of the unit at the front; None: more are needed; 1: it is none."""
        held = self._buffer.held
        if held[:1] == b"$":
            end = held.find(b"\n", 0, ubx.SENTENCE_MAX_NBYTES)
            if end < 0:
                return None if len(held) < ubx.SENTENCE_MAX_NBYTES else 1
            return end + 1 if _SENTENCE.fullmatch(held[: end + 1]) else 1
        if len(held) < ubx.HEADER_NBYTES:
            return None
        length = int.from_bytes(held[4:6], "little")
        if length > ubx.PAYLOAD_MAX_NBYTES:
            return 1
        nbytes = ubx.HEADER_NBYTES + length + ubx.CHECKSUM_NBYTES
        return nbytes if len(held) >= nbytes else None

    def _unit(self, begin: int, data: bytes) -> Unit:
        decode = _sentence if data[:1] == b"$" else _message
        content = data[:6] if data[:1] == b"$" else data[:-2]
        return Unit(_PACKET, begin, begin + len(data), data, content, lambda: decode(data))


def _sentence(data: bytes) -> Fields:
    words = data.decode("ascii", "replace").strip("$\r\n").partition("*")[0].split(",")
    told: Fields = {"nmea.name": words[0]}
    return told | {f"nmea.{words[0]}[{n}]": word for n, word in enumerate(words[1:], 1)}


def _message(data: bytes) -> Fields:
    key = (data[2], data[3])
    name = _UBX_NAMES.get(key, f"{key[0]:02x}_{key[1]:02x}")
    body = data[ubx.HEADER_NBYTES : -ubx.CHECKSUM_NBYTES]
    told: Fields = {"ubx.name": name}
    if ubx.checksum(data[2 : -ubx.CHECKSUM_NBYTES]) != data[-ubx.CHECKSUM_NBYTES :]:
        told["ubx.checksum"] = "bad"
    if key == ubx.NAV_PVT and len(body) == ubx.NAV_PVT_FIELDS.sizeof():
        values = ubx.NAV_PVT_FIELDS.parse(body)
        return told | {f"ubx.{name}.{field}": v for field, v in values.items() if field != "_io"}
    return told | octets(f"ubx.{name}.payload", body)
