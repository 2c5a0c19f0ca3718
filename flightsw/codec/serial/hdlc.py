"""HDLC framing with octet stuffing, as on start/stop lines (RFC 1662 section 4, ISO/IEC 13239):
flag 7E, escape 7D, frame check sequence of 16 or 32 bits, least significant octet first.

Content is all between flag and frame check sequence; address and control are the user's.
"""

from __future__ import annotations

from collections.abc import Iterable

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import lib
from flightsw.codec.octets import Octets
from flightsw.codec.serial.line import Deframer, decode_one, enframe

FLAG = b"\x7e"


def encode(content: Octets, *, fcs_nbytes: int = 2) -> bytes:
    """Return ``content`` (1 octet or more) and its check between two flags.

    ``fcs_nbytes`` is 2, 4 or 0.
    """
    return frames([content], fcs_nbytes=fcs_nbytes)


def frames(contents: Iterable[Octets], *, fcs_nbytes: int = 2, lead: bool = True) -> bytes:
    """Return a stream of frames, each ended (with ``lead`` also begun) by a flag."""
    if fcs_nbytes not in (0, 2, 4):
        raise FieldRangeError(f"HDLC frame: check sequence of {fcs_nbytes} octets, is 0, 2 or 4")
    return enframe(lib.FS_HDLC, fcs_nbytes, contents, lead)


def decode(frame: bytes, *, fcs_nbytes: int = 2) -> bytes:
    """Return the content of one frame, with or without flags.

    Raises SyncError if it is none, ChecksumError if its frame check sequence does not match.
    """
    return decode_one(Decoder(max(len(frame), 1), fcs_nbytes=fcs_nbytes), FLAG, frame)


class Decoder(Deframer):
    """Streaming decoder: :meth:`feed` chunks of any size, read ``counters``.

    An escape in front of a flag aborts the frame, which has a counter of its own.
    """

    def __init__(
        self, max_nbytes: int = 65_536, *, fcs_nbytes: int = 2, joined: bool = False
    ) -> None:
        super().__init__(lib.FS_HDLC, fcs_nbytes, max_nbytes, joined)
