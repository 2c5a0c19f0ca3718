"""A serial port in memory, so that python-can can be used on a line that a session owns.

python-can opens its adapters by the address of a serial port. ``hilstick://NUMBER`` is one whose
octets come from and go to whoever has made it: no descriptor, no thread, nothing that blocks.
"""

from __future__ import annotations

import itertools
from weakref import WeakValueDictionary

import serial

_numbers = itertools.count(1)
_ports: WeakValueDictionary[str, MemoryPort] = WeakValueDictionary()


class MemoryPort:
    """What python-can calls of a pySerial port; ``received`` and ``sent`` are the line."""

    #: set by whoever sends; nothing ever waits here
    write_timeout: float | None = 0.0

    def __init__(self) -> None:
        self.received = bytearray()
        self.sent = bytearray()
        #: the address
        self.port = f"hilstick://{next(_numbers)}"
        _ports[self.port] = self

    def open(self) -> None:
        """Do nothing: it is open as long as it is there."""

    @property
    def in_waiting(self) -> int:
        """Octets that can be read."""
        return len(self.received)

    def read(self, size: int = 1) -> bytes:
        """Return up to ``size`` octets, fewer where there are no more."""
        octets = bytes(self.received[:size])
        del self.received[:size]
        return octets

    def write(self, octets: bytes) -> int:
        """Take octets for the line."""
        self.sent += octets
        return len(octets)

    def flush(self) -> None:
        """Do nothing: who owns the line writes it."""

    def reset_input_buffer(self) -> None:
        """Forget what was received."""
        self.received.clear()

    def close(self) -> None:
        """Do nothing: the line is its owner's."""


def open_port(url: str) -> MemoryPort:
    """Return the port of this address. Raises ``SerialException`` if it is gone."""
    try:
        return _ports[url]
    except KeyError:
        raise serial.SerialException(f"{url}: its line is not there any more") from None


if __name__ not in serial.protocol_handler_packages:
    serial.protocol_handler_packages.append(__name__)
