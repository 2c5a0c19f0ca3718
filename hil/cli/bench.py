"""``hil bench NAME``: our figure, its floor and its peers, from the same run."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from typing import Any

#: name -> (module with ``run(quick) -> list[dict]``, what it measures)
BENCHES = {
    "time": ("hil.benches.time", "lock-step speed over each transport, barriers"),
    "capture": ("hil.benches.capture", "cost of a record in the capture"),
    "codec": ("hil.benches.codec", "each operation of the codec, by tier, memcpy and peers"),
}

DESCRIPTION = "Measure this machine: our figure, its floor and its peer, from the same run."
EPILOG = """\
ours    our figure, in the unit of its row
floor   what the machine itself would allow: the same traffic with nothing done in it (bare round
        trips over the same transport, octets appended to a plain file)
peer    another program that does the same job, where one is installed; "peer is" names it
x floor, x peer
        ours divided by floor or peer. Of a speed, more is better, and 1 of the floor is as near as
        can be; of a cost (us a record), less is better.
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
    args = parser.parse_args(argv)
    module = importlib.import_module(BENCHES[args.name][0])
    rows = module.run(quick=args.quick)
    if args.json:
        print(json.dumps(rows, indent=1))
    elif hasattr(module, "table"):
        print(module.table(rows))
    else:
        print_table(rows)
    return 0


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
