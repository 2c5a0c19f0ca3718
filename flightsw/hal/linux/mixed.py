"""A hal with some buses on this computer and the others on a bench, bus by bus.

Drivers and services see no difference. What crosses a bus of this computer is told to the bench,
whose capture then holds it. The clock is the bench's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flightsw.closing import Closing
from flightsw.errors import DeviceTableError
from flightsw.hal import CAN, GPIO, I2C, SPI, UART, Clock, Device, Imager, OneWire
from flightsw.hal.bench import BenchHal, DirectHal
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import SharedClock
from flightsw.hal.linux.local import LocalBuses, check_kinds


class MixedHal(Closing):
    """A hal on a bench, but for the buses of ``local`` (bus -> device), which are the kernel's.

    The bench has been told which these are: see ``local`` of :class:`~flightsw.hal.bench.BenchHal`.
    """

    def __init__(self, bench: BenchHal | DirectHal, local: Mapping[str, str]) -> None:
        self.bench = bench
        self.session = session = bench.session
        self.clock: Clock = SharedClock(session)
        self.cpu = bench.cpu
        self.devices: Sequence[Device] = bench.devices
        self.config: Mapping[str, Any] = bench.config
        self.boot_count = bench.boot_count
        there = {channel["name"]: channel for channel in session.welcome["channels"]}
        for name in local:
            if name not in there:
                raise DeviceTableError(
                    f"--local {name}: the board {bench.board} has no such bus; "
                    f"it has {', '.join(there)}"
                )
        own = [LocalChannel(n, there[n]["kind"], at, there[n]) for n, at in local.items()]
        check_kinds(own)
        self._own = LocalBuses(
            own,
            self.clock,
            lambda name, kind: partial(session.observe, kind, there[name]["index"]),
        )

    def i2c(self, channel: str) -> I2C:
        """Return an I2C controller by the name of its channel."""
        there = self._own if channel in self._own else self.bench
        return there.i2c(channel)

    def spi(self, channel: str, chip_select: int) -> SPI:
        """Return one chip select of an SPI controller."""
        there = self._own if channel in self._own else self.bench
        return there.spi(channel, chip_select)

    def uart(self, channel: str) -> UART:
        """Return a serial line."""
        there = self._own if channel in self._own else self.bench
        return there.uart(channel)

    def can(self, channel: str) -> CAN:
        """Return a CAN controller."""
        there = self._own if channel in self._own else self.bench
        return there.can(channel)

    def gpio(self, channel: str, line: int) -> GPIO:
        """Return one line of a GPIO chip."""
        there = self._own if channel in self._own else self.bench
        return there.gpio(channel, line)

    def onewire(self, channel: str) -> OneWire:
        """Return a 1-Wire controller."""
        return self.bench.onewire(channel)

    def imager(self, channel: str) -> Imager:
        """Return a camera port."""
        there = self._own if channel in self._own else self.bench
        return there.imager(channel)

    def close(self) -> None:
        """Give devices back and leave the bench."""
        self._own.close()
        self.bench.close()
