"""One chip select of an SPI bus: the part, and how the controller is set for it."""

from __future__ import annotations

from typing import Final, NamedTuple

from hil.buses.adapters import AdapterProfile
from hil.errors import ConfigError
from hil.parts.base import SPIPeripheral

#: bits of a mode above CPOL and CPHA, as ``linux/spi/spi.h`` has them
MODE_CS_HIGH: Final = 0x04
MODE_LSB_FIRST: Final = 0x08
MODE_THREE_WIRE: Final = 0x10
MODE_LIMIT: Final = 0x1F


class Device(NamedTuple):
    """One chip select: the part and how the controller is set for it."""

    peripheral: SPIPeripheral
    mode: int
    speed_hz: int
    lsb_first: bool
    bits: int
    #: the part takes this mode
    mode_fits: bool
    three_wire: bool
    #: chip select is active on the level on which the part expects it
    selectable: bool


def device_of(
    where: str,
    profile: AdapterProfile,
    peripheral: SPIPeripheral,
    mode: int,
    speed_hz: int,
    lsb_first: bool,
    bits: int,
) -> Device:
    """Return a device; raises :class:`hil.errors.ConfigError` for settings that cannot be."""
    if not 0 <= mode <= MODE_LIMIT or speed_hz <= 0:
        raise ConfigError(f"{where}: needs a mode of 0..31 and a clock above 0 Hz")
    lsb_first = lsb_first or bool(mode & MODE_LSB_FIRST)
    three_wire = bool(mode & MODE_THREE_WIRE)
    if three_wire and not profile.spi_three_wire:
        raise ConfigError(f"{where}: {profile.name} has no three-wire mode")
    if bits not in profile.spi_bits:
        can = ", ".join(map(str, sorted(profile.spi_bits)))
        raise ConfigError(f"{where}: {profile.name} cannot do {bits} bits a word; {can}")
    if lsb_first and not profile.spi_lsb_first:
        raise ConfigError(f"{where}: {profile.name} cannot shift the low bit first")
    fits = mode & 3 in peripheral.spi_modes
    selectable = bool(mode & MODE_CS_HIGH) == bool(getattr(peripheral, "spi_cs_high", False))
    return Device(peripheral, mode, speed_hz, lsb_first, bits, fits, three_wire, selectable)
