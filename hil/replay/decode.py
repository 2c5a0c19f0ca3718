"""What a record says, field by field, in the names of the board file and the dictionary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from flightsw.codec.errors import FlatsatError
from flightsw.codec.wire import Flag, Kind, Record
from hil.board import Board
from hil.capture.topics import JSON_KINDS, topic_of
from hil.missions import Mission
from hil.replay.decoding import parts
from hil.replay.decoding.flat import Fields, flat, octets, said, troubles
from hil.replay.decoding.lines import GnssLine, Line, TelecommandLine, TelemetryLine, Unit
from hil.replay.rules import HEADER_FIELDS
from hil.replay.verdict import FieldChange, Value, changes

#: octets of a transfer frame where no record says otherwise
FRAME_NBYTES = 256
#: one direction of one channel: kind, channel, towards the payload computer
LineKey = tuple[int, int, bool]


class Decoder:
    """Decodes the records of one stream in order; what spans records is put together."""

    def __init__(self, board: Board, mission: Mission | None, names: Mapping[int, str]) -> None:
        self.board, self.mission, self.names = board, mission, names
        self._parts = parts.Parts(board, names)
        self._lines: dict[LineKey, Line | None] = {}
        self._kinds: Mapping[int, Callable[[Record], Fields]] = {
            Kind.I2C: self._parts.i2c,
            Kind.SPI: self._parts.spi,
            Kind.ONEWIRE: self._parts.onewire,
            Kind.CAN: self._parts.can,
            Kind.GPIO: self._parts.gpio,
            Kind.FRAME: lambda record: parts.frame(record.payload),
            Kind.LOAD: lambda record: parts.load(record.payload),
            **dict.fromkeys(JSON_KINDS, _json),
        }

    def fields(self, record: Record) -> dict[str, Value]:
        """Return every field of a record, those of the header first, then of what it completes.

        Never raises. Of several packets in one record the second has ``tm[1].`` in place of
        ``tm.``, and so on.
        """
        told = {name: getattr(record, name) for name in HEADER_FIELDS} | self._payload(record)
        key = line_key(record)
        if key not in self._lines:
            self._lines[key] = self.line(key)
        line = self._lines[key]
        for unit in line.feed(record.payload) if line is not None else ():
            told |= _numbered(unit.fields, told)
        return told

    def describe(self, record: Record) -> str:
        """Return what a record says in one line, without its time and number, and how it failed."""
        topic = topic_of(record.kind, record.channel, self.names)
        return " ".join([f"{topic} {self.says(record)}".rstrip(), *troubles(record)])

    def says(self, record: Record) -> str:
        """Return what a record says in one line, without its topic."""
        way = "in " if record.flags & Flag.INPUT else ""
        return f"{way}{said(self._payload(record))}"

    def changes(self, old: Record, new: Record) -> list[FieldChange]:
        """Return what differs between the payloads of two records of one topic."""
        found = changes(self._payload(old), self._payload(new))
        if old.kind == Kind.FRAME and found:
            count = parts.pixels_different(old.payload, new.payload)
            found.append(FieldChange("image.pixels_different", 0, count))
        return found or changes(octets("payload", old.payload), octets("payload", new.payload))

    def made_of(self, field: str) -> dict[str, int]:
        """Return the fields of registers that hold the octets of a reading, each with the bits of
        it that say something else."""
        return self._parts.made_of(field)

    def line(self, key: LineKey) -> Line | None:
        """Return a new line for a direction of a channel; None where records are units already."""
        kind, channel, is_input = key
        if kind == Kind.TM:
            return TelemetryLine(FRAME_NBYTES)
        if kind == Kind.TC:
            return TelecommandLine()
        role = self._parts.with_role(channel) if kind == Kind.UART else None
        if role == "ttc":
            return TelecommandLine() if is_input else TelemetryLine(FRAME_NBYTES)
        return GnssLine() if role == "gnss" else None

    def _payload(self, record: Record) -> Fields:
        decode = self._kinds.get(record.kind)
        if decode is None:
            return octets("payload", record.payload)
        try:
            return decode(record)
        except (FlatsatError, ValueError, RecursionError):
            return octets("payload", record.payload)


def line_key(record: Record) -> LineKey:
    """Return the line that a record is on."""
    return record.kind, record.channel, bool(record.flags & Flag.INPUT)


def units_of(line: Line, record: Record) -> list[Unit]:
    """Return the units that a record completes."""
    return list(line.feed(record.payload))


def _numbered(fields: Fields, told: Mapping[str, Value]) -> Fields:
    """Return fields under names that are not taken."""
    nth, found = 0, fields
    while any(name in told for name in found):
        nth += 1
        found = {_nth(name, nth): value for name, value in fields.items()}
    return found


def _nth(name: str, nth: int) -> str:
    lead, dot, rest = name.partition(".")
    return f"{lead}[{nth}]{dot}{rest}" if dot else f"{lead}[{nth}]"


def _json(record: Record) -> Fields:
    value = json.loads(record.payload)
    told = flat(Kind(record.kind).name.lower(), value)
    return told if isinstance(value, dict) else octets("payload", record.payload)
