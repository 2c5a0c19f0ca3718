"""Serial lines as streams: who has which UART open, and what is asked about it.

``hil.faces.uart_stream`` has the line itself, ``hil.faces.uart_abi`` what is said.
"""

from __future__ import annotations

from typing import Any, Final

from flightsw.codec.errors import SyncError
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack
from hil.faces import uart_abi as abi
from hil.faces.handles import Client
from hil.faces.uart_stream import Line, Loop
from hil.transactions import Lane

_UART, _REPLY, _OVERRUN = int(Kind.UART), int(Flag.REPLY), int(Status.OVERRUN)
#: octets behind the operation of a request
_SIZES: Final = {int(abi.Ask.SET): abi.SETTINGS.size, int(abi.Ask.LINES): abi.LINES.size}


class UartDesk:
    """All handles on the UARTs of a bench that are streams."""

    def __init__(self, loop: Loop) -> None:
        self.counters = dict.fromkeys(
            ("opened", "rx_overrun", "cut_octets", "xoff", "throttled", "refused"), 0
        )
        self._loop = loop
        self._lines: dict[int, Line] = {}

    def open(self, client: Client, lane: Lane) -> dict[str, Any]:
        """Open a line: the channel says it all."""
        assert client.node is not None, "a client that opens names a device"
        line = self._lines.get(lane.index)
        if line is None:
            line = Line(self._loop, lane, client.node.path, self.counters)
            self._lines[lane.index] = line
        line.open(client.ident)
        self.counters["opened"] += 1
        return {}

    def request(self, client: Client, address: int, payload: bytes, t_ns: int) -> None:
        """Do what a record asks."""
        assert client.lane is not None, "a client that asks has opened a line"
        line = self._lines[client.lane.index]
        code, asked = 0, payload[1:]
        number = payload[0] if payload else -1
        if not 0 <= number <= max(abi.Ask) or len(asked) != _SIZES.get(number, 0):
            raise SyncError(f"a request of {len(payload)} octets is none of a serial line")
        operation = abi.Ask(number)
        stream = line.streams[client.ident]
        if operation == abi.Ask.SET:
            code = line.set(client.ident, t_ns, asked)
            self.counters["refused"] += code != 0
        elif operation == abi.Ask.LINES:
            line.set_lines(t_ns, asked)
        elif operation == abi.Ask.FLUSH:
            stream.flush()
            line.bus.discard_tx()
        else:
            stream.feed.pump()  # what was written before is counted as taken
        octets = pack(
            _UART, client.lane.index, _REPLY, t_ns=t_ns, payload=line.state(code, t_ns).pack()
        )
        fds = [stream.theirs.fileno()] if operation == abi.Ask.STREAM else []
        self._loop.push(client, octets, fds)

    def hears(self, client: Client) -> bool:
        """Tell whether a client gets what comes in on its channel by now."""
        return any(client.ident in line.streams for line in self._lines.values())

    def hear(self, lane: Lane, octets: bytes) -> None:
        """Hand what came in to those who have the line open."""
        line = self._lines.get(lane.index)
        if line is not None and line.streams and octets[3] != _OVERRUN:
            header = HEADER.unpack_from(octets)
            line.hear(header[5] + header[6], octets[HEADER_NBYTES:])

    def backlog_nbytes(self) -> int:
        """Return how much the program that is most behind has not read yet."""
        streams = (s for line in self._lines.values() for s in line.streams.values())
        return max((stream.backlog for stream in streams), default=0)

    def release(self, client: Client, t_ns: int) -> None:
        """Close a handle."""
        if client.lane is not None and client.lane.index in self._lines:
            self._lines[client.lane.index].release(client.ident, t_ns)
