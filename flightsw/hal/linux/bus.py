"""What every bus of this computer shares: its place, its clock, and who is told what crossed it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from flightsw.codec.wire import Flag, Status
from flightsw.errors import BusError, BusTimeoutError, DeviceTableError
from flightsw.hal import Clock

#: Told of what crossed a bus: flags, status, start and duration in ns, address, payload, as in the
#: header of a wire record.
Tell = Callable[[int, int, int, int, int, bytes], None]

#: flags of a transaction, of what was sent, and of what came in
DONE, SENT, CAME = (
    int(flags) for flags in (Flag.BOARD | Flag.REPLY, Flag.BOARD, Flag.BOARD | Flag.INPUT)
)

_STATUS = {
    errno.EREMOTEIO: Status.NAK_ADDRESS,
    errno.ENXIO: Status.NAK_ADDRESS,
    errno.EIO: Status.NAK_DATA,
    errno.EAGAIN: Status.ARBITRATION_LOST,
    errno.ETIMEDOUT: Status.TIMEOUT,
    errno.EOPNOTSUPP: Status.UNSUPPORTED,
    errno.EINVAL: Status.INVALID,
    errno.EMSGSIZE: Status.OVERRUN,
    errno.EBADMSG: Status.DAMAGED,
    errno.ENODEV: Status.ABSENT,
    errno.EBUSY: Status.BUSY,
    errno.EPROTO: Status.PROTOCOL,
}
_REMEDY = {
    errno.ENOENT: "switch the bus on, or name another device with --local",
    errno.ENODEV: "plug it in, or name another device with --local",
    errno.EACCES: "join the group that it belongs to",
    errno.EBUSY: "see who holds it",
}


class LocalChannel(NamedTuple):
    """A bus of the device table that is the computer's own: ``params`` as the board file says."""

    name: str
    kind: str
    device: str
    params: Mapping[str, Any]


class KernelBus:
    """A bus of this computer. ``tell`` hears of what crosses it; None: nobody does."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        self.name = channel.name
        self.device = channel.device
        self.params = channel.params
        self._clock = clock
        self._tell = tell

    def close(self) -> None:
        """Give the device back."""

    def fail(self, code: int, what: str) -> NoReturn:
        """Raise the error of something that the kernel refused or could not do."""
        kind = BusTimeoutError if code == errno.ETIMEDOUT else BusError
        raise kind(code, f"{self.name} ({self.device}): {what} failed ({os.strerror(code)})")


def status_of(code: int) -> int:
    """Return the status of a wire record for an errno; 0 is success."""
    return int(_STATUS.get(code, Status.NAK_DATA)) if code else 0


def open_device(channel: LocalChannel, path: str, flags: int = os.O_RDWR) -> int:
    """Open a device file. Raises ``DeviceTableError`` with what to do about it."""
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise no_device(channel, path, error) from None


def no_device(channel: LocalChannel, path: str, error: OSError) -> DeviceTableError:
    """Return the error of a device that cannot be had."""
    remedy = _REMEDY.get(error.errno or 0, "see what the kernel says (dmesg)")
    return DeviceTableError(
        f"{channel.name}: device {path} cannot be opened ({error.strerror}); {remedy}"
    )
