"""GPIO lines of a part: ``params["pins"]`` of the device table is {pin name: (chip, line)}."""

from __future__ import annotations

from flightsw.errors import DeviceTableError
from flightsw.hal import GPIO, Device, Hal


def pin(hal: Hal, device: Device, name: str) -> GPIO:
    """Return the line that is wired to the part's pin ``name``.

    Raises :class:`~flightsw.errors.DeviceTableError` when the device table does not name it.
    """
    pins = device.params.get("pins", {})
    place = pins.get(name)
    if place is None:
        raise DeviceTableError(
            f"{device.role}: driver {device.driver} wants pin {name!r}, "
            f"the device table has {', '.join(pins) or 'none'}"
        )
    chip, line = place
    return hal.gpio(str(chip), int(line))
