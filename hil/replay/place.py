"""Where a replay begins or ends: a record by its number, or by a time."""

from __future__ import annotations

from flightsw.codec.wire import unpack_all
from hil.capture.export.selection import Bound, bound
from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.replay.flown import Flown

_SECOND = 10**9
_DIGITS = 18  # more than any capture has records


def place(run: Flown, text: str | None, option: str) -> int | None:
    """Return the number of the record that ``4711``, ``seq=4711``, ``300s`` or ``5.5 min`` means.

    ``--from`` a time is the first record that is not before it, ``--until`` the last in front of
    the first that is behind it. Raises ``UsageError`` for what is neither, and for what lies
    behind the end of the run.
    """
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        where = Bound(seq=int(text[:_DIGITS]) if len(text) <= _DIGITS else 10**_DIGITS)
    else:
        where = bound(text, option)
    with Capture(run.capture, tolerant=not run.whole) as capture:
        last = capture.last_seq
        if last is None:
            raise UsageError(f"{option} {text}: the capture holds no record")
        if where.t_ns is not None:
            return _at(run, capture, where.t_ns, option, text)
        if where.seq is not None and where.seq > last:
            raise UsageError(f"{option} {text}: the last record of the run is number {last}")
    return where.seq


def _at(run: Flown, capture: Capture, t_ns: int, option: str, text: str) -> int:
    """Return the record at a time."""
    is_end = option == "--until"
    for buffer in capture.pieces(None, t_ns + is_end):
        first = next(unpack_all(buffer)).seq
        if is_end and not first:
            raise UsageError(f"{option} {text}: the first record comes later")
        return first - is_end
    last = capture.last_seq
    if is_end and last is not None and t_ns <= round((run.virtual_s or 0) * _SECOND):
        return last
    ended_s = max((record.t_ns for record in capture.records(None)), default=0) / _SECOND
    raise UsageError(f"{option} {text}: the last record of the run is at {ended_s:.9g} s")
