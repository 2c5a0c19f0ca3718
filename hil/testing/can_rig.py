"""A rig of one CAN FD bus with a node that only listens, and its bench in a thread or a process."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flightsw.codec.wire import Kind
from hil.buses.can import CANBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.time.kernel import Kernel

END_NS = 10**15


class Audience:
    """A node that acknowledges what it hears and keeps it."""

    can_fd = True
    can_send: Callable[[int, int, bytes], None]

    def __init__(self) -> None:
        self.name = "audience"
        self.heard: list[tuple[int, int, bytes]] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Keep a frame."""
        self.heard.append((t_ns, can_id, data))


class CanRig:
    """``can0`` at 500 kbit/s and 2 Mbit/s, on a bench whose socket is at ``path``."""

    def __init__(self, path: Path, pace: str = "max", audience: bool = True) -> None:
        self.kernel = Kernel()
        self.stream = RecordStream(lambda octets: None)
        self.exchange = Exchange(self.kernel, self.stream, END_NS)
        emit = self.exchange.emitter(0, Kind.CAN)
        self.can = CANBus("can0", self.kernel, 1, emit, 500_000, data_bitrate_hz=2_000_000)
        self.audience = Audience()
        if audience:
            self.can.attach(self.audience)
        self.exchange.connect(0, self.can)
        self.host = Host(self.exchange, path, pace)

    def close(self) -> None:
        """Take the bench away."""
        self.host.close()


@contextmanager
def in_thread(path: Path, pace: str = "max", audience: bool = True) -> Iterator[CanRig]:
    """Serve a rig from a thread of this process."""
    rig = CanRig(path, pace, audience)
    here, there = socket.socketpair()
    rig.host.watch(there.fileno(), rig.host.stop)
    thread = threading.Thread(target=rig.host.run, name="bench", daemon=True)
    thread.start()
    try:
        yield rig
    finally:
        here.close()
        thread.join()
        rig.host.unwatch(there.fileno())
        there.close()
        rig.close()


@contextmanager
def in_process(path: Path, pace: str = "max") -> Iterator[None]:
    """Serve a rig from a process of its own."""
    rig = CanRig(path, pace)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
        rig.host.run()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        rig.close()
