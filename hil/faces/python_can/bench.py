"""A controller on a bench, reached over its socket; ``docs/bench-socket.md`` has the messages."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any

from can import CanInitializationError, CanOperationError, CanTimeoutError

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack
from hil.buses.can_frame import ERROR_FLAG, FD_FLAG
from hil.buses.can_node import State
from hil.faces import asking
from hil.faces.can_abi import OF, OPTIONS, STAMP, STATE, WAIT, Op
from hil.faces.python_can.filters import Filters
from hil.faces.python_can.port import REFUSALS, Heard
from hil.faces.python_can.settings import Settings

_CAN, _REFUSE = int(Kind.CAN), int(Kind.REFUSE)
_INPUT = int(Flag.INPUT)


def _connected(path: str, what: str) -> socket.socket:
    try:
        return asking.connect(path)
    except OSError as error:
        raise CanInitializationError(
            f"{what}: no bench at {path}: {error.strerror}; start the program with `hil run --`, "
            'or open with bench="" for a bus in this process'
        ) from error


def _opened(one: socket.socket, name: str) -> tuple[int, dict[str, Any]]:
    """Open a bus by name; return its channel and what the bench tells of it."""
    try:
        return asking.open_device(one, name)
    except OSError as error:
        why = error.strerror or error
        raise CanInitializationError(f"{name}: the bench does not open it: {why}") from error


def can_buses(path: str) -> list[str]:
    """Return the names of the CAN buses of a bench."""
    with _connected(path, "can") as one:
        _, about = _opened(one, "")
        return [lane["name"] for lane in about["channels"] if lane["kind"] == "can"]


class BenchPort:
    """The controller of the payload computer, or with ``can0:NAME`` a node of its own."""

    def __init__(self, path: str, channel: str, settings: Settings, filters: Filters) -> None:
        self.name = channel
        self.counters: dict[str, int] = dict.fromkeys(
            ("sent", "received", "own", "error_frames", "filtered", "rx_dropped", "unread"), 0
        )
        self.counters |= dict.fromkeys(("tx_refused_full", "tx_timeouts", "tx_flushed"), 0)
        self._filters = filters
        self._fd = settings.fd
        self._closed = False
        self._lock = threading.Lock()
        bus, _, node = channel.partition(":")
        with ExitStack() as stack:
            self._listening = stack.enter_context(_connected(path, channel))
            self._index, about = _opened(self._listening, bus)
            if about["kind"] != "can":
                raise CanInitializationError(f"{channel}: {bus} is no CAN bus but {about['kind']}")
            settings.agree(channel, about["bitrate_hz"], about.get("data_bitrate_hz", 0))
            if settings.pace is not None:
                raise CanInitializationError(
                    f"{channel}: the pace is that of the bench; leave it out"
                )
            self._ident = self._joined(node, settings)
            self._asking = stack.enter_context(_connected(path, channel))
            _opened(self._asking, bus)
            self._listening.setblocking(False)
            stack.pop_all()

    def _joined(self, node: str, settings: Settings) -> int:
        given = {**asdict(settings), "own": settings.receive_own_messages, "node": node}
        options = {name: type(usual)(given[name]) for name, usual in OPTIONS.items()}
        payload = bytes((Op.JOIN,)) + json.dumps(options).encode()
        try:
            self._listening.send(pack(_CAN, self._index, payload=payload))
            message = self._listening.recv(asking.ANSWER_NBYTES)
        except OSError as error:
            raise CanInitializationError(f"{self.name}: the bench has ended: {error}") from error
        if not message or message[3] != Status.OK:
            why = message[HEADER_NBYTES:].decode(errors="replace") or "the bench has ended"
            raise CanInitializationError(f"{self.name}: {why}")
        return int.from_bytes(message[HEADER_NBYTES:], "little")

    # --- hearing ------------------------------------------------------------------------------

    def recv(self, timeout_s: float | None) -> Heard | None:
        """Return the next frame that the filters let through; see ``port.Port``."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                message = self._listening.recv(asking.ANSWER_NBYTES)
            except BlockingIOError:
                left_s = None if end_s is None else end_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                waiter = select.poll()
                waiter.register(self._listening, select.POLLIN)
                waiter.poll(None if left_s is None else left_s * 1000)
                continue
            except OSError:
                message = b""
            if not message:
                self._ended()
                return None
            heard = self._heard(message)
            if heard is not None:
                return heard

    def _ended(self) -> None:
        if not self._closed:
            raise CanOperationError(
                f"{self.name}: recv: the bench has ended; start the program again"
            )

    def _heard(self, message: bytes) -> Heard | None:
        """Return a frame, or None for one that is held back."""
        _, _, flags, _, _, _, _, _, address = HEADER.unpack_from(message)
        can_id = address | (flags & 0x70) << 28
        counters = self.counters
        if address & ERROR_FLAG:
            counters["error_frames"] += 1
            counters["rx_dropped"] += message[HEADER_NBYTES + STAMP.size + 1] & 0x01
        if (can_id & FD_FLAG and not self._fd) or not self._filters.pass_on(can_id):
            counters["filtered"] += 1
            return None
        counters["received" if flags & _INPUT else "own"] += not address & ERROR_FLAG
        (stamp_ns,) = STAMP.unpack_from(message, HEADER_NBYTES)
        data = message[HEADER_NBYTES + STAMP.size :]
        return stamp_ns / 1e9, can_id, data, bool(flags & _INPUT)

    def filter(self, filters: Filters) -> None:
        self._filters = filters

    def fileno(self) -> int:
        return self._listening.fileno()

    # --- asking -------------------------------------------------------------------------------

    def _ask(self, op: Op, octets: bytes = b"", address: int = 0) -> tuple[int, bytes]:
        """Ask and return status and payload of the answer. Hold the lock."""
        payload = OF.pack(op, self._ident) + octets
        try:
            self._asking.send(pack(_CAN, self._index, address=address, payload=payload))
            return self._answer()
        except OSError as error:
            raise CanOperationError(
                f"{self.name}: the bench does not answer ({error}); start the program again"
            ) from error

    def _answer(self) -> tuple[int, bytes]:
        message = self._asking.recv(asking.ANSWER_NBYTES)
        if not message or message[0] == _REFUSE:
            raise CanOperationError(f"{self.name}: the bench has ended; start the program again")
        return message[3], message[HEADER_NBYTES:]

    def send(self, can_id: int, data: bytes, timeout_s: float | None) -> None:
        """Queue a frame; see ``port.Port``."""
        waits = timeout_s is not None and timeout_s > 0
        octets = bytes((can_id >> 32 & 7 | WAIT * waits,)) + data
        with self._lock:
            if waits:
                status, told = self._send_and_wait(can_id & 0xFFFF_FFFF, octets, timeout_s or 0.0)
            else:
                status, told = self._ask(Op.SEND, octets, can_id & 0xFFFF_FFFF)
        if status == Status.OK:
            self.counters["sent"] += 1
        elif status == Status.TIMEOUT:
            self.counters["tx_timeouts"] += 1
            raise CanTimeoutError(
                f"{self.name}: send: not out after {timeout_s:g} s and withdrawn; "
                "see that somebody acknowledges"
            )
        elif status == Status.BUSY:
            self.counters["tx_refused_full"] += 1
            raise CanOperationError(
                f"{self.name}: send: too many frames wait to be sent; see that somebody "
                "acknowledges, or flush them"
            )
        else:
            why = REFUSALS.get(told.decode(errors="replace"), "lost; error frames tell why")
            raise CanOperationError(f"{self.name}: send: {why}")

    def _send_and_wait(self, address: int, octets: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Send, and withdraw the frame when it is not out in time."""
        self._asking.settimeout(timeout_s)
        try:
            payload = OF.pack(Op.SEND, self._ident) + octets
            self._asking.send(pack(_CAN, self._index, address=address, payload=payload))
            return self._answer()
        except TimeoutError:
            self._asking.settimeout(None)
            return self._ask(Op.WITHDRAW)
        except OSError as error:
            raise CanOperationError(
                f"{self.name}: the bench does not answer ({error}); start the program again"
            ) from error
        finally:
            self._asking.settimeout(None)

    def _state(self) -> tuple[int, int, int, int]:
        with self._lock:
            _, octets = self._ask(Op.STATE)
        state, listens, tec, rec = STATE.unpack(octets)
        return state, listens, tec, rec

    def state(self) -> tuple[State, int, int]:
        state, _, tec, rec = self._state()
        return State(state), tec, rec

    def listen_only(self, wanted: bool | None = None) -> bool:
        if wanted is None:
            return bool(self._state()[1])
        with self._lock:
            self._ask(Op.LISTEN_ONLY, bytes((wanted,)))
        return wanted

    def restart(self) -> None:
        with self._lock:
            self._ask(Op.RESTART)

    def flush(self) -> None:
        with self._lock:
            _, count = self._ask(Op.FLUSH)
        self.counters["tx_flushed"] += int.from_bytes(count, "little")

    def close(self) -> None:
        """Leave the bus; what the socket still holds is counted."""
        self._closed = True
        with suppress(OSError):  # no more of them, or the bench has ended
            while self._listening.recv(asking.ANSWER_NBYTES):
                self.counters["unread"] += 1
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._asking.close()
