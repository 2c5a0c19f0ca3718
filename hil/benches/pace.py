"""How late a loop is against the wall clock: percentiles over minutes, with and without SCHED_FIFO.

Three loops of one rate run side by side, each in processes of its own and each at its own place in
the period, so that none waits for another and all meet the same load. *floor* sleeps with
clock_nanosleep to absolute instants and does nothing else: what the machine itself can. *pacer* is
the clock of the bench at pace real with one event a period. *flight* is a rate group of the flight
software in a process of its own, which reads an IMU over the channel that a run has (ipc); its
lateness is taken in the group, by the clock of its own process. With ``fifo`` each of the three
runs once more under SCHED_FIFO with its memory locked.

The ratios are those of the same percentile of the floor with the same scheduling in the same run.
``overruns`` are rounds that were late by a period or more. ``told`` is how many overruns the rate
group of the flight software counted itself, from the lateness that the bench told it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from hil.benches.pace_loops import SECOND, Loop
from hil.errors import HostError, UsageError
from hil.time.fifo import DEFAULT_PRIORITY, realtime

#: the loops in the order in which they are shown
_KINDS = {
    "floor": "clock_nanosleep",
    "pacer": "the bench's pacer",
    "flight": "flight software, 1 group",
}
_COLUMNS = ("p50_us", "p99_us", "p99.9_us", "max_us")
#: what starting eight interpreters may take
_START_NS = 5 * SECOND
_QUICK_MINUTES = 0.05
RATE_LEAST, RATE_MOST, MINUTES_MOST = 1.0, 1000.0, 24 * 60.0


def run(
    quick: bool = False, minutes: float = 1.0, rate: float = 100.0, fifo: bool = False
) -> list[dict[str, Any]]:
    """Return one row a loop and scheduling; all loops run at the same time.

    Raises ``UsageError`` for minutes and rates that are none, ``HostError`` where SCHED_FIFO is
    asked for and not allowed.
    """
    minutes = _QUICK_MINUTES if quick else minutes
    if not RATE_LEAST <= rate <= RATE_MOST:
        raise UsageError(f"--rate {rate:g}: give {RATE_LEAST:g} to {RATE_MOST:g} rounds a second")
    if not 0.0 < minutes <= MINUTES_MOST:
        raise UsageError(f"--minutes {minutes:g}: give more than 0, at most {MINUTES_MOST:g}")
    if fifo:
        with realtime(DEFAULT_PRIORITY):  # who may not hears of it before he waits
            pass
    period_ns = round(SECOND / rate)
    rounds = max(1, round(minutes * 60 * rate))
    cases = [
        (kind, first) for first in ((0, DEFAULT_PRIORITY) if fifo else (0,)) for kind in _KINDS
    ]
    load = os.getloadavg()[0]
    begin_ns = time.monotonic_ns() + _START_NS
    processes = [
        _start(Loop(kind, period_ns, rounds, begin_ns + n * period_ns // len(cases), first))
        for n, (kind, first) in enumerate(cases)
    ]
    rows = [
        {"op": _KINDS[kind], "sched": f"fifo {first}" if first else "other", **_figures(process)}
        for (kind, first), process in zip(cases, processes, strict=True)
    ]
    for row, floor in zip(rows, [rows[n - n % len(_KINDS)] for n in range(len(rows))], strict=True):
        row["ratio_to_floor"] = {
            name.removesuffix("_us"): row[name] / floor[name] if floor[name] else None
            for name in _COLUMNS
        }
        row["rate_hz"], row["minutes"] = rate, minutes
        row["load_before"], row["load_after"] = load, os.getloadavg()[0]
    return rows


def _start(loop: Loop) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "hil.benches.pace_loops", json.dumps(loop._asdict())]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


def _figures(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    octets, _ = process.communicate()
    if process.returncode != 0:
        raise HostError(f"a loop ended with code {process.returncode}; what it said is above")
    found: dict[str, Any] = json.loads(octets)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table; (x2.1) is the ratio to the floor with the same scheduling."""
    head = ("loop", "sched", "p50 us", "p99 us", "p99.9 us", "max us", "overruns", "told", "rounds")
    lines = [head]
    for row in rows:
        ratios = row["ratio_to_floor"]
        cells = []
        for name in _COLUMNS:
            ratio = ratios[name.removesuffix("_us")]
            beside = (
                f" (x{ratio:.1f})" if ratio is not None and row["op"] != "clock_nanosleep" else ""
            )
            cells.append(f"{row[name]:,.0f}{beside}")
        told = str(row["told"]) if "told" in row else "-"
        overruns, rounds = f"{row['overruns']:,}", f"{row['rounds']:,}"
        lines.append((row["op"], row["sched"], *cells, overruns, told, rounds))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    first = rows[0]
    said = (
        f"{first['rate_hz']:g} Hz for {first['minutes']:g} min, {os.cpu_count()} processors, "
        f"load {first['load_before']:.1f} before and {first['load_after']:.1f} after"
    )
    return "\n".join(
        [
            said,
            *(
                "  ".join(
                    cell.ljust(width) for cell, width in zip(line, widths, strict=True)
                ).rstrip()
                for line in lines
            ),
        ]
    )
