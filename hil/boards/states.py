"""The states of a session, and what is told of a change: plain data for recorders and pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hil.boards.protocol import Identity

#: What a session counts.
COUNTERS = (
    "opened",
    "ready",
    "reconnects",  # READY again after LOST
    "port_moves",
    "lost",
    "refused",
    "resets",
    "reset_loops",
    "probes",  # ports asked for their uid
    "busy",
    "denied",
    "silent",
    "disturbed",  # times that the line of a READY board was found bad
    "baud_scans",
    "upshifts",
    "upshifts_failed",
    "octets_in",
    "octets_out",
)


class State(Enum):
    """Where a session stands; :mod:`hil.boards.session` has the rules."""

    ABSENT = "ABSENT"
    OPENING = "OPENING"
    SYNCING = "SYNCING"
    READY = "READY"
    LOST = "LOST"
    REFUSED = "REFUSED"


@dataclass(frozen=True)
class Transition:
    """A change of state. ``at_ns`` is of the session's clock; whoever records it stamps it."""

    instance: str
    before: State
    after: State
    why: str
    at_ns: int
    port: str | None = None
    baud: int = 0
    #: who answered, from READY on
    identity: Identity | None = None
