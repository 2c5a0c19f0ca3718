"""Unix SEQPACKET sockets: message boundaries kept by the kernel, a lost peer seen at once.

A message of at most ``PACKET_NBYTES`` is one packet. A longer one is announced by a packet of eight
octets, its length, and follows in packets of that size: the socket buffer of an unprivileged
process is 208 KiB on a stock kernel, and one camera frame is more. A wire record is never shorter
than 32 octets, so the two cannot be taken for each other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

from flightsw.codec.wire import HEADER_NBYTES
from hil.closing import Closing
from hil.errors import TransportError
from hil.time.transports import SLICE_MS, ChannelLost
from hil.time.transports.private import PrivateDirectory

PACKET_NBYTES = 4096
LENGTH = struct.Struct("<Q")
#: Longest message: a frame of 4000 x 3000 x 3 octets and what rides in front of it.
MESSAGE_LIMIT_NBYTES = 64 << 20
#: sockaddr_un holds 108 octets with the final NUL
PATH_LIMIT_NBYTES = 107
_TIMEVAL = struct.Struct("@ll")


class SeqpacketChannel:
    """One connection. The first ``recv`` waits for the peer to connect."""

    def __init__(
        self,
        listener: socket.socket | None,
        peer: socket.socket | None = None,
        counters: dict[str, int] | None = None,
    ) -> None:
        self._listener = listener
        self._counters = counters if counters is not None else {"accepted": 0}
        self._socket = peer
        if peer is not None:
            self._prepare(peer)

    def _prepare(self, peer: socket.socket) -> None:
        # A receive timeout kept by the kernel costs nothing; settimeout() would poll every time.
        peer.setblocking(True)
        timeval = _TIMEVAL.pack(SLICE_MS // 1000, SLICE_MS % 1000 * 1000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._socket = peer
        self._recv, self._send = peer.recv, peer.send

    def recv(self) -> bytes | None:
        """Return the next message, None when none came within a slice."""
        try:
            if self._socket is None:
                assert self._listener is not None
                self._prepare(self._listener.accept()[0])
                self._counters["accepted"] += 1
            packet = self._recv(PACKET_NBYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelLost(f"its socket failed ({error.strerror or error})") from None
        if len(packet) >= HEADER_NBYTES:
            return packet
        return self._recv_long(packet)

    def _recv_long(self, packet: bytes) -> bytes:
        if len(packet) != LENGTH.size:
            raise ChannelLost("it closed its socket")
        (left,) = LENGTH.unpack(packet)
        if left > MESSAGE_LIMIT_NBYTES:
            raise ChannelLost(f"it announced a message of {left} octets, more than the limit")
        parts: list[bytes] = []
        while left > 0:
            try:
                packet = self._recv(PACKET_NBYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelLost(f"its socket failed ({error.strerror or error})") from None
            if not packet:
                raise ChannelLost("it closed its socket in the middle of a message")
            parts.append(packet)
            left -= len(packet)
        return b"".join(parts)

    def send(self, message: bytes) -> None:
        """Send one message."""
        try:
            if len(message) <= PACKET_NBYTES:
                self._send(message)
                return
            self._send(LENGTH.pack(len(message)))
            for at in range(0, len(message), PACKET_NBYTES):
                self._send(message[at : at + PACKET_NBYTES])
        except OSError as error:
            raise ChannelLost(f"its socket failed ({error.strerror or error})") from None

    def fileno(self) -> int:
        """Return the descriptor of the connection; -1 before there is one."""
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()


def check_path(path: Path | str, made: bool) -> None:
    """Raise TransportError for a path that no address of a Unix socket holds (unix(7)).

    ``made``: it lies in a directory that we made, so that the place of those is what must change.
    """
    nbytes = len(os.fsencode(path))
    if nbytes > PATH_LIMIT_NBYTES:
        remedy = (
            "export XDG_RUNTIME_DIR=/tmp, or use --transport tcp" if made else "give a shorter one"
        )
        raise TransportError(
            f"socket {path}: its path has {nbytes} octets, and an address of a Unix socket holds "
            f"{PATH_LIMIT_NBYTES}: {remedy}"
        )


class SeqpacketListener(Closing):
    """A listening socket at a path; ``seqpacket`` without a path takes a fresh private one."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.counters = {"accepted": 0}
        self._path = Path(endpoint.partition("://")[2])
        self._made: PrivateDirectory | None = None
        self._channel: SeqpacketChannel | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._bind()
        except OSError as error:
            self.close()
            raise TransportError(
                f"{self.endpoint}: cannot listen ({error.strerror or error}): remove what is "
                "there, or give a path of at most 107 octets in a directory of yours"
            ) from None
        except BaseException:
            self.close()
            raise

    def _bind(self) -> None:
        if not self.endpoint.partition("://")[2]:
            self._made = PrivateDirectory()
            self._path = self._made.path / "s"
        self.endpoint = f"seqpacket://{self._path}"
        check_path(self._path, self._made is not None)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen(1)
        timeval = _TIMEVAL.pack(SLICE_MS // 1000, SLICE_MS % 1000 * 1000)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)

    def channel(self) -> SeqpacketChannel:
        """Return a channel for the next participant that connects."""
        if self._channel is not None:
            self._channel.close()
        self._channel = SeqpacketChannel(self._socket, None, self.counters)
        return self._channel

    def close(self) -> None:
        """Close everything and remove the socket file."""
        if self._channel is not None:
            self._channel.close()
        bound = self._socket.fileno() >= 0 and self._socket.getsockname() == str(self._path)
        self._socket.close()
        if self._made is not None:
            self._made.remove()
        elif bound:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
