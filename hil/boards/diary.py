"""What a board says and how it fares, line by line, for who watches."""

from __future__ import annotations

import json
import select
from collections.abc import Callable
from typing import Any

from hil.boards.protocol import Event, EventType, Identity, log_text
from hil.boards.session import Session, Transition
from hil.boards.telling import as_dict
from hil.errors import BoardError

SECOND_NS = 1_000_000_000


class Diary:
    """Follows one session; ``tell`` gets a row for each thing that happens."""

    def __init__(self, session: Session, tell: Callable[[dict[str, Any]], None]) -> None:
        self.session = session
        self._tell = tell
        self._began_ns = session.clock()
        session.on_change = self._changed
        session.on_event = self._event

    def follow(self, limit_s: float | None = None) -> None:
        """Drive the session for so long, or until Ctrl-C."""
        session = self.session
        until_ns = None if limit_s is None else self._began_ns + round(limit_s * SECOND_NS)
        while True:
            now_ns = session.clock()
            if until_ns is not None and now_ns >= until_ns:
                return
            session.service(now_ns)
            due_ns = session.due_ns if until_ns is None else min(session.due_ns, until_ns)
            fd = session.fileno()
            wait_s = max(due_ns - session.clock(), 0) / SECOND_NS
            select.select([] if fd is None else [fd], [], [], wait_s)

    def counters(self) -> dict[str, Any]:
        """Return a row of what session and link have counted."""
        counted = {**self.session.counters, **self.session.link.counters}
        return self._row("counters", {name: n for name, n in counted.items() if n})

    def _row(self, what: str, facts: dict[str, Any]) -> dict[str, Any]:
        at_s = (self.session.clock() - self._began_ns) / SECOND_NS
        return {"at_s": round(at_s, 6), "what": what, **facts}

    def _changed(self, change: Transition) -> None:
        facts: dict[str, Any] = {"state": change.after.value, "why": change.why}
        if change.identity is not None:
            facts["identity"] = as_dict(change.identity)
        self._tell(self._row("state", facts))

    def _event(self, event: Event) -> None:
        name = EventType(event.type).name if event.type in set(EventType) else f"{event.type:#x}"
        facts: dict[str, Any] = {"lost_before": event.lost} if event.lost else {}
        if event.type == EventType.BOOT:
            facts |= _boot(event)
        elif event.type == EventType.LOG:
            facts["text"] = log_text(event.payload)
        else:
            facts |= self._fields(event)
        self._tell(self._row(name, facts))

    def _fields(self, event: Event) -> dict[str, Any]:
        try:
            fields = event.fields()
        except (BoardError, ValueError, KeyError):
            return {"octets": event.payload.hex()}
        facts = {
            key: value.hex() if isinstance(value, bytes) else str(value)
            for key, value in fields.items()
            if not key.startswith("_")
        }
        clock = self.session.link.clock
        if "t_us" in fields and clock.ready:  # the board's own stamp, in the time of these rows
            happened_ns = clock.to_host_ns(fields.t_us) - self._began_ns
            facts["happened_s"] = f"{happened_ns / SECOND_NS:.6f}"
        return facts


def _boot(event: Event) -> dict[str, Any]:
    """Return what of a BOOT is worth reading; the link has looked at all of it."""
    told = as_dict(Identity.parse(event.payload))
    names = {"reset_cause": "reset", "board": "board", "firmware": "firmware", "uid": "uid"}
    return {name: told[key] for key, name in names.items()}


def as_text(row: dict[str, Any]) -> str:
    """Return a row as a person reads it."""
    rest = dict(row)
    at_s, what = rest.pop("at_s"), rest.pop("what")
    if what == "state":
        return f"{at_s:10.3f}  {rest['state']:<8} {rest['why']}"
    if what == "LOG":
        return f"{at_s:10.3f}  {what:<8} {rest['text']}"
    told = ", ".join(f"{key} {value}" for key, value in rest.items())
    return f"{at_s:10.3f}  {what:<8} {told}"


def as_json(row: dict[str, Any]) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(row, sort_keys=True)
