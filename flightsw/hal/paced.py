"""A rate group that reads an IMU and notes when: what ``hil bench pace`` runs against its bench.

``python -m flightsw.hal.paced ENDPOINT PERIOD_NS`` runs until the bench ends the run, then writes
to stdout, as little-endian i64: overruns of the group, releases that these covered, and for each
run of the group mission time and CLOCK_MONOTONIC.
"""

from __future__ import annotations

import sys
import time
from array import array
from contextlib import suppress

from flightsw.errors import Shutdown
from flightsw.hal.bench import BenchHal
from flightsw.hal.channel import connect
from flightsw.hal.exercise import IMU, IMU_NBYTES, IMU_SAMPLE, SET_UP
from flightsw.scheduler import Scheduler, Spec


def fly(hal: BenchHal, period_ns: int) -> array[int]:
    """Run the group until the bench ends the run; return what is written to stdout."""
    transfer = hal.i2c("i2c-1").transfer
    for address, write in SET_UP:
        transfer(address, write)
    seen = array("q")

    def read(now_ns: int) -> None:
        seen.append(now_ns)
        seen.append(time.monotonic_ns())
        transfer(IMU, IMU_SAMPLE, IMU_NBYTES)

    scheduler = Scheduler(hal.clock, lambda group, late_ns: None)
    group = scheduler.add_group(Spec(0, "paced", period_ns))
    group.tasks.append(read)
    with suppress(Shutdown):
        scheduler.run()
    return array("q", (group.overruns, group.skipped)) + seen


def main(argv: list[str]) -> int:
    """Connect, fly, write what was seen."""
    with connect(argv[0], "paced") as hal:
        seen = fly(hal, int(argv[1]))
    if sys.byteorder == "big":
        seen.byteswap()
    sys.stdout.buffer.write(seen.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
