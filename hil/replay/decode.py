"""What a record says, field by field, in the names of the board file and the dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flightsw.codec import bus_payload
from flightsw.codec.errors import FlatsatError
from flightsw.codec.wire import Flag, Kind, Record
from hil.board import Board
from hil.capture.topics import JSON_KINDS, topic_of
from hil.missions import Mission
from hil.replay.verdict import FieldChange, Value, changes

#: so many octets of a payload that nothing describes are shown one by one
_SHOWN_NBYTES = 64


class Decoder:
    """Decodes the records of one stream in order; what spans records is put together."""

    def __init__(self, board: Board, mission: Mission | None, names: Mapping[int, str]) -> None:
        self.board, self.mission, self.names = board, mission, names

    def fields(self, record: Record) -> dict[str, Value]:
        """Return every field of a record, those of the header first; never raises."""
        return {
            "t_ns": record.t_ns,
            "duration_ns": record.duration_ns,
            "status": record.status,
            "flags": record.flags,
            "address": record.address,
            **self._payload(record),
        }

    def describe(self, record: Record) -> str:
        """Return what a record says in one line, without its time and number."""
        return f"{topic_of(record.kind, record.channel, self.names)} {self.says(record)}".rstrip()

    def changes(self, old: Record, new: Record) -> list[FieldChange]:
        """Return what differs between the payloads of two records of one topic."""
        return changes(self._payload(old), self._payload(new))

    def says(self, record: Record) -> str:
        """Return what a record says in one line, without its topic."""
        said = ", ".join(f"{name} {value}" for name, value in self._payload(record).items())
        way = "in " if record.flags & Flag.INPUT else ""
        return f"{way}{said}"

    def _payload(self, record: Record) -> dict[str, Value]:
        try:
            if record.kind == Kind.I2C:
                return self._i2c(record.payload)
            if record.kind in JSON_KINDS:
                return _flat(Kind(record.kind).name.lower(), json.loads(record.payload))
        except (FlatsatError, ValueError, RecursionError):
            return octets("payload", record.payload)
        return octets("payload", record.payload)

    def _i2c(self, payload: bytes) -> dict[str, Value]:
        told: dict[str, Value] = {}
        for _address, flags, data in bus_payload.unpack_i2c(payload, reply=True):
            assert isinstance(data, bytes)
            told |= octets("read" if flags & bus_payload.I2C_READ else "write", data)
        return told


def octets(name: str, data: bytes) -> dict[str, Value]:
    """Return octets as fields ``name[0]``, ``name[1]``; the end of a long row as one field."""
    told: dict[str, Value] = {f"{name}[{n}]": octet for n, octet in enumerate(data[:_SHOWN_NBYTES])}
    if len(data) > _SHOWN_NBYTES:
        told[f"{name}[{_SHOWN_NBYTES}:]"] = data[_SHOWN_NBYTES:].hex()
    return told


def _flat(name: str, value: Any) -> dict[str, Value]:
    """Return a value of JSON as fields with dotted names."""
    if isinstance(value, dict):
        return {k: v for key, one in value.items() for k, v in _flat(f"{name}.{key}", one).items()}
    if isinstance(value, list):
        return {
            k: v for nth, one in enumerate(value) for k, v in _flat(f"{name}[{nth}]", one).items()
        }
    return {name: value if isinstance(value, int | float | str) else str(value)}
