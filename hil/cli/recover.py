"""``hil recover``: a whole capture of what a crash or an accident has left of one."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from pathlib import Path

from hil.config import visible
from hil.errors import CaptureError, HilError, UsageError
from hil.rundir import LOCK, LOST, PARTIAL

CAPTURE = "capture.mcap"


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil recover``."""
    p = argparse.ArgumentParser(
        prog="hil recover",
        description="Make a whole capture of one that was never finished, or is damaged: every "
        "chunk that is whole is copied, index and summary are made anew, and what is lost is said.",
        epilog="Exit codes: 0 there is a whole capture, 1 nothing can be recovered, 2 usage, or "
        "nothing is there, 3 the disk does not take it.",
    )
    p.add_argument(
        "path",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a capture, what a crash left of one, or a run directory (NAME.partial, NAME.lost-1)",
    )
    place = p.add_mutually_exclusive_group()
    place.add_argument(
        "--out", type=Path, metavar="FILE", help="(default beside it: NAME, or NAME.recovered.mcap)"
    )
    place.add_argument("--in-place", action="store_true", help="replace the damaged file")
    p.add_argument(
        "--json", action="store_true", help="one JSON array on stdout: what became of each"
    )
    return p


def main(argv: list[str]) -> int:
    """Recover; return 0, or the exit code of the worst that went wrong."""
    args = parser().parse_args(argv)
    if args.out is not None and len(args.path) > 1:
        raise UsageError("--out names one file; give one path, or leave --out away")
    from hil.capture.recover import recover

    told: list[dict[str, object]] = []
    code = 0
    for path in args.path:  # what is wrong with one of them is no reason to leave the others
        try:
            found = capture_in(path)
            check_idle(found)
            done = recover(found, args.out, args.in_place)
        except HilError as error:
            # A capture of which nothing can be had was checked, and has failed.
            code = max(code, 1 if isinstance(error, CaptureError) else error.exit_code)
            told.append({"source": str(path), "error": str(error)})
            print(visible(f"hil recover: {error}"), file=sys.stderr)
        else:
            told.append(done.as_json())
            if not args.json:
                print("\n".join(map(visible, done.lines())), flush=True)
    if args.json:
        print(json.dumps(told, sort_keys=True))
    return code


def capture_in(path: Path) -> Path:
    """Return the capture that ``path`` is or holds; ``UsageError`` if there is none."""
    if path.is_file():
        return path
    for name in (CAPTURE + PARTIAL, CAPTURE):
        if (path / name).is_file():
            return path / name
    if path.is_dir():
        raise UsageError(f"{path}: holds neither {CAPTURE} nor {CAPTURE}{PARTIAL}")
    head = path.name.removesuffix(PARTIAL)
    folder = path.parent.iterdir() if path.parent.is_dir() else ()
    near = sorted(
        other.name
        for other in folder
        if other.name == head + PARTIAL or other.name.startswith(head + LOST)
    )
    hint = f"; there is {', '.join(near)}" if near else ""
    raise UsageError(f"{path}: is not there{hint}")


def check_idle(capture: Path) -> None:
    """Raise CaptureError if a run is still writing the capture."""
    try:
        lock = os.open(capture.parent / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # no lock, no run
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CaptureError(
            f"{capture}: a run is writing it; wait for its end, or follow it with `hil tap`"
        ) from None
    finally:
        os.close(lock)
