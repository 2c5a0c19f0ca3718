"""The exchange: turns what participants say into bus calls, and what buses do into records.

Every unit of traffic passes here once: it is numbered and recorded, and it goes to whom it
concerns. A participant acts at phase FLIGHT of its instant, after everything else of that instant
up to that phase: its request finds the buses as its last reply left them, and checks of the same
instant see what it did.

Wiring one bus of each sort, and one participant that calls directly::

    kernel = Kernel()
    stream = RecordStream(sink=capture.write)
    exchange = Exchange(kernel, stream, end_ns=60_000_000_000)
    i2c = I2CBus("i2c-1", 400_000, "bcm2835")
    exchange.connect(0, i2c, i2c.profile.errno)
    uart = UARTBus("ttyAMA1", kernel, 1, exchange.emitter(1, Kind.UART), 115_200)
    exchange.connect(1, uart)
    exchange.identity = {"rig": "r1", "board": "raspberrypi4", "devices": [...], "config": {...}}

    hal = DirectHal(DirectPort(exchange, exchange.join("fsw")))     # in one process
    app.run(hal)                                                    # until Shutdown

    with listen("ipc") as listener:                                 # or in two
        process = subprocess.Popen([..., listener.endpoint])
        coordinator = Coordinator(exchange)
        coordinator.add(listener.channel(), "fsw", died=...)
        coordinator.run()                                           # until end_ns

    digest = stream.hexdigest()
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flightsw.codec.errors import CodecError
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Record, pack
from hil.digest import Recorder
from hil.docket import Docket, broke, too_short, unreadable
from hil.observing import Observed
from hil.time.kernel import AFTER_ALL, NEVER_NS, Kernel
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.transports import Channel
from hil.transactions import NO_CHANNEL, Lane, Transactor

_CHECK = int(Phase.CHECK)
_I2C, _NEXT, _GRANT, _UART, _CAN, _GPIO = (
    int(kind) for kind in (Kind.I2C, Kind.NEXT, Kind.GRANT, Kind.UART, Kind.CAN, Kind.GPIO)
)
_INPUT, _WAKE, _BOARD = int(Flag.INPUT), int(Flag.WAKE), int(Flag.BOARD)
_POSTED = frozenset((_UART, _CAN, _GPIO))
_REQUESTS = frozenset((_I2C, int(Kind.SPI), int(Kind.FRAME), int(Kind.LOAD), int(Kind.ONEWIRE)))
_GRANT_HEAD = pack(_GRANT)[:8]
_GRANT_TAIL = struct.Struct("<8sQQII")


def grant(t_ns: int, late_ns: int = 0) -> bytes:
    """Return the GRANT record of a time, and of how late on the wall's clock it is granted."""
    return _GRANT_TAIL.pack(_GRANT_HEAD, t_ns, late_ns, 0, 0)


