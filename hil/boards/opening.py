"""Opening a serial port for ourselves alone, and saying in one line why that cannot be.

The port is locked twice: ``flock`` keeps out those who ask first, ``TIOCEXCL`` those who do not.
Who else has it open is read from ``/proc``, as far as the kernel shows it to us. A pseudo-terminal
refuses much that a UART can do (ENOTTY, EINVAL); that is noted, not an error.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from hil.boards.boardtype import LinkSpec
from hil.boards.host import Host, Process
from hil.boards.identity import PortInfo
from hil.errors import BoardError
from hil.faces.terminal import set_speed

#: ``struct serial_struct`` (uapi/linux/serial.h): its flags stand behind four ints
_SERIAL_NBYTES, _FLAGS_AT = 72, 16
_TIOCGSERIAL, _TIOCSSERIAL = 0x541E, 0x541F
_LOW_LATENCY = 1 << 13
#: Answers of a port that is going, or has gone, away.
GONE: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO})
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})
PIECE_NBYTES: Final = 4096
#: A port that has no room for so long has nobody behind it.
ROOM_LIMIT_S: Final = 0.1
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


class PortError(BoardError):
    """A port cannot be opened; ``kind`` is ``gone``, ``busy``, ``denied`` or ``unfit``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Port(Protocol):
    """An open port. Only ``set_rate`` may wait; each raises OSError once the port is gone."""

    fd: int
    #: what came of settings that a port may refuse
    notes: tuple[str, ...]
    #: what the port had no room for
    unsent: bytes

    def read(self) -> bytes:
        """Return what there is."""

    def write(self, octets: bytes) -> int:
        """Write as much as there is room for, keep the rest; return how many octets have gone."""

    def set_rate(self, baud: int) -> None:
        """Change the rate behind everything that was written."""

    def close(self) -> None:
        """Close it."""


Opener = Callable[[PortInfo, LinkSpec, int, Callable[[], Host]], Port]


class SerialPort:
    """A :class:`Port` of this computer."""

    def __init__(self, fd: int, notes: tuple[str, ...] = ()) -> None:
        self.fd, self.notes, self.unsent = fd, notes, b""

    def read(self) -> bytes:
        try:
            octets = os.read(self.fd, PIECE_NBYTES)
        except BlockingIOError:
            return b""
        if not octets:
            raise OSError(0, "end of file")
        return octets

    def write(self, octets: bytes) -> int:
        self.unsent += octets
        if not self.unsent:
            return 0
        try:
            count = os.write(self.fd, self.unsent)
        except BlockingIOError:
            return 0
        self.unsent = self.unsent[count:]
        return count

    def set_rate(self, baud: int) -> None:
        """Wait until what was written has left, then change the rate."""
        while self.unsent and select.select([], [self.fd], [], ROOM_LIMIT_S)[1]:
            self.write(b"")
        with contextlib.suppress(termios.error):  # EIO: the next read finds out
            termios.tcdrain(self.fd)
        set_speed(self.fd, baud)

    def close(self) -> None:
        os.close(self.fd)


def open_port(
    port: PortInfo, link: LinkSpec, baud: int, host: Callable[[], Host] = Host
) -> SerialPort:
    """Open a port raw at a rate, without waiting.

    Opening raises DTR, which resets boards of the type ``reset = "dtr"``. Raises PortError.
    """
    try:
        fd = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refusal(port, error, host()) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _make_raw(fd, link, baud)
        return SerialPort(fd, tuple(_notes(fd)))
    except (OSError, termios.error) as error:
        os.close(fd)
        number = error.args[0] if error.args else 0
        raise refusal(port, OSError(number, os.strerror(number)), host()) from None


