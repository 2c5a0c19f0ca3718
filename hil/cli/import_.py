"""``hil import``: captures of other tools, and recorded downlink, as a capture of ours."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hil.config import visible
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.capture.importing.making import Made
    from hil.capture.importing.opening import Wish

SECOND = 1_000_000_000
EPILOG = """\
The format shows in the file as a rule; --as says it where it does not: pcapng, pcap, candump, blf,
asc, frames, cadu, cltu, packets, octets. docs/exchange-formats.md is the manual.

  hil import trace.pcapng                              buses as their interfaces are called
  hil import candump-2024-10-07.log --bus can0         all frames on can0
  hil import pass.u8 --channel docs/channels/hera.toml frames of a downlink
  hil import pass.cadu --channel mission.toml --rate 64000
  hil import suda.spl --as packets --packet-prefix 4   packets behind record headers
  hil import imu.bin --as octets --bus ttyAMA1 --rate 115200

Exit codes: 0 imported, 1 a file is damaged (what stood before the damage is kept) or nothing in it
could be imported (no capture is made), 2 wrong usage, 3 the capture cannot be written.
"""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil import``."""
    p = argparse.ArgumentParser(
        prog="hil import",
        description="Make a capture out of what other tools recorded, to replay it here.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("files", type=Path, nargs="+", metavar="FILE", help="one or more, - for stdin")
    p.add_argument("--out", type=Path, metavar="FILE", help="the capture (default: NAME.mcap here)")
    p.add_argument("--as", dest="form", metavar="FORMAT", help="the format, where it does not show")
    p.add_argument("--channel", type=Path, metavar="FILE", help="channel file: what is on the link")
    p.add_argument("--frame-nbytes", type=int, metavar="N", help="octets of a frame")
    p.add_argument("--packet-prefix", type=int, default=0, metavar="N", help="octets before each")
    p.add_argument("--packet-suffix", type=int, default=0, metavar="N", help="octets behind each")
    p.add_argument("--rate", type=rate, metavar="BIT/S", help="how fast, for files without times")
    p.add_argument(
        "--packet-time", metavar="CODE", help="times out of packets, as 'cds 2 2 tai @ 6'"
    )
    p.add_argument("--start", type=moment, metavar="UTC", help="when a file without a date began")
    p.add_argument(
        "--bus",
        action="append",
        default=[],
        metavar="[OLD=]NEW",
        help="what a bus is called in the capture; repeatable",
    )
    p.add_argument(
        "--only", action="append", default=[], metavar="BUS", help="this bus alone; repeatable"
    )
    p.add_argument("--board", metavar="B", help="the board that it will be played on")
    p.add_argument("--json", action="store_true", help="one JSON object on stdout")
    p.add_argument("-q", "--quiet", action="store_true", help="no counters")
    return p


def rate(text: str) -> float:
    """Return a rate in bits a second, as ``64000`` or ``64k``."""
    factor = {"k": 1e3, "M": 1e6}.get(text[-1:], 1.0)
    try:
        value = float(text.rstrip("kM")) * factor
    except ValueError:
        value = 0.0
    if not 1e-3 <= value <= 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate: give bits a second, as 64000 or 1M")
    return value


def moment(text: str) -> int:
    """Return nanoseconds since 1970 of an instant, as ``2024-10-07T16:24:20Z``."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no instant: give it as 2024-10-07T16:24:20Z"
        ) from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    t_ns = (since.days * 86400 + since.seconds) * SECOND + since.microseconds * 1000
    if not 0 <= t_ns < 2**62:
        raise argparse.ArgumentTypeError(f"{text!r}: give an instant after 1970")
    return t_ns


def main(argv: list[str]) -> int:
    """Import; return 0, or 1 if a file is damaged."""
    args = parser().parse_args(argv)
    made = _import(args)
    for name, why in made.damage.items():
        line = f"hil import: {name}: {why}; what stands before it is kept"
        print(visible(line), file=sys.stderr)
    if args.json:
        print(json.dumps(as_json(made), sort_keys=True))
    else:
        print("\n".join(map(visible, lines(made, quiet=args.quiet))))
    return 1 if made.damage else 0


def _import(args: argparse.Namespace) -> Made:
    from hil.capture.importing.making import Choice, make
    from hil.capture.importing.opening import source_of

    wish, attachments = _wish(args)
    about = {"imported": json.dumps([path.name for path in args.files])}
    if args.board is not None:
        from hil.board import load_board

        board = load_board(args.board)
        about["board"] = board.name
        attachments["board.toml"] = board.source.encode()
    with contextlib.ExitStack() as stack:
        sources = [source_of(opened(path, stack), path, wish) for path in args.files]
        about["forms"] = json.dumps([source.form for source in sources])
        out = args.out or Path(f"{_stem(args.files[0])}.mcap")
        if out.is_dir():
            raise UsageError(f"{out}: is a folder; name a file with --out")
        return make(out, sources, _choice(args, Choice), about, attachments, args.start)


def _wish(args: argparse.Namespace) -> tuple[Wish, dict[str, bytes]]:
    """Return how the files are read, and what is stored beside the records."""
    from hil.capture.importing.opening import FORMS, Wish

    if args.form is not None and args.form not in FORMS:
        raise UsageError(f"--as {args.form!r} is no format; there are {', '.join(FORMS)}")
    channel, attachments = None, {}
    if args.channel is not None:
        from hil.channel import load_channel

        channel = load_channel(args.channel)
        attachments["channel.toml"] = args.channel.read_bytes()
    wish = Wish(
        args.form,
        channel,
        args.frame_nbytes,
        args.packet_prefix,
        args.packet_suffix,
        args.rate,
        args.packet_time,
    )
    return wish, attachments


def _choice(args: argparse.Namespace, kind: Any) -> Any:
    names = {}
    for text in args.bus:
        old, _, new = text.rpartition("=")
        if not new or not new.isprintable() or "/" in new or len(new) > 64:
            raise UsageError(f"--bus {text!r}: give the name of a bus, or OLD=NEW")
        names[old] = new
    return kind(names, frozenset(args.only))


def opened(path: Path, stack: contextlib.ExitStack) -> BinaryIO:
    """Return a file to read, or standard input for ``-``."""
    try:
        if str(path) == "-":
            return stack.enter_context(open(0, "rb", closefd=False))
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file to import, or -") from None


def _stem(path: Path) -> str:
    return "stdin" if str(path) == "-" else path.stem


def as_json(made: Made) -> dict[str, Any]:
    """Return what an import came to, for a program."""
    return {
        "capture": str(made.path),
        "records": made.records,
        "epoch_ns": made.epoch_ns,
        "span_s": (made.last_ns - made.first_ns) / SECOND,
        "topics": dict(made.topics),
        "counters": made.counters,
        "damage": made.damage,
    }


def lines(made: Made, quiet: bool) -> list[str]:
    """Return the same for people."""
    span_s = (made.last_ns - made.first_ns) / SECOND
    found = [f"{made.path}: {made.records:,} records, {span_s:,.3f} s"]
    found += [f"  {topic:<24}{count:>12,}" for topic, count in sorted(made.topics.items())]
    for name, counters in made.counters.items():
        told = {k: v for k, v in counters.items() if k != "records"}
        if told and not quiet:
            found += [name, *(f"  {key:<40}{value:>12,}" for key, value in told.items())]
    return found
