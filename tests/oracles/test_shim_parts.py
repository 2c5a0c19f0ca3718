"""Drivers that open bus 1 themselves, unmodified, on a board with a switch: `hil run -- python`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

BOARD = """
[board]
name = "weather"
title = "Sensors behind a switch"
adapter = "bcm2835"
[bus.i2c-1]
kind = "i2c"
bitrate = "400 kHz"
[part.switch]
type = "tca9548a"
bus = "i2c-1"
address = 0x70
[part.inside]
type = "bme280"
bus = "i2c-1"
address = 0x76
mux = "switch"
channel = 2
[part.outside]
type = "bme280"
bus = "i2c-1"
address = 0x76
mux = "switch"
channel = 5
[part.adc]
type = "ads1115"
bus = "i2c-1"
address = 0x48
[part.clock]
type = "ds3231"
bus = "i2c-1"
address = 0x68
time = "2026-02-28T23:59:58"
"""

PROGRAM = """
import time, warnings
warnings.simplefilter("ignore")
import smbus2, bme280
from tca9548a import TCA9548A
from ADS1115 import ADS1115
mux = TCA9548A(0x70)
print(mux.begin(), [hex(address) for address in mux[2].scan()])
bus = smbus2.SMBus(1)
trims = []
for channel in (2, 5):
    mux.select_channel(channel)
    trim = bme280.load_calibration_params(bus, 0x76)
    sample = bme280.sample(bus, 0x76, trim)
    print(round(sample.temperature, 1), round(sample.pressure, 1), round(sample.humidity, 1))
    trims.append(trim)
print(trims[0] != trims[1])
mux.deselect_all()
try:
    bus.read_byte_data(0x76, 0xD0)
except OSError as error:
    print(error.errno)
print(ADS1115(0x48).readADCSingleEnded(0, 4096, 860))
time.sleep(2)
print(bus.read_i2c_block_data(0x68, 4, 3))
"""


def test_drivers_on_a_board_with_a_switch(tmp_path: Path) -> None:
    """Two sensors of one address, a converter and a clock, each by a driver that knows no bench."""
    for module in ("smbus2", "bme280", "tca9548a", "ADS1115"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    (tmp_path / "weather.toml").write_text(BOARD)
    words = [sys.executable, "-m", "hil", "run", "--board", "weather.toml", "--out", "run", "-q"]
    done = subprocess.run(
        [*words, "--pace", "real", "--", sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "True ['0x48', '0x68', '0x70', '0x76']",
        *["25.0 1013.2 50.0"] * 2,
        "True",
        "121",
        "0.0",
        "[1, 3, 38]",
    ]
