"""``hil run``: fly a mission against the emulated bench and judge it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hil.cli import discard_stdout
from hil.cli.progress import Progress
from hil.cli.times import seconds
from hil.options import TRANSPORTS, Options
from hil.outcome import Outcome
from hil.time.fifo import DEFAULT_PRIORITY


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil run``."""
    p = argparse.ArgumentParser(
        prog="hil run",
        description="Fly a mission against the emulated bench and judge it.",
        epilog="Exit codes: 0 verdict good, 1 verdict bad, 2 usage, 3 host not fit, 4 lost. "
        "`hil run -- CMD` runs an unmodified program on the emulated buses instead of the flight "
        "software; `hil run --help --` has its options.",
    )
    add_course_options(p)
    p.add_argument("--transport", choices=TRANSPORTS, default="ipc", help="(default ipc)")
    p.add_argument("--pace", default="max", help="max, real or xN, N times real (default max)")
    add_board_options(p)
    add_capture_options(p)
    p.add_argument(
        "--snapshots",
        metavar="TIME",
        help="keep the whole state every TIME of virtual time (needs --transport direct)",
    )
    p.add_argument("--no-pin", action="store_true", help="do not keep the run on one core")
    add_pace_options(p)
    add_world_options(p)
    p.add_argument("--stall-limit", type=float, default=60.0, metavar="S", help=argparse.SUPPRESS)
    p.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    return p


def add_course_options(p: argparse.ArgumentParser) -> None:
    """Add what is flown: board, mission, seed, duration, faults."""
    p.add_argument("--board", default="raspberrypi4", help="board file, by name or path")
    p.add_argument("--mission", default="tiansuan_bupt1", help="mission profile, by name or path")
    p.add_argument("--seed", type=int, default=1, help="seed of everything random (default 1)")
    p.add_argument("--out", type=Path, help="run directory (default runs/MISSION-NUMBER)")
    p.add_argument(
        "--duration",
        metavar="TIME",
        help="virtual time, in seconds or as '10 min', '1.5 h' (default: profile)",
    )
    p.add_argument(
        "--inference",
        choices=("onnx", "threshold"),
        default="onnx",
        help="onnx: the network; threshold: a one-line rule, no onnxruntime needed",
    )
    p.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ROW",
        help="one fault: kill@1200 (SIGKILL of the flight software, in seconds) or "
        "BUS:KIND,KEY=VALUE,...; repeatable",
    )
    p.add_argument("--faults", type=Path, metavar="FILE", help="a fault plan (TOML)")
    p.add_argument(
        "--umbilical",
        action="store_true",
        help="the link is a cable, up from the beginning to the end, instead of passes",
    )


def add_board_options(p: argparse.ArgumentParser) -> None:
    """Add what a run may be told of real boards."""
    p.add_argument(
        "--lab", type=Path, metavar="FILE", help="the boards there are (default lab.toml, if any)"
    )
    p.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="PART=BOARD",
        help="let a board of the lab, or BOARD:BUS, take the place of a part or a bus; repeatable; "
        "PART=emulated undoes it",
    )
    p.add_argument(
        "--front",
        action="append",
        default=[],
        metavar="PART=BOARD",
        help="let a board of the lab play an emulated I2C part on real wires, where the I2C "
        "controller of another computer reads it; repeatable",
    )
    p.add_argument(
        "--boards-wait",
        type=float,
        default=10.0,
        metavar="S",
        help="how long to wait for boards to be ready; 0: begin without them (default 10)",
    )


def add_pace_options(p: argparse.ArgumentParser) -> None:
    """Add what a run against the wall clock may be told."""
    p.add_argument(
        "--fifo",
        nargs="?",
        type=int,
        const=DEFAULT_PRIORITY,
        default=0,
        metavar="PRIORITY",
        help="run bench and flight software under SCHED_FIFO, memory locked: less late at pace "
        f"real (priority {DEFAULT_PRIORITY} if none is given)",
    )
    p.add_argument(
        "--tell-lateness",
        action="store_true",
        help="at pace real and xN, let the flight software hear how late it is on the wall's clock:"
        " it counts and reports overruns of its rate groups, and runs are no longer the same",
    )


def add_world_options(p: argparse.ArgumentParser) -> None:
    """Add what the world may take of a real payload computer."""
    p.add_argument(
        "--measured-power",
        action="store_true",
        help="let the world draw the power that the payload computer measures of itself "
        "(`flightsw --computer`) in place of the profile's",
    )


