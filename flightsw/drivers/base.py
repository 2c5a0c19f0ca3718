"""What drivers share: counted, bounded retries and the identity check's error."""

from __future__ import annotations

from typing import Protocol

from flightsw.errors import BusError, BusTimeoutError, PartMismatchError
from flightsw.hal import I2C, SPI, Device, Hal


class Traffic:
    """Counts of one driver's bus traffic."""

    __slots__ = ("errors", "retries")

    def __init__(self) -> None:
        #: operations given up
        self.errors = 0
        #: transactions tried again
        self.retries = 0


class Driver(Protocol):
    """What the application asks of every driver."""

    traffic: Traffic

    def start(self) -> None:
        """Check the identity of the part and set it up.

        Raises ``BusError`` when it does not answer, ``PartMismatchError`` when another answers.
        """


class I2CRegisters:
    """Registers of an I2C target. A transaction that fails is tried once more.

    One that timed out is not: the bus was held all that time, and would be held again.
    """

    __slots__ = ("_address", "_i2c", "traffic")

    def __init__(self, i2c: I2C, address: int) -> None:
        self._i2c = i2c
        self._address = address
        self.traffic = Traffic()

    def transfer(self, write: bytes, nread: int = 0) -> bytes:
        """Write, then read after a repeated start; raises ``BusError`` after the last try."""
        try:
            return self._i2c.transfer(self._address, write, nread)
        except BusTimeoutError:
            self.traffic.errors += 1
            raise
        except BusError:
            self.traffic.retries += 1
        try:
            return self._i2c.transfer(self._address, write, nread)
        except BusError:
            self.traffic.errors += 1
            raise


class SPICommands:
    """Commands of an SPI peripheral with the same bound on retries."""

    __slots__ = ("_spi", "traffic")

    def __init__(self, spi: SPI) -> None:
        self._spi = spi
        self.traffic = Traffic()

    def transfer(self, tx: bytes) -> bytes:
        """Exchange octets; raises ``BusError`` after the second try."""
        try:
            return self._spi.transfer(tx)
        except BusTimeoutError:
            self.traffic.errors += 1
            raise
        except BusError:
            self.traffic.retries += 1
        try:
            return self._spi.transfer(tx)
        except BusError:
            self.traffic.errors += 1
            raise


def expect(device: Device, what: str, found: int, expected: int) -> None:
    """Raise ``PartMismatchError`` unless the identity is the one the driver was written for."""
    if found != expected:
        raise PartMismatchError(
            f"{device.role} on {device.channel} at 0x{device.address:02X}: {what} is 0x{found:X}, "
            f"the {device.driver} driver wants 0x{expected:X}; check the board file"
        )


def i2c_registers(hal: Hal, device: Device) -> I2CRegisters:
    """Return the registers of the device."""
    return I2CRegisters(hal.i2c(device.channel), device.address)
