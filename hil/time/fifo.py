"""A thread that runs before others: SCHED_FIFO, and memory that stays in memory.

A run in pace ``real`` sleeps most of the time and must wake on the instant. Under SCHED_FIFO the
kernel gives it a processor as soon as its sleep is over, before every ordinary program; with its
memory locked it never waits for a page to come back. Neither makes a kernel without PREEMPT_RT a
real-time system: lateness is measured and told all the same (:mod:`hil.time.pacing`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from hil.errors import HostError, UsageError

#: what `--fifo` alone means: above ordinary programs, below what a kernel keeps for itself
DEFAULT_PRIORITY = 10
LEAST, MOST = 1, 99
#: `mlockall(2)`: what is mapped now, what will be, and of both only what has been touched
_CURRENT, _FUTURE, _ONFAULT = 1, 2, 4
_LIMITS = "/etc/security/limits.d/flatsat.conf"
#: what a user lacks who may not, as a command
REMEDY = (
    r"printf '@%s - rtprio 99\n@%s - memlock unlimited\n' $(id -gn) $(id -gn) "
    f"| sudo tee {_LIMITS}, then log in again"
)

CONTAINER = "start the container with --cap-add SYS_NICE and a real-time budget, or run outside it"


def checked(priority: int) -> int:
    """Return a priority; raises ``UsageError`` for one that SCHED_FIFO does not have."""
    if not LEAST <= priority <= MOST:
        raise UsageError(f"--fifo {priority}: a priority of SCHED_FIFO is {LEAST} to {MOST}")
    return priority


def lacking(priority: int) -> tuple[str, str] | None:
    """Return what keeps this process from running under SCHED_FIFO and what mends it, or None.

    The scheduling of the thread is taken for a moment and given back.
    """
    if not may_schedule(priority):
        most = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return f"SCHED_FIFO {priority} is not allowed (ulimit -r is {most})", REMEDY
    if not may_lock():
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        # Under a limit, memory that is asked for later would be refused, in the middle of a run.
        return f"memory cannot be locked (ulimit -l is {limit >> 10} KiB, not unlimited)", REMEDY
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        os.sched_setscheduler(0, *before)
    except OSError as error:
        return f"the kernel refuses SCHED_FIFO ({error.strerror}) to this control group", CONTAINER
    return None


@contextlib.contextmanager
def realtime(priority: int) -> Iterator[None]:
    """Run this thread, and programs and threads that it starts meanwhile, under SCHED_FIFO.

    Memory of this process is locked as it is touched. Raises :class:`~hil.errors.HostError` where
    the host does not allow one of the two.
    """
    if missing := lacking(checked(priority)):
        raise HostError(f"--fifo: {missing[0]}; mend it, or leave --fifo away: {missing[1]}")
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_CURRENT | _FUTURE | _ONFAULT) != 0:
        raise HostError(f"--fifo: mlockall failed ({os.strerror(ctypes.get_errno())}): {REMEDY}")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        yield
    finally:
        os.sched_setscheduler(0, *before)
        libc.munlockall()


def _capable(bit: int) -> bool:
    """Tell whether this process has a capability, by its number in ``linux/capability.h``."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> bit & 1)


def may_schedule(priority: int = DEFAULT_PRIORITY) -> bool:
    """Tell whether limits or capabilities (CAP_SYS_NICE) allow SCHED_FIFO of this priority."""
    most = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return _capable(23) or most == resource.RLIM_INFINITY or most >= priority


def may_lock() -> bool:
    """Tell whether all memory may be locked (CAP_IPC_LOCK or no limit)."""
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    return _capable(14) or unlimited
