"""A foreign program once more on the same rig: what it asked for, and what it was told."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import partial

from flightsw.codec.wire import Flag, Kind, unpack_all
from hil.config import one_line
from hil.errors import UsageError
from hil.faces.beside import record_beside
from hil.faults.plan import apply
from hil.hosting import Face, serve
from hil.replay.again import Again
from hil.replay.flown import Flown
from hil.replay.outcome import ReplayOptions
from hil.replay.rules import Rules
from hil.rig import Rig

#: What differs from run to run where a program keeps the time of the wall.
TIMES = ("t_ns", "duration_ns")
_ITS_OWN = frozenset(
    (Kind.I2C, Kind.SPI, Kind.UART, Kind.CAN, Kind.GPIO, Kind.FRAME, Kind.LOAD, Kind.ONEWIRE)
)


def warn(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> None:
    """Say what running a program again can prove; raises ``UsageError`` where there is none."""
    if flown.program is None:
        raise UsageError(
            f"{flown.path}: the flight software flew, and no program; take the words behind -- away"
        )
    words = one_line(shlex.join(flown.command(options.program)))
    if flown.options.virtual_time:
        say(f"runs again, on virtual time: {words}")
    else:
        say(
            "runs again, on the time of the wall: what it sends and asks for is compared with its "
            f"answers, but no times, and not what comes by itself: {words}"
        )


class Rerun(Again):
    """The program under its face, on the rig that it was recorded with.

    On the time of the wall only what it sent and asked for is compared, with the answers: what
    comes by itself comes as often as it happens to run long.
    """

    @property
    def repeats(self) -> bool:  # type: ignore[override]  # as constant as in the other ways
        """On virtual time every run is the same."""
        return self.flown.options.virtual_time

    def compared(self, octets: bytes) -> bytes:
        """Return what the program sent and asked for; on virtual time everything."""
        if self.repeats:
            return octets
        own = (r for r in unpack_all(octets) if r.kind in _ITS_OWN and not r.flags & Flag.INPUT)
        return b"".join(record.pack() for record in own)

    def rules(self) -> Rules:
        """Return what may differ: times too, where they are those of the wall."""
        free = () if self.repeats else TIMES
        ignore = (*self.options.ignore, *free)
        return Rules.of(self.flown.board, ignore, self.options.tolerate)

    def build(self) -> Rig:
        """Return the rig, without flight software."""
        flown, options = self.flown, self.flown.options
        self._command = flown.command(self.options.program)
        if self.options.start:
            self.notes.append("begun at the start: of a program there are no snapshots")
        self._face = Face.of(self._command, "static" in flown.made_by)
        rig = Rig(
            flown.board,
            flown.mission,
            seed=options.seed,
            duration_s=options.duration_s,
            flight=False,
            stream=self.stream,
        )
        apply(flown.plan, rig)
        return rig

    def fly(self) -> bool:
        """Run the program to its end."""
        stdout = sys.stderr.fileno() if self.options.json and sys.stderr is not None else None
        ended = serve(
            self.rig,
            self.flown.options,
            self._command,
            self._face,
            self.storage,
            prepare=partial(record_beside, record=self.stream.record),
            stdout=stdout,
        )
        self.rig.finish()
        recorded = self.flown.exit_code
        if recorded not in (None, ended.code):
            self.notes.append(f"it ended with {ended.code}, and with {recorded} when recorded")
        return True