def add_capture_options(p: argparse.ArgumentParser) -> None:
    """Add what a run may be told of its capture."""
    p.add_argument(
        "--capture-compression",
        choices=("zstd", "lz4", "none"),
        default="zstd",
        help="of the chunks of the capture (default zstd)",
    )
    p.add_argument(
        "--capture-full",
        choices=("slow", "drop"),
        default="slow",
        help="when the disk is slower than the records come: slow the run, or, at pace real and "
        "xN, drop whole chunks, which is counted (default slow)",
    )
    # To compare with: what recording costs.
    p.add_argument("--no-capture", action="store_true", help=argparse.SUPPRESS)


def options(args: argparse.Namespace) -> Options:
    """Turn parsed arguments into the options of a session."""
    return Options(
        board=args.board,
        mission=args.mission,
        seed=args.seed,
        out=args.out,
        duration_s=None if args.duration is None else seconds(args.duration, "duration"),
        transport=args.transport,
        pace=args.pace,
        inference=args.inference,
        faults=tuple(args.fault),
        plan=args.faults,
        pin=not args.no_pin,
        fifo=args.fifo,
        tell_lateness=args.tell_lateness,
        measured_power=args.measured_power,
        stall_limit_s=args.stall_limit,
        lab=args.lab,
        bind=tuple(args.bind),
        front=tuple(args.front),
        boards_wait_s=args.boards_wait,
        snapshots_s=None if args.snapshots is None else seconds(args.snapshots, "snapshots"),
        capture_compression=args.capture_compression,
        capture_full=args.capture_full,
        capture=not args.no_capture,
        umbilical=args.umbilical,
    )


def main(argv: list[str]) -> int:
    """Fly, print the verdict, return 0 if it is good and 1 if it is bad.

    Behind ``--`` stands a program that is to run on the bench instead.
    """
    if "--" in argv:
        from hil.cli import run_program

        at = argv.index("--")
        return run_program.main(argv[:at], argv[at + 1 :])
    args, rest = parser().parse_known_args(argv)
    if rest:
        hint = "; a program goes behind `--`, as in `hil run -- i2cdetect -y 1`"
        words = " ".join(rest)
        parser().error(f"unrecognized arguments: {words}{'' if rest[0][0:1] == '-' else hint}")
    # Only now: who asks for help or mistypes an option need not wait for the bench to load.
    from hil.session import fly

    progress = Progress(sys.stderr, enabled=not args.quiet and sys.stderr is not None)
    with progress:
        outcome = fly(options(args), progress)
    talk = sys.stderr if args.json else sys.stdout
    try:
        print(summary(outcome), file=talk)
        if args.json:
            print(json.dumps(outcome.as_json(), sort_keys=True))
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody listens any more; the verdict stands
        discard_stdout()
    return 0 if outcome.verdict.good else 1


def summary(outcome: Outcome) -> str:
    """Return what a person wants to read at the end of a run."""
    from hil.capture.recording import told

    lines = outcome.verdict.lines()
    if outcome.missing_roles:
        lines.append(f"note: this board has no part for: {', '.join(outcome.missing_roles)}")
    lines += [f"real: {what}" for what in outcome.boards.get("real", ())]
    lines.append(
        f"flew {outcome.virtual_s:.0f} s in {outcome.wall_s:.1f} s: "
        f"{outcome.real_time_factor:.0f} times real time"
    )
    lines += [f"  {name:<24} {seconds:6.2f} s" for name, seconds in outcome.where_time_goes]
    lines += [told(outcome.lost)] if outcome.lost else []
    lines.append(f"digest {outcome.digest}")
    if outcome.report_error:
        lines.append(f"report could not be written ({outcome.report_error}); the run is whole:")
        lines.append(f"run    {outcome.run_dir}")
    else:
        lines.append(f"report {outcome.run_dir / 'report.html'}")
    lines.append(f"again  {outcome.command}")
    if outcome.boards.get("real"):
        lines.append("       (what was real is not repeated: the digest will differ)")
    elif outcome.lateness_told:
        lines.append("       (the flight software was told how late it was: the digest may differ)")
    elif not outcome.repeatable:
        lines.append(
            "       (the payload computer was stopped from outside: the digest will differ)"
        )
    return "\n".join(lines)
