"""Re-execute: the same world, seed and faults again, each record compared as it is made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hil.capture.reader import Capture
from hil.config import one_line
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.faults.plan import apply
from hil.replay.again import Again
from hil.replay.flown import Flown
from hil.replay.keeping import keeping
from hil.replay.outcome import Replayed, ReplayOptions
from hil.replay.stepped import Stepped
from hil.rig import Rig
from hil.supervisor import Supervisor
from hil.time.pinning import pinned
from hil.uut import flight_over

DIRECT = "direct"


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly again what ``flown`` holds, and compare. Raises ``UsageError`` for what cannot be."""
    way = _way(flown, options, say)
    with (
        Capture(flown.capture, tolerant=not flown.whole) as capture,
        tempfile.TemporaryDirectory(prefix="flatsat-", ignore_cleanup_errors=True) as folder,
        keeping(flown, options.out) as writer,
    ):
        _check_start(options, capture)
        return way(flown, options, capture, Path(folder), writer).run()


def _check_start(options: ReplayOptions, capture: Capture) -> None:
    """Raise ``UsageError`` for a first record that the capture has not."""
    last = capture.last_seq
    if options.start and (last is None or options.start > last):
        told = "the capture holds no record"
        if last is not None:
            told = f"the last record of the run is number {last}"
        raise UsageError(f"--from {options.start}: {told}")


def _way(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> type[Again]:
    """Return how to fly it again."""
    if flown.imported:
        raise UsageError(f"{flown.path}: no run of ours made it; take --mode play")
    if "test" in flown.made_by:
        raise UsageError(
            f"{flown.path}: a test flew it ({one_line(flown.made_by['test'])}), and what it did "
            "can be done again by that test alone; --mode mock answers the flight software from "
            "the capture"
        )
    if options.until is not None and options.until < (options.start or 0):
        raise UsageError(f"--until {options.until} lies before --from {options.start}")
    if flown.program is not None or options.program:
        # Only now: it brings the faces of programs with it.
        from hil.replay.rerun import Rerun, warn

        warn(flown, options, say)
        return Rerun
    if options.transport == DIRECT:
        return InSteps
    stops = (options.break_at, options.until, options.start)
    if options.step or any(stop is not None for stop in stops):
        raise UsageError(
            f"transport {options.transport}: a flight in a process of its own is not stopped in "
            "between; leave --transport away"
        )
    return OverTransport


class InSteps(Again):
    """In this process, step by step of the flight software's scheduler."""

    stops_between = True
    _stepped: Stepped | None = None
    _behind: Iterator[bytes] | None = None

    def build(self) -> Rig:
        """Return the rig with the flight software beside it."""
        payload = self.storage / "payload"
        if self.options.start:
            self._stepped = self._begin(self.options.start, payload)
        else:
            self._stepped = Stepped(self.flown, payload, self.stream)
        return self._stepped.rig

    def recorded(self) -> Iterator[bytes]:
        """Yield what was recorded from where it was begun."""
        yield from self.capture.buffers() if self._behind is None else self._behind

    def _begin(self, seq: int, payload: Path) -> Stepped:
        """Return the run as near before record ``seq`` as a snapshot brings it."""
        # Only now: most replays begin at the start.
        from hil.snapshots.going import begin, recorded_behind

        def make() -> RecordStream:
            self.stream = self.make_stream()
            return self.stream

        begun = begin(self.flown, self.capture, seq, payload, make)
        self.notes += begun.notes
        if begun.snapshot:
            self._behind = recorded_behind(self.capture, begun.stepped)
            self.begun_ns = begun.stepped.now_ns
            self.notes.append(f"begun at {begun.snapshot}, before record {begun.start}")
        elif not begun.notes:
            self.notes.append("begun at the start: `hil snapshot` makes nearer places to begin at")
        return begun.stepped

    @property
    def app(self) -> Any:
        """The flight software as it runs; None: it is down."""
        return None if self._stepped is None else self._stepped.app

    def fly(self) -> bool:
        """Fly on to the end of the run, or to the step that makes the last record wanted."""
        stepped = self._stepped
        assert stepped is not None
        if self.until is not None and stepped.run_to_seq(self.until):
            return False
        stepped.run()
        return True


class OverTransport(Again):
    """With the flight software over a transport, as ``hil run`` flies it."""

    def build(self) -> Rig:
        """Return the rig; the flight software is yet to be started."""
        flown, options = self.flown, self.flown.options
        rig = Rig(
            flown.board,
            flown.mission,
            seed=options.seed,
            duration_s=options.duration_s,
            inference=options.inference,
            umbilical=options.umbilical,
            stream=self.stream,
        )
        self._supervisor = Supervisor(rig)
        apply(flown.plan, rig)
        self._supervisor.inject_kills(flown.plan.kills)
        return rig

    def fly(self) -> bool:
        """Fly to the end of the run."""
        options, home = self.flown.options, self.storage
        payload = home / "payload"
        payload.mkdir(mode=0o700)
        with pinned(options.pin):
            flight = flight_over(
                self.options.transport,
                self._supervisor,
                payload,
                home / "keys",
                options.stall_limit_s,
            )
            self._supervisor.flight = flight
            try:
                flight.run()
            finally:
                flight.close()
        self.rig.finish()
        return True
