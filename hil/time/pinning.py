"""Keeping the processes of one lock-step run on one core.

In lock-step exactly one of them runs at a time, and waking a sleeping core costs more than what it
is woken for: runs that are not pinned are two to five times slower. Runs side by side take a core
each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def pin_to_one_core(cpu: int | None = None, pids: Iterable[int] = (0,)) -> int | None:
    """Pin every thread of ``pids`` (0: this process) to ``cpu``; return the one chosen.

    Without ``cpu`` it is the last core this process may use, since the first one of a machine
    serves most interrupts. None where the system does not allow it: a run is then slower and
    otherwise the same. Threads and children started later inherit the choice.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    chosen = max(allowed) if cpu is None else cpu
    try:
        for pid in pids:
            for thread in _threads(pid):
                # A thread that ended in between needs no core.
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread, {chosen})
    except OSError:
        return None
    return chosen


@contextmanager
def pinned(wanted: bool) -> Iterator[None]:
    """Keep this process, and those that it starts, on one core while inside."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if wanted:
        pin_to_one_core()
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)


def _threads(pid: int) -> list[int]:
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid or 'self'}/task").iterdir()]
    except FileNotFoundError:
        return [pid]
