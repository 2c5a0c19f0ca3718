"""What every way to fly a recorded run again shares: the stream, the comparison, the verdict."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flightsw.codec.wire import HEADER
from hil.about import note_end
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.digest import RecordStream
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.outcome import RE_EXECUTE, Replayed, ReplayOptions
from hil.replay.rules import Rules
from hil.replay.stops import Left, Scene, stops_of
from hil.replay.upto import Upto
from hil.replay.verdict import Verdict
from hil.replay.watching import WatchingStream
from hil.rig import SECOND, Rig, channel_names

_T_NS, _SEQ = 5, 7  # places of time and global number in the header of a record


class Again(ABC):
    """A recorded run that is flown again beside its capture.

    ``storage`` is a folder for whoever flies; ``writer`` keeps the new records. A subclass builds
    the rig around :attr:`stream` in :meth:`build` and lets it run in :meth:`fly`.
    """

    #: the run can be ended between two steps; otherwise it is cut off at a record
    stops_between = False
    #: the digest comes out the same where nothing else has changed
    repeats = True

    def __init__(
        self,
        flown: Flown,
        options: ReplayOptions,
        capture: Capture,
        storage: Path,
        writer: CaptureWriter | None = None,
    ) -> None:
        self.flown, self.options, self.capture = flown, options, capture
        self.storage, self._writer = storage, writer
        self.names = channel_names(flown.board)
        self.until = options.until
        if not flown.whole:
            last = capture.last_seq if capture.last_seq is not None else -1
            self.until = last if self.until is None else min(self.until, last)
        recorded = map(self.compared, self.recorded())
        self.comparison = Comparison(recorded, self._decoder(), self.rules(), self.names)
        self._stops = stops_of(options, flown, capture.buffers, self._scene)
        self.notes: list[str] = []
        #: where it was begun: virtual time, the start or that of a snapshot
        self.begun_ns = 0
        self._rig: Rig | None = None
        self.stream = self.make_stream()

    def rules(self) -> Rules:
        """Return what may differ."""
        return Rules.of(self.flown.board, self.options.ignore, self.options.tolerate)

    def recorded(self) -> Iterator[bytes]:
        """Yield what was recorded; asked for when the first record was made anew."""
        yield from self.capture.buffers()

    def compared(self, octets: bytes) -> bytes:
        """Return those of whole records, recorded or new, that are compared."""
        return octets

    @abstractmethod
    def build(self) -> Rig:
        """Return the rig that records into :attr:`stream`, its faults planned."""

    @abstractmethod
    def fly(self) -> bool:
        """Let it run; tell whether it came to its end."""

    @property
    def app(self) -> Any:
        """The flight software, where it runs in this process."""
        return None

    @property
    def rig(self) -> Rig:
        """The rig, which is there once it is built."""
        assert self._rig is not None
        return self._rig

    # --- records ------------------------------------------------------------------------------

    def _decoder(self) -> Decoder:
        return Decoder(self.flown.board, self.flown.mission, self.names)

    def make_stream(self) -> RecordStream:
        """Return a stream: compared in batches, and looked at record by record where need be."""
        feed = self._take if self.until is None else Upto(self.until, self._take).feed
        cuts = self.until is not None and not self.stops_between
        if not cuts and self._stops is None:
            return RecordStream(feed)
        return WatchingStream(self._check, feed)

    def _take(self, octets: bytes) -> None:
        if self.options.tell is not None and octets:
            self.options.tell(HEADER.unpack_from(octets)[_T_NS])
        self.comparison.feed(self.compared(octets))
        if self._writer is not None:
            self._writer.write(octets)

    def _check(self, octets: bytes) -> None:
        if self._stops is not None:
            self._stops.check(octets)
        if not self.stops_between and HEADER.unpack_from(octets)[_SEQ] == self.until:
            raise Left

    def _scene(self) -> Scene:
        """Return what there is to look at now; nothing while the rig is being built."""
        if self._rig is None:
            return Scene()
        return Scene(self._rig, self.app, self._rig.world)

    # --- the run --------------------------------------------------------------------------------

    def run(self) -> Replayed:
        """Fly to the end, or to where somebody wanted it to stop; return the verdict."""
        ended = False
        begin_s = time.perf_counter()
        try:
            self._rig = self.build()
            begin_s = time.perf_counter()
            ended = self.fly()
        except Left:
            self._note_left()
        wall_s = time.perf_counter() - begin_s
        self.stream.flush()
        verdict = self.comparison.finish(stopped=not ended)
        figures = self._figures(ended)
        now_ns = 0 if self._rig is None else self._rig.kernel.now_ns
        if self._writer is not None:
            facts = {"digest": self.stream.hexdigest(), "records": self.stream.count}
            note_end(self._writer, **facts, virtual_s=now_ns / SECOND, wall_s=round(wall_s, 3))
        self._note_differences()
        self.notes += [] if self._stops is None else self._stops.notes()
        return Replayed(
            RE_EXECUTE,
            verdict,
            (now_ns - self.begun_ns) / SECOND,
            wall_s,
            self.flown.wall_s if ended and not self.begun_ns else None,
            figures,
            tuple(self.notes),
            reordered=verdict.identical and self._is_reordered(verdict, figures),
        )

    def _note_left(self) -> None:
        last = self.stream.count - 1
        if last != self.until or self.stops_between:
            self.notes.append(f"left at record {last}: what came after it was not flown")

    def _note_differences(self) -> None:
        if not self.flown.whole:
            what = f"the capture was cut off after record {self.until}; compared up to there"
            self.notes.append(what)
        if lost := sum(self.flown.lost.values()):
            topics = ", ".join(self.flown.lost)
            what = f"{lost} records were dropped when it was recorded, on {topics}: they are extra"
            self.notes.append(what)
        if not self.flown.repeatable and self.flown.program is None:
            self.notes.append("something real or from outside took part: it need not repeat")

    def _figures(self, ended: bool) -> dict[str, Any]:
        if not ended or not self.flown.whole:
            last = self.stream.count - 1
            return {"records": 1 + (last if self.until is None else min(last, self.until))}
        digest = self.stream.hexdigest()
        recorded = self.flown.digest
        differs = recorded not in (None, digest) and self.repeats
        return {"digest": digest, **({"recorded": recorded} if differs else {})}

    def _is_reordered(self, verdict: Verdict, figures: dict[str, Any]) -> bool:
        """Tell whether every topic is the same and the whole is not: their order differs. A part of
        a run has no digest that would tell."""
        rules = self.rules()
        if not self.repeats or rules.ignore or rules.tolerate:
            return False
        return "recorded" in figures or not verdict.same_octets
