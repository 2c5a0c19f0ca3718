"""The readers as they are, on every board that the bench emulates."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ROWS = {
    "raspberrypi4": ("pi", {"pi.throttled", "pi.under_voltage", "zone.cpu-thermal"}),
    "raspberrypi5": ("pi", {"pi.throttled", "pi.under_voltage", "zone.cpu-thermal"}),
    "jetson_orin_nano": ("jetson", {"rail.VDD_IN", "gpu.clock", "gpu.load", "zone.tj-thermal"}),
    "jetson_agx_orin": ("jetson", {"rail.VDD_CPU_CV", "gpu.clock", "gpu.load", "zone.tj-thermal"}),
}


@pytest.mark.parametrize("board", sorted(ROWS))
def test_each_board_is_read_as_it_is(board: str) -> None:
    """The kind is found by itself, every source of it gives a number, and nothing is absent.

    On a Jetson a line of its tegrastats says the same of memory, rails and zones.
    """
    kind, wanted = ROWS[board]
    program = [sys.executable, "-m", "flightsw.computer", "--json", "--tegrastats"]
    command = [sys.executable, "-m", "hil", "run", "--board", board, "--", *program]
    done = subprocess.run(command, capture_output=True, check=True)
    said = json.loads(done.stdout)
    assert said["computer"] == kind
    readings = said["readings"]
    assert wanted | {"clock.policy0", "host.load", "host.memory_total"} <= readings.keys()
    assert said["absent"].keys() == ({"tegrastats"} if kind == "pi" else set())
    if kind == "jetson":
        assert {"clock.cores", "zone.tj"} <= readings.keys()
        assert readings["zone.tj"] == readings["zone.tj-thermal"]
