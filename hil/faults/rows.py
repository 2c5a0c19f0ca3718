"""A fault plan as rows that JSON can hold, and back: what a run keeps of the plan it flew with.

A row is an object with ``on`` and ``kind`` and the keys of the fault as its author wrote them,
since that is what the records hold. A kill has no ``on`` and its time ``at`` in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hil.config import one_line
from hil.errors import ConfigError
from hil.faults.plan import KILL, SECOND, Complain, Plan, Row, kill_ns

#: A plan is written by hand or by a generator; nobody flies with more faults than this.
ROWS_LIMIT = 100_000


def as_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the rows of a plan, kills first."""
    kills: list[dict[str, Any]] = [{"kind": KILL, "at": t_ns / SECOND} for t_ns in plan.kills]
    return kills + [{"on": row.on, "kind": row.kind, **row.values} for row in plan.rows]


def plan_of(rows: object, place: str) -> Plan:
    """Return the plan of such rows; ``place`` is what complaints call them.

    Raises :class:`~hil.errors.ConfigError` for what is no plan.
    """
    if not isinstance(rows, list) or len(rows) > ROWS_LIMIT:
        raise ConfigError(f"{place}: must be a list of at most {ROWS_LIMIT} rows")
    found = [_row(row, _complaint(place, index)) for index, row in enumerate(rows)]
    kills = tuple(kill_ns(row) for row in found if not row.on)
    return Plan(kills, tuple(row for row in found if row.on))


def _row(row: object, complain: Complain) -> Row:
    if not isinstance(row, Mapping):
        raise complain("", "must be an object with 'on' and 'kind'")
    on, kind = row.get("on", ""), row.get("kind")
    if not isinstance(on, str) or not isinstance(kind, str):
        raise complain("", "'on' and 'kind' must be text")
    if not on and kind != KILL:
        raise complain("", "key 'on' is missing: the bus that fails")
    values = {str(key): value for key, value in row.items() if key not in ("on", "kind")}
    if clash := _SAID & set(values):
        raise complain(min(clash), "no fault has this key")
    return Row(on, kind, values, complain)


#: what a record of a fault says besides the keys of its row
_SAID = {"t_ns", "planned"}


def _complaint(place: str, index: int) -> Complain:
    def complain(key: str, message: str) -> ConfigError:
        return ConfigError(one_line(f"{place}: row {index}: {key + ': ' if key else ''}{message}"))

    return complain


def texts(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return rows as ``--fault`` takes them, for a person to read."""
    found = []
    for row in rows:
        if not row.get("on"):
            found.append(f"{KILL}@{row.get('at')}")
            continue
        pairs = [f"{key}={value}" for key, value in row.items() if key not in ("on", "kind")]
        found.append(",".join([f"{row['on']}:{row['kind']}", *pairs]))
    return found
