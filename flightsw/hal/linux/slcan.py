"""CAN by a serial adapter that speaks SLCAN (LAWICEL CANUSB manual; CAN232 manual version 3).

For adapters that no driver of the kernel makes an interface of. Frames carry the time at which they
were read: the adapter's own stamps wrap every minute and are left off. What an adapter tells of its
error states is not in the protocol that all of them speak; those lines are passed over and counted.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from flightsw.codec.errors import FieldRangeError
from flightsw.errors import DeviceTableError
from flightsw.hal import CanFrame, Clock
from flightsw.hal.linux.bus import CAME, SENT, KernelBus, LocalChannel, Tell
from flightsw.hal.linux.uart import LinuxUART

_RATES = (10, 20, 50, 100, 125, 250, 500, 800, 1000)  # kbit/s, by the number behind S
_EXTENDED, _REMOTE, _ERROR = 1 << 31, 1 << 30, 1 << 29
_BRS, _FD = 1 << 32, 4 << 32
_FD_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
#: letter of a line -> flags of its identifier; large letters have extended identifiers
_LETTERS = {"t": 0, "r": _REMOTE, "d": _FD, "b": _FD | _BRS}
_LINE_LIMIT_NBYTES = 1 + 8 + 1 + 128 + 8
CAN_LIMIT = 1024
#: An adapter on a serial port of its own speaks at this rate; on USB it does not matter.
_BAUD = 115_200


class SerialCAN(KernelBus):
    """A CAN controller behind a serial adapter of this computer."""

    def __init__(self, channel: LocalChannel, clock: Clock, tell: Tell | None = None) -> None:
        super().__init__(channel, clock, tell)
        rate = int(channel.params.get("bitrate_hz", 500_000))
        if rate % 1000 or rate // 1000 not in _RATES:
            raise DeviceTableError(
                f"{self.name}: {self.device} speaks SLCAN, which has no bit rate of {rate} bit/s; "
                f"it has {', '.join(map(str, _RATES))} kbit/s"
            )
        data_mhz = int(channel.params.get("data_bitrate_hz", 0)) // 1_000_000
        speeds = f"S{_RATES.index(rate // 1000)}\r" + (f"Y{data_mhz}\r" if data_mhz else "")
        self._start = f"C\r{speeds}O\r".encode()
        self._line = LinuxUART(channel._replace(params={"baud": _BAUD}), clock)
        self._losses = 0
        self._rest = b""
        #: frames lost because nobody read them; lines that were no frame
        self.dropped = self.skipped = 0
        self._line.write(self._start)

    def send(self, can_id: int, data: bytes) -> None:
        """Queue one frame for arbitration. Raises ``FieldRangeError`` above 64 octets.

        ``BusError`` where the adapter is away.
        """
        flags, length = can_id & (_FD | _REMOTE | _BRS), len(data)
        if length > 64 or (length > 8 and length not in _FD_LENGTHS):
            raise FieldRangeError(f"{self.name}: no CAN frame has {length} octets")
        if length > 8:
            flags |= _FD
        self._look_after()
        letter = {kept: name for name, kept in _LETTERS.items()}.get(flags)
        if letter is None or can_id & _ERROR:
            raise FieldRangeError(f"{self.name}: no frame has the flags of 0x{can_id:x}")
        number = f"{can_id & 0x1FFF_FFFF:08X}" if can_id & _EXTENDED else f"{can_id & 0x7FF:03X}"
        letter = letter.upper() if can_id & _EXTENDED else letter
        octets = "" if flags & _REMOTE else data.hex().upper()
        line = f"{letter}{number}{_FD_LENGTHS.index(length):X}{octets}\r"
        unsent = self._line.unsent
        self._line.write(line.encode())
        if self._line.unsent != unsent:
            self.fail(errno.ENOBUFS, f"sending a frame of {length} octets")
        if self._tell is not None:
            told = can_id | (flags & _FD)
            self._tell(SENT, 0, self._clock.now_ns(), 0, told, bytes(data))

    def receive(self) -> Sequence[CanFrame]:
        """Return the frames received and not yet read, oldest first."""
        self._look_after()
        lines = (self._rest + self._line.read().replace(b"\a", b"\r")).split(b"\r")
        self._rest = lines.pop()[:_LINE_LIMIT_NBYTES]
        frames: list[CanFrame] = []
        t_ns = self._clock.now_ns()
        for line in lines:
            frame = parse(t_ns, line)
            if frame is None:
                self.skipped += line not in (b"", b"z", b"Z")
            elif len(frames) < CAN_LIMIT:
                frames.append(frame)
            else:
                self.dropped += 1
        if self._tell is not None:
            for frame in frames:
                self._tell(CAME, 0, t_ns, 0, frame.can_id, frame.data)
        return frames

    def _look_after(self) -> None:
        """Set an adapter up again that was away."""
        if self._line.losses != self._losses:
            self._losses = self._line.losses
            self._line.write(self._start)

    def close(self) -> None:
        """Take the adapter off the bus and give it back."""
        self._line.write(b"C\r")
        self._line.close()


def parse(t_ns: int, line: bytes) -> CanFrame | None:
    """Return the frame that a line tells of; None where it tells of none."""
    text = line.decode("latin-1")
    flags = _LETTERS.get(text[:1].lower())
    if flags is None:
        return None
    is_long = text[0].isupper()
    at = 9 if is_long else 4
    try:
        number, length = int(text[1:at], 16), _FD_LENGTHS[int(text[at : at + 1], 16)]
        nbytes = 0 if flags & _REMOTE else length
        data = bytes.fromhex(text[at + 1 : at + 1 + 2 * nbytes])
    except ValueError:
        return None
    top = 0x1FFF_FFFF if is_long else 0x7FF
    is_whole = len(data) == nbytes and number <= top and (length <= 8 or flags & _FD)
    if not is_whole:
        return None
    return CanFrame(t_ns, number | flags | (_EXTENDED if is_long else 0), data)
