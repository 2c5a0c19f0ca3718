"""What a part says of itself to whoever talks to it by hand, beyond its register table.

All of it is data and all of it is optional: ``hil checkout`` reads, writes and tests a part by its
table alone, and says more of it where the part has a :class:`Guide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from hil.parts.registers import RegisterMap


class Field(NamedTuple):
    """Bits of a register, the highest and the lowest."""

    name: str
    high: int
    low: int

    @property
    def mask(self) -> int:
        """The bits, in place."""
        return (2 << self.high) - (1 << self.low)

    def of(self, value: int) -> int:
        """Return what the field holds in a register value."""
        return (value & self.mask) >> self.low


def fields(text: str) -> tuple[Field, ...]:
    """Return the fields that a text as ``"RST 15, PG 12:11, MODE 2:0"`` lists."""
    found = []
    for item in filter(None, text.split(",")):
        name, bits = item.split()
        high, _, low = bits.partition(":")
        found.append(Field(name, int(high), int(low or high)))
        assert found[-1].high >= found[-1].low, f"{name}: bits go from high to low"
    return tuple(found)


class Reading(NamedTuple):
    """How a register value becomes SI: ``(octets >> shift) * scale + offset``.

    The scale is one number, or one by the value of the field that ``by`` names as
    ``REGISTER.FIELD``. A reading with the name of one of the part's QUANTITIES has its unit, and a
    self-test compares the two.
    """

    register: str
    scale: float | tuple[float, ...]
    offset: float = 0.0
    shift: int = 0
    signed: bool = True
    #: octets from the register on; 0: those of the register
    nbytes: int = 0
    order: Literal["big", "little"] | None = None
    #: bits after the shift; 0: all
    bits: int = 0
    by: str = ""
    #: parameters of the part that divide and multiply the scale, as ``shunt`` or ``shunts.1``
    per: str = ""
    times: str = ""
    unit: str = ""


def axes(names: Iterable[str], first: int, scales: Iterable[float], by: str) -> dict[str, Reading]:
    """Return the readings of words that follow each other from ``OUT_first``, by full scale."""
    row = tuple(scales)
    return {
        name: Reading(f"OUT_{first + 2 * nth:X}", row, nbytes=2, by=by)
        for nth, name in enumerate(names)
    }


class Command(NamedTuple):
    """A question to a part that is not asked by register: octets to write, octets to read."""

    send: bytes
    nread: int
    about: str
    #: the answer of a part that is in order, where there is one
    expect: bytes | None = None


class Memory(NamedTuple):
    """Octets that are read by address: EEPROM, flash."""

    size: int
    #: octets of an address
    nbytes: int
    #: what stands in front of the address
    read: bytes = b""
    #: octets that one write may hold; 0: it is not written so
    page: int = 0
    #: time that a write takes
    cycle_s: float = 0.0


class Guide(NamedTuple):
    """What ``hil checkout`` can know of a part."""

    #: registers whose reset value tells what part it is
    identity: tuple[str, ...] = ()
    #: bits of registers, as :func:`fields` takes them
    fields: Mapping[str, str] = {}
    readings: Mapping[str, Reading] = {}
    #: writes after which the part measures: register, value
    setup: tuple[tuple[str, int], ...] = ()
    #: time for a new input to reach the readings
    settle_s: float = 1.0
    #: bits that change by themselves or differ from part to part, by register
    volatile: Mapping[str, int] = {}
    #: registers that a self-test does not write, and why
    careful: Mapping[str, str] = {}
    #: registers that a read takes something out of: a self-test of a real part leaves them alone
    consumed: tuple[str, ...] = ()
    #: on SPI: bits added to the address for a read, for a write
    spi: tuple[int, int] = (0x80, 0x00)
    #: further register tables that REG_BANK_SEL shows, by its value; the first is MAP
    banks: Mapping[int, RegisterMap] = {}
    bank_select: str = ""
    commands: Mapping[str, Command] = {}
    memory: Memory | None = None
    #: what can be done with a part that has none of this
    note: str = ""
