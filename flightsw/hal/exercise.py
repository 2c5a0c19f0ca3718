"""A small payload program that keeps a bench busy: what ``hil bench time`` and transport tests run.

``python -m flightsw.hal.exercise ENDPOINT WHAT [KEYFILE]`` runs one of the loops below until the
bench ends the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from flightsw.errors import BusError, FlightError, Shutdown
from flightsw.hal.bench import BenchHal, DirectHal
from flightsw.hal.channel import connect

IMU, MONITOR, MEMORY = 0x6A, 0x40, 0x50
IMU_PERIOD_NS = 10_000_000
CONTROL_EVERY = 10
#: outputs of gyroscope and accelerometer; voltage of the first rail
IMU_SAMPLE, IMU_NBYTES = b"\x22", 12
RAIL, RAIL_NBYTES = b"\x02", 2
#: 104 Hz for both sensors, block data update with address increment; continuous conversion
SET_UP = (
    (IMU, b"\x10\x40"),
    (IMU, b"\x11\x40"),
    (IMU, b"\x12\x44"),
    (MONITOR, b"\x00\x71\x27"),
)

Hal = BenchHal | DirectHal


def imu_and_control(hal: Hal) -> None:
    """Read an IMU at 100 Hz and a power monitor at 10 Hz, one transaction after the other."""
    transfer, sleep_until = hal.i2c("i2c-1").transfer, hal.clock.sleep_until
    for address, write in SET_UP:
        transfer(address, write)
    t_ns = 0
    while True:
        for _ in range(CONTROL_EVERY):
            t_ns += IMU_PERIOD_NS
            sleep_until(t_ns)
            transfer(IMU, IMU_SAMPLE, IMU_NBYTES)
        transfer(MONITOR, RAIL, RAIL_NBYTES)


def windowed(hal: Hal) -> None:
    """Do the same work with all transactions of a control period asked for at its start."""
    for address, write in SET_UP:
        hal.i2c("i2c-1").transfer(address, write)
    window = hal.window("i2c-1")
    schedule, result, sleep_until = window.schedule, window.result, hal.clock.sleep_until
    t_ns = IMU_PERIOD_NS
    sleep_until(t_ns)
    while True:
        tickets = []
        for _ in range(CONTROL_EVERY):
            tickets.append(schedule(t_ns, IMU, IMU_SAMPLE, IMU_NBYTES))
            t_ns += IMU_PERIOD_NS
        tickets.append(schedule(t_ns - IMU_PERIOD_NS, MONITOR, RAIL, RAIL_NBYTES))
        sleep_until(t_ns)
        for ticket in tickets:
            result(ticket)


def idle(hal: Hal) -> None:
    """Ask for time every 10 ms and do nothing with it."""
    t_ns = 0
    while True:
        t_ns += IMU_PERIOD_NS
        hal.clock.sleep_until(t_ns)


def chatter(hal: Hal) -> None:
    """Use every sort of bus of a small rig, at times that meet each other's traffic.

    What is received is written back into an I2C memory, so that a record that came in late, twice
    or not at all shows in the traffic that follows.
    """
    i2c, spi, uart = hal.i2c("i2c-1"), hal.spi("spi-0", 0), hal.uart("ttyAMA1")
    can, out, back = hal.can("can0"), hal.gpio("gpiochip0", 0), hal.gpio("gpiochip0", 1)
    step, t_ns = 0, hal.clock.now_ns()
    while True:
        step += 1
        # 86,806 ns is one octet at 115,200 baud: sleeps end while octets arrive.
        t_ns += 86_806 * (1 + step % 7) if step % 5 else 20_000_000
        hal.clock.sleep_until(t_ns)
        uart.write(b"%d." % step)
        can.send(0x100 + step % 16, bytes((step & 0xFF,) * (step % 9)))
        out.set(step & 1)
        heard = uart.read()[-4:] + bytes((back.get(), len(back.edges())))
        for frame in can.receive():
            heard += bytes((frame.can_id & 0xFF, frame.t_ns & 0xFF))
        i2c.transfer(MEMORY, bytes((step & 0xFF,)) + heard[:16])
        try:
            i2c.transfer(MEMORY + 1, b"", 1)
        except BusError as error:
            i2c.transfer(MEMORY, bytes((0, (error.errno or 0) & 0xFF)))
        spi.transfer(i2c.transfer(MEMORY, b"\0", 8))
        if step % 11 == 0:
            hal.imager("csi0").capture(100 + step)
            hal.cpu.begin("exercise", step)
            hal.clock.wait_until(hal.clock.now_ns() + 1_000_000)
            ahead_ns = hal.clock.now_ns() + 500_000
            tickets = [
                hal.schedule_i2c("i2c-1", ahead_ns + n * 20_000, MEMORY, bytes((n,)), 2)
                for n in (2, 0, 1)
            ]
            hal.clock.sleep_until(ahead_ns + 1_000_000)
            spi.transfer(b"".join(hal.result_i2c("i2c-1", ticket) for ticket in tickets))
        t_ns = max(t_ns, hal.clock.now_ns())


LOOPS: Mapping[str, Callable[[Hal], None]] = {
    "imu-and-control": imu_and_control,
    "windowed": windowed,
    "idle": idle,
    "chatter": chatter,
}


def run(hal: Hal, what: str) -> None:
    """Run a loop until the bench ends the run."""
    with hal:
        try:
            LOOPS[what](hal)
        except Shutdown:
            return


def main(argv: list[str]) -> int:
    """Connect and run; the name of a loop may end in ``+lazy``."""
    endpoint, what = argv[0], argv[1]
    keys = Path(argv[2]) if len(argv) > 2 else None
    loop, _, lazy = what.partition("+")
    try:
        run(connect(endpoint, "exercise", keys, lazy=lazy == "lazy"), loop)
    except FlightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
