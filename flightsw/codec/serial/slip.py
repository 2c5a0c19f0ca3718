"""SLIP (RFC 1055), and KISS, which is SLIP with a command octet in front of the content (Chepponis
and Karn, "The KISS TNC", 1987).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flightsw.codec.errors import FieldRangeError, TruncatedError
from flightsw.codec.native import lib
from flightsw.codec.octets import Octets
from flightsw.codec.serial.line import Deframer, decode_one, enframe

END = b"\xc0"


def encode(content: Octets) -> bytes:
    """Return ``content`` (1 octet or more) between two END octets."""
    return enframe(lib.FS_SLIP, 0, [content], True)


def frames(contents: Iterable[Octets], *, lead: bool = True) -> bytes:
    """Return a stream of frames, each ended (with ``lead`` also begun) by END."""
    return enframe(lib.FS_SLIP, 0, contents, lead)


def decode(frame: bytes) -> bytes:
    """Return the content of one frame, with or without END; SyncError if it is none."""
    return decode_one(Decoder(max(len(frame), 1)), END, frame)


class Decoder(Deframer):
    """Streaming decoder: :meth:`feed` chunks of any size, read ``counters``."""

    def __init__(self, max_nbytes: int = 65_536, *, joined: bool = False) -> None:
        super().__init__(lib.FS_SLIP, 0, max_nbytes, joined)


class KissFrame(NamedTuple):
    """Content of a KISS frame; command 0 is data, 255 (of port 15) leaves KISS mode."""

    port: int
    command: int
    data: bytes


def kiss_encode(data: bytes, port: int = 0, command: int = 0) -> bytes:
    """Return one KISS frame; port and command have four bits each."""
    if not (0 <= port < 16 and 0 <= command < 16):
        raise FieldRangeError(f"KISS frame: port {port} or command {command} is not of 0 to 15")
    return encode(bytes((port << 4 | command,)) + data)


def kiss_split(content: bytes) -> KissFrame:
    """Take the content of a SLIP frame as that of a KISS frame; TruncatedError if it is empty."""
    if not content:
        raise TruncatedError("KISS frame: no content, so no port and command; it is idle fill")
    return KissFrame(content[0] >> 4, content[0] & 15, content[1:])
