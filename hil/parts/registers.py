"""Register maps as data, and the bus face that most I2C parts share.

A part lists its registers as rows of :class:`Register`; :class:`RegisterFile` holds their values
and applies the access rules; :class:`RegisterTarget` speaks the usual protocol over it: the first
octet written sets the pointer, the rest are register contents, a read goes on from the pointer.

What a data sheet has and the part has not is *tagged*: a register that is not in the table, and
bits in ``unmodelled``, are stored and read back, and each access that would matter is counted by
name in :attr:`hil.parts.base.Part.touched`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple

from hil.parts.base import Part


class Register(NamedTuple):
    """One row of a register table."""

    address: int
    name: str
    #: value after power-up or reset
    reset: int = 0
    #: bits that a write changes; the others keep their value
    writable: int = -1
    #: bits that writing 1 clears
    w1c: int = 0
    #: bits that trigger something when written and always read 0
    clearing: int = 0
    #: bits that are stored and have no effect
    unmodelled: int = 0
    #: bits of this register, whole octets; 0: as many as the map says
    width: int = 0
    #: bits that writing 0 clears and that nothing written sets
    w0c: int = 0


def ro(address: int, name: str, reset: int = 0, width: int = 0) -> Register:
    """Return the row of a read-only register."""
    return Register(address, name, reset, writable=0, width=width)


def signed(word: int, width: int = 16) -> int:
    """Return a word of ``width`` bits as a number in two's complement."""
    return word - (1 << width) if word >> (width - 1) & 1 else word


def clamp(counts: int, lower: int, upper: int) -> int:
    """Return ``counts`` held between two ends, as a converter holds what it cannot express."""
    return min(max(counts, lower), upper)


class RegisterMap(NamedTuple):
    """A register table with the rules that hold for all of its rows."""

    registers: tuple[Register, ...]
    #: bits of a register, where its row does not say otherwise; whole octets
    width: int = 8
    #: order of the octets of a register
    order: Literal["big", "little"] = "big"
    #: the pointer goes on after each register
    increment: bool = True
    #: number of addresses; the pointer wraps here
    size: int = 256
    #: names of registers that are not modelled at all, by address
    tagged: tuple[tuple[int, str], ...] = ()


class RegisterFile:
    """The registers of one part: values, and the rules of the table as flat lists."""

    def __init__(self, table: RegisterMap) -> None:
        self.map = table
        size = table.size
        #: octets of the register at each address, and the pointer after it; a part whose pointer
        #: has modes puts another list here
        self.nbytes = [table.width // 8] * size
        self.after = [(at + table.increment) % size for at in range(size)]
        self.names: list[str] = [f"register {address:02X}h" for address in range(size)]
        self.values = [0] * size
        self._known = [False] * size
        self._writable = [(1 << table.width) - 1] * size
        self._w1c = [0] * size
        self._w0c = [0] * size
        self._clearing = [0] * size
        self._unmodelled = [0] * size
        for row in table.registers:
            at = row.address
            assert 0 <= at < size, f"{row.name}: address {at:#x} outside the map"
            assert not self._known[at], f"{row.name}: address {at:#x} is there twice"
            self._known[at] = True
            self.names[at] = row.name
            self.nbytes[at] = (row.width or table.width) // 8
            self._writable[at] = row.writable & ((1 << 8 * self.nbytes[at]) - 1)
            self._w1c[at] = row.w1c
            self._w0c[at] = row.w0c
            self._clearing[at] = row.clearing
            self._unmodelled[at] = row.unmodelled
        for at, name in table.tagged:
            assert not self._known[at], f"{name}: address {at:#x} is modelled"
            self.names[at] = name
        self.reset()

    def reset(self) -> None:
        """Set every register to its reset value."""
        for row in self.map.registers:
            self.values[row.address] = row.reset

    def store(self, address: int, value: int, touch: Part | None = None) -> None:
        """Write a register under its rules; accesses to what is not modelled go to ``touch``."""
        old, writable = self.values[address], self._writable[address]
        new = (old & ~writable) | (value & writable)
        new &= ~self._clearing[address]
        if self._w1c[address]:
            new = (new & ~self._w1c[address]) | (old & self._w1c[address] & ~value)
        if self._w0c[address]:
            new = (new & ~self._w0c[address]) | (old & self._w0c[address] & value)
        self.values[address] = new
        if touch is None:
            return
        if not self._known[address]:
            touch.touch(f"write {self.names[address]}")
        elif (old ^ value) & self._unmodelled[address]:
            bits = (old ^ value) & self._unmodelled[address]
            touch.touch(f"write {self.names[address]} bits {bits:0{2 * self.nbytes[address]}X}h")

    def load(self, address: int, touch: Part | None = None) -> int:
        """Read a register."""
        if touch is not None and not self._known[address]:
            touch.touch(f"read {self.names[address]}")
        return self.values[address]

    def addresses(self) -> Iterable[int]:
        """Return the addresses that the table knows, in its order."""
        return (row.address for row in self.map.registers)


class RegisterTarget(Part):
    """The bus face of an I2C part with a register pointer. Subclasses give MAP and the hooks."""

    MAP: ClassVar[RegisterMap]

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.file = RegisterFile(self.MAP)
        self.pointer = 0
        #: writes that ended inside a register of several octets, whose octets are lost
        self.cut_writes = 0

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "cut_writes": self.cut_writes}

    # Hooks ------------------------------------------------------------------------------------

    def refresh(self, t_ns: int) -> None:
        """Bring everything that changes by itself up to ``t_ns``; called before each access."""

    def on_read(self, t_ns: int, address: int) -> None:
        """Act on a register having been read (flags that clear on read)."""

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Act on ``value`` having been written; the register holds what its rules made of it."""

    # Bus face ---------------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Set the pointer from the first octet and write what follows."""
        if not data:
            return 0
        table = self.MAP
        self.pointer = data[0] % table.size
        if len(data) == 1:
            return 1
        self.refresh(t_ns)
        file = self.file
        at = 1
        while at < len(data):
            address = self.pointer
            octets = data[at : at + file.nbytes[address]]
            if len(octets) < file.nbytes[address]:
                self.cut_writes += 1
                break
            value = int.from_bytes(octets, table.order)
            file.store(address, value, self)
            self.on_write(t_ns, address, value)
            self.pointer = file.after[address]
            at += len(octets)
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read registers from the pointer on; one that does not move it is repeated."""
        self.refresh(t_ns)
        file, order = self.file, self.MAP.order
        out = bytearray()
        while len(out) < nbytes:
            address = self.pointer
            out += file.load(address, self).to_bytes(file.nbytes[address], order)
            self.on_read(t_ns, address)
            self.pointer = file.after[address]
        return bytes(out[:nbytes])

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition: nothing waits for it in a register part."""

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Run a whole transaction in one call; reading one 16-bit register is the usual one."""
        file = self.file
        if len(data) == 1 and nread == 2 == file.nbytes[address := data[0] % self.MAP.size]:
            self.refresh(t_ns)
            word = file.load(address, self).to_bytes(2, self.MAP.order)
            self.on_read(t_ns, address)
            self.pointer = file.after[address]
            return word
        if data and self.i2c_write(t_ns, data) != len(data):
            return 0
        return (self.i2c_read(t_ns, nread) or b"") if nread else b""
