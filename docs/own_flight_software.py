"""A program of your own on the payload computer: `python docs/own_flight_software.py`."""

from __future__ import annotations

import subprocess
import sys

from flightsw.errors import Shutdown
from flightsw.hal.channel import connect
from hil.board import load_board
from hil.missions import load as load_mission
from hil.rig import Rig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen


def fly(endpoint: str) -> None:
    """Read the thermometer at the processor every 10 s, until the run is over."""
    with connect(endpoint, name="mine") as hal:
        part = next(device for device in hal.devices if device.role == "temp_chip")
        i2c = hal.i2c(part.channel)
        try:
            while True:
                hal.clock.sleep_until(hal.clock.now_ns() + 10_000_000_000)
                octets = i2c.transfer(part.address, b"\x00", 2)
                celsius = int.from_bytes(octets, "big", signed=True) / 128
                print(f"{hal.clock.now_ns() / 1e9:8.3f} s  {celsius:.2f} degC", flush=True)
        except Shutdown:
            return  # the bench ended the run


def bench(duration_s: float) -> Rig:
    """Put this file, as a process of its own, on the default board and mission."""
    board, mission = load_board("raspberrypi4"), load_mission("tiansuan_bupt1")
    rig = Rig(board, mission, seed=1, duration_s=duration_s)
    with listen("ipc") as listener:
        coordinator = Coordinator(rig.exchange)
        channel = listener.channel()
        process = subprocess.Popen([sys.executable, __file__, listener.endpoint])

        def died() -> str | None:
            """Say how the process ended, None while it runs."""
            return None if process.poll() is None else f"left with {process.returncode}"

        coordinator.add(channel, "mine", died)
        coordinator.run()
        process.wait()
    rig.finish()
    return rig


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fly(sys.argv[1])
    else:
        flown = bench(60.0)
        print(f"{flown.stream.count} records, digest {flown.stream.hexdigest()}")
