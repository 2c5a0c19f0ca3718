"""Emulated CAN buses in this process: one a channel name, for as long as somebody has it open.

Bus time is charged, and by default not waited for: a frame has reached everyone when ``send``
returns, with the time stamp of its last bit. The present is that of the wall, or as far ahead of it
as the frames since then took on the bus. With ``pace="real"`` (or ``xN``) frames wait for their
time, contend with others that were sent meanwhile, and arrive when it is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from can import CanInitializationError, CanOperationError, CanTimeoutError

from hil.buses.can_calm import CalmCANBus
from hil.buses.can_faults import CANFault
from hil.buses.can_node import State
from hil.errors import ConfigError, UsageError
from hil.faces.can_controller import CanController
from hil.faces.python_can.filters import Filters
from hil.faces.python_can.port import REFUSALS, Heard, Inbox
from hil.faces.python_can.settings import BITRATE_HZ, DATA_BITRATE_HZ, Settings
from hil.parts.base import CANNode
from hil.parts.fault_windows import FaultWindows
from hil.time.kernel import NEVER_NS, Kernel
from hil.time.present import Present

#: Failed tries of frames that one call runs through without waiting; the rest take their time.
_TRIES: Final = 64
_buses: dict[str, LocalBus] = {}
_buses_lock = threading.Lock()


def emulated(channel: str) -> LocalBus:
    """Return the emulated bus of a channel that is open in this process, ``can0`` of ``can0:NAME``.

    Raises :class:`hil.errors.UsageError` where nobody has it open.
    """
    with _buses_lock:
        bus = _buses.get(channel)
        if bus is None:
            known = ", ".join(_buses) or "none"
            raise UsageError(f"no bus has {channel!r} open in this process (open: {known})")
        return bus


def channels() -> list[str]:
    """Return the channels that are open in this process."""
    with _buses_lock:
        return list(_buses)


class LocalBus:
    """An emulated bus and its time. Parts and faults can be put on it while it runs."""

    def __init__(self, channel: str, settings: Settings) -> None:
        self.channel = channel
        self.pace = settings.pace or "max"
        bitrate = settings.bitrate or BITRATE_HZ
        data_bitrate = settings.data_bitrate or max(DATA_BITRATE_HZ, bitrate)
        self.kernel = Kernel()
        try:
            self.present = Present(self.kernel, self.pace)
            self.can = CalmCANBus(
                channel, self.kernel, 1, _unheard, bitrate, 0, 0, False, data_bitrate, True
            )
        except (UsageError, ConfigError) as error:
            raise CanInitializationError(str(error)) from error
        self.lock = threading.Condition()
        self.users = 0
        #: seconds of the wall when virtual time began
        self.epoch_s = time.time()
        #: seconds of the wall per nanosecond of virtual time
        self.pace_s = (self.present.wall_ns(10**9) - self.present.wall_ns(0)) * 1e-18
        self._ticker: threading.Thread | None = None
        self._closed = False
        self._held = False

    # --- what tests do ------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """What the bus has counted; see :mod:`hil.buses.can_nodes`."""
        return self.can.counters

    @property
    def faults(self) -> FaultWindows[CANFault]:
        """The faults of the bus; times are those of :meth:`now_ns`."""
        return self.can.faults

    def now_ns(self) -> int:
        """Return the virtual time of the bus."""
        with self.lock:
            return self._catch_up()

    def attach(self, device: CANNode) -> None:
        """Put a part on the bus."""
        with self.lock:
            self._catch_up()
            self.can.attach(device)
            self._go_on()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep time still: what is sent inside waits in its node, and contends when this ends."""
        with self.lock:
            self._catch_up()
            self._held = True
        try:
            yield
        finally:
            with self.lock:
                self._held = False
                self._catch_up()
                self._go_on()

    # --- time ---------------------------------------------------------------------------------

    def _catch_up(self) -> int:
        """Run everything up to the present; return it."""
        kernel = self.kernel
        if self._held:
            return kernel.now_ns
        now_ns = self.present.now_ns()
        if kernel.due_ns <= now_ns:
            kernel.run_until(now_ns)
        elif now_ns > kernel.now_ns:
            kernel.now_ns = now_ns
        return now_ns

    def _go_on(self) -> None:
        """Run through what is not waited for; have somebody see to what is due later."""
        if self._held:
            return
        can, kernel = self.can, self.kernel
        if can.resting:
            can.wake()
        if not self.present.wait:
            most = can.counters["retransmissions"] + _TRIES
            while can.pending and not can.resting and can.counters["retransmissions"] < most:
                kernel.run_until(kernel.next_key()[0])
                if can.resting:
                    can.wake()
        if self._ticker is None and kernel.next_key()[0] != NEVER_NS:
            name = f"hil {self.channel}"
            self._ticker = threading.Thread(target=self._tick, name=name, daemon=True)
            self._ticker.start()
        self.lock.notify_all()

    def _tick(self) -> None:
        """Let what is due happen on time; a thread of its own."""
        with self.lock:
            while not self._closed:
                before = self.kernel.next_key()[0]
                self._catch_up()
                if self.kernel.next_key()[0] != before:
                    self._go_on()
                due_ns = NEVER_NS if self._held else self.kernel.next_key()[0]
                self.lock.wait(None if due_ns == NEVER_NS else max(self.present.wait_s(due_ns), 0))

    # --- what ports do ------------------------------------------------------------------------

    def join(self, port: LocalPort) -> None:
        """Put the controller of a port on the bus."""
        with self.lock:
            self._catch_up()
            port.attach(self.can)
            self._go_on()

    def leave(self, port: LocalPort) -> None:
        """Take the controller of a port off the bus."""
        with self.lock:
            self._catch_up()
            self.can.detach(port)
            self._go_on()

    def stop(self) -> None:
        """End for good."""
        with self.lock:
            self._closed = True
            self.lock.notify_all()
        if self._ticker is not None and self._ticker is not threading.current_thread():
            self._ticker.join()

    def send(self, port: LocalPort, can_id: int, data: bytes, timeout_s: float | None) -> None:
        """Send a frame of a port; see :meth:`hil.faces.python_can.port.Port.send`."""
        with self.lock:
            now_ns = self._catch_up()
            at_once = not (self._held or self.present.wait)
            if at_once and self.can.carry(port.node, now_ns, can_id, data):
                return
            self._queue(port, now_ns, can_id, data, timeout_s)

    def _queue(
        self, port: LocalPort, now_ns: int, can_id: int, data: bytes, timeout_s: float | None
    ) -> None:
        can, node = self.can, port.node
        reason = can.refusal(node, can_id, data)
        if reason:
            can.counters[f"refused_{reason}"] += 1
            raise CanOperationError(f"{port.name}: send: {REFUSALS[reason]}")
        if len(node.ready) + len(node.waiting) >= (port.settings.tx_queue_size or 2**62):
            port.counters["tx_refused_full"] += 1
            raise CanOperationError(
                f"{port.name}: send: {port.settings.tx_queue_size} frames wait to be sent, "
                f"the last one with TEC {node.tec}; see that somebody acknowledges, or flush them"
            )
        before = can.order
        port.can_send(now_ns, can_id, data)
        orders = set(range(before + 1, can.order + 1))
        if not timeout_s or timeout_s < 0:
            self._go_on()
            return
        port.awaited |= orders
        try:
            self._go_on()
            self._wait(port, orders, timeout_s)
        finally:
            port.awaited -= orders

    def _wait(self, port: LocalPort, orders: set[int], timeout_s: float) -> None:
        """Wait until frames are out; withdraw them when they are not in time."""
        node = port.node
        in_time = self.lock.wait_for(
            lambda: not any(node.holds(order) for order in orders), timeout_s
        )
        if not in_time:
            self.can.withdraw(node, orders)
            port.counters["tx_timeouts"] += 1
            raise CanTimeoutError(
                f"{port.name}: send: not out after {timeout_s:g} s ({node.state.name.lower()}, "
                f"TEC {node.tec}) and withdrawn; see that somebody acknowledges"
            )
        if orders & port.awaited:
            raise CanOperationError(
                f"{port.name}: send: lost ({node.state.name.lower()}, TEC {node.tec}): "
                "the controller gave it up; error frames tell why"
            )

    def flush(self, port: LocalPort) -> int:
        """Withdraw what a port has waiting; return how many frames."""
        with self.lock:
            count = self.can.withdraw(port.node)
            self._go_on()
            return count

    def restart(self, port: LocalPort) -> None:
        """Start the controller of a port again after bus off."""
        with self.lock:
            self.can.restart(self._catch_up(), port.node)
            self._go_on()

    def listen_only(self, port: LocalPort, wanted: bool) -> None:
        """Set that mode of a port."""
        with self.lock:
            self._catch_up()
            port.node.listen_only = wanted
            self._go_on()


