"""Programs that we did not write, replayed with no parts: they say what they said.

`hil run -- CMD` is recorded, then `hil replay RUN --mode mock` runs the program of the capture on
buses that only know the record.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

#: Blinka's bus of a Linux computer that it does not know.
BLINKA = """
import time, warnings
warnings.simplefilter("ignore")
from adafruit_blinka import Lockable
from adafruit_blinka.microcontroller.generic_linux.i2c import I2C as Linux
class I2C(Lockable, Linux):
    pass
i2c = I2C(1)
"""
DRIVERS = f"""{BLINKA}
import adafruit_ina3221, adafruit_tmp117
from adafruit_lsm6ds.lsm6dsox import LSM6DSOX
print(adafruit_tmp117.TMP117(i2c, 0x48).temperature)
power, imu = adafruit_ina3221.INA3221(i2c, 0x40), LSM6DSOX(i2c)
for n in range(3):
    print(power[n].bus_voltage, power[n].shunt_voltage, imu.acceleration, imu.gyro)
    time.sleep(0.05)
"""
FLASH = """
import spidev
spi = spidev.SpiDev()
spi.open(0, 0)
print(spi.xfer2([0x9F, 0, 0, 0]), spi.xfer2([0x05, 0]))
"""
LINES = """
import can, serial, sys, time
out = serial.Serial("/dev/ttyAMA2", 115200, timeout=0.2)
with serial.Serial("/dev/ttyAMA1", 115200, timeout=3) as gnss:
    print(gnss.readline(), gnss.readline())
with can.Bus(interface="hil", channel="can0") as bus:
    for n in range(3):
        bus.send(can.Message(arbitration_id=0x300 + n, data=bytes([n] * 8), is_extended_id=False))
        out.write(b"telemetry %d" % n)
        heard = bus.recv(3.0)
        print(hex(heard.arbitration_id), heard.data.hex())
out.flush()
sys.exit(3)
"""


EDGES = ("gpiomon", "-n", "6", "gpiochip0", "18")


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    told: str


def hil(folder: Path, *words: str) -> Ran:
    """Run ``hil`` in a folder."""
    env = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hil", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=120)
    return Ran(done.returncode, done.stdout, done.stderr)


def recorded(folder: Path, *command: str, options: tuple[str, ...] = ()) -> Ran:
    """Record a program on the default board; skips where it is not installed."""
    if shutil.which(command[0], path=PATH) is None:
        pytest.skip(f"{command[0]} is not installed")
    ran = hil(folder, "run", "-q", "--out", "run", *options, "--", *command)
    assert ran.told == ""
    return ran


def mocked(folder: Path, *command: str) -> tuple[Ran, dict[str, Any]]:
    """Replay it; return what it left, its own output alone, and the verdict."""
    words = ("replay", "run", "--mode", "mock", "--json", "-q")
    ran = hil(folder, *words, *(("--", *command) if command else ()))
    out, _, verdict = ran.out.rstrip("\n").rpartition("\n")
    return ran._replace(out=out + "\n" if out else ""), json.loads(verdict)


def needs(*modules: str) -> None:
    """Skip where a module is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


PROGRAMS = [
    pytest.param(DRIVERS, ("adafruit_blinka", "adafruit_ina3221", "adafruit_lsm6ds"), id="i2c"),
    pytest.param(FLASH, ("spidev",), id="spi"),
    pytest.param(LINES, ("serial", "can"), id="lines"),
]


@pytest.mark.parametrize("clock", ["wall", "virtual"])
@pytest.mark.parametrize(("program", "modules"), PROGRAMS)
def test_a_program_says_what_it_said(
    tmp_path: Path, program: str, modules: tuple[str, ...], clock: str
) -> None:
    """Drivers of parts, serial lines and CAN read the record, on the wall's clock and virtually."""
    needs(*modules)
    options = ("--virtual-time",) if clock == "virtual" else ("--pace", "x2")
    before = recorded(tmp_path, sys.executable, "-c", program, options=options)
    again, verdict = mocked(tmp_path)
    assert before.out != ""
    assert again.out == before.out
    assert verdict["figures"]["exit_code"] == before.code
    assert verdict["identical"], again.told
    assert verdict["figures"]["answered"] > 0
    assert again.code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("i2ctransfer", "-y", "1", "w1@0x48", "0x0f", "r2"),
        ("i2cdetect", "-y", "1"),
        ("sh", "-c", "i2cget -y 1 0x33 0 2>&1"),
    ],
    ids=["i2ctransfer", "i2cdetect", "nobody"],
)
def test_a_tool_says_what_it_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    """i2c-tools get their recorded answers in real time, also that nobody is there."""
    if shutil.which("i2cget", path=PATH) is None:
        pytest.skip("i2c-tools are not installed")
    before = recorded(tmp_path, *command)
    again, verdict = mocked(tmp_path)
    assert before.out != ""
    assert again.out == before.out
    assert verdict["figures"]["exit_code"] == before.code
    assert verdict["identical"], again.told
    assert verdict["figures"]["answered"] > 0


def test_edges_come_again_with_their_times(tmp_path: Path) -> None:
    """gpiomon on virtual time prints the edges of the time pulse with the same stamps."""
    before = recorded(
        tmp_path, "gpiomon", "-n", "6", "gpiochip0", "18", options=("--virtual-time",)
    )
    again, verdict = mocked(tmp_path)
    assert before.out.count("EDGE") == 6
    assert again.out == before.out
    assert verdict["identical"], again.told


def test_another_program_is_answered_as_far_as_the_record_goes(tmp_path: Path) -> None:
    """A request that was never recorded meets nobody, and is named with what was asked."""
    words = ("i2ctransfer", "-y", "1", "w1@0x48", "0x0f", "r2")
    recorded(tmp_path, *words)
    other, verdict = mocked(tmp_path, *words[:4], "0x07", "r2")
    assert other.code == 1
    assert not verdict["identical"]
    assert verdict["figures"]["absent"] == 1
    first = verdict["verdict"]["first"]
    assert first["topic"] == "/bus/i2c-1"
    assert first["kind"] in ("changed", "missing", "extra")
    assert verdict["figures"]["exit_code"] != 0
    assert any("when it was recorded, with 0" in note for note in verdict["notes"])
