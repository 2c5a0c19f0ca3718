"""Errors of the flight software. One sentence each says why it exists."""

from __future__ import annotations

from flightsw.codec.errors import FlatsatError


class FlightError(FlatsatError):
    """Root of everything that the flight software raises on purpose."""


class BusError(FlightError, OSError):
    """A bus transaction failed; ``errno`` is what the Linux driver of that adapter would return."""

    def __init__(self, errno: int, message: str) -> None:
        OSError.__init__(self, errno, message)


class BusTimeoutError(BusError, TimeoutError):
    """A transaction did not end: stuck line, stretched clock, or a device that is away."""


class PartMismatchError(FlightError):
    """A part answered with an identity other than the one its driver was written for."""


class DeviceTableError(FlightError):
    """The device table asks for a driver, channel or parameter that does not exist."""

    exit_code = 2


class StorageError(FlightError):
    """State or a journal could not be written or read: the medium is full, read-only or away."""

    exit_code = 3


class ModelError(FlightError):
    """A model cannot be loaded: runtime or file missing, or not the bytes that were scored."""

    exit_code = 3


class BenchLostError(FlightError):
    """The bench on the other end of the channel is gone or silent; the payload cannot go on."""

    exit_code = 4


class BenchRefusedError(FlightError):
    """The bench answered the greeting with a refusal; its text says what to do."""

    exit_code = 3


class HandshakeBrokenError(BenchRefusedError):
    """A connection ended in its handshake: keys of another bench, or a link that broke just then.
    The two look the same from here."""


class SessionOverError(BenchLostError):
    """The bench was found again, but has ended this incarnation: a reset, or it began anew."""


class Shutdown(Exception):  # noqa: N818 - a signal that unwinds the stack, not an error
    """The bench ended the run: leave every loop, close files, acknowledge."""
