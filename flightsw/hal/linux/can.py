"""CAN by SocketCAN: raw frames, CAN FD where the interface has it, error frames of every class.

Bit rates are the interface's (``ip link set can0 up type can bitrate 500000``). Frames carry the
time at which the kernel had them; those that it had no room for are counted (SO_RXQ_OVFL).
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

from flightsw.codec.errors import FieldRangeError
from flightsw.errors import DeviceTableError
from flightsw.hal import CanFrame, Clock
from flightsw.hal.linux.bus import CAME, SENT, KernelBus, LocalChannel, Tell

#: asm-generic/socket.h
SO_TIMESTAMPNS, SO_RXQ_OVFL = 35, 40
CLASSIC = struct.Struct("=IB3x8s")
FD = struct.Struct("=IBB2x64s")
_TIMESPEC, _COUNT = struct.Struct("@ll"), struct.Struct("=I")
_CAN_RAW_ERR_FILTER = 2
_FD_FLAG = 4
_EVERY_ERROR = 0x1FFF_FFFF
CAN_LIMIT = 1024
_CLASSIC_NBYTES, _FD_NBYTES = 8, 64
_RECEIVE_NBYTES = 1 << 20
RETRY_NS = 1_000_000_000


class LinuxCAN(KernelBus):
    """A CAN interface of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        self._retry_ns = 0
        self._overflowed = 0
        self._dropped = 0
        #: how often the interface went away
        self.losses = 0
        self._socket: socket.socket | None = None
        try:
            self._socket = self._open()
        except OSError as error:
            raise DeviceTableError(
                f"{self.name}: no CAN interface {self.device} ({error.strerror}); "
                "bring one up (ip link), or name another with --local"
            ) from None

    def _open(self) -> socket.socket:
        found = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        try:
            with suppress(OSError):  # an older kernel has classic frames alone
                found.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
            errors = _COUNT.pack(_EVERY_ERROR)
            found.setsockopt(socket.SOL_CAN_RAW, _CAN_RAW_ERR_FILTER, errors)
            for option in (SO_TIMESTAMPNS, SO_RXQ_OVFL):
                found.setsockopt(socket.SOL_SOCKET, option, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_NBYTES)
            found.bind((self.device,))
            found.setblocking(False)
        except BaseException:
            found.close()
            raise
        self._overflowed = 0
        return found

    @property
    def dropped(self) -> int:
        """Frames lost since start because nobody read them; known with the next one received."""
        return self._dropped

    def send(self, can_id: int, data: bytes) -> None:
        """Queue one frame for arbitration. Raises ``FieldRangeError`` above 64 octets.

        ``BusError`` where the interface takes none: it is down, or its queue is full.
        """
        flags, length = can_id >> 32, len(data)
        is_fd = bool(flags & _FD_FLAG) or length > _CLASSIC_NBYTES
        if length > _FD_NBYTES:
            raise FieldRangeError(f"{self.name}: a CAN frame of {length} octets; at most 64")
        if is_fd:
            frame = FD.pack(can_id & 0xFFFF_FFFF, length, flags & 0xFF | _FD_FLAG, data)
        else:
            frame = CLASSIC.pack(can_id & 0xFFFF_FFFF, length, data)
        if self._there() is None:
            self.fail(errno.ENODEV, "sending")
        assert self._socket is not None
        try:
            self._socket.send(frame)
        except OSError as error:
            self._lost(error)
            self.fail(error.errno or errno.EIO, f"sending a frame of {length} octets")
        if self._tell is not None:
            told = can_id | (_FD_FLAG << 32 if is_fd else 0)
            self._tell(SENT, 0, self._clock.now_ns(), 0, told, bytes(data))

    def receive(self) -> Sequence[CanFrame]:
        """Return the frames received and not yet read, oldest first."""
        frames: list[CanFrame] = []
        there = self._there()
        while there is not None and len(frames) < CAN_LIMIT:
            try:
                octets, more, _, _ = there.recvmsg(FD.size, 128)
            except BlockingIOError:
                break
            except OSError as error:
                self._lost(error)
                break
            if len(octets) in (CLASSIC.size, FD.size):
                frames.append(self._frame(octets, more))
        if self._tell is not None:
            for frame in frames:
                self._tell(CAME, 0, max(frame.t_ns, 0), 0, frame.can_id, frame.data)
        return frames

    def _frame(self, octets: bytes, more: Sequence[tuple[int, int, bytes]]) -> CanFrame:
        t_ns = self._clock.now_ns()
        for level, kind, value in more:
            if level != socket.SOL_SOCKET:
                continue
            if kind == SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                seconds, ns = _TIMESPEC.unpack_from(value)
                # The kernel stamps with its wall clock, so a frame is as old as that says.
                t_ns -= max(time.time_ns() - seconds * 1_000_000_000 - ns, 0)
            elif kind == SO_RXQ_OVFL:
                count: int = _COUNT.unpack(value)[0]
                self._dropped += (count - self._overflowed) & 0xFFFF_FFFF
                self._overflowed = count
        if len(octets) == CLASSIC.size:
            can_id, length, data = CLASSIC.unpack(octets)
            return CanFrame(t_ns, can_id, data[:length])
        can_id, length, flags, data = FD.unpack(octets)
        return CanFrame(t_ns, can_id | (flags & 3 | _FD_FLAG) << 32, data[:length])

    def _there(self) -> socket.socket | None:
        """Return the socket; None while the interface is away."""
        if self._socket is None and time.monotonic_ns() >= self._retry_ns:
            try:
                self._socket = self._open()
            except OSError:
                self._retry_ns = time.monotonic_ns() + RETRY_NS
        return self._socket

    def _lost(self, error: OSError) -> None:
        """Note that the interface is down, and let go of one that is no more."""
        if error.errno == errno.ENETDOWN:
            self.losses += 1
        elif error.errno in (errno.ENODEV, errno.ENXIO, errno.EBADF):
            self.losses += 1
            self.close()
            self._retry_ns = time.monotonic_ns() + RETRY_NS

    def close(self) -> None:
        """Give the interface back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
