"""Handles on a gpiochip: ioctls of ``linux/gpio.h`` as records, edges to whoever holds a line.

A request has u32 ioctl number and the struct; its reply i32 errno and the struct. A request for
lines makes its connection their holder, to which each edge goes as the kernel's struct.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from functools import partial
from typing import Any

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, pack
from hil.faces import gpio_abi
from hil.faces.gpio_desk import Clock, Desk
from hil.faces.handles import Client, Push
from hil.transactions import Lane

_GPIO, _REPLY = int(Kind.GPIO), int(Flag.REPLY)
#: ioctls that make a connection the holder of lines
LINE_REQUESTS = (gpio_abi.GET_LINE, gpio_abi.GET_HANDLE_1, gpio_abi.GET_EVENT_1)


class GpioHandles:
    """All handles on the gpiochips of a bench."""

    def __init__(self, clock: Clock, push: Push) -> None:
        self.lines = Desk(clock)
        self.counters = self.lines.counters
        self._push = push
        #: connections that have asked about a request for lines, by its number
        self._askers: dict[int, list[Client]] = {}
        #: connections that watch lines, by their number
        self._watchers: dict[int, Client] = {}

    def open(self, client: Client, lane: Lane) -> dict[str, Any]:
        """Take a client in: the channel says it all."""
        return {}

    def request(self, client: Client, address: int, payload: bytes, t_ns: int) -> None:
        """Do an ioctl; ``address`` is the request that it is about."""
        lane = client.lane
        assert lane is not None, "a client that asks has opened a chip"
        number, asked = int.from_bytes(payload[:4], "little"), payload[4:]
        if number >> 16 & 0x3FFF != len(asked):
            code, answer = errno.EINVAL, b""
        elif number in LINE_REQUESTS:
            code, answer = self.lines.request(lane.bus, t_ns, client.ident, number, asked)
            held = self.lines.held(client.ident)
            if held is not None:
                held.send = partial(self._push, client)
        elif number in (gpio_abi.WATCH_LINE_INFO, gpio_abi.UNWATCH_LINE_INFO):
            code, answer = self._watch(client, lane, address, number, asked)
        else:
            if self.lines.held(address) is not None:
                askers = self._askers.setdefault(address, [])
                if client not in askers:
                    askers.append(client)
            code, answer = self.lines.call(lane.bus, t_ns, address, number, asked)
        octets = code.to_bytes(4, "little") + answer
        self._push(client, pack(_GPIO, lane.index, _REPLY, t_ns=t_ns, payload=octets))

    def _watch(
        self, client: Client, lane: Lane, address: int, number: int, asked: bytes
    ) -> tuple[int, bytes]:
        """Begin or end to watch a line for connection ``address``, 0: the one that asks.

        The number of the connection that hears of it stands in the padding of the answer.
        """
        ident = address or client.ident
        if number == gpio_abi.UNWATCH_LINE_INFO:
            return self.lines.unwatch(ident, lane.bus, int.from_bytes(asked, "little")), asked
        watcher = client if not address else self._watchers.get(address)
        if watcher is None:
            return errno.ENODEV, b""
        code, info = self.lines.call(lane.bus, 0, 0, gpio_abi.GET_LINE_INFO, asked)
        code = code or self.lines.watch(ident, lane.bus, asked, partial(self._push, watcher))
        if code:
            return code, b""
        self._watchers[ident] = watcher
        return 0, info[:-16] + ident.to_bytes(16, "little")

    def hears(self, client: Client) -> bool:
        """Tell whether a client gets what comes in on its channel by now."""
        return self.lines.held(client.ident) is not None

    def hear(self, lane: Lane, octets: bytes) -> None:
        """Hand an edge to the holder of its line."""
        header = HEADER.unpack_from(octets)
        self.lines.edge(lane.bus, header[5], header[8], octets[HEADER_NBYTES])

    def release(self, client: Client, t_ns: int) -> None:
        """Take back the lines of a client that is gone, and end the connections about them."""
        self.lines.unwatch_all(client.ident)
        self._watchers.pop(client.ident, None)
        self.lines.release(client.ident, t_ns)
        for askers in self._askers.values():
            if client in askers:
                askers.remove(client)
        for asker in self._askers.pop(client.ident, ()):
            with contextlib.suppress(OSError):  # it may have ended by itself
                asker.socket.shutdown(socket.SHUT_RDWR)  # the host drops it when it reads the end
