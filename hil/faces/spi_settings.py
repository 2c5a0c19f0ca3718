"""What spidev keeps of each device: mode, clock, word size.

As in the kernel they belong to the device and not to the open file, and stay when it is closed.
"""

from __future__ import annotations

import struct

from flightsw.codec.wire import Status
from hil.errors import ConfigError
from hil.faces.nodes import Node, spidev_limit

#: u32 mode (linux/spi/spi.h), u32 clock in Hz, u8 bits per word
SETTINGS = struct.Struct("<IIB")
#: bits of a mode that the bus knows; those above say on how many lines a program may transfer
BUS_MODES = 0x1F


class SpiSettings:
    """The settings that programs have made, by device path."""

    def __init__(self) -> None:
        self._made: dict[str, dict[str, int]] = {}

    def of(self, node: Node) -> dict[str, int]:
        """Return the settings of a device: those of the board file until a program changes them."""
        device = node.lane.bus.describe()["chip_selects"].get(str(node.chip_select), {})
        board = {"spi_mode": device.get("mode", 0), "spi_speed_hz": device.get("speed_hz", 0)}
        made = self._made.get(node.path, {})
        return {"bufsiz": spidev_limit(node.lane), **board, "spi_bits": 8, **made}

    def change(self, node: Node, payload: bytes) -> Status:
        """Make settings; INVALID where the controller cannot do that, and nothing is changed."""
        if len(payload) != SETTINGS.size:
            return Status.INVALID
        mode, speed_hz, bits = SETTINGS.unpack(payload)
        changes = {"mode": mode & BUS_MODES, "bits": bits, "lsb_first": False}
        if speed_hz:
            changes["speed_hz"] = speed_hz
        try:
            node.lane.bus.configure(node.chip_select, **changes)
        except ConfigError:
            return Status.INVALID
        self._made[node.path] = {"spi_mode": mode, "spi_speed_hz": speed_hz, "spi_bits": bits}
        return Status.OK
