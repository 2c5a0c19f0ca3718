"""``hil replay``: a recorded run once more, compared with its capture."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import HilError, UsageError
from hil.options import TRANSPORTS

if TYPE_CHECKING:
    from hil.cli.progress import TimeProgress
    from hil.replay.flown import Flown
    from hil.replay.outcome import Replayed, ReplayOptions

#: mode -> module with ``replay(flown, options, say) -> Replayed``
MODES = {
    "mock": "hil.replay.mocking.mode",
    "re-execute": "hil.replay.reexecute",
    "play": "hil.replay.playing.mode",
}
#: exit code for trouble, as diff(1) has it
TROUBLE = 2


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil replay``."""
    p = argparse.ArgumentParser(
        prog="hil replay",
        usage="hil replay [options] TARGET [-- CMD [ARGS ...]]",
        description="Replay a recorded run and compare it with its capture, record by record.",
        epilog="Exit codes: 0 identical, 1 it diverged, 2 trouble, as diff(1).",
    )
    p.add_argument("target", type=Path, help="a run directory, a capture, or a packed run")
    p.add_argument(
        "--mode",
        choices=MODES,
        help="mock: the flight software or program alone, answered from the record; re-execute: "
        "the same world again; play: recorded stimulus with its timing (default: re-execute where "
        "the run can be repeated, mock where a board or a program took part, play for imports)",
    )
    p.add_argument(
        "--until",
        metavar="WHERE",
        help="stop after record number N, or at a time: 4711, seq=4711, 300s, '5.5 min'",
    )
    p.add_argument(
        "--from",
        metavar="WHERE",
        dest="start",
        help="begin before record number N or a time, at the nearest snapshot (`hil snapshot`)",
    )
    p.add_argument(
        "--break-at",
        metavar="EXPR",
        help="stop in the debugger where EXPR holds, as in 'tm.mode==SAFE and t>300'",
    )
    p.add_argument("--step", action="store_true", help="stop at each record")
    p.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field, or TOPIC:FIELD, that may differ; repeatable",
    )
    p.add_argument(
        "--tolerate",
        action="append",
        default=[],
        metavar="FIELD=AMOUNT",
        help="a field that may differ by AMOUNT; repeatable",
    )
    p.add_argument(
        "--pace", help="max, real or xN, N times real (default max; real to play to a program)"
    )
    p.add_argument("--transport", choices=TRANSPORTS, default="direct", help="(default direct)")
    p.add_argument(
        "--to",
        choices=("ground", "flight"),
        default="",
        help="play: into the ground endpoint, or the flight software (default: as the capture is)",
    )
    p.add_argument("--board", metavar="B", help="play: on this board, by name or path")
    p.add_argument(
        "--channel", type=Path, metavar="FILE", help="play to ground: what is on the link"
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="keep the new run's capture in DIR")
    p.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    p.add_argument("--html", type=Path, metavar="FILE", help="both traces, one over the other")
    p.add_argument("-q", "--quiet", action="store_true", help="say nothing but the verdict")
    return p


def main(argv: list[str]) -> int:
    """Replay, print the verdict; return 0 if identical and 1 if not."""
    program: list[str] = []
    if "--" in argv:
        at = argv.index("--")
        argv, program = argv[:at], argv[at + 1 :]
    args = parser().parse_args(argv)
    from hil.replay.flown import flown

    try:
        with flown(args.target) as run:
            return _replay(run, args, tuple(program))
    except HilError as error:
        # 1 would say that it diverged
        error.exit_code = max(error.exit_code, TROUBLE)
        raise


def _replay(run: Flown, args: argparse.Namespace, program: tuple[str, ...]) -> int:
    mode = args.mode or default_mode(run)
    _check(args, mode)

    def say(text: str) -> None:
        if not args.quiet and sys.stderr is not None:
            print(text, file=sys.stderr)

    for line in (*run.gaps, *run.differences()):
        say(f"differs: {line}")
    _check_program(run, program)
    if mode == "mock" and not program:
        _check_flight(run)
    options = _options(run, args, mode, program)
    unknown = _unknown(run, options)
    with ExitStack() as stack:
        if args.html is not None:
            options = _kept(options, stack)
        with _bar(run, args, program) as bar:
            options = replace(options, tell=bar.at if bar.enabled else None)
            replayed = mode_of(mode)(run, options, say)
        if unknown:
            replayed = replace(replayed, notes=(*replayed.notes, *unknown))
        # The output of a program is that of this command, and nothing of ours stands in it.
        ours = not args.json and not program and run.program is None
        lines = replayed.brief() if args.quiet else replayed.lines()
        print("\n".join(lines), file=sys.stdout if ours else sys.stderr)
        if args.json:
            print(json.dumps(replayed.as_json(), sort_keys=True))
        if args.html is not None and options.out is not None:
            _draw(args.html, run, options.out, replayed)
            say(f"page   {args.html}")
    return replayed.exit_code


