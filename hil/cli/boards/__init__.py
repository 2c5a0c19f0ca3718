"""``hil boards``: real dev boards on serial lines, a table of verbs imported when asked for."""

from __future__ import annotations

import difflib
import importlib

from hil.errors import UsageError

#: verb -> (module with ``main(argv) -> int``, what it does)
VERBS = {
    "list": ("hil.cli.boards.list", "the boards of the lab, and ports that nobody claims"),
    "identify": ("hil.cli.boards.identify", "who answers on a port, and its row of lab.toml"),
    "install": ("hil.cli.boards.install", "the bridge onto a board that runs MicroPython"),
    "flash": ("hil.cli.boards.flash", "our firmware onto a board, by the board's own tool"),
    "swap": ("hil.cli.boards.swap", "in a run: a board in the place of a part, or back"),
    "shadow": ("hil.cli.boards.shadow", "in a run: a board beside a part, compared with it"),
    "log": ("hil.cli.boards.log", "what a board says and how it fares, live"),
    "emulate": ("hil.cli.boards.emulate", "a board without the board, on a tty"),
    "cable": ("hil.cli.boards.cable", "a serial line that breaks as real ones do"),
    "doctor": ("hil.cli.boards.doctor", "what keeps this host from its boards, and what mends it"),
}


def usage() -> str:
    """Return the text of ``hil boards --help``."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return f"""usage: hil boards VERB [options]

Real dev boards in the place of emulated parts and buses, over a serial line.

verbs:
{verbs}

`hil boards VERB --help` lists the options of a verb.
Exit codes: 0 good, 1 checked and failed, 2 usage, 3 host not fit, 4 board lost or not there,
130 interrupted, 143 terminated."""


def main(argv: list[str]) -> int:
    """Run one verb; return its exit code. Raises ``UsageError`` for one that is not there."""
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(usage())
        if argv:
            raise SystemExit(0)
        return 0
    verb, rest = argv[0], argv[1:]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean `hil boards {near[0]}`?" if near else "; `hil boards --help`"
        raise UsageError(f"no verb {verb!r}{hint}")
    return int(importlib.import_module(VERBS[verb][0]).main(rest))
