"""``hil tap``: packets of a run while it flies, for Wireshark, or decoded lines."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hil.config import visible
from hil.errors import HostError, UsageError

if TYPE_CHECKING:
    from hil.capture.follow import Follower
    from hil.replay.decode import Decoder
    from hil.tapsinks import LineSink, PacketSink

EXAMPLES = """examples:
  hil tap | wireshark -k -i -             the newest run, live
  hil tap --wait | tshark -i -            the next run that begins
  hil tap runs/tiansuan_bupt1-0007 --topic can0 --out can0.pcapng
  hil tap --decode --topic '/bus/*' --filter 'status != 0'
  hil tap --decode --json | jq .          one object a record
  hil tap --install-wireshark             dissector, and "FlatSat bench" among the interfaces

The capture that the run writes is the buffer: a reader that stalls never slows the run. RUN may
also be over: all of it comes, and then the end.

Exit codes: 0 the run has ended, 1 it was cut off, 2 usage, or no capture, 3 cannot be written."""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil tap``."""
    p = argparse.ArgumentParser(
        prog="hil tap",
        usage="hil tap [RUN|CAPTURE] [options]",
        description="Hand on the records of a run while it flies, as pcapng or as lines.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("run", nargs="?", type=Path, help="run or capture (default: the run that began last)")
    add(
        "--runs",
        type=Path,
        metavar="DIR",
        help="only runs in this folder (default: runs/, else any)",
    )
    add("--wait", action="store_true", help="wait for a run to begin")
    add("--out", type=Path, metavar="FILE", help="file or named pipe (default: stdout)")
    add("--topic", action="append", default=[], metavar="T", help="only these; repeatable")
    add("--filter", metavar="EXPR", help="only records like this: 'status != 0 and t > 300'")
    add("--snaplen", type=int, metavar="N", help="octets kept of a packet, 0: all")
    add("--decode", action="store_true", help="lines for people instead of packets")
    add("--json", action="store_true", help="with --decode: one object a record")
    add("--quiet", "-q", action="store_true", help="no counts at the end")
    return p


def main(argv: list[str]) -> int:
    """Hand on records until the run is over."""
    from hil.cli import tap_wireshark

    if tap_wireshark.is_meant(argv):
        return tap_wireshark.main(argv)
    args = parser().parse_args(argv)
    if args.json and not args.decode:
        raise UsageError("--json: goes with --decode; packets have a format of their own")
    return tap(args)


def tap(args: argparse.Namespace) -> int:
    """Do what the options say; return the exit code."""
    # Only now: who asks for help need not wait for the decoder to load.
    from hil import tapasked, tapping
    from hil.capture.export.job import check_other
    from hil.capture.follow import Follower
    from hil.cli import export

    if args.out is None and not args.decode and sys.stdout.isatty():
        raise UsageError("packets to a terminal: `hil tap | wireshark -k -i -`, --decode or --out")
    path = source(args)
    check_other(args.out, path)
    is_over = tapasked.check(path, args.topic, args.filter, lambda: export.decoder_of(path))
    with Follower(path) as follower, destination(args.out) as descriptor:
        sink = sink_of(args, descriptor)
        try:
            tapping.follow(follower, sink, tapping.pause([descriptor]))
        finally:
            # Of a file that could not even be begun there is nothing to count.
            begun = bool(follower.channels) or sys.exc_info()[0] is None
            if not args.quiet and begun and sys.exc_info()[0] is not BrokenPipeError:
                tell(sink, path)
    if is_over and sink.unmet:
        raise UsageError("; ".join(sink.unmet))
    return 0


def source(args: argparse.Namespace) -> Path:
    """Return the capture to follow."""
    from hil import tapping

    wait = tapping.pause([]) if args.wait else None
    if args.run is None:
        is_waiting = args.wait and not args.quiet and not tapping.growing(args.runs)
        if is_waiting:
            print("waiting for a run to begin", file=sys.stderr, flush=True)
        path = tapping.newest(args.runs, wait)
        if is_waiting:
            print(f"{tapping.run_name(path)} has begun", file=sys.stderr, flush=True)
        return path
    while True:
        try:
            return tapping.capture_of(args.run)
        except UsageError:
            if wait is None:
                raise
            wait()


def sink_of(args: argparse.Namespace, descriptor: int) -> LineSink | PacketSink:
    """Return what makes of records what was asked for."""
    from hil.capture.export.pcapng import SNAPLEN
    from hil.tapsinks import Filter, LineSink, PacketSink

    def put(octets: bytes) -> None:
        view = memoryview(octets)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            where = args.out or "stdout"
            raise HostError(
                f"{where}: cannot be written: {error.strerror}; make room, or choose another --out"
            ) from None

    def put_text(text: str) -> None:
        put(text.encode())

    condition = None if args.filter is None else Filter(args.filter)
    if args.decode:
        return LineSink(
            put_text, decoder_of, topics=args.topic, condition=condition, as_json=args.json
        )
    snaplen = SNAPLEN if args.snaplen is None else args.snaplen
    if not 0 <= snaplen < 2**31:
        raise UsageError(f"--snaplen {snaplen}: give 0 for whole packets, or octets")
    return PacketSink(put, decoder_of, topics=args.topic, condition=condition, snaplen=snaplen)


def decoder_of(follower: Follower) -> Decoder:
    """Return the decoder for what a run records, with the board and mission that it stored."""
    from hil.cli import export
    from hil.tapping import now_at

    return export.decoder_of(now_at(follower.path))


@contextmanager
def destination(out: Path | None) -> Iterator[int]:
    """Open what is written to; a named pipe waits for its reader."""
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.fileno()
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(f"{out}: cannot be written: {error.strerror}; choose another") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def tell(sink: LineSink | PacketSink, path: Path) -> None:
    """Say on stderr what came and what was lost."""
    from hil.tapping import run_name

    counts = sink.counts
    lost = f"{sink.lost} lost" if sink.lost else "none lost"
    each = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    head = f"{sum(counts.values())} records seen, {lost}, {sink.written} written"
    for line in [f"{head}, of {run_name(path)}: {each or 'nothing'}", *sink.unmet]:
        print(visible(line), file=sys.stderr)
