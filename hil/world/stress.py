"""Replays the four stress runs of BUPT-1 in the thermal model: ``python -m hil.world.stress``.

Each run in orbit kept 1 to 4 cores of the Raspberry Pi 4B busy for 180 minutes from a chip at
19.4 degC. All four use the one parameter set of the mission profile; nothing is set per run but the
number of cores. Published maxima: paper (arXiv 2401.03435) and its artifact.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from hil.missions import Mission, load
from hil.world.world import World

RUN_S = 180 * 60
START_CHIP_C = 19.4
PUBLISHED_MAX_C = (59.4, 75.0, 84.7, 85.7)
PUBLISHED_MEAN_W = (3.16, 3.99, 4.66, 4.82)


class StressRun(NamedTuple):
    """What one run came to; ``onset`` is where the clock first left its full rate."""

    cores: int
    max_chip_c: float
    mean_power_w: float
    onset_c: float | None
    onset_s: int | None
    lowest_clock_hz: float


def run(mission: Mission, cores: int) -> StressRun:
    """Run one stress test of :data:`RUN_S` seconds in a world that starts lit."""
    world = World(mission, duration_s=RUN_S)
    world.payload.boot_left_s = 0.0
    world.payload.set_active_cores(cores)
    world.thermal.preheat(START_CHIP_C)
    highest, energy_j, deepest = START_CHIP_C, 0.0, 0
    onset_c: float | None = None
    onset_s: int | None = None
    for second in range(1, RUN_S + 1):
        world.step(second * 1_000_000_000)
        chip_c = world.state["thermal.chip_c"]
        highest = max(highest, chip_c)
        energy_j += world.state["power.payload_w"]
        deepest = max(deepest, world.payload.clock_step)
        if world.payload.clock_step and onset_c is None:
            onset_c, onset_s = chip_c, second
    clock = world.payload.clock_hz[deepest]
    return StressRun(cores, highest, energy_j / RUN_S, onset_c, onset_s, clock)


def table(mission: Mission) -> str:
    """Return the four runs beside the published figures, as text."""
    lines = [
        f"{mission.title}, {RUN_S // 60} min a run, chip from {START_CHIP_C} degC",
        "cores  max degC  published  diff K   mean W  published  throttles at     lowest MHz",
    ]
    for cores in range(1, 5):
        result = run(mission, cores)
        published = PUBLISHED_MAX_C[cores - 1]
        onset = "never"
        if result.onset_c is not None and result.onset_s is not None:
            onset = f"{result.onset_c:.1f} degC, {result.onset_s} s"
        lines.append(
            f"{cores:5d}  {result.max_chip_c:8.1f}  {published:9.1f}  "
            f"{result.max_chip_c - published:+6.1f}  {result.mean_power_w:7.2f}  "
            f"{PUBLISHED_MEAN_W[cores - 1]:9.2f}  {onset:15s}  {result.lowest_clock_hz / 1e6:.0f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    sys.stdout.write(table(load("tiansuan_bupt1")) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
