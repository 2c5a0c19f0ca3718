"""The device files of an emulated board for a program in this process, and its time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Protocol

from flightsw.codec.wire import HEADER, HEADER_NBYTES
from hil.errors import UsageError
from hil.exchange import Exchange
from hil.faces.gpio_desk import Desk
from hil.faces.nodes import Node, nodes_of
from hil.faces.spi_settings import SpiSettings
from hil.time.kernel import NEVER_NS
from hil.transactions import Lane

SECOND_NS = 1_000_000_000
#: time of a busy wait: a program that asks again and again must not stop the clock
GLANCE_NS = 1_000


class Hearer(Protocol):
    """Who hears what comes in on a channel."""

    lane: Lane

    def hear(self, t_ns: int, status: int, octets: bytes) -> None:
        """Take octets as they came in."""


class Machine:
    """The buses of an exchange by the names that Linux gives them; drives its kernel."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.kernel = exchange.kernel
        self.nodes = nodes_of(exchange.lanes.values())
        self.spi = SpiSettings()
        self.desk = Desk(lambda t_ns, realtime: t_ns)
        self.hearers: list[Hearer] = []
        self._ident = 0
        exchange.hearers.append(self._hear)

    def _hear(self, index: int, record: bytes) -> None:
        header = HEADER.unpack_from(record)
        lane, octets = self.exchange.lanes[index], bytes(record[HEADER_NBYTES:])
        if lane.kind == "gpio":
            self.desk.edge(lane.bus, header[5], header[8], octets[0])
        for hearer in [one for one in self.hearers if one.lane is lane]:
            hearer.hear(header[5], header[3], octets)

    def ident(self) -> int:
        """Return a number that nobody has had."""
        self._ident += 1
        return self._ident

    def open(self, path: str, kind: str) -> Node:
        """Return what stands behind a path. Raises OSError: ENOENT, or ENOTTY for another kind."""
        node = self.nodes.get(path)
        if node is None or node.lane.kind != kind:
            code = errno.ENOENT if node is None else errno.ENOTTY
            raise OSError(code, os.strerror(code))
        return node

    def call(self, kind: int, lane: Lane, address: int, payload: bytes) -> bytes:
        """Run a transaction and let its bus time pass; return the payload of its record.

        Raises OSError with the errno of the adapter.
        """
        begin_ns = max(self.kernel.now_ns, lane.busy_ns)
        run = self.exchange.transactor.call(kind, lane, address, payload, "")
        duration_ns, record = run(begin_ns)
        self.kernel.run_until(begin_ns + duration_ns)
        status = HEADER.unpack_from(record)[3]
        if status:
            code = lane.errno.get(status, errno.EIO)
            raise OSError(code, os.strerror(code))
        return bytes(record[HEADER_NBYTES:])

    # Time -----------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Return virtual time."""
        return self.kernel.now_ns

    def sleep_until(self, t_ns: int) -> None:
        """Let virtual time pass."""
        if t_ns > self.kernel.now_ns:
            self.kernel.run_until(t_ns)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.sleep_until(self.kernel.now_ns + round(seconds * SECOND_NS))

    def wait(self, timeout_s: float | None, ready: Callable[[], bool]) -> bool:
        """Let time pass until ``ready()`` or the timeout; None or below 0: as long as it takes.

        Raises :class:`~hil.errors.UsageError` when nothing is due that could ever make it ready.
        """
        kernel, end_ns = self.kernel, self.exchange.end_ns
        if timeout_s is not None and timeout_s >= 0:
            wait_ns = max(round(timeout_s * SECOND_NS), GLANCE_NS)
            end_ns = min(end_ns, kernel.now_ns + wait_ns)
        while not ready():
            due_ns = kernel.next_key()[0]
            if due_ns > end_ns or due_ns == NEVER_NS:
                if timeout_s is None or timeout_s < 0:
                    raise UsageError("this program waits for something that will never come")
                kernel.run_until(end_ns)
                return ready()
            kernel.run_until(due_ns)
        return True


class File:
    """What the device classes of periphery have in common."""

    #: set by :func:`hil.faces.periphery.look_alike`
    machine: Machine

    def __enter__(self) -> object:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the device."""
        raise NotImplementedError

    @property
    def fd(self) -> int | None:
        """Where periphery has the descriptor: -1, for there is none; None when it is closed."""
        raise NotImplementedError


class DeviceFile(File):
    """One device by its path: ``_node`` is None when it is closed."""

    _node: Node | None
    _devpath: str

    def close(self) -> None:
        """Close the device; closing twice does nothing."""
        self._node = None

    @property
    def fd(self) -> int | None:
        """No number, see :class:`~hil.faces.periphery.machine.File`."""
        return None if self._node is None else -1

    @property
    def devpath(self) -> str:
        """The path that was opened."""
        return self._devpath


def closed() -> TypeError:
    """Return what Python says of an ioctl on None, which periphery does after ``close``."""
    return TypeError("argument must be an int, or have a fileno() method.")
