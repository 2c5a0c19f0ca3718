"""``hil bench NAME``: our figure, its floor and its peers, from the same run."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from typing import Any

from hil.cli.progress import Line
from hil.config import nearest
from hil.errors import UsageError

#: name -> (module with ``run(quick) -> list[dict]``, what it measures)
BENCHES = {
    "time": ("hil.benches.time", "lock-step speed over each transport, barriers"),
    "buses": ("hil.benches.buses", "one register read, by each way to a bus; a flash rewritten"),
    "capture": ("hil.benches.capture", "cost of a record in the capture"),
    "replay": ("hil.benches.replay", "how late recorded stimulus is, played in real time"),
    "pace": ("hil.benches.pace", "how late a loop is at pace real, with and without SCHED_FIFO"),
    "pytest": ("hil.benches.plugin", "what a test with a rig costs, beside a plain one"),
    "boards": ("hil.benches.boards", "the link to a dev board: round trips, bulk, a replug"),
    "codec": ("hil.benches.codec", "each operation of the codec, by tier, memcpy and peers"),
}

DESCRIPTION = "Measure this machine: our figure, its floor and its peer, from the same run."
EPILOG = """\
Of time, buses, capture, replay, pytest and boards:

ours    our figure, in the unit of its row
floor   what the machine itself would allow: the same traffic with nothing done in it (bare round
        trips over the same transport, octets appended to a plain file)
peer    another program that does the same job, where one is installed, or of boards and pytest the
        limit that is promised; "peer is" names it
x floor, x peer
        ours divided by floor or peer. Of a speed, more is better, and 1 of the floor is as near as
        can be; of a cost (us a record), less is better.

Of codec, each operation with its unit; --only picks subjects (crc, reed_solomon, viterbi, ...):

ours      our best tier on this machine
x memcpy  our time by that of copying the same octets: 1 is the speed of memory, 3 is three times
          slower. The first rows are the machine's own copying speed, by size
tiers     the same operation on every tier that this processor runs
peers     other programs that do it, where they are installed, on the same octets in the same run;
          (x30) says that ours is 30 times better, in speed or in cost as the unit says

Of pace, loops of one rate side by side for --minutes, each with its percentiles of lateness:

x          the percentile by that of the floor, clock_nanosleep, with the same scheduling
overruns   rounds that were late by a period or more; told: those that the rate group of the flight
           software counted itself

All other figures are the best of their repeats. Machines differ, and so does one that is busy:
compare within one run. Exit codes: 0 measured, 2 wrong usage.
"""


def main(argv: list[str]) -> int:
    """Run one benchmark and print its rows."""
    names = "\n".join(f"{name:<9}{text}" for name, (_, text) in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="hil bench",
        description=DESCRIPTION,
        epilog=f"{names}\n\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(BENCHES), help="what to measure, see below")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, rougher figures")
    parser.add_argument("--only", metavar="SUBJECT,...", help="subjects of codec to measure")
    pace = parser.add_argument_group("of pace")
    pace.add_argument("--minutes", type=float, help="how long (default 1)")
    pace.add_argument("--rate", type=float, metavar="HZ", help="rounds a second (default 100)")
    pace.add_argument("--fifo", action="store_true", help="each loop under SCHED_FIFO as well")
    args = parser.parse_args(argv)
    module = importlib.import_module(BENCHES[args.name][0])
    paced = {"minutes": args.minutes, "rate": args.rate, "fifo": args.fifo or None}
    given = {name: value for name, value in paced.items() if value is not None}
    if given and args.name != "pace":
        raise UsageError(f"hil bench {args.name} has no --{next(iter(given))}; that is of pace")
    if hasattr(module, "subjects"):
        with Line(sys.stderr) as line:
            rows = module.run(quick=args.quick, only=picked(module, args.only), watch=line)
    elif args.only is not None:
        raise UsageError(f"hil bench {args.name} has no subjects; leave --only out")
    else:
        rows = module.run(quick=args.quick, **given)
    if args.json:
        print(json.dumps(rows, indent=1))
    elif hasattr(module, "table"):
        print(module.table(rows))
    else:
        print_table(rows)
    return 0


def picked(module: Any, only: str | None) -> tuple[str, ...]:
    """Return the subjects asked for, all of them without a wish; UsageError names what is not."""
    if only is None:
        return ()
    known, names = module.subjects(), tuple(dict.fromkeys(only.split(",")))
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; there are {', '.join(known)}"
            raise UsageError(f"no subject is called {name!r}{hint}")
    return names


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table; ratios say how many times the floor or the peer we reach."""
    print(f"# {platform.machine()}, Python {platform.python_version()}", file=sys.stderr)
    header = ("op", "ours", "unit", "floor", "x floor", "peer", "x peer", "peer is")
    table = [header] + [
        (
            str(row["op"]),
            figure(row["ours"]),
            str(row["unit"]),
            figure(row["floor"]),
            figure(row["ratio_to_floor"]),
            figure(row["peer"]),
            figure(row["ratio_to_peer"]),
            str(row["peer_name"] or "-"),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    for line in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def figure(value: float | None) -> str:
    """Return a number with four digits that count, or a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
