"""Unmodified programs on the buses of a bench on which nobody flies, in virtual time."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hil.errors import ExpectationError, UsageError
from hil.faces.beside import record_beside
from hil.faces.computer_tables import COMPUTERS
from hil.hosting import Face, serve
from hil.testing.bench.buses import Transaction
from hil.testing.bench.log import seconds

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

#: so much of what a program says is shown where it was not in time
_SHOWN = 2000


@dataclass(frozen=True)
class Ran:
    """How a program ended: exit code as a shell has it, what it said, what it did to the buses."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    #: virtual time that it took
    took_ns: int
    bench: Bench = field(repr=False)
    _first: int = 0

    def transactions(self, bus: str) -> list[Transaction]:
        """Return what it did on a bus."""
        return [one for one in self.bench.bus(bus).seen() if one.number >= self._first]


def run_program(bench: Bench, argv: Sequence[str], within: int) -> Ran:
    """Run a program to its end; return how it ended. Raises what :meth:`Bench.program` does."""
    if bench.options.flight_name != "none":
        raise UsageError(
            f"{bench.options.flight_name} flies and has the buses; a program has them with "
            'flight="none"'
        )
    if not argv:
        raise UsageError("no program: give its words, such as ['i2cdetect', '-y', '1']")
    words = [str(word) for word in argv]
    computer = bench.emulation.board.computer
    # A Jetson brings programs of its own, which this host has not.
    has_more = computer is not None and COMPUTERS[computer].jetson
    if not has_more and shutil.which(words[0]) is None:
        raise UsageError(
            f"program {words[0]!r} is not there, or may not be executed: give its path, or build it"
        )
    face = Face.of(words)
    if face.static:
        raise UsageError(f"{words[0]} is a static program: virtual time does not reach it")
    rig, begun_ns = bench.emulation, bench.now_ns
    bench.act("PROGRAM", argv=words)
    first = rig.stream.count
    exchange = rig.exchange
    before_ns = exchange.end_ns
    exchange.end_ns = min(begun_ns + int(within), before_ns)
    options = replace(bench.options.as_options, virtual_time=True, pace="max", bind=())
    beside = partial(record_beside, record=rig.stream.record)
    watch = rig.watch
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            streams = out.fileno(), err.fileno()
            ended = serve(rig, options, words, face, Path(), None, beside, *streams)
        finally:
            rig.watch = watch
            if before_ns > bench.now_ns:
                # Its time is over, and that of the bench is not.
                exchange.over = False
                exchange.end_ns = before_ns
        stdout, stderr = _text(out), _text(err)
    for number in ended.signals:
        signal.raise_signal(number)  # the program has had it: it was meant for the test as well
    took_ns = bench.now_ns - begun_ns
    if ended.over:
        said = "".join(
            f"\n{name}:\n{text[-_SHOWN:]}"
            for name, text in (("stdout", stdout), ("stderr", stderr))
            if text
        )
        raise ExpectationError(
            f"program {words[0]} was ended: it did not within {seconds(int(within))} of virtual "
            f"time{said}\n{bench.state()}"
        )
    return Ran(tuple(words), ended.code, stdout, stderr, took_ns, bench, first)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
