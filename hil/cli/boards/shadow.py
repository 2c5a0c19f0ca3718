"""``hil boards shadow``: the real part beside the emulated one, each transaction put to both."""

from __future__ import annotations

import argparse


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards shadow``."""
    from hil.cli.boards.swap import add_run

    p = argparse.ArgumentParser(
        prog="hil boards shadow",
        description="Put each transaction of a part to a real one as well, in a run that flies at "
        "--pace real; the flight software sees one of the two, differences are counted by "
        "register and field.",
        epilog="`off` ends it. The report of the run has the differences.",
    )
    p.add_argument("name", help="part or bus of the payload computer")
    p.add_argument("to", help="INSTANCE[:BUS] of lab.toml, or `off`")
    p.add_argument(
        "--shows",
        choices=("emulated", "real"),
        default="emulated",
        help="whose answer the flight software gets (default emulated)",
    )
    add_run(p)
    return p


def main(argv: list[str]) -> int:
    """Ask the run; return 0 when it has done so."""
    args = parser().parse_args(argv)
    from hil.boards import control
    from hil.cli.boards.swap import tell

    tell(control.shadow(args.name, args.to, args.shows, args.run), args.json)
    return 0
