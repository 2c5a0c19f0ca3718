"""``hil snapshot``: the whole state of a recorded run at intervals, and going to a record."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.cli.times import seconds
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.replay.flown import Flown
    from hil.snapshots.store import Entry

LAST = "last"


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil snapshot``."""
    p = argparse.ArgumentParser(
        prog="hil snapshot",
        description="Keep the whole state of a recorded run at intervals, by flying it once more "
        "beside its capture; then going to any record costs at most one interval.",
        epilog="`hil replay RUN --from N` begins at the nearest snapshot before record N. Exit "
        "codes: 0 good, 2 usage, or a run that cannot be used, 3 the disk does not take it.",
    )
    p.add_argument("run", type=Path, help="the directory of a run of the flight software")
    p.add_argument(
        "--every",
        metavar="TIME",
        help="virtual time between snapshots, in seconds or as '5 min' (default 5 min)",
    )
    what = p.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="say what snapshots there are")
    what.add_argument(
        "--goto",
        metavar="N",
        help="go to record N, or `last`, and print the time that it took and the fingerprint of "
        "the whole state there",
    )
    p.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    p.add_argument("-q", "--quiet", action="store_true", help="say nothing on the way")
    return p


def main(argv: list[str]) -> int:
    """Make, list or use snapshots; return 0."""
    begin_s = time.perf_counter()
    args = parser().parse_args(argv)
    if args.every is not None and (args.list or args.goto is not None):
        raise UsageError("--every is for making snapshots; leave it or the other away")
    from hil.replay.flown import flown

    with flown(args.run) as run:
        if args.goto is not None:
            found, lines = _goto(run, args.goto, begin_s)
        elif args.list:
            found, lines = _list(run)
        else:
            found, lines = _make(run, args)
    print("\n".join(lines), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(found, sort_keys=True))
    return 0


def _make(run: Flown, args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from hil.cli.progress import TimeProgress
    from hil.snapshots.making import EVERY_NS, make

    every_ns = EVERY_NS if args.every is None else round(seconds(args.every, "every") * 1e9)

    is_heard = not args.quiet and sys.stderr is not None
    begin_s = time.perf_counter()
    with TimeProgress(sys.stderr, "flown", run.virtual_s, is_heard and not args.json) as bar:

        def say(entry: Entry) -> None:
            if is_heard:
                bar("")  # the line of a snapshot takes the place of the bar
                print(_line(entry), file=sys.stderr)

        entries = make(run, every_ns, say, bar.at)
    wall_s = time.perf_counter() - begin_s
    nbytes = sum(entry.nbytes + entry.shared_nbytes for entry in entries)
    said = f"{len(entries)} snapshots in {wall_s:.1f} s, {nbytes / 1e6:.2f} MB, on the line that "
    return _object(run, entries, wall_s), [said + "was recorded"]


def _list(run: Flown) -> tuple[dict[str, Any], list[str]]:
    from hil.provenance import differences
    from hil.snapshots.store import ELSEWHERE, Store, facts

    with Store(run.path, None) as store:
        lines = [_line(entry) for entry in store.entries]
        differing = differences(store.made_by, facts())
        differing += [] if store.is_mine else [ELSEWHERE]
        if differing:
            lines.append(f"of no use here, make them anew: {'; '.join(differing)}")
        found = _object(run, store.entries) | {"differs": differing}
    return found, lines or ["no snapshots"]


def _goto(run: Flown, wanted: str, begin_s: float) -> tuple[dict[str, Any], list[str]]:
    from hil.capture.reader import Capture
    from hil.snapshots import fingerprint
    from hil.snapshots.going import go

    with (
        tempfile.TemporaryDirectory(prefix="flatsat-", ignore_cleanup_errors=True) as folder,
        Capture(run.capture, tolerant=not run.whole) as capture,
    ):
        last = capture.last_seq
        if last is None:
            raise UsageError(f"{run.path}: the capture holds no record")
        if wanted != LAST and not wanted.isdecimal():
            raise UsageError(f"--goto {wanted}: give the number of a record, or {LAST}")
        seq = last if wanted == LAST else int(wanted)
        if seq > last:
            raise UsageError(f"--goto {seq}: the last record of the run is number {last}")
        there = go(run, capture, seq, Path(folder))
        mark = fingerprint(there.stepped.rig).hex()
        wall_s = time.perf_counter() - begin_s
        found = {
            "seq": seq,
            "made": there.stepped.seq,
            "t_ns": there.stepped.now_ns,
            "from": there.start,
            "snapshot": there.snapshot,
            "fingerprint": mark,
            "wall_s": round(wall_s, 3),
        }
    start = f"from {there.snapshot} at record {there.start}" if there.snapshot else "from the start"
    said = f"record {seq} at {there.stepped.now_ns / 1e9:.6f} s, {start}, in {wall_s:.2f} s"
    return found, [*there.notes, said, f"fingerprint {mark}"]


def _line(entry: Entry) -> str:
    shared = f" and {entry.shared_nbytes / 1e3:.0f} kB shared" if entry.shared_nbytes else ""
    size = f"{entry.nbytes / 1e3:.0f} kB{shared}"
    return f"{entry.file}  {entry.t_ns / 1e9:10.3f} s  before record {entry.seq:<8}  {size}"


def _object(run: Flown, entries: list[Entry], wall_s: float | None = None) -> dict[str, Any]:
    rows = [
        {name: getattr(e, name) for name in ("file", "seq", "t_ns", "digest", "nbytes")}
        | {"state_nbytes": e.state_nbytes, "shared_nbytes": e.shared_nbytes}
        for e in entries
    ]
    found: dict[str, Any] = {"run": str(run.path), "snapshots": rows}
    return found if wall_s is None else found | {"wall_s": round(wall_s, 3)}
