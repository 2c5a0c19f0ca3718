"""``hil codec``: decode a file of bits, frames or packets by a channel description."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.layout import LayoutError
from flightsw.codec.errors import CodecError
from flightsw.codec.stream.channel import Channel
from flightsw.codec.stream.stream import CHUNK_NBYTES, Batch, Part, Stream
from flightsw.codec.xtce.channel import channel_xtce
from hil.channel import PACKET, load_channel
from hil.cli import counters
from hil.cli.progress import ByteProgress
from hil.cli.unitfiles import UnitFiles
from hil.errors import UsageError
from hil.tables import (
    Column,
    Columns,
    CsvTables,
    ParquetTables,
    Tables,
    as_json,
    columns_of,
    objects_of,
)

EPILOG = """\
CHANNEL is a TOML file that lists the stages, from the marker to the fields of packets: its manual
is docs/channel-file.md, and docs/channels/ holds examples. On stdout come the counters of every
stage that are not 0, with a ! where something was lost, wrong or skipped; with --json the packets.

  hil codec mars.toml frames.bin                       what is in it: counters
  hil codec mars.toml frames.bin --csv out/            packets.csv, and one CSV a layout
  hil codec mars.toml frames.bin --json | jq .apid     one object a packet, the counters last
  hil codec mars.toml frames.bin --apid 9 --packets p  the packets of one APID, as they came
  nc station 5000 | hil codec mars.toml - --json       from a pipe, as it comes
  hil codec mars.toml --xtce mars.xml                  for Yamcs and its like; nothing is decoded

Exit codes: 0 decoded, 1 something bears a ! and --strict was given, 2 wrong usage or description,
3 an output cannot be written, 130 interrupted (what was decoded until then is written).
"""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil codec``."""
    p = argparse.ArgumentParser(
        prog="hil codec",
        description="Decode a file of bits, frames or packets by a channel description.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("channel", type=Path, metavar="CHANNEL", help="channel description, TOML")
    p.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="what to decode, - for standard input"
    )
    p.add_argument("--json", action="store_true", help="packets on stdout, an object a line")
    p.add_argument("--csv", type=Path, metavar="DIR", help="write packets.csv and LAYOUT.csv")
    p.add_argument("--parquet", type=Path, metavar="DIR", help="the same as Parquet files")
    p.add_argument("--packets", type=Path, metavar="FILE", help="write the packets' own octets")
    p.add_argument(
        "--units",
        type=Path,
        metavar="DIR",
        help="write what is no packet: vcN.bin, the octets of each channel's units",
    )
    p.add_argument("--apid", type=apids, metavar="N,...", help="give only packets of these APIDs")
    p.add_argument("--hex", action="store_true", help="each packet's octets too, as hexadecimal")
    p.add_argument(
        "--calibrated", action="store_true", help="engineering units and labels instead of raw"
    )
    p.add_argument(
        "--xtce", type=Path, metavar="FILE", help="write the channel's packets as an XTCE document"
    )
    p.add_argument("--strict", action="store_true", help="exit 1 if anything bears a !")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no hints")
    return p