def _make_raw(fd: int, link: LinkSpec, baud: int) -> None:
    """Set a terminal to eight bits, no parity, no flow control, nobody's modem, at a rate."""
    settings = termios.tcgetattr(fd)
    _raw(settings)
    settings[2] |= termios.CLOCAL | termios.CREAD
    settings[2] &= ~(termios.CRTSCTS | termios.CSTOPB)
    if link.reset == "none":
        settings[2] &= ~termios.HUPCL  # closing then leaves DTR, and the board, alone
    if hasattr(termios, f"B{baud}"):
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    else:
        termios.tcsetattr(fd, termios.TCSANOW, settings)
        set_speed(fd, baud)
    termios.tcflush(fd, termios.TCIOFLUSH)
    fcntl.ioctl(fd, termios.TIOCEXCL)


def _raw(settings: list[Any]) -> None:
    """Change settings as cfmakeraw(3) does."""
    settings[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
        | termios.IXOFF
        | termios.INPCK
    )
    settings[1] &= ~termios.OPOST
    settings[2] &= ~(termios.CSIZE | termios.PARENB)
    settings[2] |= termios.CS8
    settings[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)


def _notes(fd: int) -> list[str]:
    """Ask for low latency, and return what came of it: a USB bridge keeps octets back for 16 ms."""
    told = bytearray(_SERIAL_NBYTES)
    try:
        fcntl.ioctl(fd, _TIOCGSERIAL, told)
        (flags,) = struct.unpack_from("=i", told, _FLAGS_AT)
        struct.pack_into("=i", told, _FLAGS_AT, flags | _LOW_LATENCY)
        fcntl.ioctl(fd, _TIOCSSERIAL, told)
    except OSError as error:
        return [f"low latency: not here ({os.strerror(error.errno or 0)})"]
    return ["low latency: on"]


def refusal(port: PortInfo, error: OSError, host: Host) -> PortError:
    """Return why a port cannot be opened, and what to do, in one line."""
    number = error.errno or 0
    if number in GONE:
        return PortError("gone", f"{port.path} is gone")
    if number in _BUSY:
        who = holders(port.path, host)
        by = f"by {who}" if who else "by a program that cannot be seen from here"
        return PortError("busy", f"{port.path} is busy: it is held {by}; end that, or wait")
    if number in _DENIED:
        return PortError("denied", _denied(port, host))
    return PortError("unfit", f"{port.path} cannot be used as a serial port: {os.strerror(number)}")


def _denied(port: PortInfo, host: Host) -> str:
    """Return whom a port belongs to, and the two ways to be let in."""
    try:
        group, _ = host.group(Path(port.path).stat().st_gid)
    except OSError:
        group = "dialout"
    text = f"{port.path}: permission denied for {host.user}; "
    text += f"sudo usermod -aG {group} {host.user}, then log in again"
    if port.vid is not None and port.pid is not None:
        ids = f'ATTRS{{idVendor}}=="{port.vid:04x}", ATTRS{{idProduct}}=="{port.pid:04x}"'
        text += f'; or the udev rule SUBSYSTEM=="tty", {ids}, TAG+="uaccess"'
    return text


def holders(path: str, host: Host, besides_us: bool = False) -> str:
    """Return which programs have a port open, as ``name (pid)``; '' if none is seen.

    ``besides_us``: other programs only. Who is at the other end of a pseudo-terminal, and keeps
    that open too, as some emulators do, does not count.
    """
    target = os.path.realpath(path)
    ours = "" if besides_us else "another board of this program"
    return ", ".join(
        ours if process.pid == os.getpid() else f"{process.name} ({process.pid})"
        for process in host.processes
        if process.has_open(target)
        and (ours or process.pid != os.getpid())
        and not (target.startswith("/dev/pts/") and _has_masters(process))
    )


def _has_masters(process: Process) -> bool:
    """Tell whether a process makes pseudo-terminals; this one is never taken for its own board."""
    masters = ("/dev/ptmx", "/dev/pts/ptmx")
    return process.pid != os.getpid() and any(process.has_open(name) for name in masters)
