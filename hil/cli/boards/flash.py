"""``hil boards flash``: the command that puts the firmware on a board, or the deed itself."""

from __future__ import annotations

import argparse
import shlex

FAILED = 1


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards flash``."""
    p = argparse.ArgumentParser(
        prog="hil boards flash",
        description="Print the command of the board's own tool that puts our firmware on it, "
        "after comparing the image's hash; with --run, run it.",
        epilog="Exit codes: 1 the tool failed, 2 no such board or no port, 3 the image is damaged "
        "or the tool is not installed.",
    )
    p.add_argument("board", nargs="?", help="id in lab.toml, or a board type")
    p.add_argument("--type", metavar="TYPE", help="board type, where its id is not told")
    p.add_argument("--port", help="serial port, where lab.toml does not know it")
    p.add_argument("--run", action="store_true", help="run the command")
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    return p


def main(argv: list[str]) -> int:
    """Print or run; return 1 if the tool fails."""
    args = parser().parse_args(argv)
    from hil.boards.boardtype import load_type, type_names
    from hil.boards.flashing import command
    from hil.boards.lab import load_lab
    from hil.boards.whereabouts import find
    from hil.errors import UsageError

    name = args.board or args.type
    if name is None:
        raise UsageError(f"say an id of lab.toml or a type: {', '.join(type_names())}")
    port = args.port or ""
    lab = load_lab(args.lab)
    if name in lab.instances:
        kind = lab.instance(name).type
        if "{port}" in (kind.firmware.flash or "") and not port:
            port = find(name, args.lab).path
    else:
        kind = load_type(args.type or name)
    flash = command(kind, port)
    print(shlex.join(flash.words), flush=True)
    if not args.run:
        if not flash.is_installed:
            print(f"({flash.words[0]} is not installed here; {flash.remedy})")
        return 0
    return FAILED if flash.run() else 0
