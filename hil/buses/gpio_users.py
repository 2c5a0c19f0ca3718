"""The lines of a GPIO chip as the programs of the payload computer ask for them and read them."""

from __future__ import annotations

from flightsw.codec.wire import Status
from hil.buses.gpio_line import BIASES, DRIVES, EDGES, Line, Settings
from hil.parts.base import Scheduler


class GPIOUsers:
    """What :class:`hil.buses.gpio.GPIOChip` gives to users: lines, settings, levels."""

    nlines: int
    scheduler: Scheduler
    counters: dict[str, int]
    _lines: list[Line]

    def _settle(self, t_ns: int, line: int) -> None:
        """Let a line find its level after something other than a drive has changed."""
        raise NotImplementedError

    def _release(self, t_ns: int, line: int) -> None:
        """Make a line an input and let it find its level."""
        raise NotImplementedError

    def pull(self, line: int, bias: str) -> None:
        """Put a resistor of the board on a line: ``pull_up``, ``pull_down`` or ``none``."""
        self._lines[line].board_pull = BIASES[bias]
        self._settle(self.scheduler.now_ns, line)

    def request(self, t_ns: int, line: int, user: str, settings: Settings | None = None) -> int:
        """Give a line to a user with these settings; return a ``wire.Status``.

        ``BUSY`` if another user holds it, ``INVALID`` for a line or a setting that there is not.
        """
        settings = settings or Settings()
        if (
            not 0 <= line < self.nlines
            or settings.edges not in EDGES
            or settings.bias not in BIASES
            or settings.drive not in DRIVES
            or settings.debounce_ns < 0
        ):
            return int(Status.INVALID)
        pin = self._lines[line]
        if pin.user not in ("", user):
            self.counters["busy"] += 1
            return int(Status.BUSY)
        pin.user, pin.settings = user, settings
        self._settle(t_ns, line)
        pin.reported = pin.level
        return int(Status.OK)

    def free(self, t_ns: int, line: int, user: str) -> int:
        """Take a line back from its user; it is an input without bias again."""
        pin = self._lines[line]
        if pin.user != user:
            return int(Status.BUSY if pin.user else Status.INVALID)
        pin.user, pin.settings = "", Settings()
        self._release(t_ns, line)
        return int(Status.OK)

    def level(self, line: int) -> int:
        """Return the level at the pin of ``line``."""
        return self._lines[line].level

    def read(self, line: int) -> int:
        """Return the level that the payload computer reads: that of the pin, once it is stable."""
        pin = self._lines[line]
        return pin.reported if pin.settings.debounce_ns else pin.level

    def user(self, line: int) -> str:
        """Return who holds a line; empty: nobody."""
        return self._lines[line].user

    def direction(self, line: int) -> str:
        """Return ``in`` or ``out`` as the payload computer uses ``line``."""
        return "in" if self._lines[line].payload < 0 else "out"
