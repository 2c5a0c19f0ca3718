"""What the drivers read of the default board's parts, on whatever hal they are given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from flightsw.drivers import make_driver
from flightsw.errors import BusError
from flightsw.hal import Hal

SECOND = 1_000_000_000


def readings(hal: Hal) -> dict[str, Any]:
    """Start every driver, let 40 seconds pass, and return what each has."""
    drivers: dict[str, Any] = {d.role: make_driver(hal, d) for d in hal.devices}
    gnss, eps, flash = drivers["gnss"], drivers["eps"], drivers["flash"]
    for role, driver in drivers.items():
        if role != "imager":
            driver.start()
    begun_ns = hal.clock.now_ns()
    for step in range(1, 401):
        hal.clock.sleep_until(begun_ns + step * SECOND // 10)
        gnss.poll(hal.clock.now_ns())
        eps.poll()
        if step % 10 == 0:
            drivers["watchdog"].kick()
            gnss.pulses()
    found: dict[str, Any] = {
        role: list(_plain(drivers[role].read()))
        for role in ("power", "temp_board", "temp_chip", "imu")
    }
    flash.erase_sector(0x1000)
    flash.program(0x1000, bytes(range(256)))
    found["flash"] = flash.read(0x0FFC, 264).hex()
    found["gnss"] = [gnss.fix.fix, gnss.fix.latitude, gnss.fix.longitude, gnss.fix.height_mm]
    found["gnss_stream"] = [gnss.stream.bad, gnss.stream.skipped]
    found["eps"] = [eps.battery_mv, eps.battery_ma, eps.soc_permille, eps.solar_mw, eps.bad]
    found["carrier"] = drivers["ttc"].carrier()
    try:
        hal.i2c("i2c-1").transfer(0x2F, b"\0", 1)
    except BusError as error:
        found["absent"] = error.errno
    return found


def _plain(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def main() -> None:
    """Print the readings on the computer's own buses; the device table is the first word."""
    from flightsw.hal.linux.alone import LinuxHal, read_table

    with LinuxHal(read_table(Path(sys.argv[1])), {"can0": "/dev/ttyCAN0"}) as hal:
        json.dump(readings(hal), sys.stdout)


if __name__ == "__main__":
    main()
