"""The bench of a mock: buses that answer from the record, and what came, at its recorded times.

There are no parts, no world and no ground. What came in comes again (``inputs``), and starts
and losses of the flight software happen when they happened (``lives``).
"""

from __future__ import annotations

from typing import Any

from flightsw.codec import bus_payload
from flightsw.codec.wire import Kind
from hil.board import Board
from hil.exchange import Exchange
from hil.fitting import flight_config, part_overrides
from hil.missions.mission import Mission
from hil.replay.mocking.buses import build
from hil.replay.mocking.lanes import About, Answers
from hil.replay.mocking.record import Recording
from hil.replay.mocking.stream import MockStream
from hil.time.kernel import NEVER_NS, Kernel
from hil.transactions import NO_CHANNEL


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
        hosted: bool = False,
    ) -> None:
        """``timed``: times count; ``hosted``: a foreign program is the payload computer."""
        self.board = board
        self.recording = recording
        self.timed = timed
        self.hosted = hosted
        #: reads of what the computer shows of itself that were never recorded
        self.unread = 0
        #: what flies on it, where it is the flight software
        self.flight: Any = None
        self.kernel = Kernel()
        self.stream = MockStream(recording)
        self.exchange = Exchange(self.kernel, self.stream, end_ns)
        self.exchange.transactor.on_load = self._load
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
            # What a program writes to a line lies in a socket until the host reads it: when that
            # is depends on the computer, also where the program's clock is virtual.
            timed = self.timed and not (self.hosted and kind == Kind.UART)
            found = Answers(self.stream, kind, channel, timed)
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
