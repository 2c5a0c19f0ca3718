"""Inputs of programs that keep the time of the wall.

Such a program never does a thing at the same time twice. What came in comes behind what the program
had done by then, as long after it as it was recorded: behind the opening of the line, a request, a
message. If that comes later or earlier this time, so does what follows. What nobody had heard,
because nobody listened yet, is not heard now either.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable

import numpy as np

from flightsw.codec.wire import Kind
from hil.hosting import LISTENS
from hil.replay.mocking.bench import MockBench
from hil.replay.mocking.inputs import INPUT_SOURCE, Inputs
from hil.time.kernel import NEVER_NS
from hil.time.phase import Phase

#: How long what came in waits for an act that does not come; it is then not to come, and told.
PATIENCE_NS = 2_000_000_000
#: How long a program may take to set a line up that it has opened.
LEAD_NS = 250_000_000
#: How much longer than the whole of its run a program may do nothing that it did then.
SILENCE_NS = 60_000_000_000


class WallInputs(Inputs):
    """What came in, behind what was done before it."""

    def __init__(self, bench: MockBench, pace: float = 1.0) -> None:
        super().__init__(bench, feed=False)
        recording = bench.recording
        #: the end of the run, whatever happens; and after how long without anything it is over
        self._end_ns = bench.exchange.end_ns
        lasted_ns = recording.last_ns if len(recording) else 0
        self._silence_ns = lasted_ns + int(SILENCE_NS * pace)
        self._goes_on(0)
        #: indices at which somebody began to listen, by the name of the bus
        self._begins: dict[str, list[int]] = {}
        for index in np.flatnonzero(recording.heads["kind"] == Kind.EVENT).tolist():
            bus = _listens(recording.payload(index))
            if bus is not None:
                self._begins.setdefault(bus, []).append(index)
        listens = [index for found in self._begins.values() for index in found]
        acts = np.flatnonzero(recording.is_act).tolist()
        #: what was done, in order: acts, and beginnings to listen
        self._marks = sorted([*acts, *listens])
        self._listen_marks = sorted(bisect_left(self._marks, index) for index in listens)
        self._begun: Counter[str] = Counter()
        #: which of the marks are beginnings to listen that have been made
        self._open: set[int] = set()
        self._names = {spec.index: spec.name for spec in bench.board.buses}
        self._patience_ns = int(PATIENCE_NS * pace)
        #: how many of them have been done this time, those that were left out included
        self._front = 0
        #: how much later than then the last of them was, below 0: earlier
        self._late_ns = 0
        #: a line that was opened is set up by then
        self._set_up_ns = 0
        self._lead_ns = int(LEAD_NS * pace)
        self._turn = 0
        #: sees whether somebody has begun to listen
        self.look: Callable[[], None] = lambda: None
        bench.stream.counters |= {"inputs_not_awaited": 0, "inputs_before_anybody": 0}
        bench.stream.acted = self._acted
        self._plan()

    def begins(self, bus: str, t_ns: int) -> None:
        """Hear that a program begins to listen."""
        number = self._begun[bus]
        self._begun[bus] += 1
        found = self._begins.get(bus, [])
        if number < len(found):
            # On a tty it may have been seen later then: that it is open says nothing of the rest.
            self._open.add(bisect_left(self._marks, found[number]))
            if self.bench.buses[bus].kind == "uart":
                # Then it was seen when something came, so how long before is not known; and who
                # sets a tty up throws away what lies there.
                self._set_up_ns = t_ns + self._lead_ns
            if self._front in self._open:
                self._acted(found[number], t_ns)

    @property
    def awaits_listener(self) -> bool:
        """What came in next was heard by somebody who is still to open a line, a bus, a device."""
        if self.next_ns >= NEVER_NS:
            return False
        needs = bisect_left(self._marks, self.indices[self._at])
        begin = bisect_left(self._listen_marks, self._front)
        end = bisect_left(self._listen_marks, needs)
        return not self._open.issuperset(self._listen_marks[begin:end])

    def _acted(self, index: int, t_ns: int) -> None:
        front = bisect_right(self._marks, index)
        if front > self._front:
            self._goes_on(t_ns)
            self._front = front
            while self._front in self._open:
                self._front += 1
            self._late_ns = t_ns - int(self.bench.recording.heads["t_ns"][index])
            self._plan()

    def _goes_on(self, t_ns: int) -> None:
        """Give the program time from ``t_ns`` on: one that waits for more than was recorded would
        wait for ever."""
        self.bench.exchange.end_ns = min(self._end_ns, t_ns + self._silence_ns)

    def _plan(self) -> None:
        """Have the next input come: it is time, or it has waited long enough."""
        self._turn += 1
        if self.next_ns >= NEVER_NS or self.awaits_listener:
            return
        due_ns = self.next_ns + self._late_ns
        awaited = bisect_left(self._marks, self.indices[self._at]) > self._front
        if awaited:
            due_ns += self._patience_ns
        due_ns = max(due_ns, self._set_up_ns)
        turn, kernel = self._turn, self.bench.kernel

        def come(t_ns: int) -> None:
            if turn != self._turn:
                return  # planned anew
            if awaited:
                self.bench.stream.counters["inputs_not_awaited"] += 1
            self._come_next(t_ns)

        kernel.at(max(due_ns, kernel.now_ns), Phase.BUS, INPUT_SOURCE, come)

    def _come_next(self, t_ns: int) -> None:
        self.look()
        index = self.indices[self._at]
        bus = self._names.get(int(self.bench.recording.heads["channel"][index]), "")
        listened = bisect_left(self._begins.get(bus, []), index)
        self._at += 1
        self._goes_on(t_ns)
        if self._begun[bus] and not listened and bus in self._begins:
            self.bench.stream.counters["inputs_before_anybody"] += 1
        else:
            self.bench.come(index, t_ns)
        self._plan()


def _listens(payload: bytes) -> str | None:
    """Return the bus of the event of a program that begins to listen; None: another event."""
    try:
        event = json.loads(payload)
    except ValueError:
        return None
    if isinstance(event, dict) and event.get("name") == LISTENS:
        return str(event.get("bus"))
    return None
