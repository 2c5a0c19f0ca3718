"""What is worth a remark on a record: the fault that changed it, or that it did not end well."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.export.naming import Names
from hil.config import one_line

#: rows of one fault plan that a comment lists; a plan with more on one bus says how many
_ROWS_SHOWN = 3


class Notes:
    """Makes the comments of packets; learns the fault plan from the FAULT records it is shown."""

    def __init__(self, names: Names, faults: Iterable[Record] = ()) -> None:
        self._names = names
        #: number and words of each row of the plan, by the bus and the address that it is for
        self._rows: defaultdict[tuple[str, int | None], list[tuple[int, str]]] = defaultdict(list)
        #: rows by the octets of their record: a plan that was read ahead comes again in its place
        self._known: dict[tuple[int, bytes], int] = {}
        for record in faults:
            self.of(record)

    def of(self, record: Record) -> str:
        """Return the comment on a record, ``""`` if there is nothing to remark."""
        parts = []
        if record.kind == Kind.FAULT:
            parts.append(self._fault(record))
        if record.flags & Flag.FAULTED:
            parts.append(self._changed(record))
        if record.status:
            is_known = record.status in Status.__members__.values()
            parts.append(f"status {Status(record.status).name if is_known else record.status}")
        return one_line(f"seq={record.seq}: " + "; ".join(parts)) if parts else ""

    def _fault(self, record: Record) -> str:
        """Say what a FAULT record says; remember a row of the plan."""
        try:
            values = json.loads(record.payload)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            return "a fault that cannot be read"
        if not values.get("planned"):
            return f"fault took effect: {told(values)}"
        key = (record.seq, record.payload)
        if key not in self._known:
            self._known[key] = number = len(self._known) + 1
            on = values.get("on")
            if isinstance(on, str):
                self._rows[on, _address_of(values)].append((number, told(values)))
        return f"fault plan row {self._known[key]}: {told(values)}"

    def _changed(self, record: Record) -> str:
        """Say which rows of the plan may have changed a record."""
        name = self._names.name(record.kind, record.channel)
        rows = [self._rows.get((name, address), []) for address in (None, record.address)]
        if not any(rows):
            return "changed by a fault"
        count = sum(map(len, rows))
        more = f" and {count - _ROWS_SHOWN} more" if count > _ROWS_SHOWN else ""
        first = sorted(row for of_address in rows for row in of_address[:_ROWS_SHOWN])
        listed = " or ".join(f"{number}: {words}" for number, words in first[:_ROWS_SHOWN])
        return f"changed by a fault, fault plan row {listed}{more}"


def told(values: Mapping[str, Any]) -> str:
    """Return a fault in words: ``nak_address on i2c-1, address=0x40 first=5``."""
    head = str(values.get("kind", "fault"))
    if values.get("on"):
        head += f" on {values['on']}"
    rest = [f"{k}={v}" for k, v in values.items() if k not in ("kind", "on", "planned")]
    return ", ".join([head, " ".join(rest)]) if rest else head


def _address_of(row: Mapping[str, Any]) -> int | None:
    """Return the address that a row is for; None: any, or it does not say in a way that we know."""
    try:
        return int(str(row.get("address")), 0)
    except ValueError:
        return None
