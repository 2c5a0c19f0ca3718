"""``hil service``: a bench, or the flight software of a stand-in, as a service of systemd."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.printable import printable

if TYPE_CHECKING:
    from hil.services.installing import Plan

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_CPUS = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")
_MEMORY = re.compile(r"[1-9]\d{0,5}[KMGT]")
_ENDPOINT = re.compile(r"tcp://[A-Za-z0-9.:\[\]_*-]+:\d{1,5}")
_FIFO_MOST = 99


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil service``."""
    p = argparse.ArgumentParser(
        prog="hil service",
        description="Make a service of systemd of `hil serve` (bench), or of `flightsw --stay` on "
        "the stand-in (payload).",
        epilog="Options for `hil serve` or `flightsw` go behind `--`. Exit codes: 0 good, 1 "
        "status: it does not run, 2 usage, 3 this host cannot.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("what", choices=("bench", "payload"))
    common.add_argument("--user", action="store_true", help="of this user, without root")
    changes = argparse.ArgumentParser(add_help=False)
    changes.add_argument(
        "--dry-run", action="store_true", help="print files and commands, change nothing"
    )
    acts = p.add_subparsers(dest="act", metavar="ACTION", required=True)
    add_install(acts.add_parser("install", parents=[common, changes], help="make and start it"))
    acts.add_parser("uninstall", parents=[common, changes], help="end and remove it")
    status = acts.add_parser("status", parents=[common], help="whether it runs")
    status.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return p


def add_install(p: argparse.ArgumentParser) -> None:
    """Add what an installation may be told."""
    p.add_argument("--name", default="main", help="of a bench: there can be several (main)")
    p.add_argument(
        "--endpoint",
        metavar="TCP",
        help="bench: where it listens (tcp://127.0.0.1:5557); payload: where the bench is",
    )
    p.add_argument(
        "--keys",
        type=Path,
        metavar="PATH",
        help="bench: its key folder; payload: its key file (default below /etc/flatsat, with "
        "--user below $XDG_CONFIG_HOME/flatsat)",
    )
    p.add_argument("--boards", action="store_true", help="bench: it reaches boards on serial lines")
    p.add_argument("--memory", default="", metavar="SIZE", help="at most (bench 2G, payload 1G)")
    p.add_argument("--cpus", default="", metavar="LIST", help="the processors that it runs on")
    p.add_argument(
        "--fifo", type=int, default=0, metavar="N", help="SCHED_FIFO with priority 1 to 99"
    )


def main(argv: list[str]) -> int:
    """Install, uninstall or look; return the exit code."""
    at = argv.index("--") if "--" in argv else len(argv)
    args, more = parser().parse_args(argv[:at]), argv[at + 1 :]
    if args.act == "status":
        return _status(args)
    from hil.services import installing

    if args.act == "install":
        plan = _install(args, more)
    else:
        plan = installing.plan_uninstall(args.what, args.user)
    if args.dry_run:
        print(text_of(plan))
        return 0
    installing.check(plan, args.user)
    for line in (*installing.carry_out(plan), *(f"note: {note}" for note in plan.notes)):
        print(line)
    return 0


def _install(args: argparse.Namespace, more: list[str]) -> Plan:
    from hil.services import installing

    bench = args.what == "bench"
    endpoint = args.endpoint or ("tcp://127.0.0.1:5557" if bench else "")
    _check(args, endpoint, more)
    _, files = installing.folders(args.user)
    keys = args.keys or files / ("keys" if bench else "client.key")
    for what, path in (("--keys", keys), ("the Python of this installation,", sys.executable)):
        if re.search(r"[\s%$\\\"';]", str(Path(path).absolute())):
            raise UsageError(f"{what} {path}: a unit takes no path with spaces, quotes, % or $")
    wanted = installing.wanted_here(
        args.what,
        args.user,
        keys,
        boards=args.boards,
        memory=args.memory,
        cpus=args.cpus,
        fifo=args.fifo,
    )
    return installing.plan_install(wanted, args.name, endpoint, more)


def _check(args: argparse.Namespace, endpoint: str, more: list[str]) -> None:
    """Raise ``UsageError`` for what no unit can say."""
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"--name {args.name!r}: give 1 to 32 of a-z, 0-9, _ and -")
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(
            f"--endpoint {endpoint!r}: give tcp://HOST:PORT"
            + ("" if args.what == "bench" else ", where the bench of this payload listens")
        )
    if args.cpus and not _CPUS.fullmatch(args.cpus):
        raise UsageError(f"--cpus {args.cpus!r}: give numbers and ranges, as 2,3 or 2-3")
    if args.memory and not _MEMORY.fullmatch(args.memory):
        raise UsageError(f"--memory {args.memory!r}: give a size, as 512M or 2G")
    if not 0 <= args.fifo <= _FIFO_MOST:
        raise UsageError(f"--fifo {args.fifo}: give a priority from 1 to {_FIFO_MOST}")
    if args.boards and args.what != "bench":
        raise UsageError("--boards is for a bench; a payload has the devices of its computer")
    for word in more:
        if not word.isprintable() or re.search(r"[\s\"'\\$%#;]", word):
            raise UsageError(
                f"option {printable(word)!r}: its file is read by words, without quotes; write it "
                "into a file of its own, or leave the sign away"
            )


def text_of(plan: Plan) -> str:
    """Return a plan as a person, or a script of theirs, reads it."""
    lines: list[str] = []
    for path, text in plan.files.items():
        lines += [f"# --- {path}", text]
    for path, text in plan.kept.items():
        lines += [f"# --- {path}{' (is there, and stays)' if path.exists() else ''}", text]
    lines += [f"# remove {path}" for path in plan.removed]
    lines += ["# --- commands", *(shlex.join(command) for command in plan.commands)]
    return "\n".join([*lines, *(f"# note: {note}" for note in plan.notes)])


def _status(args: argparse.Namespace) -> int:
    from hil.services import installing

    found = installing.state(args.what, args.user)
    if args.json:
        print(json.dumps({"units": found}, sort_keys=True))
    elif not found:
        print(f"no {args.what} is installed; `hil service install {args.what}` does")
    else:
        for name, row in found.items():
            text = printable(row.get("StatusText", ""))
            said = f": {text}" if text else ""
            print(f"{name} {row['ActiveState']} ({row['SubState']}){said}")
    good = bool(found) and all(row["ActiveState"] == "active" for row in found.values())
    return 0 if good else 1
