"""CCSDS time codes (CCSDS 301.0-B-4), in integers throughout: CUC and CDS here, CCS beside.

A time is an integer count of nanoseconds since the epoch of its code: 1958-01-01 TAI, or the
agency's own. Nothing is a floating-point number and nothing is changed in place, so adding is
adding integers. A day has 86,400 s: codes count days or seconds and know nothing of leap seconds.

Fractions finer than a nanosecond are rounded to the nearest, halves up; packing rounds the same way
to the unit of the code. The mission writes a CUC with a preamble of 2F, four octets of seconds and
three of fraction, whose unit of 2^-24 s is 59.6 ns: a time comes back within 30 ns of what went in,
and packing what came back gives the same octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError

#: No extension, agency epoch, 4 octets of seconds, 3 octets of fraction.
P_FIELD = 0x2F
CUC_NBYTES = 8

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_UNITS = 1 << 24
_LIMIT = 1 << 56
_PREAMBLE = P_FIELD << 56
#: milliseconds of a day that may stand in a CDS: one with a leap second has 1000 more
_DAY_MS = 86_401_000

TAI_EPOCH, AGENCY_EPOCH = 1, 2
#: by name: 1958-01-01 TAI, or what the mission says
EPOCHS = {"tai": TAI_EPOCH, "agency": AGENCY_EPOCH}


class Cuc(NamedTuple):
    """A decoded time code; ``t_ns`` counts from 1958-01-01 TAI or from the agency's epoch."""

    epoch: int
    t_ns: int
    nbytes: int


class Cds(NamedTuple):
    """A decoded day-segmented time; ``t_ns`` counts from 1958-01-01 or the agency's epoch."""

    epoch: int
    t_ns: int
    nbytes: int


