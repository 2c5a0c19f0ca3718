"""``hil boards identify``: ask a board who it is, and say what lab.toml wants of it."""

from __future__ import annotations

import argparse
import json


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards identify``."""
    p = argparse.ArgumentParser(
        prog="hil boards identify",
        description="Ask a board who it is: its identity, and the lines of lab.toml that name it.",
        epilog="Exit code 4: nobody answers, or the port cannot be opened; the message says which.",
    )
    p.add_argument("port", help="serial port of the board, or its id in lab.toml")
    p.add_argument("--baud", type=int, help="rate of the line (default: the type's, 115200)")
    p.add_argument("--wait", type=float, default=1.5, metavar="S", help="for an answer (1.5)")
    p.add_argument(
        "--set-uid",
        metavar="UID",
        help="store 16 hex digits on a board that can keep them, or `random`",
    )
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    p.add_argument("--json", action="store_true", help="print one object")
    return p


def main(argv: list[str]) -> int:
    """Ask; return 0 when the board has said who it is."""
    args = parser().parse_args(argv)
    from hil.boards import uids
    from hil.boards.talk import open_talk
    from hil.boards.telling import as_dict, describe, lab_lines
    from hil.boards.whereabouts import find

    uid = uids.parse(args.set_uid) if args.set_uid else None
    place = find(args.port, args.lab)
    with open_talk(place.path, place.kind, args.baud) as talk:
        identity = talk.greet(args.wait)
        if uid is not None:
            identity = uids.store(talk, identity, uid)
        about = talk.about()
    if args.json:
        print(json.dumps({"port": place.path, "about": about} | as_dict(identity), sort_keys=True))
        return 0
    print("\n".join([*describe(identity, about), "", "in lab.toml:", *lab_lines(identity, place)]))
    return 0
