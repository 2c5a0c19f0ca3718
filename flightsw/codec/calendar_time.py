"""Calendar time: the segmented code CCS (CCSDS 301.0-B-4 section 3.4), and text.

Times are integer nanoseconds since 1958-01-01 with days of 86,400 s, as in
:mod:`flightsw.codec.time_code`. Dates are the proleptic Gregorian ones of :mod:`datetime`; a time
in front of 1970 or of the epoch is like any other.
"""

from __future__ import annotations

from datetime import date, timedelta

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.time_code import DAY_NS, SECOND_NS

EPOCH_1958 = date(1958, 1, 1)
_CCS = 0x50
_DAY_OF_YEAR = 0x08


def iso_text(t_ns: int, epoch: date = EPOCH_1958) -> str:
    """Return ``1958-01-01T01:00:00.000000000`` for nanoseconds since midnight of ``epoch``."""
    days, of_day = divmod(t_ns, DAY_NS)
    seconds, ns = divmod(of_day, SECOND_NS)
    day = _date(days, epoch)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{day.isoformat()}T{clock}.{ns:09}"


def _date(days: int, epoch: date) -> date:
    try:
        return epoch + timedelta(days=days)
    except OverflowError:
        raise FieldRangeError(
            f"calendar time: day {days} of {epoch} is outside of the years 1 to 9999"
        ) from None


def pack_ccs(t_ns: int, *, fine: int = 0, day_of_year: bool = False) -> bytes:
    """Return preamble and decimal octets; ``fine`` octets (0 to 6) hold two digits each.

    ``t_ns`` is rounded to the last digit, halves up. FieldRangeError beyond the years 1 to 9999.
    """
    if not 0 <= fine <= 6:
        raise FieldRangeError(f"CCS time: {fine} octets below the second, must be 0 to 6")
    unit = 10 ** max(0, 9 - 2 * fine)
    t_ns = (t_ns + unit // 2) // unit * unit
    days, of_day = divmod(t_ns, DAY_NS)
    seconds, ns = divmod(of_day, SECOND_NS)
    day = _date(days, EPOCH_1958)
    in_year = f"{day.timetuple().tm_yday:04}" if day_of_year else f"{day.month:02}{day.day:02}"
    clock = f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"
    digits = f"{day.year:04}{in_year}{clock}" + f"{ns:09}000"[: 2 * fine]
    return bytes([_CCS | day_of_year << 3 | fine]) + bytes.fromhex(digits)


def decode_ccs(octets: bytes, at: int = 0) -> tuple[int, int]:
    """Return (nanoseconds since 1958-01-01, octets read). A second of 60 is the next minute."""
    if at >= len(octets):
        raise TruncatedError("CCS time: no preamble; the field is empty")
    first = octets[at]
    fine = first & 7
    if first & 0xF0 != _CCS or fine == 7:
        raise SyncError(f"CCS time: preamble {first:02X} is not one of calendar-segmented time")
    end = at + 8 + fine
    if end > len(octets):
        raise TruncatedError(
            f"CCS time: {7 + fine} octets behind the preamble, {len(octets) - at - 1} are there"
        )
    digits = bytes(octets[at + 1 : end]).hex()
    if not digits.isdecimal():
        raise SyncError(f"CCS time: {digits} holds what is no decimal digit")
    year, clock = int(digits[:4]), [int(digits[k : k + 2]) for k in (8, 10, 12)]
    try:
        if first & _DAY_OF_YEAR:
            day = date(year, 1, 1) + timedelta(days=int(digits[4:8]) - 1)
        else:
            day = date(year, int(digits[4:6]), int(digits[6:8]))
    except (ValueError, OverflowError) as error:
        raise SyncError(f"CCS time: {digits} is no date ({error})") from None
    hour, minute, second = clock
    if day.year != year or hour > 23 or minute > 59 or second > 60:
        raise SyncError(f"CCS time: {digits} is no date and time")
    seconds = (day - EPOCH_1958).days * 86_400 + hour * 3600 + minute * 60 + second
    return seconds * SECOND_NS + (int((digits[14:] + "0" * 12)[:12]) + 500) // 1000, end - at
