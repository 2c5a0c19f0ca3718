"""ZeroMQ: ipc between processes, tcp between machines, inproc between threads.

One PAIR socket an incarnation, one frame a message. ipc lives in a directory that only we can
enter; tcp always runs CURVE with an allow-list, because encryption without one admits anyone who
knows our public key. :class:`~hil.time.transports.door.Door` keeps that list, counts who came and
tells of a lost peer; nothing is ever queued for one that is not there, and a run ends by END and
its acknowledgement because closing a socket loses the tail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import zmq

from hil.closing import Closing
from hil.errors import TransportError
from hil.time.transports import SLICE_MS, ChannelLost
from hil.time.transports.door import Door, Seat
from hil.time.transports.keys import SERVER, allowed_keys, check_folder, read_private
from hil.time.transports.private import PrivateDirectory
from hil.time.transports.seqpacket import MESSAGE_LIMIT_NBYTES, check_path

#: A lost peer of tcp is noticed after at most this long without its heartbeat.
HEARTBEAT_MS = 250
HEARTBEAT_TIMEOUT_MS = 1000
#: How long binding waits for the socket of the incarnation before to let go of the address.
_REBIND_TRIES = 100
#: Connections that the kernel holds until they are taken.
BACKLOG = 128
#: Descriptors that a bench on tcp asks for: a thousand strangers shall not use them up.
DESCRIPTORS = 1 << 16
#: Names of inproc endpoints that were not given one.
_NAMES = itertools.count(1)


class ZeroMQChannel:
    """One PAIR socket, bound; ``door`` and ``seat`` tell of its connections, if it has any."""

    def __init__(
        self, peer: zmq.Socket[bytes], door: Door | None = None, seat: Seat | None = None
    ) -> None:
        self._socket = peer
        self._door, self._seat = door, seat
        peer.rcvtimeo = SLICE_MS
        peer.sndtimeo = SLICE_MS
        self._send = peer.send
        # Descriptor of the peer's connection, known from its first message; -1: it has none.
        self._fd: int | None = None

    def recv(self) -> bytes | None:
        """Return the next message, None when none came within a slice."""
        try:
            if self._fd is None:
                return self._recv_first()
            return self._socket.recv()
        except zmq.Again:
            return self._look()
        except zmq.ZMQError as error:
            raise ChannelLost(f"its socket failed ({error})") from None

    def recv_now(self) -> bytes | None:
        """Return the next message, None when none is here; as :meth:`recv`, without a wait."""
        if self._socket.poll(0):
            return self.recv()
        return self._look()

    def send(self, message: bytes) -> None:
        """Send one message."""
        while True:
            try:
                self._send(message)
                return
            except zmq.Again:
                self._check()
            except zmq.ZMQError as error:
                raise ChannelLost(f"its socket failed ({error})") from None

    def _recv_first(self) -> bytes:
        frame = self._socket.recv(copy=False)
        try:
            fd = frame.get(zmq.SRCFD)
        except zmq.ZMQError:
            fd = -1
        self._fd = fd if isinstance(fd, int) else -1
        if self._door is not None and self._seat is not None:
            self._door.seated(self._seat, self._fd)
        return frame.bytes

    def _look(self) -> bytes | None:
        """See whether the peer is there, now that none of its messages came."""
        try:
            self._check()
        except ChannelLost:
            # What it has sent before it left, and after we had waited, still counts.
            with contextlib.suppress(zmq.ZMQError):
                return self._socket.recv(zmq.NOBLOCK)
            raise
        return None

    def _check(self) -> None:
        if self._door is not None and self._seat is not None:
            if self._door.lost(self._seat):
                raise ChannelLost("it closed its connection")
        elif self._fd == -1 and not self._socket.poll(0, zmq.POLLOUT):
            # inproc has no connection: a peer is lost when nothing can be sent to it.
            raise ChannelLost("it closed its socket")

    def close(self) -> None:
        """Close the socket; what is on its way to a peer that lives gets a moment to arrive."""
        if not self._socket.closed:
            if self._door is not None:
                self._door.unwatch()
            self._socket.close(linger=SLICE_MS)


def _answers(endpoint: str) -> bool:
    """Tell whether somebody listens at an ipc path: ZeroMQ would take it from them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(endpoint.removeprefix("ipc://"))
        except OSError:
            return False
    return True


def _check_free(path: str) -> None:
    """Raise ``TransportError`` for what is no path of our own: ZeroMQ would remove a file there,
    and anybody may connect to an abstract name."""
    if path.startswith(("@", "*")):
        raise TransportError(f"ipc://{path[:64]} is no path, which has rights: give ipc:///PATH")
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise TransportError(f"{path} is there and is no socket: give a path that is free")


