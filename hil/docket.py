"""The docket: what participants asked for and what has not happened yet.

Requests wait for their time on the clock, and for their bus if it is busy; those of one bus run one
after the other, in order of time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flightsw.codec.errors import CodecError
from flightsw.codec.wire import Kind
from hil.errors import ParticipantError
from hil.time.kernel import Kernel
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.transactions import Call, Lane, Run, Transactor

_FLIGHT = int(Phase.FLIGHT)
_I2C, _UART, _CAN, _GPIO = (int(kind) for kind in (Kind.I2C, Kind.UART, Kind.CAN, Kind.GPIO))
#: kind of a record -> kind of its channel
KIND_OF = {
    _I2C: "i2c",
    int(Kind.SPI): "spi",
    int(Kind.FRAME): "frames",
    int(Kind.ONEWIRE): "onewire",
    _UART: "uart",
    _CAN: "can",
    _GPIO: "gpio",
}

#: who asked, whether it waits for the end, and what is to be done
Job = tuple[Participant, bool, Call]
#: (participant, when, record): what a participant that waits for a transaction gets at its end
Answer = Callable[[Participant, int, bytes], None]


def broke(participant: Participant, what: str) -> ParticipantError:
    """Return the error of a participant that broke the protocol; ``what`` it did."""
    return ParticipantError(
        f"participant {participant.name!r} {what}; {participant.describe_last()}"
    )


def unreadable(participant: Participant, error: CodecError) -> ParticipantError:
    """Return the error of a participant whose record does not decode."""
    return broke(participant, f"sent a record that cannot be read ({error})")


def too_short(participant: Participant, message: bytes) -> ParticipantError:
    """Return the error of a participant whose message is no record."""
    return broke(participant, f"sent {len(message)} octets, and a record has 32 at the least")


class Docket:
    """What is to be done for participants, on the clock and behind busy buses."""

    def __init__(
        self,
        kernel: Kernel,
        lanes: dict[int, Lane],
        transactor: Transactor,
        counters: dict[str, int],
        answer: Answer,
    ) -> None:
        self._kernel = kernel
        self._lanes = lanes
        self._transactor = transactor
        self._counters = counters
        self._answer = answer

    def post(
        self, participant: Participant, kind: int, index: int, t_ns: int, address: int, data: bytes
    ) -> None:
        """Do, at its time, what nobody waits for: drive a UART, CAN or GPIO output."""
        lane = self.lane(participant, index, KIND_OF[kind])
        if t_ns >= participant.end_ns:
            participant.counters["after_end"] += 1
            return
        if kind == _UART:
            act = partial(self._act, participant, lane.bus.write, (data,))
        elif kind == _CAN:
            act = partial(self._act, participant, lane.bus.send, (address, data))
        elif len(data) == 1:
            act = partial(self._act, participant, lane.bus.set, (address, data[0]))
        else:
            raise broke(participant, f"set a GPIO line with {len(data)} octets, not 1")
        if t_ns == self._kernel.now_ns:
            act(t_ns)
        else:
            self._kernel.at(t_ns, _FLIGHT, participant.source, act)

    def _act(
        self,
        participant: Participant,
        method: Callable[..., None],
        arguments: tuple[Any, ...],
        t_ns: int,
    ) -> None:
        if participant.gone:
            self._counters["abandoned"] += 1
        else:
            method(t_ns, *arguments)

    def request(
        self, participant: Participant, header: tuple[int, ...], payload: bytes, last: bool
    ) -> None:
        """Run a request at its time; if it is the ``last`` of its message, its end is awaited."""
        kind, index, _, _, _, t_ns, _, _, address = header
        if t_ns >= participant.end_ns:
            participant.counters["after_end"] += 1
            return
        lane = None
        if kind != Kind.LOAD:
            lane = self.lane(participant, index, KIND_OF[kind])
        try:
            call = self._transactor.call(kind, lane, address, payload, participant.name)
        except CodecError as error:
            raise unreadable(participant, error) from error
        self.put(lane, (participant, last, call), t_ns)

    def put(self, lane: Lane | None, job: Job, t_ns: int) -> None:
        """Do a job at its time, or when its bus is free then."""
        self._kernel.at(t_ns, _FLIGHT, job[0].source, partial(self._start, lane, job))

    def _start(self, lane: Lane | None, job: Job, t_ns: int) -> None:
        """Begin a transaction, or queue it behind the one that the bus is busy with."""
        if lane is None or not (lane.busy_ns > t_ns or lane.waiting or lane.pending):
            self._perform(lane, job, t_ns)
            return
        lane.waiting.append(job)
        self._drain_on(lane)

    def _drain_on(self, lane: Lane) -> None:
        """Let the next of those who wait for a bus have it as soon as it is free."""
        if lane.draining or lane.pending or not lane.waiting:
            return
        lane.draining = True
        source = lane.waiting[0][0].source
        self._kernel.at(lane.busy_ns, _FLIGHT, source, partial(self._drain, lane))

    def _drain(self, lane: Lane, t_ns: int) -> None:
        lane.draining = False
        self._perform(lane, lane.waiting.popleft(), t_ns)
        self._drain_on(lane)

    def _perform(self, lane: Lane | None, job: Job, t_ns: int) -> None:
        participant, _, call = job
        if participant.gone:
            self._counters["abandoned"] += 1
            return
        if lane is not None and lane.route is not None:
            lane.pending = True
            if lane.route.begin(call, t_ns, partial(self._arrive, lane, job)):
                return
            lane.pending = False
        self._finish(lane, job, t_ns, call)

    def _arrive(self, lane: Lane, job: Job, t_ns: int, run: Run) -> None:
        """Finish a transaction that something real has answered."""
        lane.pending = False
        lane.lead(lane.route)
        self._finish(lane, job, t_ns, run)
        self._drain_on(lane)

    def _finish(self, lane: Lane | None, job: Job, t_ns: int, run: Run) -> None:
        participant, blocking, _ = job
        duration_ns, octets = run(t_ns)
        done_ns = t_ns + duration_ns
        if lane is not None:
            lane.busy_ns = done_ns
        if blocking:
            self._answer(participant, done_ns, octets)
        else:
            participant.results.append((done_ns, octets))

    def lane(self, participant: Participant, index: int, kind: str) -> Lane:
        """Return a channel that must be of this kind."""
        lane = self._lanes.get(index)
        if lane is None or lane.kind != kind:
            there = "no such channel" if lane is None else f"that is {lane.kind} {lane.bus.name!r}"
            raise broke(participant, f"used channel {index} as {kind}, but {there} is there")
        return lane
