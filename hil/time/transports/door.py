"""The door of a listening socket: who knocked, who was let in, who was turned away, and why.

A thread of its own hears the socket's monitor and answers the questions of ZAP (ZeroMQ RFC 27), so
that nothing of it lies in the way of a message. The questions are where a client is known by its
key, and where a second one is turned away while the seat is taken: a PAIR socket would take its
connection and never say a word to it.

What libzmq tells of a connection is not quite enough: a handshake that succeeded names no
descriptor, and a first octet that is no ZMTP is told as a mere end. So the seat is kept by those
descriptors that can be its holder's (of which all but one are closed within ``HANDSHAKE_MS``, or
known not to be it by its first message), and what ended without a word is counted as malformed
once those that were refused are taken off.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import zmq
from zmq.utils import z85

from hil.closing import Closing
from hil.errors import TransportError
from hil.time.transports.keys import allowed_clients

#: Whoever has not shown its key by then is dropped: slow ones, silent ones, port scans.
HANDSHAKE_MS = 5000
ZAP_DOMAIN = "hil"
COUNTERS = (
    "accepted",
    "admitted",
    "left",
    "refused_no_key",
    "refused_wrong_key",
    "refused_client",
    "refused_busy",
    "malformed",
    "dropped",
    "timed_out",
    "accept_failed",
)
#: What is said of a kind the first time, the 10th, the 100th: by whom, as far as it is known.
_TOLD = {
    "refused_no_key": "a peer without keys was refused",
    "refused_wrong_key": "a peer that does not know the key of this bench was refused",
    "refused_client": "a client that is not in clients.allow was refused",
    "refused_busy": "a second client was turned away while one is connected",
    "malformed": "a peer that speaks something else was dropped",
    "dropped": "a peer left before it showed a key",
    "timed_out": f"a peer that showed no key within {HANDSHAKE_MS / 1000:g} s was dropped",
    "accept_failed": "a connection could not be taken (out of descriptors?)",
}
_EVENT = struct.Struct("=Hi")
_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_BY_PROTOCOL_ERROR = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "refused_no_key",
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "refused_wrong_key",
    int(zmq.PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE): "refused_wrong_key",
}
#: version, request, domain, address, identity, mechanism; what follows are the credentials
_QUESTION_NFRAMES = 6
_NAMES = itertools.count(1)


class Seat:
    """What is known of the connections to one socket, and of the one that it serves."""

    def __init__(self, watched: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        self.watched = watched
        self.monitor = monitor
        self.fd = int(monitor.getsockopt(zmq.FD))
        #: descriptor of each open connection -> its number among all
        self.open: dict[int, int] = {}
        #: of which one has the seat; empty: it is free
        self.holders: set[int] = set()
        #: (descriptor, number) of the one that has spoken
        self.peer: tuple[int, int] | None = None
        self.lost = False

    def ended(self, fd: int) -> bool:
        """Note the end of a connection; tell whether it was the one with the seat."""
        number = self.open.pop(fd, 0)
        if self.peer is not None:
            self.lost = self.lost or self.peer == (fd, number)
            return self.peer == (fd, number)
        was = fd in self.holders
        self.holders.discard(fd)
        return was and not self.holders


class Door(Closing):
    """Watches the sockets of a listener, one after the other. ``folder``: that of the keys."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path | None) -> None:
        self.counters = dict.fromkeys(COUNTERS, 0)
        #: name of the client that was let in last, nothing without keys
        self.client = ""
        #: told, by the thread of the door, of the 1st, 10th, 100th of a kind: (kind, text)
        self.tell: Callable[[str, str], None] | None = None
        self._context = context
        self._folder = folder
        self._lock = threading.Lock()
        self._seat: Seat | None = None
        self._numbers = itertools.count(1)
        self._explained = False
        # Ends that nothing explains: those of refused clients, and of who speaks something else.
        self._unexplained = 0
        self._zap: zmq.Socket[bytes] | None = None
        self._wake = -1
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hil door", daemon=True)

    def open(self) -> None:
        """Take the place that questions go to, and begin to hear."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._zap = self._context.socket(zmq.REP)
        self._zap.linger = 0
        self._zap.bind("inproc://zeromq.zap.01")
        self._thread.start()

    def watch(self, peer: zmq.Socket[bytes]) -> Seat:
        """Watch a socket that is about to listen, and the one before no more."""
        self.unwatch()
        address = f"inproc://hil-door-{next(_NAMES)}"
        peer.monitor(address, _EVENTS)
        monitor: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        monitor.linger = 0
        monitor.connect(address)
        peer.zap_domain = ZAP_DOMAIN.encode()
        peer.handshake_ivl = HANDSHAKE_MS
        self._seat = seat = Seat(peer, monitor)
        os.eventfd_write(self._wake, 1)
        return seat

    def unwatch(self) -> None:
        """Take what is still to be heard of the socket, and let go of it."""
        # Without the lock where there is nothing: a signal that comes while a door is opened must
        # not leave it taken.
        if self._seat is None:
            return
        with self._lock:
            seat, self._seat = self._seat, None
            if seat is not None:
                # First, since a socket waits for whoever is to hear its events.
                seat.watched.disable_monitor()
                self._hear(seat)
                seat.monitor.close(linger=0)
        os.eventfd_write(self._wake, 1)

    def look(self) -> None:
        """Take what is to be heard by now, so that everything that has ended is counted."""
        with self._lock:
            if self._seat is not None:
                self._hear(self._seat)

    def seated(self, seat: Seat, fd: int) -> None:
        """Note that the first message came over the connection ``fd``."""
        with self._lock:
            self._hear(seat)
            number = seat.open.get(fd)
            # Nowhere: it has sent its message and left again.
            seat.lost = number is None
            seat.peer = (fd, number or 0)
            seat.holders = {fd}

    def lost(self, seat: Seat) -> bool:
        """Tell whether the connection of the one that has spoken is gone."""
        with self._lock:
            self._hear(seat)
            return seat.lost

    def close(self) -> None:
        """End the thread. Closed while it was opened, a door may have less than all of it."""
        if self._closed or self._wake < 0:
            return
        self.unwatch()
        self._closed = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        if self._zap is not None:
            self._zap.close(linger=0)
        os.close(self._wake)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._zap is not None
        zap, zap_fd = self._zap, int(self._zap.getsockopt(zmq.FD))
        while not self._closed:
            poll = select.poll()
            with self._lock:
                seat = self._seat
            for fd in (self._wake, zap_fd, *((seat.fd,) if seat is not None else ())):
                poll.register(fd, select.POLLIN)
            # Readable is only that something may have changed: it is looked for until all is taken.
            poll.poll()
            with self._lock:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                if self._seat is not None:
                    self._hear(self._seat)
                self._answer(zap)

    def _hear(self, seat: Seat) -> None:
        """Take every event of the monitor."""
        if seat.monitor.closed:
            return
        while True:
            try:
                frames = seat.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event, value = _EVENT.unpack(frames[0])
            self._event(seat, event, value)

    def _event(self, seat: Seat, event: int, value: int) -> None:
        explained, self._explained = self._explained, False
        if event == zmq.EVENT_ACCEPTED:
            seat.open[value] = next(self._numbers)
            self._count("accepted")
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._count("admitted")
        elif event == zmq.EVENT_DISCONNECTED:
            if seat.ended(value):
                self._count("left")
            elif not explained:
                self._unexplained += 1
                self._malformed()
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            # Its end follows at once: both come from one breath of the same thread.
            self._explained = True
            self._count(_BY_PROTOCOL_ERROR.get(value & 0xFFFF_FFFF, "malformed"))
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._explained = True
            self._count("timed_out" if value == errno.EAGAIN else "dropped")
        else:
            self._count("accept_failed")

    def _malformed(self) -> None:
        """Count what has ended without a word and was not refused by name."""
        counters = self.counters
        if self._unexplained > counters["refused_client"] + counters["refused_busy"]:
            self._unexplained -= 1
            self._count("malformed")

    def _count(self, kind: str, whom: str = "") -> None:
        self.counters[kind] += 1
        number = self.counters[kind]
        if self.tell is not None and kind in _TOLD and str(number).rstrip("0") == "1":
            # Nobody who cannot be told shall end the thread that lets clients in.
            with contextlib.suppress(OSError, ValueError):
                self.tell(kind, f"{_TOLD[kind]}{whom} ({number} by now)")

    # --- the questions ------------------------------------------------------------------------

    def _answer(self, zap: zmq.Socket[bytes]) -> None:
        """Answer every question of ZAP: may this one connect?"""
        while True:
            try:
                frames = zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            request = frames[1] if len(frames) > 1 else b""
            code, client = self._judge(frames)
            zap.send_multipart([b"1.0", request, code, b"", client.encode(), b""])

    def _judge(self, frames: list[bytes]) -> tuple[bytes, str]:
        """Return the code of the answer, and who it is."""
        seat = self._seat
        if len(frames) < _QUESTION_NFRAMES:
            return b"400", ""
        if seat is None:
            return b"500", ""  # between two incarnations: come back
        address = frames[3].decode(errors="replace")
        whom = f", from {address}" if address else ""
        client = ""
        if self._folder is not None:
            try:
                known = allowed_clients(self._folder)
            except TransportError as error:
                known, whom = {}, f"{whom} ({error})"
            key = frames[_QUESTION_NFRAMES] if len(frames) > _QUESTION_NFRAMES else b""
            client = known.get(z85.encode(key).decode(), "") if len(key) == 32 else ""
            if frames[5] != b"CURVE" or not client:
                self._count("refused_client", whom)
                return b"400", ""
        # Its connection was told before it could ask.
        self._hear(seat)
        if seat.holders:
            # 500: not now. The 300 that RFC 27 has for it would leave the client waiting.
            self._count("refused_busy", f"{', ' + client if client else ''}{whom}")
            return b"500", ""
        seat.holders = set(seat.open)
        self.client = client
        return b"200", client
