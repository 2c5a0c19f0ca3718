"""Programs that sleep, poll and run side by side, unmodified, on virtual time.

`hil run --virtual-time -- CMD`: how long they take on their own clock, in what order they use the
bus, and that two runs are the same, octet for octet.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.bus_payload import unpack_i2c
from hil.capture.reader import Capture
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

BOARD = """
[board]
name = "sensors"
title = "Sensors whose drivers sleep and poll"
adapter = "bcm2835"
[bus.i2c-1]
kind = "i2c"
bitrate = "400 kHz"
[part.adc]
type = "ads1115"
bus = "i2c-1"
address = 0x48
[part.thermometer]
type = "tmp117"
bus = "i2c-1"
address = 0x49
[part.imu]
type = "icm20948"
bus = "i2c-1"
address = 0x69
"""

#: Blinka's bus of a Linux computer that it does not know.
BLINKA = """
import time, warnings
warnings.simplefilter("ignore")
from adafruit_blinka import Lockable
from adafruit_blinka.microcontroller.generic_linux.i2c import I2C as Linux
class I2C(Lockable, Linux):
    pass
i2c, begin = I2C(1), time.monotonic()
"""


class Run:
    """What is left of one run."""

    def __init__(self, folder: Path, out: str) -> None:
        self.out = out
        self.about: dict[str, Any] = json.loads((folder / "run.json").read_text())
        self.digest: str = self.about["digest"]
        self.clock: dict[str, int] = self.about["counters"].get("host.clock", {})
        with Capture(folder / "capture.mcap") as capture:
            self.i2c = [
                (record.t_ns, record.address, record.status, record.payload)
                for record in capture.records()
                if record.kind == 0x10
            ]

    @property
    def registers(self) -> list[tuple[int, int]]:
        """Address and register of each transaction that begins with a write."""
        heads = [(address, unpack_i2c(p, reply=True)[0][2]) for _, address, _, p in self.i2c]
        return [(address, w[0]) for address, w in heads if isinstance(w, bytes) and w]


def run(folder: Path, *command: str, options: tuple[str, ...] = (), board: str = "") -> Run:
    """Run a program on virtual time; skips where it is not installed."""
    if not shutil.which(command[0], path=PATH):
        pytest.skip(f"{command[0]} is not installed")
    folder.mkdir(exist_ok=True)
    if board:
        (folder / "board.toml").write_text(board)
        options = (*options, "--board", str(folder / "board.toml"))
    shutil.rmtree(folder / "run", ignore_errors=True)
    words = [sys.executable, "-m", "hil", "run", "--virtual-time", "-q", "--out", "run", *options]
    env = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*words, "--", *command], capture_output=True, text=True, env=env, cwd=folder, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return Run(folder / "run", done.stdout)


def python(folder: Path, program: str, *needs: str, **more: Any) -> Run:
    """Run a Python program on virtual time."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return run(folder, sys.executable, "-c", program, **more)


# --- time by itself ------------------------------------------------------------------------------


def test_sleep_takes_its_time_on_the_bench_alone(tmp_path: Path) -> None:
    """coreutils' sleep for an hour is an hour of virtual time and one sleep."""
    done = run(tmp_path, "sleep", "3600")
    assert done.about["virtual_s"] == 3600.0
    assert (done.about["clock"], done.clock) == ("virtual", {"threads": 1, "sleeps": 1})


def test_date_shows_the_time_of_the_mission(tmp_path: Path) -> None:
    """date begins at the epoch of the mission profile and goes on with what was slept."""
    script = "date -u +%FT%T.%N; sleep 90; date -u +%FT%T.%N"
    lines = run(tmp_path, "sh", "-c", script).out.split()
    assert lines == ["2023-04-04T02:38:00.000000000", "2023-04-04T02:39:30.000000000"]


def test_a_program_in_c_sees_one_clock(tmp_path: Path) -> None:
    """Every call of libc about time agrees with the others, and a loop on the clock ends."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (tmp_path / "clock.c").write_text(
        r"""
        #include <poll.h>
        #include <stdio.h>
        #include <sys/select.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>
        static double now(clockid_t clock)
        {
            struct timespec t;
            clock_gettime(clock, &t);
            return t.tv_sec + t.tv_nsec / 1e9;
        }
        int main(void)
        {
            double begin = now(CLOCK_MONOTONIC), epoch = now(CLOCK_REALTIME);
            struct timespec until = {(time_t)begin + 50, 0}, span = {0, 250000000};
            struct timeval limit = {1, 500000}, day;
            sleep(10);
            usleep(500000);
            nanosleep(&span, NULL);
            poll(NULL, 0, 4250);
            select(0, NULL, NULL, NULL, &limit);
            printf("%.3f\n", now(CLOCK_MONOTONIC) - begin);
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            gettimeofday(&day, NULL);
            printf("%.3f %.3f %d\n", now(CLOCK_BOOTTIME) - begin, day.tv_sec - epoch,
                   time(NULL) == day.tv_sec);
            while (now(CLOCK_MONOTONIC) < begin + 60) {
            }
            printf("%.1f %d\n", now(CLOCK_REALTIME) - epoch, now(CLOCK_PROCESS_CPUTIME_ID) < 10);
            return 0;
        }
        """
    )
    subprocess.run(["cc", "-o", "clock", "clock.c"], cwd=tmp_path, check=True)
    done = run(tmp_path, str(tmp_path / "clock"))
    assert done.out.splitlines() == ["16.500", "50.000 50.000 1", "60.0 1"]
    assert done.clock["sleeps"] == 4
    assert done.clock["waits"] == 2


def test_waits_of_python_end_on_time(tmp_path: Path) -> None:
    """Events, queues, timers, children, pipes and asyncio: each limit is one of virtual time."""
    program = """
