"""A Unix SEQPACKET socket towards the bench.

A message of at most ``PACKET_NBYTES`` is one packet; a longer one is announced by a packet of eight
octets, its length. The bench's end says why.
"""

from __future__ import annotations

import socket
import struct

from flightsw.codec.wire import HEADER_NBYTES
from flightsw.hal.channel import MESSAGE_LIMIT_NBYTES, Lost

PACKET_NBYTES = 4096
LENGTH = struct.Struct("<Q")


class SeqpacketChannel:
    """One connected socket. The kernel tells at once when the other end is gone."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.connect(endpoint.partition("://")[2])
        except OSError as error:
            self._socket.close()
            raise Lost(error.strerror or str(error)) from None
        self._send, self._recv = self._socket.send, self._socket.recv

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the reply."""
        try:
            if len(message) <= PACKET_NBYTES:
                self._send(message)
            else:
                self._send(LENGTH.pack(len(message)))
                for at in range(0, len(message), PACKET_NBYTES):
                    self._send(message[at : at + PACKET_NBYTES])
            packet = self._recv(PACKET_NBYTES)
            return packet if len(packet) >= HEADER_NBYTES else self._recv_long(packet)
        except OSError as error:
            raise Lost(error.strerror or str(error)) from None

    def _recv_long(self, packet: bytes) -> bytes:
        if len(packet) != LENGTH.size:
            raise Lost("it closed its socket")
        (left,) = LENGTH.unpack(packet)
        if left > MESSAGE_LIMIT_NBYTES:
            raise Lost(f"it announced a message of {left} octets, more than the limit")
        parts: list[bytes] = []
        while left > 0:
            packet = self._recv(PACKET_NBYTES)
            if not packet:
                raise Lost("it closed its socket in the middle of a message")
            parts.append(packet)
            left -= len(packet)
        return b"".join(parts)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
