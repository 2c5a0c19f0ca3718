"""A bus at the far end of a transport, for the contract suites of ``hil.testing.contracts.bus``.

:func:`remote` puts a bus on an exchange, connects to it as the flight software does, and gives what
the suite of its kind calls: each call becomes a record, goes over the transport, and what comes
back is what the suite judges. Records of the bus are checked against those that came over::

    with ExitStack() as sessions:
        check_bus("i2c", remote("i2c", make_i2c, "ipc", sessions))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from flightsw.codec import bus_payload
from flightsw.codec.bus_payload import ONEWIRE_WRITE
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind
from flightsw.hal.bench import BenchHal, DirectHal
from flightsw.hal.channel import open_channel
from flightsw.hal.session import Header, Session
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.testing.contracts.lines import SECOND_NS
from hil.testing.contracts.transport import running
from hil.testing.simple_scheduler import SimpleScheduler
from hil.time.coordinator import Coordinator
from hil.time.kernel import Kernel
from hil.time.transports import listen
from hil.time.transports.direct import DirectPort

#: kinds on which things happen by themselves, as check_lines has them
POSTED = {"uart": Kind.UART, "can": Kind.CAN, "gpio": Kind.GPIO}
END_NS = 3600 * SECOND_NS


class Rig:
    """An exchange for one bus that keeps every record."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.records: list[bytes] = []
        recorder = RecordStream()
        record = recorder.record

        class Keep:
            """A recorder that also lists."""

            @staticmethod
            def record(*fields: Any) -> bytes:
                octets = record(*fields)
                self.records.append(octets)
                return octets

        self.exchange = Exchange(self.kernel, Keep(), END_NS)
        self.exchange.identity = {"rig": "suite", "board": "none"}

    @contextmanager
    def session(self, transport: str, keys: Path | None) -> Iterator[Session]:
        """Connect over a transport; the bench then runs in a thread of its own."""
        exchange = self.exchange
        if transport == "direct":
            yield DirectHal(DirectPort(exchange, exchange.join("suite"))).clock
            return
        with listen(transport, keys) as listener:
            coordinator = Coordinator(exchange, lambda participant, how: exchange.finish())
            coordinator.add(listener.channel(), "suite")
            with running(coordinator.run) as failures:
                key = None if keys is None else keys / "client.key"
                with BenchHal(open_channel(listener.endpoint, key), "suite") as hal:
                    yield hal.clock
        assert not failures, f"the bench failed: {failures[0]!r}"


class RemoteBus:
    """What the suites call, as records; everything else is asked of the bus itself."""

    def __init__(self, bus: Any, session: Session) -> None:
        self._bus = bus
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    def _call(self, kind: int, t_ns: int, address: int, request: bytes) -> tuple[int, int, bytes]:
        """Run a request; return status, what it took in ns, and the payload of the reply."""
        session = self._session
        session.sleep_until(t_ns)
        begin_ns = session.now_ns()
        status, payload = session.call(int(kind), 0, address, request)
        return status, session.now_ns() - begin_ns, payload


class RemoteI2C(RemoteBus):
    """An I2C controller."""

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> tuple[int, int, bytes]:
        """Write, then read."""
        request = bus_payload.pack_i2c(address, write, nread)
        status, duration_ns, payload = self._call(Kind.I2C, t_ns, address, request)
        return status, duration_ns, b"" if status else payload[len(request) :]

    def transfer_messages(
        self, t_ns: int, messages: list[tuple[int, int, bytes | int]]
    ) -> tuple[int, int, list[bytes]]:
        """Run messages as one transaction."""
        head = bus_payload.I2C_MESSAGE.pack
        request = b"".join(
            head(address, flags, what)
            if isinstance(what, int)
            else head(address, flags, len(what)) + what
            for address, flags, what in messages
        )
        status, duration_ns, payload = self._call(Kind.I2C, t_ns, messages[0][0], request)
        read = [
            what
            for _, flags, what in bus_payload.unpack_i2c(payload, reply=True)
            if flags & bus_payload.I2C_READ and isinstance(what, bytes)
        ]
        return status, duration_ns, read


class RemoteSPI(RemoteBus):
    """An SPI controller."""

    def transfer(self, t_ns: int, chip_select: int, tx: bytes) -> tuple[int, int, bytes]:
        """Exchange octets under one chip select."""
        segments = [(tx, *bus_payload.SPI_DEFAULTS)]
        status, duration_ns, received = self.transfer_segments(t_ns, chip_select, segments)
        return status, duration_ns, b"" if status else received[0]

    def transfer_segments(
        self, t_ns: int, chip_select: int, segments: list[tuple[bytes, int, int, int, int]]
    ) -> tuple[int, int, list[bytes]]:
        """Exchange segments as one transaction."""
        request = bus_payload.pack_spi(segments)
        status, duration_ns, payload = self._call(Kind.SPI, t_ns, chip_select, request)
        return status, duration_ns, bus_payload.unpack_spi(payload, reply=True)[1]


