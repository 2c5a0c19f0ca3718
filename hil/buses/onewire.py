"""An emulated 1-Wire bus: reset and presence, slots to the tenth of a microsecond, ROM search.

Slots are those that Maxim recommends for a controller (application note 126, table 1): at standard
speed a bit takes 70 us, whichever it is, and a reset with its presence pulse 960 us; in overdrive
8.5 us for a one, 10 us for a zero, 9 us to read, 121 us to reset. Every part pulls the line low or
lets go, so that what is read is the AND of all.

A transaction is a list of steps, as a controller chip or the w1 core of Linux does them: a reset, a
write, a read, a *triplet* of the search (read the bit, read its complement, write the way to go).
It ends early where nobody answers a reset.

Not modelled: rise times and cable length, strong pull-up and parasite supply, interrupts of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from flightsw.codec.bus_payload import crc8
from flightsw.codec.wire import Status
from hil.buses.faults import ONEWIRE_KINDS, BusFault, FaultTable, flip_bit
from hil.buses.intercept import Crossing, Interceptor, Result, through
from hil.errors import ConfigError

RESET: Final = 0
WRITE: Final = 1
READ: Final = 2
TRIPLET: Final = 3
SEARCH_ROM: Final = 0xF0
ROM_NBITS: Final = 64

#: (RESET, b""), (WRITE, octets), (READ, how many octets), (TRIPLET, way to go where both are there)
Step = tuple[int, bytes | int]


class Slots(NamedTuple):
    """How long each thing on the line takes, ns."""

    one: int
    zero: int
    read: int
    reset: int


SPEEDS: Final = {
    "standard": Slots(70_000, 70_000, 70_000, 960_000),
    "overdrive": Slots(8_500, 10_000, 9_000, 121_000),
}


class OneWireTarget(Protocol):
    """The bus face of a 1-Wire part, bit by bit."""

    def onewire_reset(self, t_ns: int) -> bool:
        """See a reset pulse; return whether it answers with a presence pulse."""

    def onewire_write(self, t_ns: int, bit: int) -> None:
        """See a bit of the controller."""

    def onewire_read(self, t_ns: int) -> int:
        """Return the bit that it puts into a read slot; 1 lets the line go."""


class OneWireBus:
    """One line with any number of parts on it."""

    kind = "onewire"

    def __init__(self, name: str, speed: str = "standard") -> None:
        if speed not in SPEEDS:
            raise ConfigError(f"1-Wire bus {name!r}: speed {speed!r}; give {' or '.join(SPEEDS)}")
        self.name = name
        self.speed = speed
        self.slots = SPEEDS[speed]
        self.faults = FaultTable(name, ONEWIRE_KINDS)
        self.faulted = False
        self.counters = dict.fromkeys(
            ("transfers", "resets", "bits", "unanswered", "bad_codes", "faulted", "intercepted"), 0
        )
        self._targets: list[OneWireTarget] = []
        self._interceptor: Interceptor | None = None

    def attach(self, target: OneWireTarget) -> None:
        """Put a part on the line."""
        self._targets.append(target)

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable into the way of every transaction; None takes it out."""
        self._interceptor = interceptor

    def add_fault(self, fault: BusFault) -> None:
        """Activate a row of the fault table."""
        self.faults.add(fault)

    def remove_fault(self, fault: BusFault) -> None:
        """Deactivate a row of the fault table."""
        self.faults.remove(fault)

    def describe(self) -> dict[str, Any]:
        """Return the speed."""
        return {"speed": self.speed}

    # -- bits ------------------------------------------------------------------------------------

    def reset(self, t_ns: int) -> bool:
        """Send a reset pulse; tell whether there was a presence pulse."""
        self.counters["resets"] += 1
        present = [target.onewire_reset(t_ns) for target in self._targets]
        return any(present)

    def write_bit(self, t_ns: int, bit: int) -> int:
        """Write a bit; return how long it took."""
        self.counters["bits"] += 1
        for target in self._targets:
            target.onewire_write(t_ns, bit)
        return self.slots.one if bit else self.slots.zero

    def read_bit(self, t_ns: int) -> int:
        """Read a bit: 0 if any part pulls."""
        self.counters["bits"] += 1
        return min([target.onewire_read(t_ns) for target in self._targets], default=1)

    # -- transactions ----------------------------------------------------------------------------

    def transfer(self, t_ns: int, steps: list[Step]) -> tuple[int, int, list[bytes]]:
        """Run steps; return (status, duration_ns, what each reset, read and triplet saw).

        A reset saw one octet, 1 for presence; a triplet one of bit, complement << 1, way << 2.
        Without presence the status is ``ABSENT``, on a line held low ``STUCK``.
        """
        self.counters["transfers"] += 1
        self.faulted = False
        crossing = Crossing(t_ns, self.name, 0, steps)
        if self._interceptor is None:
            outcome = self._with_faults(crossing)
        else:
            outcome, did = through(self._interceptor, crossing, self._with_faults)
            self.faulted |= did
            self.counters["intercepted"] += did
        self.counters["faulted"] += self.faulted
        return outcome[0], outcome[1], list(outcome[2])

    def search(self, t_ns: int, command: int = SEARCH_ROM) -> tuple[int, int, list[bytes]]:
        """Find every part: (status, duration_ns, ROM codes as they come, the zeros first).

        ``command`` ECh finds those with an alarm. The search is that of Maxim's application note
        187: at each place where parts differ it goes the way of zero first and comes back for one.
        A code whose CRC is wrong is left out and counted, as there and in the w1 core of Linux.
        """
        found: list[bytes] = []
        now_ns, last = t_ns, -1
        rom = 0
        while True:
            steps: list[Step] = [(RESET, b""), (WRITE, bytes((command,)))]
            status, duration_ns, _ = self.transfer(now_ns, steps)
            now_ns += duration_ns
            if status != Status.OK:
                return status, now_ns - t_ns, found
            status, rom, last, duration_ns = self._pass(now_ns, rom, last)
            now_ns += duration_ns
            if rom < 0:
                return status, now_ns - t_ns, found
            code = rom.to_bytes(8, "little")
            if crc8(code):
                self.counters["bad_codes"] += 1
            else:
                found.append(code)
            if last < 0:
                return int(Status.OK), now_ns - t_ns, found

    def _pass(self, t_ns: int, rom: int, last: int) -> tuple[int, int, int, int]:
        """Walk down the tree: (status, ROM or -1, last place with a way left, duration)."""
        now_ns, left = t_ns, -1
        for place in range(ROM_NBITS):
            way = 1 if place == last else rom >> place & 1 if place < last else 0
            status, duration_ns, seen = self.transfer(now_ns, [(TRIPLET, way)])
            now_ns += duration_ns
            if status != Status.OK:
                return status, -1, -1, now_ns - t_ns
            octet = seen[0][0]
            bit, complement, way = octet & 1, octet >> 1 & 1, octet >> 2
            if bit and complement:
                self.counters["bad_codes"] += place > 0
                return status, -1, -1, now_ns - t_ns
            if bit == complement and not way:
                left = place
            rom = rom & ~(1 << place) | way << place
        return int(Status.OK), rom, left, now_ns - t_ns

    def _run(self, t_ns: int, steps: list[Step]) -> tuple[int, int, list[bytes]]:
        now_ns = t_ns
        seen: list[bytes] = []
        for op, what in steps:
            if op == RESET:
                present = self.reset(now_ns)
                now_ns += self.slots.reset
                seen.append(bytes((present,)))
                if not present:
                    self.counters["unanswered"] += 1
                    return int(Status.ABSENT), now_ns - t_ns, seen
            elif op == WRITE:
                assert isinstance(what, bytes), "a write carries its octets"
                for n in range(8 * len(what)):
                    now_ns += self.write_bit(now_ns, what[n // 8] >> n % 8 & 1)
            elif op == READ:
                assert isinstance(what, int), "a read carries a length"
                value = 0
                for n in range(8 * what):
                    value |= self.read_bit(now_ns) << n
                    now_ns += self.slots.read
                seen.append(value.to_bytes(what, "little"))
            else:
                assert op == TRIPLET, f"step {op} is none of 0 to 3"
                assert isinstance(what, int), "a triplet carries the way to go"
                bit = self.read_bit(now_ns)
                complement = self.read_bit(now_ns + self.slots.read)
                now_ns += 2 * self.slots.read
                way = bit if bit != complement else 1 if bit else what
                now_ns += self.write_bit(now_ns, way)
                seen.append(bytes((bit | complement << 1 | way << 2,)))
        return int(Status.OK), now_ns - t_ns, seen

    def _with_faults(self, crossing: Crossing) -> Result:
        t_ns, _, _, steps = crossing
        if self.faults:
            fault = self.faults.consult(self.counters["transfers"] - 1, t_ns, 0)
            if fault is not None:
                self.faulted = True
                return _spoil(fault, t_ns, steps, self._run, self.slots)
        return self._run(t_ns, steps)


def _spoil(
    fault: BusFault,
    t_ns: int,
    steps: list[Step],
    run: Callable[[int, list[Step]], tuple[int, int, list[bytes]]],
    slots: Slots,
) -> tuple[int, int, list[bytes]]:
    """Run a transaction the way the fault makes it go."""
    kind, args = fault.kind, fault.args
    if kind == "stuck":
        return int(Status.STUCK), slots.reset, []
    if kind == "absent":
        return int(Status.ABSENT), slots.reset, [b"\0"]
    late_ns = args.get("ns", 0) if kind == "delay" else 0
    if kind == "duplicate":
        late_ns = run(t_ns, steps)[1]
    status, duration_ns, seen = run(t_ns + late_ns, steps)
    reads = [len(part) > 1 or op == READ for op, part in _seen_ops(steps, seen)]
    octets = [part for part, is_read in zip(seen, reads, strict=True) if is_read]
    if kind == "bit_flip":
        octets = flip_bit(octets, args)
    elif kind == "truncate":
        octets = [part[: args.get("after", 0)].ljust(len(part), b"\xff") for part in octets]
    spoilt = iter(octets)
    seen = [next(spoilt) if is_read else part for part, is_read in zip(seen, reads, strict=True)]
    return status, duration_ns + late_ns, seen


def _seen_ops(steps: list[Step], seen: list[bytes]) -> list[tuple[int, bytes]]:
    """Pair what was seen with the step that saw it."""
    ops = [op for op, _ in steps if op != WRITE]
    return list(zip(ops, seen, strict=False))