def apids(text: str) -> frozenset[int]:
    """Return APIDs from ``5,0x10``."""
    try:
        found = frozenset(int(word, 0) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas") from None
    if not all(0 <= apid <= 2047 for apid in found):
        raise argparse.ArgumentTypeError(f"{text!r}: an APID is 0 to 2047")
    return found


def main(argv: list[str]) -> int:
    """Decode a file; return the exit code."""
    options = parser()
    args = options.parse_args(argv)
    if args.file is None and args.xtce is None:
        options.error("the following arguments are required: FILE, or - for standard input")
    if args.file and args.file.suffix == ".toml" and args.channel.suffix != ".toml":
        raise UsageError(f"the channel comes first: hil codec {args.file} {args.channel}")

    channel = load_channel(args.channel)
    try:
        stream = Stream(channel)
    except CodecError as wrong:  # stages that do not go together
        raise UsageError(f"{args.channel}: {wrong}") from None
    try:
        return _run(channel, stream, args)
    except CodecError as wrong:  # bits that are none
        raise UsageError(f"{args.file}: {wrong}") from None


def _run(channel: Channel, stream: Stream, args: argparse.Namespace) -> int:
    if args.xtce:
        _export(channel, args.xtce)
    if args.file is None:
        return 0
    job = _Job(stream, args)
    try:
        with contextlib.ExitStack() as stack:
            job.run(stack)
    except KeyboardInterrupt:  # the way out of a pipe that does not end by itself
        job.report()
        raise
    return job.report()


def _export(channel: Channel, path: Path) -> None:
    try:
        text = channel_xtce(channel)
    except LayoutError as wrong:
        raise UsageError(f"--xtce: {wrong}") from None
    with _created(path) as file:
        file.write(text.encode())


class _Job:
    """One input through one stream to every output that was asked for."""

    def __init__(self, stream: Stream, args: argparse.Namespace) -> None:
        self.stream, self.args = stream, args
        self.channel: Channel = stream.channel
        self.number = 0
        self.tables: list[Tables] = []
        self.packets: BinaryIO | None = None
        self.units: UnitFiles | None = None

    def run(self, stack: contextlib.ExitStack) -> None:
        """Decode everything."""
        args = self.args
        file, total = _opened(args.file, stack)
        if args.packets:
            self.packets = stack.enter_context(_created(args.packets))
        if args.units:
            self.units = stack.enter_context(UnitFiles(args.units))
        if args.csv:
            self.tables.append(stack.enter_context(CsvTables(args.csv)))
        if args.parquet:
            self.tables.append(stack.enter_context(ParquetTables(args.parquet)))
        self._begin()
        bar = stack.enter_context(ByteProgress(sys.stderr, total, enabled=not args.quiet))
        for batch in self.stream.read(file, CHUNK_NBYTES):
            self._take(batch)
            bar.read(self.stream.octets)

    def _begin(self) -> None:
        """Make every table, so that one without rows is there too."""
        if not self.tables:
            return
        self._write("packets", self._packet_columns(self.stream.feed(b"")))
        nothing = np.empty(0, np.uint64)
        for rule in self.channel.rules:
            lengths = None if rule.layout.fixed else nothing
            empty = rule.layout.decode_columns(b"", offsets=nothing, lengths=lengths)
            self._write(rule.name, self._layout_columns(nothing, empty))

    def _take(self, batch: Batch) -> None:
        args = self.args
        chosen = np.arange(len(batch))
        if args.apid:
            chosen = np.flatnonzero(np.isin(batch.packets.apid, list(args.apid)))
        if self.packets:
            self.packets.write(batch.packets.select(where=chosen).gather())
        if self.units and batch.units is not None:
            self.units.write(batch.units)
        if self.tables or args.json:
            packets = [c.take(chosen) for c in self._packet_columns(batch)]
            layouts = {name: self._chosen(part, chosen) for name, part in batch.columns.items()}
            for name, columns in {"packets": packets, **layouts}.items():
                self._write(name, columns)
            if args.json:
                _print_packets(packets, layouts)
        self.number += len(batch)

    def _write(self, name: str, columns: Columns) -> None:
        for table in self.tables:
            table.write(name, columns)

    def _chosen(self, part: Part, chosen: npt.NDArray[np.int64]) -> Columns:
        """Return the rows of a layout that are good, and of chosen packets."""
        keep = np.flatnonzero(part.columns.good & np.isin(part.rows, chosen))
        return [c.take(keep) for c in self._layout_columns(part.rows, part.columns)]

    def _layout_columns(self, rows: npt.NDArray[Any], decoded: Any) -> list[Column]:
        """Return a layout's columns behind ``packet``, the number of a row's packet."""
        number = Column(PACKET, rows.astype(np.int64) + self.number)
        return [number, *columns_of(decoded, calibrated=self.args.calibrated)]

    def _packet_columns(self, batch: Batch) -> list[Column]:
        """Return what is known of every packet."""
        table = batch.packets
        found = [Column(PACKET, np.arange(self.number, self.number + len(batch)))]
        if self.channel.frames:
            found += [Column("vcid", batch.vcid), Column("frame", batch.frame)]
        found += [
            Column("apid", table.apid),
            Column("telecommand", table.telecommand),
            Column("seq", table.seq),
            Column("nbytes", table.nbytes),
            Column("lost_before", batch.sequence.missing),
            Column("good", batch.good),
        ]
        if batch.pus is not None:
            there = batch.pus.good
            names = ("service", "subtype", "t_ns")
            found += [Column(name, getattr(batch.pus, name), there) for name in names]
        if self.args.hex:
            texts = np.empty(len(batch), object)
            texts[:] = [bytes(piece).hex() for piece in table.pieces()]
            found.append(Column("octets", texts))
        return found

    def report(self) -> int:
        """Print the counters and, beside them, hints; return the exit code."""
        found = self.stream.counters
        print(as_json({"counters": found}) if self.args.json else counters.summary(found))
        if not self.args.quiet:
            lines = list(counters.written(self.units.nbytes, "octets")) if self.units else []
            lines += [
                line for table in self.tables for line in counters.written(table.rows, "rows")
            ]
            lines += [
                f"hint: {hint}"
                for hint in (
                    *counters.hints(self.channel, found, self.stream.reasons),
                    *counters.apid_hints(self.args.apid or (), found),
                )
            ]
            print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
        return 1 if self.args.strict and counters.trouble(found) else 0


def _opened(path: Path, stack: contextlib.ExitStack) -> tuple[BinaryIO, int | None]:
    """Return the input, unbuffered so that a pipe is read as it comes, and its size if known."""
    try:
        if str(path) == "-":
            return stack.enter_context(open(0, "rb", buffering=0, closefd=False)), None
        file = stack.enter_context(path.open("rb", buffering=0))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file to decode, or -") from None
    return file, path.stat().st_size if path.is_file() else None


def _created(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give the name of a new file") from None


def _print_packets(packets: Columns, layouts: dict[str, Columns]) -> None:
    """Print one object a packet, with the fields of each layout that took it."""
    fields: dict[int, dict[str, Any]] = {}
    for name, (numbers, *columns) in layouts.items():
        for number, values in zip(numbers.cells(), objects_of(columns), strict=True):
            fields.setdefault(number, {})[name] = values
    lines = []
    for packet in objects_of(packets):
        if packet[PACKET] in fields:
            packet["layouts"] = fields[packet[PACKET]]
        lines.append(as_json(packet) + "\n")
    sys.stdout.writelines(lines)
    sys.stdout.flush()
