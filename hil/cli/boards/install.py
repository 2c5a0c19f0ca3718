"""``hil boards install``: the MicroPython bridge onto a board."""

from __future__ import annotations

import argparse
import json
import sys


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards install``."""
    p = argparse.ArgumentParser(
        prog="hil boards install",
        description="Put the HILwire bridge on a board that runs stock MicroPython, by its raw "
        "REPL, start it and ask it who it is.",
        epilog="Nothing else on the board is touched: the files begin with hilwire; main.py is "
        "written only where there is none, or one that this command wrote.",
    )
    p.add_argument("port", help="serial port of the board, or its id in lab.toml")
    p.add_argument("--type", metavar="TYPE", help="board type whose pins the buses use")
    p.add_argument("--baud", type=int, help="rate of the REPL (default: the type's, 115200)")
    p.add_argument("--no-autostart", action="store_true", help="leave main.py alone")
    p.add_argument("--force", action="store_true", help="replace main.py, try with little memory")
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    p.add_argument("--json", action="store_true", help="end with one object on stdout")
    return p


def main(argv: list[str]) -> int:
    """Install the bridge; return 0 when the board has said HELLO."""
    args = parser().parse_args(argv)
    from hil.boards.boardtype import load_type
    from hil.boards.install import Installer, pins_of
    from hil.boards.talk import open_talk
    from hil.boards.telling import as_dict, describe
    from hil.boards.whereabouts import find

    place = find(args.port, args.lab)
    kind = load_type(args.type) if args.type else place.kind
    pins = pins_of(kind) if kind else {}
    with open_talk(place.path, place.kind, args.baud) as talk:
        installer = Installer(talk, lambda line: print(line, file=sys.stderr))
        identity = installer.install(pins, not args.no_autostart, args.force)
    if args.json:
        print(json.dumps(as_dict(identity), sort_keys=True))
    else:
        print("\n".join(describe(identity)))
    return 0
