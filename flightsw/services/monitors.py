"""Software monitors: the watchdog is kicked only while every rate group ends in time."""

from __future__ import annotations

from flightsw.codec.dictionary.events import WATCHDOG_WITHHELD
from flightsw.drivers.watchdog import Watchdog
from flightsw.scheduler import Group
from flightsw.services.events import Events

#: a group is late after so many of its periods, and at least so long
_PERIODS = 3
_AT_LEAST_NS = 2_000_000_000


class Monitors:
    """Call :meth:`kick` once a second."""

    def __init__(self, groups: list[Group], watchdog: Watchdog | None, events: Events) -> None:
        self._limits = [
            (group, max(_PERIODS * group.spec.period_ns, _AT_LEAST_NS)) for group in groups
        ]
        self._watchdog = watchdog
        self._events = events
        self._late = False
        self.kicks = 0
        self.withheld = 0

    def kick(self, now_ns: int) -> None:
        """Kick the watchdog, unless a group is late; the first time it is, say so."""
        late = None
        for group, limit_ns in self._limits:
            # A run that took too long counts even if the next one was in time again.
            if group.peak_ns > limit_ns or now_ns - group.ended_ns > limit_ns:
                late = group
            group.peak_ns = 0
        if late is not None:
            self.withheld += 1
            if not self._late:
                self._events.report(WATCHDOG_WITHHELD, late.spec.number)
            self._late = True
            return
        self._late = False
        self.kicks += 1
        if self._watchdog is not None:
            self._watchdog.kick()
