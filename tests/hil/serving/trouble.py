"""A TCP relay that does to a connection what a bad link does to it.

``tc qdisc ... netem`` needs a kernel module that many hosts lack, so the link is bad in user space:
octets are delayed, stand still (what loss looks like above TCP, until it is sent again), or are
swallowed without a word while the connection stays open, as behind a cable that was pulled.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

_PIECE_NBYTES = 1 << 16


class _Way:
    """One direction of one connection: octets with the time at which they come out."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.queue: deque[tuple[float, bytes]] = deque()
        self.free_s = 0.0


class Relay:
    """Listens at ``port`` and passes everything on to ``host``:``port_there``."""

    def __init__(self, there: tuple[str, int], listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.there = there
        #: one way, seconds; share of pieces that are lost, and how long until they are sent again
        self.delay_s, self.loss, self.again_s = 0.0, 0.0, 0.2
        self.counters = {"connections": 0, "pieces": 0, "lost": 0, "swallowed": 0, "cut": 0}
        #: called with each piece, before it is passed on
        self.on_piece: Callable[[dict[str, int]], None] = lambda counters: None
        self._random = random.Random(1)
        self._down = False
        self._ways: list[_Way] = []
        self._shut: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(listen)
        self.port: int = self._listener.getsockname()[1]
        self._closing = False
        self._wake, self._wakes = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where a client connects to."""
        return f"tcp://127.0.0.1:{self.port}"

    # --- what a test does ---------------------------------------------------------------------

    def cut(self) -> None:
        """Break every connection, with a word: both ends see it closed."""
        with self._lock:
            self._drop()

    def down(self) -> None:
        """Swallow everything from now on, and let no connection in: a pulled cable."""
        with self._lock:
            self._down = True
        self._wakes.send(b"x")

    def up(self) -> None:
        """Pass on again; connections from before are found dead, as after a long outage."""
        with self._lock:
            self._down = False
            self._drop()
        self._wakes.send(b"x")

    # --- the loop -----------------------------------------------------------------------------

    def _drop(self) -> None:
        self.counters["cut"] += len(self._ways) // 2
        for way in self._ways:
            with contextlib.suppress(OSError):
                way.source.shutdown(socket.SHUT_RDWR)
            way.source.close()
        self._ways.clear()
        while self._shut:
            self._shut.pop().close()

    def _run(self) -> None:
        while not self._closing:
            with self._lock:
                sources = [way.source for way in self._ways]
                dues = [way.queue[0][0] for way in self._ways if way.queue]
                sources += [] if self._down else [self._listener]
            wait_s = max(0.0, min(dues) - time.monotonic()) if dues else 0.2
            readable = select.select([*sources, self._wake], [], [], min(wait_s, 0.2))[0]
            with self._lock:
                self._serve(readable)

    def _serve(self, readable: list[socket.socket]) -> None:
        if self._wake in readable:
            self._wake.recv(64)
        if self._listener in readable and not self._down:
            self._accept()
        for way in list(self._ways):
            if way.source in readable and way in self._ways:
                self._read(way)
        now_s = time.monotonic()
        for way in list(self._ways):
            while way.queue and way.queue[0][0] <= now_s and way in self._ways:
                self._write(way, way.queue.popleft()[1])

    def _accept(self) -> None:
        near = self._listener.accept()[0]
        try:
            far = socket.create_connection(self.there, timeout=5)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counters["connections"] += 1
        self._ways += [_Way(near, far), _Way(far, near)]

    def _read(self, way: _Way) -> None:
        try:
            octets = way.source.recv(_PIECE_NBYTES)
        except OSError:
            octets = b""
        if not octets:
            if not self._down:
                self._part(way)
            else:  # it cannot be told to the other end now
                self._ways.remove(way)
                self._shut.append(way.source)
            return
        self.counters["pieces"] += 1
        self.on_piece(self.counters)
        if self._down:
            self.counters["swallowed"] += 1
            return
        due_s = time.monotonic() + self.delay_s
        if self._random.random() < self.loss:
            self.counters["lost"] += 1
            due_s += self.again_s
        way.free_s = due_s = max(due_s, way.free_s)
        way.queue.append((due_s, octets))

    def _write(self, way: _Way, octets: bytes) -> None:
        if self._down:
            self.counters["swallowed"] += 1
            return
        try:
            way.target.sendall(octets)
        except OSError:
            self._part(way)

    def _part(self, way: _Way) -> None:
        """Close both ends of the connection that a way belongs to."""
        both = {way.source, way.target}
        for one in [other for other in self._ways if other.source in both]:
            self._ways.remove(one)
            one.source.close()

    def close(self) -> None:
        """End the loop and every connection."""
        self._closing = True
        self._wakes.send(b"x")
        self._thread.join()
        with self._lock:
            self._drop()
        self._listener.close()
        self._wake.close()
        self._wakes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def main(words: list[str]) -> None:
    """``python -m tests.hil.serving.trouble HOST PORT LISTEN_HOST LISTEN_PORT DELAY_S LOSS``: pass
    on until standard input ends, then print the counters."""
    host, port, near, near_port, delay_s, loss = words
    with Relay((host, int(port)), (near, int(near_port))) as relay:
        relay.delay_s, relay.loss = float(delay_s), float(loss)
        print("passing on", flush=True)
        sys.stdin.read()
        print(json.dumps(relay.counters), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
