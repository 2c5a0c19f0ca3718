"""u-blox GNSS receiver (M9 interface description, UBX-21022436): UBX-NAV-PVT and NMEA on one line.

Both protocols come mixed; each has its own frame and checksum (3.2, 2.1). What is between messages
is skipped and counted. The pulse per second on a GPIO line tells when a GNSS second began, so its
edge in mission time gives the offset of the mission clock.
"""

from __future__ import annotations

import calendar
import struct
from functools import reduce
from itertools import accumulate
from operator import xor
from typing import NamedTuple

from flightsw.drivers.base import Traffic
from flightsw.drivers.pins import pin
from flightsw.hal import Device, Hal

_SECOND_NS = 1_000_000_000
_SYNC = b"\xb5\x62"
_UBX_OVERHEAD = 8
_UBX_MAX_NBYTES = 1024
_NMEA_MAX_NBYTES = 128
#: UBX-NAV-PVT payload up to the velocities (3.15.11)
_PVT = struct.Struct("<IHBBBBBBIiBBBBiiiiIIiii")
_PVT_NBYTES = 92
_VALID_DATE_TIME = 0x03
#: UBX-CFG-VALSET, RAM layer: CFG-MSGOUT-UBX_NAV_PVT_UART1 = 1
_ENABLE_PVT = b"\x00\x01\x00\x00\x07\x00\x91\x20\x01"
_BUFFER_MAX_NBYTES = 8192


class Fix(NamedTuple):
    """A navigation solution; lengths in millimetres, angles in 1e-7 degrees."""

    t_ns: int
    unix_s: int
    fix: int
    satellites: int
    latitude: int
    longitude: int
    height_mm: int
    north_mm_s: int
    east_mm_s: int
    down_mm_s: int
    time_valid: bool


def checksum(body: bytes) -> bytes:
    """Return the two octets over class, id, length and payload (3.4)."""
    return bytes((sum(body) & 0xFF, sum(accumulate(body)) & 0xFF))


def message(kind: int, number: int, payload: bytes) -> bytes:
    """Return a whole UBX message."""
    body = bytes((kind, number)) + len(payload).to_bytes(2, "little") + payload
    return _SYNC + body + checksum(body)


class Stream:
    """Splits octets into good UBX and NMEA messages."""

    def __init__(self) -> None:
        self._buffer = b""
        self.good_ubx = 0
        self.good_nmea = 0
        self.bad = 0
        #: octets that belong to no good message
        self.skipped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the UBX bodies (class, id, length, payload) that ``data`` completes."""
        buffer = self._buffer + data if self._buffer else data
        found: list[bytes] = []
        at, end = 0, len(buffer)
        while at < end:
            first = buffer[at]
            if first == 0xB5:
                taken = self._ubx(buffer, at, found)
            elif first == 0x24:
                taken = self._nmea(buffer, at)
            else:
                taken = self._skip(buffer, at)
            if not taken:
                break
            at += taken
        self._buffer = buffer[at:]
        assert len(self._buffer) <= _BUFFER_MAX_NBYTES, "an unbounded GNSS message"
        return found

    def _ubx(self, buffer: bytes, at: int, found: list[bytes]) -> int:
        have = len(buffer) - at
        if have >= 2 and buffer[at + 1] != 0x62:
            self.skipped += 1
            return 1
        if have < 6:
            return 0
        length = buffer[at + 4] | buffer[at + 5] << 8
        if length > _UBX_MAX_NBYTES:
            self.bad += 1
            self.skipped += 2
            return 2
        total = length + _UBX_OVERHEAD
        if have < total:
            return 0
        body = buffer[at + 2 : at + total - 2]
        if checksum(body) != buffer[at + total - 2 : at + total]:
            # Only the sync is given up: the length may be what was damaged.
            self.bad += 1
            self.skipped += 2
            return 2
        self.good_ubx += 1
        found.append(body)
        return total

    def _nmea(self, buffer: bytes, at: int) -> int:
        end = buffer.find(b"\r\n", at, at + _NMEA_MAX_NBYTES)
        if end < 0:
            if len(buffer) - at < _NMEA_MAX_NBYTES:
                return 0
            self.skipped += 1
            return 1
        if end - at >= 5 and buffer[end - 3] == 0x2A:
            told = buffer[end - 2 : end].decode("ascii", "replace").upper()
            if told == f"{reduce(xor, buffer[at + 1 : end - 3], 0):02X}":
                self.good_nmea += 1
                return end + 2 - at
        self.bad += 1
        self.skipped += 1
        return 1

    def _skip(self, buffer: bytes, at: int) -> int:
        places = [p for p in (buffer.find(b"\xb5", at), buffer.find(b"$", at)) if p >= 0]
        taken = (min(places) if places else len(buffer)) - at
        self.skipped += taken
        return taken


class Ublox:
    """Driver: call :meth:`poll` from the control group and :meth:`pulses` once a second."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self.traffic = Traffic()
        self._clock = hal.clock
        self._uart = hal.uart(device.channel)
        self._pps = pin(hal, device, "pps")
        self.stream = Stream()
        self.fix: Fix | None = None
        self.pulse_count = 0
        self._pulse_ns = -1

    def start(self) -> None:
        """Ask for NAV-PVT each epoch; the receiver tells its presence by talking."""
        self._uart.write(message(0x06, 0x8A, _ENABLE_PVT))

    def poll(self, now_ns: int) -> bool:
        """Take what the line has brought; return whether a new solution came."""
        data = self._uart.read()
        if not data:
            return False
        new = False
        for body in self.stream.feed(data):
            if body[0] == 0x01 and body[1] == 0x07 and len(body) == 4 + _PVT_NBYTES:
                self.fix = _fix(now_ns, body)
                new = True
        return new

    def pulses(self) -> None:
        """Take the edges of the pulse line."""
        for edge in self._pps.edges():
            if edge.value:
                self.pulse_count += 1
                self._pulse_ns = edge.t_ns

    def offset_ns(self, epoch_unix_s: int) -> int | None:
        """Return mission clock minus GNSS time at the last pulse, None before there is one.

        Without the epoch (-1) only the part below a second is known: -0.5 s to +0.5 s.
        """
        if self._pulse_ns < 0:
            return None
        part = (self._pulse_ns + _SECOND_NS // 2) % _SECOND_NS - _SECOND_NS // 2
        fix = self.fix
        if epoch_unix_s < 0 or fix is None or not fix.time_valid or fix.t_ns < self._pulse_ns:
            return part
        # The solution that follows a pulse tells the second that began with it.
        if fix.t_ns - self._pulse_ns >= _SECOND_NS:
            return part
        return self._pulse_ns - (fix.unix_s - epoch_unix_s) * _SECOND_NS


def _fix(now_ns: int, body: bytes) -> Fix:
    row = _PVT.unpack_from(body, 4)
    year, month, day, hour, minute, second, valid = row[1:8]
    time_valid = (
        valid & _VALID_DATE_TIME == _VALID_DATE_TIME and 1999 < year < 10_000 and 0 < month < 13
    )
    unix_s = calendar.timegm((year, month, day, hour, minute, second)) if time_valid else 0
    nano = row[9]
    if nano < -_SECOND_NS // 2:  # the seconds field is rounded, nano carries the sign
        unix_s -= 1
    return Fix(
        now_ns, unix_s, row[10], row[13], row[15], row[14], row[16],
        row[20], row[21], row[22], time_valid,
    )  # fmt: skip