@dataclass(frozen=True)
class TimeFormat:
    """How the octets behind the preamble are divided; ``code`` is "cuc" or "cds".

    CUC: ``coarse`` octets of seconds (1 to 7), ``fine`` of binary fraction (0 to 10). CDS:
    ``coarse`` octets of days (2 or 3), four of milliseconds, ``fine`` of the rest: 0, 2 for
    microseconds, 4 for picoseconds.
    """

    code: str
    coarse: int
    fine: int
    epoch: int = AGENCY_EPOCH

    def __post_init__(self) -> None:
        good = (
            1 <= self.coarse <= 7 and 0 <= self.fine <= 10
            if self.code == "cuc"
            else self.code == "cds" and self.coarse in (2, 3) and self.fine in (0, 2, 4)
        )
        if not good or self.epoch not in (TAI_EPOCH, AGENCY_EPOCH):
            raise FieldRangeError(
                f"time code {self.code!r} of {self.coarse} + {self.fine} octets, epoch"
                f" {self.epoch}: CUC has 1 to 7 + 0 to 10, CDS 2 or 3 + 0, 2 or 4; epoch 1 or 2"
            )

    @property
    def nbytes(self) -> int:
        """Octets behind the preamble."""
        return self.coarse + self.fine + (4 if self.code == "cds" else 0)

    def preamble(self) -> bytes:
        """Return the P-field, of one octet or two."""
        if self.code == "cds":
            agency = self.epoch == AGENCY_EPOCH
            return bytes([0x40 | agency << 3 | (self.coarse == 3) << 2 | self.fine // 2])
        more_coarse, more_fine = max(0, self.coarse - 4), max(0, self.fine - 3)
        first = self.epoch << 4 | self.coarse - more_coarse - 1 << 2 | self.fine - more_fine
        if not more_coarse and not more_fine:
            return bytes([first])
        return bytes([first | 0x80, more_coarse << 5 | more_fine << 2])

    def pack(self, t_ns: int) -> bytes:
        """Return the octets behind the preamble; FieldRangeError if the time does not fit."""
        octets = self._pack_cuc(t_ns) if self.code == "cuc" else self._pack_cds(t_ns)
        if octets is None:
            raise FieldRangeError(
                f"time code: {t_ns} ns does not fit {self.code.upper()} of {self.coarse} +"
                f" {self.fine} octets; its epoch is 0 ns"
            )
        return octets

    def unpack(self, octets: bytes) -> int:
        """Return the nanoseconds that the octets behind the preamble mean.

        Raises TruncatedError for another number of octets, SyncError for a time that is none.
        """
        if len(octets) != self.nbytes:
            raise TruncatedError(
                f"time code of {self.nbytes} octets behind its preamble: {len(octets)} given"
            )
        if self.code == "cuc":
            scale = 8 * self.fine
            units = int.from_bytes(octets, "big")
            return units * SECOND_NS + ((1 << scale) >> 1) >> scale
        days, rest = int.from_bytes(octets[: self.coarse], "big"), octets[self.coarse :]
        ms, sub = int.from_bytes(rest[:4], "big"), int.from_bytes(rest[4:], "big")
        limit = {0: 1, 2: 1000, 4: 1_000_000_000}[self.fine]
        if ms >= _DAY_MS or sub >= limit:
            raise SyncError(f"time code: {ms} ms of a day and {sub} of its {limit} parts of one")
        sub_ns = sub * 1000 if self.fine == 2 else (sub + 500) // 1000
        return days * DAY_NS + ms * 1_000_000 + sub_ns

    def _pack_cuc(self, t_ns: int) -> bytes | None:
        scale = 8 * self.fine
        units = ((t_ns << scale + 1) + SECOND_NS) // (2 * SECOND_NS)
        if not 0 <= units < 1 << 8 * self.coarse + scale:
            return None
        return units.to_bytes(self.nbytes, "big")

    def _pack_cds(self, t_ns: int) -> bytes | None:
        unit = {0: 1_000_000, 2: 1000, 4: 1}[self.fine]
        t_ns = (t_ns + unit // 2) // unit * unit
        days, of_day = divmod(t_ns, DAY_NS)
        if not 0 <= days < 1 << 8 * self.coarse:
            return None
        ms, sub_ns = divmod(of_day, 1_000_000)
        sub = {0: 0, 2: sub_ns // 1000, 4: sub_ns * 1000}[self.fine]
        return (
            days.to_bytes(self.coarse, "big")
            + ms.to_bytes(4, "big")
            + sub.to_bytes(self.fine, "big")
        )


def pack_cuc(t_ns: int) -> bytes:
    """Return the eight octets of ``t_ns`` nanoseconds since the mission epoch, rounded."""
    units = (t_ns * _UNITS + SECOND_NS // 2) // SECOND_NS
    if not 0 <= units < _LIMIT:
        raise FieldRangeError(
            f"time code: {t_ns} ns is not within the 136 years that follow the mission epoch"
        )
    return (_PREAMBLE | units).to_bytes(CUC_NBYTES, "big")


def unpack_cuc(octets: bytes, at: int = 0) -> int:
    """Return the nanoseconds of the time code at ``at``, which its own preamble describes."""
    if len(octets) - at >= CUC_NBYTES and octets[at] == P_FIELD:
        units = int.from_bytes(octets[at + 1 : at + CUC_NBYTES], "big")
        return units * SECOND_NS + _UNITS // 2 >> 24
    return decode_cuc(octets, at).t_ns


def decode_cuc(octets: bytes, at: int = 0) -> Cuc:
    """Decode a time code with any CUC preamble, of one octet or two (section 3.2)."""
    code, body = read_preamble(octets, at)
    if code.code != "cuc":
        raise SyncError(f"time code: preamble {octets[at]:02X} is not one of unsegmented time")
    return Cuc(code.epoch, code.unpack(_body(octets, at, body, code)), body + code.nbytes - at)


def pack_cds(t_ns: int, *, days: int = 2, fine: int = 0, epoch: int = TAI_EPOCH) -> bytes:
    """Return preamble and octets of a day-segmented time (section 3.3).

    ``days`` octets of days, 2 or 3; ``fine`` octets below the millisecond: 0, 2 (microseconds) or
    4 (picoseconds). Rounding may carry into the next millisecond, and over midnight into the next
    day.
    """
    code = TimeFormat("cds", days, fine, epoch)
    return code.preamble() + code.pack(t_ns)


def decode_cds(octets: bytes, at: int = 0) -> Cds:
    """Decode a day-segmented time with any preamble (section 3.3)."""
    code, body = read_preamble(octets, at)
    if code.code != "cds":
        raise SyncError(f"time code: preamble {octets[at]:02X} is not one of day-segmented time")
    return Cds(code.epoch, code.unpack(_body(octets, at, body, code)), body + code.nbytes - at)


def read_preamble(octets: bytes, at: int = 0) -> tuple[TimeFormat, int]:
    """Return the format that a preamble of CUC or CDS describes, and where its time begins."""
    if at >= len(octets):
        raise TruncatedError("time code: no preamble; the field is empty")
    first, body = octets[at], at + 1
    kind = first >> 4 & 7
    if kind == 4 and not first & 0x80 and first & 3 != 3:
        epoch = AGENCY_EPOCH if first & 8 else TAI_EPOCH
        return TimeFormat("cds", 3 if first & 4 else 2, 2 * (first & 3), epoch), body
    if kind not in (TAI_EPOCH, AGENCY_EPOCH):
        raise SyncError(
            f"time code: preamble {first:02X} is not one of unsegmented or day-segmented time"
        )
    coarse, fine = (first >> 2 & 3) + 1, first & 3
    if first & 0x80:
        if body >= len(octets):
            raise TruncatedError(f"time code: preamble {first:02X} lacks its second octet")
        second = octets[body]
        if second & 0x80:
            raise SyncError(f"time code: preamble {first:02X}{second:02X} has a third octet")
        coarse, fine, body = coarse + (second >> 5 & 3), fine + (second >> 2 & 7), body + 1
    return TimeFormat("cuc", coarse, fine, kind), body


def _body(octets: bytes, at: int, body: int, code: TimeFormat) -> bytes:
    end = body + code.nbytes
    if end > len(octets):
        raise TruncatedError(
            f"time code: preamble {octets[at]:02X} asks for {code.nbytes} octets,"
            f" {len(octets) - body} are there"
        )
    return bytes(octets[body:end])
