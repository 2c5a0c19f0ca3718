"""``hil serve``: a bench that waits for flight software on another machine, and flies with it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hil.cli.run import (
    add_board_options,
    add_capture_options,
    add_course_options,
    add_pace_options,
    add_world_options,
    options,
    summary,
)
from hil.outcome import Outcome


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil serve``."""
    p = argparse.ArgumentParser(
        prog="hil serve",
        description="A bench that listens: it flies with flight software that comes from another "
        "machine, run after run, until it is stopped (Ctrl-C, SIGTERM), which closes its books.",
        epilog="There: `flightsw --bench tcp://HOST:PORT --keys FILE --storage DIR`. "
        "Exit codes: of the last verdict (0 good, 1 bad), 130 and 143 when stopped.",
    )
    p.add_argument(
        "--listen",
        metavar="ENDPOINT",
        help="where: tcp://HOST:PORT (default tcp://127.0.0.1:5557), or ipc://PATH",
    )
    p.add_argument("--keys", type=Path, metavar="DIR", help="the key folder of this bench (tcp)")
    p.add_argument("--once", action="store_true", help="end after one run, with its verdict")
    p.add_argument(
        "--patience",
        type=float,
        default=1.0,
        metavar="S",
        help="at pace real and xN: how long time stands for a link that is lost (default 1)",
    )
    p.add_argument(
        "--bus-timeout",
        type=float,
        default=1.0,
        metavar="S",
        help="at pace real and xN: when a call of the flight software on a lost link times out, "
        "in its own time (default 1)",
    )
    p.add_argument(
        "--away-limit",
        type=float,
        default=60.0,
        metavar="S",
        help="how long its link may be away, in virtual time, until it counts as dead (default 60)",
    )
    add_course_options(p)
    p.add_argument("--pace", default="real", help="max, real or xN, N times real (default real)")
    add_board_options(p)
    add_capture_options(p)
    add_pace_options(p)
    add_world_options(p)
    p.add_argument("--stall-limit", type=float, default=60.0, metavar="S", help=argparse.SUPPRESS)
    p.add_argument("--json", action="store_true", help="one JSON object a run on stdout")
    # It comes over the network and keeps its own time.
    p.set_defaults(transport="tcp", no_pin=True, snapshots=None)
    return p


def main(argv: list[str]) -> int:
    """Serve; return the exit code."""
    args = parser().parse_args(argv)
    from hil.serving.asked import LISTEN, Service
    from hil.serving.serve import serve

    listen = args.listen or LISTEN
    keys = args.keys
    if keys is None and listen.startswith("tcp"):
        from hil.time.transports.keys import default_folder

        keys = default_folder()

    def told(text: str) -> None:
        if sys.stderr is not None:
            print(f"hil serve: {text}", file=sys.stderr, flush=True)

    def ended(outcome: Outcome) -> None:
        print(summary(outcome), file=sys.stderr if args.json else sys.stdout, flush=True)
        if args.json:
            print(json.dumps(outcome.as_json(), sort_keys=True), flush=True)

    service = Service(listen, keys, args.once, args.patience, args.bus_timeout, args.away_limit)
    return serve(options(args), service, told, ended)
