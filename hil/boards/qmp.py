"""QEMU's machine protocol, as much of it as moves a board's surroundings.

Source: QEMU, docs/interop/qmp-spec.txt. Requests and answers are lines of JSON; events between them
are counted and passed over.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from hil.errors import BoardError

#: an emulator that is silent for so long has stopped
PATIENCE_S = 10.0


class Qmp:
    """The bench's end of one QEMU's monitor; ``end`` is then owned."""

    def __init__(self, end: socket.socket, name: str) -> None:
        self._end = end
        self._name = name
        self._came = b""
        self.counters = {"requests": 0, "events": 0}
        end.settimeout(PATIENCE_S)

    def greet(self) -> None:
        """Wait for the greeting and leave the mode in which nothing else is taken."""
        while "QMP" not in self._line("starting"):
            pass
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return what a command returns; raise :class:`~hil.errors.BoardError` if it fails."""
        self.counters["requests"] += 1
        line = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            self._end.sendall(line)
        except OSError as error:
            raise BoardError(f"{self._name} has ended ({error.strerror}); start it anew") from None
        while True:
            answer = self._line(command)
            if "error" in answer:
                raise BoardError(f"{self._name}: {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]
            self.counters["events"] += 1

    def _line(self, command: str) -> dict[str, Any]:
        while b"\n" not in self._came:
            try:
                octets = self._end.recv(65536)
            except TimeoutError:
                raise BoardError(
                    f"{self._name} has not answered {command} within {PATIENCE_S:g} s; "
                    "start it anew"
                ) from None
            except OSError:
                octets = b""
            if not octets:
                raise BoardError(f"{self._name} has ended while {command}; start it anew")
            self._came += octets
        line, self._came = self._came.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Close our end."""
        self._end.close()
