"""Shadow: a real part beside the emulated one, each transaction put to both, and compared.

The payload computer is told what one of the two says: the emulated one, or with ``shows="real"``
the real one. What differs is counted and named field by field from the part's register map: this
is how a model is held against silicon.

Two parts never measure the same instant: registers that hold readings get a tolerance, in counts of
the register's last bit, by the name of the register or of the quantity that is read from it.
A status that differs (one acknowledges, the other does not) is a difference of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from flightsw.codec.wire import Status
from hil.boards.targets import I2CAnswer
from hil.buses.i2c_messages import READ, TEN_BIT, Message
from hil.config import nearest
from hil.errors import ConfigError
from hil.parts.guide import Field, fields
from hil.parts.registers import RegisterFile, signed

SHOWS = ("emulated", "real")
#: Octets of a part without a register map, or that no register explains, are named by place.
UNNAMED = "octets"


class Named(NamedTuple):
    """A register value in a transaction: where it begins and how many octets it has."""

    register: str
    nbytes: int
    order: Literal["big", "little"]


class Registers:
    """Follows the pointer of a register part, so that each octet read has a name."""

    def __init__(self, part: Any) -> None:
        file = getattr(part, "file", None)
        self._file: RegisterFile | None = file if isinstance(file, RegisterFile) else None
        self._pointer: int = getattr(part, "pointer", 0)

    def wrote(self, data: bytes) -> None:
        """Follow a write message."""
        file = self._file
        if file is None or not data:
            return
        self._pointer = data[0] % file.map.size
        at = 1 + file.nbytes[self._pointer]
        while at <= len(data):
            self._pointer = file.after[self._pointer]
            at += file.nbytes[self._pointer]

    def reads(self, nbytes: int) -> list[Named]:
        """Follow a read message; return what its octets are."""
        file = self._file
        if file is None:
            return [Named(UNNAMED, 1, "big")] * nbytes
        found = []
        while nbytes > 0:
            width = file.nbytes[self._pointer]
            found.append(Named(file.names[self._pointer], min(width, nbytes), file.map.order))
            nbytes -= width
            self._pointer = file.after[self._pointer]
        return found


@dataclass
class Difference:
    """A register in which real and emulated have differed; values are those of the last time."""

    register: str
    #: fields with bits that differ, or the bits themselves where the register has none
    bits: dict[str, int] = field(default_factory=dict)
    count: int = 0
    first_s: float = 0.0
    real: int = 0
    emulated: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for run.json and the report."""
        return {
            "register": self.register,
            "bits": dict(self.bits),
            "count": self.count,
            "first_s": self.first_s,
            "last_real": self.real,
            "last_emulated": self.emulated,
        }


