"""``hil run -- CMD``: run an unmodified program on the emulated buses."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hil.cli.run import add_board_options, add_capture_options
from hil.cli.times import seconds
from hil.options import Options


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil run -- CMD``."""
    p = argparse.ArgumentParser(
        prog="hil run",
        usage="hil run [options] -- CMD [ARGS ...]",
        description="Run an unmodified program on the emulated buses of a board.",
        epilog="The exit code is that of CMD; 127 if it is not there, 128 + N after signal N.",
    )
    p.add_argument("--board", default="raspberrypi4", help="board file, by name or path")
    p.add_argument("--mission", default="tiansuan_bupt1", help="mission profile: the world")
    p.add_argument("--seed", type=int, default=1, help="seed of everything random (default 1)")
    p.add_argument("--out", type=Path, help="run directory (default runs/MISSION-NUMBER)")
    p.add_argument(
        "--duration",
        metavar="TIME",
        default="6 h",
        help="end after this much virtual time, by SIGTERM (default 6 h)",
    )
    p.add_argument(
        "--pace",
        help="real, xN (and the program's clock), max: bus time is not waited for (default real)",
    )
    p.add_argument(
        "--virtual-time",
        action="store_true",
        help="the program's clock is virtual: sleeping takes no time, every run is the same",
    )
    p.add_argument(
        "--no-pin", action="store_true", help="at a pace other than real: do not share one core"
    )
    p.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ROW",
        help="one fault of a bus: BUS:KIND,KEY=VALUE,...; repeatable",
    )
    p.add_argument("--faults", type=Path, metavar="FILE", help="a fault plan (TOML)")
    add_board_options(p)
    add_capture_options(p)
    p.add_argument(
        "--static",
        action="store_true",
        help="under the supervisor instead of the preload shim; of itself where CMD is static",
    )
    p.add_argument("-q", "--quiet", action="store_true", help="say nothing at the end")
    return p


def main(argv: list[str], command: list[str]) -> int:
    """Run ``command`` and return its exit code."""
    args = parser().parse_args(argv)
    from hil.hosting import host_program

    options = Options(
        board=args.board,
        mission=args.mission,
        seed=args.seed,
        out=args.out,
        duration_s=seconds(args.duration, "duration"),
        faults=tuple(args.fault),
        plan=args.faults,
        pace=args.pace or ("max" if args.virtual_time else "real"),
        virtual_time=args.virtual_time,
        pin=not args.no_pin,
        lab=args.lab,
        bind=tuple(args.bind),
        boards_wait_s=args.boards_wait,
        capture_compression=args.capture_compression,
        capture_full=args.capture_full,
        capture=not args.no_capture,
    )
    ended = host_program(options, command, static=args.static)
    if sys.stderr is not None and not args.quiet and (ended.over or sys.stderr.isatty()):
        why = f": the run of {args.duration} is over (--duration)" if ended.over else ""
        print(
            f"hil run: {command[0]} ended with {ended.code} after {ended.wall_s:.1f} s{why}; "
            f"run {ended.run_dir}",
            file=sys.stderr,
        )
    if sys.stderr is not None and ended.lost:
        from hil.capture.recording import told

        print(f"hil run: {told(ended.lost)}", file=sys.stderr)
    return ended.code
