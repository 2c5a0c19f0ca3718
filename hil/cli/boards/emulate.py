"""``hil boards emulate``: a board without the board, on a tty, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards emulate``."""
    from hil.cli.boards.plugoptions import add_plug_options

    p = argparse.ArgumentParser(
        prog="hil boards emulate",
        description="Run the firmware of a board type on one of its emulations and print the port "
        "to open; until Ctrl-C, or `quit` on standard input.",
        epilog="On standard input, and as signals: unplug (SIGUSR1), replug (SIGUSR2), reset; "
        "`help` lists the rest. With --id `list`, `identify` and `log` take the port for that "
        "instance of lab.toml; a run starts its own emulations.",
    )
    p.add_argument("type", help="board type, or a path of one")
    p.add_argument("--kind", default="", help="which of its emulations (default: the first)")
    p.add_argument("--uid", metavar="UID", help="16 hex digits that it tells (default: drawn)")
    add_plug_options(p)
    return p


def main(argv: list[str]) -> int:
    """Run it until nobody wants it any more; return 0."""
    args = parser().parse_args(argv)
    from hil.boards import uids
    from hil.boards.emulators import start
    from hil.boards.plugside import PlugSide, Show, counts
    from hil.cli.boards.plugoptions import port_info, trouble

    uid = uids.parse(args.uid) if args.uid else b""
    info, damage = port_info(args), trouble(args)
    line = None
    if args.baud or damage.share or damage.latency_ns:
        line = {"baud": args.baud, "seed": args.seed, "trouble": damage}
    show = Show(args.link, info)
    with start(args.type, args.kind, uid=uid, line=line) as board:
        print(f"{board.type.title}, emulated by {board.kind}", flush=True)
        side = PlugSide(
            board,
            show,
            lambda text: print(text, flush=True),
            lambda: board.cable,
            board.reset,
        )
        try:
            side.run()
        except KeyboardInterrupt as stop:
            if type(stop) is not KeyboardInterrupt:
                raise
        finally:
            show.off()
            print(counts(side.counters), file=sys.stderr)
    return 0