class Comparison:
    """What became of the comparison of one part. ``tolerances``: register or quantity -> counts."""

    def __init__(self, name: str, part: Any, tolerances: Mapping[str, int]) -> None:
        self.name = name
        self.counters = dict.fromkeys(
            ("compared", "equal", "within_tolerance", "different", "status"), 0
        )
        self.differences: dict[str, Difference] = {}
        self._registers = Registers(part)
        guide = part.guide()
        self._fields = {name: fields(text) for name, text in guide.fields.items()}
        table = getattr(part, "MAP", None)
        known = {row.name for row in table.registers} if table is not None else set()
        self._limits: dict[str, int] = {}
        for key, counts in tolerances.items():
            reading = guide.readings.get(key)
            register = key if reading is None else reading.register
            if reading is None and key not in known | {UNNAMED}:
                names = [*sorted(known), *guide.readings]
                hint = nearest(key, names) or f"; it has: {', '.join(names) or UNNAMED}"
                raise ConfigError(f"tolerance of {name}: no register or quantity {key!r}{hint}")
            shift = 0 if reading is None else reading.shift
            self._limits[register] = max(counts << shift, self._limits.get(register, 0))

    def compare(
        self, t_s: float, messages: list[Message], real: I2CAnswer, emulated: I2CAnswer
    ) -> list[Difference]:
        """Take both answers to one transaction; return what differs now and has not before."""
        self.counters["compared"] += 1
        fresh: list[Difference] = []
        if real.status != emulated.status:
            self.counters["status"] += 1
            named = {Status(real.wire_status).name: 0, Status(emulated.wire_status).name: 1}
            self._note(t_s, "STATUS", named, real.status, emulated.status, fresh)
        worst = 0
        for nth, (_, flags, what) in enumerate(messages):
            if not flags & READ:
                assert isinstance(what, bytes)
                self._registers.wrote(what)
                continue
            ours, theirs = real.reads.get(nth, b""), emulated.reads.get(nth, b"")
            if len(ours) != len(theirs):
                continue  # the status says why
            worst = max(worst, self._compare(t_s, ours, theirs, fresh))
        outcome = ("equal", "within_tolerance", "different")[worst]
        self.counters["different" if real.status != emulated.status else outcome] += 1
        return fresh

    def _compare(self, t_s: float, real: bytes, emulated: bytes, fresh: list[Difference]) -> int:
        """Compare the octets of a read; return 0 equal, 1 within tolerance, 2 different."""
        worst = at = 0
        for register, nbytes, order in self._registers.reads(len(real)):
            ours = int.from_bytes(real[at : at + nbytes], order)
            theirs = int.from_bytes(emulated[at : at + nbytes], order)
            at += nbytes
            if ours == theirs:
                continue
            limit = self._limits.get(register, 0)
            if abs(signed(ours, 8 * nbytes) - signed(theirs, 8 * nbytes)) <= limit:
                worst = max(worst, 1)
                continue
            worst = 2
            bits = self._bits(register, ours ^ theirs)
            self._note(t_s, register, bits, ours, theirs, fresh)
        return worst

    def _bits(self, register: str, different: int) -> dict[str, int]:
        """Return the fields, or the bits without one, that differ, each counted once."""
        found: dict[str, int] = {}
        for one in self._fields.get(register, ()):
            if different & one.mask:
                found[_field_name(one, different)] = 1
                different &= ~one.mask
        found |= {f"bit {n}": 1 for n in range(different.bit_length()) if different >> n & 1}
        return found

    def _note(
        self,
        t_s: float,
        register: str,
        bits: Mapping[str, int],
        real: int,
        emulated: int,
        fresh: list[Difference],
    ) -> None:
        known = self.differences.get(register)
        if known is None:
            known = self.differences[register] = Difference(register, first_s=t_s)
            fresh.append(known)
        known.count += 1
        known.real, known.emulated = real, emulated
        for name, count in bits.items():
            known.bits[name] = known.bits.get(name, 0) + count

    def as_json(self) -> dict[str, Any]:
        """Return what came of it."""
        rows = [difference.as_json() for difference in self.differences.values()]
        return {"part": self.name, **self.counters, "differences": rows}


def _field_name(one: Field, different: int) -> str:
    """Return a field with those of its bits that differ, as ``AVG bit 9``."""
    bits = [n for n in range(one.low, one.high + 1) if different >> n & 1]
    return f"{one.name} bit{'s' if len(bits) > 1 else ''} {', '.join(map(str, bits))}"


class ShadowWitness:
    """Compares every part that one board shadows; ``tell`` puts a new difference into the records.

    Parts are by address: ``(address, is ten-bit)``.
    """

    def __init__(
        self,
        comparisons: Mapping[tuple[int, bool], Comparison],
        tell: Callable[..., None],
    ) -> None:
        self.comparisons = dict(comparisons)
        #: transactions with one answer only, or to several parts
        self.skipped = 0
        self._tell = tell

    def compare(
        self, t_ns: int, messages: list[Message], real: I2CAnswer, emulated: I2CAnswer
    ) -> None:
        """Take both answers to one transaction."""
        places = {(address, bool(flags & TEN_BIT)) for address, flags, _ in messages}
        comparison = self.comparisons.get(places.pop()) if len(places) == 1 else None
        if comparison is None:
            self.skip()
            return
        for new in comparison.compare(round(t_ns / 1e9, 6), messages, real, emulated):
            values = {"real": new.real, "emulated": new.emulated}
            name, bits = new.register, ", ".join(new.bits)
            self._tell(
                3, "SHADOW_DIFFERS", part=comparison.name, register=name, bits=bits, **values
            )

    def skip(self) -> None:
        """Note a transaction that cannot be compared."""
        self.skipped += 1
