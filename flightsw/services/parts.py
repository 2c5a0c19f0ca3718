"""Which parts answer: a part that fails is an event and a flag, never the end of the program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flightsw.codec.dictionary import Role
from flightsw.codec.dictionary.events import PART_BACK, PART_MISSING
from flightsw.drivers import make_driver
from flightsw.drivers.base import Driver
from flightsw.errors import BusError, BusTimeoutError, DeviceTableError, PartMismatchError
from flightsw.hal import Device, Hal
from flightsw.services.events import Events

T = TypeVar("T")

#: failed reads in a row after which a part counts as missing; one that timed out is enough,
#: because each holds the whole program for the timeout of its bus
_FAILURES_MAX = 3
#: most calls of :meth:`Parts.retry` that a part is left alone for whose bus timed out
_PATIENCE_MAX = 32


class Slot:
    """One place of the device table."""

    __slots__ = ("driver", "failures", "missing", "patience", "role", "wait")

    def __init__(self, role: Role, driver: Driver) -> None:
        self.role = role
        self.driver = driver
        self.missing = False
        self.failures = 0
        #: calls of :meth:`Parts.retry` to wait for the next try, and to wait after it fails
        self.wait = 0
        self.patience = 1


class Parts:
    """The drivers of the device table by role."""

    def __init__(self, hal: Hal) -> None:
        """Make the drivers; raises :class:`~flightsw.errors.DeviceTableError`."""
        self._events: Events | None = None
        self._early: list[tuple[Role, int]] = []
        self.slots: dict[Role, Slot] = {}
        for device in hal.devices:
            role = _role(device)
            if role in self.slots:
                raise DeviceTableError(f"device table: two parts have the role {device.role!r}")
            self.slots[role] = Slot(role, make_driver(hal, device))

    def start(self) -> None:
        """Start every driver; what does not answer is missing for now."""
        for slot in self.slots.values():
            self._start(slot)

    def report_to(self, events: Events) -> None:
        """Name where to report; what was missing at start is reported now."""
        self._events = events
        for role, errno in self._early:
            events.report(PART_MISSING, role, errno)
        self._early.clear()

    def driver(self, role: Role) -> Any:
        """Return the driver of a role, None if the device table has none."""
        slot = self.slots.get(role)
        return slot.driver if slot else None

    def read(self, role: Role, read: Callable[[], T]) -> T | None:
        """Return ``read()`` of a driver, None when the part is missing or the read fails."""
        slot = self.slots[role]
        if slot.missing:
            return None
        try:
            value = read()
        except BusTimeoutError as error:
            self.lost(role, error.errno or 0)
            return None
        except BusError as error:
            slot.failures += 1
            if slot.failures >= _FAILURES_MAX:
                self.lost(role, error.errno or 0)
            return None
        slot.failures = 0
        return value

    def lost(self, role: Role, errno: int) -> None:
        """Flag a part as missing and report it once."""
        slot = self.slots[role]
        if slot.missing:
            return
        slot.missing = True
        if self._events is None:
            self._early.append((role, errno))
        else:
            self._events.report(PART_MISSING, role, errno)

    def back(self, role: Role) -> None:
        """Take the flag from a part and report it."""
        slot = self.slots[role]
        slot.failures = 0
        slot.wait, slot.patience = 0, 1
        if slot.missing:
            slot.missing = False
            if self._events is not None:
                self._events.report(PART_BACK, role)

    def retry(self, roles: Iterable[Role]) -> None:
        """Try to start the parts that are missing; call every few seconds.

        The first that times out ends the round, and waits twice as long each time: a bus that
        hangs must cost no more than one timeout a round.
        """
        for role in roles:
            slot = self.slots.get(role)
            if slot is None or not slot.missing:
                continue
            slot.wait -= 1
            if slot.wait > 0:
                continue
            if self._start(slot):
                slot.patience = min(2 * slot.patience, _PATIENCE_MAX)
                slot.wait = slot.patience
                return

    def mask(self) -> int:
        """Return the missing parts as bits, bit = Role."""
        return sum(1 << slot.role for slot in self.slots.values() if slot.missing)

    def _start(self, slot: Slot) -> bool:
        """Start a part; return whether its bus timed out."""
        try:
            slot.driver.start()
        except BusError as error:
            self.lost(slot.role, error.errno or 0)
            return isinstance(error, BusTimeoutError)
        except PartMismatchError:
            self.lost(slot.role, 0)
        else:
            self.back(slot.role)
        return False


def _role(device: Device) -> Role:
    name = device.role.upper()
    if name not in Role.__members__:
        known = ", ".join(role.name.lower() for role in Role)
        raise DeviceTableError(f"device table: unknown role {device.role!r}; known are {known}")
    return Role[name]
