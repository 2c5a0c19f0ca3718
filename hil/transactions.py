"""One transaction: from the payload of a request, through a bus, to the record of what happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from flightsw.codec import bus_payload
from flightsw.codec.errors import SyncError
from flightsw.codec.wire import Flag, Kind
from hil.digest import Recorder

if TYPE_CHECKING:
    from hil.time.participant import Participant

#: Channel number of records that belong to no bus (LOAD).
NO_CHANNEL = 0xFF

#: LOAD: (participant name, t_ns, class of model, units; 0 units: stop) -> (duration_ns, energy_uj)
LoadHandler = Callable[[str, int, str, int], tuple[int, int]]
#: One transaction as it runs: t_ns -> (duration_ns, record as recorded)
Run = Callable[[int], tuple[int, bytes]]

_REPLY = int(Flag.REPLY)
_BOARD = int(Flag.BOARD)
_REPLY_FAULTED = int(Flag.REPLY | Flag.FAULTED)
_I2C = int(Kind.I2C)
#: Requests are few and come again and again; a program that makes up new ones all the time only
#: loses the short cut.
MEMO_LIMIT = 4096


class Call:
    """One transaction that is to be run: what was asked for, and what runs it."""

    __slots__ = ("address", "kind", "payload", "run")

    def __init__(self, kind: int, address: int, payload: bytes, run: Run) -> None:
        self.kind = kind
        self.address = address
        self.payload = payload
        self.run = run

    def __call__(self, t_ns: int) -> tuple[int, bytes]:
        """Run it at ``t_ns``."""
        return self.run(t_ns)


class Route(Protocol):
    """Where transactions of a lane go that something real answers, such as a board.

    It never holds time back: whatever is asked ends in ``done``, also when nothing answers.
    """

    def begin(self, call: Call, t_ns: int, done: Callable[[int, Run], None]) -> bool:
        """Send a transaction on its way; False: the emulated bus runs it as it is.

        ``done(t_ns, run)`` is called, at the virtual time of the answer's arrival, with what runs
        the transaction as it was answered, and when it is to have begun.
        """


class Lane:
    """One channel: its bus, and who waits for it."""

    __slots__ = (
        *("bus", "busy_ns", "draining", "errno", "index", "kind"),
        *("pending", "quick", "route", "waiting"),
    )

    def __init__(self, index: int, bus: Any, errno: Mapping[int, int]) -> None:
        self.index = index
        self.bus = bus
        self.errno = errno
        self.kind: str = bus.kind
        #: the transaction under way ends at this time
        self.busy_ns = 0
        #: something real has the transaction under way, and nobody knows for how long
        self.pending = False
        self.route: Route | None = None
        #: an I2C bus whose transactions run at once: they may take the short ways
        self.quick = self.kind == "i2c"
        #: the next of those who wait has its time on the clock
        self.draining = False
        #: jobs that found the bus busy, in order
        self.waiting: deque[tuple[Participant, bool, Call]] = deque()

    def describe(self) -> dict[str, Any]:
        """Return what whoever uses a channel may know of it."""
        return {
            **self.bus.describe(),
            "index": self.index,
            "name": self.bus.name,
            "kind": self.kind,
            "errno": {str(int(status)): code for status, code in self.errno.items()},
        }

    def is_free(self, t_ns: int) -> bool:
        """Tell whether the bus itself may run a transaction at once: nobody is before it."""
        is_idle = self.busy_ns <= t_ns and not self.waiting
        return is_idle and self.route is None and not self.pending

    def lead(self, route: Route | None) -> None:
        """Let ``route`` have every transaction from now on; None: they are the bus's own again."""
        self.route = route
        self.quick = self.kind == "i2c" and route is None and not self.pending


