"""An emulated GPIO chip: lines with their drivers, edges stamped where they happen.

The payload computer drives outputs with :meth:`GPIOChip.set`; parts drive inputs through the
``gpio_drive`` they are given, or ``gpio_drive_v`` with a voltage. A part says in ``PIN_DRIVE``
which of its outputs are open drain or open source; those may share a line. What a line does with
its drivers is in ``hil.buses.gpio_line``.

A program asks for a line with :meth:`GPIOChip.request`, as ``GPIO_V2_GET_LINE_IOCTL`` does, with
bias, drive, edges and debounce; a second one is told ``BUSY`` (EBUSY) until the first lets go. As
in gpiolib, a debounced change is reported, and stamped, when the line has been stable for the
period. A line that nobody asked for reports both edges.

Not modelled: rise times, currents, drive strength, hardware time stamps (HTE).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.gpio_faults import EDGE_FAULTS, FAULT_KINDS, PinFault, spoil
from hil.buses.gpio_line import EDGES, PUSH_PULL, Line, Settings, driven
from hil.buses.gpio_users import GPIOUsers
from hil.buses.intercept import QUEUED, Crossing, Interceptor, Result, through
from hil.errors import ConfigError
from hil.parts.base import GPIODevice, Scheduler, unwired
from hil.parts.fault_windows import FaultWindows
from hil.time.phase import Phase

__all__ = ["GPIOChip", "PinFault", "Settings"]

#: Thresholds of an input at 3.3 V with its Schmitt trigger on (LVTTL, JESD8C.01: 0.8 and 2.0 V).
FALLING_V: Final = 0.8
RISING_V: Final = 2.0


class GPIOChip(GPIOUsers):
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
        self.faults: FaultWindows[PinFault] = FaultWindows(
            f"gpio {name}", FAULT_KINDS, {"line": (0, nlines - 1)}
        )
        self.counters: dict[str, int] = dict.fromkeys(
            (
                *FAULT_KINDS,
                *("conflict", "late", "no_such_line", "no_such_pin", "busy", "debounced"),
                *("unreported", "intercepted"),
            ),
            0,
        )
        self._emit = emit
        self._lines = [Line() for _ in range(nlines)]
        self._attached = 0
        #: further flags of the records of edges, by line
        self._flags: dict[int, int] = {}
        self._interceptor: Interceptor | None = None

    def attach(self, part: GPIODevice, pins: Mapping[str, tuple[int, str]]) -> None:
        """Wire the pins of a part: ``{pin: (line, direction seen from the part)}``.

        A part may name the idle level of its outputs in ``PIN_IDLE``; those levels are on the
        lines from the start and are no edges.
        """
        idle: Mapping[str, int] = getattr(part, "PIN_IDLE", {})
        drives: Mapping[str, str] = getattr(part, "PIN_DRIVE", {})
        self._attached += 1
        name = str(getattr(part, "name", f"part{self._attached}"))
        outputs: dict[str, int] = {}
        for pin, (line, direction) in pins.items():
            if not 0 <= line < self.nlines:
                raise ConfigError(
                    f"gpio {self.name}: pin {pin} on line {line}; lines are 0..{self.nlines - 1}"
                )
            if direction == "in":
                self._lines[line].listeners.append((part, pin))
            elif direction == "out":
                drive = drives.get(pin, PUSH_PULL)
                others = self._lines[line].parts.values()
                if others and (drive == PUSH_PULL or any(pushes for _, pushes in others)):
                    raise ConfigError(f"gpio {self.name}: two parts drive line {line}; move one")
                outputs[pin] = line
                self._flags[line] = getattr(part, "gpio_flags", 0)
                level = driven(idle.get(pin, 0), drive)
                self._lines[line].parts[f"{name}.{pin}"] = (level, drive == PUSH_PULL)
                self._lines[line].level = self._lines[line].resolve()[0]
            else:
                raise ConfigError(
                    f"gpio {self.name}: pin {pin} is {direction!r}; say 'in' or 'out'"
                )
        part.gpio_drive = partial(self._drive, name, outputs, drives)
        by_voltage = partial(self._drive_v, name, outputs, drives)
        part.gpio_drive_v = by_voltage  # type: ignore[attr-defined]

    def detach(self, part: GPIODevice, pins: Mapping[str, tuple[int, str]]) -> None:
        """Take a part with these pins off its lines, which find the levels that are left."""
        name = str(getattr(part, "name", ""))
        part.gpio_drive = unwired
        part.gpio_drive_v = unwired  # type: ignore[attr-defined]
        for pin, (line, _) in pins.items():
            place = self._lines[line]
            place.listeners = [one for one in place.listeners if one[0] is not part]
            if place.parts.pop(f"{name}.{pin}", None) is not None:
                self._settle(self.scheduler.now_ns, line)

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable between every driver and its line; None takes it out."""
        self._interceptor = interceptor

    def set(self, t_ns: int, line: int, level: int) -> None:
        """Drive ``line`` from the payload computer; it is an output from then on."""
        if not 0 <= line < self.nlines:
            self.counters["no_such_line"] += 1
            self._emit(t_ns, 0, 0, int(Status.INVALID), line, bytes((1 if level else 0,)))
            return
        self._offer(Crossing(t_ns, self.name, line, 1 if level else 0), self._put_payload)

    def show(self, t_ns: int, line: int, flags: int, payload: bytes) -> None:
        """Put a line on the level that an edge from outside says, without reporting it: whoever
        brings the edge reports it. Parts that drive the line have it no more."""
        if 0 <= line < self.nlines:
            pin = self._lines[line]
            pin.parts = {"": (int(any(payload)), True)}
            self._settle(t_ns, line)
            pin.reported = pin.level
        else:
            self.counters["no_such_line"] += 1

    def release(self, line: int) -> None:
        """Make ``line`` an input of the payload computer again; undriven it falls to 0 now."""
        self._release(self.scheduler.now_ns, line)

    def power_off(self) -> None:
        """Make every line an input again, as when the supply of the payload computer is cut."""
        for line, pin in enumerate(self._lines):
            pin.user, pin.settings = "", Settings()
            if pin.payload >= 0:
                self._release(self.scheduler.now_ns, line)
            elif pin.level != pin.resolve()[0]:
                self._settle(self.scheduler.now_ns, line)

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

    def _offer(self, crossing: Crossing, put: Any) -> None:
        """Bring a drive to its line, by way of the interceptor."""

        def forward(changed: Crossing) -> Result:
            touched = changed is not crossing
            if not 0 <= changed.address < self.nlines:
                self.counters["no_such_line"] += 1
            elif changed.sender == self.name:
                self._when(changed.t_ns, partial(self._set, *changed[2:], touched))
            else:
                put(changed, touched)
            return QUEUED

        if self._interceptor is None:
            forward(crossing)
        else:
            self.counters["intercepted"] += through(self._interceptor, crossing, forward)[1]

    def _put_payload(self, crossing: Crossing, touched: bool) -> None:
        raise ConfigError(f"gpio {self.name}: {crossing.sender!r} does not drive this line")

    def _set(self, line: int, level: int, touched: bool, t_ns: int) -> None:
        pin = self._lines[line]
        before = pin.level
        pin.payload = level
        faulted = self._resolve(t_ns, line, pin) or touched
        self._emit(t_ns, 0, int(Flag.FAULTED) if faulted else 0, 0, line, bytes((level,)))
        self._moved(t_ns, pin, before)

    def _release(self, t_ns: int, line: int) -> None:
        self._lines[line].payload = -1
        self._settle(t_ns, line)

    def _settle(self, t_ns: int, line: int) -> None:
        """Let a line find its level after something other than a drive has changed."""
        pin = self._lines[line]
        before = pin.level
        self._resolve(t_ns, line, pin)
        self._moved(t_ns, pin, before)

    def _moved(self, t_ns: int, pin: Line, before: int) -> None:
        if pin.level != before:
            pin.changes += 1
            self._tell(t_ns, pin)

    def _tell(self, t_ns: int, pin: Line) -> None:
        for part, name in pin.listeners:
            part.gpio_change(t_ns, name, pin.level)

    def _drive(
        self,
        name: str,
        outputs: Mapping[str, int],
        drives: Mapping[str, str],
        t_ns: int,
        pin: str,
        level: int,
    ) -> None:
        line = outputs.get(pin)
        if line is None:
            self.counters["no_such_pin"] += 1
            return
        drive = drives.get(pin, PUSH_PULL)

        def put(crossing: Crossing, touched: bool) -> None:
            edges = self._edges(crossing)
            for at_ns, reached in edges:
                what = (driven(reached, drive), drive == PUSH_PULL)
                key = f"{name}.{pin}"
                self._when(at_ns, partial(self._edge, crossing.address, key, what, touched))

        self._offer(Crossing(t_ns, name, line, 1 if level else 0), put)

    def _drive_v(
        self,
        name: str,
        outputs: Mapping[str, int],
        drives: Mapping[str, str],
        t_ns: int,
        pin: str,
        volts: float,
    ) -> None:
        """Drive a voltage: high from 2.0 V on, low up to 0.8 V, in between as it was."""
        if not FALLING_V < volts < RISING_V or pin not in outputs:
            self._drive(name, outputs, drives, t_ns, pin, int(volts >= RISING_V))

    def _edges(self, crossing: Crossing) -> list[tuple[int, int]]:
        """Return the edges that a drive of a part makes: (time, level) of each."""
        t_ns, _, line, level = crossing
        edges = [(t_ns, int(bool(level)))]
        for fault in self.faults.at(t_ns) if self.faults else ():
            if fault.line == line and fault.kind in EDGE_FAULTS:
                self.counters[fault.kind] += 1
                edges = spoil(fault, edges)
        return edges

    def _edge(self, line: int, key: str, what: tuple[int, bool], touched: bool, t_ns: int) -> None:
        pin = self._lines[line]
        before = pin.level
        pin.parts[key] = what
        faulted = self._resolve(t_ns, line, pin) or touched
        if pin.level == before:
            return
        pin.changes += 1
        if pin.settings.debounce_ns:
            settled = partial(self._stable, line, pin.changes, faulted)
            self.scheduler.at(t_ns + pin.settings.debounce_ns, Phase.BUS, self.source, settled)
        else:
            self._report(t_ns, line, pin, faulted)
        self._tell(t_ns, pin)

    def _stable(self, line: int, changes: int, faulted: bool, t_ns: int) -> None:
        """Report a debounced line, if it has not moved since."""
        pin = self._lines[line]
        if pin.changes != changes or pin.level == pin.reported:
            self.counters["debounced"] += 1
        elif pin.settings.debounce_ns:
            self._report(t_ns, line, pin, faulted)

    def _report(self, t_ns: int, line: int, pin: Line, faulted: bool) -> None:
        """Tell the payload computer of an edge that it wants to see."""
        pin.reported = pin.level
        kinds = [f.kind for f in self.faults.at(t_ns) if f.line == line] if self.faults else []
        if pin.level not in EDGES[pin.settings.edges]:
            self.counters["unreported"] += 1
        elif "missing_edge" in kinds:
            self.counters["missing_edge"] += 1
        else:
            flags = int(Flag.INPUT | Flag.FAULTED if faulted else Flag.INPUT)
            flags |= self._flags.get(line, 0)
            for _ in range(1 + kinds.count("duplicate")):
                self._emit(t_ns, 0, flags, 0, line, bytes((pin.level,)))
            self.counters["duplicate"] += kinds.count("duplicate")

    def _resolve(self, t_ns: int, line: int, pin: Line) -> bool:
        """Set the level that the drivers of a line give; return whether a fault touches it."""
        pin.level, conflict = pin.resolve()
        self.counters["conflict"] += conflict
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
