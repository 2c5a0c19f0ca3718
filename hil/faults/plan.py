"""Fault plans: what is to break in a run, as rows that a user writes, checked before it begins.

A row names the bus, or the receiver of a time pulse, the kind of fault, when, and its arguments::

    [[fault]]
    on = "i2c-1"
    kind = "nak_address"
    address = 0x40
    first = 5                  # transactions of the bus, counted from 0
    last = 9

    [[fault]]
    on = "ttyAMA1"
    kind = "framing"
    from = "300 s"
    until = "5.5 min"
    rate = 0.1

    [[fault]]
    kind = "kill"              # of the flight software
    at = "1200 s"

On a command line a row is ``i2c-1:nak_address,address=0x40,first=5,last=9``, and a kill
``kill@1200``; times without a unit are seconds. ``docs/faults.md`` has the kinds and arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hil.buses.can_faults import CANFault
from hil.buses.faults import FOREVER, BusFault, FaultTable
from hil.buses.frames import FrameFault
from hil.buses.gpio_faults import PinFault
from hil.buses.line_faults import LineFault
from hil.config import Document, load_toml, nearest, one_line
from hil.errors import ConfigError
from hil.parts.fault_windows import FOREVER_NS
from hil.parts.pps import PulseFault, TimePulse
from hil.units import parse_quantity

SECOND = 1_000_000_000
KILL = "kill"
#: short names of kinds
SHORT = {"nak": "nak_address"}
#: the faults of buses on which things happen by themselves, by the kind of bus
WINDOWED: Mapping[str, type[Any]] = {
    "uart": LineFault,
    "can": CANFault,
    "gpio": PinFault,
    "frames": FrameFault,
}
_TIMES = {"from": "from_ns", "until": "until_ns"}
_RANGE = ("first", "last")

#: Makes the error for a key of a row: (key or "", what is wrong).
Complain = Callable[[str, str], ConfigError]


class Row(NamedTuple):
    """One fault as it was written; ``complain`` knows where."""

    on: str
    kind: str
    values: Mapping[str, Any]
    complain: Complain


class Plan(NamedTuple):
    """Kills of the flight software, ns of virtual time in the order given, and all other faults."""

    kills: tuple[int, ...] = ()
    rows: tuple[Row, ...] = ()


#: no fault at all
NOTHING = Plan()


class Faulty(Protocol):
    """What faults are put into: a rig."""

    @property
    def wiring(self) -> Any:
        """Buses and parts by name."""

    def fault(self, t_ns: int, **values: Any) -> None:
        """Put a fault into the records."""


def read_plan(texts: Iterable[str] = (), path: Path | None = None) -> Plan:
    """Return the plan of a file and of rows on the command line, in that order.

    Raises :class:`~hil.errors.ConfigError` for what cannot be read; whether a bus is there and
    takes such a fault shows when the plan is applied.
    """
    rows = read_rows(texts, path)
    kills = tuple(kill_ns(row) for row in rows if row.kind == KILL and not row.on)
    return Plan(kills, tuple(row for row in rows if row.on))


def read_rows(texts: Iterable[str] = (), path: Path | None = None) -> list[Row]:
    """Return the rows of a file and of a command line as they were written, kills among them.

    Raises :class:`~hil.errors.ConfigError` for what is no row.
    """
    rows = [] if path is None else _rows_of(load_toml(path))
    rows += [_row_of(text) for text in texts]
    return [row._replace(kind=SHORT.get(row.kind, row.kind)) for row in rows]


def rows_toml(rows: Iterable[Row]) -> str:
    """Return rows as the text of a fault plan, which :func:`read_plan` takes."""
    tables = []
    for row in rows:
        pairs = {**({"on": row.on} if row.on else {}), "kind": row.kind, **row.values}
        # What JSON and TOML write alike: text, whole numbers, numbers, truth.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in pairs.items()]
        tables.append("\n".join(["[[fault]]", *lines]) + "\n")
    return "\n".join(tables)


def _rows_of(doc: Document) -> list[Row]:
    doc.check_keys("", ("fault",))
    tables = doc.find("fault", [])
    if not isinstance(tables, list):
        raise doc.error("fault", "must be an array of tables: [[fault]]")
    found = []
    for index in range(len(tables)):
        place = ("fault", index)
        kind = doc.text((*place, "kind"))
        on = doc.text((*place, "on"), "")
        values = {k: v for k, v in doc.table(place).items() if k not in ("on", "kind")}

        def complain(key: str, message: str, place: tuple[str | int, ...] = place) -> ConfigError:
            return doc.error((*place, key) if key else place, message)

        if not on and kind != KILL:
            has = ", ".join(["kind", *values])
            raise complain("", f"key 'on' is missing: the bus that fails; there is {has}")
        found.append(Row(on, kind, values, complain))
    return found


def _row_of(text: str) -> Row:
    def complain(key: str, message: str) -> ConfigError:
        return ConfigError(one_line(f"fault {text!r}: {key + ': ' if key else ''}{message}"))

    head, *pairs = text.split(",")
    if head.partition("@")[0] == KILL:
        if pairs:
            raise complain("", "a kill takes its time alone, as kill@1200")
        return Row("", KILL, {"at": head.partition("@")[2]}, complain)
    on, colon, kind = head.rpartition(":")
    if not (on and colon and kind):
        raise complain("", "give BUS:KIND,KEY=VALUE,... or kill@SECONDS")
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key in values:
            raise complain(key, "give each key once, as KEY=VALUE")
        values[key.strip()] = value.strip()
    return Row(on, kind, values, complain)


def kill_ns(row: Row) -> int:
    """Return when a kill is to be, ns of virtual time. Raises ``ConfigError``."""
    unknown = set(row.values) - {"at"}
    if unknown:
        raise row.complain(min(unknown), "a kill takes 'at' alone")
    if row.values.get("at", "") == "":
        raise row.complain("", "give the time in seconds, as kill@1200")
    return time_ns(row, "at")


def time_ns(row: Row, key: str) -> int:
    """Return a time of a row: a number of seconds, or a quantity."""
    value = row.values[key]
    try:
        seconds = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        try:
            seconds = parse_quantity(value, "s")
        except ConfigError as wrong:
            raise row.complain(key, f"{wrong}; a plain number is seconds, as kill@1200") from None
    if not 0.0 <= seconds <= FOREVER_NS / SECOND:
        raise row.complain(key, f"{value!r} is no time of a run; give seconds, as kill@1200")
    return round(seconds * SECOND)


# --- applying -------------------------------------------------------------------------------------


def apply(plan: Plan, rig: Faulty) -> None:
    """Add every row to its bus or pulse, and to the records; kills are the session's business.

    Raises :class:`~hil.errors.ConfigError` for a bus that is not there and for what it refuses.
    """
    wired = rig.wiring
    for row in plan.rows:
        bus = wired.buses.get(row.on)
        pulse = getattr(wired.parts.get(row.on), "pulse", None)
        if bus is not None and isinstance(bus.faults, FaultTable):
            add, fault = bus.add_fault, _counted(row, bus.faults)
        elif bus is not None:
            add, fault = bus.faults.add, _windowed(row, WINDOWED[bus.kind])
        elif isinstance(pulse, TimePulse):
            add, fault = pulse.faults.add, _windowed(row, PulseFault)
        else:
            known = [*wired.buses]
            known += [name for name, part in wired.parts.items() if hasattr(part, "pulse")]
            hint = nearest(row.on, known) or f"; there are {', '.join(known)}"
            raise row.complain("on", f"nothing here is called {row.on!r}{hint}")
        nodes = [str(node.name) for node in getattr(bus, "nodes", ())]
        node = getattr(fault, "node", "")
        if node and node not in nodes:
            hint = nearest(node, nodes) or f"; there are {', '.join(nodes) or 'none'}"
            raise row.complain("node", f"no node of {row.on!r} is called {node!r}{hint}")
        try:
            add(fault)
        except ConfigError as error:
            raise row.complain("", str(error)) from None
        rig.fault(0, kind=row.kind, on=row.on, planned=1, **row.values)


def _counted(row: Row, table: FaultTable) -> BusFault:
    """Return the row for a bus of transactions: by number, or by time."""
    arguments = table.kinds.get(row.kind, ())
    _check_keys(row, ("address", *_RANGE, *_TIMES, *arguments))
    values = row.values
    by_time = any(key in values for key in _TIMES)
    if by_time and any(key in values for key in _RANGE):
        raise row.complain("", "says both numbers of transactions and times; take one of them")
    if by_time:
        first = time_ns(row, "from") if "from" in values else 0
        last = time_ns(row, "until") - 1 if "until" in values else FOREVER
    else:
        first = _whole(row, "first", 0)
        last = _whole(row, "last", FOREVER)
    return BusFault(
        row.on,
        row.kind,
        _whole(row, "address", 0) if "address" in values else None,
        "t_ns" if by_time else "index",
        first,
        last,
        {key: _whole(row, key, 0) for key in arguments if key in values},
    )


def _windowed(row: Row, fault: type[Any]) -> Any:
    """Return the row for a bus on which things happen by themselves: a window of time."""
    fields = {
        name: default
        for name, default in {"line": 0, **fault._field_defaults}.items()
        if name in fault._fields and name not in _TIMES.values()
    }
    _check_keys(row, (*_TIMES, *fields))
    made: dict[str, Any] = {}
    for key in row.values:
        if key in _TIMES:
            made[_TIMES[key]] = time_ns(row, key)
        else:
            made[key] = _typed(row, key, type(fields[key]))
    if "line" in fields and "line" not in made:
        raise row.complain("", "key 'line' is missing: the number of the line")
    return fault(row.kind, **made)


def _check_keys(row: Row, known: Iterable[str]) -> None:
    names = list(known)
    for key in row.values:
        if key not in names:
            hint = nearest(key, names) or f"; it takes {', '.join(names)}"
            raise row.complain(key, f"{row.kind!r} on {row.on!r} has no such key{hint}")


def _whole(row: Row, key: str, default: int) -> int:
    return int(_typed(row, key, int)) if key in row.values else default


def _typed(row: Row, key: str, wanted: type) -> Any:
    """Return a value as the type that the fault has it in."""
    value = row.values[key]
    try:
        if isinstance(value, bool) or (wanted is str and not isinstance(value, str)):
            raise ValueError
        if wanted is int:
            if isinstance(value, float):
                raise ValueError
            return int(value, 0) if isinstance(value, str) else int(value)
        return wanted(value)
    except (TypeError, ValueError):
        names = {int: "a whole number", float: "a number", str: "text"}
        raise row.complain(key, f"must be {names[wanted]}, is {value!r}") from None