class Transactor:
    """Calls buses and records the outcome."""

    def __init__(self, recorder: Recorder) -> None:
        self.record = recorder.record
        self.on_load: LoadHandler | None = None
        # request payload -> (address, octets to write, length to read)
        self._memo: dict[bytes, tuple[int, bytes, int]] = {}

    def call(self, kind: int, lane: Lane | None, address: int, payload: bytes, name: str) -> Call:
        """Return what runs a request later. Raises ``CodecError`` when it cannot be read."""
        return Call(kind, address, payload, self._run(kind, lane, address, payload, name))

    def _run(self, kind: int, lane: Lane | None, address: int, payload: bytes, name: str) -> Run:
        if lane is None:
            units = bus_payload.LOAD_REQUEST.unpack_from(payload)[0] if len(payload) > 3 else -1
            if units < 0:
                raise SyncError(f"LOAD request of {len(payload)} octets, at least 4 expected")
            return partial(self.load, name, payload, units)
        if kind == _I2C:
            bus_payload.unpack_i2c(payload, reply=False)
            return partial(self.i2c, lane, payload)
        if kind == Kind.SPI:
            segments, _ = bus_payload.unpack_spi(payload, reply=False)
            return partial(self.spi, lane, address, segments)
        if kind == Kind.ONEWIRE:
            steps = bus_payload.unpack_onewire(payload, reply=False)
            return partial(self.onewire, lane, steps)
        if len(payload) != bus_payload.FRAME_REQUEST.size:
            raise SyncError(f"FRAME request of {len(payload)} octets, 4 expected")
        return partial(self.frame, lane, address, bus_payload.FRAME_REQUEST.unpack(payload)[0])

    def i2c(self, lane: Lane, request: bytes, t_ns: int) -> tuple[int, bytes]:
        """Run an I2C request; a write, a read, or both at one address takes the short way."""
        shape = self._memo.get(request) or self._shape(request)
        if shape is None:
            return self._i2c_messages(lane, request, t_ns)
        address, write, nread = shape
        bus = lane.bus
        status, duration_ns, data = bus.transfer(t_ns, address, write, nread)
        # A request ends where the octets read begin, so the reply is the request and those.
        payload = bus_payload.i2c_failure(address, write, nread) if status else request + data
        flags = _REPLY_FAULTED if bus.faulted else _REPLY
        return duration_ns, self.record(
            _I2C, lane.index, flags, status, t_ns, duration_ns, address, payload
        )

    def _shape(self, request: bytes) -> tuple[int, bytes, int] | None:
        """Remember a request that is a plain write then read; None for any other."""
        messages = bus_payload.unpack_i2c(request, reply=False)
        address = messages[0][0]
        write = messages[0][2] if isinstance(messages[0][2], bytes) else b""
        nread = messages[-1][2] if isinstance(messages[-1][2], int) else 0
        if bus_payload.pack_i2c(address, write, nread) != request:
            return None
        if len(self._memo) >= MEMO_LIMIT:
            self._memo.clear()
        self._memo[request] = shape = (address, write, nread)
        return shape

    def _i2c_messages(
        self, lane: Lane, request: bytes, t_ns: int, more: int = 0, least_ns: int = 0
    ) -> tuple[int, bytes]:
        messages = bus_payload.unpack_i2c(request, reply=False)
        status, duration_ns, read = lane.bus.transfer_messages(t_ns, messages)
        duration_ns = max(duration_ns, least_ns)
        payload = bus_payload.pack_i2c_reply(messages, read)
        flags = (_REPLY_FAULTED if lane.bus.faulted else _REPLY) | more
        octets = self.record(
            _I2C, lane.index, flags, status, t_ns, duration_ns, messages[0][0], payload
        )
        return duration_ns, octets

    def spi(
        self,
        lane: Lane,
        chip_select: int,
        segments: list[bus_payload.SPISegment],
        t_ns: int,
        more: int = 0,
        least_ns: int = 0,
    ) -> tuple[int, bytes]:
        """Run an SPI request."""
        if len(segments) == 1 and segments[0][1:] == bus_payload.SPI_DEFAULTS:
            status, duration_ns, data = lane.bus.transfer(t_ns, chip_select, segments[0][0])
            received = [data]
        else:
            status, duration_ns, received = lane.bus.transfer_segments(t_ns, chip_select, segments)
        duration_ns = max(duration_ns, least_ns)
        payload = bus_payload.pack_spi(segments, received)
        flags = (_REPLY_FAULTED if lane.bus.faulted else _REPLY) | more
        return duration_ns, self.record(
            int(Kind.SPI), lane.index, flags, status, t_ns, duration_ns, chip_select, payload
        )

    def answered(self, lane: Lane, call: Call, now_ns: int, t_ns: int) -> tuple[int, bytes]:
        """Run an I2C or SPI request as a board has answered it by ``now_ns``; its record says so.

        Whoever calls has put what the board said in the place of the part. Its answer may have
        come later than the emulated bus takes: the controller had to wait for it.
        """
        least_ns = now_ns - t_ns
        if call.kind == _I2C:
            return self._i2c_messages(lane, call.payload, t_ns, _BOARD, least_ns)
        segments, _ = bus_payload.unpack_spi(call.payload, reply=False)
        return self.spi(lane, call.address, segments, t_ns, _BOARD, least_ns)

    def refused(
        self, lane: Lane, call: Call, status: int, now_ns: int, t_ns: int
    ) -> tuple[int, bytes]:
        """Record an I2C or SPI request that failed by ``now_ns`` without the emulated bus."""
        address, duration_ns = call.address, now_ns - t_ns
        if call.kind == _I2C:
            messages = bus_payload.unpack_i2c(call.payload, reply=False)
            address = messages[0][0]
            payload = bus_payload.pack_i2c_reply(messages, [])
        else:
            segments, _ = bus_payload.unpack_spi(call.payload, reply=False)
            payload = bus_payload.pack_spi(segments, [])
        flags = _REPLY | _BOARD
        return duration_ns, self.record(
            call.kind, lane.index, flags, status, t_ns, duration_ns, address, payload
        )

    def onewire(
        self, lane: Lane, steps: list[bus_payload.OneWireStep], t_ns: int
    ) -> tuple[int, bytes]:
        """Run a 1-Wire request."""
        status, duration_ns, seen = lane.bus.transfer(t_ns, steps)
        payload = bus_payload.pack_onewire(steps, seen)
        flags = _REPLY_FAULTED if lane.bus.faulted else _REPLY
        kind = int(Kind.ONEWIRE)
        return duration_ns, self.record(
            kind, lane.index, flags, status, t_ns, duration_ns, 0, payload
        )

    def frame(self, lane: Lane, address: int, exposure_us: int, t_ns: int) -> tuple[int, bytes]:
        """Capture a frame."""
        status, duration_ns, payload = lane.bus.capture(t_ns, exposure_us)
        flags = _REPLY_FAULTED if lane.bus.faulted else _REPLY
        return duration_ns, self.record(
            int(Kind.FRAME), lane.index, flags, status, t_ns, duration_ns, address, payload
        )

    def load(self, name: str, request: bytes, units: int, t_ns: int) -> tuple[int, bytes]:
        """Tell the power model what is computed, and the participant what that costs."""
        model_class = request[bus_payload.LOAD_REQUEST.size :].decode(errors="replace")
        cost = (0, 0) if self.on_load is None else self.on_load(name, t_ns, model_class, units)
        payload = bus_payload.LOAD_REPLY.pack(*cost) + request
        return 0, self.record(int(Kind.LOAD), NO_CHANNEL, _REPLY, 0, t_ns, 0, 0, payload)
