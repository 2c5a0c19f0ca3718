"""One open serial line of a bench, from the side of a program: settings and the stream."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any, Final

from serial import SerialException

from flightsw.codec.errors import CodecError
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Kind, Status, pack
from hil.faces import uart_abi as abi
from hil.faces.handles import STREAM

_MESSAGE_NBYTES: Final = 1 << 16
#: What precedes the JSON of an OPEN reply: the errno of each status.
_TABLE_NBYTES: Final = 32
#: A bench answers at once; one that has not by then hangs.
ANSWER_LIMIT_S: Final = 10.0


class Handle:
    """A handle on the line ``name`` of the bench that listens at ``path``.

    ``url`` is what errors name. Raises ``SerialException``.
    """

    def __init__(self, url: str, path: Path | str, name: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_LIMIT_S)
        self.stream: socket.socket | None = None
        try:
            self._control.connect(str(path))
            #: what the bench says of the line: rig, board, baud and more
            self.about: dict[str, Any] = self._open(name)
            self.state = self._ask_stream()
        except OSError as error:
            self.close()
            if isinstance(error, SerialException):
                raise
            raise SerialException(
                f"{url}: no bench answers at {path} ({error.strerror}): is `hil run` still there?"
            ) from error

    def _open(self, name: str) -> dict[str, Any]:
        self._control.send(pack(Kind.OPEN, address=STREAM, payload=name.encode()))
        message = self._control.recv(_MESSAGE_NBYTES)
        if not message or message[0] != Kind.OPEN:
            why = message[HEADER_NBYTES:].decode(errors="replace") or "it has closed"
            raise SerialException(f"{self.url}: the bench refuses: {why}")
        self._channel = HEADER.unpack_from(message)[1]
        about: dict[str, Any] = json.loads(message[HEADER_NBYTES + _TABLE_NBYTES :])
        if about["kind"] != "uart":
            raise SerialException(
                f"{self.url}: {about['name']} is a bus of kind {about['kind']}, no serial line"
            )
        return about

    def _ask_stream(self) -> abi.State:
        self._control.send(pack(Kind.UART, self._channel, payload=bytes([abi.Ask.STREAM])))
        message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_NBYTES, 1)
        if not descriptors:
            raise SerialException(f"{self.url}: the bench gave no stream: is it another version?")
        self.stream = socket.socket(fileno=descriptors[0])
        self.stream.setblocking(False)
        return self._state(message)

    def ask(self, operation: abi.Ask, octets: bytes = b"") -> abi.State:
        """Ask for something and return the state of the line then."""
        request = pack(Kind.UART, self._channel, payload=bytes([operation]) + octets)
        with self._lock:
            try:
                self._control.send(request)
                message = self._control.recv(_MESSAGE_NBYTES)
            except OSError as error:
                raise SerialException(f"{self.url}: the bench does not answer: {error}") from error
        return self._state(message)

    def _state(self, message: bytes) -> abi.State:
        if not message or message[0] != Kind.UART:
            raise SerialException(f"{self.url}: the bench has ended: open the port again")
        status, text = message[3], message[HEADER_NBYTES:]
        if status != Status.OK:
            raise SerialException(f"{self.url}: {text.decode(errors='replace')}")
        try:
            state = abi.unpack_state(text)
        except (struct.error, CodecError) as error:
            raise SerialException(f"{self.url}: a reply of {len(text)} octets is none") from error
        if state.errno:
            raise OSError(state.errno, os.strerror(state.errno), self.url)
        return state

    def close(self) -> None:
        """Give the line back."""
        for one in (self.stream, self._control):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.close()
