"""What a part is: a bus face that a driver sees, and a world face in SI units.

A part is pure and synchronous: no I/O, no wall clock, no global random state. It learns the time
from the ``t_ns`` of each call and draws noise from the stream it was given. It knows neither the
bus it sits on nor the world; the rig wires both.

Implementers: cite the data sheet and its sections, list in the module docstring what is *not*
modelled, and report every touch of an unmodelled bit through :meth:`Part.touch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from hil.errors import ConfigError
from hil.parts.guide import Guide


class Quantity(NamedTuple):
    """One physical input of a part: SI unit, range, and how near a driver's reading must come."""

    unit: str
    lower: float
    upper: float
    epsilon: float


class Param(NamedTuple):
    """One key of a part in the board file: its SI unit (None: a plain number or word), its default.

    A default of None means that the board file must give it.
    """

    unit: str | None
    default: Any


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the counter-based random stream of one component: same (seed, name), same numbers."""
    import hashlib

    key = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def unwired(t_ns: int, *_: object) -> None:
    """Stand for a pin, a line or a listener that a part has and its board does not connect."""


class Part:
    """Base of every emulated part. Subclasses declare QUANTITIES and implement one bus face."""

    #: physical inputs by name; the rig and tests set them through :meth:`set`
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {}
    #: the part's own keys in a board file; each becomes a keyword argument of the constructor
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: I2C addresses that its pins can select; empty: any
    ADDRESSES: ClassVar[tuple[int, ...]] = ()
    #: what ``hil checkout`` can know of it; see :meth:`guide`
    GUIDE: ClassVar[Guide] = Guide()

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.random = stream(seed, name)
        self.values: dict[str, float] = {}
        #: touches of unmodelled registers or bits, by description; shown in the run's report
        self.touched: Counter[str] = Counter()
        #: clamps of out-of-range world values, by quantity
        self.clamped: Counter[str] = Counter()

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input, clamped to its range (a clamp is counted, as silicon saturates).

        Raises :class:`~hil.errors.ConfigError` for a quantity that the part has not, and for what
        is no number.
        """
        spec = self.QUANTITIES.get(quantity)
        if spec is None:
            known = ", ".join(self.QUANTITIES) or "none"
            raise ConfigError(f"part {self.name!r} has no {quantity!r}; what can be set: {known}")
        if not spec.lower <= value <= spec.upper:
            if value != value:
                was = self.values.get(quantity)
                raise ConfigError(
                    f"part {self.name!r}: {quantity} is {was} and cannot become {value}; give "
                    f"{spec.lower:g} to {spec.upper:g} {spec.unit}"
                )
            self.clamped[quantity] += 1
            value = min(max(value, spec.lower), spec.upper)
        self.values[quantity] = value

    def guide(self) -> Guide:
        """Return what ``hil checkout`` can know of it."""
        return self.GUIDE

    def touch(self, what: str) -> None:
        """Count an access to something that is not modelled."""
        self.touched[what] += 1

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {"touched": dict(self.touched), "clamped": dict(self.clamped)}


@runtime_checkable
class I2CTarget(Protocol):
    """The bus face of an I2C target, one call a message as between (repeated) start and stop."""

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take a write message; return how many octets were acknowledged.

        ``len(data)`` when all were; ``-1`` when the address itself was not (a busy EEPROM).
        """

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve a read message of ``nbytes`` octets; None when the address is not acknowledged."""

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition."""


class I2CPlace(Protocol):
    """Where I2C parts can be put: a bus, or a segment behind a switch."""

    name: str

    def attach(self, address: int, target: I2CTarget) -> None:
        """Put a part there; raises :class:`~hil.errors.ConfigError` for a clash."""


@runtime_checkable
class I2CSwitch(Protocol):
    """A part that puts several I2C segments behind one: ``mux``, ``channel`` in a board file."""

    #: number of segments
    CHANNELS: ClassVar[int]

    def segment(self, channel: int) -> I2CPlace:
        """Return the segment of a channel."""

    def connect(self, upstream: I2CPlace) -> None:
        """Learn where the switch itself was put."""


@runtime_checkable
class SPIPeripheral(Protocol):
    """The bus face of an SPI peripheral. Modes that it accepts are in ``spi_modes``.

    A part with two or four data lines also has ``spi_exchange_wide(t_ns, tx, lanes) -> bytes`` and
    ``spi_max_hz``.
    """

    spi_modes: frozenset[int]

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active."""

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Exchange octets while selected; return as many as came in."""

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive; commands take effect here."""


class Scheduler(Protocol):
    """The piece of the virtual clock that an active part may use."""

    now_ns: int

    def at(self, t_ns: int, phase: int, source: int, callback: Callable[[int], None]) -> object:
        """Call ``callback(t_ns)`` at virtual time ``t_ns``; ties go by phase, source, order."""


@runtime_checkable
class UARTDevice(Protocol):
    """The bus face of a device on a serial line."""

    #: set by the bus when the device is attached: sends octets towards the payload computer
    uart_send: Callable[[int, bytes], None]

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Take octets whose last bit arrived at ``t_ns``."""


@runtime_checkable
class CANNode(Protocol):
    """The bus face of a CAN node.

    It may say of its controller ``can_fd``, ``can_fd_tolerant``, ``can_listen_only`` and
    ``can_one_shot`` (False where it says nothing), and then of an FD frame ``can_id >> 32`` are the
    ``flags`` of ``struct canfd_frame``: BRS 1, ESI 2, FDF 4.

    A part that is a controller itself may have ``can_attached(node, bitrate_hz)``, which tells it
    its error counters, and ``can_sent(t_ns, can_id, data)``, called when a frame of its went out.
    """

    #: set by the bus when the node is attached: queues a frame (t_ns, can_id, data)
    can_send: Callable[[int, int, bytes], None]

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """See a frame that another node sent, at the end of its last bit."""


@runtime_checkable
class GPIODevice(Protocol):
    """The bus face of a part wired to GPIO lines, by pin name."""

    #: set by the bus: drives one of the part's output pins (t_ns, pin, level)
    gpio_drive: Callable[[int, str, int], None]

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See a line that the payload computer drives change."""


@runtime_checkable
class FrameSource(Protocol):
    """The bus face of an imager."""

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        """Expose at ``t_ns``; return (duration_ns, payload of the FRAME record)."""


@runtime_checkable
class Active(Protocol):
    """A part that acts on its own (GNSS receiver, EPS node, watchdog)."""

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Schedule its first event; ``source`` is its place in the order of ties."""
