"""The root of the one exception tree, and the errors of the codec.

Flight software adds its branch in ``flightsw.errors`` and the bench in ``hil.errors``. Each message
names the object, the operation, the state and the next step.
"""

from __future__ import annotations


class FlatsatError(Exception):
    """Anything that FlatSat raises on purpose; catch it to tell our refusals from our defects."""

    exit_code = 1


class StaleCodecError(FlatsatError):
    """The C codec was built of other sources than lie here: what it reads and writes may be laid
    out differently, so it is not used."""

    exit_code = 3


class CodecError(FlatsatError, ValueError):
    """Bytes that are not what the standard says, or values that do not fit their field."""


class TruncatedError(CodecError):
    """A buffer ends inside a packet, frame or record: feed more bytes or discard it."""


class FieldRangeError(CodecError):
    """A value does not fit the width of its field; nothing was written."""


class ChecksumError(CodecError):
    """A CRC does not match its contents: the unit was damaged on the way."""


class SyncError(CodecError):
    """A marker, version or fixed field is not where it must be."""
