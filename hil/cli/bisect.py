"""``hil bisect``: the first seed that fails, and the smallest fault plan that still does."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from hil.cli import run, run_program
from hil.cli.times import seconds
from hil.errors import HostError, UsageError

if TYPE_CHECKING:
    from hil.faults.bisect import Found
    from hil.faults.plan import Row

EPILOG = """examples:
  hil bisect --faults storm.toml                     which rows of a plan break the run
  hil bisect --seeds 1-500                           the first seed whose run fails
  hil bisect --seeds 1-500 --swarm 200               the same with 200 random faults each, shrunk
  hil bisect --faults storm.toml --fails event:SAFE_MODE
  hil bisect --faults storm.toml --check './look "$1"'
  hil bisect --faults storm.toml --virtual-time -- ./my_payload

All other options are those of `hil run`. Exit codes: 0 nothing fails, 1 found, 2 usage, 3 host not
fit."""
SEEDS_LIMIT = 1_000_000


def parser(program: bool) -> argparse.ArgumentParser:
    """Return the options: those of ``hil run``, or of ``hil run -- CMD``, and our own."""
    p = run_program.parser() if program else run.parser()
    p.prog = "hil bisect"
    p.usage = "hil bisect [options] [options of hil run] [-- CMD [ARGS ...]]"
    p.description = "Find the first seed that fails, and the smallest fault plan that still does."
    p.epilog = EPILOG
    p.formatter_class = argparse.RawDescriptionHelpFormatter
    if not program:
        p.set_defaults(transport="direct")
    own = p.add_argument_group("bisect")
    own.add_argument("--seeds", metavar="A-B", help="try these seeds in order, instead of --seed")
    own.add_argument("--swarm", type=int, metavar="N", help="N random faults, made from each seed")
    own.add_argument(
        "--swarm-on",
        action="append",
        default=[],
        metavar="NAME",
        help="only on this bus, or on the time pulse of this receiver; repeatable",
    )
    own.add_argument(
        "--fails",
        default="",
        metavar="WHAT",
        help="what a failure is: verdict, lost, exit, condition:NAME, event:NAME, exit:CODE "
        "(default: the conditions, or the exit code, of the first run that fails)",
    )
    own.add_argument(
        "--check",
        default="",
        metavar="CMD",
        help="a failure is that this command of the shell fails; $1 is the run directory",
    )
    own.add_argument("--jobs", type=int, metavar="N", help="runs side by side (default: cores)")
    own.add_argument(
        "--plan-out",
        type=Path,
        metavar="FILE",
        help="where the smallest plan goes (default shrunk.toml, or the next free number)",
    )
    if program:
        own.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    return p


def main(argv: list[str]) -> int:
    """Search; return 1 if something fails, 0 if nothing does."""
    at = argv.index("--") if "--" in argv else len(argv)
    program = argv[at + 1 :]
    args = parser(bool(program)).parse_args(argv[:at])
    if args.out is not None:
        raise UsageError("--out: trials leave no run directory; fly what is found with `hil run`")
    if args.jobs is not None and args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs}: give 1 or more")
    seeds = seeds_of(args.seeds) if args.seeds else range(args.seed, args.seed + 1)
    # Only now: a mistyped option need not wait for the bench to load.
    from hil.cli.progress import Line
    from hil.faults.bisect import search, wanted_marks
    from hil.faults.trials import Trials
    from hil.verdict import plural

    wanted_marks(args.fails)
    given = given_rows(args)
    plan_of = swarm_of(args) if args.swarm is not None else None
    words = run_words(args, bool(program))
    if given or plan_of is not None:
        check_plan_out(args.plan_out)
    jobs = args.jobs or len(os.sched_getaffinity(0))
    quiet = args.quiet or sys.stderr is None
    with Line(sys.stderr, enabled=not quiet) as bar:
        flown = [""]

        def say(text: str) -> None:
            flown[0] = text
            bar(f"hil bisect: {text}")

        def tell(runs: int) -> None:
            bar(f"hil bisect: {plural(runs, 'run')}; {flown[0]}")

        with Trials(words, program, args.check, jobs, tell) as trials:

            def rows_of(seed: int) -> list[Row]:
                return given + (plan_of(seed) if plan_of is not None else [])

            found = search(trials, seeds, rows_of, args.fails, say)
    return report(args, found, words, program)


def seeds_of(text: str) -> range:
    """Return the seeds of ``A-B`` or of one number. Raises ``UsageError``."""
    match = re.fullmatch(r"(\d{1,19})(?:(?:-|\.\.)(\d{1,19}))?", text)
    if match is None:
        raise UsageError(f"--seeds {text!r}: give A-B, as 1-500")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < 1 << 63 or last - first >= SEEDS_LIMIT:
        raise UsageError(f"--seeds {text!r}: give A-B with A <= B, a million seeds at most")
    return range(first, last + 1)


def given_rows(args: argparse.Namespace) -> list[Row]:
    """Return the rows of the plan that was given, each checked."""
    from hil.faults.plan import read_plan, read_rows

    read_plan(args.fault, args.faults)
    return read_rows(args.fault, args.faults)


def swarm_of(args: argparse.Namespace) -> Callable[[int], list[Row]]:
    """Return what makes the random rows of a seed, on the buses of the board."""
    from hil.board import load_board
    from hil.faults.swarm import places, swarm
    from hil.missions import load
    from hil.rig import SECOND, Rig

    length = None if args.duration is None else seconds(args.duration, "duration")
    rig = Rig(load_board(args.board), load(args.mission), seed=0, duration_s=length, flight=False)
    where = places(rig.wiring, args.swarm_on)
    return lambda seed: swarm(seed, args.swarm, rig.end_ns / SECOND, where)


def run_words(args: argparse.Namespace, program: bool) -> list[str]:
    """Return the words of ``hil run`` that every trial shares: what differs from its defaults."""
    usual = (run_program if program else run).parser()
    names = ["board", "mission", "duration", "pace", "lab", "boards_wait"]
    names += ["static", "virtual_time"] if program else ["transport", "inference", "stall_limit"]
    words = []
    for name in names:
        value = getattr(args, name)
        if value != usual.get_default(name):
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    for bound in args.bind:
        words += ["--bind", bound]
    return words


def report(args: argparse.Namespace, found: Found, words: list[str], program: list[str]) -> int:
    """Write the smallest plan, tell what was found; return the exit code."""
    from hil.faults.plan import rows_toml
    from hil.verdict import plural

    told = found.as_json()
    command = ["hil", "run", *words]
    lines = [f"nothing fails: {plural(found.flown, 'run')}"]
    if found.seed is not None:
        command += ["--seed", str(found.seed)]
        lines = [f"seed {found.seed} fails: {'; '.join(found.why) or ', '.join(found.marks)}"]
        if found.rows:
            path = plan_path(args.plan_out)
            path.write_text(rows_toml(found.kept))
            command += ["--faults", str(path)]
            told["plan"] = str(path)
            if len(found.marks) > 1:
                lines.append(
                    f"the whole plan failed by {', '.join(found.marks)}; --fails picks one"
                )
            lines.append(f"{plural(len(found.rows), 'fault')} shrunk to {len(found.kept)}:")
            lines += [f"  {row_text(row)}" for row in found.kept]
            lines.append(f"plan   {path}")
        command += ["--", *program] if program else []
        told["command"] = shlex.join(command)
        lines.append(f"again  {told['command']}")
        lines.append(plural(found.flown, "run"))
    print("\n".join(lines), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(told, sort_keys=True))
    return 0 if found.seed is None else 1


def row_text(row: Row) -> str:
    """Return a row as it is given on a command line."""
    if not row.on:
        return f"{row.kind}@{row.values['at']}"
    return ",".join([f"{row.on}:{row.kind}", *(f"{k}={v}" for k, v in row.values.items())])


def check_plan_out(wanted: Path | None) -> None:
    """Raise ``HostError`` where the plan could not be written: not when hours have gone into it."""
    path = Path("shrunk.toml") if wanted is None else wanted
    folder = path.parent
    if not folder.is_dir():
        raise HostError(f"--plan-out {path}: {folder} is no directory; make it, or choose another")
    if path.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise HostError(f"--plan-out {path}: cannot be written; choose another")


def plan_path(wanted: Path | None) -> Path:
    """Return where the plan goes: ``wanted``, or the first name that is free."""
    if wanted is not None:
        return wanted
    names = chain(["shrunk.toml"], (f"shrunk-{number}.toml" for number in count(2)))
    return next(path for path in map(Path, names) if not path.exists())
