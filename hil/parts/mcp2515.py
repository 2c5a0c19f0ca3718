"""Microchip MCP2515: a CAN controller behind SPI.

Source: data sheet DS20001801J, sections 3 to 7 (buffers, filters, bit timing, errors, interrupts),
10 (modes), 11 (registers), 12 (SPI instructions).

Its other side is a node of a CAN bus: ``can_bus`` in a board file. Of the three buffers the one of
the highest priority is offered to the bus, one at a time. With a bit timing that is not that of the
bus (more than 1.5 % off) it neither hears nor sends; a real one would destroy frames. Without a bus
nothing acknowledges it. In loopback a frame comes back after its unstuffed time.

Not modelled (touches are counted): one-shot mode, withdrawal of the frame that is offered (others
are aborted), RTS and buffer-full pins, clock output, the wake-up filter. Not modelled either: the
flag MLOA, time stamps, the delay of a change of mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from hil.parts.base import Param, Part
from hil.parts.guide import Command, Guide
from hil.parts.limits import check_limits
from hil.parts.mcp2515_filters import HEADER_NBYTES, accepts, from_registers, to_registers

CANSTAT, CANCTRL, TEC, REC = 0x0E, 0x0F, 0x1C, 0x1D
CNF3, CNF2, CNF1, CANINTE, CANINTF, EFLG = 0x28, 0x29, 0x2A, 0x2B, 0x2C, 0x2D
TXB, RXB = (0x30, 0x40, 0x50), (0x60, 0x70)
NORMAL, SLEEP, LOOPBACK, LISTEN, CONFIG = range(5)
TXREQ, TXERR, ABTF, RXM_ANY, ROLL_OVER = 0x08, 0x10, 0x40, 0x60, 0x04
ERRIF, WAKIF, MERRF = 0x20, 0x40, 0x80
#: registers that BIT MODIFY takes a mask for (table 11-1); elsewhere it writes all bits
MASKED = frozenset((0x0C, 0x0D, 0x0F, CNF3, CNF2, CNF1, CANINTE, CANINTF, EFLG, *TXB, *RXB))
#: registers that can be written, and filters and masks that can be read, in configuration only
CONFIG_ONLY = frozenset((0x0D, *range(12), *range(16, 28), *range(32, 43)))
READ_ONLY = frozenset((CANSTAT, TEC, REC, *range(0x61, 0x6E), *range(0x71, 0x7E)))
#: bits of registers that are stored and have no effect: the pins RXnBF and TXnRTS, one-shot mode
#: and clock output, start of frame on it, the wake-up filter and the number of samples
UNMODELLED = {0x0C: 0x3F, 0x0D: 0x07, CANCTRL: 0x0F, CNF3: 0xC0, CNF2: 0x40}
RESET, READ, WRITE, MODIFY, STATUS, RX_STATUS = 0xC0, 0x03, 0x02, 0x05, 0xA0, 0xB0
_ICOD = ((ERRIF, 1), (WAKIF, 2), (0x04, 3), (0x08, 4), (0x10, 5), (0x01, 6), (0x02, 7))


class Confinement(Protocol):
    """What a bus tells a controller of itself: its node, with the error counters."""

    tec: int
    rec: int
    listen_only: bool

    @property
    def pending(self) -> bool:
        """Whether a frame of it waits or is on the bus."""


class Mcp2515(Part):
    """MCP2515 at register level; ``oscillator`` in Hz."""

    PARAMS: ClassVar[Mapping[str, Param]] = {
        "oscillator": Param("Hz", 16_000_000),
        "can_bus": Param(None, ""),
    }
    GUIDE: ClassVar[Guide] = Guide(
        commands={
            "status": Command(b"\xa0", 1, "READ STATUS"),
            "rx_status": Command(b"\xb0", 1, "RX STATUS"),
            "canstat": Command(b"\x03\x0e", 1, "OPMOD 7:5, ICOD 3:1"),
            "canctrl": Command(b"\x03\x0f", 1, "REQOP 7:5, ABAT 4, OSM 3, CLKEN 2, CLKPRE 1:0"),
            "counters": Command(b"\x03\x1c", 2, "TEC, REC"),
            "cnf": Command(b"\x03\x28", 3, "CNF3, CNF2, CNF1"),
            "flags": Command(b"\x03\x2b", 3, "CANINTE, CANINTF, EFLG"),
        },
        note="send 02RRVV writes register RR; send c0 resets it",
    )
    PINS: ClassVar[Mapping[str, str]] = {"int": "out"}
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"int": 1}
    spi_modes: frozenset[int] = frozenset({0, 3})
    spi_max_hz = 10_000_000

    can_send: Callable[[int, int, bytes], None]
    gpio_drive: Callable[[int, str, int], None]

    def __init__(
        self, name: str, seed: int = 0, oscillator: int = 16_000_000, can_bus: str = ""
    ) -> None:
        super().__init__(name, seed)
        check_limits(name, {"oscillator": (oscillator, 1e6, 40e6)})
        self.oscillator, self.can_bus = oscillator, can_bus
        #: sent, received, filtered (no filter matched), overflow, mismatch (bit rate), aborted
        self.counters = dict.fromkeys(
            ("sent", "received", "filtered", "overflow", "mismatch", "aborted"), 0
        )
        self.values = {}
        self.registers = [0] * 128
        self._node: Confinement | None = None
        self._bus_hz = 0
        self._offered = -1  # the transmit buffer that the bus has
        self._looped: list[tuple[int, int]] = []  # loopback: (end, buffer)
        self._level = 1
        self._octets = bytearray()  # what came in since chip select
        self._reset()

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "counters": dict(self.counters)}

    # Modes and timing -----------------------------------------------------------------------------

    @property
    def mode(self) -> int:
        """The mode of operation: NORMAL to CONFIG."""
        return self.registers[CANSTAT] >> 5

    @property
    def bitrate_hz(self) -> float:
        """The bit rate of CNF1 to CNF3 (section 5.3)."""
        one, two, three = self.registers[CNF1], self.registers[CNF2], self.registers[CNF3]
        phase1 = (two >> 3 & 7) + 1
        phase2 = (three & 7) + 1 if two & 0x80 else max(phase1, 2)
        quanta = 1 + (two & 7) + 1 + phase1 + phase2
        return self.oscillator / (2 * ((one & 0x3F) + 1) * quanta)

    @property
    def _is_off(self) -> bool:
        """Whether the node is in bus off."""
        return self._node is not None and self._node.tec > 255

    def _fits(self) -> bool:
        """Tell whether the bit timing is that of the bus."""
        return abs(self.bitrate_hz - self._bus_hz) <= 0.015 * self._bus_hz

    def _reset(self) -> None:
        self.registers = [0] * 128
        self.registers[CANCTRL], self.registers[CANSTAT] = 0x87, CONFIG << 5
        self._looped.clear()
        self._offered = -1
        self._set_mode(CONFIG)

    def _set_mode(self, mode: int) -> None:
        self.registers[CANSTAT] = self.registers[CANSTAT] & 0x1F | mode << 5
        if self._node is not None:
            self._node.listen_only = mode != NORMAL

    # CAN side -------------------------------------------------------------------------------------

    def can_attached(self, node: Confinement, bitrate_hz: int) -> None:
        """Meet the bus; it calls this once."""
        self._node, self._bus_hz = node, bitrate_hz
        self._set_mode(self.mode)

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame that another node sent."""
        if self.mode in (NORMAL, LISTEN):
            if self._fits():
                self._take(can_id, data)
            else:
                self.counters["mismatch"] += 1
        elif self.mode == SLEEP and self.registers[CANINTE] & WAKIF:
            self.registers[CANINTF] |= WAKIF
            self._set_mode(LISTEN)  # section 10.2.1; the frame that wakes is lost
        self._show(t_ns)

    def can_sent(self, t_ns: int, can_id: int, data: bytes) -> None:
        """See the frame that was offered go out."""
        if self._offered >= 0:
            self._done(self._offered)
            self._offered = -1
            self._offer(t_ns)
        self._show(t_ns)

    def can_state(self, t_ns: int) -> None:
        """Take part again after bus off, which made the bus forget the frame that it was offered.

        The request of that frame stands, so it is offered anew.
        """
        if self._is_off:
            self._offered = -1
        else:
            self._offer(t_ns)

    def can_error(self, t_ns: int, kind: str, sending: bool) -> None:
        """See an error in a frame (sections 3.4 and 7.4)."""
        self.registers[CANINTF] |= MERRF
        if sending and self._offered >= 0:
            self.registers[TXB[self._offered]] |= TXERR
        self._show(t_ns)

    def _done(self, buffer: int) -> None:
        self.registers[TXB[buffer]] &= ~TXREQ
        self.registers[CANINTF] |= 4 << buffer
        self.counters["sent"] += 1

    def _take(self, can_id: int, data: bytes) -> None:
        """Put a frame into the first buffer that accepts it (sections 4.2 and 4.5)."""
        header = to_registers(can_id, data)
        flags = self.registers
        for number in (0, 1):
            anything = flags[RXB[number]] & RXM_ANY == RXM_ANY
            hit = 0 if anything else accepts(flags, number, header)
            if hit < 0:
                continue
            target = number
            if flags[CANINTF] & 1 << number:
                if number == 0 and flags[RXB[0]] & ROLL_OVER and not flags[CANINTF] & 2:
                    target = 1
                else:
                    flags[EFLG] |= 0x40 << number
                    flags[CANINTF] |= ERRIF  # section 7.6: an overflow is an error too
                    self.counters["overflow"] += 1
                    return
            base = RXB[target]
            flags[base + 1 : base + 1 + len(header)] = header
            rtr = 8 if can_id >> 30 & 1 else 0
            mask = 0xF6 if target == 0 else 0xF0
            flags[base] = flags[base] & mask | rtr | (hit & 1 if target == 0 else hit)
            flags[CANINTF] |= 1 << target
            self.counters["received"] += 1
            return
        self.counters["filtered"] += 1

    def _offer(self, t_ns: int) -> None:
        """Offer the waiting buffer of the highest priority (section 3.2)."""
        waiting = [n for n in range(3) if self.registers[TXB[n]] & TXREQ]
        if not waiting or self._offered >= 0:
            return
        best = max(waiting, key=lambda n: (self.registers[TXB[n]] & 3, n))
        if self.mode == LOOPBACK:
            self._loop(t_ns, waiting)
        elif self.mode == NORMAL and self._node is None:
            self.registers[TEC] = 128  # nobody acknowledges: error passive, for ever trying
            self.registers[CANINTF] |= MERRF
        elif self.mode == NORMAL and self._fits():
            if not self._is_off:
                self._hand_over(t_ns, best)
        elif self.mode == NORMAL:
            self.counters["mismatch"] += 1

    def _hand_over(self, t_ns: int, buffer: int) -> None:
        """Offer a buffer to the bus; of a frame that gets lost on the way it believes it sent."""
        assert self._node is not None, "only a node offers"
        self._offered = buffer
        self.can_send(t_ns, *from_registers(self.registers, TXB[buffer] + 1))
        if not self._node.pending:
            self.can_sent(t_ns, 0, b"")

    def _loop(self, t_ns: int, waiting: list[int]) -> None:
        pending = [buffer for _, buffer in self._looped]
        for buffer in sorted(waiting, key=lambda n: (-(self.registers[TXB[n]] & 3), -n)):
            if buffer not in pending:
                can_id, data = from_registers(self.registers, TXB[buffer] + 1)
                nbits = (67 if can_id >> 31 else 47) + 8 * len(data)
                start_ns = max([t_ns, *(end_ns for end_ns, _ in self._looped)])
                end_ns = start_ns + round(nbits * 1e9 / self.bitrate_hz)
                self._looped.append((end_ns, buffer))

    def _refresh(self, t_ns: int) -> None:
        """Bring counters, flags and looped frames up to ``t_ns``."""
        while self._looped and self._looped[0][0] <= t_ns:
            _, buffer = self._looped.pop(0)
            if self.registers[TXB[buffer]] & TXREQ:
                self._done(buffer)
                self._take(*from_registers(self.registers, TXB[buffer] + 1))
        values = self.registers
        if self._node is not None:
            values[TEC], values[REC] = min(self._node.tec, 255), self._node.rec
        sent, heard = values[TEC], values[REC]
        errors = (max(sent, heard) >= 96) | (heard >= 96) << 1 | (sent >= 96) << 2
        errors |= (heard >= 128) << 3 | (sent >= 128) << 4 | self._is_off << 5
        if errors != values[EFLG] & 0x3F:
            values[EFLG] = values[EFLG] & 0xC0 | errors
            values[CANINTF] |= ERRIF
        self._show(t_ns)

    def _show(self, t_ns: int) -> None:
        """Set the interrupt code and the pin INT."""
        active = self.registers[CANINTE] & self.registers[CANINTF]
        code = next((code for flag, code in _ICOD if active & flag), 0)
        self.registers[CANSTAT] = self.registers[CANSTAT] & 0xE0 | code << 1
        level = int(not active)
        if level != self._level:
            self._level = level
            drive = getattr(self, "gpio_drive", None)
            if drive is not None:
                drive(t_ns, "int", level)

    # SPI side -------------------------------------------------------------------------------------

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active: the next octet is an instruction."""
        self._octets.clear()
        self._refresh(t_ns)

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Take an instruction and its octets one by one."""
        return bytes(self._step(t_ns, octet) for octet in tx)

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive; a read of a receive buffer frees it now."""
        if self._octets and self._octets[0] & 0xF9 == 0x90:
            self.registers[CANINTF] &= ~(2 if self._octets[0] & 4 else 1)
        self._show(t_ns)

    def _step(self, t_ns: int, octet: int) -> int:
        """Take one octet, answer one."""
        self._octets.append(octet)
        taken, count = self._octets, len(self._octets)
        code = taken[0]
        if count == 1:
            if code == RESET:
                self._reset()
            elif code & 0xF8 == 0x80:
                for buffer in range(3):
                    if code >> buffer & 1:
                        self._write(t_ns, TXB[buffer], self.registers[TXB[buffer]] | TXREQ)
            elif code not in (READ, WRITE, MODIFY, STATUS, RX_STATUS) and not (
                code & 0xF9 == 0x90 or (code & 0xF8 == 0x40 and code & 7 < 6)
            ):
                self.touch(f"instruction {code:02X}h")
            return 0xFF
        if code == READ and count > 2:
            return self._read(taken[1] + count - 3)
        if code == WRITE and count > 2:
            self._write(t_ns, (taken[1] + count - 3) & 0x7F, octet)
        elif code == MODIFY and count == 4:
            self._modify(t_ns, taken[1] & 0x7F, taken[2], octet)
        elif code & 0xF9 == 0x90:
            base = RXB[code >> 2 & 1] + (6 if code & 2 else 1)
            return self._read(base + count - 2)
        elif code & 0xF8 == 0x40 and code & 7 < 6:
            at = (6 if code & 1 else 1) + count - 2
            if at <= HEADER_NBYTES + 8:
                self._write(t_ns, TXB[code >> 1 & 3] + at, octet)
        elif code == STATUS:
            return self._status()
        elif code == RX_STATUS:
            return self._rx_status()
        return 0xFF

    def _read(self, address: int) -> int:
        address &= 0x7F
        if address & 0x0F in (CANSTAT, CANCTRL):  # they appear in every row of the map
            address &= 0x0F
        if address in CONFIG_ONLY and address < CNF3 and self.mode != CONFIG and address != 0x0D:
            return 0  # section 4.5: filters and masks read 0 outside of configuration
        return self.registers[address]

    def _modify(self, t_ns: int, address: int, mask: int, octet: int) -> None:
        if address & 0x0F == CANCTRL:
            address = CANCTRL
        if address not in MASKED:
            mask = 0xFF
        self._write(t_ns, address, self.registers[address] & ~mask | octet & mask)

    def _write(self, t_ns: int, address: int, octet: int) -> None:
        """Write a register under its rules."""
        if address & 0x0F in (CANSTAT, CANCTRL):
            address &= 0x0F
        if address in READ_ONLY or (address in CONFIG_ONLY and self.mode != CONFIG):
            return
        old = self.registers[address]
        if address in TXB:
            self.registers[address] = old & 0x70 | octet & 0x0B
            if old & TXREQ and not octet & TXREQ:
                self._abort(TXB.index(address))
            elif octet & TXREQ:
                self.registers[address] &= ~(ABTF | TXERR)
                self._offer(t_ns)
            return
        if address in RXB:
            if address == RXB[0]:  # BUKT1 is a copy of BUKT
                octet = old & 0x09 | octet & 0x64 | (octet & ROLL_OVER) >> 1
            else:
                octet = old & 0x0F | octet & 0x60
        elif address == EFLG:
            octet = old & 0x3F | octet & 0xC0
        unmodelled = (old ^ octet) & UNMODELLED.get(address, 0)
        if unmodelled:
            self.touch(f"write register {address:02X}h bits {unmodelled:02X}h")
        self.registers[address] = octet
        if address == CANCTRL:
            self._control(t_ns, octet)
        self._show(t_ns)

    def _control(self, t_ns: int, octet: int) -> None:
        """Change the mode, or abort everything."""
        if octet & 0x10:
            for buffer in range(3):
                if self.registers[TXB[buffer]] & TXREQ:
                    self._abort(buffer)
        if octet >> 5 <= CONFIG and self._offered < 0:
            self._set_mode(octet >> 5)
            self._offer(t_ns)

    def _abort(self, buffer: int) -> None:
        control = TXB[buffer]
        if buffer == self._offered:
            self.touch("abort of the frame on the bus")
            self.registers[control] |= TXREQ
            return
        self.registers[control] = self.registers[control] & ~TXREQ | ABTF
        self._looped = [entry for entry in self._looped if entry[1] != buffer]
        self.counters["aborted"] += 1

    def _status(self) -> int:
        """Return the octet of READ STATUS (figure 12-8)."""
        flags = self.registers[CANINTF]
        status = flags & 3
        for buffer in range(3):
            requested = bool(self.registers[TXB[buffer]] & TXREQ)
            status |= (requested | (flags >> (2 + buffer) & 1) << 1) << (2 + 2 * buffer)
        return status

    def _rx_status(self) -> int:
        """Return the octet of RX STATUS (figure 12-9)."""
        full = self.registers[CANINTF] & 3
        if not full:
            return 0
        base = RXB[0 if full & 1 else 1]
        extended = self.registers[base + 2] >> 3 & 1
        remote = self.registers[base] >> 3 & 1
        hit = self.registers[base] & (1 if full & 1 else 7)
        if not full & 1 and hit < 2:
            hit += 6  # a filter of buffer 0, rolled over
        return full << 6 | extended << 4 | remote << 3 | hit