class Exchange:
    """The channel table of a rig, and the participants on it."""

    def __init__(self, kernel: Kernel, recorder: Recorder, end_ns: int = NEVER_NS) -> None:
        self.kernel = kernel
        self.recorder = recorder
        self.lanes: dict[int, Lane] = {}
        self.participants: list[Participant] = []
        #: what WELCOME says besides the channels: rig, board, devices, config
        self.identity: dict[str, Any] = {}
        self.transactor = Transactor(recorder)
        self.counters = {"inputs_unheard": 0, "abandoned": 0}
        #: everything counted here and by those who work on this exchange, group by group; the
        #: incarnations of a participant count into one
        self.counted: dict[str, dict[str, int]] = {"exchange": self.counters}
        #: channels whose inputs are brought from outside (:meth:`bring`): how many of their own
        #: were held back
        self.held_back: dict[int, int] = {}
        #: told (channel index, record) of each input, besides the participants
        self.hearers: list[Callable[[int, bytes], None]] = []
        self._docket = Docket(kernel, self.lanes, self.transactor, self.counters, self._answer_at)
        #: buses that are the own ones of a participant's computer
        self.observed = Observed(kernel, self.lanes, recorder, self.held_back, self.counted)
        #: the run has reached its end: everyone blocked is to be told END
        self.over = False
        #: somebody joined or left: time must stand until the coordinator has seen it
        self.disturbed = False
        self._end_ns = end_ns
        self._ready: list[Participant] = []
        # the first time that a blocked participant waits for
        self._due_ns = NEVER_NS
        self._granted = (-1, b"")
        #: tells how late the present is by the wall's clock, which grants then carry; None: in
        #: virtual time nothing is late
        self.lateness: Callable[[], int] | None = None

    # --- set-up -------------------------------------------------------------------------------

    def connect(self, index: int, bus: Any, errno: Mapping[int, int] | None = None) -> None:
        """Put ``bus`` on channel ``index``; ``errno`` is its adapter's table {status: errno}."""
        assert 0 <= index < NO_CHANNEL, f"channel {index} is out of range"
        assert index not in self.lanes, f"channel {index} has a bus already"
        self.lanes[index] = Lane(index, bus, errno or {})

    def emitter(self, index: int, kind: int) -> Callable[[int, int, int, int, int, bytes], None]:
        """Return the ``emit`` of the bus on channel ``index`` (see ``hil.buses.base.Emit``)."""
        record = self.recorder.record
        held_back, observed = self.held_back, self.observed

        def emit(
            t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
        ) -> None:
            if index in held_back and (flags & _INPUT or observed.mirrors):
                held_back[index] += bool(flags & _INPUT)
                return
            octets = record(kind, index, flags, status, t_ns, duration_ns, address, payload)
            if flags & _INPUT:
                self._deliver(index, octets)

        return emit

    def bring(self, index: int, record: Record) -> None:
        """Record and deliver an input of a channel that did not come over its bus, as from a
        recording; the bus shows what it changes (a level, a frame heard)."""
        kind, _, flags, status, t_ns, duration_ns, _, address, payload = record
        self.lanes[index].bus.show(self.kernel.now_ns, address, flags, payload)
        octets = self.recorder.record(
            *(kind, index, flags, status, t_ns, duration_ns, address, payload)
        )
        self._deliver(index, octets)

    @property
    def end_ns(self) -> int:
        """When the run ends; may be brought forward while it runs, to the present at the least."""
        return self._end_ns

    @end_ns.setter
    def end_ns(self, t_ns: int) -> None:
        self._end_ns = max(t_ns, self.kernel.now_ns)
        for participant in self.participants:
            participant.end_ns = self._end_ns
        self.kernel.halt()

    def join(
        self,
        name: str,
        channel: Channel | None = None,
        died: Callable[[], str | None] | None = None,
        wall_limit_s: float = 60.0,
        channels: frozenset[int] | None = None,
        ident: int | None = None,
    ) -> Participant:
        """Add a participant (see :class:`~hil.time.participant.Participant`).

        ``ident`` is its place among participants of one instant: by default the lowest free one,
        so a new incarnation takes the place of the one before.
        """
        taken = {participant.id for participant in self.participants}
        if ident is None:
            ident = next(n for n in range(len(taken) + 1) if n not in taken)
        assert ident not in taken, f"participant id {ident} is taken"
        participant = Participant(ident, name, channel, died, wall_limit_s, channels)
        participant.end_ns = self._end_ns
        participant.claim = partial(self.observed.claim, participant)
        participant.counters = self.counted.setdefault(f"participant.{name}", participant.counters)
        self.participants.append(participant)
        self.participants.sort(key=lambda one: one.id)
        self._disturb()
        return participant

    def leave(self, participant: Participant, reason: str) -> None:
        """Take a participant out, now: nothing that it asked for and that has not begun happens."""
        if participant.gone:
            return
        participant.gone = reason
        participant.end_ns = -1
        self.observed.release(participant)
        self.participants.remove(participant)
        if participant.ready:
            participant.ready = False
            self._ready.remove(participant)
        participant.waiting = False
        self.counters["inputs_unheard"] += len(participant.inputs)
        self._disturb()

    def forget(self, participant: Participant) -> None:
        """Forget what a participant waits for: it has given that up, and is running again."""
        if participant.ready:
            participant.ready = False
            self._ready.remove(participant)
        participant.waiting = participant.wake = False
        participant.tail = b""
        self._disturb()

    def _disturb(self) -> None:
        self.disturbed = True
        self.kernel.halt()

    def welcome(self) -> dict[str, Any]:
        """Return what a participant is told when it comes: who we are, the time, the channels."""
        channels = [lane.describe() for lane in self.lanes.values()]
        base = {"rig": "rig", "board": "", "boot_count": 1, "devices": [], "config": {}}
        return {**base, **self.identity, "t_ns": self.kernel.now_ns, "channels": channels}

    # --- one participant in lock-step ---------------------------------------------------------

    def handle(self, participant: Participant, message: bytes) -> bytes:
        """Do what the only participant asks and return the reply: its results, inputs, answer.

        Returns nothing when there is no answer now: the run is over, the participant left, or
        another one joined.
        """
        self.disturbed = False
        try:
            header = HEADER.unpack_from(message)
        except struct.error:
            raise too_short(participant, message) from None
        t_ns = header[5]
        if (
            header[4] + HEADER_NBYTES == len(message)
            and self.kernel.now_ns <= t_ns < participant.end_ns
            and not header[2]
        ):
            if header[0] == _I2C:
                lane = self.lanes.get(header[1])
                if lane is not None and lane.quick and lane.busy_ns <= t_ns:
                    participant.last = (_I2C, header[1], t_ns, header[7])
                    return self._i2c_now(participant, lane, t_ns, message)
            elif header[0] == _NEXT and self._advance_to(t_ns):
                participant.last = (_NEXT, 0, t_ns, header[7])
                return self._reply(participant, self._grant(t_ns), 0)
        elif header[0] == _I2C:
            requests = self._window(participant, message)
            if requests:
                message = self._run_window(participant, message, requests)
                t_ns = HEADER.unpack_from(message)[5]
                if len(message) == HEADER_NBYTES and self._advance_to(t_ns):
                    participant.last = (_NEXT, 0, t_ns, 0)
                    return self._reply(participant, self._grant(t_ns), 0)
        self.begin(participant, message)
        return self.settle(participant)

    def late_ns(self) -> int:
        """Return how late the present is by the wall's clock; 0 where nobody tells."""
        return 0 if self.lateness is None else self.lateness()

    def _grant(self, t_ns: int) -> bytes:
        return grant(t_ns, self.late_ns())

    def _window(self, participant: Participant, message: bytes) -> list[tuple[int, Lane, bytes]]:
        """Return the I2C requests of a window: in order of time, in front of a plain NEXT.

        In this, the usual case nothing else of the participant's can happen between them. Nothing
        is returned for any other message.
        """
        last = len(message) - HEADER_NBYTES
        kind, _, flags, _, length, until_ns, _, _, _ = HEADER.unpack_from(message, last)
        requests: list[tuple[int, Lane, bytes]] = []
        lanes, unpack_from = self.lanes, HEADER.unpack_from
        at, before_ns = 0, self.kernel.now_ns
        while at < last:
            header = unpack_from(message, at)
            lane = lanes.get(header[1])
            body = at + HEADER_NBYTES
            at = body + header[4]
            t_ns = header[5]
            is_asked = header[0] == _I2C and not header[2]
            if not is_asked or lane is None or not lane.quick or t_ns < before_ns:
                return []
            before_ns = t_ns
            requests.append((t_ns, lane, message[body:at]))
        if at != last or kind != _NEXT or flags or length:
            return []
        return requests if before_ns <= until_ns < participant.end_ns else []

    def _run_window(
        self, participant: Participant, message: bytes, requests: list[tuple[int, Lane, bytes]]
    ) -> bytes:
        """Run the requests of a window one by one; return what is left of the message.

        Something is left when a busy bus brings a request out of order, or time was halted.
        """
        kernel, i2c, results = self.kernel, self.transactor.i2c, participant.results
        until_ns = HEADER.unpack_from(message, len(message) - HEADER_NBYTES)[5]
        at, count = 0, len(requests)
        for nth, (t_ns, lane, request) in enumerate(requests, 1):
            if lane.busy_ns > t_ns:
                t_ns = lane.busy_ns
                if t_ns > (requests[nth][0] if nth < count else until_ns) or lane.waiting:
                    break
            if kernel.due_ns > t_ns:
                kernel.now_ns = t_ns
            elif not self._advance_to(t_ns):
                break
            try:
                duration_ns, octets = i2c(lane, request, t_ns)
            except CodecError as error:
                raise unreadable(participant, error) from error
            lane.busy_ns = done_ns = t_ns + duration_ns
            results.append((done_ns, octets))
            at += HEADER_NBYTES + len(request)
            if kernel.due_ns < 0 and self.disturbed:
                break
        return message[at:]

    def settle(self, participant: Participant) -> bytes:
        """Let time pass until the only participant can be answered; return the reply."""
        while not (participant.ready or self.over or self.disturbed):
            self.advance()
        return self.reply(participant) if participant.ready else b""

    def _advance_to(self, t_ns: int) -> bool:
        """Let time pass to phase FLIGHT of ``t_ns``; tell whether it got there."""
        kernel = self.kernel
        if kernel.due_ns > t_ns:
            kernel.now_ns = t_ns
            return True
        kernel.run_before(t_ns, _CHECK)
        return kernel.now_ns == t_ns < self._end_ns and not self.disturbed

    def _i2c_now(self, participant: Participant, lane: Lane, t_ns: int, message: bytes) -> bytes:
        """Run an I2C request at ``t_ns`` and time to its end; the hot path of the channel."""
        kernel = self.kernel
        if kernel.due_ns > t_ns:
            kernel.now_ns = t_ns
        elif not self._advance_to(t_ns):
            self.begin(participant, message)
            return self.settle(participant)
        try:
            duration_ns, octets = self.transactor.i2c(lane, message[HEADER_NBYTES:], t_ns)
        except CodecError as error:
            raise unreadable(participant, error) from error
        lane.busy_ns = done_ns = t_ns + duration_ns
        if kernel.due_ns > done_ns and done_ns < participant.end_ns:
            kernel.now_ns = done_ns
            if not participant.inputs and not participant.results:
                participant.account_one(octets)
                return octets
            return self._reply(participant, octets, 1)
        self._answer_at(participant, done_ns, octets)
        return self.settle(participant)

    def _reply(self, participant: Participant, tail: bytes, counted: int) -> bytes:
        records = participant.take(self.kernel.now_ns)
        if counted:
            records.append(tail)
            participant.account(records)
            return b"".join(records) if len(records) > 1 else tail
        if not records:
            return tail
        participant.account(records)
        return b"".join(records) + tail

    # --- any number of participants -----------------------------------------------------------

    def begin(self, participant: Participant, message: bytes, posted: bool = False) -> None:
        """Put everything that a message asks for on the clock; ``posted``: nothing waits for it.

        Raises :class:`~hil.errors.ParticipantError` for a message that breaks the protocol.
        """
        at, end = 0, len(message)
        while at < end:
            if at + HEADER_NBYTES > end:
                raise broke(participant, f"sent a message of {end} octets that ends mid-record")
            header = HEADER.unpack_from(message, at)
            kind, index, flags, _, length, t_ns, _, seq, address = header
            body = at + HEADER_NBYTES
            at = body + length
            participant.last = (kind, index, t_ns, seq)
            if at > end:
                raise broke(participant, f"sent a message of {end} octets that ends mid-record")
            if flags & _BOARD and (at < end or posted):
                self.observed.note(participant, header, message[body:at], participant.end_ns)
                continue
            if t_ns < self.kernel.now_ns:
                raise broke(participant, f"acted in the past of t={self.kernel.now_ns} ns")
            last = at == end and not posted
            if kind == _NEXT and last:
                participant.wake = bool(flags & _WAKE) and not participant.inputs
                now = flags & _WAKE and participant.inputs
                self.wait(participant, self.kernel.now_ns if now else t_ns)
            elif kind in _POSTED and not last:
                if kind == _CAN:
                    # FDF, BRS and ESI: above the 32 bits of a classic identifier inside the bench.
                    address |= (flags & 0x70) << 28
                self._docket.post(participant, kind, index, t_ns, address, message[body:at])
            elif kind in _REQUESTS:
                self._docket.request(participant, header, message[body:at], last)
            else:
                raise broke(participant, "sent a record that has no place there")

    def advance(self) -> None:
        """Let time pass to the next instant at which something happens, and let it happen.

        Stops at the end of the run (``over``), and when somebody came or left (``disturbed``).
        """
        kernel = self.kernel
        t_ns, phase = kernel.next_key()
        due_ns = self._due_ns
        if t_ns < due_ns or (t_ns == due_ns and phase < _CHECK):
            if t_ns >= self._end_ns:
                self._approach_end()
            else:
                kernel.run_before(t_ns, _CHECK if phase < _CHECK else AFTER_ALL)
        elif due_ns >= self._end_ns:
            self._approach_end()
        else:
            kernel.run_before(due_ns, _CHECK)
            if kernel.now_ns == due_ns:
                self._release(due_ns)

    def _approach_end(self) -> None:
        """End the run, unless something real comes in while its last stretch of time passes."""
        kernel = self.kernel
        if kernel.gate is not None and kernel.now_ns < self._end_ns:
            kernel.run_before(self._end_ns, 0)
            if kernel.now_ns < self._end_ns:
                return
        self.finish()

    def _release(self, t_ns: int) -> None:
        """Make everyone ready who waits for ``t_ns``, and find the next time that is waited for."""
        due_ns = NEVER_NS
        for participant in self.participants:
            if participant.waiting:
                if participant.want_ns <= t_ns:
                    participant.waiting = participant.wake = False
                    participant.ready = True
                    self._ready.append(participant)
                elif participant.want_ns < due_ns:
                    due_ns = participant.want_ns
        self._due_ns = due_ns

    def run(self) -> list[Participant]:
        """Let time pass until participants can be answered; return them in order of id."""
        while not (self._ready or self.over or self.disturbed):
            self.advance()
        return self._ready.copy()

    def reply(self, participant: Participant) -> bytes:
        """Return the reply to a participant that is ready; it is then running again."""
        assert participant.ready, f"participant {participant.name!r} waits for something else"
        participant.ready = False
        self._ready.remove(participant)
        tail = participant.tail
        if not tail:
            t_ns = participant.want_ns
            if t_ns != self._granted[0]:
                self._granted = (t_ns, self._grant(t_ns))  # the same for everyone of one instant
            if not participant.inputs and not participant.results:
                return self._granted[1]
            return self._reply(participant, self._granted[1], 0)
        participant.tail = b""
        return self._reply(participant, tail, 1)

    def end(self, participant: Participant) -> bytes:
        """Return the END that a blocked participant gets when the run is over."""
        return self._reply(participant, pack(Kind.END, t_ns=self.kernel.now_ns), 0)

    def finish(self) -> None:
        """Run everything up to and including the end of the run."""
        self.kernel.run_until(self._end_ns)
        self.over = True
        for participant in self.participants:
            participant.end_ns = -1

    # --- what a message asks for --------------------------------------------------------------

    def wait(self, participant: Participant, t_ns: int) -> None:
        """Note that a participant waits for ``t_ns`` and nothing else; ``t_ns`` is not the past."""
        participant.want_ns = t_ns
        participant.waiting = True
        if t_ns < self._due_ns:
            self._due_ns = t_ns

    def _answer_at(self, participant: Participant, t_ns: int, tail: bytes) -> None:
        participant.tail = tail
        if not participant.gone:
            self.wait(participant, t_ns)

    def _deliver(self, index: int, octets: bytes) -> None:
        """Queue an input for everyone who hears the channel; wake those who wait for one."""
        for hear in self.hearers:
            hear(index, octets)
        unheard = not self.hearers
        for participant in self.participants:
            if participant.channels is not None and index not in participant.channels:
                continue
            unheard = False
            participant.hear(octets)
            if participant.wake:
                participant.wake = False
                self.wait(participant, self.kernel.now_ns)
        self.counters["inputs_unheard"] += unheard
