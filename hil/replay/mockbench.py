"""The bench of a mock: buses that answer from the record, and what came, at its recorded times.

There are no parts, no world and no ground. What came in comes again: octets, frames and edges when
their last bit came, and an edge that a request of the payload computer had caused, with it. Starts
and losses of the flight software happen when they happened.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from functools import partial
from typing import Protocol

import numpy as np

from flightsw.codec import bus_payload
from flightsw.codec.wire import HEADER_NBYTES, Kind
from hil.board import Board
from hil.exchange import Exchange
from hil.fitting import flight_config, part_overrides
from hil.missions.mission import Mission
from hil.replay.mockbuses import build, pin_directions
from hil.replay.mocklanes import About, Answers
from hil.replay.mockrecord import Recording
from hil.replay.mockstream import MockStream
from hil.time.kernel import NEVER_NS, Kernel
from hil.time.phase import Phase
from hil.transactions import NO_CHANNEL

#: Order of ties at one instant.
INPUT_SOURCE, LIFE_SOURCE = 10, 50
_GPIO = int(Kind.GPIO)


class MockBench:
    """Kernel, exchange and buses of a mock."""

    def __init__(
        self,
        board: Board,
        mission: Mission,
        recording: Recording,
        *,
        end_ns: int = NEVER_NS,
        inference: str = "onnx",
        timed: bool = True,
    ) -> None:
        self.board = board
        self.recording = recording
        self.timed = timed
        self.kernel = Kernel()
        self.stream = MockStream(recording)
        self.exchange = Exchange(self.kernel, self.stream, end_ns)
        self.exchange.on_load = self._load
        self.answers: dict[tuple[int, int], Answers] = {}
        self.buses = build(board, self.exchange, self.answers_of, part_overrides(mission))
        self._loads = self.answers_of(int(Kind.LOAD), NO_CHANNEL)
        self._bus_of = {spec.index: self.buses[spec.name] for spec in board.buses}
        self.exchange.identity = {
            "rig": mission.id,
            "board": board.name,
            "boot_count": 1,
            "devices": board.devices(),
            "config": flight_config(mission, inference),
        }

    def answers_of(self, kind: int, channel: int) -> Answers:
        """Return, and keep, the recorded answers of a channel."""
        found = self.answers.get((kind, channel))
        if found is None:
            found = Answers(self.stream, kind, channel, self.timed)
            self.answers[kind, channel] = found
        return found

    def _load(self, name: str, t_ns: int, model_class: str, units: int) -> tuple[int, int]:
        """Answer what a piece of computation costs, as recorded."""
        request = bus_payload.LOAD_REQUEST.pack(units) + model_class.encode()
        found = self._loads.answer(t_ns, About((0, request)))
        if found is None:
            return 0, 0
        duration_ns, energy_uj = bus_payload.LOAD_REPLY.unpack_from(found.payload)
        return duration_ns, energy_uj

    def come(self, index: int, t_ns: int) -> None:
        """Let a recorded input come."""
        head = self.recording.heads[index]
        bus = self._bus_of.get(int(head["channel"]))
        if bus is not None and hasattr(bus, "come"):
            bus.come(t_ns, index, head, self.recording.payload(index))

    def settle(self, index: int) -> None:
        """Bring a line to the level of a recorded edge."""
        head = self.recording.heads[index]
        level = self.recording.payload(index)[0]
        self._bus_of[int(head["channel"])].settle(int(head["address"]), level)

    def power_off(self) -> None:
        """Lose what the controllers hold, as when the supply of the payload computer is cut."""
        for bus in self.buses.values():
            power_off = getattr(bus, "power_off", None)
            if power_off is not None:
                power_off()

    def finish(self) -> None:
        """Let what is still to be told be told; the run is over."""
        for bus in self.buses.values():
            flush = getattr(bus, "flush", None)
            if flush is not None:
                flush()

    def counters(self) -> dict[str, int]:
        """Return what was counted: records answered, answers improvised."""
        stream = self.stream
        answered = len(stream.kept) - stream.counters["unrecorded"]
        found = {"answered": answered, **stream.counters}
        for name in ("improvised", "absent"):
            found[name] = sum(answers.counters[name] for answers in self.answers.values())
        return found


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
        self.bench.stream.counters["inputs"] += self._at - before
        return self._octets[self._ends[before] : self._ends[self._at]]

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


class Unit(Protocol):
    """The flight software as it is started and stopped; see ``hil.supervisor.Flight``."""

    def run(self) -> None: ...
    def start(self) -> None: ...
    def stop(self, reason: str) -> None: ...
    def close(self) -> None: ...


#: In which phase the supply fails, by the event that says so.
_POWER_EVENTS = {"WATCHDOG_RESET": Phase.PART, "BROWN_OUT": Phase.PHYSICS}
_POWER_EVENTS |= {"EPS_SWITCH": Phase.BUS}
#: In which phase a loss happens, by the words of its event; any other: at the end of its instant.
_LOSSES = {"brown-out": Phase.PHYSICS, "reset by the watchdog": Phase.PART}
_LOSSES |= {"switched off by the EPS": Phase.BUS}
_KILLED = "SIGKILL"


class Lives:
    """The incarnations of the flight software, as recorded; stands where a supervisor does."""

    def __init__(self, bench: MockBench) -> None:
        self.rig = bench
        self.flight: Unit | None = None
        self.starts = 0
        self.alive = False
        #: losses that were not recorded: (when, why)
        self.crashes: list[tuple[int, str]] = []
        heads = bench.recording.heads
        self._cuts: set[int] = set()
        self._losses: set[int] = set()
        for index in np.flatnonzero(heads["kind"] == Kind.EVENT).tolist():
            self._plan(index, int(heads["t_ns"][index]))
        bench.stream.cut_ns = frozenset(self._cuts)

    def _plan(self, index: int, t_ns: int) -> None:
        try:
            event = json.loads(self.rig.recording.payload(index))
        except ValueError:
            return
        if not isinstance(event, dict) or event.get("source") != "bench":
            return
        at, name = self.rig.kernel.at, event.get("name")
        if name == "UUT_START" and event.get("boot") != 1:
            at(t_ns, Phase.CHECK, LIFE_SOURCE, self._start)
        elif name == "UUT_LOST":
            reason = str(event.get("reason"))
            phase = _LOSSES.get(reason, Phase.CHECK)
            at(t_ns, phase, LIFE_SOURCE, partial(self._lose, reason))
            self._losses.add(t_ns)
            if reason not in _LOSSES and reason != _KILLED:
                self._cuts.add(t_ns)
        elif name in _POWER_EVENTS and event.get("on") != 1 and not event.get("switch"):
            at(t_ns, _POWER_EVENTS[str(name)], LIFE_SOURCE, self._power_off)

    # --- what the flight says ----------------------------------------------------------------

    def started(self) -> int:
        """Count a start; return the boot count that the new incarnation is told."""
        self.alive = True
        self.starts += 1
        self.rig.exchange.identity["boot_count"] = self.starts
        return self.starts

    def lost(self, reason: str, cause: str) -> None:
        """Note that the present incarnation has gone by itself."""
        if self.alive:
            self.alive = False
            now_ns = self.rig.kernel.now_ns
            if now_ns not in self._losses:
                self.crashes.append((now_ns, reason))

    # --- what was recorded -------------------------------------------------------------------

    def _start(self, t_ns: int) -> None:
        if not self.alive and self.flight is not None:
            self.flight.start()

    def _lose(self, reason: str, t_ns: int) -> None:
        if self.alive and self.flight is not None:
            self.flight.stop(reason)
            self.alive = False

    def _power_off(self, t_ns: int) -> None:
        self.rig.power_off()
