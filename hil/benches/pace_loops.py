"""The loops of ``hil bench pace``, each a process: ``python -m hil.benches.pace_loops JSON``.

The one argument is a :class:`Loop` as a JSON object; what comes out is one JSON object of figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from hil.benches.time import build, ended
from hil.errors import HostError
from hil.time.coordinator import Coordinator
from hil.time.fifo import realtime
from hil.time.kernel import Kernel
from hil.time.pacing import Pacer, fine_sleep
from hil.time.phase import Phase
from hil.time.transports import listen

_PROGRAM = "flightsw.hal.paced"
_MONOTONIC, _ABSTIME = 1, 1
SECOND = 1_000_000_000


class Loop(NamedTuple):
    """One loop: its kind, how many rounds of which period, after which wait, at which priority."""

    kind: str
    period_ns: int
    rounds: int
    begin_ns: int
    priority: int


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


def floor(loop: Loop) -> dict[str, Any]:
    """Sleep with clock_nanosleep to absolute instants and do nothing: what the machine can."""
    sleep, late = ctypes.CDLL(None).clock_nanosleep, array("q")
    for n in range(1, loop.rounds + 1):
        target_ns = loop.begin_ns + n * loop.period_ns
        until = _Timespec(*divmod(target_ns, SECOND))
        sleep(_MONOTONIC, _ABSTIME, ctypes.byref(until), None)
        late.append(time.monotonic_ns() - target_ns)
    return figures(late, loop.period_ns)


def pacer(loop: Loop) -> dict[str, Any]:
    """Run one event a period at pace real: the pacer and nothing else."""
    kernel, late = Kernel(), array("q")
    paces = Pacer(kernel, "real")

    def tick(t_ns: int) -> None:
        late.append(time.monotonic_ns() - paces.due_ns(t_ns))
        if t_ns < loop.rounds * loop.period_ns:
            kernel.at(t_ns + loop.period_ns, Phase.BUS, 0, tick)

    kernel.at(loop.period_ns, Phase.BUS, 0, tick)
    _await(loop.begin_ns)
    kernel.run_until(loop.rounds * loop.period_ns)
    return figures(late, loop.period_ns)


def flight(loop: Loop) -> dict[str, Any]:
    """Have a rate group in a process of its own read an IMU, over the channel that a run has."""
    exchange, stream = build(loop.rounds * loop.period_ns / SECOND)
    paces = Pacer(exchange.kernel, "real")
    exchange.lateness = paces.lateness_now_ns
    with listen("ipc") as listener:
        command = [sys.executable, "-m", _PROGRAM, listener.endpoint, str(loop.period_ns)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        coordinator = Coordinator(exchange)
        coordinator.add(listener.channel(), "paced", died=partial(ended, process))
        exchange.kernel.at(0, Phase.PHYSICS, 0, lambda t_ns: _await(loop.begin_ns))
        coordinator.run()
        stream.flush()
        octets, _ = process.communicate(timeout=30)
    if process.returncode != 0:
        raise HostError(f"the paced program ended with code {process.returncode}")
    seen = array("q", octets)
    if sys.byteorder == "big":
        seen.byteswap()
    late = array("q")
    for t_ns, wall_ns in zip(seen[2::2], seen[3::2], strict=True):
        late.append(wall_ns - paces.due_ns(t_ns))
    return {**figures(late, loop.period_ns), "told": seen[0], "skipped": seen[1]}


def figures(late_ns: array[int], period_ns: int) -> dict[str, Any]:
    """Return percentiles in microseconds, and how many rounds were late by a period or more.

    A round that the pacer lets go a little early, within its slack, is not late.
    """
    ranked = sorted(max(0, ns) for ns in late_ns)
    if not ranked:
        raise HostError("no round was run: this machine did not get to it")
    count = len(ranked)
    return {
        "rounds": count,
        **{
            f"p{permille / 10:g}_us": ranked[-(-count * permille // 1000) - 1] / 1000
            for permille in (500, 990, 999)
        },
        "max_us": ranked[-1] / 1000,
        "overruns": sum(ns >= period_ns for ns in ranked),
    }


def _await(t_ns: int) -> None:
    time.sleep(max(0, t_ns - time.monotonic_ns()) / SECOND)


KINDS: Mapping[str, Callable[[Loop], dict[str, Any]]] = {
    "floor": floor,
    "pacer": pacer,
    "flight": flight,
}


def main(argv: list[str]) -> int:
    """Run one loop; print its figures."""
    loop = Loop(**json.loads(argv[0]))
    with contextlib.ExitStack() as stack:
        if loop.priority:
            stack.enter_context(realtime(loop.priority))
        stack.enter_context(fine_sleep())
        gc.collect()
        gc.freeze()
        found = KINDS[loop.kind](loop)
    print(json.dumps({**found, "cpu_s": sum(os.times()[:4])}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
