"""``hil diff``: two recorded runs, topic by topic; where they part, what differs, how often."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import HilError
from hil.printable import printable

if TYPE_CHECKING:
    from hil.replay.flown import Flown
    from hil.replay.rules import Rules

#: options of a run that make another run of it
_HOW = ("board", "mission", "seed", "duration_s", "inference", "virtual_time")
#: rows of a fault plan that its line shows
_FAULTS_SHOWN = 8
#: exit codes, as diff(1) has them
SAME, DIFFERENT, TROUBLE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil diff``."""
    p = argparse.ArgumentParser(
        prog="hil diff",
        description="Compare two recorded runs: records are paired by topic and running number.",
        epilog="Exit codes: 0 the same, 1 they differ, 2 trouble, as diff(1). A run is a run "
        "directory, a capture, or a packed run.",
    )
    p.add_argument("a", type=Path, help="the one run, called recorded")
    p.add_argument("b", type=Path, help="the other, called replayed")
    p.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field, or TOPIC:FIELD, that may differ, as t_ns or tm.power; repeatable",
    )
    p.add_argument(
        "--tolerate",
        action="append",
        default=[],
        metavar="FIELD=AMOUNT",
        help="a field that may differ by AMOUNT, as t_ns=1000; repeatable",
    )
    p.add_argument(
        "--topic", action="append", metavar="TOPIC", help="compare only this topic; repeatable"
    )
    p.add_argument(
        "--ignore-topic",
        action="append",
        default=[],
        metavar="TOPIC",
        help="compare nothing of this topic, as /fault; repeatable",
    )
    p.add_argument("--seq", action="store_true", help="the global numbers count too")
    p.add_argument("--no-board-rules", action="store_true", help="without [replay] of the board")
    p.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    p.add_argument("--html", type=Path, metavar="FILE", help="both traces, one over the other")
    p.add_argument("-q", "--quiet", action="store_true", help="say nothing; the exit code tells")
    return p


def main(argv: list[str]) -> int:
    """Compare, print; return 0 if both are the same and 1 if not."""
    args = parser().parse_args(argv)
    try:
        return _diff(args)
    except HilError as error:
        # 1 would say that they differ
        error.exit_code = max(error.exit_code, TROUBLE)
        raise


def _diff(args: argparse.Namespace) -> int:
    from hil.cli.progress import TimeProgress
    from hil.replay.diff import diff
    from hil.replay.flown import flown
    from hil.replay.known import check_fields
    from hil.replay.rules import tolerance

    with ExitStack() as stack:
        old, new = (stack.enter_context(flown(path)) for path in (args.a, args.b))
        rules = _rules(args, old.board)
        unknown = check_fields(args.ignore, dict(map(tolerance, args.tolerate)), (old, new))
        heard = sys.stderr is not None and not (args.quiet or args.json)
        with TimeProgress(sys.stderr, "compared", new.virtual_s, heard) as bar:
            verdict = diff(old, new, rules, bar.at if bar.enabled else None)
        flown_as = _flown_otherwise(old, new)
        notes = [*unknown, *_lacking(old), *_lacking(new), *_apart(old, new)]
        if not args.quiet:
            text = "\n".join([*flown_as, *verdict.lines(), *(f"note: {note}" for note in notes)])
            print(text, file=sys.stderr if args.json else sys.stdout)
        if args.json:
            print(
                json.dumps({**verdict.as_json(), "flown": flown_as, "notes": notes}, sort_keys=True)
            )
        if args.html is not None:
            from hil.replay.page import write_page

            write_page(args.html, verdict, old, new)
            if not args.quiet and sys.stderr is not None:
                print(f"page   {args.html}", file=sys.stderr)
    return SAME if verdict.identical else DIFFERENT


def _lacking(run: Flown) -> list[str]:
    """Say what a capture has not, and so cannot differ in."""
    notes = []
    if not run.whole:
        notes.append(f"{run.path}: was cut off; what came behind its end was not recorded")
    if lost := sum(run.lost.values()):
        topics = printable(", ".join(run.lost))
        notes.append(f"{run.path}: {lost:,} records were dropped when it was recorded, on {topics}")
    return notes


def _flown_otherwise(old: Flown, new: Flown) -> list[str]:
    """Say how the runs were flown differently, a line each: what differs may come of that."""
    sides = []
    for run in (old, new):
        how: dict[str, object] = {name: getattr(run.options, name) for name in _HOW}
        how |= {"program": " ".join(run.program or ()), "faults": _faults(run)}
        sides.append(how | {name: run.made_by.get(name) for name in ("version", "commit")})
    # Two plans may look the same in a line, and differ in a time or an amount.
    apart = [name for name in sides[0] if sides[0][name] != sides[1][name]]
    if "faults" not in apart and old.plan != new.plan:
        apart.append("faults")
    lines = (f"{name} {_told(sides[0][name])} -> {_told(sides[1][name])}" for name in apart)
    return [printable(f"flown otherwise: {line}") for line in lines]


def _faults(run: Flown) -> str:
    """Return the plan in a line: each kill and each row, as many as are shown."""
    rows = [f"kill@{t_ns / 1e9:g}" for t_ns in run.plan.kills]
    rows += [":".join(filter(None, (row.on, row.kind))) for row in run.plan.rows]
    more = f" and {len(rows) - _FAULTS_SHOWN} more" if len(rows) > _FAULTS_SHOWN else ""
    return ", ".join(rows[:_FAULTS_SHOWN]) + more


def _told(value: object) -> str:
    return "none" if value is None or value == "" else str(value)


def _apart(old: Flown, new: Flown) -> list[str]:
    """Say what the runs differ in beside their records."""
    apart = {
        "board files": old.board.source != new.board.source,
        "mission profiles": old.mission.source != new.mission.source,
    }
    return [
        f"the {what} of the two are not the same; fields are named by that of the first"
        for what, differ in apart.items()
        if differ
    ]


def _rules(args: argparse.Namespace, board: object) -> Rules:
    from dataclasses import replace

    from hil.board import Board
    from hil.replay.rules import Rules, tolerance

    assert isinstance(board, Board)
    amounts = dict(map(tolerance, args.tolerate))
    if args.no_board_rules:
        board = replace(board, ignore=(), tolerate={})
    rules = Rules.of(board, args.ignore, amounts, args.topic)
    return replace(rules, compare_seq=args.seq, without=tuple(args.ignore_topic))