import asyncio, os, queue, select, subprocess, threading, time
begin, event = time.monotonic(), threading.Event()
def at(what): print(what, round(time.monotonic() - begin, 3))
at(event.wait(1.5))
try:
    queue.Queue().get(timeout=30)
except queue.Empty:
    at("empty")
threading.Timer(5, event.set).start()
at(event.wait(3600))
at(subprocess.run(["sleep", "2"]).returncode)
child = subprocess.Popen(["sleep", "50"])
try:
    child.wait(timeout=3)
except subprocess.TimeoutExpired:
    at("expired")
child.kill(), child.wait()
near, far = os.pipe()
threading.Thread(target=lambda: (time.sleep(1), os.write(far, b"x"))).start()
at(select.select([near], [], [], 100)[0] == [near])
async def main():
    naps = [asyncio.sleep(n, n) for n in (1, 2, 0.5)]
    at(await asyncio.gather(*naps))
    try:
        await asyncio.wait_for(asyncio.sleep(100), 10)
    except asyncio.TimeoutError:
        at("too long")
asyncio.run(main())
"""
    lines = python(tmp_path, program).out.splitlines()
    want = ["False 1.5", "empty 31.5", "True 36.5", "0 38.5", "expired 41.5", "True 42.5"]
    assert lines == [*want, "[1, 2, 0.5] 44.5", "too long 54.5"]


# --- drivers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8, 128, 860])
def test_polling_makes_the_transfers_of_a_400_khz_bus(tmp_path: Path, rate: int) -> None:
    """Polling an ADS1115 for the end of a conversion makes as many transfers as fit in."""
    program = f"""{BLINKA}
from adafruit_ads1x15.ads1115 import ADS1115
from adafruit_ads1x15.analog_in import AnalogIn
driver = ADS1115(i2c, data_rate={rate})
print([AnalogIn(driver, n).voltage for n in range(4)])
"""
    needs = ("adafruit_blinka", "adafruit_ads1x15")
    done = python(tmp_path, program, *needs, board=BOARD)
    assert done.out == "[0.0, 0.0, 0.0, 0.0]\n"
    # As with the driver in the process of the bench: a write of the settings, polls of 48 bits of
    # 2.5 us until one begins after 25 us and a data period, one read of the result. The driver
    # begins with five transactions of its own.
    polls = 1 + math.ceil((25e-6 + 1 / rate - 38 * 2.5e-6) / (48 * 2.5e-6))
    assert len(done.i2c) - 5 == pytest.approx(4 * (1 + polls + 1), rel=0.05)


def test_drivers_sleep_in_virtual_time_and_every_run_is_the_same(tmp_path: Path) -> None:
    """Adafruit's TMP117 and ICM-20948 sleep more than 1.5 s; two runs agree in every octet."""
    program = f"""{BLINKA}
import adafruit_icm20x, adafruit_tmp117
print(adafruit_tmp117.TMP117(i2c, 0x49).temperature, time.monotonic() - begin)
print(adafruit_icm20x.ICM20948(i2c).acceleration, time.monotonic() - begin)
"""
    needs = ("adafruit_blinka", "adafruit_tmp117", "adafruit_icm20x")
    runs = [python(tmp_path / str(n), program, *needs, board=BOARD) for n in range(2)]
    assert runs[0].out.split()[0] == "25.0"
    assert runs[0].about["virtual_s"] > 1.5
    assert runs[0].out == runs[1].out
    assert runs[0].i2c == runs[1].i2c
    assert runs[0].digest == runs[1].digest


def test_faults_are_the_same_in_every_run(tmp_path: Path) -> None:
    """Faults that hold for a time hit the same requests of a program that sleeps and retries."""
    program = """
import time
from smbus2 import SMBus
bus, seen = SMBus(1), []
for n in range(40):
    time.sleep(0.003)
    try:
        seen.append(bus.read_word_data(0x48, 0x0F))
    except OSError as error:
        seen.append(-error.errno)
print(*seen)
"""
    faults = ("i2c-1:nak_address,from=0.02 s,until=0.04 s", "i2c-1:bit_flip,first=2,last=3")
    faults += ("i2c-1:stuck_sda,from=0.06 s,until=0.09 s",)
    options = tuple(word for row in faults for word in ("--fault", row))
    runs = [python(tmp_path / str(n), program, "smbus2", options=options) for n in range(2)]
    seen = list(map(int, runs[0].out.split()))
    assert {-121, -110, 0x1701} < set(seen)
    assert seen[0] == seen[-1] == 0x1701 != seen[2]
    assert (runs[0].out, runs[0].i2c) == (runs[1].out, runs[1].i2c)
    assert runs[0].digest == runs[1].digest


