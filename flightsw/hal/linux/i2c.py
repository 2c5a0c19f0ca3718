"""I2C by i2c-dev: messages by ``I2C_RDWR``, so that a repeated start is one (linux/i2c-dev.h).

Errors are those of the adapter's driver, as they are. A part that a driver of the kernel holds is
not refused: ``I2C_RDWR`` does not ask, and the two then share it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time

from flightsw.codec import bus_payload
from flightsw.errors import DeviceTableError
from flightsw.hal import Clock
from flightsw.hal.linux.bus import DONE, KernelBus, LocalChannel, Tell, open_device, status_of

I2C_FUNCS, I2C_RDWR = 0x0705, 0x0707
FUNC_I2C, FUNC_TEN_BIT = 0x1, 0x2
_READ, _TEN_BIT = 0x0001, 0x0010
#: Longest message that i2c-dev takes.
MESSAGE_LIMIT_NBYTES = 8192
#: Transactions are of few shapes, which come again and again.
_SHAPES_LIMIT = 1024
_LAST_ADDRESS, _LAST_SEVEN_BIT = 0x3FF, 0x7F
#: A device that went away, as a USB adapter does, is looked for again.
_AWAY = (errno.ENODEV, errno.ESHUTDOWN)


class _Message(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("octets", ctypes.c_void_p),
    )


class _Transfer(ctypes.Structure):
    _fields_ = (("messages", ctypes.POINTER(_Message)), ("count", ctypes.c_uint32))


class LinuxI2C(KernelBus):
    """An I2C controller of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        self._fd = -1
        self._channel = channel
        self._out = ctypes.create_string_buffer(MESSAGE_LIMIT_NBYTES)
        self._in = ctypes.create_string_buffer(MESSAGE_LIMIT_NBYTES)
        self._requests: dict[tuple[int, int, int], _Transfer] = {}
        self._open()

    def _open(self) -> None:
        fd = open_device(self._channel, self.device)
        try:
            functions = ctypes.c_ulong()
            fcntl.ioctl(fd, I2C_FUNCS, functions)
        except OSError as error:
            os.close(fd)
            raise DeviceTableError(
                f"{self.name}: {self.device} is no I2C adapter ({error.strerror}); "
                "name one with --local, such as /dev/i2c-1"
            ) from None
        if not functions.value & FUNC_I2C:
            os.close(fd)
            raise DeviceTableError(
                f"{self.name}: the adapter of {self.device} knows SMBus commands only "
                f"(functions 0x{functions.value:08x}), and drivers here speak plain I2C; "
                "name another one with --local"
            )
        self._fd, self.functions = fd, functions.value

    def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
        """Write, then after a repeated start read; return the octets read."""
        begun_ns, t_ns = time.monotonic_ns(), self._clock.now_ns()
        code = self._run(address, write, nread)
        data = b"" if code else ctypes.string_at(self._in, nread)
        if self._tell is not None:
            took_ns = time.monotonic_ns() - begun_ns
            self._tell(
                *(DONE, status_of(code), t_ns, took_ns, address),
                _reply(address, write, nread, data),
            )
        if code:
            self.fail(code, f"transfer with 0x{address:02x}")
        return data

    def _run(self, address: int, write: bytes, nread: int) -> int:
        """Run one transaction; return its errno."""
        try:
            if self._fd < 0:
                self._open()
            request = self._requests.get((address, len(write), nread))
            if request is None:
                request = self._request(address, len(write), nread)
            ctypes.memmove(self._out, write, len(write))
            fcntl.ioctl(self._fd, I2C_RDWR, request)
        except DeviceTableError:
            return errno.ENODEV
        except OSError as error:
            if error.errno in _AWAY:
                self.close()
            return error.errno or errno.EIO
        return 0

    def _request(self, address: int, nwrite: int, nread: int) -> _Transfer:
        """Return, and remember, what the kernel is asked for a transaction of this shape."""
        if max(nwrite, nread) > MESSAGE_LIMIT_NBYTES or not 0 <= address <= _LAST_ADDRESS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        ten_bit = _TEN_BIT if address > _LAST_SEVEN_BIT else 0
        # Not every driver looks: hid-mcp2221 sends what is left of such an address in 7 bits.
        if ten_bit and not self.functions & FUNC_TEN_BIT:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        messages = (_Message * 2)()
        count = 0
        if nwrite or not nread:
            messages[0] = _Message(address, ten_bit, nwrite, ctypes.addressof(self._out))
            count = 1
        if nread:
            place = ctypes.addressof(self._in)
            messages[count] = _Message(address, ten_bit | _READ, nread, place)
            count += 1
        if len(self._requests) >= _SHAPES_LIMIT:
            self._requests.clear()
        self._requests[address, nwrite, nread] = request = _Transfer(messages, count)
        return request

    def close(self) -> None:
        """Give the device back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _reply(address: int, write: bytes, nread: int, data: bytes) -> bytes:
    """Return the payload of the record of a transaction; of a failed one nothing was read."""
    # What no record can hold was never on the bus either.
    address, write = address & _LAST_ADDRESS, write[:MESSAGE_LIMIT_NBYTES]
    if data or not nread:
        return bus_payload.pack_i2c(address, write, len(data)) + data
    return bus_payload.i2c_failure(address, write, min(nread, MESSAGE_LIMIT_NBYTES))
