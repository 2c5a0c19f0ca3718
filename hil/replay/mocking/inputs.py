"""What came in to the payload computer, and comes again.

Octets, frames and edges come when their last bit came. An edge that a request of the payload
computer had caused comes with that request.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from functools import partial

import numpy as np

from flightsw.codec.wire import HEADER_NBYTES, Kind
from hil.replay.mocking.bench import MockBench
from hil.replay.mocking.buses import pin_directions
from hil.time.kernel import NEVER_NS
from hil.time.phase import Phase

#: Order of ties at one instant.
INPUT_SOURCE = 10
_GPIO = int(Kind.GPIO)


class Inputs:
    """What came in, at its times.

    With ``feed`` the clock lets it come; otherwise who wants to know takes it with :meth:`upto`.
    """

    def __init__(self, bench: MockBench, feed: bool = True) -> None:
        self.bench = bench
        recording = bench.recording
        indices = recording.inputs()
        heads = recording.heads[indices]
        ends = heads["t_ns"].astype(np.int64) + heads["duration_ns"].astype(np.int64)
        #: index of an act -> the edges that it caused
        self.caused = self._caused(indices[heads["kind"] == _GPIO].tolist())
        held = [index for found in self.caused.values() for index in found]
        free = ~np.isin(indices, held)
        self.indices: list[int] = indices[free].tolist()
        #: when each comes, ns; the last is the end of time
        self.times: list[int] = [*np.maximum.accumulate(ends[free]).tolist(), NEVER_NS]
        self._at = 0
        self._octets = b"" if feed else recording.joined(self.indices)
        lengths = HEADER_NBYTES + heads["length"][free].astype(np.int64)
        self._ends: list[int] = [] if feed else [0, *np.cumsum(lengths).tolist()]
        if feed:
            self._next()
        bench.stream.caused = self.caused
        bench.stream.come = self._with
        for act, found in self.caused.items():
            t_ns = int(recording.heads["t_ns"][found[0]])
            bench.kernel.at(t_ns, Phase.CHECK, INPUT_SOURCE, partial(self._anyway, act))

    @property
    def next_ns(self) -> int:
        """When the next comes."""
        return self.times[self._at]

    def upto(self, t_ns: int) -> bytes:
        """Take what has come by ``t_ns`` and was not taken yet."""
        before, self._at = self._at, bisect_right(self.times, t_ns, self._at)
        stream, octets, ends = self.bench.stream, self._octets, self._ends
        stream.counters["inputs"] += self._at - before
        if stream.came is not None:
            for nth in range(before, self._at):
                stream.came(octets[ends[nth] : ends[nth + 1]])
        return octets[ends[before] : ends[self._at]]

    def levels(self) -> None:
        """Bring the lines to the levels that they have by now."""
        heads, bench = self.bench.recording.heads, self.bench
        last: dict[tuple[int, int], int] = {}
        for index in self.indices[: self._at]:
            head = heads[index]
            if head["kind"] == _GPIO:
                last[int(head["channel"]), int(head["address"])] = index
        for index in last.values():
            bench.settle(index)

    def _next(self) -> None:
        if self.next_ns < NEVER_NS:
            self.bench.kernel.at(self.next_ns, Phase.BUS, INPUT_SOURCE, self._come)

    def _come(self, t_ns: int) -> None:
        at, times, indices, come = self._at, self.times, self.indices, self.bench.come
        while times[at] == t_ns:
            come(indices[at], t_ns)
            at += 1
        self._at = at
        self._next()

    def _with(self, indices: list[int]) -> None:
        for index in indices:
            self.bench.come(index, self.bench.kernel.now_ns)

    def _anyway(self, act: int, t_ns: int) -> None:
        """Let edges come whose cause did not happen this time."""
        self._with(self.caused.pop(act, []))

    def _caused(self, edges: list[int]) -> dict[int, list[int]]:
        """Return which edges came of an act of the same instant, by that act.

        An edge behind an act came of it: what happens by itself comes before. One in front of a
        request came of it if the request was to the part that drives the line.
        """
        recording, board = self.bench.recording, self.bench.board
        heads = recording.heads
        at_once = recording.is_act & ~np.isin(heads["kind"], (Kind.UART, Kind.CAN))
        acts = np.flatnonzero(at_once)
        times = heads["t_ns"][acts]
        drivers = {
            (board.bus(pin.bus).index, pin.line): (board.bus(part.bus).index, part.address)
            for part in board.parts
            for pin in part.pins
            if pin_directions(part)[pin.name] == "out"
        }
        caused: dict[int, list[int]] = defaultdict(list)
        for index in edges:
            at = int(np.searchsorted(acts, index))
            t_ns = heads["t_ns"][index]
            if at and times[at - 1] == t_ns:
                caused[int(acts[at - 1])].append(index)
            elif at < len(acts) and times[at] == t_ns:
                head = heads[acts[at]]
                driver = drivers.get((int(heads["channel"][index]), int(heads["address"][index])))
                if driver == (int(head["channel"]), int(head["address"])):
                    caused[int(acts[at])].append(index)
        return caused
