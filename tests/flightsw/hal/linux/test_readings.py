"""The same drivers on the same parts, over the kernel's interfaces and over a bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from readings import readings
from shimmed import LIMIT_S, ROOT, board_with, words

from flightsw.hal.bench import DirectHal
from hil.board import load_board
from hil.devicetable import as_text, device_table
from hil.missions import load as load_mission
from hil.rig import Rig
from hil.time.transports.direct import DirectPort


def test_drivers_read_the_same_over_the_kernel_and_over_a_bench(tmp_path: Path) -> None:
    """Every driver of the default board, on I2C, SPI, two serial lines, CAN and GPIO, reads the
    same of the same parts: rails, temperatures, rates, flash, fix, battery, carrier, an errno."""
    path = board_with(tmp_path, thermal__board_c="41.5 degC", thermal__chip_c="72.25 degC")
    board, mission = load_board(path), load_mission("tiansuan_bupt1")
    table = tmp_path / "devices.json"
    table.write_text(as_text(device_table(board, mission, "threshold")))
    command = [sys.executable, str(Path(__file__).with_name("readings.py")), str(table)]
    done = subprocess.run(
        words(tmp_path, *command, board=path),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rig = Rig(board, mission, seed=1, duration_s=100.0, inference="threshold", flight=False)
    hal = DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
    expected = readings(hal)
    assert expected["gnss"][0] == 3, "the receiver has a fix"
    assert expected["temp_board"] == [41.5 * 128]
    assert expected["absent"] == 121
    assert json.loads(done.stdout) == expected
