"""``hil boards list``: the boards of the lab, and the ports that nobody claims."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.boards.whereabouts import Row


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards list``."""
    p = argparse.ArgumentParser(
        prog="hil boards list",
        description="List the boards of lab.toml with where they are, then the serial ports that "
        "none of them claims, with what they may be. No port is opened.",
        epilog="States: there; in use (another program has it open); to ask (its uid says which "
        "port it is); ambiguous; absent; emulated (a run starts it); free (a port of nobody).",
    )
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    p.add_argument("--json", action="store_true", help="print one object a line")
    return p


def main(argv: list[str]) -> int:
    """Print the list; return 0."""
    args = parser().parse_args(argv)
    from hil.boards.host import Host
    from hil.boards.lab import load_lab
    from hil.boards.ports import user_ports
    from hil.boards.whereabouts import survey

    lab = load_lab(args.lab)
    rows = survey(lab, user_ports(), Host())
    if args.json:
        for row in rows:
            print(json.dumps(asdict(row), sort_keys=True))
    else:
        print("\n".join(as_lines(rows, str(lab.path) if lab.path else "")))
    return 0


def as_lines(rows: list[Row], lab: str) -> list[str]:
    """Return the lines of a list, and what to do where it is empty."""
    if not rows:
        told = f"{lab} names no board" if lab else "no lab.toml"
        return [
            f"no boards: {told}, and no serial port is there; "
            "`hil boards emulate posix` runs one without hardware"
        ]
    wide = max(len(row.id or "-") for row in rows)
    lines = []
    for row in rows:
        facts = "  ".join(fact for fact in (row.kind, row.where) if fact)
        lines.append(f"{row.state:<9}  {row.id or '-':<{wide}}  {facts}")
        if row.why:
            lines.append(f"{'':<9}  {'':<{wide}}  {row.why}")
    return lines
