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
        else:
            if self.lines.held(address) is not None:
                askers = self._askers.setdefault(address, [])
                if client not in askers:
                    askers.append(client)
            code, answer = self.lines.call(lane.bus, t_ns, address, number, asked)
        octets = code.to_bytes(4, "little") + answer
        self._push(client, pack(_GPIO, lane.index, _REPLY, t_ns=t_ns, payload=octets))

    def hear(self, lane: Lane, octets: bytes) -> None:
        """Hand an edge to the holder of its line."""
        header = HEADER.unpack_from(octets)
        self.lines.edge(lane.bus, header[5], header[8], octets[HEADER_NBYTES])

    def release(self, client: Client, t_ns: int) -> None:
        """Take back the lines of a client that is gone, and end the connections about them."""
        self.lines.release(client.ident, t_ns)
        for askers in self._askers.values():
            if client in askers:
                askers.remove(client)
        for asker in self._askers.pop(client.ident, ()):
            with contextlib.suppress(OSError):  # it may have ended by itself
                asker.socket.shutdown(socket.SHUT_RDWR)  # the host drops it when it reads the end
