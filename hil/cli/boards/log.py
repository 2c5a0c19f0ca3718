"""``hil boards log``: what a board says and how it fares, live."""

from __future__ import annotations

import argparse
import time


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards log``."""
    p = argparse.ArgumentParser(
        prog="hil boards log",
        description="Keep a session with a board and print, as they come, its changes of state, "
        "its resets with their cause, its log and its events; at the end what was counted.",
        epilog="Ends with Ctrl-C, or after --for seconds; exit code 0. It holds the port: no run "
        "can use the board meanwhile.",
    )
    p.add_argument("board", help="id in lab.toml, or a serial port")
    p.add_argument("--type", metavar="TYPE", help="board type of a port (default: as it says)")
    p.add_argument("--for", type=float, metavar="S", dest="limit_s", help="end after so long")
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    p.add_argument("--json", action="store_true", help="print one object a line")
    return p


def main(argv: list[str]) -> int:
    """Follow a board until Ctrl-C; return 0."""
    args = parser().parse_args(argv)
    from hil.boards.diary import Diary, as_json, as_text
    from hil.boards.ports import user_ports
    from hil.boards.session import Session
    from hil.boards.whereabouts import instance_of

    instance = instance_of(args.board, args.type, args.lab)
    form = as_json if args.json else as_text
    with Session(instance, user_ports(), time.monotonic_ns) as session:
        diary = Diary(session, lambda row: print(form(row), flush=True))
        try:
            diary.follow(args.limit_s)
        except KeyboardInterrupt as stop:
            if type(stop) is not KeyboardInterrupt:
                raise
    print(form(diary.counters()), flush=True)
    return 0
