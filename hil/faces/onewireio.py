"""A look-alike of CircuitPython's ``onewireio``, so that its 1-Wire drivers run unmodified.

They ask for ``OneWire(pin)`` with ``reset``, ``read_bit`` and ``write_bit`` and touch nothing else.
Here the pin is an emulated bus, and each call takes the time of its slot on the clock it was given.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from hil.buses.onewire import OneWireBus
from hil.faces.busio import Clock


def look_alike(clock: Clock) -> ModuleType:
    """Return a module to stand in ``sys.modules`` as ``onewireio``."""

    class OneWire:
        """A line; ``pin`` is a :class:`hil.buses.onewire.OneWireBus`."""

        def __init__(self, pin: OneWireBus) -> None:
            self._bus = pin

        def reset(self) -> bool:
            """Send a reset; return False if there was a presence pulse, as CircuitPython does."""
            present = self._bus.reset(clock.now_ns())
            clock.sleep_until(clock.now_ns() + self._bus.slots.reset)
            return not present

        def read_bit(self) -> bool:
            """Read a bit."""
            bit = self._bus.read_bit(clock.now_ns())
            clock.sleep_until(clock.now_ns() + self._bus.slots.read)
            return bool(bit)

        def write_bit(self, value: bool) -> None:
            """Write a bit."""
            clock.sleep_until(clock.now_ns() + self._bus.write_bit(clock.now_ns(), int(value)))

        def deinit(self) -> None:
            """Let go of the line."""

    module: Any = ModuleType("onewireio")
    module.OneWire = OneWire
    return module  # type: ignore[no-any-return]
