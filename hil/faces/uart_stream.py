"""One serial line that programs have open as a stream: what is between the UART and each of them.

A handle that asks for it is given one end of a stream socket, whose octets are those of the line:
it can be selected, and blocks a writer as a tty does. What a program has not read is limited by
``rx_fifo`` of the bus, beyond which octets are lost and counted; with RTS/CTS or XON/XOFF the other
side is told before. Settings belong to the line and not to the handle, as in the kernel.

Different from a tty: when several handles are open on one line each hears everything. Octets with
wrong parity are handed on, those with a framing error are not.
"""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from flightsw.codec.wire import Flag, Kind, Status
from hil.buses.uart_modem import RS485
from hil.buses.uart_wave import Setting
from hil.errors import ConfigError
from hil.faces import uart_abi as abi
from hil.faces.handles import Client
from hil.faces.uart_feed import Feed
from hil.time.present import Present
from hil.transactions import Lane

_UART, _REPLY, _OVERRUN = int(Kind.UART), int(Flag.REPLY), int(Status.OVERRUN)
XON, XOFF = b"\x11", b"\x13"
#: The driver stops the other side when it has room for no more than this, and lets it go on when
#: no more than this is unread (n_tty of Linux).
THROTTLE_NBYTES: Final = 128
_SEND_NBYTES: Final = 1 << 20
_MODEM: Final = {
    "rts": abi.Modem.RTS,
    "dtr": abi.Modem.DTR,
    "cts": abi.Modem.CTS,
    "dsr": abi.Modem.DSR,
    "ri": abi.Modem.RI,
    "cd": abi.Modem.CD,
}


class Loop(Protocol):
    """What a desk needs of the host."""

    present: Present
    lines: dict[str, Any]

    def watch(self, fd: int, ready: Callable[[], None], events: int = ...) -> None:
        """Call ``ready()`` on events of a descriptor."""

    def unwatch(self, fd: int) -> None:
        """Do so no more."""

    def push(self, client: Client, octets: bytes, fds: Sequence[int] = ()) -> bool:
        """Send a message to a client now, with descriptors."""


def unread(end: socket.socket) -> int:
    """Return how many octets lie in a stream socket for whoever holds this end."""
    return int(struct.unpack("i", fcntl.ioctl(end, termios.FIONREAD, b"\0\0\0\0"))[0])


