"""Emulated parts: one module a part, written from its data sheet.

The table says which class stands behind each ``type`` of a board file; a part's module is imported
only when a board names it. Installed packages may offer more types (:mod:`hil.parts.contributed`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.parts.base import Part

#: ``type`` in a board file -> "module:Class"
PART_TYPES: dict[str, str] = {
    "ads1115": "hil.parts.ads1115:Ads1115",
    "bme280": "hil.parts.bme280:Bme280",
    "ds1374": "hil.parts.ds1374:Ds1374",
    "ds18b20": "hil.parts.ds18b20:Ds18b20",
    "ds3231": "hil.parts.ds3231:Ds3231",
    "ina219": "hil.parts.ina219:Ina219",
    "ina228": "hil.parts.ina228:Ina228",
    "ina3221": "hil.parts.ina3221:Ina3221",
    "lm75": "hil.parts.lm75:Lm75",
    "mcp23017": "hil.parts.mcp23017:Mcp23017",
    "mcp9808": "hil.parts.mcp9808:Mcp9808",
    "pca9685": "hil.parts.pca9685:Pca9685",
    "tca9546a": "hil.parts.tca9548a:Tca9546a",
    "tca9548a": "hil.parts.tca9548a:Tca9548a",
    "veml7700": "hil.parts.veml7700:Veml7700",
    "tmp117": "hil.parts.tmp117:Tmp117",
    "lsm6dsox": "hil.parts.lsm6dsox:Lsm6dsox",
    "icm20948": "hil.parts.icm20948:Icm20948",
    "ak09916": "hil.parts.ak09916:Ak09916",
    "mpu6050": "hil.parts.mpu6050:Mpu6050",
    **{f"w25q{mbit}": f"hil.parts.w25q:W25Q{mbit}" for mbit in (16, 32, 64, 128)},
    "at24c02": "hil.parts.at24:At24C02",
    "at24c16": "hil.parts.at24:At24C16",
    "at24c256": "hil.parts.at24:At24C256",
    "24lc32": "hil.parts.at24:Lc2432",
    **{f"mb85rc{kbit}": f"hil.parts.mb85rc:Mb85rc{kbit}" for kbit in (64, 256, 512)},
    "max31865": "hil.parts.max31865:Max31865",
    "lis3mdl": "hil.parts.lis3mdl:Lis3mdl",
    "mmc5603": "hil.parts.mmc5603:Mmc5603",
    "mcp2515": "hil.parts.mcp2515:Mcp2515",
    "ssd1306": "hil.parts.ssd1306:Ssd1306",
    "ublox": "hil.parts.ublox:Ublox",
    "eps_node": "hil.parts.eps_node:EpsNode",
    "watchdog": "hil.parts.watchdog:Watchdog",
    "ttc": "hil.parts.ttc:Ttc",
    "imager": "hil.parts.imager:ImagerPart",
}


def part_types() -> list[str]:
    """Return the names of all types, built in and contributed."""
    from hil.parts.contributed import offers

    return [*PART_TYPES, *(name for name in offers() if name not in PART_TYPES)]


def part_class(type_name: str) -> type[Part]:
    """Return the class of a part type; raises KeyError for a type that nobody has.

    Raises :class:`~hil.errors.ConfigError` for one that cannot be had: two have its name, or the
    package that offers it is broken.
    """
    from hil.errors import ConfigError
    from hil.parts import contributed

    if type_name not in PART_TYPES:
        return contributed.load(type_name)
    wrong = contributed.clash(type_name, is_built_in=True)
    if wrong:
        raise ConfigError(wrong)
    module, _, name = PART_TYPES[type_name].partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
