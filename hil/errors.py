"""Errors of the bench, each with why it exists; ``exit_code`` is what ``hil`` returns."""

from __future__ import annotations

import errno

from flightsw.codec.errors import FlatsatError


class HilError(FlatsatError):
    """Root of everything that the bench raises on purpose."""


class UsageError(HilError):
    """The command line or a value given by the user cannot be used as it is."""

    exit_code = 2


class ConfigError(UsageError):
    """A board file, mission profile or fault plan is wrong; the text names file, key and remedy."""


class HostError(HilError):
    """The host lacks something the run needs; the text gives the command that mends it."""

    exit_code = 3


class RunDirectoryError(HostError):
    """The run directory cannot be made, written or finished."""


class DiskFullError(RunDirectoryError):
    """The disk takes no more. What was recorded until then is whole, and is kept."""

    #: what a system says when the disk, a quota or the limit of a file is reached
    CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ParticipantError(HilError):
    """A participant broke the protocol, left, or stalled; the text names it and its last act."""

    exit_code = 4


class StalledError(ParticipantError):
    """A participant did not answer within its wall limit: it is named, with what it last did."""


class TransportError(HilError):
    """A channel between bench and participant could not be opened or was refused."""

    exit_code = 4


class DeviceError(HilError):
    """A device on a bus did not answer; the text names it, what was asked, and the errno."""

    exit_code = 4


class BoardError(HilError):
    """A dev board cannot be found, reached or used; the text names it, its state and the remedy."""

    exit_code = 4


class ExpectationError(HilError, AssertionError):
    """What a test waits for did not come; the text says what was seen instead, and the state."""


class UnknownNameError(ExpectationError):
    """A test names what this bench has not; the text gives the nearest names there are."""


class TelecommandError(ExpectationError):
    """A telecommand was refused, failed or was not reported in time.

    ``stage`` is the one that failed (``acceptance``, ``start``, ``progress``, ``completion``,
    ``routing``), or the first whose report did not come; ``code`` is the name of the failure, ""
    where there is none, and ``detail`` the value at fault.
    """

    def __init__(self, text: str, stage: str = "", code: str = "", detail: int = 0) -> None:
        super().__init__(text)
        self.stage = stage
        self.code = code
        self.detail = detail


class LimitError(ExpectationError):
    """A value that a test has measured lies outside its limits."""


class SnapshotError(HilError):
    """A snapshot cannot be made or used; the text says of what, why, and how to make it anew."""

    exit_code = 2


class CaptureError(HilError):
    """A capture cannot be read or written; the text says where the damage starts."""

    exit_code = 2
