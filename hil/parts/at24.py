"""Serial EEPROMs on I2C: 24C02, AT24C16, 24LC32, AT24C256.

Sources: Atmel AT24C01C/02C 8700 (revision H, sections 5 to 8), Microchip AT24C16D DS20005858,
24LC32A DS21072 (sections 5 to 8), AT24C256C DS20006270. What differs between them is in ``MODELS``.

A write goes into a page buffer, where the address wraps inside the page, and is stored by a write
cycle that starts at the stop condition; until its end the part acknowledges nothing, which is how a
driver polls for it. A repeated start in place of the stop drops the buffer. Reads go on over the
end of the memory. With the pin WP high writes are acknowledged and not stored.

Not modelled: software write protection of other makes, security registers, wear out (write cycles
are counted by page), loss of a page when power goes during a cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from hil.parts.base import Param, Part
from hil.parts.guide import Guide, Memory
from hil.parts.limits import check_limits


class Model(NamedTuple):
    """One size."""

    size: int
    #: octets that a write cycle stores at most; the address wraps inside
    page: int
    #: octets of the memory address
    address_nbytes: int
    #: longest write cycle; 0: stored octet by octet, at once
    cycle_ns: int = 5_000_000


class I2CMemory(Part):
    """The bus face that EEPROM and FRAM share."""

    MODEL: ClassVar[Model]
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    PINS: ClassVar[Mapping[str, str]] = {"wp": "in"}
    #: pins A2 to A0
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x50, 0x58))

    gpio_drive: Callable[[int, str, int], None]

    def __init__(self, name: str, seed: int = 0, cycle_s: float | None = None) -> None:
        super().__init__(name, seed)
        model = self.MODEL
        self.cells = bytearray(b"\xff" * model.size)
        self.write_protected = False
        #: write cycles of each page
        self.wear: Counter[int] = Counter()
        #: what was not done, by reason: busy, protected, cut (no whole address), dropped (no stop)
        self.ignored: Counter[str] = Counter()
        self._cycle_ns = model.cycle_ns if cycle_s is None else round(cycle_s * 1e9)
        self._pointer = 0
        self._pending: dict[int, int] = {}  # the page buffer: octets by address
        self._busy_until_ns = 0
        self._further = model.size >> 8 if model.address_nbytes == 1 else 1
        if self._further > 1:  # the high bits of the address are in that of the part
            self.i2c_also = {0x50 + n: _Block(self, n) for n in range(1, self._further)}

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {
            **super().snapshot(),
            "ignored": dict(sorted(self.ignored.items())),
            "write_cycles": sum(self.wear.values()),
            "most_written": max(self.wear.values(), default=0),
        }

    def guide(self) -> Guide:
        """Return how its octets are read and written."""
        size, page, nbytes, _ = self.MODEL
        size = min(size, 1 << 8 * nbytes)
        return Guide(memory=Memory(size, nbytes, b"", page, self._cycle_ns / 1e9))

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See the pin WP change."""
        self.write_protected = bool(level)

    # Bus face -----------------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Set the address from the first octets, and take the rest for the page."""
        return self.write_block(t_ns, 0, data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read from the address counter on; a write that waits for its stop is dropped."""
        return self.read_block(t_ns, -1, nbytes)

    def i2c_stop(self, t_ns: int) -> None:
        """Start the write cycle of what is in the page buffer."""
        if not self._pending:
            return
        if self.write_protected:
            self.ignored["protected"] += 1
        else:
            for address, octet in self._pending.items():
                self.cells[address] = octet
            self.wear[next(iter(self._pending)) // self.MODEL.page] += 1
            self._busy_until_ns = t_ns + self._cycle_ns
        self._pending.clear()

    def write_block(self, t_ns: int, block: int, data: bytes) -> int:
        """Take a write at the address of this block of 256 octets."""
        if self._refuses(t_ns):
            return -1
        self._drop()
        model = self.MODEL
        if len(data) < model.address_nbytes:
            self.ignored["cut"] += bool(data)
            return len(data)
        head = int.from_bytes(data[: model.address_nbytes], "big")
        self._pointer = (block << 8 | head) % model.size
        page = self._pointer // model.page * model.page
        for octet in data[model.address_nbytes :]:
            self._pending[self._pointer] = octet
            self._pointer = page + (self._pointer + 1) % model.page
        return len(data)

    def read_block(self, t_ns: int, block: int, nbytes: int) -> bytes | None:
        """Read; a block of -1 keeps the high bits of the address counter."""
        if self._refuses(t_ns):
            return None
        self._drop()
        if block >= 0:
            self._pointer = block << 8 | self._pointer & 0xFF
        start, size = self._pointer, self.MODEL.size
        self._pointer = (start + nbytes) % size
        end = start + nbytes
        if end <= size:
            return bytes(self.cells[start:end])
        return bytes(self.cells[at % size] for at in range(start, end))

    def _refuses(self, t_ns: int) -> bool:
        busy = t_ns < self._busy_until_ns
        self.ignored["busy"] += busy
        return busy

    def _drop(self) -> None:
        self.ignored["dropped"] += bool(self._pending)
        self._pending.clear()


class _Block:
    """A further address of a part whose device address holds the high bits of the memory's."""

    def __init__(self, memory: I2CMemory, block: int) -> None:
        self._memory, self._block = memory, block
        self.name = memory.name
        self.i2c_stop = memory.i2c_stop

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write into this block."""
        return self._memory.write_block(t_ns, self._block, data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read from this block on."""
        return self._memory.read_block(t_ns, self._block, nbytes)


class Eeprom(I2CMemory):
    """An EEPROM; ``cycle_s`` is the time of its write cycle."""

    PARAMS: ClassVar[Mapping[str, Param]] = {"cycle_s": Param("s", 0.005)}

    def __init__(self, name: str, seed: int = 0, cycle_s: float = 0.005) -> None:
        check_limits(name, {"cycle_s": (cycle_s, 0.0, 1.0)})
        super().__init__(name, seed, cycle_s)


class At24C02(Eeprom):
    """AT24C02C: 256 octets, pages of 8."""

    MODEL = Model(256, 8, 1)


class At24C16(Eeprom):
    """AT24C16D: 2 KiB, pages of 16, at all eight addresses."""

    MODEL = Model(2048, 16, 1)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x50,)


class Lc2432(Eeprom):
    """24LC32A: 4 KiB, pages of 32."""

    MODEL = Model(4096, 32, 2)


class At24C256(Eeprom):
    """AT24C256C: 32 KiB, pages of 64."""

    MODEL = Model(32768, 64, 2)
