"""Re-execute: the same world, seed and faults again, each record compared as it is made."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.outcome import RE_EXECUTE, Replayed, ReplayOptions
from hil.replay.rules import Rules
from hil.replay.stepped import Stepped
from hil.replay.stops import Left, Scene, Stops, condition_of
from hil.replay.upto import Upto
from hil.replay.watching import WatchingStream
from hil.rig import SECOND, channel_names


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly again what ``flown`` holds, and compare. Raises ``UsageError`` for what cannot be."""
    if flown.program is not None:
        raise UsageError(f"{flown.path}: a program flew; take --mode mock")
    with (
        Capture(flown.capture, tolerant=not flown.whole) as capture,
        tempfile.TemporaryDirectory(prefix="flatsat-", ignore_cleanup_errors=True) as folder,
    ):
        return Reexecution(flown, options, capture, Path(folder)).run()


class Reexecution:
    """One run flown again beside its capture; ``storage`` is for the flight software."""

    def __init__(
        self, flown: Flown, options: ReplayOptions, capture: Capture, storage: Path
    ) -> None:
        self.flown, self.options, self.capture = flown, options, capture
        self.names = channel_names(flown.board)
        self.until = options.until
        if not flown.whole:
            self.until = min(
                last_seq(capture), last_seq(capture) if self.until is None else self.until
            )
        rules = Rules(ignore=options.ignore, tolerate=options.tolerate)
        self.comparison = Comparison(capture.buffers(), self._decoder(), rules, self.names)
        feed = self.comparison.feed
        self._upto = None if self.until is None else Upto(self.until, feed)
        self._stops = self._stops_of()
        sink = feed if self._upto is None else self._upto.feed
        check = None if self._stops is None else self._stops.check
        stream = RecordStream(sink) if check is None else WatchingStream(check, sink)
        self.stepped: Stepped | None = None
        self.stepped = Stepped(flown, storage / "payload", stream)

    def _decoder(self) -> Decoder:
        return Decoder(self.flown.board, self.flown.mission, self.names)

    def _stops_of(self) -> Stops | None:
        """Return what stops the replay in between; None: nothing does."""
        options, names = self.options, self.names
        if options.break_at is None and not options.step:
            return None
        condition = None
        if options.break_at is not None:
            recorded = self.capture.buffers()
            condition = condition_of(options.break_at, recorded, self._decoder(), names)
        start = options.start or 0
        return Stops(condition, options.step, self._decoder(), names, self._scene, start)

    def _scene(self) -> Scene:
        """Return what there is to look at now; nothing while the rig is being built."""
        stepped = self.stepped
        return Scene() if stepped is None else Scene(stepped.rig, stepped.app, stepped.rig.world)

    def run(self) -> Replayed:
        """Fly to the end, or to where somebody wanted it to stop; return the verdict."""
        stepped, notes = self.stepped, list[str]()
        assert stepped is not None
        begin = time.perf_counter()
        ended = False
        try:
            ended = self._fly(stepped)
        except Left:
            notes.append(f"left at record {stepped.seq - 1}: what came after it was not flown")
        stepped.rig.stream.flush()
        wall_s = time.perf_counter() - begin
        verdict = self.comparison.finish(stopped=not ended)
        figures = self._figures(stepped, ended)
        if not self.flown.whole:
            notes.append(f"the capture was cut off after record {self.until}; compared up to there")
        if not self.flown.repeatable:
            notes.append("something real or from outside took part: it need not come out the same")
        virtual_s = stepped.now_ns / SECOND
        flown_s = self.flown.wall_s if ended else None
        return Replayed(RE_EXECUTE, verdict, virtual_s, wall_s, flown_s, figures, tuple(notes))

    def _fly(self, stepped: Stepped) -> bool:
        """Fly; tell whether the run came to its end."""
        if self.until is None or stepped.run_to_seq(self.until) is False:
            stepped.run()
            return self.until is None or stepped.seq <= self.until
        return False

    def _figures(self, stepped: Stepped, ended: bool) -> dict[str, Any]:
        if not ended:
            return {"records": stepped.seq if self.until is None else self.until + 1}
        digest = stepped.rig.stream.hexdigest()
        same = {} if self.flown.digest in (None, digest) else {"recorded digest": self.flown.digest}
        return {"digest": digest, **same}


def last_seq(capture: Capture) -> int:
    """Return the number of the last record of a capture; -1: it holds none."""
    last = -1
    for record in capture.records():
        last = record.seq
    return last
