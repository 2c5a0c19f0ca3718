"""Cameras by V4L2: one frame at a time into memory shared with the driver (linux/videodev2.h).

For cameras whose driver delivers pixels: RGB, grey, or YUYV, which becomes RGB here (ITU-R BT.601,
limited range). A sensor that delivers raw Bayer data, as those on the CSI port of a Raspberry Pi
do without libcamera, is refused by name.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import struct
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from flightsw.codec import bus_payload
from flightsw.errors import DeviceTableError
from flightsw.hal import Clock, Image
from flightsw.hal.linux.bus import DONE, KernelBus, LocalChannel, Tell, open_device, status_of

CAPABILITY = struct.Struct("=16s32s32sIII12x")
#: type; width, height, format, field, octets a line, octets in all
FORMAT = struct.Struct("=I4xIIIIII176x")
REQUEST = struct.Struct("=III8x")
#: index, type, octets used, flags, field, seconds, microseconds, sequence, memory, offset, length
BUFFER = struct.Struct("=IIIII4xqq16xIIQI12x")
CONTROL = struct.Struct("=Ii")
QUERYCAP, S_FMT, REQBUFS, QUERYBUF = 0x8068_5600, 0xC0D0_5605, 0xC014_5608, 0xC058_5609
QBUF, DQBUF, STREAMON, STREAMOFF, S_CTRL = (
    *(0xC058_560F, 0xC058_5611, 0x4004_5612, 0x4004_5613),
    0xC008_561C,
)
_CAPTURE, _MMAP, _ANY_FIELD = 1, 1, 0
_CAN_CAPTURE, _CAN_STREAM, _HAS_OWN = 0x1, 0x0400_0000, 0x8000_0000
_MONOTONIC, _ERROR = 0x2000, 0x40
_STAMPS, _START_OF_EXPOSURE = 0x7_0000, 0x1_0000
_EXPOSURE_AUTO, _EXPOSURE_ABSOLUTE, _MANUAL = 0x009A_0901, 0x009A_0902, 1
#: format -> octets a pixel, in the order in which they are asked for
_FORMATS = {b"RGB3": 3, b"GREY": 1, b"YUYV": 2}
_BUFFERS = 2
#: A frame that is not there so long after the exposure does not come.
TIMEOUT_S = 5.0


class LinuxImager(KernelBus):
    """A camera of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        self._fd = open_device(channel, self.device, os.O_RDWR | os.O_NONBLOCK)
        self._maps: list[mmap.mmap] = []
        try:
            self._set_up()
        except OSError as error:
            self.close()
            raise DeviceTableError(
                f"{self.name}: {self.device} is no camera that delivers RGB, grey or YUYV "
                f"({error.strerror}); name another with --local"
            ) from None

    def _set_up(self) -> None:
        found = CAPABILITY.unpack(fcntl.ioctl(self._fd, QUERYCAP, bytes(CAPABILITY.size)))
        able = found[5] if found[4] & _HAS_OWN else found[4]
        if not (able & _CAN_CAPTURE and able & _CAN_STREAM):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._format = self._choose()
        answer = fcntl.ioctl(self._fd, REQBUFS, REQUEST.pack(_BUFFERS, _CAPTURE, _MMAP))
        for index in range(REQUEST.unpack(answer)[0]):
            fields = BUFFER.unpack(fcntl.ioctl(self._fd, QUERYBUF, _buffer(index)))
            size, offset = fields[10], fields[9] & 0xFFFF_FFFF
            self._maps.append(mmap.mmap(self._fd, size, offset=offset))

    def _choose(self) -> bytes:
        """Ask for the size of the board file in the best format; take the size that there is."""
        width, height = (int(self.params.get(key, 0)) or 640 for key in ("width", "height"))
        for name in _FORMATS:
            code = int.from_bytes(name, "little")
            asked = FORMAT.pack(_CAPTURE, width, height, code, _ANY_FIELD, 0, 0)
            with suppress(OSError):
                got = FORMAT.unpack(fcntl.ioctl(self._fd, S_FMT, asked))
                if got[3] == code:
                    self.width, self.height, self._line_nbytes = got[1], got[2], got[5]
                    return name
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def capture(self, exposure_us: int) -> Image:
        """Expose, read out and return one frame."""
        begun_ns, t_ns = time.monotonic_ns(), self._clock.now_ns()
        code, pixels = 0, np.zeros((0, 0, 1), np.uint8)
        try:
            started_ns, pixels = self._capture(exposure_us)
            # Some drivers stamp with when a frame was due, which may not be over yet.
            started_ns = min(started_ns, time.monotonic_ns() - exposure_us * 1000)
            t_ns = max(0, t_ns - (begun_ns - started_ns))
        except OSError as error:
            code = error.errno or errno.EIO
        if self._tell is not None:
            height, width, channels = pixels.shape
            head = bus_payload.FRAME_HEADER.pack(width, height, channels, 8, 0)
            took_ns = time.monotonic_ns() - begun_ns
            self._tell(DONE, status_of(code), t_ns, took_ns, 0, head + pixels.tobytes())
        if code:
            self.fail(code, f"capture with {exposure_us} us")
        return Image(t_ns, pixels)

    def _capture(self, exposure_us: int) -> tuple[int, NDArray[np.uint8]]:
        """Return when the exposure began, CLOCK_MONOTONIC, and the frame."""
        self._expose(exposure_us)
        for index in range(len(self._maps)):
            fcntl.ioctl(self._fd, QBUF, _buffer(index))
        fcntl.ioctl(self._fd, STREAMON, struct.pack("=i", _CAPTURE))
        try:
            limit_s = time.monotonic() + TIMEOUT_S + exposure_us / 1e6
            while True:
                if not select.select([self._fd], [], [], max(0, limit_s - time.monotonic()))[0]:
                    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                fields = BUFFER.unpack(fcntl.ioctl(self._fd, DQBUF, _buffer(0)))
                if not fields[3] & _ERROR:
                    break
                fcntl.ioctl(self._fd, QBUF, _buffer(fields[0]))
            octets = self._maps[fields[0]][: fields[2]]
        finally:
            fcntl.ioctl(self._fd, STREAMOFF, struct.pack("=i", _CAPTURE))
        stamp_ns = fields[5] * 1_000_000_000 + fields[6] * 1000
        if not fields[3] & _MONOTONIC:
            stamp_ns = time.monotonic_ns()
        is_start = fields[3] & _STAMPS == _START_OF_EXPOSURE
        return stamp_ns - (0 if is_start else exposure_us * 1000), self._pixels(octets)

    def _expose(self, exposure_us: int) -> None:
        """Set the exposure, in steps of 100 us, where the camera has it in hand."""
        for control, value in (
            (_EXPOSURE_AUTO, _MANUAL),
            (_EXPOSURE_ABSOLUTE, max(1, exposure_us // 100)),
        ):
            with suppress(OSError):
                fcntl.ioctl(self._fd, S_CTRL, CONTROL.pack(control, value))

    def _pixels(self, octets: bytes) -> NDArray[np.uint8]:
        """Return a frame as height, width, channels."""
        nbytes = _FORMATS[self._format]
        lines = np.frombuffer(octets, np.uint8)
        if lines.size < self._line_nbytes * self.height:
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        lines = lines[: self._line_nbytes * self.height].reshape(self.height, self._line_nbytes)
        found = lines[:, : self.width * nbytes].reshape(self.height, self.width, nbytes)
        return rgb_of(found) if self._format == b"YUYV" else found

    def close(self) -> None:
        """Give the device back."""
        for one in self._maps:
            one.close()
        self._maps.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _buffer(index: int) -> bytes:
    return BUFFER.pack(index, _CAPTURE, *(0, 0, 0, 0, 0, 0), _MMAP, 0, 0)


def rgb_of(yuyv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the RGB of pixels in pairs that share their colour (ITU-R BT.601, limited range)."""
    height, width, _ = yuyv.shape
    luma = 1.164 * (yuyv[:, :, 0].astype(np.float32) - 16)
    blue, red = (
        np.repeat(yuyv[:, at::2, 1].astype(np.float32) - 128, 2, axis=1)[:, :width] for at in (0, 1)
    )
    mixed = (luma + 1.596 * red, luma - 0.813 * red - 0.391 * blue, luma + 2.018 * blue)
    out = np.stack(mixed, axis=2).clip(0, 255).round().astype(np.uint8)
    assert out.shape == (height, width, 3), "a pixel became three octets"
    return out
