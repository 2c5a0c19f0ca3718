"""GPS time from UTC: leap seconds and time of week.

IS-GPS-200 section 20.3.3.5.2.4 for the relation to UTC; leap seconds from IERS Bulletin C.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

GPS_EPOCH: Final = datetime(1980, 1, 6, tzinfo=UTC)
WEEK_MS: Final = 604_800_000
_MILLISECOND = timedelta(milliseconds=1)

#: (first instant of UTC, GPS minus UTC in seconds from then on), newest first.
LEAP_SECONDS: Final = (
    (datetime(2017, 1, 1, tzinfo=UTC), 18),
    (datetime(2015, 7, 1, tzinfo=UTC), 17),
    (datetime(2012, 7, 1, tzinfo=UTC), 16),
    (datetime(2009, 1, 1, tzinfo=UTC), 15),
    (datetime(2006, 1, 1, tzinfo=UTC), 14),
    (datetime(1999, 1, 1, tzinfo=UTC), 13),
)


def leap_seconds(utc: datetime) -> int:
    """Return GPS minus UTC at ``utc``, seconds; dates before 1999 are not served."""
    for since, seconds in LEAP_SECONDS:
        if utc >= since:
            return seconds
    raise ValueError(f"leap seconds of {utc:%Y-%m-%d}: the table starts on 1999-01-01")


def time_of_week_ms(utc: datetime) -> int:
    """Return the GPS time of week at ``utc``, milliseconds."""
    return ((utc - GPS_EPOCH) // _MILLISECOND + 1000 * leap_seconds(utc)) % WEEK_MS
