"""Run under the shim: the contract suite of I2C controllers, on two buses through i2c-dev."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from flightsw.errors import BusError
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.i2c import LinuxI2C
from hil.buses.base import I2CController
from hil.parts.base import I2CTarget
from hil.testing import check_bus

BITRATE_HZ = 400_000
DEVICES = cycle(("/dev/i2c-1", "/dev/i2c-2"))


class Controller:
    """A controller as the suite drives one; what a transaction came to is what it tells."""

    kind = "i2c"

    def __init__(self, device: str) -> None:
        self.name = device
        self.counters = {"transfers": 0}
        self._outcome = (0, 0)
        channel = LocalChannel("i2c-1", "i2c", device, {})
        self._bus = LinuxI2C(channel, WallClock(), self._told)

    def _told(
        self, flags: int, status: int, t_ns: int, took_ns: int, address: int, octets: bytes
    ) -> None:
        self.counters["transfers"] += 1
        self._outcome = (status, took_ns)

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> tuple[int, int, bytes]:
        try:
            data = self._bus.transfer(address, write, nread)
        except BusError:
            data = b""
        return (*self._outcome, data)

    def transfer_messages(
        self, t_ns: int, messages: list[tuple[int, int, bytes | int]]
    ) -> tuple[int, int, list[bytes]]:
        write = b"".join(what for _, _, what in messages if isinstance(what, bytes))
        nread = sum(what for _, _, what in messages if isinstance(what, int))
        status, took_ns, data = self.transfer(t_ns, messages[0][0], write, nread)
        return status, took_ns, [data]

    def describe(self) -> dict[str, Any]:
        return {"bitrate_hz": BITRATE_HZ}

    def close(self) -> None:
        self._bus.close()


def make(target: I2CTarget, address: int) -> I2CController:
    """Return a controller whose target, the suite's on the bench, is as good as fresh."""
    controller = Controller(next(DEVICES))
    controller.transfer(0, address, b"\0" + bytes(range(256)), 0)
    return controller  # type: ignore[return-value]  # buses of the kernel take no interceptors


if __name__ == "__main__":
    check_bus("i2c", make)
    print("passed")
