"""Microchip MCP23017: 16 pins in two ports, with pull-ups, polarity and interrupt on change.

Source: data sheet DS20001952C, sections 3.2.1 (byte and sequential mode), 3.5 (registers, table 3-1
to 3-3), 3.6 (interrupt logic). The world sets ``gpa0`` to ``gpb7`` (0 or 1) and asks
:meth:`Mcp23017.output`; a pin that nobody drives reads 1 with its pull-up on, else 0. INTA and INTB
are pins of the part on a board, and :meth:`Mcp23017.interrupt`.

Addresses inside are those of IOCON.BANK = 0; the other order is translated at the bus. Not
modelled: slew rate control (DISSLW, tagged), an open-drain interrupt without a pull-up, what an
output that is short-circuited reads, RESET.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity, Scheduler, unwired
from hil.parts.guide import Guide
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro

IODIR, IPOL, GPINTEN, DEFVAL, INTCON, IOCON, GPPU, INTF, INTCAP, GPIO, OLAT = range(0, 22, 2)
BANK, MIRROR, SEQOP, ODR, INTPOL = 1 << 7, 1 << 6, 1 << 5, 1 << 2, 1 << 1
_NAMES = (
    *("IODIR", "IPOL", "GPINTEN", "DEFVAL", "INTCON", "IOCON"),
    *("GPPU", "INTF", "INTCAP", "GPIO", "OLAT"),
)


def _rows() -> tuple[Register, ...]:
    rows = []
    for n, name in enumerate(_NAMES):
        for port in (0, 1):
            at, label = 2 * n + port, name + "AB"[port]
            if name in ("INTF", "INTCAP"):
                rows.append(ro(at, label))
            elif name == "IOCON":
                rows.append(Register(at, label, writable=0xFE, unmodelled=0x10))
            else:
                rows.append(Register(at, label, 0xFF if name == "IODIR" else 0))
    return tuple(rows)


#: address inside by address on the bus, for BANK 0 and 1; what is not there is -1
_PLACES = (
    tuple(range(22)) + (-1,) * 234,
    tuple(2 * (at & 15) + (at >> 4) if at & 15 < 11 and at < 32 else -1 for at in range(256)),
)
_PORTS = (*range(0, 22, 2), *range(1, 22, 2))
#: pointer after each address inside: in sequence by BANK, in byte mode by BANK (section 3.2.1)
_SEQUENCE = (
    [(at + 1) % 22 for at in range(22)],
    [_PORTS[(_PORTS.index(at) + 1) % 22] for at in range(22)],
)
_BYTE = ([at ^ 1 for at in range(22)], list(range(22)))


class Mcp23017(RegisterTarget):
    """MCP23017 at register level."""

    MAP = RegisterMap(_rows(), size=22)
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        f"gp{port}{n}": Quantity("1", 0.0, 1.0, 0.5) for port in "ab" for n in range(8)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pins A2, A1, A0 (section 3.3.1)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x20, 0x28))
    GUIDE: ClassVar[Guide] = Guide(
        fields={"IOCONA": "BANK 7, MIRROR 6, SEQOP 5, DISSLW 4, HAEN 3, ODR 2, INTPOL 1"},
        # BANK moves every register; the ports are what is on the pins.
        volatile={"IOCONA": 0x80, "IOCONB": 0x80, "GPIOA": 0xFF, "GPIOB": 0xFF},
    )
    #: direction of each pin on a board, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"inta": "out", "intb": "out"}
    #: INTPOL is 0 after power-up: active is low
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"inta": 1, "intb": 1}

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self._driven = [0, 0]  # pins that the world drives, and their levels
        self._levels = [0, 0]
        self._was = [0, 0]  # what the interrupt logic saw last
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self._scheduler: Scheduler | None = None
        self._shown = [1, 1]  # levels of INTA and INTB
        self._off_map = False  # the pointer is at an address that is not there

    # World face -----------------------------------------------------------------------------------

    def set(self, quantity: str, value: float) -> None:
        """Drive a pin."""
        super().set(quantity, value)
        port, bit = "ab".index(quantity[2]), 1 << int(quantity[3])
        self._driven[port] |= bit
        self._levels[port] = self._levels[port] & ~bit | (bit if value >= 0.5 else 0)
        self._look(port)

    def release(self, quantity: str) -> None:
        """Stop driving a pin; a pull-up takes it high if it is on."""
        port, bit = "ab".index(quantity[2]), 1 << int(quantity[3])
        self.values.pop(quantity, None)
        self._driven[port] &= ~bit
        self._look(port)

    def output(self, pin: str) -> int | None:
        """Return the level that the part drives a pin to, None while the pin is an input."""
        port, n = "ab".index(pin[2]), int(pin[3])
        if self.file.values[IODIR + port] >> n & 1:
            return None
        return self.file.values[OLAT + port] >> n & 1

    def interrupt(self, port: int) -> bool:
        """Tell whether INTA (0) or INTB (1) is active."""
        values = self.file.values
        return bool(values[INTF + port] or (values[IOCON] & MIRROR and values[INTF + 1 - port]))

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Learn where the time of a change in the world comes from."""
        self._scheduler = scheduler

    def _drive(self) -> None:
        """Show the interrupts on the pins (section 3.5.6: ODR wins over INTPOL)."""
        iocon = self.file.values[IOCON]
        active = 1 if iocon & INTPOL and not iocon & ODR else 0
        for port in (0, 1):
            level = active if self.interrupt(port) else 1 - active
            if level != self._shown[port]:
                self._shown[port] = level
                now_ns = self._scheduler.now_ns if self._scheduler is not None else 0
                self.gpio_drive(now_ns, "int" + "ab"[port], level)

    # Pins -----------------------------------------------------------------------------------------

    def _pins(self, port: int) -> int:
        """Return the levels on the pins of a port."""
        values, driven = self.file.values, self._driven[port]
        undriven = values[GPPU + port] & ~driven
        levels = self._levels[port] & driven | undriven
        inputs = values[IODIR + port]
        return levels & inputs | values[OLAT + port] & ~inputs & 0xFF

    def _look(self, port: int) -> None:
        """Run the interrupt logic on a port (section 3.6)."""
        values = self.file.values
        now = self._pins(port) ^ values[IPOL + port] & values[IODIR + port]
        values[GPIO + port] = now
        compared = values[INTCON + port]
        changed = (now ^ values[DEFVAL + port]) & compared | (now ^ self._was[port]) & ~compared
        raised = changed & values[GPINTEN + port] & values[IODIR + port]
        if raised and not values[INTF + port]:
            values[INTF + port], values[INTCAP + port] = raised, now
        self._was[port] = now
        self._drive()

    # Bus face -----------------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Translate the address, which moves with BANK, then write as usual."""
        if not data:
            return 0
        inside = _PLACES[self.file.values[IOCON] >> 7][data[0]]
        self._off_map = inside < 0
        if inside < 0:
            self.touch(f"access {data[0]:02X}h, where there is no register")
            return len(data)
        return super().i2c_write(t_ns, bytes((inside, *data[1:])))

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read as usual; 0 where there is no register."""
        return bytes(nbytes) if self._off_map else super().i2c_read(t_ns, nbytes)

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Run a whole transaction in one call."""
        self.i2c_write(t_ns, data)
        return (self.i2c_read(t_ns, nread) or b"") if nread else b""

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading GPIO or INTCAP of a port clears its interrupt, unless its cause lasts."""
        port = address & 1
        if address - port in (GPIO, INTCAP):
            self.file.values[INTF + port] = 0
            self._look(port)

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """A write to GPIO goes to the latch; IOCON is one register at two addresses."""
        values, port = self.file.values, address & 1
        register = address - port
        if register == GPIO:
            values[OLAT + port] = value
        elif register == IOCON:
            values[IOCON] = values[IOCON + 1] = values[address]
            bank = values[IOCON] >> 7
            self.file.after = (_BYTE if values[IOCON] & SEQOP else _SEQUENCE)[bank]
        if register in (IODIR, GPPU, IPOL):
            # A change of the pins by set-up is no event.
            self._was[port] = self._pins(port) ^ values[IPOL + port] & values[IODIR + port]
        self._look(port)
