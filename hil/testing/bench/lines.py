"""Serial lines and CAN buses on which things come by themselves, with timeouts in virtual time."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hil.buses.can_frame import BRS_FLAG, ESI_FLAG, EXTENDED_FLAG, EXTENDED_MASK, FD_FLAG
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench
    from hil.testing.bench.faces import Faces

SECOND = 1_000_000_000
#: Without a timeout a read waits so long in virtual time, and then says that it is too long.
FOREVER_S = 3600.0


class _Waiting:
    """Waits for what comes in on a bus, in virtual time."""

    def __init__(self, bench: Bench, faces: Faces, name: str) -> None:
        self._bench = bench
        self._faces = faces
        self.name = name
        self._index = next(one.index for one in bench.emulation.board.buses if one.name == name)

    def _wait_input(self, until_ns: int) -> None:
        """Let virtual time pass until something comes in, or until then."""
        bench = self._bench
        hearers = bench.emulation.exchange.hearers

        def hear(index: int, octets: bytes) -> None:
            if index == self._index:
                bench.stop_now()

        hearers.append(hear)
        try:
            bench.wait(lambda entry: False, until_ns - bench.now_ns)
        finally:
            hearers.remove(hear)

    def _until_ns(self, timeout_s: float | None) -> int:
        wait_s = FOREVER_S if timeout_s is None else max(0.0, timeout_s)
        return min(self._bench.now_ns + round(wait_s * SECOND), self._bench.end_ns)

    def _forever(self, what: str) -> UsageError:
        return UsageError(
            f"{self.name}: {what} for {FOREVER_S:g} s of virtual time, or to the end of the run; "
            "give a timeout"
        )


class RigSerial(_Waiting):
    """A serial line as ``serial.Serial`` has it: ``timeout`` in seconds of virtual time, None: wait
    for what was asked, 0: take what is there."""

    def __init__(self, bench: Bench, faces: Faces, name: str, timeout: float | None) -> None:
        super().__init__(bench, faces, name)
        self.timeout = timeout
        self.is_open = True
        self.baudrate = int(bench.emulation.wiring.buses[name].baud)
        self._held = bytearray()
        self.reset_input_buffer()  # who opens a line hears what comes from then on

    @property
    def in_waiting(self) -> int:
        """Octets that have come in and were not read."""
        self._take()
        return len(self._held)

    def write(self, data: bytes) -> int:
        """Queue octets for sending; they take their time on the line."""
        self._port().write(bytes(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """Return ``size`` octets, fewer when they do not come in time."""
        until_ns = self._until_ns(self.timeout)
        while self.in_waiting < size:
            if self._bench.now_ns >= until_ns:
                if self.timeout is None:
                    raise self._forever(f"read({size}) has waited")
                break
            self._wait_input(until_ns)
        return self._cut(min(size, len(self._held)))

    def read_until(self, expected: bytes = b"\n", size: int | None = None) -> bytes:
        """Return octets up to and with ``expected``, or what came in time."""
        until_ns = self._until_ns(self.timeout)
        while True:
            self._take()
            at = self._held.find(expected)
            if at >= 0 or (size is not None and len(self._held) >= size):
                end = at + len(expected) if at >= 0 else len(self._held)
                return self._cut(end if size is None else min(end, size))
            if self._bench.now_ns >= until_ns:
                if self.timeout is None:
                    raise self._forever(f"read_until({expected!r}) has waited")
                return self._cut(len(self._held))
            self._wait_input(until_ns)

    def readline(self) -> bytes:
        """Return a line with its end, or what came of it in time."""
        return self.read_until(b"\n")

    def read_all(self) -> bytes:
        """Return what has come in."""
        return self._cut(self.in_waiting)

    def flush(self) -> None:
        """Do nothing: what is written is on its way."""

    def reset_input_buffer(self) -> None:
        """Forget what has come in."""
        self._take()
        self._held.clear()

    def close(self) -> None:
        """Give the line back."""
        self.is_open = False

    def __enter__(self) -> RigSerial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _port(self) -> Any:
        if not self.is_open:
            raise UsageError(f"{self.name}: the serial line is closed; open it again")
        return self._faces.present().uart(self.name)

    def _take(self) -> None:
        self._held += self._port().read()

    def _cut(self, count: int) -> bytes:
        data = bytes(self._held[:count])
        del self._held[:count]
        return data


@dataclass
class CANMessage:
    """A CAN frame as ``can.Message`` has it, where python-can is not installed."""

    arbitration_id: int = 0
    data: bytes = b""
    is_extended_id: bool = True
    is_fd: bool = False
    bitrate_switch: bool = False
    error_state_indicator: bool = False
    timestamp: float = 0.0
    channel: str | None = None

    @property
    def dlc(self) -> int:
        """Number of octets."""
        return len(self.data)


class RigCAN(_Waiting):
    """A CAN bus as ``can.Bus`` has it; time stamps are seconds of virtual time."""

    def __init__(self, bench: Bench, faces: Faces, name: str) -> None:
        super().__init__(bench, faces, name)
        self._frames: list[Any] = []
        self._message: Any = CANMessage
        if importlib.util.find_spec("can") is not None:
            self._message = importlib.import_module("can").Message
        self._faces.present().can(name).receive()  # who opens a bus hears what comes from then on

    def send(self, msg: Any, timeout: float | None = None) -> None:
        """Queue a ``can.Message``, or what has its attributes; it takes its time on the bus."""
        can_id = int(msg.arbitration_id) | (EXTENDED_FLAG if msg.is_extended_id else 0)
        if msg.is_fd:
            can_id |= FD_FLAG | (BRS_FLAG if msg.bitrate_switch else 0)
            can_id |= ESI_FLAG if msg.error_state_indicator else 0
        self._faces.present().can(self.name).send(can_id, bytes(msg.data))

    def recv(self, timeout: float | None = None) -> Any:
        """Return the next message; None when none comes within so many virtual seconds."""
        until_ns = self._until_ns(timeout)
        while not self._frames:
            self._frames += self._faces.present().can(self.name).receive()
            if self._frames:
                break
            if self._bench.now_ns >= until_ns:
                if timeout is None:
                    raise self._forever("recv() has waited")
                return None
            self._wait_input(until_ns)
        frame = self._frames.pop(0)
        return self._message(
            arbitration_id=frame.can_id & EXTENDED_MASK,
            data=bytearray(frame.data),
            is_extended_id=bool(frame.can_id & EXTENDED_FLAG),
            is_fd=bool(frame.can_id & FD_FLAG),
            bitrate_switch=bool(frame.can_id & BRS_FLAG),
            error_state_indicator=bool(frame.can_id & ESI_FLAG),
            timestamp=frame.t_ns / SECOND,
            channel=self.name,
        )

    def shutdown(self) -> None:
        """Have nothing to leave behind."""

    def __enter__(self) -> RigCAN:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
