"""``periphery.Serial``: a tty whose settings reach the emulated UART, parity and size included."""

from __future__ import annotations

import errno
from functools import partial
from typing import Any

from flightsw.codec.wire import Status
from hil.buses.uart_wave import Setting
from hil.faces.nodes import Node
from hil.faces.periphery.machine import DeviceFile, closed

BAUDRATES = frozenset(
    (
        *(50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400),
        *(57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000),
        *(2000000, 2500000, 3000000, 3500000, 4000000),
    )
)
PARITIES = {"none": "N", "even": "E", "odd": "O"}
_WORDS = {letter: word for word, letter in PARITIES.items()}

Data = bytes | bytearray | list[int]


class SerialError(IOError):
    """Base class for Serial errors."""


def _checked(value: object, kind: type, complaint: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"Invalid {complaint}.")


def _checked_baud(baudrate: int) -> None:
    _checked(baudrate, int, "baud rate type, should be integer")
    if baudrate not in BAUDRATES:
        raise ValueError(f"Unknown baud rate: {baudrate:d}")


def _checked_bits(databits: int) -> None:
    _checked(databits, int, "data bits type, should be integer")
    if databits not in (5, 6, 7, 8):
        raise ValueError("Invalid data bits, can be 5, 6, 7, 8.")


def _checked_parity(parity: str) -> None:
    _checked(parity, str, "parity type, should be string")
    if parity.lower() not in PARITIES:
        raise ValueError('Invalid parity, can be: "none", "even", "odd".')


def _checked_stop(stopbits: int) -> None:
    _checked(stopbits, int, "stop bits type, should be integer")
    if stopbits not in (1, 2):
        raise ValueError("Invalid stop bits, can be 1, 2.")


