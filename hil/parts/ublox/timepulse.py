"""The time pulse as the items of CFG-TP describe it.

u-blox M9 interface description (UBX-19035940), CFG-TP and UBX-CFG-TP5: a period or a frequency, a
length or a duty cycle, one set of them while the receiver is locked to GNSS time, another one while
it is not. A grid begins anew at each second; periods above a second run with the time of week.
"""

from __future__ import annotations

from typing import NamedTuple

from hil.parts.ublox.legacy import duty_percent
from hil.parts.ublox.store import Store

SECOND_NS = 1_000_000_000


class PulsePlan(NamedTuple):
    """What TIMEPULSE does: period and length (ns), level while it lasts. Period 0: nothing."""

    period_ns: int
    width_ns: int
    level: int

    def offsets(self, tow_s: int) -> range:
        """Return when within the second ``tow_s`` of the week pulses begin, nanoseconds."""
        if not self.period_ns or not self.width_ns:
            return range(0)
        if self.period_ns > SECOND_NS:
            return range(0 if tow_s % max(self.period_ns // SECOND_NS, 1) else 1)
        return range(0, SECOND_NS, self.period_ns)


def plan(store: Store, locked: bool) -> PulsePlan:
    """Return what the items say for a receiver that is locked to GNSS time, or is not."""
    level = store["TP-POL_TP1"]
    if not store["TP-TP1_ENA"]:
        return PulsePlan(0, 0, level)
    lock = "_LOCK" if locked and store["TP-USE_LOCKED_TP1"] else ""
    if store["TP-PULSE_DEF"]:
        period_ns = SECOND_NS // store[f"TP-FREQ{lock}_TP1"]
    else:
        period_ns = 1000 * store[f"TP-PERIOD{lock}_TP1"]
    if store["TP-PULSE_LENGTH_DEF"]:
        width_ns = 1000 * store[f"TP-LEN{lock}_TP1"]
    else:
        width_ns = round(period_ns * duty_percent(store[f"TP-DUTY{lock}_TP1"]) / 100)
    # A pulse as long as its period never ends: the pin would rest at its level.
    return PulsePlan(period_ns, min(width_ns, period_ns - 1), level)
