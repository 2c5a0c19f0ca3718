"""Faults of request-response buses as data: which bus, which device, what, and when.

A bus consults its table only while it is not empty, so that a clean run pays nothing. A row acts
on the transactions whose index (counted by the bus from 0, refused ones included) or whose start
time lies in its range, and only on its address. The first row that fits wins.

==============  =============================================================================
kind            effect on an I2C bus (``args``)
==============  =============================================================================
absent          address not acknowledged; the part sees nothing
nak_address     the same, for a part that is there but does not answer
nak_data        the octet after ``after`` (0) written octets is not acknowledged
stuck_sda       data line held low: the adapter gives up after its timeout
stuck_scl       clock line held low: the same, with status TIMEOUT
arbitration     another controller wins after the address
bit_flip        bit ``bit`` (0) of octet ``octet`` (0) flips; ``write`` (0): 1 on the way out
truncate        the target lets go after ``after`` (0) read octets: the rest reads FFh; a write
                is not acknowledged from there on
stretch         the clock is held ``ns`` longer; the adapter waits, garbles, or times out
delay           the bus is busy for ``ns`` first
duplicate       the transaction runs twice; the second answer counts
spam            another controller first sends ``times`` (1) times ``octets`` (1)
==============  =============================================================================

On an SPI bus ``absent``, ``stuck_miso`` (``level`` 0 or 1), ``wrong_mode`` (each bit is sampled one
late), ``bit_flip``, ``truncate``, ``stretch``, ``delay``, ``duplicate`` and ``spam`` (``times`` (1)
more transactions of zeros first) have a meaning; the others are refused when they are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hil.errors import ConfigError
from hil.parts.fault_windows import check_argument

FOREVER = 1 << 63

I2C_KINDS = {
    "absent": (),
    "nak_address": (),
    "nak_data": ("after",),
    "stuck_sda": (),
    "stuck_scl": (),
    "arbitration": (),
    "bit_flip": ("octet", "bit", "write"),
    "truncate": ("after",),
    "stretch": ("ns",),
    "delay": ("ns",),
    "duplicate": (),
    "spam": ("times", "octets"),
}
SPI_KINDS = {
    "absent": (),
    "stuck_miso": ("level",),
    "wrong_mode": (),
    "delay": ("ns",),
    "duplicate": (),
    "spam": ("times",),
    "bit_flip": ("octet", "bit", "write"),
    "truncate": ("after",),
    "stretch": ("ns",),
}
#: Of a 1-Wire bus: no presence pulse, the line held low, and as above for what is read.
ONEWIRE_KINDS = {
    "absent": (),
    "stuck": (),
    "bit_flip": ("octet", "bit"),
    "truncate": ("after",),
    "delay": ("ns",),
    "duplicate": (),
}


class BusFault(NamedTuple):
    """One row. ``first`` and ``last`` (inclusive) count transactions or, by ``unit``, are times."""

    bus: str
    kind: str
    #: I2C address or chip select; None: every device on the bus
    address: int | None = None
    #: ``index`` or ``t_ns``
    unit: str = "index"
    first: int = 0
    last: int = FOREVER
    args: Mapping[str, int] = {}

    def hits(self, index: int, t_ns: int, address: int) -> bool:
        """Tell whether this row acts on the transaction."""
        if self.address is not None and self.address != address:
            return False
        return self.first <= (index if self.unit == "index" else t_ns) <= self.last


class FaultTable:
    """The faults of one bus, in the order in which they were added."""

    def __init__(self, bus: str, kinds: Mapping[str, tuple[str, ...]]) -> None:
        self.bus = bus
        self.kinds = kinds
        self.rows: list[BusFault] = []
        #: how often each kind took effect
        self.hits: dict[str, int] = dict.fromkeys(kinds, 0)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __iter__(self) -> Iterator[BusFault]:
        return iter(self.rows)

    def add(self, fault: BusFault) -> None:
        """Append a row. Raises :class:`hil.errors.ConfigError` when it makes no sense here."""
        where = f"fault {fault.kind!r} on bus {self.bus!r}"
        if fault.bus != self.bus:
            raise ConfigError(f"{where}: the row names bus {fault.bus!r}; add it to that bus")
        if fault.kind not in self.kinds:
            known = ", ".join(self.kinds)
            raise ConfigError(f"{where}: not a fault of this kind of bus; take one of {known}")
        for key in fault.args:
            if key not in self.kinds[fault.kind]:
                known = ", ".join(self.kinds[fault.kind]) or "none"
                raise ConfigError(f"{where}: argument {key!r} is not known; it takes {known}")
            check_argument(where, key, fault.args[key])
        if fault.unit not in ("index", "t_ns"):
            raise ConfigError(f"{where}: unit {fault.unit!r} is neither 'index' nor 't_ns'")
        if fault.first > fault.last:
            raise ConfigError(f"{where}: range {fault.first}..{fault.last} ends before it starts")
        self.rows.append(fault)

    def remove(self, fault: BusFault) -> None:
        """Take a row out. Raises :class:`hil.errors.ConfigError` when it is not in."""
        try:
            self.rows.remove(fault)
        except ValueError:
            raise ConfigError(f"fault {fault.kind!r} is not active on bus {self.bus!r}") from None

    def consult(self, index: int, t_ns: int, address: int) -> BusFault | None:
        """Return the first row that acts on this transaction, counting it; None if none does."""
        for row in self.rows:
            if row.hits(index, t_ns, address):
                self.hits[row.kind] += 1
                return row
        return None


def flip_bit(parts: list[bytes], args: Mapping[str, int]) -> list[bytes]:
    """Flip bit ``bit`` of octet ``octet``, counted over all parts and modulo their length."""
    joined = bytearray(b"".join(parts))
    if not joined:
        return parts
    joined[args.get("octet", 0) % len(joined)] ^= 1 << (args.get("bit", 0) & 7)
    flipped, at = [], 0
    for part in parts:
        flipped.append(bytes(joined[at : at + len(part)]))
        at += len(part)
    return flipped
