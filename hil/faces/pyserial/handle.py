"""One open serial line of a bench, from the side of a program: settings and the stream."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import threading
import tty
from pathlib import Path
from typing import Any, Final, Protocol

from serial import SerialException

from flightsw.codec.wire import HEADER_NBYTES, Kind, Status, pack
from hil.buses.uart_modem import ICOUNT
from hil.faces import asking
from hil.faces import uart_abi as abi
from hil.faces.handles import STREAM

_ENDED: Final = "the bench has ended: open the port again"


class Handle(Protocol):
    """An open line. What fails is a ``SerialException`` that names the URL."""

    #: the octets of the line; does not block, can be selected
    fd: int
    #: what the bench says of the line: rig, board, baud and more
    about: dict[str, Any]

    def ask(self, operation: abi.Ask, octets: bytes = b"") -> abi.State:
        """Ask for something and return the state of the line then; OSError: it cannot be so."""

    def close(self) -> None:
        """Give the line back."""


def open_line(url: str, path: Path | str, name: str) -> Handle:
    """Open the line ``name`` of the bench that listens at ``path``.

    A UART is a stream of the bench; the serial adapter of a CAN bus is the pseudo-terminal that
    ``/dev/ttyCANN`` is. Raises ``SerialException``.
    """
    with _connected(url, path) as one:
        _, about = _opened(url, one, name, 0)
    if about["kind"] == "uart":
        return UartHandle(url, path, name)
    if about["kind"] == "can" and "pty" in about:
        return PtyHandle(url, about)
    raise SerialException(
        f"{url}: {about['name']} is a bus of kind {about['kind']}, which is no serial line"
    )


def _connected(url: str, path: Path | str) -> socket.socket:
    try:
        return asking.connect(path)
    except OSError as error:
        raise SerialException(
            f"{url}: no bench answers at {path} ({error.strerror}): is `hil run` still there?"
        ) from error


def _opened(url: str, one: socket.socket, name: str, address: int) -> tuple[int, dict[str, Any]]:
    """Open a device on a connection; return its channel, and what the bench says of it."""
    try:
        return asking.open_device(one, name, address)
    except OSError as error:
        why = error.strerror or error
        raise SerialException(f"{url}: the bench does not open it: {why}") from error


class UartHandle:
    """A handle on a UART."""

    def __init__(self, url: str, path: Path | str, name: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._control = _connected(url, path)
        self._descriptors: list[int] = []
        try:
            self._channel, self.about = _opened(url, self._control, name, STREAM)
            self.ask(abi.Ask.STREAM)
            self.fd = self._descriptors[0]
            os.set_blocking(self.fd, False)
            os.set_inheritable(self.fd, False)
        except BaseException:
            self.close()
            raise

    def ask(self, operation: abi.Ask, octets: bytes = b"") -> abi.State:
        """Ask the bench."""
        request = pack(Kind.UART, self._channel, payload=bytes([operation]) + octets)
        with self._lock:
            try:
                self._control.send(request)
                message, descriptors, _, _ = socket.recv_fds(
                    self._control, asking.ANSWER_NBYTES, 1, socket.MSG_CMSG_CLOEXEC
                )
            except OSError as error:
                raise SerialException(f"{self.url}: the bench does not answer: {error}") from error
            self._descriptors += descriptors
        if not message or message[0] != Kind.UART:
            raise SerialException(f"{self.url}: {_ENDED}")
        if message[3] != Status.OK:
            raise SerialException(f"{self.url}: {message[HEADER_NBYTES:].decode(errors='replace')}")
        state = abi.unpack_state(message[HEADER_NBYTES:])
        if state.errno:
            raise OSError(state.errno, os.strerror(state.errno), self.url)
        return state

    def close(self) -> None:
        """Give the line back."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._control.close()


class PtyHandle:
    """A handle on a pseudo-terminal: no rate, no modem lines, no counters."""

    def __init__(self, url: str, about: dict[str, Any]) -> None:
        self.url, self.about = url, about
        try:
            self.fd = os.open(about["pty"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise SerialException(f"{url}: cannot open {about['pty']}: {error}") from error
        # A terminal keeps its settings: with VMIN 0, as a program may have left it, a read of
        # nothing would look like its end.
        tty.setraw(self.fd, termios.TCSANOW)

    def ask(self, operation: abi.Ask, octets: bytes = b"") -> abi.State:
        """Tell what a terminal knows; settings have no effect, as on an adapter at USB."""
        if operation == abi.Ask.FLUSH:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.fd, termios.TCOFLUSH)
        try:
            queued = fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError as error:
            raise SerialException(
                f"{self.url}: the bench has ended: open the port again"
            ) from error
        modem = abi.Modem.CTS | abi.Modem.DSR | abi.Modem.CD
        return abi.State(0, int(modem), struct.unpack("i", queued)[0], 0, dict.fromkeys(ICOUNT, 0))

    def close(self) -> None:
        """Give the terminal back."""
        os.close(self.fd)
