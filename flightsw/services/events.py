"""Service 5, event reporting: definitions come from the dictionary (clause 6.5)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flightsw.codec.dictionary import EVENT_BY_ID, EVENTS, REPORTS, Event, Failure
from flightsw.codec.dictionary.fields import code_of, limits_of
from flightsw.services.telemetry import REPORT, Telemetry
from flightsw.services.verification import Refusal

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router


class Events:
    """Makes event reports; a disabled event is counted and not reported."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._packers = {
            event.id: struct.Struct(">H" + "".join(map(code_of, event.struct.subcons)))
            for event in EVENTS
        }
        self._limits = {e.id: tuple(map(limits_of, e.struct.subcons)) for e in EVENTS}
        self._disabled: set[int] = set()
        #: how often each event occurred, by name, reported or not
        self.counts: Counter[str] = Counter()
        self.total = 0

    def report(self, event: Event, *values: int) -> None:
        """Report an event with its values in wire order; a value out of range is clamped."""
        self.counts[event.name] += 1
        self.total += 1
        if event.id in self._disabled:
            return
        fit = [
            min(max(value, lower), upper)
            for value, (lower, upper) in zip(values, self._limits[event.id], strict=True)
        ]
        data = self._packers[event.id].pack(event.id, *fit)
        self._telemetry.report(REPORT, 5, event.severity, data)

    def register(self, router: Router) -> None:
        """Take the telecommands of the service."""
        router.add(5, 5, self._enable)
        router.add(5, 6, self._disable)
        router.add(5, 7, self._report_disabled)

    def _known(self, arguments: Any) -> list[int]:
        for number in arguments.events:
            if number not in EVENT_BY_ID:
                raise Refusal(Failure.UNKNOWN_ID, number)
        return list(arguments.events)

    def _enable(self, request: Request, arguments: Any) -> Callable[[], None]:
        known = self._known(arguments)
        return lambda: self._disabled.difference_update(known)

    def _disable(self, request: Request, arguments: Any) -> Callable[[], None]:
        known = self._known(arguments)
        return lambda: self._disabled.update(known)

    def _report_disabled(self, request: Request, arguments: Any) -> Callable[[], None]:
        def run() -> None:
            data = REPORTS[5, 8].build({"events": sorted(self._disabled)})
            self._telemetry.report(REPORT, 5, 8, data)

        return run
