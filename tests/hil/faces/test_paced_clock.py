"""Programs at another pace: their own clocks run at it, and so do their waits."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hil.faces.pace_page import PacedPresent
from hil.hosting import SHIM
from hil.time.kernel import Kernel

ROOT = Path(__file__).resolve().parents[3]
PACE = 100
#: What a wait of 10 s took: a clock at the pace and a wait at the wall's would make it 1000 s. How
#: late a busy machine wakes is seen N times as long.
LEAST_S, MOST_S = 10.0, 500.0

shimmed = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


def run(folder: Path, *command: str, pace: str = f"x{PACE}") -> tuple[str, dict[str, Any]]:
    """Run a program at a pace; return what it printed, and its run.json."""
    words = [sys.executable, "-m", "hil", "run", "--pace", pace, "--out", "run", "-q", "--"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*words, *command], capture_output=True, text=True, env=env, cwd=folder, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, json.loads((folder / "run" / "run.json").read_text())


@shimmed
def test_every_wait_of_a_program_in_c_lasts_what_it_asks_for(tmp_path: Path) -> None:
    """10 s are 10 s of the program's own clocks, whatever waits, and what is left adds up."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source, program = Path(__file__).with_name("paced_clock.c"), tmp_path / "paced_clock"
    words = ["cc", "-Wall", "-Wextra", "-pthread", "-o", str(program), str(source)]
    subprocess.run(words, check=True)
    out, about = run(tmp_path, str(program))
    took = {name: float(text) for name, text in map(str.split, out.splitlines())}
    assert 0 <= took.pop("past") < MOST_S
    for name in ("left", "left_select", "left_timerfd", "left_alarm"):
        # Microseconds of the wall are as coarse as they are many of the program.
        assert -2e-6 * PACE <= took.pop(name) < MOST_S
    assert len(took) == 25
    assert {name: s for name, s in took.items() if not LEAST_S <= s < MOST_S} == {}
    assert about["clock"] == "paced"
    assert about["virtual_s"] >= 22 * LEAST_S


@shimmed
def test_programs_of_one_run_agree_on_the_clock(tmp_path: Path) -> None:
    """What a child reads lies between what its parent read before and after, on each clock."""
    program = """
import subprocess, sys, time
def read(): return [time.monotonic_ns(), time.time_ns(), time.clock_gettime_ns(time.CLOCK_TAI)]
if len(sys.argv) > 1:
    print(*read())
else:
    before = read()
    time.sleep(1)
    child = subprocess.run([sys.executable, __file__, "child"], capture_output=True).stdout
    for lower, own, upper in zip(before, map(int, child.split()), read()):
        print(lower + 10**9 <= own <= upper)
"""
    (tmp_path / "clocks.py").write_text(program)
    out, _ = run(tmp_path, sys.executable, "clocks.py")
    assert out.split() == ["True"] * 3


@shimmed
def test_waits_of_python_follow_the_pace(tmp_path: Path) -> None:
    """Sleeps, events, queues, selectors and children: a limit of 10 s is one of its clock."""
    program = """
import asyncio, queue, selectors, subprocess, threading, time
def took(act, *rest):
    begin = time.monotonic()
    try:
        act(*rest)
    except queue.Empty:
        pass
    print(time.monotonic() - begin)
lock = threading.Lock()
lock.acquire()
took(time.sleep, 10)
took(threading.Event().wait, 10)
took(queue.Queue().get, True, 10)
took(selectors.DefaultSelector().select, 10)
took(lock.acquire, True, 10)
took(lambda: asyncio.run(asyncio.sleep(10)))
"""
    out, _ = run(tmp_path, sys.executable, "-c", program)
    took = [float(line) for line in out.split()]
    assert len(took) == 6
    # asyncio takes what is due within the resolution of the clock for due.
    assert [s for s in took if not LEAST_S - 1e-6 <= s < MOST_S] == []


@pytest.mark.parametrize("pace", ["real", "max"])
@shimmed
def test_other_paces_leave_the_clock_alone(tmp_path: Path, pace: str) -> None:
    """At `real` and `max` a program reads the clock of the wall."""
    before_ns = time.monotonic_ns()
    out, about = run(
        tmp_path, sys.executable, "-c", "import time; print(time.monotonic_ns())", pace=pace
    )
    assert before_ns <= int(out) <= time.monotonic_ns()
    assert about["clock"] == "wall"


@pytest.mark.parametrize("pace", ["x0.5", "x1000"])
def test_the_bench_tells_times_on_the_clock_of_the_program(tmp_path: Path, pace: str) -> None:
    """An instant of virtual time is when a program reads it by the page, after a jump too."""
    present = PacedPresent(Kernel(), pace, tmp_path / "pace")
    factor, base_ns, realtime_ns, *others = struct.unpack("=d5Q", (tmp_path / "pace").read_bytes())

    def shown_ns() -> int:
        return int(base_ns + int((time.monotonic_ns() - base_ns) * factor))

    assert factor == float(pace[1:])
    assert len(others) == 3
    for t_ns in (present.now_ns(), 10**12):
        present.jump(t_ns)
        before_ns = shown_ns()
        told_ns = present.wall_ns(present.now_ns())
        assert before_ns - 2 <= told_ns <= shown_ns() + 2
        at_ns = present.wall_ns(t_ns)
        assert present.wall_ns(t_ns, realtime=True) - at_ns == realtime_ns - base_ns
        assert present.wall_ns(t_ns + 5) - at_ns == 5
