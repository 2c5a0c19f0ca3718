"""The part under checkout: its registers by name, and what their values mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from hil.checkout.links import Heard, Link
from hil.config import nearest
from hil.errors import DeviceError, UsageError
from hil.parts.base import Part
from hil.parts.guide import Field, Guide, Reading, fields
from hil.parts.registers import Register, RegisterMap, signed

#: errno with which adapters tell that nobody acknowledged
ABSENT = (errno.ENXIO, errno.EREMOTEIO)


class Entry(NamedTuple):
    """One register, by name."""

    row: Register
    table: RegisterMap
    fields: tuple[Field, ...]
    bank: int = 0

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.row.name

    @property
    def nbytes(self) -> int:
        """Octets of the register."""
        return (self.row.width or self.table.width) // 8

    @property
    def mask(self) -> int:
        """All bits."""
        return (1 << 8 * self.nbytes) - 1

    @property
    def writable(self) -> int:
        """Bits that keep what is written."""
        special = self.row.clearing | self.row.w1c | self.row.w0c
        return self.row.writable & self.mask & ~special

    @property
    def access(self) -> str:
        """``ro``, ``wo`` or ``rw``."""
        if not self.row.writable & self.mask:
            return "ro"
        return "wo" if self.row.clearing == self.mask else "rw"

    def hex(self, value: int) -> str:
        """Return a value as the data sheet writes it."""
        return f"{value:0{2 * self.nbytes}X}h"

    def decoded(self, value: int) -> dict[str, int]:
        """Return what the fields hold."""
        return {field.name: field.of(value) for field in self.fields}


class Subject:
    """A part, real or emulated, on its link. ``model`` is an emulated one for what it declares."""

    def __init__(self, type_name: str, model: Part, link: Link) -> None:
        self.type, self.model, self.link = type_name, model, link
        self.guide: Guide = model.guide()
        self.entries = entries(model)
        self._by_name = {entry.name.lower(): entry for entry in self.entries}
        self._bank = 0 if not self.guide.banks else -1

    @property
    def emulated(self) -> bool:
        """Whether it is ours, and may be set and broken."""
        return self.link.part is not None

    # Names ----------------------------------------------------------------------------------------

    def find(self, word: str) -> Entry | Reading | str:
        """Return what a name stands for: a register, a reading, or the name of a command.

        A register may be given by its address or by the beginning of its name. Raises
        ``UsageError`` for a name that nothing has, or that several begin with.
        """
        low = word.lower()
        if low in self._by_name:
            return self._by_name[low]
        if word in self.guide.readings:
            return self.guide.readings[word]
        if low in self.guide.commands:
            return low
        if word[:1].isdigit():
            return self._at(number(word))
        known = [*self._by_name, *self.guide.readings, *self.guide.commands]
        begins = [name for name in known if name.startswith(low)]
        if len(begins) == 1:
            return self.find(begins[0])
        if begins:
            raise UsageError(f"{self.type}: {word!r} may be {', '.join(begins[:8])}")
        hint = nearest(low, known) or f"; `hil checkout {self.type}` lists what it has"
        raise UsageError(f"{self.type}: no register or reading named {word!r}{hint}")

    def _at(self, address: int) -> Entry:
        for entry in self.entries:
            if entry.row.address == address:
                return entry
        table = getattr(self.model, "MAP", None)
        if table is None or address >= table.size:
            what = f"addresses 0 to {table.size - 1:#04x}" if table else "no registers"
            raise UsageError(f"{self.type}: {address:#04x} is no register; it has {what}")
        names = dict(table.tagged)
        name = names.get(address, f"register_{address:02X}h")
        return Entry(Register(address, name, unmodelled=-1), table, ())

    def register(self, word: str) -> Entry:
        """Return a register by name or address. Raises ``UsageError`` for anything else."""
        found = self.find(word)
        if not isinstance(found, Entry):
            raise UsageError(f"{self.type}: {word!r} is no register; it can only be read")
        return found

    # Access ---------------------------------------------------------------------------------------

    def transfer(self, write: bytes, nread: int, what: str) -> bytes:
        """Run a transaction. Raises ``DeviceError`` that says what was asked of whom."""
        try:
            return self.link.transfer(write, nread)
        except OSError as error:
            raise self._silent(error, what) from None

    def heard(self) -> list[Heard]:
        """Return what came in. Raises ``DeviceError`` for a camera without a picture."""
        try:
            return self.link.heard()
        except OSError as error:
            raise self._silent(error, "a frame") from None

    def _silent(self, error: OSError, what: str) -> DeviceError:
        code = error.errno or errno.EIO
        name = errno.errorcode.get(code, str(code))
        answer = "no answer" if code in ABSENT else os.strerror(code)
        return DeviceError(
            f"{self.type} ({self.link.where}): {what}: {answer} ({name}); "
            "is it there, powered, and at this address?"
        )

    def read(self, entry: Entry) -> int:
        """Read a register."""
        self._select(entry)
        octets = self.transfer(
            self._address(entry, write=False), entry.nbytes, f"read {entry.name}"
        )
        return int.from_bytes(octets, entry.table.order)

    def write(self, entry: Entry, value: int) -> None:
        """Write a register. Raises ``UsageError`` for a value that does not fit."""
        if not 0 <= value <= entry.mask:
            raise UsageError(f"{entry.name} holds 0 to {entry.mask:#x}; {value:#x} does not fit")
        self._select(entry)
        octets = value.to_bytes(entry.nbytes, entry.table.order)
        self.transfer(self._address(entry, write=True) + octets, 0, f"write {entry.name}")

    def _select(self, entry: Entry) -> None:
        """Show the bank of a register."""
        if not self.guide.banks or entry.bank == self._bank:
            return
        select = self._by_name[self.guide.bank_select.lower()]
        head = self._address(select, write=True)
        self.transfer(head + bytes((entry.bank,)), 0, f"write {select.name}")
        self._bank = entry.bank

    def _address(self, entry: Entry, write: bool) -> bytes:
        extra = self.guide.spi[write] if self.link.kind == "spi" else 0
        keep = entry.row.address & 0x7F if self.link.kind == "spi" else entry.row.address
        return bytes((keep | extra,))

    def reading(self, name: str) -> float:
        """Return a reading in the unit of :meth:`unit`."""
        reading = self.guide.readings[name]
        entry = self.register(reading.register)
        nbytes = reading.nbytes or entry.nbytes
        self._select(entry)
        octets = self.transfer(self._address(entry, write=False), nbytes, f"read {name}")
        word = int.from_bytes(octets, reading.order or entry.table.order) >> reading.shift
        bits = reading.bits or 8 * nbytes - reading.shift
        word &= (1 << bits) - 1
        if reading.signed:
            word = signed(word, bits)
        return word * self._scale(reading) + reading.offset

    def _scale(self, reading: Reading) -> float:
        """Return the scale that holds now."""
        scale = reading.scale
        if isinstance(scale, tuple):
            register, _, name = reading.by.partition(".")
            entry = self.register(register)
            scale = scale[entry.decoded(self.read(entry))[name]]
        return scale / self._parameter(reading.per) * self._parameter(reading.times)

    def _parameter(self, path: str) -> float:
        if not path:
            return 1.0
        name, _, index = path.partition(".")
        value: Any = getattr(self.model, name)
        return float(value[int(index)] if index else value)

    def unit(self, name: str) -> str:
        """Return the unit of a reading."""
        spec = self.model.QUANTITIES.get(name)
        return spec.unit if spec is not None else self.guide.readings[name].unit


def entries(part: Part) -> list[Entry]:
    """Return the registers of a part, bank by bank, each name once."""
    table: RegisterMap | None = getattr(part, "MAP", None)
    if table is None:
        return []
    guide = part.guide()
    banks: Mapping[int, RegisterMap] = guide.banks or {0: table}
    found: dict[str, Entry] = {}
    for bank, rows in banks.items():
        for row in rows.registers:
            found.setdefault(
                row.name, Entry(row, rows, fields(guide.fields.get(row.name, "")), bank)
            )
    return list(found.values())


def number(word: str) -> int:
    """Return a number as C or a data sheet writes it: 0x1F, 31, 0b11111, 1Fh."""
    try:
        return int(word[:-1], 16) if word[-1:] in "hH" and word[:1].isdigit() else int(word, 0)
    except ValueError:
        raise UsageError(f"{word!r} is no number; as in 0x1F, 31, 1Fh") from None
