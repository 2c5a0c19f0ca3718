"""Benches in this process whose serial lines ``hil://`` finds: a rig, or a single line.

Each runs in a thread of its own and is reached over its socket, as one of ``hil run`` is. What
belongs to it must not be touched from other threads while it runs: see :meth:`Served.do`.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

from flightsw.codec.wire import Kind
from hil.buses.uart import UARTBus
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.time.kernel import Kernel
from hil.time.transports.private import PrivateDirectory

T = TypeVar("T")

#: The built-in line: TX wired to RX, RTS to CTS, DTR to DSR and CD.
LOOP: Final = "loop"
_lock = threading.RLock()
_registered: dict[str, Served] = {}


class Served:
    """A bench that serves programs from a thread. Close it when they are done."""

    def __init__(self, name: str, exchange: Exchange, pace: str = "real") -> None:
        self.name = name
        self.exchange = exchange
        self._private = PrivateDirectory()
        #: where it listens, as ``HIL_BENCH`` says of one in another process
        self.path: Path = self._private.path / "bench"
        self._owner = os.getpid()
        self._host = Host(exchange, self.path, pace)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._gate = threading.Lock()
        self._closed = False
        self._acts: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._ended = False
        self._host.watch(self._wake, self._act)
        self._thread = threading.Thread(target=self._run, name=f"hil {name}", daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Return the names of its serial lines, those of adapters on CAN buses among them."""
        return [Path(path).name for path in self._host.lines]

    def do(self, act: Callable[[], T]) -> T:
        """Call ``act`` between two steps of the bench and return what it returns.

        Raises what it raises, and :class:`~hil.errors.UsageError` when the bench is closed.
        """
        if threading.current_thread() is self._thread:
            return act()
        done: Future[T] = Future()
        with self._gate:
            if self._ended or self._closed or os.getpid() != self._owner:
                raise UsageError(f"bench {self.name!r} has ended: register it again")
            self._acts.append((done, act))
            os.eventfd_write(self._wake, 1)
        return done.result()

    def close(self) -> None:
        """End the bench; ports on it read their end."""
        with _lock:
            if _registered.get(self.name) is self:
                del _registered[self.name]
        if os.getpid() != self._owner:
            return  # the child of a fork: the bench goes on in its parent
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._acts.append((Future(), self._host.stop))
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        self._private.remove()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _act(self) -> None:
        os.eventfd_read(self._wake)
        while self._acts:
            done, act = self._acts.popleft()
            try:
                done.set_result(act())
            except Exception as error:  # noqa: BLE001  # raised again by whoever asked
                done.set_exception(error)

    def _run(self) -> None:
        try:
            self._host.run()
        finally:
            self._host.close()
            with self._gate:
                self._ended = True
                for done, _ in self._acts:
                    done.set_exception(UsageError(f"bench {self.name!r} has ended"))


def register(name: str, what: Any, pace: str = "real") -> Served:
    """Serve a rig, an exchange, or a single device on a line of that name, until it is closed.

    ``pace`` is that of ``hil run``. Raises :class:`~hil.errors.UsageError` for a name that is taken
    and for what has no serial line.
    """
    if hasattr(what, "uart_receive"):
        what = line_with(name, what)
    exchange = getattr(what, "exchange", what)
    if not isinstance(exchange, Exchange):
        raise UsageError(f"register {name!r}: give a rig or a device, not a {type(what).__name__}")
    with _lock:
        if name in _registered:
            raise UsageError(f"register {name!r}: there is one of that name; close it first")
        if all(lane.kind not in ("uart", "can") for lane in exchange.lanes.values()):
            raise UsageError(f"register {name!r}: it has no serial line; add a bus of kind uart")
        _registered[name] = served = Served(name, exchange, pace)
    return served


def registered() -> dict[str, Served]:
    """Return the benches of this process by name."""
    with _lock:
        return dict(_registered)


def line_with(name: str, device: Any, baud: int = 115_200, **settings: Any) -> Exchange:
    """Return an exchange of one line with a device at its end; ``settings`` are UARTBus's."""
    exchange = _lines({name: baud}, **settings)
    exchange.lanes[0].bus.attach(device)
    start = getattr(device, "start", None)
    if start is not None:
        start(exchange.kernel, 2)
    return exchange


def null_modem(one: str, other: str, baud: int = 115_200) -> Exchange:
    """Return an exchange of two lines that are wired to each other."""
    exchange = _lines({one: baud, other: baud})
    exchange.lanes[0].bus.wire(exchange.lanes[1].bus)
    return exchange


def _lines(bauds: dict[str, int], **settings: Any) -> Exchange:
    kernel = Kernel()
    exchange = Exchange(kernel, RecordStream())
    for index, (name, baud) in enumerate(bauds.items()):
        emit = exchange.emitter(index, Kind.UART)
        exchange.connect(index, UARTBus(name, kernel, index + 1, emit, baud, **settings))
    exchange.identity = {"rig": "line", "board": "none"}
    return exchange


class Loop:
    """The loop line, served while anybody has it open."""

    def __init__(self) -> None:
        self._users = 0
        self._served: Served | None = None

    def acquire(self) -> Path:
        """Return where it listens; goes with one :meth:`release`."""
        with _lock:
            if self._served is None:
                exchange = _lines({LOOP: 9600})
                exchange.lanes[0].bus.wire(exchange.lanes[0].bus)
                self._served = Served(LOOP, exchange)
            self._users += 1
            return self._served.path

    def release(self) -> None:
        """Let go of it; the last one closes it."""
        with _lock:
            self._users -= 1
            if self._users == 0 and self._served is not None:
                self.close()

    def close(self) -> None:
        """Close it, whoever has it open."""
        served, self._served = self._served, None
        if served is not None:
            served.close()


loop = Loop()


@atexit.register
def _end() -> None:
    """Close what the program has not: while the interpreter ends, threads answer nobody."""
    for served in registered().values():
        served.close()
    loop.close()
