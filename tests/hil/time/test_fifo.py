"""SCHED_FIFO for a run: taken and given back where allowed, refused in one line where not."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hil.cli import doctor
from hil.errors import HostError, UsageError
from hil.options import Options, checked
from hil.time.fifo import may_lock, may_schedule, realtime

ASK = "import json, os; print(json.dumps([os.sched_getscheduler(0), os.sched_getparam(0)[0]]))"
#: of ``linux/capability.h``
SYS_NICE = 23
STATUS = Path("/proc/self/status")


def locked_kb() -> int:
    """Return how much memory of this process is locked."""
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith("VmLck:"))
    return int(line.split()[1])


def test_it_is_taken_and_given_back() -> None:
    """Inside, this thread and what it starts are SCHED_FIFO with memory locked; after it not."""
    if not (may_schedule() and may_lock()):
        pytest.skip("this user may not have SCHED_FIFO: `hil doctor` says what it takes")
    before = os.sched_getscheduler(0)
    with realtime(7):
        assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (1, 7)
        assert locked_kb() > 0
        child = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True)
        assert json.loads(child.stdout) == [os.SCHED_FIFO, 7]
    assert os.sched_getscheduler(0) == before
    assert locked_kb() == 0


def keep_capabilities(*bits: int) -> None:
    """Give up every capability of this process but these (``capset(2)``, version 3)."""
    header = struct.pack("<Ii", 0x20080522, 0)
    kept = sum(1 << bit for bit in bits)
    data = struct.pack("<6I", kept, kept, 0, 0, 0, 0)
    assert ctypes.CDLL(None, use_errno=True).capset(header, data) == 0


def with_capabilities(*bits: int) -> list[str]:
    """Return what ``realtime`` says to a process of these capabilities, and what the doctor says.

    It may lock 8 MiB and has no priority of its own.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 << 20, 8 << 20))
        keep_capabilities(*bits)
        said = "allowed"
        try:
            with realtime(10):
                pass
        except HostError as error:
            said = str(error)
        finding = doctor.real_time()
        os.write(write, f"{said}\n{finding.state} {finding.detail}: {finding.fix}".encode())
        os._exit(0)
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with os.fdopen(read) as pipe:
        return pipe.read().split("\n")


@pytest.mark.parametrize(
    ("kept", "named"),
    [
        ((), "SCHED_FIFO 10 is not allowed (ulimit -r is 0)"),
        ((SYS_NICE,), "memory cannot be locked (ulimit -l is 8192 KiB"),
    ],
    ids=["neither", "no memory"],
)
def test_who_may_not_is_told_what_it_takes(kept: tuple[int, ...], named: str) -> None:
    """Who lacks a limit gets one line with the reason and the command that mends it."""
    if os.getuid() != 0:
        pytest.skip("only root has capabilities to give up")
    refused, found = with_capabilities(*kept)
    assert found.startswith("warn ")
    for line in (refused, found):
        assert named in line
        assert "sudo tee /etc/security/limits.d/flatsat.conf" in line


@pytest.mark.parametrize("priority", [-1, 100])
def test_a_priority_that_is_none(priority: int) -> None:
    """A priority that SCHED_FIFO does not have is a mistake of the command line."""
    with pytest.raises(UsageError, match="1 to 99"):
        checked(Options(fifo=priority))


def test_nothing_is_late_at_pace_max() -> None:
    """Telling a lateness that does not exist is refused before anything is built."""
    with pytest.raises(UsageError, match="in virtual time nothing is late"):
        checked(Options(tell_lateness=True))


def test_the_command_says_both() -> None:
    """The command that flies again has the priority and the lateness that is told."""
    words = Options(pace="real", fifo=33, tell_lateness=True).command().split()
    assert words[words.index("--fifo") + 1] == "33"
    assert "--tell-lateness" in words
