"""Drivers: one file a part, written against :mod:`flightsw.hal`.

The device table names them; :func:`make_driver` imports only what a board has.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from flightsw.errors import DeviceTableError

if TYPE_CHECKING:
    from flightsw.drivers.base import Driver
    from flightsw.hal import Device, Hal

#: ``driver`` in the device table -> "module:Class"
DRIVERS: dict[str, str] = {
    "ina3221": "flightsw.drivers.ina3221:Ina3221",
    "tmp117": "flightsw.drivers.tmp117:Tmp117",
    "lm75": "flightsw.drivers.lm75:Lm75",
    "lsm6dsox": "flightsw.drivers.lsm6dsox:Lsm6dsox",
    "w25q": "flightsw.drivers.w25q:W25q",
    "gnss": "flightsw.drivers.ublox:Ublox",
    "ublox": "flightsw.drivers.ublox:Ublox",
    "eps": "flightsw.drivers.eps:Eps",
    "watchdog": "flightsw.drivers.watchdog:Watchdog",
    "ttc": "flightsw.drivers.ttc:Ttc",
    "imager": "flightsw.drivers.imager:Imager",
}


def make_driver(hal: Hal, device: Device) -> Driver:
    """Return the driver of a device, not started.

    Raises :class:`~flightsw.errors.DeviceTableError` for a driver that does not exist.
    """
    place = DRIVERS.get(device.driver)
    if place is None:
        near = difflib.get_close_matches(device.driver, DRIVERS, n=1)
        hint = f"nearest known is {near[0]!r}" if near else f"known are {', '.join(DRIVERS)}"
        raise DeviceTableError(f"{device.role}: no driver {device.driver!r}; {hint}")
    module, _, name = place.partition(":")
    driver: Driver = getattr(importlib.import_module(module), name)(hal, device)
    return driver
