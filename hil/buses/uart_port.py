"""A serial port beside its data: breaks, modem lines, counters, a FIFO that is not emptied.

What the payload computer sends is held back while there is any reason to: CTS that is off, an XOFF
that a driver has heard, a break.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.uart_modem import ICOUNT, MODEM_INPUTS, MODEM_OUTPUTS, RS485, Fifo
from hil.buses.uart_wave import Setting
from hil.buses.uart_way import CHUNK_NBYTES, Way
from hil.errors import ConfigError
from hil.parts.base import Scheduler, UARTDevice
from hil.time.phase import Phase

#: Address of the record of a break.
BREAK: Final = 1


class UARTPort:
    """What :class:`hil.buses.uart.UARTBus` has beside its two directions."""

    name: str
    scheduler: Scheduler
    source: int
    flow: bool
    modem: dict[str, int]
    counters: dict[str, int]
    before_receive: Callable[[], None]
    rs485: RS485 | None
    after_send: list[Callable[[int], None]]
    after_lines: list[Callable[[int, int], None]]
    _device: UARTDevice | None
    _far: UARTPort | None
    _holds: set[str]
    _tx: Way
    _rx: Way
    _fifo: Fifo
    _emit: Emit

    def line_time_ns(self, noctets: int) -> int:
        """Return how long ``noctets`` octets back to back take, nearest nanosecond."""
        raise NotImplementedError

    def heard(self, start_ns: int, end_ns: int, chunk: bytes, touched: bool, sent: Setting) -> None:
        """Receive octets that left the other end in this time, with its setting ``sent``."""
        raise NotImplementedError

    def wire(self, far: UARTPort) -> None:
        """Put a line of the payload computer at the end of this one, or itself, by a null modem.

        TX of each to RX of the other, RTS to CTS, DTR to DSR and CD.
        """
        for one, other in ((self, far), (far, self)):
            if one._device is not None or one._far not in (None, other):
                raise ConfigError(f"uart {one.name}: has something at its end already; remove that")
        self._far, far._far = far, self

    def send_break(self, t_ns: int, duration_ns: int) -> None:
        """Hold the line low for longer than an octet; the device sees it in ``uart_break``."""
        if self._far is not None:
            self._far._break_in(t_ns, duration_ns)
        told = getattr(self._device, "uart_break", None)
        if told is not None and duration_ns >= self.line_time_ns(1):
            self.scheduler.at(t_ns + duration_ns, Phase.BUS, self.source, told)

    def show(self, t_ns: int, address: int, flags: int, data: bytes) -> None:
        """Count octets from outside the line as received."""
        self.before_receive()
        self.counters["rx_octets"] += len(data)

    # -- what we send ----------------------------------------------------------------------------

    def hold_tx(self, t_ns: int, reason: str, on: bool) -> None:
        """Hold back what we send for a reason, or no longer for this one."""
        (self._holds.add if on else self._holds.discard)(reason)
        if bool(self._holds) != self._tx.holding:
            (self._tx.hold if self._holds else self._tx.resume)(t_ns)
            for told in () if self._holds else self.after_send:
                told(t_ns)

    @property
    def tx_held(self) -> bool:
        """Whether there is a reason to hold back what we send."""
        return bool(self._holds)

    def discard_tx(self) -> int:
        """Forget what has not been sent; return how many octets, which are counted."""
        count = self._tx.clear()
        self.counters["cut_octets"] += count
        return count

    # -- flow control and RS-485 -----------------------------------------------------------------

    def set_flow(self, t_ns: int, on: bool) -> None:
        """Turn RTS/CTS flow control on or off."""
        self.flow = on
        # As late as RTS can be heeded.
        self._rx.chunk_nbytes = max(self._fifo.depth // 4, 1) if on else CHUNK_NBYTES
        self.hold_tx(t_ns, "cts", on and not self.modem["cts"])

    def throttle(self, t_ns: int, on: bool) -> None:
        """Take RTS away while a driver has no room, upon which a device stops, or give it back."""
        if on != self._rx.holding and (self.flow or not on):
            self.set_modem(t_ns, rts=int(not on))
            (self._rx.hold if on else self._rx.resume)(t_ns)

    def set_rs485(self, rs485: RS485 | None) -> None:
        """Make the line one of two wires that one side at a time drives, or no longer."""
        self.rs485 = rs485
        self._tx.lead_ns = rs485.before_ns if rs485 else 0

    # -- modem lines, counters -------------------------------------------------------------------

    def set_modem(self, t_ns: int, **levels: int) -> None:
        """Set ``rts`` and ``dtr`` of the payload computer."""
        before = dict(self.modem)
        for line, level in levels.items():
            if line not in MODEM_OUTPUTS:
                raise ConfigError(f"uart {self.name}: {line} is not an output; give rts or dtr")
            self.modem[line] = int(bool(level))
        if self.modem != before:
            for noted in self.after_lines:
                noted(t_ns, 0)
        if self._far is not None:
            rts, dtr = self.modem["rts"], self.modem["dtr"]
            self._far._lines(t_ns, cts=rts, dsr=dtr, cd=dtr)
        told = getattr(self._device, "uart_modem", None)
        if told is not None:
            told(t_ns, self.modem["rts"], self.modem["dtr"])

    def icount(self) -> dict[str, int]:
        """Return the counters of the payload computer's port as ``TIOCGICOUNT`` names them."""
        counters = self.counters
        found = dict.fromkeys(ICOUNT, 0)
        found |= {name: counters[f"{line}_changes"] for line, name in MODEM_INPUTS.items()}
        found |= {"rx": counters["rx_octets"], "tx": counters["tx_octets"]}
        found |= {"frame": counters["rx_framing"], "overrun": counters["rx_overrun"]}
        return found | {"parity": counters["rx_parity"], "brk": counters["break"]}

    def _stall(self, start_ns: int, end_ns: int, data: bytes, until_ns: int) -> None:
        """Keep octets in the FIFO until the driver comes back; without flow control some are lost.

        With it RTS goes away when the FIFO is full, and the device stops at the next octet.
        """
        self.counters["stall"] += len(data)
        first = not self._fifo.octets
        if self.flow:
            room = self._fifo.room
            self._fifo.take(start_ns, data[:room])
            if not self._fifo.room and not self._rx.holding:
                self.set_modem(end_ns, rts=0)
                self._rx.hold(end_ns)
            self._rx.put_back(data[room:])
        else:
            lost = self._fifo.take(start_ns, data)
            self.counters["overrun"] += lost
            self.counters["rx_overrun"] += lost
        if first and self._fifo.octets:
            self.scheduler.at(until_ns, Phase.BUS, self.source, self._drain)

    def _drain(self, t_ns: int) -> None:
        start_ns, octets, lost = self._fifo.drain()
        self.counters["rx_octets"] += len(octets)
        flags = int(Flag.INPUT | Flag.FAULTED)
        self._emit(start_ns, t_ns - start_ns, flags, int(Status.OK), 0, octets)
        if lost:
            self._emit(t_ns, 0, flags, int(Status.OVERRUN), 0, lost)
        if self.flow and self._rx.holding:
            self.set_modem(t_ns, rts=1)
            self._rx.resume(t_ns)

    def _lines(self, t_ns: int, **levels: int) -> None:
        """Take CTS, DSR, RI and CD from the device; with flow control CTS holds what we send."""
        before = dict(self.modem)
        for line, level in levels.items():
            if line not in MODEM_INPUTS:
                raise ConfigError(
                    f"uart {self.name}: {line} is not an input; give cts, dsr, ri, cd"
                )
            if self.modem[line] != int(bool(level)):
                self.modem[line] = int(bool(level))
                self.counters[f"{line}_changes"] += 1
        if self.modem != before:
            for noted in self.after_lines:
                noted(t_ns, 1)
        self.hold_tx(t_ns, "cts", self.flow and not self.modem["cts"])

    def _break_in(self, t_ns: int, duration_ns: int) -> None:
        """Hear a break of the device: one octet of zeros, once it has lasted that long."""
        if duration_ns < self.line_time_ns(1):
            return
        self.scheduler.at(t_ns + duration_ns, Phase.BUS, self.source, partial(self._broken, t_ns))

    def _broken(self, start_ns: int, t_ns: int) -> None:
        self.counters["break"] += 1
        status = int(Status.FRAMING)
        self._emit(start_ns, t_ns - start_ns, int(Flag.INPUT), status, BREAK, b"\0")
