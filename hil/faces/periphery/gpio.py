"""``periphery.GPIO`` on character devices, by the structs that it would hand to the kernel."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from hil.faces import gpio_abi as abi
from hil.faces.nodes import Node
from hil.faces.periphery.machine import File, closed

#: words of a property -> flags of version 2
DIRECTIONS = ("in", "out", "high", "low")
EDGES = {"none": 0, "rising": abi.RISING, "falling": abi.FALLING, "both": abi.EDGES}
BIASES = {
    "default": 0,
    "pull_up": abi.PULL_UP,
    "pull_down": abi.PULL_DOWN,
    "disable": abi.BIAS_DISABLED,
}
DRIVES = {"default": 0, "open_drain": abi.OPEN_DRAIN, "open_source": abi.OPEN_SOURCE}
_OUTPUT_VALUES = 2


class GPIOError(IOError):
    """Base class for GPIO errors."""


class EdgeEvent(NamedTuple):
    """An edge, and virtual time when it happened, nanoseconds."""

    edge: str
    timestamp: int


def _word(name: str, value: object, known: Sequence[str]) -> None:
    """Check a word. Raises ``TypeError`` or ``ValueError`` as periphery does."""
    if not isinstance(value, str):
        raise TypeError(f"Invalid {name} type, should be string.")
    if value not in known:
        listed = ", ".join(f'"{one}"' for one in known)
        raise ValueError(f"Invalid {name}, can be: {listed}.")


def _checked_timeout(timeout: object) -> None:
    if not isinstance(timeout, int | float | None):
        raise TypeError("Invalid timeout type, should be integer, float, or None.")


class GPIO(File):
    """One line of a chip, held as long as it is open."""

    #: version 2 of the interface is there
    SUPPORTED = True

    def __init__(
        self,
        path: str,
        line: int | str,
        direction: str | None = None,
        *,
        edge: str = "none",
        bias: str = "default",
        drive: str = "default",
        inverted: bool = False,
        label: str | None = None,
    ) -> None:
        self._node: Node | None = None
        self._ident = 0
        self._events: deque[bytes] = deque()
        if direction is None:
            raise GPIOError(errno.ENOENT, "Exporting GPIO: sysfs GPIO is not emulated; give a path")
        if not isinstance(path, str):
            raise TypeError("Invalid path type, should be string.")
        if not isinstance(line, int | str):
            raise TypeError("Invalid line type, should be integer or string.")
        _word("direction", direction, DIRECTIONS)
        _word("edge", edge, tuple(EDGES))
        _word("bias", bias, tuple(BIASES))
        _word("drive", drive, tuple(DRIVES))
        if not isinstance(inverted, bool):
            raise TypeError("Invalid drive type, should be bool.")
        if not isinstance(label, str | None):
            raise TypeError("Invalid label type, should be None or str.")
        self._devpath = path
        self._label = b"periphery" if label is None else label.encode()
        try:
            self._node = self.machine.open(path, "gpio")
        except OSError as error:
            raise GPIOError(error.errno, f"Opening GPIO chip: {error.strerror}") from None
        if isinstance(line, str):
            self._node = None
            raise LookupError(f'Opening GPIO line: GPIO line "{line}" not found by name.')
        self._line: int | None = line
        self._apply(direction, edge, bias, drive, inverted)

    def _apply(self, direction: str, edge: str, bias: str, drive: str, inverted: bool) -> None:
        """Ask for the line, giving up the one that is held."""
        self._release()
        assert self._node is not None
        flags = BIASES[bias] | DRIVES[drive] | (abi.ACTIVE_LOW if inverted else 0)
        attributes = b""
        if direction == "in":
            flags |= abi.INPUT | EDGES[edge] | (abi.CLOCK_REALTIME if edge != "none" else 0)
        else:
            flags |= abi.OUTPUT
            value = (direction == "high") ^ inverted
            attributes = abi.ATTRIBUTE.pack(_OUTPUT_VALUES, 0, value.to_bytes(8, "little"), 1)
        config = abi.CONFIG.pack(flags, bool(attributes), b"", attributes)
        offsets = [(self._line or 0) & 0xFFFFFFFF, *[0] * 63]
        asked = abi.REQUEST.pack(*offsets, self._label[:31], config, 1, 0, b"", 0)
        machine, ident = self.machine, self.machine.ident()
        chip = self._node.lane.bus
        code, _ = machine.desk.request(chip, machine.now_ns(), ident, abi.GET_LINE, asked)
        if code:
            way = "input" if direction == "in" else "output"
            raise GPIOError(code, f"Opening {way} line handle: {os.strerror(code)}")
        self._ident = ident
        lines = machine.desk.held(ident)
        assert lines is not None
        lines.send = self._events.append
        self._direction = "in" if direction == "in" else "out"
        self._edge, self._bias, self._drive, self._inverted = edge, bias, drive, inverted

    def _release(self) -> None:
        self._events.clear()
        if self._ident:
            self.machine.desk.release(self._ident, self.machine.now_ns())
        self._ident = 0

    def _ask(self, what: str, number: int, octets: bytes, of_chip: bool = False) -> bytes:
        """Do an ioctl on the line, or on the chip. Raises ``GPIOError``."""
        if self._node is None or not (self._ident or of_chip):
            raise closed()
        machine, chip = self.machine, self._node.lane.bus
        code, answer = machine.desk.call(chip, machine.now_ns(), self._ident, number, octets)
        if code:
            raise GPIOError(code, f"{what}: {os.strerror(code)}")
        return answer

    # Values ---------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Return the level of the line, or its contrary where it is inverted."""
        answer = self._ask("Getting line value", abi.GET_VALUES, abi.VALUES.pack(0, 1))
        return bool(abi.VALUES.unpack(answer)[0] & 1)

    def write(self, value: bool) -> None:
        """Drive the line."""
        if not isinstance(value, bool):
            raise TypeError("Invalid value type, should be bool.")
        if self._direction != "out":
            raise GPIOError(None, "Invalid operation: cannot write to input GPIO")
        self._ask("Setting line value", abi.SET_VALUES, abi.VALUES.pack(int(value), 1))

    def poll(self, timeout: float | None = None) -> bool:
        """Wait for an edge; return whether there is one to read."""
        _checked_timeout(timeout)
        if self._direction != "in":
            raise GPIOError(None, "Invalid operation: cannot poll output GPIO")
        return self.machine.wait(timeout, lambda: bool(self._events))

    def read_event(self) -> EdgeEvent:
        """Return the next edge, when there is one."""
        if self._direction != "in":
            raise GPIOError(None, "Invalid operation: cannot read event of output GPIO")
        if self._edge == "none":
            raise GPIOError(None, "Invalid operation: GPIO edge not set")
        self.machine.wait(None, lambda: bool(self._events))
        timestamp, ident, *_ = abi.EVENT.unpack(self._events.popleft())
        return EdgeEvent({1: "rising", 2: "falling"}.get(ident, "none"), timestamp)

    @staticmethod
    def poll_multiple(gpios: list[GPIO], timeout: float | None = None) -> list[GPIO]:
        """Wait for an edge on any line; return those that have one."""
        _checked_timeout(timeout)
        if gpios:
            gpios[0].machine.wait(timeout, lambda: any(gpio._events for gpio in gpios))
        return [gpio for gpio in gpios if gpio._events]

    def close(self) -> None:
        """Give the line back; closing twice does nothing."""
        if self._node is not None:
            self._release()
        self._node = None
        self._edge, self._direction, self._line = "none", "in", None

    # What it is -----------------------------------------------------------------------------------

    @property
    def devpath(self) -> str:
        """The path of the chip."""
        return self._devpath

    @property
    def fd(self) -> int | None:
        """No number, see :class:`~hil.faces.periphery.machine.File`."""
        return -1 if self._ident else None

    @property
    def chip_fd(self) -> int | None:
        """No number either."""
        return None if self._node is None else -1

    @property
    def line(self) -> int | None:
        """The number of the line."""
        return self._line

    def _info(self) -> tuple[Any, ...]:
        asked = abi.LINE_INFO.pack(b"", b"", self._line or 0, 0, 0, b"")
        what = "Querying GPIO line info"
        return abi.LINE_INFO.unpack(self._ask(what, abi.GET_LINE_INFO, asked, of_chip=True))

    def _chip_info(self) -> tuple[Any, ...]:
        asked = bytes(abi.CHIP_INFO.size)
        what = "Querying GPIO chip info"
        return abi.CHIP_INFO.unpack(self._ask(what, abi.GET_CHIP_INFO, asked, of_chip=True))

    @property
    def name(self) -> str:
        """The name of the line: none has one here."""
        return _text(self._info()[0])

    @property
    def label(self) -> str:
        """Who holds the line."""
        return _text(self._info()[1])

    @property
    def chip_name(self) -> str:
        """The name of the chip."""
        return _text(self._chip_info()[0])

    @property
    def chip_label(self) -> str:
        """The label of the chip."""
        return _text(self._chip_info()[1])

    # What can be changed --------------------------------------------------------------------------

    @property
    def direction(self) -> str:
        """``in`` or ``out``; ``high`` and ``low`` make it an output with a level."""
        return self._direction

    @direction.setter
    def direction(self, direction: str) -> None:
        _word("direction", direction, DIRECTIONS)
        if direction != self._direction:
            self._apply(direction, "none", self._bias, self._drive, self._inverted)

    @property
    def edge(self) -> str:
        """Which edges are events."""
        return self._edge

    @edge.setter
    def edge(self, edge: str) -> None:
        _word("edge", edge, tuple(EDGES))
        if self._direction != "in":
            raise GPIOError(None, "Invalid operation: cannot set edge on output GPIO")
        if edge != self._edge:
            self._apply(self._direction, edge, self._bias, self._drive, self._inverted)

    @property
    def bias(self) -> str:
        """What pulls the line."""
        return self._bias

    @bias.setter
    def bias(self, bias: str) -> None:
        _word("bias", bias, tuple(BIASES))
        if bias != self._bias:
            self._apply(self._direction, self._edge, bias, self._drive, self._inverted)

    @property
    def drive(self) -> str:
        """How the line is driven."""
        return self._drive

    @drive.setter
    def drive(self, drive: str) -> None:
        _word("drive", drive, tuple(DRIVES))
        if self._direction != "out" and drive != "default":
            raise GPIOError(None, "Invalid operation: cannot set line drive on input GPIO")
        if drive != self._drive:
            self._apply(self._direction, self._edge, self._bias, drive, self._inverted)

    @property
    def inverted(self) -> bool:
        """Whether low is True."""
        return self._inverted

    @inverted.setter
    def inverted(self, inverted: bool) -> None:
        if not isinstance(inverted, bool):
            raise TypeError("Invalid drive type, should be bool.")
        if inverted != self._inverted:
            self._apply(self._direction, self._edge, self._bias, self._drive, inverted)

    def __str__(self) -> str:
        return (
            f'GPIO {self._line:d} (name="{self.name:s}", label="{self.label:s}", '
            f"device={self._devpath:s}, line_fd={self.fd:d}, chip_fd={self.chip_fd:d}, "
            f"direction={self.direction:s}, edge={self.edge:s}, bias={self.bias:s}, "
            f"drive={self.drive:s}, inverted={self.inverted!s:s}, "
            f'chip_name="{self.chip_name:s}", chip_label="{self.chip_label:s}", type=cdev)'
        )


class SysfsGPIO(GPIO):
    """Not there: ``/sys/class/gpio`` is not emulated."""

    def __init__(self, line: int, direction: str) -> None:
        super().__init__("", line)


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode()
