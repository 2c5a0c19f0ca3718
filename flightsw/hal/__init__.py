"""What flight code sees of the hardware: a handful of small interfaces.

Three readers: *drivers* use these interfaces and nothing else; *back ends* implement them
(``flightsw.hal.bench`` over the participant channel, ``flightsw.hal.linux`` over the kernel's
devices); *tests* may implement them too. All times are integer nanoseconds of mission time.

Every transaction blocks the caller until the bus has finished it, and the clock has then moved on
by the bus time. Errors are :class:`flightsw.errors.BusError` with the errno of the adapter's Linux
driver. Nothing here is thread-safe: flight software is one thread of rate groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Clock(Protocol):
    """Mission time."""

    def now_ns(self) -> int:
        """Return the time now, nanoseconds since the mission epoch."""

    def sleep_until(self, t_ns: int) -> None:
        """Block until mission time is at least ``t_ns``; return at once if it has passed.

        Raises :class:`flightsw.errors.Shutdown` when the run is over.
        """


@runtime_checkable
class PacedClock(Protocol):
    """A clock that keeps up with the wall, or tells by how much it does not."""

    def late_ns(self) -> int:
        """Return how late on the wall's clock the last sleep ended; 0 in virtual time."""


class I2C(Protocol):
    """An I2C controller. Addresses are 7-bit (10-bit if above 0x7F)."""

    def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
        """Write ``write``, then after a repeated start read ``nread`` octets; return those.

        Either part may be empty; both empty is the quick-write probe. Raises ``BusError``.
        """


class SPI(Protocol):
    """One chip select of an SPI controller, already set to the mode and speed of its device."""

    def transfer(self, tx: bytes) -> bytes:
        """Exchange ``len(tx)`` octets under one chip select; return what came back."""


class UART(Protocol):
    """A serial line with a receive buffer in the kernel."""

    @property
    def overruns(self) -> int:
        """Octets lost since start because the receive buffer was full."""

    def write(self, data: bytes) -> None:
        """Queue ``data`` for sending; the octets leave at the line rate."""

    def read(self) -> bytes:
        """Return everything received and not yet read, without blocking."""


class CanFrame(NamedTuple):
    """One CAN frame. ``can_id`` has the SocketCAN flags: bit 31 extended, 30 remote, 29 error.

    Of a CAN FD frame ``can_id >> 32`` are the ``flags`` of ``struct canfd_frame``: BRS 1, ESI 2,
    FDF 4.
    """

    t_ns: int
    can_id: int
    data: bytes


class CAN(Protocol):
    """A CAN controller."""

    def send(self, can_id: int, data: bytes) -> None:
        """Queue one frame for arbitration."""

    def receive(self) -> Sequence[CanFrame]:
        """Return the frames received and not yet read, oldest first, without blocking."""


class OneWire(Protocol):
    """A 1-Wire controller."""

    def command(self, rom: bytes | None, write: bytes, nread: int = 0) -> bytes:
        """Reset, address one part by its ROM code (None: all), write, read; return the octets."""

    def search(self, command: int = 0xF0) -> Sequence[bytes]:
        """Return the ROM codes of all parts; with command ECh, of those that have an alarm."""


class Edge(NamedTuple):
    """A change of a GPIO line, stamped where it happened."""

    t_ns: int
    value: int


class GPIO(Protocol):
    """One line, input or output as the board file says."""

    def set(self, value: int) -> None:
        """Drive the line to 0 or 1."""

    def get(self) -> int:
        """Return the level of the line as last known."""

    def edges(self) -> Sequence[Edge]:
        """Return the edges seen and not yet read, oldest first, without blocking."""


class Image(NamedTuple):
    """A frame of an imager. ``pixels`` is uint8, shape (height, width, channels)."""

    t_ns: int
    pixels: NDArray[np.uint8]


class Imager(Protocol):
    """A camera that delivers whole frames."""

    def capture(self, exposure_us: int) -> Image:
        """Expose, read out and return one frame; blocks for exposure and read-out time."""


class Charge(NamedTuple):
    """What a piece of computation costs on this computer."""

    duration_ns: int
    energy_j: float


class Processor(Protocol):
    """The payload computer's own processor, as a thing that takes time and power."""

    def begin(self, model_class: str, units: int) -> Charge:
        """Announce that ``units`` of work of this class start now; return what they cost.

        The caller works on and collects its result no earlier than ``duration_ns`` from now. In
        real pace, and on a real board, the duration is 0: the work takes what it takes.
        """

    def end(self) -> None:
        """Announce that the announced work was stopped before its time."""


class Device(NamedTuple):
    """One line of the device table: which driver serves which role, and where the part sits.

    ``channel`` names a bus for :class:`Hal`; ``address`` is the I2C address, chip select or CAN
    node; ``params`` are the driver's own (shunt ohms, ranges), as the board file gives them.
    """

    role: str
    driver: str
    channel: str
    address: int
    params: Mapping[str, Any]


class Hal(Protocol):
    """Everything a payload computer has: a clock, its buses by name, and its device table."""

    @property
    def clock(self) -> Clock: ...
    @property
    def cpu(self) -> Processor: ...
    @property
    def devices(self) -> Sequence[Device]: ...
    @property
    def config(self) -> Mapping[str, Any]:
        """Mission configuration handed to the flight software (limits, rates, model classes)."""

    @property
    def boot_count(self) -> int:
        """How many times this payload computer has started, 1 for the first."""

    def i2c(self, channel: str) -> I2C: ...
    def spi(self, channel: str, chip_select: int) -> SPI: ...
    def uart(self, channel: str) -> UART: ...
    def can(self, channel: str) -> CAN: ...

    def onewire(self, channel: str) -> OneWire: ...
    def gpio(self, channel: str, line: int) -> GPIO: ...
    def imager(self, channel: str) -> Imager: ...
