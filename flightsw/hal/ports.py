"""The buses of a payload computer on a bench: the interfaces of ``flightsw.hal`` over a session.

One object a channel, made when the bench has said which channels there are, so that nothing that
comes in is without a place to go.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flightsw.codec import bus_payload
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.wire import Kind, Status
from flightsw.errors import BusError, DeviceTableError, Shutdown
from flightsw.hal import CanFrame, Charge, Edge, Image
from flightsw.hal.session import Header, Session, raise_bus_error

#: Octets that the kernel holds unread for a serial line unless the bench says otherwise (N_TTY).
UART_LIMIT_NBYTES = 4096
#: CAN frames and GPIO edges that the kernel holds unread.
CAN_LIMIT = 1024
#: record flags BRS, ESI, FDF, which are bits 32 to 34 of an identifier
_CAN_FD_FLAGS = 0x70
EDGE_LIMIT = 1024
_MEMO_LIMIT = 4096

_I2C, _SPI, _UART, _CAN, _GPIO, _FRAME, _LOAD = (
    int(kind)
    for kind in (Kind.I2C, Kind.SPI, Kind.UART, Kind.CAN, Kind.GPIO, Kind.FRAME, Kind.LOAD)
)
_OVERRUN, _FRAMING = int(Status.OVERRUN), int(Status.FRAMING)


class BenchPort:
    """What all channels have: a place in the session, a name, the adapter's errno table."""

    def __init__(self, session: Session, channel: Mapping[str, Any]) -> None:
        self.session = session
        self.name: str = channel["name"]
        self.index: int = channel["index"]
        self._errno = {int(status): code for status, code in channel.get("errno", {}).items()}

    def take(self, header: Header, message: bytes, at: int) -> None:
        """Take a record that came in on this channel."""
        raise AssertionError(f"{self.name} took a record of kind 0x{header[0]:02x}: a bench defect")

    def fail(self, status: int, what: str) -> None:
        """Raise the error of a failed transaction; return if it did not fail."""
        if status:
            raise_bus_error(self._errno.get(status, errno.EIO), self.name, what, status)


class BenchI2C(BenchPort):
    """An I2C controller; also the windowed way, where many transactions share one exchange."""

    def __init__(self, session: Session, channel: Mapping[str, Any]) -> None:
        super().__init__(session, channel)
        self._requests: dict[tuple[int, bytes, int], bytes] = {}

    def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
        """Write, then after a repeated start read; return the octets read."""
        request = self._requests.get((address, write, nread))
        if request is None:
            request = self.request(address, write, nread)
        status, payload = self.session.call(_I2C, self.index, address, request)
        if status:
            self.fail(status, f"transfer with 0x{address:02x}")
        # A request ends where the octets read begin.
        return payload[len(request) :]

    def request(self, address: int, write: bytes, nread: int) -> bytes:
        """Return, and remember, the request payload of a transfer."""
        if len(self._requests) >= _MEMO_LIMIT:
            self._requests.clear()
        request = bus_payload.pack_i2c(address, write, nread)
        self._requests[address, write, nread] = request
        return request


class DirectI2C(BenchI2C):
    """The same by a call into a bench in this process."""

    def __init__(
        self,
        session: Session,
        channel: Mapping[str, Any],
        run: Callable[[int, int, bytes, int], tuple[int, int, bytes]],
    ) -> None:
        super().__init__(session, channel)
        self._run = run

    def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
        """Write, then after a repeated start read; return the octets read."""
        session = self.session
        status, end_ns, data = self._run(session.t_ns, address, write, nread)
        if status:
            if status < 0:
                raise Shutdown("the bench ended the run")
            session.t_ns = end_ns
            self.fail(status, f"transfer with 0x{address:02x}")
        session.t_ns = end_ns
        return data


class BenchSPI:
    """One chip select of an SPI controller."""

    def __init__(self, port: BenchPort, chip_select: int) -> None:
        self._port = port
        self._chip_select = chip_select

    def transfer(self, tx: bytes) -> bytes:
        """Exchange ``len(tx)`` octets under one chip select; return what came back."""
        port, length = self._port, len(tx)
        request = bus_payload.SPI_SEGMENT.pack(length, *bus_payload.SPI_DEFAULTS) + tx
        status, payload = port.session.call(_SPI, port.index, self._chip_select, request)
        if status:
            port.fail(status, f"transfer with chip select {self._chip_select}")
        return payload[len(request) :]


class BenchUART(BenchPort):
    """A serial line with the receive buffer of a kernel: what does not fit is lost and counted."""

    def __init__(self, session: Session, channel: Mapping[str, Any]) -> None:
        super().__init__(session, channel)
        self._buffer = bytearray()
        self._limit = int(channel.get("rx_fifo", UART_LIMIT_NBYTES))
        self._overruns = 0
        #: octets that came with a framing error
        self.framing_errors = 0

    @property
    def overruns(self) -> int:
        """Octets lost since start because the receive buffer was full."""
        self.session.sync()
        return self._overruns

    def write(self, data: bytes) -> None:
        """Queue ``data`` for sending."""
        if data:
            self.session.post(_UART, self.index, 0, bytes(data))

    def read(self) -> bytes:
        """Return everything received and not yet read."""
        self.session.sync()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def take(self, header: Header, message: bytes, at: int) -> None:
        """Put received octets into the buffer."""
        length = header[4]
        if header[3] == _OVERRUN:
            self._overruns += length
            return
        if header[3] == _FRAMING:
            self.framing_errors += length
        room = min(self._limit - len(self._buffer), length)
        self._overruns += length - room
        self._buffer += message[at : at + room]