class RemoteOneWire(RemoteBus):
    """A 1-Wire controller."""

    def transfer(
        self, t_ns: int, steps: list[tuple[int, bytes | int]]
    ) -> tuple[int, int, list[bytes]]:
        """Run steps; return what each but a write saw."""
        request = bus_payload.pack_onewire(steps)
        status, duration_ns, payload = self._call(Kind.ONEWIRE, t_ns, 0, request)
        answers = bus_payload.unpack_onewire(payload, reply=True)
        seen = [what for op, what in answers if op != ONEWIRE_WRITE and isinstance(what, bytes)]
        while seen and not seen[-1]:  # steps that were not reached
            seen.pop()
        return status, duration_ns, seen


class RemoteFrames(RemoteBus):
    """A camera port."""

    def capture(self, t_ns: int, exposure_us: int) -> tuple[int, int, bytes]:
        """Take a frame."""
        request = bus_payload.FRAME_REQUEST.pack(exposure_us)
        return self._call(Kind.FRAME, t_ns, 0, request)


class RemoteLine(RemoteBus):
    """A UART, a CAN controller or a GPIO chip: what is said is posted, what comes is emitted.

    When the suite lets time pass, so does the bench; its records then come at their times.
    """

    def __init__(
        self, bus: Any, session: Session, rig: Rig, scheduler: SimpleScheduler, emit: Any, kind: int
    ) -> None:
        super().__init__(bus, session)
        self._rig = rig
        self._emit = emit
        self._scheduler = scheduler
        self._kind = kind
        self._heard: list[bytes] = []
        self._inputs: list[bytes] = []
        session.sinks[0] = self._take
        scheduler.at(0, 0, 0, self._pass)

    def _take(self, header: Header, message: bytes, at: int) -> None:
        self._heard.append(message[at - HEADER_NBYTES : at + header[4]])

    def _pass(self, t_ns: int) -> None:
        self._session.sleep_until(SECOND_NS)
        self._bring()

    def _bring(self) -> None:
        """Fetch what has come in, and give the suite every record at its end."""
        self._session.wait_until(self._session.now_ns())
        records = self._rig.records[:]
        self._rig.records.clear()
        for octets in records:
            header = HEADER.unpack_from(octets)
            if header[2] & Flag.INPUT:
                self._inputs.append(octets)
            outcome = (header[5], header[6], header[2], header[3], header[8])
            give = partial(self._give, *outcome, octets[HEADER_NBYTES:])
            self._scheduler.at(header[5] + header[6], 0, 0, give)
        assert self._heard == self._inputs, "what came over is not what the bus gave"

    def _give(self, *record: Any) -> None:
        self._emit(*record[:-1])  # the last is the time at which this is called

    def _post(self, t_ns: int, address: int, payload: bytes) -> None:
        self._session.sleep_until(t_ns)
        self._session.post(self._kind, 0, address, payload)
        if self._scheduler.now_ns:
            self._bring()
            self._scheduler.run_until(self._scheduler.now_ns)

    def write(self, t_ns: int, data: bytes) -> None:
        """Send octets on a UART."""
        self._post(t_ns, 0, data)

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Send a CAN frame."""
        self._post(t_ns, can_id, data)

    def set(self, t_ns: int, line: int, level: int) -> None:
        """Set a line."""
        self._post(t_ns, line, bytes((level,)))


_REQUESTING: dict[str, type[RemoteBus]] = {
    "i2c": RemoteI2C,
    "spi": RemoteSPI,
    "onewire": RemoteOneWire,
    "frames": RemoteFrames,
}


def remote(
    kind: str,
    make: Callable[..., Any],
    transport: str,
    sessions: ExitStack,
    keys: Path | None = None,
) -> Callable[..., Any]:
    """Return a ``make`` for the suite of ``kind`` whose buses are at the end of ``transport``.

    ``make`` is what the suite would get for the bus itself; ``sessions`` closes what is opened;
    ``keys``: the directory of CURVE keys that tcp needs.
    """

    def opened(rig: Rig, bus: Any) -> Session:
        rig.exchange.connect(0, bus)
        return sessions.enter_context(rig.session(transport, keys))

    def requesting(*arguments: Any) -> Any:
        rig, bus = Rig(), make(*arguments)
        return _REQUESTING[kind](bus, opened(rig, bus))

    def posting(scheduler: SimpleScheduler, emit: Any, devices: list[Any]) -> Any:
        rig, code = Rig(), int(POSTED[kind])
        bus = make(rig.kernel, rig.exchange.emitter(0, code), devices)
        return RemoteLine(bus, opened(rig, bus), rig, scheduler, emit, code)

    return posting if kind in POSTED else requesting
