"""What a bus is to the rest of the bench.

A bus owns timing, arbitration, adapter limits and faults. It is driven from one side by the
exchange (on behalf of the payload computer) and from the other by the parts attached to it. It
knows parts only by the protocols of ``hil.parts.base``.

Request-response buses (I2C, SPI, frames) return ``(status, duration_ns, data)`` and the exchange
writes the record. Buses on which things happen by themselves (UART, CAN, GPIO) report each
completed unit through the ``emit`` they were given; the exchange records it and, when
``Flag.INPUT`` is set, also queues it for the payload computer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: emit(t_ns, duration_ns, flags, status, address, payload): one completed unit of traffic.
#: ``t_ns`` is its first bit; the call happens at its last bit.
Emit = Callable[[int, int, int, int, int, bytes], None]

#: (status, duration_ns, data) of a completed transaction; ``status`` is a ``wire.Status``.
Outcome = tuple[int, int, bytes]


class Bus(Protocol):
    """Common to all buses."""

    name: str
    #: ``i2c``, ``spi``, ``uart``, ``can``, ``gpio`` or ``frames``
    kind: str

    @property
    def counters(self) -> dict[str, int]:
        """Counts of everything carried, skipped, dropped or refused, by name."""

    def describe(self) -> dict[str, Any]:
        """Return what the payload computer may know of this channel (bit rate, limits)."""


class I2CController(Bus, Protocol):
    """An emulated I2C bus seen from its controller."""

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        """Write then, after a repeated start, read; either part may be empty."""

    def transfer_messages(
        self, t_ns: int, messages: list[tuple[int, int, bytes | int]]
    ) -> tuple[int, int, list[bytes]]:
        """Run ``(address, flags, data to write or length to read)`` messages as one transaction.

        Returns (status, duration_ns, data of each read message in order). Flags as in the wire
        record: 1 read, 2 ten-bit address.
        """


class SPIController(Bus, Protocol):
    """An emulated SPI bus seen from its controller."""

    def transfer(self, t_ns: int, chip_select: int, tx: bytes) -> Outcome:
        """Exchange octets under one chip select with the speed and mode of that device."""

    def transfer_segments(
        self, t_ns: int, chip_select: int, segments: list[tuple[bytes, int, int, int, int]]
    ) -> tuple[int, int, list[bytes]]:
        """Exchange ``(tx, speed_hz, bits_per_word, flags, delay_us)``; 0 Hz: the default."""


class SerialLine(Bus, Protocol):
    """An emulated UART seen from the payload computer."""

    def write(self, t_ns: int, data: bytes) -> None:
        """Queue octets for sending at the line rate."""


class CANController(Bus, Protocol):
    """An emulated CAN bus seen from the payload computer's controller."""

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Queue a frame for arbitration."""


class GPIOController(Bus, Protocol):
    """An emulated GPIO chip seen from the payload computer."""

    def set(self, t_ns: int, line: int, level: int) -> None:
        """Drive an output line."""


class FrameGrabber(Bus, Protocol):
    """An emulated camera port."""

    def capture(self, t_ns: int, exposure_us: int) -> Outcome:
        """Capture one frame; data is the payload of a FRAME record."""
