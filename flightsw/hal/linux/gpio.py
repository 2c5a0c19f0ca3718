"""GPIO lines by the character device, version 2 (linux/gpio.h, Linux 5.10 and later).

A line is asked for when it is first used: as an output when it is set, as an input with both edges
when it is looked at. Edges carry the kernel's CLOCK_MONOTONIC, which becomes mission time here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Sequence

from flightsw.errors import DeviceTableError
from flightsw.hal import Clock, Edge
from flightsw.hal.linux.bus import CAME, SENT, KernelBus, LocalChannel, Tell, open_device

CHIP_INFO = struct.Struct("=32s32sI")
LINE_INFO = struct.Struct("=32s32sIIQ160s16x")
#: offsets, consumer; flags, number of attributes, the first one: id, value, lines it is for, nine
#: more; number of lines, size of the event buffer, descriptor
REQUEST = struct.Struct("=64I32sQI20xI4xQQ216xII20xi")
VALUES = struct.Struct("=QQ")
EVENT = struct.Struct("=QIIII24x")
GET_CHIP_INFO, GET_LINE_INFO, GET_LINE = 0x8044_B401, 0xC100_B405, 0xC250_B407
GET_VALUES, SET_VALUES = 0xC010_B40E, 0xC010_B40F
USED, INPUT, OUTPUT, RISING, FALLING = 1, 4, 8, 16, 32
_VALUES_ATTRIBUTE = 2
_RISEN = 1
_CONSUMER = b"flightsw"
EDGE_LIMIT = 1024
_EVENTS_AT_ONCE = 64
#: what the kernel says to a wish for edges of a chip without interrupts
_NO_EDGES = (errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP)


class LinuxGPIO:
    """One line of a chip of this computer."""

    def __init__(self, chip: LinuxGPIOChip, line: int) -> None:
        self._chip = chip
        self._line = line
        self._fd = -1
        self._is_output = False
        self._seen = 0
        self._edges: deque[Edge] = deque()
        self._dropped = 0
        #: its chip has interrupts, without which the kernel tells of no edges
        self.has_edges = True

    @property
    def dropped(self) -> int:
        """Edges lost since start because nobody read them."""
        self._look()
        return self._dropped

    def set(self, value: int) -> None:
        """Drive the line to 0 or 1."""
        level = 1 if value else 0
        try:
            if self._is_output:
                fcntl.ioctl(self._fd, SET_VALUES, VALUES.pack(level, 1))
            else:
                self._request(OUTPUT, level)
        except OSError as error:
            self._chip.fail(error.errno or 0, f"setting line {self._line}")
        self._chip.told(SENT, self._chip.clock.now_ns(), self._line, level)

    def get(self) -> int:
        """Return the level of the line."""
        self._look()
        try:
            answer = fcntl.ioctl(self._fd, GET_VALUES, VALUES.pack(0, 1))
        except OSError as error:
            self._chip.fail(error.errno or 0, f"reading line {self._line}")
        level: int = VALUES.unpack(answer)[0] & 1
        return level

    def edges(self) -> Sequence[Edge]:
        """Return the edges seen and not yet read, oldest first."""
        self._look()
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def _request(self, flags: int, level: int = 0) -> None:
        """Have the line as an output, or as an input with its edges."""
        self.close()
        value = (1, _VALUES_ATTRIBUTE, level, 1) if flags & OUTPUT else (0, 0, 0, 0)
        request = bytearray(
            REQUEST.pack(self._line, *[0] * 63, _CONSUMER, flags, *value, 1, EDGE_LIMIT, 0)
        )
        fcntl.ioctl(self._chip.fd, GET_LINE, request)
        self._fd = REQUEST.unpack(request)[-1]
        self._is_output = bool(flags & OUTPUT)
        self._seen = 0
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) | os.O_NONBLOCK)

    def _watch(self) -> None:
        """Have the line as an input, with its edges where its chip can tell of them."""
        try:
            self._request(INPUT | RISING | FALLING)
        except OSError as error:
            if error.errno not in _NO_EDGES:
                raise
            self.has_edges = False
            self._request(INPUT)

    def _look(self) -> None:
        """Take what the kernel has seen of the line."""
        if self._is_output:
            return
        try:
            if self._fd < 0:
                self._watch()
            while self.has_edges:
                octets = os.read(self._fd, _EVENTS_AT_ONCE * EVENT.size)
                if not octets:
                    return
                for event in EVENT.iter_unpack(octets):
                    self._take(event)
        except BlockingIOError:
            return
        except OSError as error:
            self._chip.fail(error.errno or 0, f"watching line {self._line}")

    def _take(self, event: tuple[int, int, int, int, int]) -> None:
        stamp_ns, what, _, _, number = event
        t_ns = self._chip.mission_ns(stamp_ns)
        level = 1 if what == _RISEN else 0
        if number:  # the kernel counts the edges of a line; what is left out was overwritten
            self._dropped += max(number - self._seen - 1, 0)
            self._seen = number
        if len(self._edges) >= EDGE_LIMIT:
            self._dropped += 1
        else:
            self._edges.append(Edge(t_ns, level))
        self._chip.told(CAME, t_ns, self._line, level)

    def close(self) -> None:
        """Let go of the line."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._is_output = -1, False


class LinuxGPIOChip(KernelBus):
    """A GPIO chip of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        self.clock = clock
        self._lines: dict[int, LinuxGPIO] = {}
        self.fd = open_device(channel, self.device)
        try:
            answer = fcntl.ioctl(self.fd, GET_CHIP_INFO, bytes(CHIP_INFO.size))
        except OSError as error:
            self.close()
            raise DeviceTableError(
                f"{self.name}: {self.device} is no GPIO chip ({error.strerror}); "
                "name one with --local, such as /dev/gpiochip0"
            ) from None
        self.nlines: int = CHIP_INFO.unpack(answer)[2]

    def line(self, number: int) -> LinuxGPIO:
        """Return a line. Raises ``DeviceTableError`` for one that there is not, or is taken."""
        if number not in self._lines:
            if not 0 <= number < self.nlines:
                raise DeviceTableError(
                    f"{self.name} ({self.device}) has no line {number}; "
                    f"it has 0 to {self.nlines - 1}"
                )
            self._check_free(number)
            self._lines[number] = LinuxGPIO(self, number)
        return self._lines[number]

    def _check_free(self, number: int) -> None:
        info = LINE_INFO.pack(b"", b"", number, 0, 0, b"")
        try:
            answer = LINE_INFO.unpack(fcntl.ioctl(self.fd, GET_LINE_INFO, info))
        except OSError as error:
            raise DeviceTableError(
                f"{self.name}: {self.device} does not tell of line {number} ({error.strerror}); "
                "it takes Linux 5.10 or later"
            ) from None
        if answer[4] & USED:
            holder = answer[1].split(b"\0")[0].decode(errors="replace") or "a driver of the kernel"
            raise DeviceTableError(
                f"{self.name}: line {number} of {self.device} is held by {holder}; "
                "end that, or wire another line"
            )

    def mission_ns(self, stamp_ns: int) -> int:
        """Return the mission time of a stamp of CLOCK_MONOTONIC; never after now."""
        return self.clock.now_ns() - max(time.monotonic_ns() - stamp_ns, 0)

    def told(self, flags: int, t_ns: int, line: int, level: int) -> None:
        """Tell of a level."""
        if self._tell is not None:
            self._tell(flags, 0, max(t_ns, 0), 0, line, bytes((level,)))

    def close(self) -> None:
        """Give lines and chip back."""
        for line in self._lines.values():
            line.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
