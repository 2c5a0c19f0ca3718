"""An emulated GPIO chip: lines with one driver each, edges stamped where they happen.

The payload computer drives outputs with :meth:`GPIOChip.set`; parts drive inputs through the
``gpio_drive`` they are given. A line driven from both sides is counted as a conflict and reads low
if either driver pulls it low, which is what two push-pull stages of the usual strength do.

Not modelled: pull resistors other than the idle level, debounce, open-drain outputs of the payload
computer, input hysteresis.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.errors import ConfigError
from hil.parts.base import GPIODevice, Scheduler
from hil.parts.fault_windows import FOREVER_NS, FaultWindows
from hil.time.phase import Phase

#: What a line fault may be, and the counter that it moves.
FAULT_KINDS: Final = ("stuck", "missing_edge")


class PinFault(NamedTuple):
    """One fault of a line: ``stuck`` holds it at ``level``; ``missing_edge`` hides its edges."""

    kind: str
    line: int
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    level: int = 0


class _Line:
    """One line: the level at the pin and who drives it."""

    __slots__ = ("level", "listeners", "part", "payload")

    def __init__(self) -> None:
        self.level = 0
        self.payload = -1  # level driven by the payload computer, -1: an input
        self.part = -1  # level driven by a part, -1: none does
        self.listeners: list[tuple[GPIODevice, str]] = []


class GPIOChip:
    """A GPIO chip of ``nlines`` lines, all inputs at level 0 until someone drives them."""

    kind = "gpio"

    def __init__(
        self, name: str, scheduler: Scheduler, source: int, emit: Emit, nlines: int
    ) -> None:
        if nlines < 1:
            raise ConfigError(f"gpio {name}: {nlines} lines; give at least 1")
        self.name = name
        self.scheduler = scheduler
        self.source = source
        self.nlines = nlines
        self.faults: FaultWindows[PinFault] = FaultWindows(f"gpio {name}", FAULT_KINDS)
        self.counters: dict[str, int] = dict.fromkeys(
            (*FAULT_KINDS, "conflict", "late", "no_such_line", "no_such_pin"), 0
        )
        self._emit = emit
        self._lines = [_Line() for _ in range(nlines)]

    def attach(self, part: GPIODevice, pins: Mapping[str, tuple[int, str]]) -> None:
        """Wire the pins of a part: ``{pin: (line, direction seen from the part)}``.

        A part may name the idle level of its outputs in ``PIN_IDLE``; those levels are on the
        lines from the start and are no edges.
        """
        idle: Mapping[str, int] = getattr(part, "PIN_IDLE", {})
        outputs: dict[str, int] = {}
        for pin, (line, direction) in pins.items():
            if not 0 <= line < self.nlines:
                raise ConfigError(
                    f"gpio {self.name}: pin {pin} on line {line}; lines are 0..{self.nlines - 1}"
                )
            if direction == "in":
                self._lines[line].listeners.append((part, pin))
            elif direction == "out":
                if self._lines[line].part >= 0:
                    raise ConfigError(f"gpio {self.name}: two parts drive line {line}; move one")
                outputs[pin] = line
                self._lines[line].part = self._lines[line].level = idle.get(pin, 0)
            else:
                raise ConfigError(
                    f"gpio {self.name}: pin {pin} is {direction!r}; say 'in' or 'out'"
                )
        part.gpio_drive = partial(self._drive, outputs)

    def set(self, t_ns: int, line: int, level: int) -> None:
        """Drive ``line`` from the payload computer; it is an output from then on."""
        if not 0 <= line < self.nlines:
            self.counters["no_such_line"] += 1
            self._emit(t_ns, 0, 0, int(Status.INVALID), line, bytes((1 if level else 0,)))
            return
        self._when(t_ns, partial(self._set, line, 1 if level else 0))

    def level(self, line: int) -> int:
        """Return the level at the pin of ``line``."""
        return self._lines[line].level

    def direction(self, line: int) -> str:
        """Return ``in`` or ``out`` as the payload computer uses ``line``."""
        return "in" if self._lines[line].payload < 0 else "out"

    def release(self, line: int) -> None:
        """Make ``line`` an input of the payload computer again; undriven it falls to 0 now."""
        self._release(self.scheduler.now_ns, line)

    def power_off(self) -> None:
        """Make every line an input again, as when the supply of the payload computer is cut."""
        for line, pin in enumerate(self._lines):
            if pin.payload >= 0:
                self._release(self.scheduler.now_ns, line)

    def describe(self) -> dict[str, Any]:
        """Return the number of lines and their levels at this time."""
        return {"lines": self.nlines, "levels": [line.level for line in self._lines]}

    def _when(self, t_ns: int, change: partial[None]) -> None:
        """Make ``change(t_ns)`` happen at ``t_ns``: now, or through the scheduler."""
        now_ns = self.scheduler.now_ns
        if t_ns > now_ns:
            self.scheduler.at(t_ns, Phase.BUS, self.source, change)
            return
        if t_ns < now_ns:
            self.counters["late"] += 1
        change(now_ns)

    def _set(self, line: int, level: int, t_ns: int) -> None:
        pin = self._lines[line]
        before = pin.level
        pin.payload = level
        faulted = self._resolve(t_ns, line, pin)
        self._emit(t_ns, 0, int(Flag.FAULTED) if faulted else 0, 0, line, bytes((level,)))
        if pin.level != before:
            self._tell(t_ns, pin)

    def _release(self, t_ns: int, line: int) -> None:
        pin = self._lines[line]
        before = pin.level
        pin.payload = -1
        self._resolve(t_ns, line, pin)
        if pin.level != before:
            self._tell(t_ns, pin)

    def _drive(self, outputs: Mapping[str, int], t_ns: int, pin: str, level: int) -> None:
        line = outputs.get(pin)
        if line is None:
            self.counters["no_such_pin"] += 1
            return
        self._when(t_ns, partial(self._edge, line, 1 if level else 0))

    def _edge(self, line: int, level: int, t_ns: int) -> None:
        pin = self._lines[line]
        before = pin.level
        pin.part = level
        faulted = self._resolve(t_ns, line, pin)
        if pin.level == before:
            return
        if faulted and self._hidden(t_ns, line):
            self.counters["missing_edge"] += 1
        else:
            flags = Flag.INPUT | Flag.FAULTED if faulted else Flag.INPUT
            self._emit(t_ns, 0, int(flags), 0, line, bytes((pin.level,)))
        self._tell(t_ns, pin)

    def _resolve(self, t_ns: int, line: int, pin: _Line) -> bool:
        """Set the level that the drivers of a line give; return whether a fault touches it."""
        if pin.payload >= 0 and pin.part >= 0:
            self.counters["conflict"] += 1
            pin.level = pin.payload & pin.part
        else:
            pin.level = max(pin.payload, pin.part, 0)
        if not self.faults:
            return False
        faulted = False
        for fault in self.faults.at(t_ns):
            if fault.line == line:
                faulted = True
                if fault.kind == "stuck" and pin.level != fault.level:
                    self.counters["stuck"] += 1
                    pin.level = fault.level
        return faulted

    def _hidden(self, t_ns: int, line: int) -> bool:
        return any(
            fault.kind == "missing_edge" and fault.line == line for fault in self.faults.at(t_ns)
        )

    def _tell(self, t_ns: int, pin: _Line) -> None:
        for part, name in pin.listeners:
            part.gpio_change(t_ns, name, pin.level)