class Serial(DeviceFile):
    """One end of a serial line."""

    def __init__(
        self,
        devpath: str,
        baudrate: int,
        databits: int = 8,
        parity: str = "none",
        stopbits: int = 1,
        xonxoff: bool = False,
        rtscts: bool = False,
    ) -> None:
        self._node: Node | None = None
        _checked(devpath, str, "devpath type, should be string")
        _checked(baudrate, int, "baud rate type, should be integer")
        _checked(databits, int, "data bits type, should be integer")
        _checked(parity, str, "parity type, should be string")
        _checked(stopbits, int, "stop bits type, should be integer")
        _checked(xonxoff, bool, "xonxoff type, should be boolean")
        _checked(rtscts, bool, "rtscts type, should be boolean")
        _checked_baud(baudrate)
        _checked_bits(databits)
        _checked_parity(parity)
        _checked_stop(stopbits)
        self._devpath = devpath
        try:
            self._node = self.machine.open(devpath, "uart")
        except OSError as error:
            what = "Opening serial port: "
            if error.errno == errno.ENOTTY:
                what = "Setting serial port attributes: "
            raise SerialError(error.errno, what + str(error.strerror)) from None
        self.lane = self._node.lane
        self._input = bytearray()
        #: octets that found no room, as the driver counts them
        self.rx_overrun = 0
        self._xonxoff = xonxoff
        self._vmin, self._vtime = 0, 0.0
        self._bus.set_setting(Setting(baudrate, databits, PARITIES[parity.lower()], stopbits))
        self._bus.set_flow(self.machine.now_ns(), rtscts)
        self.machine.hearers.append(self)

    @property
    def _bus(self) -> Any:
        if self._node is None:
            raise closed()
        return self._node.lane.bus

    def hear(self, t_ns: int, status: int, octets: bytes) -> None:
        """Take octets from the line, those with wrong parity too; a wrong frame is lost."""
        if status == Status.FRAMING:
            return
        if self._bus.setting.parity != "N":  # periphery sets ISTRIP
            octets = bytes(octet & 0x7F for octet in octets)
        room = max(self._bus.rx_fifo - len(self._input), 0)
        self.rx_overrun += max(len(octets) - room, 0)
        self._input += octets[:room]

    def _take(self, length: int) -> bytes:
        taken = bytes(self._input[:length])
        del self._input[:length]
        return taken

    def read(self, length: int, timeout: float | None = None) -> bytes:
        """Read up to ``length`` octets; each wait for more ends after the timeout."""
        wait = self.machine.wait
        data = b""
        while len(data) < length:
            if not wait(timeout, lambda: bool(self._input)):
                break
            if self._vmin > 0:
                return self._read_least(length)
            data += self._take(length - len(data))
        return data

    def _read_least(self, length: int) -> bytes:
        """Read as VMIN and VTIME say: so many octets, or a gap behind the first."""
        least = min(self._vmin, length)
        gap_s = self._vtime or None
        while (count := len(self._input)) < least:
            if not self.machine.wait(gap_s, partial(self._has_more, count)):
                break
        return self._take(length)

    def _has_more(self, count: int) -> bool:
        return len(self._input) > count

    def write(self, data: Data) -> int:
        """Queue octets for the line; return how many."""
        if not isinstance(data, bytes | bytearray | list):
            raise TypeError("Invalid data type, should be bytes, bytearray, or list.")
        octets = bytes(bytearray(data))
        self._bus.write(self.machine.now_ns(), octets)
        return len(octets)

    def poll(self, timeout: float | None = None) -> bool:
        """Wait for input. As in periphery 2.4.3 None, though the default, is a ``TypeError``."""
        milliseconds = int(timeout * 1000)  # type: ignore[operator]
        return self.machine.wait(milliseconds / 1000, lambda: bool(self._input))

    def flush(self) -> None:
        """Wait until everything has been sent."""
        bus = self._bus
        self.machine.wait(None, lambda: not bus.tx_backlog)

    def input_waiting(self) -> int:
        """Return how many octets can be read."""
        return len(self._input)

    def output_waiting(self) -> int:
        """Return how many octets have not been sent."""
        return int(self._bus.tx_backlog)

    def close(self) -> None:
        """Close the port; closing twice does nothing."""
        if self._node is not None:
            self.machine.hearers.remove(self)
        self._node = None

    # Settings -------------------------------------------------------------------------------------

    def _set(self, **changes: Any) -> None:
        self._bus.set_setting(self._bus.setting._replace(**changes))

    @property
    def baudrate(self) -> int:
        """The rate."""
        return int(self._bus.setting.baud)

    @baudrate.setter
    def baudrate(self, baudrate: int) -> None:
        _checked_baud(baudrate)
        self._set(baud=baudrate)

    @property
    def databits(self) -> int:
        """Bits of a character: 5 to 8."""
        return int(self._bus.setting.data_bits)

    @databits.setter
    def databits(self, databits: int) -> None:
        _checked_bits(databits)
        self._set(data_bits=databits)

    @property
    def parity(self) -> str:
        """``none``, ``even`` or ``odd``."""
        return _WORDS[self._bus.setting.parity]

    @parity.setter
    def parity(self, parity: str) -> None:
        _checked_parity(parity)
        self._set(parity=PARITIES[parity.lower()])

    @property
    def stopbits(self) -> int:
        """1 or 2."""
        return 2 if self._bus.setting.stop_bits > 1 else 1

    @stopbits.setter
    def stopbits(self, stopbits: int) -> None:
        _checked_stop(stopbits)
        self._set(stop_bits=stopbits)

    @property
    def xonxoff(self) -> bool:
        """Kept, without effect."""
        return self._xonxoff

    @xonxoff.setter
    def xonxoff(self, enabled: bool) -> None:
        _checked(enabled, bool, "enabled type, should be boolean")
        self._xonxoff = enabled

    @property
    def rtscts(self) -> bool:
        """Whether RTS and CTS hold the two sides back."""
        return bool(self._bus.flow)

    @rtscts.setter
    def rtscts(self, enabled: bool) -> None:
        _checked(enabled, bool, "enabled type, should be boolean")
        self._bus.set_flow(self.machine.now_ns(), enabled)

    @property
    def vmin(self) -> int:
        """How many octets a read waits for."""
        return self._vmin

    @vmin.setter
    def vmin(self, vmin: int) -> None:
        _checked(vmin, int, "vmin type, should be integer")
        if not 0 <= vmin <= 255:
            raise ValueError("Invalid vmin, can be 0 to 255.")
        self._vmin = vmin

    @property
    def vtime(self) -> float:
        """How long a gap ends such a read, seconds."""
        return self._vtime

    @vtime.setter
    def vtime(self, vtime: float) -> None:
        if not isinstance(vtime, float | int):
            raise TypeError("Invalid vtime type, should be float or integer.")
        if not 0 <= vtime <= 25.5:
            raise ValueError("Invalid vtime, can be 0 to 25.5 seconds.")
        self._vtime = int(float(vtime) * 10.0) / 10.0

    def __str__(self) -> str:
        return (
            f"Serial (device={self.devpath:s}, fd={self.fd:d}, baudrate={self.baudrate:d}, "
            f"databits={self.databits:d}, parity={self.parity:s}, stopbits={self.stopbits:d}, "
            f"xonxoff={self.xonxoff!s:s}, rtscts={self.rtscts!s:s}, vmin={self.vmin:d}, "
            f"vtime={self.vtime:.1f})"
        )
