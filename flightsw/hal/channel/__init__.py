"""The payload computer's end of the channel to the bench.

:func:`connect` gives a :class:`flightsw.hal.Hal` whose buses are the bench's. Endpoints:
``ipc:///path``, ``tcp://host:port`` and ``inproc://name`` (ZeroMQ), ``seqpacket:///path`` (a Unix
socket; needs the standard library only).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flightsw.errors import BenchLostError

if TYPE_CHECKING:
    from flightsw.hal.bench import BenchHal

#: How long one wait lasts before the waiter looks whether the bench is still there.
SLICE_MS = 250
#: How long a bench may take to come up and answer the greeting.
PATIENCE_S = 30.0
#: How often a bench on another machine is greeted that breaks the connection in between.
_GREETINGS = 3
#: Longest message: as on the bench's side.
MESSAGE_LIMIT_NBYTES = 64 << 20


class Lost(Exception):  # noqa: N818 - a cause, turned into BenchLostError where the time is known
    """The bench is gone; the text says how that was seen."""

    #: what whoever started us does next
    advice = "start the bench first, or see why it ended"


class OccupiedError(Lost):
    """The bench is there and flies with another client."""

    advice = "wait until that has left, or end it"


class Channel(Protocol):
    """A connection to a bench."""

    endpoint: str

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the reply. Raises :class:`Lost` when the bench is gone."""

    def close(self) -> None:
        """Drop the connection."""


def open_channel(
    endpoint: str, keys: Path | None = None, patience_s: float = PATIENCE_S
) -> Channel:
    """Open a channel; ``keys`` is the CURVE key file of this participant, which tcp needs.

    Raises :class:`~flightsw.errors.BenchLostError` when no bench is there within ``patience_s`` of
    wall time.
    """
    scheme = endpoint.partition("://")[0]
    try:
        if scheme == "seqpacket":
            from flightsw.hal.channel.seqpacket import SeqpacketChannel

            return SeqpacketChannel(endpoint)
        if scheme in ("ipc", "tcp", "inproc"):
            from flightsw.hal.channel.zeromq import ZeroMQChannel

            return ZeroMQChannel(endpoint, keys, patience_s)
    except Lost as error:
        raise BenchLostError(f"no bench at {endpoint}: {error}; start the bench first") from None
    raise BenchLostError(
        f"endpoint {endpoint!r} cannot be reached: "
        "give ipc://PATH, tcp://HOST:PORT, inproc://NAME or seqpacket://PATH"
    )


def connect(
    endpoint: str,
    name: str = "fsw",
    keys: Path | None = None,
    lazy: bool = False,
    patience_s: float = PATIENCE_S,
    local: Mapping[str, str] | None = None,
) -> BenchHal:
    """Greet the bench at ``endpoint`` and return its hal. For ``lazy`` see :class:`BenchHal`, also
    for ``local``.

    Raises :class:`~flightsw.errors.BenchLostError` when there is none, and
    :class:`~flightsw.errors.BenchRefusedError` when it does not want us.
    """
    from flightsw.hal.bench import BenchHal

    # A bench that listens lets go of whoever came before us, and for a moment of everybody.
    if endpoint.startswith("tcp"):
        patience_s /= _GREETINGS
        for _ in range(_GREETINGS - 1):
            with suppress(BenchLostError):
                return BenchHal(open_channel(endpoint, keys, patience_s), name, lazy, local or {})
    return BenchHal(open_channel(endpoint, keys, patience_s), name, lazy, local or {})
