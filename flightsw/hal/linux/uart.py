"""Serial lines by termios: raw, with the baud rate and frame of the board file.

Any baud rate that the driver can do: those without a constant by ``TCSETS2`` (asm/termbits.h). What
the kernel has no room for waits here, up to a bound. A line that went away, as a USB adapter does,
is opened again; until then nothing comes, and what is sent is lost and counted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import time

from flightsw.errors import DeviceTableError
from flightsw.hal import Clock
from flightsw.hal.linux.bus import CAME, SENT, KernelBus, LocalChannel, Tell, open_device

TCGETS2, TCSETS2, TIOCGICOUNT = 0x802C_542A, 0x402C_542B, 0x545D
#: flags of input, output, control and local modes, line discipline, characters, two speeds
_TERMIOS2 = struct.Struct("=IIIIB19sII")
_CBAUD, _BOTHER, _CMSPAR = 0o010017, 0o010000, 0o10000000000
#: cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun and nine more
_ICOUNT = struct.Struct("=20i")
_FRAME, _OVERRUN, _PARITY, _BUFFER = 6, 7, 8, 10
_SIZES = {5: termios.CS5, 6: termios.CS6, 7: termios.CS7, 8: termios.CS8}
_PARITIES = {
    "N": 0,
    "E": termios.PARENB,
    "O": termios.PARENB | termios.PARODD,
    "S": termios.PARENB | _CMSPAR,
    "M": termios.PARENB | termios.PARODD | _CMSPAR,
}
#: What is taken of a line in one call, and what waits for room in the kernel.
READ_LIMIT_NBYTES = BACKLOG_LIMIT_NBYTES = 1 << 16
#: A line that is away is looked for so often.
RETRY_NS = 1_000_000_000
_BAUD_LIMIT = 100_000_000
#: A baud rate that is off by more than this is none that the other end hears (RS-232: 10 bits).
_BAUD_TOLERANCE = 0.03


class LinuxUART(KernelBus):
    """A serial line of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        self._channel = channel
        self._backlog = bytearray()
        self._retry_ns = 0
        #: how often the line went away
        self.losses = 0
        #: octets to be sent that were given up
        self.unsent = 0
        self._counted = [0] * 20
        self._before = [0] * 20
        self._fd = -1
        self._open()

    def _open(self) -> None:
        fd = open_device(self._channel, self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            set_line(
                fd,
                int(self.params.get("baud", 115_200)),
                int(self.params.get("data_bits", 8)),
                str(self.params.get("parity", "N")),
                float(self.params.get("stop_bits", 1)),
            )
            termios.tcflush(fd, termios.TCIFLUSH)
        except (OSError, termios.error) as error:
            os.close(fd)
            code = error.args[0]
            raise DeviceTableError(
                f"{self.name}: {self.device} cannot be set to {self.params.get('baud', 115_200)} "
                f"baud ({os.strerror(code)}); name another tty with --local"
            ) from None
        self._fd, self._before = fd, _counts(fd) or [0] * 20

    @property
    def overruns(self) -> int:
        """Octets lost since start because a buffer on the way here was full."""
        counts = self._counts()
        return counts[_OVERRUN] + counts[_BUFFER]

    @property
    def framing_errors(self) -> int:
        """Octets that came with a framing error."""
        return self._counts()[_FRAME]

    @property
    def parity_errors(self) -> int:
        """Octets that came with a parity error."""
        return self._counts()[_PARITY]

    def _counts(self) -> list[int]:
        """Return the kernel's counts since start, all 0 where it keeps none."""
        found = _counts(self._fd) if self._fd >= 0 else None
        if found is None:  # it keeps none, or it is gone with what it had counted
            return self._counted
        pairs = zip(self._counted, found, self._before, strict=True)
        return [kept + now - before for kept, now, before in pairs]

    def write(self, data: bytes) -> None:
        """Queue ``data`` for sending."""
        if not data:
            return
        if self._tell is not None:
            self._tell(SENT, 0, self._clock.now_ns(), 0, 0, bytes(data))
        room = BACKLOG_LIMIT_NBYTES - len(self._backlog)
        self.unsent += max(len(data) - room, 0)
        self._backlog += data[:room]
        self._flush()

    def read(self) -> bytes:
        """Return everything received and not yet read."""
        self._flush()
        found = bytearray()
        while self._fd >= 0 and len(found) < READ_LIMIT_NBYTES:
            try:
                octets = os.read(self._fd, READ_LIMIT_NBYTES - len(found))
            except BlockingIOError:
                break
            except OSError:
                octets = b""
            if not octets:
                self._lose()
            found += octets
        if found and self._tell is not None:
            self._tell(CAME, 0, self._clock.now_ns(), 0, 0, bytes(found))
        return bytes(found)

    def _flush(self) -> None:
        """Give the kernel what it has room for."""
        if self._fd < 0 and time.monotonic_ns() >= self._retry_ns:
            try:
                self._open()
            except DeviceTableError:
                self._retry_ns = time.monotonic_ns() + RETRY_NS
        while self._backlog and self._fd >= 0:
            try:
                taken = os.write(self._fd, self._backlog)
            except BlockingIOError:
                break
            except OSError:
                self._lose()
            else:
                del self._backlog[:taken]
        if self._fd < 0:
            self.unsent += len(self._backlog)
            self._backlog.clear()

    def _lose(self) -> None:
        """Let go of a line that is gone."""
        self.losses += 1
        self._counted = self._counts()
        self.close()
        self._retry_ns = time.monotonic_ns() + RETRY_NS

    def close(self) -> None:
        """Give the device back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def set_line(fd: int, baud: int, bits: int = 8, parity: str = "N", stop_bits: float = 1) -> None:
    """Make a tty a plain line. Raises ``OSError`` or ``termios.error`` where it cannot be."""
    if bits not in _SIZES or parity not in _PARITIES or not 0 < baud <= _BAUD_LIMIT:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    control = _SIZES[bits] | _PARITIES[parity] | termios.CREAD | termios.CLOCAL
    control |= termios.CSTOPB if stop_bits > 1 else 0
    checks = termios.INPCK if parity != "N" else 0
    characters = termios.tcgetattr(fd)[6]
    # One octet at least: a read of none is then the end of the line, and not its silence.
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    speed = getattr(termios, f"B{baud}", None)
    plain = speed if speed is not None else termios.B38400
    wanted = [checks, 0, control, 0, plain, plain, characters]
    termios.tcsetattr(fd, termios.TCSANOW, wanted)
    if speed is None:
        _set_any_baud(fd, baud)


def _set_any_baud(fd: int, baud: int) -> None:
    fields = list(_TERMIOS2.unpack(fcntl.ioctl(fd, TCGETS2, bytes(_TERMIOS2.size))))
    # The speed of receiving follows that of sending where its own bits say nothing.
    fields[2] = fields[2] & ~(_CBAUD | _CBAUD << 16) | _BOTHER
    fields[6] = fields[7] = baud
    fcntl.ioctl(fd, TCSETS2, _TERMIOS2.pack(*fields))
    now = _TERMIOS2.unpack(fcntl.ioctl(fd, TCGETS2, bytes(_TERMIOS2.size)))[7]
    if abs(now - baud) > _BAUD_TOLERANCE * baud:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _counts(fd: int) -> list[int] | None:
    try:
        return list(_ICOUNT.unpack(fcntl.ioctl(fd, TIOCGICOUNT, bytes(_ICOUNT.size))))
    except OSError:  # pseudo-terminals and some drivers keep none
        return None