class BenchCAN(BenchPort):
    """A CAN controller."""

    def __init__(self, session: Session, channel: Mapping[str, Any]) -> None:
        super().__init__(session, channel)
        self._frames: list[CanFrame] = []
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Frames lost since start because nobody read them."""
        self.session.sync()
        return self._dropped

    def send(self, can_id: int, data: bytes) -> None:
        """Queue one frame for arbitration. Raises ``FieldRangeError`` above 64 octets."""
        if len(data) > 64:
            raise FieldRangeError(f"{self.name}: a CAN frame of {len(data)} octets; at most 64")
        self.session.post(_CAN, self.index, can_id, bytes(data))

    def receive(self) -> Sequence[CanFrame]:
        """Return the frames received and not yet read, oldest first."""
        self.session.sync()
        frames, self._frames = self._frames, []
        return frames

    def take(self, header: Header, message: bytes, at: int) -> None:
        """Keep a received frame."""
        if len(self._frames) >= CAN_LIMIT:
            self._dropped += 1
            return
        # The time stamp of a frame is its end, when the controller raises its interrupt.
        data = message[at : at + header[4]]
        can_id = header[8] | (header[2] & _CAN_FD_FLAGS) << 28
        self._frames.append(CanFrame(header[5] + header[6], can_id, data))


class BenchGPIO:
    """One line of a GPIO chip."""

    def __init__(self, chip: BenchGPIOChip, line: int, level: int) -> None:
        self._chip = chip
        self._line = line
        self._level = level
        self._edges: deque[Edge] = deque()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Edges lost since start because nobody read them."""
        self._chip.session.sync()
        return self._dropped

    def set(self, value: int) -> None:
        """Drive the line to 0 or 1."""
        self._level = level = 1 if value else 0
        self._chip.session.post(_GPIO, self._chip.index, self._line, bytes((level,)))

    def get(self) -> int:
        """Return the level of the line as last known."""
        self._chip.session.sync()
        return self._level

    def edges(self) -> Sequence[Edge]:
        """Return the edges seen and not yet read, oldest first."""
        self._chip.session.sync()
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def edge(self, t_ns: int, level: int) -> None:
        """Take an edge that came in."""
        self._level = level
        if len(self._edges) >= EDGE_LIMIT:
            self._dropped += 1
        else:
            self._edges.append(Edge(t_ns, level))


class BenchGPIOChip(BenchPort):
    """A GPIO chip."""

    def __init__(self, session: Session, channel: Mapping[str, Any]) -> None:
        super().__init__(session, channel)
        levels = channel.get("levels", [0] * int(channel.get("lines", 0)))
        self._lines = [BenchGPIO(self, line, level) for line, level in enumerate(levels)]

    def line(self, number: int) -> BenchGPIO:
        """Return a line. Raises ``DeviceTableError`` for one that is not there."""
        if not 0 <= number < len(self._lines):
            raise DeviceTableError(
                f"{self.name} has no line {number}; it has 0 to {len(self._lines) - 1}"
            )
        return self._lines[number]

    def take(self, header: Header, message: bytes, at: int) -> None:
        """Pass an edge to its line."""
        self._lines[header[8]].edge(header[5], message[at])


class BenchImager(BenchPort):
    """A camera port."""

    def capture(self, exposure_us: int) -> Image:
        """Expose, read out and return one frame; its time stamp is the start of the exposure."""
        started_ns = self.session.t_ns
        request = bus_payload.FRAME_REQUEST.pack(exposure_us)
        status, payload = self.session.call(_FRAME, self.index, 0, request)
        self.fail(status, f"capture with {exposure_us} us")
        width, height, channels, bits, _ = bus_payload.FRAME_HEADER.unpack_from(payload)
        nbytes = width * height * channels
        if bits != 8 or len(payload) != bus_payload.FRAME_HEADER.size + nbytes:
            raise BusError(
                errno.EPROTO,
                f"{self.name}: frame of {width} x {height} x {channels} at {bits} bits came with "
                f"{len(payload)} octets; check the imager",
            )
        pixels = np.frombuffer(payload, np.uint8, nbytes, bus_payload.FRAME_HEADER.size)
        return Image(started_ns, pixels.reshape(height, width, channels))


class BenchProcessor:
    """The payload computer's processor; the bench decides what work costs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, model_class: str, units: int) -> Charge:
        """Announce that ``units`` of work start now; return what they cost."""
        request = bus_payload.LOAD_REQUEST.pack(units) + model_class.encode()
        _, payload = self._session.call(_LOAD, NO_CHANNEL, 0, request)
        duration_ns, energy_uj = bus_payload.LOAD_REPLY.unpack_from(payload)
        return Charge(duration_ns, energy_uj / 1e6)

    def end(self) -> None:
        """Announce that the announced work was stopped before its time."""
        self._session.call(_LOAD, NO_CHANNEL, 0, bus_payload.LOAD_REQUEST.pack(0))


#: Channel number of records that belong to no bus.
NO_CHANNEL = 0xFF
