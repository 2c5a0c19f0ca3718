"""SPI by spidev: one transaction is one ``SPI_IOC_MESSAGE`` (linux/spi/spidev.h).

Mode and clock are those of the board file and stay with the device file.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
import time
from pathlib import Path

from flightsw.codec import bus_payload
from flightsw.errors import DeviceTableError
from flightsw.hal import Clock
from flightsw.hal.linux.bus import DONE, KernelBus, LocalChannel, Tell, open_device, status_of

WR_MODE, WR_BITS_PER_WORD, WR_MAX_SPEED_HZ = 0x4001_6B01, 0x4001_6B03, 0x4004_6B04
#: one ``struct spi_ioc_transfer``: u64 tx, u64 rx, u32 length, u32 speed, u16 delay, u8 bits, five
#: more octets
TRANSFER = struct.Struct("=QQIIHB5x")
MESSAGE = 0x4000_6B00 | TRANSFER.size << 16
#: what spidev takes in one message unless its module parameter says otherwise
BUFSIZ_NBYTES = 4096
_BUFSIZ = Path("/sys/module/spidev/parameters/bufsiz")
_NUMBERED = re.compile(r"spidev\d+\.\d+$")


class LinuxSPI(KernelBus):
    """One chip select of an SPI controller of this computer."""

    def __init__(
        self, channel: LocalChannel, chip_select: int, clock: Clock, tell: Tell | None = None
    ) -> None:
        path = channel.device
        if not _NUMBERED.search(path):
            path = f"{path}.{chip_select}"
        super().__init__(channel._replace(device=path), clock, tell)
        self._chip_select = chip_select
        self.limit_nbytes = _limit()
        self._out = ctypes.create_string_buffer(self.limit_nbytes)
        self._in = ctypes.create_string_buffer(self.limit_nbytes)
        self._places = ctypes.addressof(self._out), ctypes.addressof(self._in)
        self._fd = open_device(channel, path)
        wanted = channel.params.get("chip_selects", {}).get(str(chip_select), {})
        try:
            self._set_up(int(wanted.get("mode", 0)), int(wanted.get("speed_hz", 0)))
        except OSError as error:
            self.close()
            raise DeviceTableError(
                f"{self.name}: {path} does not take mode {wanted.get('mode', 0)} at "
                f"{wanted.get('speed_hz', 0)} Hz ({error.strerror}); name a spidev device that "
                "does with --local, or change the board file"
            ) from None

    def _set_up(self, mode: int, speed_hz: int) -> None:
        fcntl.ioctl(self._fd, WR_MODE, struct.pack("B", mode))
        fcntl.ioctl(self._fd, WR_BITS_PER_WORD, struct.pack("B", 8))
        if speed_hz:
            fcntl.ioctl(self._fd, WR_MAX_SPEED_HZ, struct.pack("=I", speed_hz))

    def transfer(self, tx: bytes) -> bytes:
        """Exchange ``len(tx)`` octets under one chip select; return what came back."""
        begun_ns, t_ns = time.monotonic_ns(), self._clock.now_ns()
        code = self._run(tx)
        rx = b"" if code else ctypes.string_at(self._in, len(tx))
        if self._tell is not None:
            took_ns = time.monotonic_ns() - begun_ns
            segment = (tx[: self.limit_nbytes], *bus_payload.SPI_DEFAULTS)
            payload = bus_payload.pack_spi([segment], [rx])
            self._tell(DONE, status_of(code), t_ns, took_ns, self._chip_select, payload)
        if code == errno.EMSGSIZE:
            self.fail(code, f"{len(tx)} octets at once, {self.limit_nbytes} are its bufsiz:")
        if code:
            self.fail(code, f"transfer with chip select {self._chip_select}")
        return rx

    def _run(self, tx: bytes) -> int:
        """Run one transaction; return its errno."""
        if len(tx) > self.limit_nbytes:
            return errno.EMSGSIZE
        ctypes.memmove(self._out, tx, len(tx))
        message = TRANSFER.pack(*self._places, len(tx), *(0, 0, 0))
        try:
            fcntl.ioctl(self._fd, MESSAGE, message)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def close(self) -> None:
        """Give the device back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _limit() -> int:
    try:
        return int(_BUFSIZ.read_text())
    except (OSError, ValueError):
        return BUFSIZ_NBYTES
