"""Winbond W25Q128JV: 16 MiB of serial NOR flash.

Source: data sheet W25Q128JV revision F (March 2018), sections 7 (status registers, protection), 8
(instructions), 9.6 (busy times, typical column); JEDEC JESD216B for the parameter table, whose
words are those that a part answered in the Linux commit "mtd: spi-nor: Correct flags for Winbond
w25q128" (Linus Walleij, July 2023).

A command acts when chip select goes high. While the part is busy it takes status reads and reset
only; everything else is ignored and counted. Programming clears bits, erasing a sector sets them.

Not modelled (touches are counted): dual and quad instructions, suspend and resume, security
registers, individual block locks (WPS), the /WP, /HOLD and /RESET pins, wear out. A page takes the
typical page time whatever its length. Erase and program are whole: a reset while busy does not
leave them half done.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Part, Quantity
from hil.parts.flash_store import SECTOR, FlashStore

SIZE, PAGE = 1 << 24, 256
WRITE_ENABLE, WRITE_DISABLE, VOLATILE_ENABLE = 0x06, 0x04, 0x50
BUSY, WEL = 0x01, 0x02
TB, SEC, SRL, CMP = 0x20, 0x40, 0x01, 0x40

# Section 9.6, typical.
PROGRAM_NS = 400_000
STATUS_NS = 10_000_000
RESET_NS = 30_000
WAKE_NS = 3_000
ERASE_NS = {0x20: 45_000_000, 0x52: 120_000_000, 0xD8: 150_000_000, 0xC7: 40_000_000_000}
ERASE_NBYTES = {0x20: SECTOR, 0x52: 8 * SECTOR, 0xD8: 16 * SECTOR, 0xC7: SIZE}

JEDEC_ID = b"\xef\x40\x18"
SFDP = (
    bytes.fromhex("53464450050100ff00050110800000ff").ljust(0x80, b"\xff")
    + bytes.fromhex(
        "e520f9ffffffff0744eb086b083b42bbfeffffffffff0000ffff40eb0c200f52"
        "10d800003602a60082ea14c9e96376337a757a75f7a2d55c19f74dffe930f880"
    )
).ljust(256, b"\xff")

#: octets before data flows, by instruction that reads: instruction, address, dummies
HEADERS = {
    0x03: 4,  # read
    0x0B: 5,  # fast read
    0x05: 1,  # status 1
    0x35: 1,  # status 2
    0x15: 1,  # status 3
    0x9F: 1,  # JEDEC identity
    0x90: 4,  # manufacturer and device
    0xAB: 4,  # release power-down, device
    0x4B: 5,  # unique identity
    0x5A: 5,  # parameter table
}
#: instructions that act, and the least and most octets with which they do
ACTIONS = {
    WRITE_ENABLE: (1, 1),
    WRITE_DISABLE: (1, 1),
    VOLATILE_ENABLE: (1, 1),
    0x01: (2, 3),  # write status 1, or 1 and 2
    0x31: (2, 2),
    0x11: (2, 2),
    0x02: (5, SIZE),  # page program
    0x20: (4, 4),  # erase 4 KiB, 32 KiB, 64 KiB, chip
    0x52: (4, 4),
    0xD8: (4, 4),
    0xC7: (1, 1),
    0x60: (1, 1),
    0xB9: (1, 1),  # power-down
    0xAB: (1, SIZE),  # release it
    0x66: (1, 1),  # enable reset, reset
    0x99: (1, 1),
}
STATUS_READS = (0x05, 0x35, 0x15)
ANY_TIME = frozenset((*STATUS_READS, 0x66, 0x99))
#: bits of status 1, 2, 3 that a write changes; the rest are fixed or set by the part
STATUS_WRITABLE = (0xFC, 0x7B, 0x64)


class W25Q128(Part):
    """W25Q128JV; ``dump`` and ``load`` keep its content over a restart of the bench."""

    spi_modes: frozenset[int] = frozenset({0, 3})
    spi_max_hz = 133_000_000
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {}
    PARAMS: ClassVar[Mapping[str, Param]] = {}

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.store = FlashStore(SIZE)
        self.unique_id = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        #: instructions ignored, by reason: busy, asleep, not enabled, protected, wrong length,
        #: unknown
        self.ignored: Counter[str] = Counter()
        # Status 2 leaves the factory with QE set (-IQ), status 3 with the output drive at 25 %.
        self._kept = [0x00, 0x02, 0x60]
        self.status = list(self._kept)
        self._busy_until_ns = 0
        self._asleep = False
        self._reset_armed = False
        self._volatile = False
        self._command = -1
        self._refused = False
        self._taken = bytearray()  # what came in since chip select, for instructions that act
        self._count = 0  # how much came in since chip select

    # Bus face -----------------------------------------------------------------------------------

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active: the next octet is an instruction."""
        self._command = -1
        self._refused = False
        self._taken.clear()
        self._count = 0

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Take instruction, address and data, and answer what the instruction reads."""
        if not tx:
            return b""
        if self._command < 0:
            self._command = tx[0]
            self._refused = self._refuses(t_ns, tx[0])
        start, self._count = self._count, self._count + len(tx)
        header = HEADERS.get(self._command)
        room = 4 + PAGE if header is None else header
        if self._command == 0x02:
            self._taken += tx  # more than a page wraps, so all of it matters
        elif len(self._taken) < room:
            self._taken += tx[: room - len(self._taken)]
        if header is None or self._refused or self._count <= header:
            return b"\xff" * len(tx)
        silent = max(header - start, 0)
        return b"\xff" * silent + self._serve(t_ns, start + silent - header, len(tx) - silent)

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive: an instruction that changes something does so now."""
        command, taken = self._command, bytes(self._taken)
        armed, self._reset_armed = self._reset_armed, False
        self._command = -1
        if command < 0 or self._refused or command not in ACTIONS:
            return
        least, most = ACTIONS[command]
        if not least <= self._count <= most:
            self.ignored["wrong length"] += 1
            return
        if command == 0x99:
            if armed:
                self._reset(t_ns)
            return
        self._reset_armed = command == 0x66
        self._act(t_ns, command, taken)

    def _refuses(self, t_ns: int, command: int) -> bool:
        """Tell whether the part ignores this instruction now, and count why."""
        busy = t_ns < self._busy_until_ns
        if not busy and self.status[0] & BUSY:
            self.status[0] &= ~(BUSY | WEL)
        reason = ""
        if command not in HEADERS and command not in ACTIONS:
            self.touch(f"instruction {command:02X}h")
            reason = "unknown"
        elif busy and command not in ANY_TIME:
            reason = "busy"
        elif self._asleep and command != 0xAB:
            reason = "asleep"
        if reason:
            self.ignored[reason] += 1
        return bool(reason)

    def _serve(self, t_ns: int, offset: int, nbytes: int) -> bytes:
        """Return what the instruction reads, ``offset`` octets into its data."""
        command, taken = self._command, self._taken
        if command in (0x03, 0x0B):
            return self.store.read(int.from_bytes(taken[1:4], "big") + offset, nbytes)
        if command in STATUS_READS:
            if t_ns >= self._busy_until_ns and self.status[0] & BUSY:
                self.status[0] &= ~(BUSY | WEL)
            return bytes((self.status[STATUS_READS.index(command)],)) * nbytes
        if command == 0x9F:
            return (JEDEC_ID.ljust(offset + nbytes, b"\xff"))[offset : offset + nbytes]
        if command == 0x5A:
            at = (taken[3] + offset) % len(SFDP)
            return (SFDP * (2 + nbytes // len(SFDP)))[at : at + nbytes]
        answer = {0x90: b"\xef\x17", 0xAB: b"\x17", 0x4B: self.unique_id}[command]
        if command == 0x90 and taken[3] & 1:
            answer = answer[::-1]
        at = offset % len(answer)
        return (answer * (2 + nbytes // len(answer)))[at : at + nbytes]

    # Instructions that change something ---------------------------------------------------------

    def _act(self, t_ns: int, command: int, taken: bytes) -> None:
        if command == WRITE_ENABLE:
            self.status[0] |= WEL
        elif command == WRITE_DISABLE:
            self.status[0] &= ~WEL
        elif command == VOLATILE_ENABLE:
            self._volatile = True
        elif command == 0xB9:
            self._asleep = True
        elif command == 0xAB and self._asleep:
            self._asleep = False
            self._busy_until_ns = t_ns + WAKE_NS
        elif command in (0x01, 0x31, 0x11):
            self._write_status(t_ns, {0x01: 0, 0x31: 1, 0x11: 2}[command], taken[1:])
        elif command == 0x02:
            address = int.from_bytes(taken[1:4], "big")
            if self._may_change(address, 1):
                self._program(address, taken[4:])
                self._work(t_ns, PROGRAM_NS)
        elif command in (0x20, 0x52, 0xD8, 0xC7, 0x60):
            self._erase(t_ns, 0xC7 if command == 0x60 else command, taken)

    def _work(self, t_ns: int, duration_ns: int) -> None:
        self._busy_until_ns = t_ns + duration_ns
        self.status[0] |= BUSY

    def _program(self, address: int, data: bytes) -> None:
        """Program within one page: past its end data goes on at its start (section 8.2.15)."""
        base, at = address & ~(PAGE - 1), address & (PAGE - 1)
        page = bytearray(b"\xff" * PAGE)
        at = (at + max(len(data) - PAGE, 0)) % PAGE
        data = data[-PAGE:]
        first = data[: PAGE - at]
        page[at : at + len(first)] = first
        page[: len(data) - len(first)] = data[len(first) :]
        self.store.program(base, bytes(page))

    def _erase(self, t_ns: int, command: int, taken: bytes) -> None:
        nbytes = ERASE_NBYTES[command]
        address = 0 if command == 0xC7 else int.from_bytes(taken[1:4], "big") & ~(nbytes - 1)
        if self._may_change(address, nbytes):
            self.store.erase(address, nbytes)
            self._work(t_ns, ERASE_NS[command])

    def _may_change(self, address: int, nbytes: int) -> bool:
        """Tell whether write enable and protection let these octets change, and count why not."""
        if not self.status[0] & WEL:
            self.ignored["not enabled"] += 1
            return False
        lower, upper, inside = self.protected()
        overlap = min(address + nbytes, upper) - max(address, lower)
        if overlap > 0 if inside else overlap < nbytes:
            self.ignored["protected"] += 1
            self.status[0] &= ~WEL
            return False
        return True

    def protected(self) -> tuple[int, int, bool]:
        """Return (lower, upper, inside): the range of section 7.2, protected inside or outside."""
        one, two, _ = self.status
        code = one >> 2 & 7
        if code == 0:
            nbytes = 0
        elif code == 7:
            nbytes = SIZE
        elif one & SEC:
            nbytes = min(SECTOR << (code - 1), 8 * SECTOR)
        else:
            nbytes = SIZE // 64 << (code - 1)
        lower = 0 if one & TB else SIZE - nbytes
        return lower, lower + nbytes, not two & CMP

    def _write_status(self, t_ns: int, first: int, data: bytes) -> None:
        """Section 8.2.5: write one register, or with 01h status 1 and 2."""
        volatile, self._volatile = self._volatile, False
        if not volatile and not self.status[0] & WEL:
            self.ignored["not enabled"] += 1
            return
        if self.status[1] & SRL:
            self.ignored["protected"] += 1
            return
        for number, octet in enumerate(data[: 2 if first == 0 else 1], first):
            mask = STATUS_WRITABLE[number]
            if number == 1:
                octet |= self.status[1] & 0x38  # LB1..LB3 can be set once only
            if number == 2 and octet & 0x04:
                self.touch("WPS individual block locks")
            self.status[number] = (self.status[number] & ~mask) | (octet & mask)
            if not volatile:
                self._kept[number] = self.status[number] & ~(BUSY | WEL if number == 0 else 0)
        if not volatile:
            self._work(t_ns, STATUS_NS)

    def _reset(self, t_ns: int) -> None:
        """Section 8.2.38: back to the state after power-up."""
        self.status = list(self._kept)
        self._asleep = self._volatile = False
        self._busy_until_ns = t_ns + RESET_NS

    # Persistence --------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return content, wear and non-volatile status, for :meth:`load`."""
        return bytes(self._kept) + self.store.dump()

    def load(self, image: bytes) -> None:
        """Take over what :meth:`dump` returned and power up with it.

        Raises :class:`hil.errors.ConfigError` when the image is damaged.
        """
        self.store.load(image[3:])
        self._kept = list(image[:3])
        self.power_up()

    def power_up(self) -> None:
        """Lose what a part without power loses: latches, sleep, busy, the lock by SRL."""
        self._kept[1] &= ~SRL
        self._reset(0)
        self._busy_until_ns = 0

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        wear = self.store.wear
        return {
            **super().snapshot(),
            "ignored": dict(sorted(self.ignored.items())),
            "sectors_in_use": len(self.store.sectors),
            "erases": sum(wear.values()),
            "most_erased": max(wear.values(), default=0),
        }
