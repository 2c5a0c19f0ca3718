"""ZeroMQ: ipc between processes, tcp between machines, inproc between threads.

One PAIR socket an incarnation, one frame a message. ipc lives in a directory that only we can
enter; tcp always runs CURVE with an allow-list, because encryption without one admits anyone who
knows our public key. A socket monitor tells of a lost peer; nothing is ever queued for one that is
not there, and a run ends by END and its acknowledgement because closing a socket loses the tail.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from hil.closing import Closing
from hil.errors import TransportError
from hil.time.transports import SLICE_MS, ChannelLost
from hil.time.transports.keys import SERVER, allowed_keys, check_folder, read_private
from hil.time.transports.private import PrivateDirectory
from hil.time.transports.seqpacket import MESSAGE_LIMIT_NBYTES, check_path

#: A lost peer of tcp is noticed after at most this long without its heartbeat.
HEARTBEAT_MS = 250
HEARTBEAT_TIMEOUT_MS = 1000
#: How long binding waits for the socket of the incarnation before to let go of the address.
_REBIND_TRIES = 100
_ZAP_DOMAIN = "hil"
#: Names of inproc endpoints that were not given one.
_NAMES = itertools.count(1)


class ZeroMQChannel:
    """One PAIR socket, bound, and its monitor."""

    def __init__(self, peer: zmq.Socket[bytes]) -> None:
        self._socket = peer
        # inproc has no connection and so no events of one: there, a peer is lost when nothing
        # can be sent to it.
        self._monitor: zmq.Socket[bytes] = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
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
            self._check()
            return None
        except zmq.ZMQError as error:
            raise ChannelLost(f"its socket failed ({error})") from None

    def recv_now(self) -> bytes | None:
        """Return the next message, None when none is here; as :meth:`recv`, without a wait."""
        if self._socket.poll(0):
            return self.recv()
        self._check()
        return None

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
        return frame.bytes

    def _check(self) -> None:
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            # Strangers that were refused disconnect too; only our peer's loss is one.
            if event["event"] == zmq.EVENT_DISCONNECTED and event["value"] == self._fd:
                raise ChannelLost("it closed its connection")
        if self._fd == -1 and not self._socket.poll(0, zmq.POLLOUT):
            raise ChannelLost("it closed its socket")

    def close(self) -> None:
        """Close the socket; what is on its way to a peer that lives gets a moment to arrive."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close(linger=SLICE_MS)


def _answers(endpoint: str) -> bool:
    """Tell whether somebody listens at an ipc path: ZeroMQ would take it from them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(endpoint.removeprefix("ipc://"))
        except OSError:
            return False
    return True


class ZeroMQListener(Closing):
    """Binds one endpoint, again for each incarnation."""

    def __init__(self, endpoint: str, keys: Path | None = None) -> None:
        scheme, _, place = endpoint.partition("://")
        self.endpoint = endpoint
        self._made: PrivateDirectory | None = None
        self._authenticator: ThreadAuthenticator | None = None
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
            if scheme == "tcp":
                self._authenticate(keys)
            self._bind()
        except BaseException:
            self._release()
            raise

    @staticmethod
    def _default_place(scheme: str) -> str:
        return {"tcp": "127.0.0.1:*", "inproc": f"hil-{next(_NAMES)}"}[scheme]

    def _authenticate(self, keys: Path | None) -> None:
        if keys is None:
            raise TransportError(
                f"{self.endpoint}: tcp needs the keys of this bench: give their directory, "
                "or use ipc on one machine"
            )
        folder = keys
        check_folder(folder)
        self._keys = read_private(keys / SERVER)
        allowed_keys(keys)  # a list that cannot be read is said now, not to the first client

        class AllowList:
            """The ZAP question (RFC 27) of the authenticator thread: may this key connect?"""

            def callback(self, domain: str, key: bytes) -> bool:
                # The authenticator has made it Z85. Read anew: clients are added and revoked.
                return key.decode() in allowed_keys(folder)

        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(_ZAP_DOMAIN, AllowList())

    def _bind(self) -> None:
        # Known at once, so that whatever happens here it is closed: its context waits for that.
        self._socket = peer = self._context.socket(zmq.PAIR)
        peer.linger = 0
        peer.immediate = True
        peer.sndhwm = peer.rcvhwm = 0
        peer.maxmsgsize = MESSAGE_LIMIT_NBYTES
        if self._keys:
            peer.curve_server = True
            peer.curve_secretkey = self._keys["secret"].encode()
            peer.curve_publickey = self._keys["public"].encode()
            peer.zap_domain = _ZAP_DOMAIN.encode()
            peer.heartbeat_ivl = HEARTBEAT_MS
            peer.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        for last in range(_REBIND_TRIES - 1, -1, -1):
            try:
                if self.endpoint.startswith("ipc://") and _answers(self.endpoint):
                    raise zmq.ZMQError(zmq.EADDRINUSE)
                peer.bind(self.endpoint)
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
        self._channel = ZeroMQChannel(self._socket)
        return self._channel

    def close(self) -> None:
        """Close everything and remove what was made."""
        if self._channel is not None:
            self._channel.close()
        self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close(linger=SLICE_MS)
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        if self._own_context:
            self._context.term()
        if self._made is not None:
            self._made.remove()
        elif self.endpoint.startswith("ipc://"):
            with contextlib.suppress(FileNotFoundError):
                Path(self.endpoint.removeprefix("ipc://")).unlink()
