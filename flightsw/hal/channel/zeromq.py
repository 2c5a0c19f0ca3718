"""A ZeroMQ PAIR socket towards the bench, with a monitor that tells when the bench is lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from flightsw.errors import BenchRefusedError, HandshakeBrokenError
from flightsw.hal.channel import MESSAGE_LIMIT_NBYTES, SLICE_MS, Lost, OccupiedError

HEARTBEAT_MS = 250
HEARTBEAT_TIMEOUT_MS = 1000
#: A connection that does not come up is tried again after so long, then twice that, up to the most.
RETRY_MS, RETRY_MOST_MS = 100, 2000
#: Version of the lasting link that we speak (docs/wire-record.md).
LINK = 1
#: How long a last word may take to arrive.
LEAVE_MS = 1000
_REFUSALS = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
#: What a bench answers to a second client while one is connected (RFC 27): not now.
_BUSY = 500
#: What it answers when it cannot tell whose key it is, as while it ends (RFC 27).
_NOT_NOW = 300


def read_key_file(path: Path) -> dict[str, str]:
    """Read the CURVE keys of a participant: ``public``, ``secret`` and ``server`` (Z85).

    ``path`` is the file, or the directory in which it is called ``client.key``.
    Raises :class:`~flightsw.errors.BenchRefusedError` if the file is not private to its owner.
    """
    path = path / "client.key" if path.is_dir() else path
    try:
        mode = path.stat().st_mode & 0o777
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError as error:
        raise BenchRefusedError(
            f"key file {path}: {error.strerror}: copy client.key of the bench there"
        ) from None
    # What a service manager hands over is root's; that we may read it shows as a group's right.
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if mode & (0o027 if given and path.absolute().is_relative_to(given) else 0o077):
        raise BenchRefusedError(
            f"key file {path} has mode {mode:04o}, others can read it: run chmod 600 {path}"
        )
    pairs = (line.partition("=") for line in lines if "=" in line)
    keys = {name.strip(): key.strip() for name, _, key in pairs}
    if any(len(keys.get(name, "")) != 40 for name in ("public", "secret", "server")):
        raise BenchRefusedError(
            f"key file {path}: public, secret and server keys are not all there"
        )
    return keys


class ZeroMQChannel:
    """One PAIR socket, connected."""

    def __init__(
        self, endpoint: str, keys: Path | None, patience_s: float, welcomed: bool = False
    ) -> None:
        """``welcomed``: the bench has taken our keys before."""
        self.endpoint = endpoint
        # A connection that breaks in its handshake looks like one whose keys are wrong.
        self._refusals = zmq.EVENT_HANDSHAKE_FAILED_AUTH if welcomed else _REFUSALS
        shared = endpoint.startswith("inproc")
        self.about: Mapping[str, Any] = (
            {} if shared else {"link": LINK, "host": os.uname().nodename}
        )
        # Both ends of inproc must share a context; the process has one by convention.
        self._context: zmq.Context[zmq.Socket[bytes]] = (
            zmq.Context.instance() if shared else zmq.Context()
        )
        self._shared = shared
        self._distant = endpoint.startswith("tcp")
        self._joined = False
        #: makes another channel to the same place
        self.again = partial(ZeroMQChannel, endpoint, keys, patience_s, welcomed=True)
        self._socket = peer = self._context.socket(zmq.PAIR)
        peer.linger = 0
        peer.immediate = True
        peer.sndhwm = peer.rcvhwm = 0
        peer.maxmsgsize = MESSAGE_LIMIT_NBYTES
        peer.reconnect_ivl, peer.reconnect_ivl_max = RETRY_MS, RETRY_MOST_MS
        peer.connect_timeout = RETRY_MOST_MS
        peer.rcvtimeo = peer.sndtimeo = SLICE_MS
        self._monitor = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED | _REFUSALS)
        self._limit_s = time.monotonic() + patience_s
        try:
            if endpoint.startswith("tcp"):
                self._secure(keys)
            peer.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Lost(str(error)) from None
        except BaseException:
            self.close()
            raise
        self._send, self._recv = peer.send, peer.recv

    def _secure(self, keys: Path | None) -> None:
        if keys is None:
            raise BenchRefusedError(
                f"{self.endpoint}: tcp needs the key file of this participant: give client.key"
            )
        known = read_key_file(keys)
        peer = self._socket
        peer.curve_serverkey = known["server"].encode()
        peer.curve_publickey = known["public"].encode()
        peer.curve_secretkey = known["secret"].encode()
        peer.heartbeat_ivl = HEARTBEAT_MS
        peer.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the reply."""
        try:
            self._send(message)
        except zmq.Again:
            self._send_patiently(message)
        except zmq.ZMQError as error:
            raise Lost(str(error)) from None
        greets, self._joined = not self._joined, True
        while True:
            try:
                return self._recv()
            except zmq.Again:
                self._check()
                if greets and self._distant and time.monotonic() > self._limit_s:
                    raise Lost("it takes no greeting now: its computer may be off") from None
            except zmq.ZMQError as error:
                raise Lost(str(error)) from None

    def ask(self, message: bytes, wait_s: float) -> bool:
        """Send a message if the connection is there, or comes within a wait; tell whether so."""
        return self._guarded(zmq.POLLOUT, wait_s) and self._put(message)

    def knock(self, message: bytes, wait_s: float) -> bool:
        """Send a first message once a connection is there; what broke before does not count."""
        limit_s = time.monotonic() + wait_s
        while True:
            left_ms = math.ceil(max(0.0, limit_s - time.monotonic()) * 1000)
            ready = self._socket.poll(min(left_ms, SLICE_MS // 10), zmq.POLLOUT)
            self._check(joined=False)
            if ready:
                return self._put(message)
            if left_ms <= 0:
                return False

    def hear(self, wait_s: float) -> bytes | None:
        """Return the next message, None when none came within a wait."""
        return self._recv() if self._guarded(zmq.POLLIN, wait_s) else None

    def _put(self, message: bytes) -> bool:
        try:
            self._socket.send(message, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._joined = True
        return True

    def _guarded(self, event: int, wait_s: float) -> bool:
        """Wait for an event of the socket; raises :class:`Lost` when its connection is gone."""
        limit_s = time.monotonic() + wait_s
        while True:
            left_ms = math.ceil(max(0.0, limit_s - time.monotonic()) * 1000)
            try:
                if self._socket.poll(min(left_ms, SLICE_MS // 10), event):
                    return True
            except zmq.ZMQError as error:
                raise Lost(str(error)) from None
            self._check()
            if left_ms <= 0:
                return False

    def _send_patiently(self, message: bytes) -> None:
        while True:
            self._check()
            if time.monotonic() > self._limit_s:
                raise Lost("nobody listens there")
            try:
                self._send(message)
                return
            except zmq.Again:
                continue

    def _check(self, joined: bool = True) -> None:
        while self._monitor.poll(0):
            told = recv_monitor_message(self._monitor)
            event = told["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and told["value"] == _BUSY:
                raise OccupiedError("another client is connected to it")
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and told["value"] == _NOT_NOW:
                raise Lost("it cannot look at keys now")
            if event & self._refusals:
                is_told = event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
                raise (BenchRefusedError if is_told else HandshakeBrokenError)(
                    f"the bench at {self.endpoint} refused our key: "
                    "copy its client.key again, or add our public key to its clients.allow"
                )
            if joined:
                raise Lost("it closed its connection")
        # inproc has no connection and so no events of one.
        if self._shared and self._joined and not self._socket.poll(0, zmq.POLLOUT):
            raise Lost("it closed its socket")

    def leave(self, message: bytes) -> None:
        """Close the socket behind a last message, which gets a moment to arrive."""
        with suppress(zmq.ZMQError):
            self._socket.send(message, zmq.NOBLOCK)
        self._close(LEAVE_MS)

    def close(self) -> None:
        """Close the socket."""
        self._close(0)

    def _close(self, linger_ms: int) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close(linger=linger_ms)
            if not self._shared:
                self._context.term()
