"""Telecommands as ground sees them: made, radiated, accepted, completed, or accounted for."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from flightsw.codec import dictionary, time_code
from flightsw.codec.dictionary.commands import REQUEST_ID, TELECOMMANDS
from flightsw.codec.packet import pus

_FAILURES = {2: "acceptance", 4: "start", 6: "progress", 8: "completion", 10: "routing"}
_REQUEST_NBYTES = REQUEST_ID.sizeof()
_FAILURE_REPORT = dictionary.REPORTS[1, 8]


class Failure(NamedTuple):
    """A failure report: the stage that failed, the code and the value at fault."""

    stage: str
    code: str
    detail: int


class Telecommand:
    """One telecommand and what is known of it. Times are mission nanoseconds, None if not yet."""

    def __init__(self, name: str, packet: bytes, t_ns: int, release_ns: int | None) -> None:
        self.name = name
        self.packet = packet
        self.request = packet[:_REQUEST_NBYTES]
        self.t_made_ns = t_ns
        self.release_ns = release_ns
        #: image job that it is about, None if about none
        self.job: int | None = None
        #: the telecommand that carries it in a plan, None if it goes by itself
        self.carrier: Telecommand | None = None
        self.t_sent_ns: int | None = None
        self.t_accepted_ns: int | None = None
        self.t_completed_ns: int | None = None
        self.failure: Failure | None = None

    @property
    def verified(self) -> bool:
        """True when both acceptance and completion were reported."""
        return self.t_accepted_ns is not None and self.t_completed_ns is not None

    @property
    def state(self) -> str:
        """Return the state in one word, for tables."""
        if self.failure:
            return f"failed at {self.failure.stage}: {self.failure.code}"
        if self.verified:
            return "completed"
        if self.t_accepted_ns is not None:
            return "accepted"
        return "sent" if self.t_sent_ns is not None else "queued"


class TelecommandLog:
    """Makes telecommands with sequence counts of their own; matches service 1 reports to them."""

    def __init__(self, apid: int) -> None:
        self.apid = apid
        self.all: list[Telecommand] = []
        self.counters: Counter[str] = Counter()
        self._by_request: dict[bytes, Telecommand] = {}
        self._seq = 0

    def make(
        self,
        name: str,
        t_ns: int,
        service: int,
        subtype: int,
        arguments: bytes = b"",
        release_ns: int | None = None,
    ) -> Telecommand:
        """Make a telecommand; one with ``release_ns`` is meant to ride inside a plan."""
        packet = pus.pack_tc(
            self.apid, self._seq, service, subtype, arguments, source=dictionary.GROUND_ID
        )
        self._seq = (self._seq + 1) % 16384
        telecommand = Telecommand(name, packet, t_ns, release_ns)
        self.all.append(telecommand)
        self._by_request[telecommand.request] = telecommand
        return telecommand

    def function(
        self, name: str, t_ns: int, values: dict[str, Any], release_ns: int | None = None
    ) -> Telecommand:
        """Make a TC[8,1] for the function of this name in the dictionary."""
        function = next(f for f in dictionary.FUNCTIONS if f.name == name)
        arguments = TELECOMMANDS[8, 1].build(
            {"function": function.id, "arguments": function.struct.build(values)}
        )
        label = name.lower() + "".join(f" {key} {values[key]}" for key in ("job",) if key in values)
        telecommand = self.make(label, t_ns, 8, 1, arguments, release_ns)
        telecommand.job = values.get("job")
        return telecommand

    def plan(self, t_ns: int, activities: list[Telecommand]) -> Telecommand:
        """Make a TC[11,4] that inserts time-tagged activities into the on-board schedule."""
        body = b"".join(
            time_code.pack_cuc(activity.release_ns or 0) + activity.packet
            for activity in activities
        )
        arguments = TELECOMMANDS[11, 4].build({"count": len(activities), "activities": body})
        carrier = self.make(f"plan of {len(activities)}", t_ns, 11, 4, arguments)
        for activity in activities:
            activity.carrier = carrier
        return carrier

    def on_report(self, t_ns: int, subtype: int, data: bytes) -> Telecommand | None:
        """Take the source data of a service 1 report; return the telecommand that it is about."""
        telecommand = self._by_request.get(data[:_REQUEST_NBYTES])
        if telecommand is None:
            self.counters["reports_of_unknown_requests"] += 1
            return None
        if subtype == 1:
            telecommand.t_accepted_ns = telecommand.t_accepted_ns or t_ns
        elif subtype == 7:
            telecommand.t_completed_ns = telecommand.t_completed_ns or t_ns
        elif subtype in _FAILURES:
            report = _FAILURE_REPORT.parse(data[:_REQUEST_NBYTES] + data[-6:])
            code = self._code_name(report.code)
            telecommand.failure = Failure(_FAILURES[subtype], code, report.detail)
        return telecommand

    @staticmethod
    def _code_name(code: int) -> str:
        try:
            return dictionary.Failure(code).name
        except ValueError:
            return f"code {code:#x}"
