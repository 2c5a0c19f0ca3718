"""What a bus object needs of the place where its bus is, and the box for what waits to be read."""

from __future__ import annotations

import contextlib
import os
import threading
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from hil.buses.can_errors import ERR_CONTROLLER
from hil.buses.can_frame import ERROR_FLAG
from hil.buses.can_node import State
from hil.faces.python_can.filters import Filters

#: (seconds of the wall, identifier, data, whether another node sent it)
Heard = tuple[float, int, bytes, bool]
#: data[1] of an error frame: the receive buffer overflowed
RX_OVERFLOW: Final = 0x01

#: What is wrong with a frame that the controller refuses, and what to do.
REFUSALS: Final = {
    "bus_off": "the controller is bus-off; set state to BusState.ACTIVE, or wait for restart_ms",
    "fd": "no CAN FD here: open every node of the frame's way with fd=True",
    "invalid": "identifier or length make no frame",
    "listen_only": "opened listen-only; open it without, or set state to BusState.ACTIVE",
}


class Port(Protocol):
    """A controller on a bus, here or on the bench; its methods may be called from any thread."""

    #: as it is shown to the user
    name: str
    counters: dict[str, int]

    def send(self, can_id: int, data: bytes, timeout_s: float | None) -> None:
        """Queue a frame; with a timeout above 0 wait until it is out.

        Raises :class:`can.CanOperationError` where the controller does not take it or loses it,
        :class:`can.CanTimeoutError` when it is not out in time; it is then withdrawn.
        """
        ...

    def recv(self, timeout_s: float | None) -> Heard | None:
        """Return the next frame, None when there is none in time; None: wait as long as needed."""
        ...

    def filter(self, filters: Filters) -> None:
        """Let through only what the filters do, from now on."""
        ...

    def fileno(self) -> int:
        """Return a descriptor that can be read while frames wait."""
        ...

    def state(self) -> tuple[State, int, int]:
        """Return state, TEC and REC of the controller."""
        ...

    def listen_only(self, wanted: bool | None = None) -> bool:
        """Set that mode, unless None; return whether it is set."""
        ...

    def restart(self) -> None:
        """Start the controller again after bus off."""
        ...

    def flush(self) -> None:
        """Withdraw every frame that waits to be sent."""
        ...

    def close(self) -> None:
        """Leave the bus."""
        ...


class Inbox:
    """Frames that wait to be read, up to a limit; what comes beyond it is dropped and counted.

    The first that is dropped leaves an error frame in its place, as a driver's overflow does. All
    writers hold one lock, readers none.
    """

    def __init__(self, limit: int, counters: dict[str, int]) -> None:
        self._queue: SimpleQueue[Heard | None] = SimpleQueue()
        self._limit = limit or 2**62
        self._counters = counters
        self._overflowed = False
        self._fd = -1
        self._lock = threading.Lock()

    def put(self, heard: Heard) -> None:
        """Add a frame."""
        if self._queue.qsize() >= self._limit:
            self._counters["rx_dropped"] += 1
            if self._overflowed:
                return
            self._overflowed = True
            can_id = ERROR_FLAG | ERR_CONTROLLER
            heard = (heard[0], can_id, bytes((0, RX_OVERFLOW, 0, 0, 0, 0, 0, 0)), True)
        else:
            self._overflowed = False
        if self._fd < 0:
            self._queue.put(heard)
            return
        with self._lock:
            self._queue.put(heard)
            os.eventfd_write(self._fd, 1)

    def get(self, timeout_s: float | None) -> Heard | None:
        """Return the next frame, None when there is none in time or the box was closed."""
        try:
            heard = self._queue.get(True, None if timeout_s is None else max(timeout_s, 0.0))
        except Empty:
            return self._recounted(None)
        if heard is None:
            self._queue.put(None)  # the box is closed: for everyone who waits
        return self._recounted(heard)

    def _recounted(self, heard: Heard | None) -> Heard | None:
        """Make the descriptor readable only while frames wait."""
        if self._fd >= 0:
            with self._lock, contextlib.suppress(BlockingIOError):
                if not self._queue.qsize():
                    os.eventfd_read(self._fd)
        return heard

    def fileno(self) -> int:
        """Return a descriptor that can be read while frames wait. Hold the writers' lock."""
        if self._fd < 0:
            self._fd = os.eventfd(self._queue.qsize(), os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._fd

    def close(self) -> int:
        """Wake whoever waits, let go of the descriptor; return how many frames were not read."""
        left = self._queue.qsize()
        self._queue.put(None)
        if self._fd >= 0:
            with self._lock:
                os.close(self._fd)
                self._fd = -1
        return left
