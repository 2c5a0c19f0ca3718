"""An emulated serial line: exact line time, full duplex, modem lines, RS-485, faults.

Each direction is a queue that leaves at the line rate; see ``hil.buses.uart_way``. An octet takes
``start + data + parity + stop`` bits. A record shows the payload computer's end of the line: what
it sent, and what it received. A break that it receives is a record of one zero octet with status
FRAMING and address 1.

RTS and DTR of the payload computer reach the device (``uart_modem``), which moves CTS, DSR, RI and
CD with the ``uart_lines`` it is given. With ``flow`` the payload computer sends only while CTS is
on, and takes RTS away while its FIFO is full, upon which a device stops.

On RS-485 two ends that drive at once hear nothing of each other.

Both ends have their own setting; how a receiver reads what was sent with another one follows from
the wave form (``uart_wave``). Instead of a device a line may have another line of the payload
computer at its end, or itself: :meth:`UARTPort.wire`.

Not modelled: levels and noise of the line, 9-bit addresses. Software flow control (XON, XOFF) is a
matter of drivers; interceptors and faults of two wired lines are those of the end that sends, and
of the receiving end those of direction ``rx``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.intercept import QUEUED, Crossing, Interceptor, Result, through
from hil.buses.line_faults import KINDS, LineFault, damage
from hil.buses.uart_modem import MODEM_INPUTS, MODEM_OUTPUTS, RS485, Fifo
from hil.buses.uart_port import BREAK, UARTPort
from hil.buses.uart_wave import Setting, checked, far_off, resample, understands
from hil.buses.uart_way import CHUNK_NBYTES, Way
from hil.errors import ConfigError
from hil.parts.base import Scheduler, UARTDevice, stream, unwired
from hil.parts.fault_windows import FaultWindows
from hil.time.phase import Phase

__all__ = ["BREAK", "CHUNK_NBYTES", "RS485", "UARTBus"]


class UARTBus(UARTPort):
    """A serial line between the payload computer and one device.

    ``data_bits``, ``parity`` and ``stop_bits`` as in :class:`~hil.buses.uart_wave.Setting`;
    ``rx_fifo`` is how many octets the payload computer's driver holds unread (octets), told to it
    by :meth:`describe`;
    ``fifo`` is what its UART holds while the driver is kept away (16550: 16). ``flow`` is RTS/CTS.
    """

    kind = "uart"

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        source: int,
        emit: Emit,
        baud: int,
        data_bits: int = 8,
        parity: str = "N",
        stop_bits: float = 1,
        rx_fifo: int = 4096,
        seed: int = 0,
        fifo: int = 16,
        flow: bool = False,
        rs485: RS485 | None = None,
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self.source = source
        #: of the payload computer's end, and of the device's
        self.setting = checked(name, Setting(baud, data_bits, parity, stop_bits))
        self.device_setting = self.setting
        self.rx_fifo = rx_fifo
        self.flow = flow
        self.rs485 = rs485
        #: levels of the modem lines; the payload computer's are on while its port is open
        self.modem: dict[str, int] = dict.fromkeys((*MODEM_INPUTS, *MODEM_OUTPUTS), 1) | {"ri": 0}
        self.faults: FaultWindows[LineFault] = FaultWindows(f"uart {name}", KINDS)
        self.counters: dict[str, int] = dict.fromkeys(
            (
                *(*KINDS, "baud_mismatch", "format_mismatch", "cut_octets", "late", "unattached"),
                "tx_octets",
                *("rx_octets", "break", "collision", "intercepted"),
                *("rx_framing", "rx_overrun", "rx_parity"),
                *(f"{line}_changes" for line in MODEM_INPUTS),
            ),
            0,
        )
        #: called before octets reach the payload computer: to follow a rate that it has changed
        self.before_receive: Callable[[], None] = lambda: None
        #: called when octets have left, or what was held back may leave: there is room for more
        self.after_send: list[Callable[[int], None]] = []
        #: called when rate or format of the payload computer's end have changed
        self.after_setting: list[Callable[[], None]] = []
        #: called (when, 1 if the device did it) when a modem line has changed
        self.after_lines: list[Callable[[int, int], None]] = []
        #: further flags of the records of what is received
        self.rx_flags = 0
        self._emit = emit
        self._random = stream(seed, name)
        self._device: UARTDevice | None = None
        self._far: UARTPort | None = None
        self._holds: set[str] = set()
        self._tx = Way(scheduler, source, self.line_time_ns, self._sent)
        self._rx = Way(scheduler, source, lambda n: self.device_setting.time_ns(n), self._received)
        self._tx.lead_ns = rs485.before_ns if rs485 else 0
        self._fifo = Fifo(fifo)
        self.set_flow(0, flow)
        self._interceptor: Interceptor | None = None

    def line_time_ns(self, noctets: int) -> int:
        """Return how long ``noctets`` octets back to back take, nearest nanosecond."""
        return self.setting.time_ns(noctets)

    @property
    def baud(self) -> int:
        """Rate of the payload computer's end."""
        return self.setting.baud

    def attach(
        self, device: UARTDevice, baud: int | None = None, setting: Setting | None = None
    ) -> None:
        """Connect the one device of this line; ``baud`` or ``setting`` is its own if it differs.

        A device that keeps a rate of its own has ``uart_attached(baud)``, which tells it that of
        the line and returns its own, and changes it by ``uart_set_baud(t_ns, baud)``.
        """
        if self._device is not None or self._far is not None:
            raise ConfigError(f"uart {self.name}: two devices on one line; remove one")
        self._device = device
        setting = setting or self.setting._replace(baud=self.baud if baud is None else baud)
        self.device_setting = checked(self.name, setting)
        device.uart_send = partial(self._offer, str(getattr(device, "name", "device")))
        given = {"uart_lines": self._lines, "uart_send_break": self._break_in}
        for name, method in (given | {"uart_set_baud": self._set_device_baud}).items():
            setattr(device, name, method)
        if hasattr(device, "uart_attached"):
            own = device.uart_attached(self.device_setting.baud)
            self.device_setting = checked(self.name, self.device_setting._replace(baud=own))

    def set_baud(self, baud: int) -> None:
        """Set the payload computer's rate; what is queued already leaves at the old one."""
        self.set_setting(self.setting._replace(baud=baud))

    def set_setting(self, setting: Setting) -> None:
        """Set rate and format of the payload computer's end, as :meth:`set_baud` does."""
        self.setting = checked(self.name, setting)
        for way in (self._tx, self._rx):
            way.new_burst()
        for told in self.after_setting:
            told()

    def detach(self) -> UARTDevice:
        """Take the device off the line; what it still sends goes nowhere. Return it."""
        device = self._device
        if device is None:
            raise ConfigError(f"uart {self.name}: no device to detach")
        self._device = None
        device.uart_send = unwired
        for name in ("uart_lines", "uart_send_break", "uart_set_baud"):
            setattr(device, name, unwired)
        return device

    def _set_device_baud(self, t_ns: int, baud: int) -> None:
        """Have the device's end change its rate once what it has sent is out."""

        def change(t_ns: int) -> None:
            self.device_setting = self.device_setting._replace(baud=baud)
            self._rx.new_burst()

        if self._rx.free_ns <= t_ns:
            change(t_ns)
        else:
            self.scheduler.at(self._rx.free_ns, Phase.BUS, self.source, change)

    def write(self, t_ns: int, data: bytes) -> None:
        """Queue octets of the payload computer; they leave at ``t_ns`` or when the line is free."""
        if data:
            self._offer(self.name, t_ns, data)

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable between both ends and the line; None takes it out."""
        self._interceptor = interceptor

    def power_off(self) -> None:
        """Lose what the payload computer has not sent yet, as when its supply is cut."""
        self.counters["cut_octets"] += self._tx.clear()

    @property
    def tx_backlog(self) -> int:
        """Octets written and not yet sent to the last bit."""
        return self._tx.pending

    @property
    def rx_backlog(self) -> int:
        """Octets of the device that are not yet through."""
        return self._rx.pending

    @property
    def tx_idle_ns(self) -> int:
        """When the line away from the payload computer is, or was last, free."""
        return self._tx.free_ns

    def describe(self) -> dict[str, Any]:
        """Return the line settings."""
        return {
            "baud": self.baud,
            "data_bits": self.setting.data_bits,
            "parity": self.setting.parity,
            "stop_bits": self.setting.stop_bits,
            "rx_fifo": self.rx_fifo,
        }

    # -- both directions -------------------------------------------------------------------------

    def _offer(self, sender: str, t_ns: int, data: bytes) -> None:
        """Take octets from one end, by way of the interceptor."""
        if self._interceptor is None and not self.faults and data:
            if t_ns < self.scheduler.now_ns:
                self.counters["late"] += 1
                t_ns = self.scheduler.now_ns
            (self._tx if sender == self.name else self._rx).push(t_ns, data)
            return
        offered = Crossing(t_ns, sender, 0, data)

        def forward(crossing: Crossing) -> Result:
            t_ns = crossing.t_ns
            touched = crossing is not offered
            direction = "tx" if crossing.sender == self.name else "rx"
            for fault in self.faults.at(t_ns) if self.faults else ():
                if fault.kind == "delay" and fault.direction in ("both", direction):
                    self.counters["delay"] += 1
                    t_ns, touched = t_ns + fault.value_ns, True
            if t_ns < self.scheduler.now_ns:
                self.counters["late"] += 1
                t_ns = self.scheduler.now_ns
            if crossing.content:
                (self._tx if direction == "tx" else self._rx).push(t_ns, crossing.content, touched)
            return QUEUED

        if self._interceptor is None:
            forward(offered)
        else:
            self.counters["intercepted"] += through(self._interceptor, offered, forward)[1]

    def _sent(self, start_ns: int, end_ns: int, chunk: bytes, touched: bool) -> None:
        self.counters["tx_octets"] += len(chunk)
        read = self.device_setting if self._far is None else self.setting
        chunk = self.setting.cut(chunk)
        data, status = self._pass(chunk, start_ns, "tx", self.setting, read)
        if self.rs485 is not None and self._overlaps(self._rx, start_ns, end_ns):
            self.counters["collision"] += 1
            data, status = b"", int(Status.FRAMING)
        flags = Flag.FAULTED if status or touched else 0
        self._emit(start_ns, end_ns - start_ns, int(flags), status, 0, chunk)
        if self._far is not None:
            self._far.heard(start_ns, end_ns, data, bool(flags), self.setting)
        elif self._device is None:
            self.counters["unattached"] += len(chunk)
        elif data:
            self._device.uart_receive(end_ns, data)
        if self.rs485 is not None and self.rs485.echo:
            self._take(start_ns, end_ns, chunk, status, False)
        for told in self.after_send:
            told(end_ns)

    def _received(self, start_ns: int, end_ns: int, chunk: bytes, touched: bool) -> None:
        self.heard(start_ns, end_ns, self.device_setting.cut(chunk), touched, self.device_setting)

    def heard(self, start_ns: int, end_ns: int, chunk: bytes, touched: bool, sent: Setting) -> None:
        """Receive octets that left the other end in this time, with its setting ``sent``."""
        self.before_receive()
        data, status = self._pass(chunk, start_ns, "rx", sent, self.setting)
        if self.rs485 is not None and self._overlaps(self._tx, start_ns, end_ns):
            self.counters["collision"] += 1
            return
        self._take(start_ns, end_ns, data, status, touched)

    def _take(self, start_ns: int, end_ns: int, data: bytes, status: int, touched: bool) -> None:
        """Bring octets to the payload computer's driver, or into a FIFO that it does not empty."""
        if not data:
            return
        if self.faults:
            for fault in self.faults.at(end_ns):
                if fault.kind == "stall":
                    self._stall(start_ns, end_ns, data, fault.until_ns)
                    return
        self.counters["rx_octets"] += len(data)
        flags = Flag.INPUT | Flag.FAULTED if status or touched else Flag.INPUT
        more = int(flags) | self.rx_flags
        self._emit(start_ns, end_ns - start_ns, more, status, 0, data)

    def _overlaps(self, other: Way, start_ns: int, end_ns: int) -> bool:
        """Tell whether the other end drives the line in this time, its driver's delays included."""
        assert self.rs485 is not None
        before_ns, after_ns, _ = self.rs485 if other is self._tx else (0, 0, False)
        driving = other.sent > 0 and other.base_ns - before_ns < end_ns
        return driving and other.free_ns + after_ns > start_ns

    # -- damage ----------------------------------------------------------------------------------

    def _pass(
        self, chunk: bytes, t_ns: int, direction: str, sent: Setting, read: Setting
    ) -> tuple[bytes, int]:
        """Return what the receiving end gets of ``chunk``, and the status."""
        status = int(Status.OK)
        counters = self.counters
        if not understands(read, sent):
            chunk, discarded, odd = resample(chunk, sent, read)
            counters["baud_mismatch" if far_off(sent, read) else "format_mismatch"] += 1
            self._spoilt(direction, {"framing": discarded, "parity": odd})
            status = int(Status.FRAMING if discarded else Status.DAMAGED)
        if self.faults:
            faults = [row for row in self.faults.at(t_ns) if row.direction in ("both", direction)]
            if faults:
                before = dict(counters)
                has_parity = read.parity != "N"
                chunk, hit = damage(chunk, faults, self._random, counters, has_parity)
                status = hit or status
                for kind in ("framing", "overrun", "parity") if direction == "rx" else ():
                    counters[f"rx_{kind}"] += counters[kind] - before[kind]
        return chunk, status

    def _spoilt(self, direction: str, counts: dict[str, int]) -> None:
        """Count octets that a receiver finds fault with, and those of our own port again."""
        for kind, count in counts.items():
            self.counters[kind] += count
            self.counters[f"rx_{kind}"] += count if direction == "rx" else 0