def _check(args: argparse.Namespace, mode: str) -> None:
    """Raise ``UsageError`` for an option that this mode would pass over."""
    for name in ("to", "board", "channel") if mode != "play" else ():
        if getattr(args, name):
            raise UsageError(f"--{name} is for --mode play, and this is {mode}; leave it away")
    if mode == "re-execute" and args.pace not in (None, "max"):
        raise UsageError(
            f"--pace {args.pace}: what is flown again flies as fast as it goes; leave it away, or "
            "take --mode play"
        )


def _check_program(run: Flown, program: tuple[str, ...]) -> None:
    """Raise ``UsageError`` for a program that is not there: nothing could be compared."""
    words = program or (run.program if run.program is not None and run.path.is_dir() else ())
    if words and shutil.which(words[0]) is None:
        raise UsageError(f"{words[0]}: is no program here; name one behind --")


def _check_flight(run: Flown) -> None:
    """Raise ``UsageError`` where a test flew code of its own: ours would answer in its place."""
    who = run.run.get("flight")
    if isinstance(who, str) and ":" in who:
        from hil.config import one_line

        raise UsageError(
            f"{run.path}: a test flew {one_line(who)}, which is no program that can be answered; "
            f"run the test once more, or read it with `hil tap {run.capture} --decode`"
        )


def _bar(run: Flown, args: argparse.Namespace, program: tuple[str, ...]) -> TimeProgress:
    """Return the bar, which is drawn where nobody else writes to the terminal."""
    from hil.cli.progress import TimeProgress

    is_alone = args.break_at is None and not args.step and not program and run.program is None
    is_heard = sys.stderr is not None and not args.quiet and not args.json
    return TimeProgress(sys.stderr, "replayed", run.virtual_s, enabled=is_alone and is_heard)


def _unknown(run: Flown, options: ReplayOptions) -> list[str]:
    """Raise ``UsageError`` for a field that no record has; say which may have none."""
    if not (options.ignore or options.tolerate):
        return []
    from hil.replay.known import check_fields

    return check_fields(options.ignore, options.tolerate, (run,))


def _kept(options: ReplayOptions, stack: ExitStack) -> ReplayOptions:
    """Return the options with a place for the new trace, which goes with ``stack``."""
    if options.mode == "play":
        raise UsageError("--html: play keeps no new trace; take --mode re-execute or mock")
    if options.out is not None:
        return options
    import tempfile

    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flatsat-"))
    return replace(options, out=Path(folder) / "again")


def _draw(path: Path, run: Flown, out: Path, replayed: Replayed) -> None:
    """Draw what was recorded, and over it what was kept in ``out``, into ``path``."""
    from hil.replay.flown import flown
    from hil.replay.page import write_page
    from hil.replay.verdict import Verdict

    assert isinstance(replayed.verdict, Verdict), "what was compared was two streams"
    with flown(out) as new:
        write_page(path, replayed.verdict, run, new)


def default_mode(run: Flown) -> str:
    """Return the mode that a recorded run asks for."""
    if run.imported:
        return "play"
    return "re-execute" if run.repeatable and run.program is None else "mock"


def mode_of(mode: str) -> Callable[[Flown, ReplayOptions, Callable[[str], None]], Replayed]:
    """Return what replays in this mode."""
    try:
        module = importlib.import_module(MODES[mode])
    except ModuleNotFoundError as error:
        if error.name != MODES[mode]:
            raise
        raise UsageError(f"mode {mode} is not part of this installation") from None
    found: Callable[[Flown, ReplayOptions, Callable[[str], None]], Replayed] = module.replay
    return found


def _options(
    run: Flown, args: argparse.Namespace, mode: str, program: tuple[str, ...]
) -> ReplayOptions:
    from hil.replay.outcome import ReplayOptions
    from hil.replay.place import place
    from hil.replay.rules import tolerance

    return ReplayOptions(
        mode=mode,
        until=place(run, args.until, "--until"),
        start=place(run, args.start, "--from"),
        break_at=args.break_at,
        step=args.step,
        pace=args.pace or ("real" if program and mode == "play" else "max"),
        transport=args.transport,
        ignore=tuple(args.ignore),
        tolerate=dict(map(tolerance, args.tolerate)),
        program=program,
        out=args.out,
        to=args.to,
        board=args.board,
        channel=args.channel,
        json=args.json,
    )
