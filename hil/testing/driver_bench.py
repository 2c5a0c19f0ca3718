"""A bench for foreign drivers: parts on an I2C and an SPI bus in this process, and the time.

Time moves by what the buses charge and by what drivers sleep inside ``virtual_sleep(bench, ...)``::

    bench = DriverBench({0x68: Mpu6050("imu")})
    with virtual_sleep(bench, adafruit_mpu6050):
        driver = adafruit_mpu6050.MPU6050(I2C(bench.transfer, bench))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from flightsw.codec.wire import Status
from hil.buses.adapters import errno_for
from hil.buses.i2c import I2CBus, Message
from hil.buses.spi import Segment, SPIBus
from hil.faces.busio_spi import SPI, ChipSelect, Setup, Transfer
from hil.wiring import attach_i2c


class DriverBench:
    """The buses, as transfer functions that raise OSError with the adapter's errno."""

    def __init__(
        self, i2c: Mapping[int, Any] | None = None, spi: Any = None, adapter: str = "bcm2835"
    ) -> None:
        self.i2c_bus = I2CBus("i2c-1", 400_000, adapter)
        self.spi_bus = SPIBus("spi-0", adapter)
        for address, part in (i2c or {}).items():
            attach_i2c(self.i2c_bus, address, part)
        if spi is not None:
            self.spi_bus.attach(0, spi)
        self._now_ns = 0

    def now_ns(self) -> int:
        """Return virtual time."""
        return self._now_ns

    def sleep_until(self, t_ns: int) -> None:
        """Let virtual time pass."""
        self._now_ns = max(self._now_ns, t_ns)

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now_ns += round(seconds * 1e9)

    def after(self, seconds: float, read: Callable[[], float]) -> Callable[[], float]:
        """Return ``read`` preceded by a wait, for a sample to take in a new value."""

        def wait_and_read() -> float:
            self.wait(seconds)
            return read()

        return wait_and_read

    def transfer(self, address: int, write: bytes, nread: int) -> bytes:
        """Run an I2C transaction."""
        status, duration_ns, data = self.i2c_bus.transfer(self._now_ns, address, write, nread)
        self._took(status, duration_ns)
        return data

    def messages(self, messages: list[Message]) -> list[bytes]:
        """Run I2C messages as one transaction."""
        status, duration_ns, data = self.i2c_bus.transfer_messages(self._now_ns, messages)
        self._took(status, duration_ns)
        return data

    def segments(self, chip_select: int, segments: list[Segment]) -> list[bytes]:
        """Run an SPI transaction."""
        status, duration_ns, data = self.spi_bus.transfer_segments(
            self._now_ns, chip_select, segments
        )
        self._took(status, duration_ns)
        return data

    def _took(self, status: int, duration_ns: int) -> None:
        self._now_ns += duration_ns
        if status != Status.OK:
            code = errno_for(self.i2c_bus.profile, status)
            raise OSError(code, os.strerror(code))

    def circuit_spi(self) -> tuple[SPI, ChipSelect]:
        """Return CircuitPython's objects for the part at chip select 0."""
        spi = SPI(self.segments, self.spi_bus.configure)
        return spi, ChipSelect(spi, 0)

    def connect_spi(self, bus: int, device: int) -> tuple[Transfer, Setup | None]:
        """Reach a chip select as ``spidev`` does."""
        return self.segments, self.spi_bus.configure