def _ask_for_descriptors() -> None:
    """Let this process have as many descriptors as it may: each connection of a stranger is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class ZeroMQListener(Closing):
    """Binds one endpoint, again for each incarnation."""

    def __init__(self, endpoint: str, keys: Path | None = None) -> None:
        scheme, _, place = endpoint.partition("://")
        self.endpoint = endpoint
        self._made: PrivateDirectory | None = None
        self._door: Door | None = None
        self._seat: Seat | None = None
        self._is_bound = False
        #: who came, was let in and was refused; see ``hil.time.transports.door``
        self.counters: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._channel: ZeroMQChannel | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._own_context = scheme != "inproc"
        if scheme == "inproc":
            # Both ends of inproc must share a context; the process has one by convention.
            self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        else:
            self._context = zmq.Context()
        try:
            if scheme == "ipc" and not place:
                self._made = PrivateDirectory()
                place = str(self._made.path / "z")
            self.endpoint = f"{scheme}://{place or self._default_place(scheme)}"
            if scheme == "ipc":
                check_path(place, self._made is not None)
                _check_free(place)
            if scheme == "tcp":
                self._keys = self._read_keys(keys)
                _ask_for_descriptors()
            if scheme != "inproc":
                self._door = Door(self._context, keys if scheme == "tcp" else None)
                self.counters = self._door.counters
                self._door.open()
            self._bind()
        except BaseException:
            self._release()
            raise

    @staticmethod
    def _default_place(scheme: str) -> str:
        return {"tcp": "127.0.0.1:*", "inproc": f"hil-{next(_NAMES)}"}[scheme]

    def _read_keys(self, folder: Path | None) -> dict[str, str]:
        if folder is None:
            raise TransportError(
                f"{self.endpoint}: tcp needs the keys of this bench: give their directory, "
                "or use ipc on one machine"
            )
        check_folder(folder)
        allowed_keys(folder)  # a list that cannot be read is said now, not to the first client
        return read_private(folder / SERVER)

    @property
    def client(self) -> str:
        """Name of the client that was let in last; nothing without keys."""
        return self._door.client if self._door is not None else ""

    def look(self) -> dict[str, int]:
        """Return the counters, with everything that has ended by now in them."""
        if self._door is not None:
            self._door.look()
        return self.counters

    def on_refused(self, tell: Callable[[str, str], None]) -> None:
        """Have ``tell(kind, text)`` called, by another thread, for the 1st, 10th, 100th of a kind
        of those who were refused or dropped."""
        if self._door is not None:
            self._door.tell = tell

    def _bind(self) -> None:
        # Known at once, so that whatever happens here it is closed: its context waits for that.
        self._socket = peer = self._context.socket(zmq.PAIR)
        peer.linger = 0
        peer.immediate = True
        peer.sndhwm = peer.rcvhwm = 0
        peer.maxmsgsize = MESSAGE_LIMIT_NBYTES
        peer.backlog = BACKLOG
        if self._door is not None:
            self._seat = self._door.watch(peer)
        if self._keys:
            peer.curve_server = True
            peer.curve_secretkey = self._keys["secret"].encode()
            peer.curve_publickey = self._keys["public"].encode()
            peer.heartbeat_ivl = HEARTBEAT_MS
            peer.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        for last in range(_REBIND_TRIES - 1, -1, -1):
            try:
                if self.endpoint.startswith("ipc://") and _answers(self.endpoint):
                    raise zmq.ZMQError(zmq.EADDRINUSE)
                peer.bind(self.endpoint)
                self._is_bound = True
                if self.endpoint.startswith("ipc://"):
                    Path(self.endpoint.removeprefix("ipc://")).chmod(0o600)
                break
            except zmq.ZMQError as error:
                if error.errno == zmq.EADDRINUSE and last:
                    # A closed socket gives up its address in another thread; let that run.
                    peer.poll(SLICE_MS // 10)
                    continue
                raise TransportError(
                    f"{self.endpoint}: cannot listen ({error}): take another address, or end "
                    "what holds this one"
                ) from None
        if self.endpoint.startswith("tcp"):
            self.endpoint = peer.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def channel(self) -> ZeroMQChannel:
        """Return a channel for the next participant that connects."""
        if self._channel is not None:
            self._channel.close()
            self._bind()
        assert self._socket is not None
        self._channel = ZeroMQChannel(self._socket, self._door, self._seat)
        return self._channel

    def close(self) -> None:
        """Close everything and remove what was made."""
        if self._channel is not None:
            self._channel.close()
        self._release()

    def _release(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._socket is not None:
            self._socket.close(linger=SLICE_MS)
        if self._own_context:
            self._context.destroy(linger=SLICE_MS)
        if self._made is not None:
            self._made.remove()
        elif self._is_bound and self.endpoint.startswith("ipc://"):
            with contextlib.suppress(FileNotFoundError):
                Path(self.endpoint.removeprefix("ipc://")).unlink()
