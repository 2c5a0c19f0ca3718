"""The bench's end of the participant channel.

A channel carries messages (one or more wire records) in both directions, in order, whole, or says
that it is lost. The participant speaks first.

Endpoints: ``ipc:///path``, ``tcp://host:port`` and ``inproc://name`` are ZeroMQ,
``seqpacket:///path`` is a Unix socket of that type. ``direct`` has no channel at all: the
participant's loop calls the exchange (``hil.time.transports.direct``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

from hil.errors import TransportError

#: How long a wait lasts before the waiter looks whether its peer lives and its limit has passed.
SLICE_MS = 100


class ChannelLost(TransportError):  # noqa: N818 - it tells of a loss as much as of an error
    """The peer of a channel is gone; the text says how that was seen."""


class ChannelAway(ChannelLost):
    """The peer of a channel that lasts cannot be reached now, and nobody waits for it any more."""


class Channel(Protocol):
    """One connection to one incarnation of a participant."""

    def recv(self) -> bytes | None:
        """Return the next message; None when none came within ``SLICE_MS``.

        Raises :class:`ChannelLost` when the peer is gone and everything it sent has been read.
        """

    def send(self, message: bytes) -> None:
        """Send one message. Raises :class:`ChannelLost` when the peer is gone."""

    def close(self) -> None:
        """Drop the connection; what was not yet delivered may be lost."""


class Listener(Protocol):
    """A place where a participant, and after it the next incarnation, can connect."""

    #: what the participant is told to connect to
    endpoint: str
    #: who came, was let in and was turned away, as far as this transport can tell
    counters: dict[str, int]

    def channel(self) -> Channel:
        """Return a channel for the next participant that connects; the one before is closed."""

    def close(self) -> None:
        """Close the listener, its channel and what it made in the file system."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def listen(endpoint: str, keys: Path | None = None) -> Listener:
    """Open a listener. ``ipc`` and ``seqpacket`` alone choose a path in a fresh private directory.

    ``keys`` is the directory with the CURVE keys of this bench; tcp needs it. Raises
    :class:`~hil.errors.TransportError` when the endpoint cannot be opened.
    """
    scheme = endpoint.partition("://")[0]
    if scheme == "seqpacket":
        from hil.time.transports.seqpacket import SeqpacketListener

        return SeqpacketListener(endpoint)
    if scheme in ("ipc", "tcp", "inproc"):
        from hil.time.transports.zeromq import ZeroMQListener

        return ZeroMQListener(endpoint, keys)
    raise TransportError(
        f"endpoint {endpoint!r} cannot be opened: "
        "use ipc://PATH, tcp://HOST:PORT, inproc://NAME or seqpacket://PATH"
    )
