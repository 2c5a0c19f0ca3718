"""``hil codec``: decode a file of bits, frames or packets by a channel description."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from flightsw.codec.stream import CHUNK_NBYTES, Batch, Stream
from hil.channel import load_channel
from hil.cli.progress import ByteProgress
from hil.errors import UsageError
from hil.tables import Cells, CsvTables, ParquetTables, cells_of, rows_of, without

EPILOG = """\
CHANNEL is a TOML file that lists the stages, from the marker to the fields of packets; its manual
is docs/codec.md. Without an option that asks for data, the counters of every stage are printed.

  hil codec mars.toml frames.bin                     what is in it: counters
  hil codec mars.toml frames.bin --csv out/          one CSV a layout, and packets.csv
  hil codec mars.toml frames.bin --json | jq .apid   one object a packet, the counters last
  cat frames.bin | hil codec mars.toml -             from a pipe

Exit codes: 0 decoded, 1 octets were left or checks failed and --strict was given, 2 usage.
"""
#: Counters that mean that something in the input was not as it should be.
TROUBLE = (
    *("bad_", "failed_", "skipped_", "lost", "gaps", "unaligned_", "octets_left", "wrong_length"),
    *("refused", "broken_", "overlong_", "aborted_", "undecodable", "foreign_", "no_slot_"),
    *("no_pus_", "not_packets", "pointer_errors", "oversize_", "checks_failed", "locks_lost"),
)


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil codec``."""
    p = argparse.ArgumentParser(
        prog="hil codec",
        description="Decode a file of bits, frames or packets by a channel description.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("channel", type=Path, help="channel description, TOML")
    p.add_argument("file", type=Path, help="what to decode, - for standard input")
    p.add_argument("--json", action="store_true", help="objects on stdout: packets, then counters")
    p.add_argument("--csv", type=Path, metavar="DIR", help="write one CSV a layout")
    p.add_argument("--parquet", type=Path, metavar="DIR", help="write one Parquet file a layout")
    p.add_argument(
        "--packets", type=Path, metavar="FILE", help="write the packets, one behind other"
    )
    p.add_argument("--calibrated", action="store_true", help="engineering units instead of raw")
    p.add_argument("--strict", action="store_true", help="exit 1 if anything was lost or skipped")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str]) -> int:
    """Decode a file; return the exit code."""
    args = parser().parse_args(argv)
    stream = Stream(load_channel(args.channel))
    with contextlib.ExitStack() as stack:
        tables = [
            stack.enter_context(kind(folder))
            for kind, folder in ((CsvTables, args.csv), (ParquetTables, args.parquet))
            if folder is not None
        ]
        packets = stack.enter_context(_created(args.packets)) if args.packets else None
        file, total = _opened(args.file, stack)
        bar = stack.enter_context(ByteProgress(sys.stderr, total, enabled=not args.quiet))
        number = 0
        for batch in stream.read(file, CHUNK_NBYTES):
            decoded = _decoded(batch, number, args) if tables or args.json else {}
            for table in tables:
                table.write("packets", _packet_cells(batch, number))
                for name, cells in decoded.items():
                    table.write(name, cells)
            if args.json:
                _print_packets(batch, number, decoded)
            if packets:
                packets.write(batch.packets.gather())
            number += len(batch)
            bar(stream.octets)
    counters = stream.counters
    if args.json:
        print(json.dumps({"counters": counters}))
    else:
        print(summary(counters))
    return 1 if args.strict and trouble(counters) else 0


def _opened(path: Path, stack: contextlib.ExitStack) -> tuple[BinaryIO, int | None]:
    """Return the input and its size, if that is known."""
    if str(path) == "-":
        return sys.stdin.buffer, None
    try:
        file = stack.enter_context(path.open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file to decode, or -") from None
    return file, path.stat().st_size if path.is_file() else None


def _created(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give the name of a new file") from None


def _packet_cells(batch: Batch, number: int) -> dict[str, list[Any]]:
    """Return what is known of every packet."""
    table = batch.packets
    cells = {
        "packet": list(range(number, number + len(batch))),
        "vcid": batch.vcid.tolist(),
        "frame": batch.frame.tolist(),
        "apid": table.apid.tolist(),
        "telecommand": table.telecommand.tolist(),
        "seq": table.seq.tolist(),
        "nbytes": table.nbytes.tolist(),
        "lost_before": batch.sequence.missing.tolist(),
        "good": batch.good.tolist(),
    }
    if batch.pus is not None:
        there = batch.pus.good.tolist()
        for name in ("service", "subtype", "t_ns"):
            values = getattr(batch.pus, name).tolist()
            cells[name] = [v if has else None for v, has in zip(values, there, strict=True)]
    return cells


def _decoded(batch: Batch, number: int, args: argparse.Namespace) -> dict[str, Cells]:
    """Return the rows of each layout; ``packet`` counts from the start of the input."""
    return {
        name: without(
            {"packet": (part.rows + number).tolist()}
            | cells_of(part.columns, calibrated=args.calibrated),
            part.columns.faults,
        )
        for name, part in batch.columns.items()
    }


def _print_packets(batch: Batch, number: int, decoded: dict[str, Cells]) -> None:
    """Print one object a packet, with the fields of each layout that took it."""
    fields: dict[int, dict[str, Any]] = {}
    for name, cells in decoded.items():
        for values in rows_of(cells):
            fields.setdefault(values.pop("packet"), {})[name] = values
    for packet in rows_of(_packet_cells(batch, number)):
        if packet["packet"] in fields:
            packet["layouts"] = fields[packet["packet"]]
        print(json.dumps(packet))


def summary(counters: dict[str, dict[str, int]]) -> str:
    """Return the counters that are not 0, a stage a paragraph; trouble bears a mark."""
    apids = {name[5:]: values for name, values in counters.items() if name.startswith("apid ")}
    stages = {name: values for name, values in counters.items() if not name.startswith("apid ")}
    return "\n".join([*_paragraphs(stages), *_apid_lines(apids)])


def _paragraphs(counters: dict[str, dict[str, int]]) -> Iterator[str]:
    for stage, values in counters.items():
        there = {name: value for name, value in values.items() if value}
        if there:
            yield stage
            for name, value in there.items():
                mark = "  !" if is_trouble(name) else ""
                yield f"  {name:<24}{value:>16,}{mark}"


def _apid_lines(apids: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield a table, one line an APID, with the columns in which there is anything."""
    names = [
        name
        for name in next(iter(apids.values()), {})
        if any(values[name] for values in apids.values())
    ]
    if names:
        yield "apid    " + "".join(f"{name:>12}" for name in names)
    for apid, values in apids.items():
        yield f"{apid:<8}" + "".join(f"{values[name] or '-':>12}" for name in names)


def is_trouble(name: str) -> bool:
    """Tell whether a counter that is not 0 means that something was lost, wrong or skipped."""
    return name.startswith(TROUBLE) or name.endswith(("_lost_frames", "_gaps"))


def trouble(counters: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return those counters, as ``stage: name``."""
    return {
        f"{stage}: {name}": value
        for stage, values in counters.items()
        for name, value in values.items()
        if value and is_trouble(name)
    }