# --- side by side --------------------------------------------------------------------------------


def test_i2c_tools_in_loops_side_by_side(tmp_path: Path) -> None:
    """Two loops of i2cget and one of i2ctransfer, as children of a shell: one order, always."""
    script = """
    (for n in 1 2 3 4 5 6; do i2cget -y 1 0x48 0x00 w; sleep 0.01; done) &
    (for n in 1 2 3 4 5; do i2cget -y 1 0x40 0x02 w; sleep 0.013; done) &
    for n in 1 2 3; do i2ctransfer -y 1 w1@0x49 15 r2; sleep 0.025; done
    wait"""
    if shutil.which("i2cget", path=PATH) is None:
        pytest.skip("i2cget is not installed")
    runs = [run(tmp_path / str(n), "sh", "-c", script) for n in range(3)]
    assert [times for times, *_ in runs[0].i2c] == sorted(times for times, *_ in runs[0].i2c)
    assert len(runs[0].i2c) == 6 + 5 + 3
    assert [a for _, a, *_ in runs[0].i2c[:3]] == [0x48, 0x40, 0x49]  # as the shell began them
    assert runs[0].i2c == runs[1].i2c == runs[2].i2c
    assert len({each.digest for each in runs}) == 1
    assert runs[0].clock.get("stalls", 0) == 0


def test_threads_go_on_by_the_time_that_they_wake(tmp_path: Path) -> None:
    """Threads with sleeps of their own use the bus in order of their times, in every run."""
    program = """
import threading, time
from smbus2 import SMBus
def worker(register, period):
    bus = SMBus(1)
    for _ in range(8):
        time.sleep(period)
        bus.read_word_data(0x48, register)
plans = ((0, 0.011), (1, 0.007), (2, 0.0045), (3, 0.013))
threads = [threading.Thread(target=worker, args=plan) for plan in plans]
[t.start() for t in threads], [t.join() for t in threads]
"""
    runs = [python(tmp_path / str(n), program, "smbus2") for n in range(3)]
    plans = ((0, 0.011), (1, 0.007), (2, 0.0045), (3, 0.013))
    # A word takes its 47 bits and the time between two transactions, then the next sleep begins.
    due = sorted((period * n, register) for register, period in plans for n in range(1, 9))
    assert [register for _, register in runs[0].registers][:8] == [r for _, r in due][:8]
    assert runs[0].registers == runs[1].registers == runs[2].registers
    assert len({each.digest for each in runs}) == 1


def test_edges_carry_the_virtual_time(tmp_path: Path) -> None:
    """gpiomon hears the pulse per second once a second, and its stamps are on the clock."""
    script = "gpiomon -n 5 -F '%e %s.%n' gpiochip0 18; date -u +%T"
    runs = [run(tmp_path / str(n), "sh", "-c", script) for n in range(2)]
    *edges, shown = runs[0].out.splitlines()
    assert [line.split()[0] for line in edges] == ["1", "0", "1", "0", "1"]
    stamps = [float(line.split()[1]) for line in edges]
    assert [round(b - a, 6) for a, b in pairwise(stamps)] == [0.1, 0.9] * 2
    assert shown == f"02:38:{int(stamps[-1]) - 1000:02d}"
    assert runs[0].out == runs[1].out


def test_pyserial_reads_the_receiver_with_time_limits(tmp_path: Path) -> None:
    """pyserial gets a sentence a second for a minute, and its limit ends a read from silence."""
    program = """
import serial, time
begin, lines = time.monotonic(), []
with serial.Serial("/dev/ttyAMA1", 115200, timeout=5) as port:
    while time.monotonic() < begin + 60:
        line = port.readline()
        if b"$GNRMC" in line:
            lines.append(line)
print(len(lines))
with serial.Serial("/dev/ttyAMA2", 115200, timeout=7.5) as port:
    begin = time.monotonic()
    print(port.read(1), round(time.monotonic() - begin, 3))
"""
    lines = python(tmp_path, program, "serial").out.splitlines()
    assert 60 <= int(lines[0]) <= 61
    assert lines[1] == "b'' 7.5"


def test_what_the_program_has_started_ends_with_it(tmp_path: Path) -> None:
    """A child that is left behind is ended with its parent."""
    run(tmp_path, "sh", "-c", "(sleep 5000; echo late > left) & echo $! > pid; sleep 1")
    number = (tmp_path / "pid").read_text().strip()
    assert not (tmp_path / "left").exists()
    assert not Path(f"/proc/{number}").exists()
