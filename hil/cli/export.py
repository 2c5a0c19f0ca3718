"""``hil export CAPTURE``: a capture in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.rundir import PARTIAL

if TYPE_CHECKING:
    from hil.replay.decode import Decoder

#: endings of file names -> format
ENDINGS: Mapping[str, str] = {
    ".pcapng": "pcapng",
    ".log": "candump",
    ".vcd": "vcd",
    ".csv": "csv",
    ".parquet": "parquet",
}
FORMATS = tuple(dict.fromkeys(ENDINGS.values()))

EXAMPLES = """examples:
  hil export runs/tiansuan_bupt1-0001 --out flight.pcapng    for Wireshark
  hil export RUN --to candump --topic can0 --out can0.log    for can-utils
  hil export RUN --to vcd --topic gpiochip0 --out lines.vcd  for GTKWave
  hil export RUN --to csv --topic i2c-1 --from 300 --until "6 min" --out i2c.csv
  hil export RUN --to pcapng --from seq=4000 | tshark -r -

CAPTURE is a capture, or the directory of a run. Without --out it goes to stdout.
A topic is /bus/i2c-1, or its name i2c-1, or a pattern: '/bus/*'. Times are virtual.

Exit codes: 0 good, 2 usage, or a capture that cannot be read, 3 the file cannot be written."""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil export``."""
    p = argparse.ArgumentParser(
        prog="hil export",
        usage="hil export CAPTURE [--to FORMAT] [--out FILE] [options]",
        description="Write a capture in the format of another tool.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("capture", type=Path, help="capture, or the directory of a run")
    add("--to", choices=FORMATS, help="format (default: as the name of --out says)")
    add("--out", type=Path, metavar="FILE", help="file to write (default: stdout)")
    add("--topic", action="append", default=[], metavar="T", help="only these; repeatable")
    add("--from", dest="begin", metavar="T", help="begin: seconds, 5.5 min, or seq=4711")
    add("--until", dest="end", metavar="T", help="end, not included: the same")
    add("--snaplen", type=int, metavar="N", help="pcapng: octets kept of a packet, 0: all")
    add("--waveforms", action="store_true", help="vcd: draw serial lines bit by bit")
    add("--timescale", metavar="T", help="vcd: round times to 1us, 100ns... (default: exact)")
    add("--raw", action="store_true", help="csv: fields of the record only, nothing decoded")
    add("--tolerant", action="store_true", help="leave out what is damaged, and say so")
    return p


def main(argv: list[str]) -> int:
    """Write what is asked for."""
    args = parser().parse_args(argv)
    form = args.to or guessed(args.out)
    from hil.capture.export.job import Request, export
    from hil.tapping import is_flying

    path = capture_file(args.capture)
    if not args.tolerant and path.name.endswith(PARTIAL) and is_flying(path.parent):
        raise UsageError(
            f"{args.capture}: the run still flies; `hil tap {args.capture}` reads it now, "
            "--tolerant what was recorded so far"
        )
    request = Request(
        form=form,
        out=args.out,
        topics=tuple(args.topic),
        begin=args.begin,
        end=args.end,
        snaplen=args.snaplen,
        is_raw=args.raw,
        waveforms=args.waveforms,
        timescale=args.timescale,
        decoder=lambda: decoder_of(path),
        lines=lambda: lines_of(path),
    )
    told = export(path, request, tolerant=args.tolerant)
    for line in told:
        print(line, file=sys.stderr)
    return 0


def decoder_of(path: Path) -> Decoder:
    """Return a decoder for a capture, with the board and mission that it stored."""
    from hil.replay.decode import Decoder
    from hil.replay.flown import flown

    with flown(path) as found:
        names = {spec.index: spec.name for spec in found.board.buses}
        return Decoder(found.board, found.mission, names)


def lines_of(path: Path) -> dict[tuple[str, int], str]:
    """Return what the board file calls the lines of its GPIO chips: the part and its pin."""
    from hil.replay.flown import flown

    with flown(path) as found:
        return {
            (pin.bus, pin.line): f"{part.name}.{pin.name}"
            for part in found.board.parts
            for pin in part.pins
        }


def guessed(out: Path | None) -> str:
    """Return the format that the name of a file says; raises UsageError if it says none."""
    if out is None:
        raise UsageError(f"--to: which format? One of {', '.join(FORMATS)}")
    form = ENDINGS.get(out.suffix.lower())
    if form is None:
        raise UsageError(
            f"{out}: the name says no format; give --to, or end it in {', '.join(ENDINGS)}"
        )
    return form


def capture_file(path: Path) -> Path:
    """Return the capture that a path means: the file, or that of a run's directory."""
    begun = path.parent / (path.name + PARTIAL)
    if not path.exists() and begun.is_dir():
        path = begun  # the run has not come to its end
    if not path.is_dir():
        return path
    for name in ("capture.mcap", "capture.mcap.partial"):
        if (path / name).exists():
            return path / name
    raise UsageError(f"{path}: holds no capture.mcap; give a capture or the directory of a run")
