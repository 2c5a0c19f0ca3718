"""A look-alike of CircuitPython's ``busio.I2C``, so that its drivers run unmodified.

The drivers of the Adafruit collection ask for an object with ``try_lock``, ``unlock``, ``scan``,
``writeto``, ``readfrom_into`` and ``writeto_then_readfrom`` and touch nothing else. This one puts
each call on a transfer function: the bus of a test, the channel to a rig, or a real adapter.

They also sleep. :func:`virtual_sleep` lets those sleeps pass in virtual time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

from hil.errors import UsageError

#: transfer(address, octets to write, octets to read) -> octets read; raises OSError
Transfer = Callable[[int, bytes, int], bytes]
Buffer = bytes | bytearray | memoryview


class Clock(Protocol):
    """Virtual time, in nanoseconds."""

    def now_ns(self) -> int:
        """Return the time now."""

    def sleep_until(self, t_ns: int) -> None:
        """Let time pass until ``t_ns``."""


class I2C:
    """``busio.I2C`` over a transfer function. Slices are given by ``start`` and ``end``."""

    def __init__(self, transfer: Transfer, clock: Clock | None = None) -> None:
        self._transfer = transfer
        self.clock = clock
        self._locked = False

    def __enter__(self) -> I2C:
        return self

    def __exit__(self, *_: object) -> None:
        self.deinit()

    def deinit(self) -> None:
        """Release the bus."""
        self._locked = False

    def try_lock(self) -> bool:
        """Take the lock; False when it is taken."""
        if self._locked:
            return False
        self._locked = True
        return True

    def unlock(self) -> None:
        """Give the lock back."""
        if not self._locked:
            raise ValueError("I2C bus: unlock without lock; call try_lock first")
        self._locked = False

    def scan(self) -> list[int]:
        """Return the addresses that acknowledge a quick write, or one read octet where that is
        refused, as ``i2cdetect`` probes them."""
        found = []
        for address in range(0x08, 0x78):
            for nread in (0, 1):
                try:
                    self._transfer(address, b"", nread)
                except OSError:
                    continue
                found.append(address)
                break
        return found

    def writeto(
        self, address: int, buffer: Buffer, *, start: int = 0, end: int | None = None
    ) -> None:
        """Write a slice of ``buffer`` and send stop."""
        self._transfer(address, bytes(buffer[start:end]), 0)

    def readfrom_into(
        self, address: int, buffer: bytearray, *, start: int = 0, end: int | None = None
    ) -> None:
        """Read into a slice of ``buffer`` and send stop."""
        nread = len(buffer[start:end])
        if nread:
            buffer[start : start + nread] = self._transfer(address, b"", nread)

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: Buffer,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write a slice, then after a repeated start read into another."""
        nread = len(in_buffer[in_start:in_end])
        data = self._transfer(address, bytes(out_buffer[out_start:out_end]), nread)
        in_buffer[in_start : in_start + nread] = data


@contextmanager
def virtual_sleep(clock: Clock, *modules: ModuleType) -> Iterator[None]:
    """Let ``time.sleep`` pass in virtual time inside the ``with`` block.

    Modules that did ``from time import sleep`` hold the old function: name them, and theirs is
    replaced too. Not for use from several threads: ``time.sleep`` is one for the whole process.
    """
    real = time.sleep
    for module in modules:
        if getattr(module, "sleep", None) is not real:
            raise UsageError(f"module {module.__name__} holds no time.sleep; leave it out")

    def sleep(seconds: float) -> None:
        clock.sleep_until(clock.now_ns() + round(seconds * 1e9))

    places = (time, *modules)
    for place in places:
        place.sleep = sleep  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for place in places:
            place.sleep = real  # type: ignore[attr-defined]