class Stream:
    """One handle and the socket behind it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.exclusive = False
        self.mine, self.theirs = socket.socketpair()
        self.mine.setblocking(False)
        # The least there is: who writes is to wait for the line, as at a tty.
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_NBYTES)
        self.waiting = b""
        self._wants_room = False
        loop = line.loop
        self.feed = Feed(line.bus, self._read, loop.present.now_ns, lambda: None)
        loop.watch(self.mine.fileno(), self.feed.pump, select.EPOLLIN | select.EPOLLET)

    def _read(self, nbytes: int) -> bytes:
        try:
            return self.mine.recv(nbytes)
        except OSError:  # nothing there, or nobody at the other end
            return b""

    def close(self) -> None:
        """Let what has been written go out, as far as nothing holds it back, and close."""
        self.line.loop.unwatch(self.mine.fileno())
        self.feed.close()
        rest = self._rest()
        if self.line.bus.tx_held:
            self.line.counters["cut_octets"] += len(rest)
        else:
            self.line.bus.write(self.line.loop.present.now_ns(), rest)
        self.mine.close()
        self.theirs.close()

    def _rest(self) -> bytes:
        nbytes = unread(self.mine)
        return self.mine.recv(nbytes) if nbytes else b""

    def flush(self) -> None:
        """Forget what the program has written and the UART has not taken."""
        self.line.counters["cut_octets"] += len(self._rest())

    @property
    def backlog(self) -> int:
        """Octets that the program has not read."""
        return unread(self.theirs) + len(self.waiting)

    def give(self, t_ns: int, octets: bytes) -> None:
        """Bring octets to the program, as many as it has room for."""
        room = self.line.bus.rx_fifo - self.backlog
        lost = max(len(octets) - room, 0)
        self.line.lost += lost
        self.line.counters["rx_overrun"] += lost
        self.waiting += octets[: max(room, 0)]
        self._send()
        if self.backlog > self.line.bus.rx_fifo - THROTTLE_NBYTES:
            self.line.throttle(t_ns, True)
        self._watch()

    def _send(self) -> None:
        if self.waiting:
            try:
                taken = self.mine.send(self.waiting)
            except OSError:  # it has no room, or has closed its end
                taken = 0
            self.waiting = self.waiting[taken:]

    def _watch(self) -> None:
        """Look for room only while there is something that waits for it."""
        wants = bool(self.waiting) or self.line.throttled
        if wants != self._wants_room:
            self._wants_room = wants
            fd, events = self.mine.fileno(), select.EPOLLIN | select.EPOLLET
            self.line.loop.unwatch(fd)
            self.line.loop.watch(fd, self._ready, events | (select.EPOLLOUT if wants else 0))

    def _ready(self) -> None:
        self._send()
        if self.line.throttled and all(
            stream.backlog <= THROTTLE_NBYTES for stream in self.line.streams.values()
        ):
            self.line.throttle(self.line.loop.present.now_ns(), False)
        self._watch()
        self.feed.pump()


class Line:
    """One UART and those who have it open."""

    def __init__(self, loop: Loop, lane: Lane, path: str, counters: dict[str, int]) -> None:
        self.loop = loop
        self.bus = lane.bus
        self.counters = counters
        self.pty = loop.lines.get(path)
        self.streams: dict[int, Stream] = {}
        self.throttled = False
        #: octets that no program had room for: ``buf_overrun``
        self.lost = 0
        self._xonxoff = False
        self._break_ns = -1

    def open(self, ident: int) -> None:
        """Add a handle; the first one raises RTS and DTR."""
        stream = Stream(self)
        if not self.streams:
            self.bus.set_modem(self.loop.present.now_ns(), rts=1, dtr=1)
        self.streams[ident] = stream
        self._set_aside()

    def release(self, ident: int, t_ns: int) -> None:
        """Take a handle out; the last one ends breaks and holds, and drops RTS and DTR (HUPCL)."""
        stream = self.streams.pop(ident, None)
        if stream is None:
            return
        stream.close()
        if not self.streams:
            self.throttle(t_ns, False)
            self._end_break(t_ns)
            self.bus.hold_tx(t_ns, "xoff", False)
            self.bus.set_modem(t_ns, rts=0, dtr=0)
        self._set_aside()

    def _set_aside(self) -> None:
        if self.pty is not None:
            self.pty.aside = bool(self.streams)

    def hear(self, t_ns: int, octets: bytes) -> None:
        """Hand on what came in; XON and XOFF are for the driver."""
        if self._xonxoff and (XON in octets or XOFF in octets):
            last = max(octets.rfind(XON), octets.rfind(XOFF))
            self.counters["xoff"] += octets.count(XOFF)
            self.bus.hold_tx(t_ns, "xoff", octets[last] == XOFF[0])
            octets = octets.replace(XON, b"").replace(XOFF, b"")
        for stream in self.streams.values():
            stream.give(t_ns, octets)

    def throttle(self, t_ns: int, on: bool) -> None:
        """Stop the other side while a program does not read, or let it go on."""
        if on == self.throttled:
            return
        self.throttled = on
        self.counters["throttled"] += on
        self.bus.throttle(t_ns, on)
        if self._xonxoff:
            self.bus.write(t_ns, XOFF if on else XON)

    # -- requests --------------------------------------------------------------------------------

    def set(self, ident: int, t_ns: int, octets: bytes) -> int:
        """Apply line settings; return an errno."""
        baud, data_bits, parity, half_stops, options, before_ns, after_ns = abi.SETTINGS.unpack(
            octets
        )
        others = [stream for other, stream in self.streams.items() if other != ident]
        wants = bool(options & abi.Option.EXCLUSIVE)
        if any(stream.exclusive for stream in others) or (wants and others):
            return errno.EBUSY
        try:
            self.bus.set_setting(Setting(baud, data_bits, chr(parity), half_stops / 2))
        except ConfigError:
            return errno.EINVAL
        self.streams[ident].exclusive = wants
        self._xonxoff = bool(options & abi.Option.XONXOFF)
        if not self._xonxoff:
            self.bus.hold_tx(t_ns, "xoff", False)
        self.bus.set_flow(t_ns, bool(options & abi.Option.RTSCTS))
        if options & abi.Option.RS485:
            self.bus.set_rs485(RS485(before_ns, after_ns, bool(options & abi.Option.ECHO)))
        elif self.bus.rs485 is not None:
            self.bus.set_rs485(None)
        return 0

    def set_lines(self, t_ns: int, octets: bytes) -> None:
        """Set RTS and DTR, begin or end a break."""
        mask, levels = abi.LINES.unpack(octets)
        bits = {name: _MODEM[name] for name in ("rts", "dtr") if mask & _MODEM[name]}
        if bits:
            self.bus.set_modem(t_ns, **{name: bool(levels & bit) for name, bit in bits.items()})
        if mask & levels & abi.Modem.BREAK and self._break_ns < 0:
            self._break_ns = t_ns
            self.bus.hold_tx(t_ns, "break", True)
        elif mask & ~levels & abi.Modem.BREAK:
            self._end_break(t_ns)

    def _end_break(self, t_ns: int) -> None:
        if self._break_ns >= 0:
            self.bus.send_break(self._break_ns, t_ns - self._break_ns)
            self._break_ns = -1
            self.bus.hold_tx(t_ns, "break", False)

    def state(self, code: int, t_ns: int) -> abi.State:
        """Return what is told of the line."""
        bus = self.bus
        modem = sum(int(bit) for name, bit in _MODEM.items() if bus.modem[name])
        modem |= int(abi.Modem.BREAK) if self._break_ns >= 0 else 0
        queued = sum(unread(stream.mine) for stream in self.streams.values())
        waiting = queued + bus.tx_backlog
        idle_ns = -1
        if not bus.tx_held:
            until_ns = max(bus.tx_idle_ns, t_ns) + bus.line_time_ns(queued)
            idle_ns = max(int(self.loop.present.wait_s(until_ns) * 1e9), 0) if waiting else 0
        icount = {**bus.icount(), "buf_overrun": self.lost}
        return abi.State(code, modem, waiting, idle_ns, icount)
