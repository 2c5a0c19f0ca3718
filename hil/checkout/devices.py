"""Real parts on Linux: ``/dev/i2c-N`` by I2C_RDWR, ``/dev/spidevB.C`` by SPI_IOC_MESSAGE, a tty.

An adapter that knows SMBus only, as those of most PCs, is asked for I2C block transfers: registers
of up to 32 octets behind one octet of address.

The structures are those of ``linux/i2c.h``, ``linux/i2c-dev.h`` and ``linux/spi/spidev.h``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.boardparts import KINDS
from hil.checkout.links import Heard
from hil.errors import DeviceError, HostError, UsageError
from hil.parts.base import Part

I2C_SLAVE, I2C_FUNCS, I2C_RDWR, I2C_SMBUS = 0x0703, 0x0705, 0x0707, 0x0720
I2C_M_RD, FUNC_I2C = 1, 1
#: sizes of SMBus transfers (linux/i2c.h), and the most octets of a block
SMBUS_BYTE, SMBUS_I2C_BLOCK, BLOCK_MAX = 1, 8, 32
SPI_IOC_MESSAGE, SPI_IOC_WR_MODE, SPI_IOC_WR_SPEED = 0x40206B00, 0x40016B01, 0x40046B04


class _I2CMessage(ctypes.Structure):
    _fields_ = (
        ("addr", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("len", ctypes.c_uint16),
        ("buf", ctypes.c_char_p),
    )


class _I2CMessages(ctypes.Structure):
    _fields_ = (("msgs", ctypes.POINTER(_I2CMessage)), ("nmsgs", ctypes.c_uint32))


class _SMBusCall(ctypes.Structure):
    _fields_ = (
        ("read_write", ctypes.c_uint8),
        ("command", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("data", ctypes.c_char_p),
    )


class _SPITransfer(ctypes.Structure):
    _fields_ = (
        ("tx_buf", ctypes.c_uint64),
        ("rx_buf", ctypes.c_uint64),
        ("len", ctypes.c_uint32),
        ("speed_hz", ctypes.c_uint32),
        ("delay_usecs", ctypes.c_uint16),
        ("bits_per_word", ctypes.c_uint8),
        ("cs_change", ctypes.c_uint8),
        ("lanes", ctypes.c_uint32),
    )


class Device:
    """An open device file, in real time."""

    part: Part | None = None

    def __init__(self, path: str, kind: str, where: str) -> None:
        self.path, self.kind, self.where = path, kind, where
        self._begin_s = time.monotonic()
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            known = sorted(map(str, Path(path).parent.glob(f"{Path(path).name[:3]}*")))
            there = f"; there are {', '.join(known[:8])}" if known else ""
            raise HostError(f"{path}: no such device file{there}; is its driver loaded?") from None
        except PermissionError:
            raise HostError(
                f"{path}: permission denied; `ls -l {path}` names the group to join"
            ) from None
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}") from None

    def now_s(self) -> float:
        """Return the time since it was opened."""
        return time.monotonic() - self._begin_s

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def say(self, ident: int, octets: bytes) -> None:
        """Refuse: a target is asked, not told."""
        raise UsageError(f"{self.path}: a target is written to, as in `write` or `send HEX COUNT`")

    def heard(self) -> list[Heard]:
        """Return nothing: a target does not speak by itself."""
        return []

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


@contextmanager
def host_errors(device: Device) -> Iterator[None]:
    """Close the file and raise ``HostError`` when its driver does not take a setting."""
    try:
        yield
    except OSError as error:
        device.close()
        raise HostError(
            f"{device.path}: {error.strerror}; it is no device of this kind, or cannot be set so"
        ) from None


class I2CDevice(Device):
    """A target on an I2C adapter of the kernel."""

    def __init__(self, path: str, address: int) -> None:
        super().__init__(path, "i2c", f"address {address:#04x} of {path}")
        self.address = address
        functions = bytearray(8)
        with host_errors(self):
            fcntl.ioctl(self.fd, I2C_FUNCS, functions)
        self._smbus_only = not functions[0] & FUNC_I2C

    def transfer(self, write: bytes, nread: int) -> bytes:
        """Run one I2C_RDWR call, or what SMBus has in its place."""
        return self._smbus(write, nread) if self._smbus_only else self._rdwr(write, nread)

    def _smbus(self, write: bytes, nread: int) -> bytes:
        sends, block = len(write) - 1, bytearray(BLOCK_MAX + 2)
        reads = nread > 0
        if not write or (sends and reads) or max(sends, nread) > BLOCK_MAX:
            raise UsageError(
                f"{self.path} knows SMBus only: it reads or writes up to {BLOCK_MAX} octets behind "
                "one octet of address"
            )
        block[0] = nread if reads else sends
        block[1 : 1 + sends] = write[1:]
        data = ctypes.create_string_buffer(bytes(block), len(block))
        size = SMBUS_I2C_BLOCK if reads or sends else SMBUS_BYTE
        pointer = ctypes.cast(data, ctypes.c_char_p)
        fcntl.ioctl(self.fd, I2C_SLAVE, self.address)
        fcntl.ioctl(self.fd, I2C_SMBUS, _SMBusCall(reads, write[0], size, pointer))
        return data.raw[1 : 1 + nread]

    def _rdwr(self, write: bytes, nread: int) -> bytes:
        out = ctypes.create_string_buffer(write, len(write))
        into = ctypes.create_string_buffer(max(nread, 1))
        messages = []
        if write or not nread:
            messages.append(_message(self.address, 0, out, len(write)))
        if nread:
            messages.append(_message(self.address, I2C_M_RD, into, nread))
        array = (_I2CMessage * len(messages))(*messages)
        fcntl.ioctl(self.fd, I2C_RDWR, _I2CMessages(array, len(messages)))
        return into.raw[:nread]


def _message(address: int, flags: int, buffer: ctypes.Array[ctypes.c_char], n: int) -> _I2CMessage:
    return _I2CMessage(address, flags, n, ctypes.cast(buffer, ctypes.c_char_p))


class SPIDevice(Device):
    """A peripheral on a spidev of the kernel."""

    def __init__(self, path: str, mode: int, speed_hz: int) -> None:
        super().__init__(path, "spi", f"{path}, mode {mode}, {speed_hz:,} Hz")
        self.speed_hz = speed_hz
        with host_errors(self):
            fcntl.ioctl(self.fd, SPI_IOC_WR_MODE, bytes((mode,)))
            fcntl.ioctl(self.fd, SPI_IOC_WR_SPEED, speed_hz.to_bytes(4, "little"))

    def transfer(self, write: bytes, nread: int) -> bytes:
        """Exchange what is written, then zeros, under one chip select."""
        size = len(write) + nread
        tx = ctypes.create_string_buffer(write + bytes(nread), size)
        rx = ctypes.create_string_buffer(size)
        places = ctypes.addressof(tx), ctypes.addressof(rx)
        message = _SPITransfer(*places, size, self.speed_hz, 0, 8, 0, 0)
        fcntl.ioctl(self.fd, SPI_IOC_MESSAGE, message)
        return rx.raw[len(write) :]


class TTY(Device):
    """A device on a serial line: it can be heard and told."""

    def __init__(self, path: str, baud: int) -> None:
        import serial

        try:
            self._port = serial.Serial(path, baud, timeout=0)
        except (OSError, ValueError) as error:
            raise HostError(f"{path}: {error}") from None
        self.path, self.kind, self.where = path, "uart", f"{path}, {baud} baud"
        self.fd = self._port.fileno()
        self._begin_s = time.monotonic()

    def transfer(self, write: bytes, nread: int) -> bytes:
        """Refuse: there are no transactions on a serial line."""
        raise UsageError(f"{self.path}: a serial line can be watched and sent to")

    def say(self, ident: int, octets: bytes) -> None:
        """Send octets."""
        self._port.write(octets)

    def heard(self) -> list[Heard]:
        """Return what has come in."""
        ready, _, _ = select.select([self.fd], [], [], 0)
        octets = self._port.read(4096) if ready else b""
        if ready and not octets:
            raise DeviceError(f"{self.path}: the line is gone; is it still plugged in?")
        return [Heard(self.now_s(), 0, octets)] if octets else []

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def open_device(
    path: str, part: type[Part], address: int | None, mode: int | None, speed_hz: int, baud: int
) -> I2CDevice | SPIDevice | TTY:
    """Open a device file by its name. Raises ``UsageError`` for a name of another sort."""
    name = Path(path).name
    kinds = {"i2c-": "i2c", "spidev": "spi", "tty": "uart"}
    for prefix, kind in kinds.items():
        if name.startswith(prefix) and not hasattr(part, KINDS[kind].face):
            raise UsageError(f"--on {path}: a {part.__name__} does not sit on a bus of kind {kind}")
    if name.startswith("i2c-"):
        if address is None:
            known = ", ".join(f"{one:#04x}" for one in part.ADDRESSES)
            if len(part.ADDRESSES) != 1:
                raise UsageError(f"{path}: give --address, one of {known or '0x08 to 0x77'}")
            address = part.ADDRESSES[0]
        return I2CDevice(path, address)
    if name.startswith("spidev"):
        modes = getattr(part, "spi_modes", frozenset({0}))
        return SPIDevice(path, min(modes) if mode is None else mode, speed_hz)
    if name.startswith("tty"):
        return TTY(path, baud)
    raise UsageError(f"--on {path}: give /dev/i2c-N, /dev/spidevB.C or a tty")
