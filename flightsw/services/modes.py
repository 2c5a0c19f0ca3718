"""Modes: BOOT, NOMINAL, SAFE. Safe mode keeps telemetry, commanding and the watchdog, no more.

Safe mode by telecommand is kept over a restart; safe mode of a governor ends when it allows.
"""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec.dictionary import Failure, Mode, ModeReason
from flightsw.codec.dictionary.events import MODE_CHANGED, SAFE_MODE
from flightsw.services.events import Events
from flightsw.services.verification import Refusal
from flightsw.storage import Storage


class Modes:
    """The mode and who asks for safe mode; ``on_change(mode)`` is called after each change."""

    def __init__(self, events: Events, storage: Storage, on_change: Callable[[Mode], None]) -> None:
        self._events = events
        self._storage = storage
        self._on_change = on_change
        self.mode = Mode.BOOT
        self.commanded = storage.load("safe") == b"\x01"
        self._power = False
        self._thermal = False
        self.changes = 0

    def started(self) -> None:
        """End BOOT."""
        reason = ModeReason.TELECOMMAND if self.commanded else ModeReason.START
        self._enter(Mode.SAFE if self.commanded else Mode.NOMINAL, reason)

    def govern(self, power: bool, thermal: bool) -> None:
        """Say which governor asks for safe mode."""
        if (power, thermal) == (self._power, self._thermal):
            return
        self._power, self._thermal = power, thermal
        reason = ModeReason.POWER if power else ModeReason.THERMAL
        self._settle(reason if power or thermal else ModeReason.RECOVERED)

    def command(self, safe: bool) -> None:
        """Enter or leave safe mode by telecommand; raises Refusal when a governor holds it."""
        if not safe and (self._power or self._thermal):
            raise Refusal(Failure.WRONG_MODE, self._power | self._thermal << 1)
        self._storage.save("safe", bytes((safe,)), durable=True)
        self.commanded = safe
        self._settle(ModeReason.TELECOMMAND)

    def _settle(self, reason: ModeReason) -> None:
        safe = self.commanded or self._power or self._thermal
        if self.mode != Mode.BOOT:
            self._enter(Mode.SAFE if safe else Mode.NOMINAL, reason)

    def _enter(self, mode: Mode, reason: ModeReason) -> None:
        if mode == self.mode:
            return
        old, self.mode = self.mode, mode
        self.changes += 1
        self._events.report(MODE_CHANGED, old, mode, reason)
        if mode == Mode.SAFE:
            self._events.report(SAFE_MODE, reason)
        self._on_change(mode)
