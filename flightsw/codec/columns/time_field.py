"""Time codes as fields of a layout: ``field("t", cuc(4, 3), doc="mission time")``.

Their value is an integer of 64 bits: nanoseconds since the epoch of the code, 292 years of them.
construct itself parses and builds them too, through :mod:`flightsw.codec.time_code`.
"""

from __future__ import annotations

from typing import Any

import construct

from flightsw.codec.errors import CodecError
from flightsw.codec.time_code import AGENCY_EPOCH, TAI_EPOCH, TimeFormat


class TimeField(construct.Adapter):  # type: ignore[misc]  # construct ships no types
    """A CUC or CDS, its preamble in front if the packet carries one."""

    def __init__(self, code: TimeFormat, preamble: bool) -> None:
        self.code = code
        self.head = code.preamble() if preamble else b""
        super().__init__(construct.Bytes(len(self.head) + code.nbytes))

    def _decode(self, obj: bytes, context: Any, path: str) -> int:
        if not obj.startswith(self.head):
            raise construct.ConstError(f"preamble {obj[: len(self.head)].hex()}", path=path)
        try:
            t_ns = self.code.unpack(obj[len(self.head) :])
        except CodecError as error:
            raise construct.ValidationError(str(error), path=path) from error
        if t_ns >= 1 << 63:
            raise construct.ValidationError(f"{t_ns} ns is no integer of 64 bits", path=path)
        return t_ns

    def _encode(self, obj: int, context: Any, path: str) -> bytes:
        return self.head + self.code.pack(obj)


def cuc(
    coarse: int = 4, fine: int = 3, *, epoch: int = AGENCY_EPOCH, preamble: bool = False
) -> TimeField:
    """Return an unsegmented time of ``coarse`` + ``fine`` octets (CCSDS 301.0-B-4 section 3.2)."""
    return TimeField(TimeFormat("cuc", coarse, fine, epoch), preamble)


def cds(
    days: int = 2, fine: int = 0, *, epoch: int = TAI_EPOCH, preamble: bool = False
) -> TimeField:
    """Return a day-segmented time (section 3.3); ``fine``: 0, 2 or 4 octets below the ms."""
    return TimeField(TimeFormat("cds", days, fine, epoch), preamble)
