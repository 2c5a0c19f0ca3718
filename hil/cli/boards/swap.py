"""``hil boards swap``: another thing behind a part or a bus, in the middle of a run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_run(p: argparse.ArgumentParser) -> None:
    """Add the options that say which run is meant."""
    p.add_argument("--run", type=Path, metavar="DIR", help="run directory (default: the newest)")
    p.add_argument("--json", action="store_true", help="print the run's reply")


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards swap``."""
    p = argparse.ArgumentParser(
        prog="hil boards swap",
        description="Let a real board take the place of a part or a bus in a run that flies at "
        "--pace real, or the emulated one again. Without words: how it stands now.",
        epilog="examples: hil boards swap imu bench-uno-1; hil boards swap i2c-1 pico-1:i2c0; "
        "hil boards swap imu emulated",
    )
    p.add_argument("name", nargs="?", help="part or bus of the payload computer")
    p.add_argument("to", nargs="?", help="INSTANCE[:BUS] of lab.toml, or `emulated`")
    add_run(p)
    return p


def main(argv: list[str]) -> int:
    """Ask the run; return 0 when it has done so."""
    args = parser().parse_args(argv)
    from hil.boards import control
    from hil.errors import UsageError

    if args.name is None:
        reply = control.ask(control.find_run(args.run), {"do": "state"})
    elif args.to is None:
        raise UsageError(f"swap {args.name} with what? INSTANCE[:BUS] of lab.toml, or `emulated`")
    else:
        reply = control.swap(args.name, args.to, args.run)
    tell(reply, args.json)
    return 0


def tell(reply: dict[str, Any], as_json: bool) -> None:
    """Print what is real now, and how its boards are."""
    if as_json:
        print(json.dumps(reply, sort_keys=True))
        return
    for name, where in reply["bound"].items():
        board = where.partition(":")[0]
        beside = "  beside the emulated one" if name in reply["shadow"] else ""
        print(f"{name}  {where}  {reply['boards'].get(board, 'not known')}{beside}")
    if not reply["bound"]:
        print("everything is emulated")
