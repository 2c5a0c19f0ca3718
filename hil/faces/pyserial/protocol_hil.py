"""What ``serial.serial_for_url("hil://...")`` returns: a serial port on an emulated line.

The port is that of a program with its own clock: its timeouts are those of the wall.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from typing import Any

from serial import PortNotOpenError, SerialBase, SerialException, SerialTimeoutException, to_bytes
from serial.serialutil import Timeout

from hil.faces import uart_abi as abi
from hil.faces.pyserial.address import Address, connect, parse
from hil.faces.pyserial.handle import Handle

#: Linux waits so long for a port that is closed to send what was written (closing_wait).
CLOSING_WAIT_S = 30.0
#: Longest wait before asking again whether a line has sent everything.
DRAIN_POLL_S = 0.05


class Serial(SerialBase):  # type: ignore[misc]  # pySerial has no types
    """A port on an emulated serial line; ``hil://`` URLs are described in ``address``."""

    is_open: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._address: Address | None = None
        self._handle: Handle | None = None
        self._release: Callable[[], None] = lambda: None
        self._settled = b""
        self._cancels = (-1, -1)
        super().__init__(*args, **kwargs)

    # -- opening and closing ---------------------------------------------------------------------

    @SerialBase.port.setter  # type: ignore[untyped-decorator]
    def port(self, port: str | None) -> None:
        """Take a URL; settings in it are taken over, later ones win."""
        address = parse(port) if isinstance(port, str) else None
        was_open = self.is_open
        self.close()
        for name, value in address.settings.items() if address else ():
            setattr(self, name, value)
        self._address = address
        SerialBase.port.fset(self, port)
        if was_open and address:
            self.open()

    def open(self) -> None:
        """Open the line with the settings of this port."""
        if self.is_open:
            raise SerialException(f"{self._port}: the port is already open")
        if self._address is None:
            raise SerialException("the port has no URL yet: set port to hil://LINE")
        self._handle, self._release = connect(self._address)
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        self._cancels = (os.eventfd(0, flags), os.eventfd(0, flags))
        self._settled = b""
        try:
            self._reconfigure_port()
            if not self._dsrdtr:
                self._update_dtr_state()
            if not self._rtscts:
                self._update_rts_state()
            self._drop_input()
        except BaseException:
            self._let_go()
            raise
        self.is_open = True

    def close(self) -> None:
        """Let what was written go out, as Linux does, and close."""
        if self.is_open:
            self.is_open = False
            for cancel in self._cancels:  # whoever reads or writes just now in another thread
                os.eventfd_write(cancel, 1)
            try:
                self._drain(Timeout(CLOSING_WAIT_S))
            except SerialException:
                self._settled = b""  # the bench has gone, and there is nobody to wait for
            self._let_go()

    def _let_go(self) -> None:
        handle, self._handle = self._line(), None
        handle.close()
        self._release()
        for cancel in self._cancels:
            os.close(cancel)
        self._cancels = (-1, -1)

    def _line(self) -> Handle:
        if self._handle is None:
            raise PortNotOpenError
        return self._handle

    def fileno(self) -> int:
        """Return the descriptor of the stream: it can be selected for reading and writing."""
        if not self.is_open:
            raise PortNotOpenError
        return self._line().fd

    # -- settings --------------------------------------------------------------------------------

    def _reconfigure_port(self) -> None:
        """Bring the line to the settings of this port, where they have changed."""
        if not isinstance(self._baudrate, int) or not 0 < self._baudrate < 2**32:
            raise ValueError(f"invalid baudrate: {self._baudrate!r}")
        options = abi.Option.RTSCTS * bool(self._rtscts) | abi.Option.XONXOFF * bool(self._xonxoff)
        options |= abi.Option.EXCLUSIVE * bool(self._exclusive)
        before_ns = after_ns = 0
        if self._rs485_mode is not None:
            options |= abi.Option.RS485 | abi.Option.ECHO * bool(self._rs485_mode.loopback)
            before_ns = round((self._rs485_mode.delay_before_tx or 0) * 1e9)
            after_ns = round((self._rs485_mode.delay_before_rx or 0) * 1e9)
        half_stops = int(2 * self._stopbits)
        octets = abi.SETTINGS.pack(
            *(self._baudrate, self._bytesize, ord(self._parity), half_stops, options),
            *(before_ns, after_ns),
        )
        if octets != self._settled:
            try:
                self._line().ask(abi.Ask.SET, octets)
            except SerialException:
                raise
            except OSError as error:
                raise SerialException(
                    error.errno, f"{self._port}: cannot be set so: {error.strerror}"
                ) from error
            self._settled = octets

    def _set_line(self, line: abi.Modem, on: bool) -> None:
        self._line().ask(abi.Ask.LINES, abi.LINES.pack(line, line if on else 0))

    def _update_rts_state(self) -> None:
        self._set_line(abi.Modem.RTS, self._rts_state)

    def _update_dtr_state(self) -> None:
        self._set_line(abi.Modem.DTR, self._dtr_state)

    def _update_break_state(self) -> None:
        self._set_line(abi.Modem.BREAK, self._break_state)

    # -- state -----------------------------------------------------------------------------------

    def _state(self) -> abi.State:
        if not self.is_open:
            raise PortNotOpenError
        return self._line().ask(abi.Ask.STATE)

    @property
    def cts(self) -> bool:
        """Clear to send, as the other side drives it."""
        return bool(self._state().modem & abi.Modem.CTS)

    @property
    def dsr(self) -> bool:
        """Data set ready."""
        return bool(self._state().modem & abi.Modem.DSR)

    @property
    def ri(self) -> bool:
        """Ring indicator."""
        return bool(self._state().modem & abi.Modem.RI)

    @property
    def cd(self) -> bool:
        """Carrier detect."""
        return bool(self._state().modem & abi.Modem.CD)

    def icount(self) -> dict[str, int]:
        """Return the counters of the line as ``TIOCGICOUNT`` names them."""
        return self._state().icount

    @property
    def in_waiting(self) -> int:
        """Octets that can be read."""
        octets = fcntl.ioctl(self.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", octets)[0])

    @property
    def out_waiting(self) -> int:
        """Octets written and not yet sent to the last bit."""
        return self._state().out_waiting

    # -- reading ---------------------------------------------------------------------------------

    def read(self, size: int = 1) -> bytes:
        """Read ``size`` octets, or what is there when the timeout is over or is cancelled."""
        fd = self.fileno()
        cancel = self._cancels[0]
        data, timeout = bytearray(), Timeout(self._timeout)
        while len(data) < size:
            if self._take(fd, data, size):
                continue
            wait_s = timeout.time_left()
            if data and self._inter_byte_timeout is not None:
                wait_s = min(self._inter_byte_timeout, wait_s or self._inter_byte_timeout)
            ready = _wait({fd: select.POLLIN, cancel: select.POLLIN}, wait_s)
            if cancel in ready:
                _cancelled(cancel)
            if not ready or cancel in ready:
                break
        return bytes(data)

    def _take(self, fd: int, data: bytearray, size: int) -> bool:
        """Add what is there to ``data``; tell whether something was."""
        try:
            octets = os.read(fd, size - len(data))
        except BlockingIOError:
            return False
        except OSError as error:
            raise SerialException(f"{self._port}: read failed: {error}") from error
        if not octets:
            raise SerialException(f"{self._port}: the bench has ended: open the port again")
        data += octets
        return True

    def reset_input_buffer(self) -> None:
        """Forget what has not been read."""
        self.fileno()
        self._drop_input()

    def _drop_input(self) -> None:
        with contextlib.suppress(OSError):  # nothing there any more, or the bench has ended
            while os.read(self._line().fd, 65536):
                pass

    def cancel_read(self) -> None:
        """End a :meth:`read` of another thread, or else the next one."""
        if self.is_open:
            os.eventfd_write(self._cancels[0], 1)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, data: Any) -> int:
        """Write octets and wait until the line has taken nearly all, as at a tty.

        Raises ``SerialTimeoutException`` after the write timeout; without one that waits, returns
        how many the line has taken. A write that is cancelled returns how many were written.
        """
        fd = self.fileno()
        cancel = self._cancels[1]
        octets = memoryview(to_bytes(data))
        length, timeout = len(octets), Timeout(self._write_timeout)
        while octets:
            try:
                taken = os.write(fd, octets)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                raise SerialException(f"{self._port}: write failed: {error}") from error
            octets = octets[taken:]
            if timeout.is_non_blocking:
                break
            ready = _wait({fd: select.POLLOUT, cancel: select.POLLIN}, timeout.time_left())
            if cancel in ready:
                _cancelled(cancel)
                break
            if not ready:
                raise SerialTimeoutException("Write timeout")
        return length - len(octets)

    def flush(self) -> None:
        """Wait until everything written has left the line."""
        self.fileno()
        self._drain(Timeout(None))

    def _drain(self, timeout: Timeout) -> None:
        """Wait until nothing is left to send, or what is left is held back when closing."""
        while self._handle is not None and not timeout.expired():
            state = self._handle.ask(abi.Ask.STATE)
            if not state.out_waiting or (state.idle_ns < 0 and not timeout.is_infinite):
                return
            _wait({}, DRAIN_POLL_S if state.idle_ns < 0 else min(state.idle_ns / 1e9, DRAIN_POLL_S))

    def reset_output_buffer(self) -> None:
        """Forget what has not been sent."""
        self.fileno()
        self._line().ask(abi.Ask.FLUSH)

    def cancel_write(self) -> None:
        """End a :meth:`write` of another thread, or else the next one."""
        if self.is_open:
            os.eventfd_write(self._cancels[1], 1)


def _wait(events: dict[int, int], seconds: float | None) -> list[int]:
    """Return which descriptors are ready within that time; None: however long it takes."""
    poll = select.poll()
    for fd, event in events.items():
        poll.register(fd, event)
    return [fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)]


def _cancelled(cancel: int) -> None:
    """Take note of a cancellation: it ends one call."""
    with contextlib.suppress(OSError):  # closed meanwhile
        os.eventfd_read(cancel)
