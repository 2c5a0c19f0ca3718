"""Values of any depth as flat fields with dotted names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from flightsw.codec.wire import Flag, Record, Status
from hil.printable import printable
from hil.replay.verdict import Value

Fields = dict[str, Value]

#: so many octets are fields of their own; what is behind them is one
SHOWN_NBYTES = 1024
#: so many octets of a row are shown in a line
LINE_NBYTES = 24
#: digest of what is too long to be shown, octets
_HASH_NBYTES = 8
_OCTET = re.compile(r"(.*)\[\d+\]")


def octets(name: str, data: bytes) -> Fields:
    """Return octets as fields ``name[0]``, ``name[1]``; the end of a long row as a digest."""
    told: Fields = {f"{name}[{n}]": octet for n, octet in enumerate(data[:SHOWN_NBYTES])}
    if len(data) > SHOWN_NBYTES:
        told[f"{name}[{SHOWN_NBYTES}:{len(data)}]"] = digest(data[SHOWN_NBYTES:])
    return told


def digest(data: bytes) -> str:
    """Return a short BLAKE2b of octets."""
    return hashlib.blake2b(data, digest_size=_HASH_NBYTES).hexdigest()


def flat(name: str, value: Any) -> Fields:
    """Return a value of JSON or of construct as fields below ``name``."""
    if isinstance(value, Mapping):
        items = ((f"{name}.{key}", one) for key, one in value.items() if key != "_io")
        return {field: v for key, one in items for field, v in flat(key, one).items()}
    if isinstance(value, list | tuple):
        rows = ((f"{name}[{nth}]", one) for nth, one in enumerate(value))
        return {field: v for key, one in rows for field, v in flat(key, one).items()}
    if isinstance(value, bytes):
        return octets(name, value)
    return {name: value if isinstance(value, int | float | str) else str(value)}


def said(fields: Mapping[str, Value]) -> str:
    """Return fields as one line that may be shown: octets of one row as hexadecimal digits, and
    what names have in common said once."""
    words: list[str] = []
    row, digits, lead = "", "", ""
    for name, value in fields.items():
        match = _OCTET.fullmatch(name)
        is_octet = match is not None and isinstance(value, int) and 0 <= value < 256
        if match is None or not is_octet or match[1] != row:
            words += _row(row, digits)
            row = digits = ""
        if match is not None and is_octet:
            row, digits = match[1], f"{digits}{value:02x}"
            continue
        shown = name[len(lead) :] if lead and name.startswith(f"{lead}.") else name
        lead = ".".join(name.split(".")[: 2 if name.count(".") > 1 else 1])
        words.append(f"{shown} {value:.6g}" if isinstance(value, float) else f"{shown} {value}")
    return printable(", ".join([*words, *_row(row, digits)]))


def troubles(record: Record) -> list[str]:
    """Return what was not as usual with a record, a word each: status, fault, real hardware."""
    known = Status.__members__.values()
    told = (
        []
        if not record.status
        else [Status(record.status).name if record.status in known else f"status {record.status}"]
    )
    told += ["[faulted]"] if record.flags & Flag.FAULTED else []
    return told + (["[board]"] if record.flags & Flag.BOARD else [])


def _row(name: str, digits: str) -> list[str]:
    """Return a row of octets as one word; of a long one its beginning and its length."""
    if len(digits) > 2 * LINE_NBYTES:
        digits = f"{digits[: 2 * LINE_NBYTES]}... ({len(digits) // 2} octets)"
    return [f"{name} {digits}"] if digits else []
