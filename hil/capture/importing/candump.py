"""Reading what ``candump`` of can-utils prints and logs.

``candump -l`` and ``-L``: ``(1436509052.249713) can0 044#2A366C2BBA``, FD frames with ``##`` and a
digit of flags. The text form: ``(1436509052.249713)  can0  RX B -  044   [2]  2A 36``, where
time and direction are there with ``-t`` and ``-x``. A line that is neither is skipped and counted.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from flightsw.codec.wire import Flag, Kind
from hil.capture.importing.unit import TIME_LIMIT_NS, Source, Unit, plain

SECOND = 1_000_000_000
#: A time below this counts from the start (``-t z``): no CAN log is from before 1973.
_RELATIVE_LIMIT_NS = 10**8 * SECOND
_LINE_LIMIT = 4096
EXTENDED, REMOTE, ERROR = 0x8000_0000, 0x4000_0000, 0x2000_0000

_HEAD = rb"^\s*(?:\((?P<time>[^)]{1,40})\)\s+)?(?P<bus>[^\s()#]{1,64})\s+"
_ID = rb"(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})"
_LOG = re.compile(
    _HEAD + _ID + rb"#(?:(?P<remote>R)[0-9A-F]?|#(?P<fd>[0-9A-Fa-f])(?P<fd_data>[0-9A-Fa-f]*)|"
    rb"(?P<data>[0-9A-Fa-f.]*))(?:_[0-9A-Fa-f])?(?:\s+(?P<way>[RT]))?\s*$"
)
_TEXT = re.compile(
    _HEAD + rb"(?:(?P<way>[RT])X\s+(?P<brs>[B-])\s+(?P<esi>[E-])\s+)?" + _ID + rb"\s+"
    rb"\[(?P<length>\d{1,2})\](?P<rest>(?:\s+[0-9A-Fa-f]{2}(?=\s|$))*)(?P<tail>.*)$"
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_SECONDS = re.compile(r"(\d{1,11})\.(\d{1,9})")


class CandumpSource(Source):
    """A log or a printout of ``candump``."""

    form = "candump"

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(name)
        self._file = file
        self._at = 0
        self._line = 1
        self._first = next(self._lines(), None)
        self.absolute = self._first is not None and self._first.t_ns >= _RELATIVE_LIMIT_NS

    def units(self) -> Iterator[Unit]:
        before_ns = 0
        for unit in self._again():
            self.counters["times_that_go_back"] += unit.t_ns < before_ns
            before_ns = unit.t_ns
            yield unit

    def _again(self) -> Iterator[Unit]:
        if self._first is not None:
            yield self._first
            yield from self._lines()

    def _lines(self) -> Iterator[Unit]:
        while line := self._file.readline(_LINE_LIMIT):
            at, self._at = self._at, self._at + len(line)
            number, self._line = self._line, self._line + line.endswith(b"\n")
            unit = self._unit(_COLOUR.sub(b"", line))
            if unit is not None:
                yield unit
            elif line.strip() and not line.lstrip().startswith(b"#"):
                if not self.counters["skipped_lines"]:
                    self.counters["first_skipped_line"] = number
                    self.counters["first_skipped_line_at_octet"] = at
                self.counters["skipped_lines"] += 1

    def _unit(self, line: bytes) -> Unit | None:
        """Return the frame of a line; None if there is none in it."""
        found = _LOG.match(line)
        frame = self._logged(found) if found else None
        if found is None:
            found = _TEXT.match(line)
            frame = self._printed(found) if found else None
        if found is None or frame is None:
            return None
        t_ns = self._time_ns(found["time"])
        if t_ns is None:
            return None
        flags, address, data = frame
        if found["way"] != b"T":
            flags |= int(Flag.INPUT)
        name = plain(found["bus"])
        return Unit(t_ns, Kind.CAN, name, data, flags, address=address)

    def _time_ns(self, text: bytes | None) -> int | None:
        """Return a time stamp in nanoseconds; a line without one is at 0; None for none."""
        if text is None:
            self.counters["lines_without_time"] += 1
            return 0
        words = text.decode(errors="replace").strip()
        found = _SECONDS.fullmatch(words)
        if found:
            t_ns = int(found[1]) * SECOND + int(found[2].ljust(9, "0"))
            return t_ns if t_ns < TIME_LIMIT_NS else None
        try:  # -t A: the date of that computer, which does not say its zone
            moment = datetime.strptime(words, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        except ValueError:
            return None
        t_ns = timegm(moment.timetuple()) * SECOND + moment.microsecond * 1000
        if not 0 <= t_ns < TIME_LIMIT_NS:
            return None
        self.counters["dates_taken_as_utc"] += 1
        return t_ns

    def _logged(self, found: re.Match[bytes]) -> tuple[int, int, bytes] | None:
        """Return flags of the format, identifier and data of a log line."""
        address = _address(found["id"])
        if found["remote"]:
            return 0, address | REMOTE, b""
        text = found["fd_data"] if found["fd"] else found["data"].replace(b".", b"")
        if len(text) % 2 or len(text) > (128 if found["fd"] else 16):
            return None
        data = bytes.fromhex(text.decode())
        if not found["fd"]:
            return 0, address, data
        return int(Flag.CAN_FD) | (int(found["fd"], 16) & 3) << 4, address, data

    def _printed(self, found: re.Match[bytes]) -> tuple[int, int, bytes] | None:
        """Return the same of a line of text."""
        address, length = _address(found["id"]), int(found["length"])
        # FD frames have their length in two digits, classic ones in one.
        fd = len(found["length"]) == 2
        if b"remote request" in found["tail"]:
            return 0, address | REMOTE, b""
        data = bytes.fromhex(found["rest"].decode())
        if len(data) != length or length > (64 if fd else 8):
            return None
        if not fd:
            return 0, address, data
        flags = int(Flag.CAN_FD)
        if found["brs"] is None:
            self.counters["fd_frames_without_brs_and_esi"] += 1
        flags |= int(Flag.CAN_BRS) if found["brs"] == b"B" else 0
        flags |= int(Flag.CAN_ESI) if found["esi"] == b"E" else 0
        return flags, address, data


def _address(text: bytes) -> int:
    """Return an identifier with its flags: eight digits are extended, or an error frame."""
    number = int(text, 16)
    if len(text) == 3:
        return number
    if number & ERROR:
        return number & 0x3FFF_FFFF
    return number & 0x1FFF_FFFF | EXTENDED
