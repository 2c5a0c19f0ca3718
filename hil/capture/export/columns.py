"""Captures as CSV: the fields of each record in columns.

Of several topics the columns are those of the header, the payload in hexadecimal, and what the
record says in words. Of a single topic each decoded field has a column of its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from flightsw.codec.wire import Kind, Record, unpack_all
from hil.capture.export.naming import Names

HEADER = ("seq", "t_s", "t_ns", "duration_ns", "topic", "kind", "flags", "status", "address")
#: fields of a topic beyond this are not given a column; how many there were is told
COLUMNS_MOST = 2000
_KINDS = frozenset(Kind)
_ROWS = 2000


class Decodes(Protocol):
    """What takes records apart (:class:`hil.replay.decode.Decoder`)."""

    def fields(self, record: Record) -> Mapping[str, int | float | str]:
        """Return every field of a record."""

    def describe(self, record: Record) -> str:
        """Return what a record says in one line."""


def write(
    buffers: Callable[[], Iterable[bytes]],
    names: Names,
    put: Callable[[bytes], object],
    decoder: Callable[[], Decodes] | None,
    one_topic: bool,
) -> tuple[int, int]:
    """Write rows; return how many, and how many fields had no column left.

    ``buffers()`` gives the wire records, ``decoder()`` a decoder that has seen nothing yet; without
    one there are header and payload alone. With ``one_topic`` both are asked twice: once for what
    columns there are.
    """
    fields: list[str] = []
    beyond = 0
    if one_topic and decoder is not None:
        fields, beyond = _found(buffers(), decoder())
    head = [*HEADER, *fields] if fields else [*HEADER, "payload"]
    if not fields and decoder is not None:
        head.append("says")
    teller = None if decoder is None else decoder()
    rows: list[list[object]] = [list(head)]
    count = 0
    for buffer in buffers():
        for record in unpack_all(buffer):
            row = _header(record, names)
            if fields and teller is not None:
                values = teller.fields(record)
                row += [values.get(name, "") for name in fields]
            else:
                row.append(record.payload.hex())
                if teller is not None:
                    row.append(teller.describe(record))
            rows.append(row)
            count += 1
        if len(rows) > _ROWS:
            put(_text(rows))
            rows.clear()
    put(_text(rows))
    return count, beyond


def _found(buffers: Iterable[bytes], decoder: Decodes) -> tuple[list[str], int]:
    """Return the names of all fields in the order in which they first come, those of the header
    left out; and how many more there were."""
    found: dict[str, None] = {}
    for buffer in buffers:
        for record in unpack_all(buffer):
            found |= dict.fromkeys(decoder.fields(record))
    names = [name for name in found if name not in HEADER]
    return names[:COLUMNS_MOST], max(0, len(names) - COLUMNS_MOST)


def _header(record: Record, names: Names) -> list[object]:
    """Return the values of the header's columns."""
    seconds, rest_ns = divmod(record.t_ns, 10**9)
    return [
        record.seq,
        f"{seconds}.{rest_ns:09d}",
        record.t_ns,
        record.duration_ns,
        names.topic(record.kind, record.channel),
        Kind(record.kind).name if record.kind in _KINDS else record.kind,
        record.flags,
        record.status,
        record.address,
    ]


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as CSV (RFC 4180, but for its line ends)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