class LocalPort(CanController):
    """The controller of one bus object, a node of an emulated bus; see ``port.Port``."""

    def __init__(self, channel: str, settings: Settings, filters: Filters) -> None:
        bus_name, _, node = channel.partition(":")
        super().__init__(node or channel, settings.restart_ms, settings.bus_errors)
        self.settings = settings
        self.can_fd, self.can_fd_tolerant = settings.fd, settings.fd_tolerant
        self.can_listen_only, self.can_one_shot = settings.listen_only, settings.one_shot
        self.counters: dict[str, int] = dict.fromkeys(
            ("sent", "received", "own", "error_frames", "filtered", "rx_dropped", "unread"), 0
        )
        self.counters |= dict.fromkeys(("tx_refused_full", "tx_timeouts", "tx_flushed"), 0)
        #: orders of frames that a call of ``send`` waits for
        self.awaited: set[int] = set()
        self._own = settings.receive_own_messages
        self._filters = filters
        self._inbox = Inbox(settings.rx_queue_size, self.counters)
        self._bus = bus = _joined(bus_name, settings)
        self._epoch_s, self._pace_s = bus.epoch_s, bus.pace_s
        bus.join(self)

    # --- what the bus calls -------------------------------------------------------------------

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame of another node."""
        filters = self._filters
        if filters.open or filters.pass_on(can_id):
            self.counters["received"] += 1
            self._inbox.put((self._epoch_s + t_ns * self._pace_s, can_id, data, True))
        else:
            self.counters["filtered"] += 1

    def can_sent(self, t_ns: int, can_id: int, data: bytes) -> None:
        """See a frame of its own go out."""
        self.counters["sent"] += 1
        if self.awaited:
            self.awaited.discard(self.node.sent_order)
        if self._own and self._filters.pass_on(can_id):
            self.counters["own"] += 1
            self._inbox.put((self._epoch_s + t_ns * self._pace_s, can_id, data, False))

    def tell(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take an error frame."""
        self.counters["error_frames"] += 1
        if self._filters.pass_on(can_id):
            self._inbox.put((self._epoch_s + t_ns * self._pace_s, can_id, data, True))
        else:
            self.counters["filtered"] += 1

    # --- what the bus object calls ------------------------------------------------------------

    def send(self, can_id: int, data: bytes, timeout_s: float | None) -> None:
        self._bus.send(self, can_id, data, timeout_s)

    def recv(self, timeout_s: float | None) -> Heard | None:
        return self._inbox.get(timeout_s)

    def filter(self, filters: Filters) -> None:
        self._filters = filters

    def fileno(self) -> int:
        with self._bus.lock:
            return self._inbox.fileno()

    def state(self) -> tuple[State, int, int]:
        self._bus.now_ns()
        return self.node.state, self.node.tec, self.node.rec

    def listen_only(self, wanted: bool | None = None) -> bool:
        if wanted is not None:
            self._bus.listen_only(self, wanted)
        return self.node.listen_only

    def restart(self) -> None:
        self._bus.restart(self)

    def flush(self) -> None:
        self.counters["tx_flushed"] += self._bus.flush(self)

    def close(self) -> None:
        self._bus.leave(self)
        _left(self._bus)
        with self._bus.lock:
            self.counters["unread"] += self._inbox.close()


def _joined(channel: str, settings: Settings) -> LocalBus:
    """Return the bus of a channel, a new one if there is none, with one user more."""
    with _buses_lock:
        bus = _buses.get(channel)
        if bus is None:
            bus = LocalBus(channel, settings)
        settings.agree(channel, bus.can.bitrate_hz, bus.can.data_bitrate_hz)
        if settings.pace not in (None, bus.pace):
            raise CanInitializationError(
                f"{channel}: the bus keeps pace {bus.pace}, not {settings.pace}; give the same "
                "pace everywhere, or leave it out"
            )
        _buses[channel] = bus
        bus.users += 1
        return bus


def _left(bus: LocalBus) -> None:
    """Let go of a bus; the last one ends it."""
    with _buses_lock:
        bus.users -= 1
        last = not bus.users
        if last:
            del _buses[bus.channel]
    if last:
        bus.stop()


def _unheard(
    t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
) -> None:
    """Take the record of a frame: the bus has counted it, and everyone has heard it already."""
