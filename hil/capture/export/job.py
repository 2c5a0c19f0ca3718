"""One export from a capture to a file: what is asked for, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hil.capture.export import candump, columns, parquet, vcd
from hil.capture.export.columns import Decodes
from hil.capture.export.naming import Names
from hil.capture.export.notes import Notes
from hil.capture.export.pcapng import SNAPLEN, PcapngWriter
from hil.capture.export.selection import Bound, Selection, bound
from hil.capture.reader import Capture
from hil.errors import HostError, UsageError


class Request(NamedTuple):
    """What is to be written; ``begin`` and ``end`` as a user writes them."""

    form: str
    out: Path | None = None
    topics: tuple[str, ...] = ()
    begin: str | None = None
    end: str | None = None
    snaplen: int | None = None
    is_raw: bool = False
    waveforms: bool = False
    timescale: str | None = None
    #: makes a decoder that has seen nothing yet, and tells what the lines of GPIO chips are called
    decoder: Callable[[], Decodes] | None = None
    lines: Callable[[], Mapping[tuple[str, int], str]] = dict


def export(path: Path, request: Request, tolerant: bool = False) -> list[str]:
    """Export the capture at ``path``; return lines that say what was written and what was not.

    Raises :class:`~hil.errors.UsageError` for what cannot be asked, ``CaptureError`` for a capture
    that cannot be read, :class:`~hil.errors.HostError` for a file that cannot be written.
    """
    begin, end = bound(request.begin, "--from"), bound(request.end, "--until")
    check_other(request.out, path)
    _check_order(begin, end)
    with Capture(path, tolerant=tolerant) as capture:
        selection = Selection(capture, request.topics, begin, end)
        with _destination(request) as file:
            told = _WRITERS[request.form](selection, request, file)
        if damages := capture.damages:
            more = f", and {len(damages) - 1} more" if len(damages) > 1 else ""
            told.append(f"the capture is damaged: {damages[0]}{more}; all else is there")
    return told


def _check_order(begin: Bound, end: Bound) -> None:
    """Raise UsageError for bounds between which nothing can lie."""
    for first, last in ((begin.t_ns, end.t_ns), (begin.seq, end.seq)):
        if first is not None and last is not None and last <= first:
            raise UsageError("--until is not behind --from: nothing lies between; exchange them")


def check_other(out: Path | None, capture: Path) -> None:
    """Raise UsageError if ``out`` is the capture itself: writing would destroy it."""
    if out is not None and out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file with --out")
    if out is not None and out.exists() and capture.exists() and out.samefile(capture):
        raise UsageError(f"{out}: is the capture that is read; choose another --out")


def to_pcapng(selection: Selection, request: Request, file: BinaryIO) -> list[str]:
    """Write pcapng; every record is looked at, so that losses are known in any selection."""
    capture, topics = selection.capture, frozenset(selection.topics)
    names = Names(capture.channels.values())
    faults = [topic for topic in names.topics() if topic == "/fault"]
    snaplen = SNAPLEN if request.snaplen is None else request.snaplen
    if not 0 <= snaplen < 2**31:
        raise UsageError(f"--snaplen {snaplen}: give 0 for whole packets, or octets")
    writer = PcapngWriter(
        file.write,
        names,
        capture.metadata["flatsat"],
        notes=Notes(names, (r for r in capture.records(faults)) if faults else ()),
        wanted=topics.__contains__,
        selection=not selection.is_whole or selection.is_cut_by_time,
        counting=not selection.is_cut_by_time,
        snaplen=snaplen,
    )
    for buffer in selection.buffers(every_topic=True):
        writer.write(buffer)
    writer.finish(capture.metadata)
    told = [f"{name}: {count} packets" for name, count in sorted(writer.counts.items())]
    if writer.lost:
        told.append(f"{writer.lost} records are missing in the capture")
    return told


def to_candump(selection: Selection, request: Request, file: BinaryIO) -> list[str]:
    """Write the CAN frames."""
    capture = selection.capture
    names = Names(capture.channels.values())
    counters = candump.write(selection.buffers(), names, capture.epoch_ns, file.write)
    return [f"{what}: {count}" for what, count in sorted(counters.items())]


def to_vcd(selection: Selection, request: Request, file: BinaryIO) -> list[str]:
    """Write a value change dump."""
    timescale = None if request.timescale is None else request.timescale.replace(" ", "")
    if timescale is not None and timescale not in vcd.TIMESCALES:
        raise UsageError(f"--timescale {timescale!r}: give one of {', '.join(vcd.TIMESCALES)}")
    capture = selection.capture
    writer = vcd.VcdWriter(
        file.write,
        Names(capture.channels.values()),
        request.lines(),
        capture.epoch_ns,
        request.waveforms,
        timescale,
    )
    writer.declare(selection.buffers())
    writer.write(selection.buffers())
    return [f"{what}: {count}" for what, count in sorted(writer.counters.items())]


def to_csv(selection: Selection, request: Request, file: BinaryIO) -> list[str]:
    """Write rows."""
    count, beyond = columns.write(
        selection.buffers,
        Names(selection.capture.channels.values()),
        file.write,
        None if request.is_raw else request.decoder,
        len(selection.topics) == 1,
    )
    told = [f"{count} rows"]
    return told + ([f"{beyond} fields have no column: there were too many"] if beyond else [])


def to_parquet(selection: Selection, request: Request, file: BinaryIO) -> list[str]:
    """Write columns."""
    capture = selection.capture
    count = parquet.write(selection.buffers(), capture.channels.values(), file, capture.epoch_ns)
    return [f"{count} rows"]


_WRITERS: dict[str, Callable[[Selection, Request, BinaryIO], list[str]]] = {
    "pcapng": to_pcapng,
    "candump": to_candump,
    "vcd": to_vcd,
    "csv": to_csv,
    "parquet": to_parquet,
}


@contextmanager
def _destination(request: Request) -> Iterator[BinaryIO]:
    """Open what is written to: a file beside its place, which it takes when whole, or stdout."""
    if request.out is None:
        if sys.stdout.isatty():
            raise UsageError(f"{request.form} to a terminal; give --out FILE, or pipe it on")
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise HostError(
                f"stdout: cannot be written: {error.strerror or error}; make room, or choose "
                "another place with --out"
            ) from None
        return
    out, partial = request.out, request.out.with_name(request.out.name + ".partial")
    if out.exists() and not out.is_file():
        partial = out  # a pipe or a device: it is written as it is
    try:
        with partial.open("wb") as file:
            yield file
        if partial != out:
            partial.replace(out)
    except OSError as error:
        raise HostError(
            f"{out}: cannot be written: {error.strerror or error}; make room, or choose "
            "another --out"
        ) from None
    finally:
        if partial != out:
            with suppress(OSError):  # a place that takes no file has none to remove
                partial.unlink(missing_ok=True)
