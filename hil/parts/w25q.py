"""Winbond W25Q16JV to W25Q128JV: 2 to 16 MiB of serial NOR flash; their data is in w25q_data.

Source: the data sheets named in ``hil.parts.w25q_data``, sections 7 (status registers, protection)
and 8 (instructions).

A command acts when chip select goes high. While the part is busy it takes status reads and reset
only; everything else is ignored and counted. Programming clears bits, erasing a sector sets them.
Dual and quad instructions want their address and data on that many lines: a bus that carries lines
hands them over with :meth:`W25Q.spi_exchange_wide`; on one line they read nothing.

Not modelled (touches are counted): QPI and continuous read mode, individual block locks (WPS), the
/WP, /HOLD and /RESET pins (SRP), the output drive (DRV). Not modelled either: wear out. A page
takes the typical page time whatever its length. Erase and program are whole: their result stands
from the start, also in what is read while they are suspended, and a reset does not leave them half
done.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts import w25q_data
from hil.parts.base import Param, Part, Quantity
from hil.parts.flash_store import SECTOR, FlashStore
from hil.parts.guide import Command, Guide, Memory
from hil.parts.limits import check_limits
from hil.parts.w25q_data import (
    ACTIONS,
    ANY_TIME,
    ARRAY_READS,
    ERASES,
    NARROW,
    NEED_QE,
    NOT_SUSPENDED,
    PAGE,
    PROGRAM,
    PROGRAM_NS,
    PROGRAMS,
    QUAD_PROGRAM,
    QUAD_WRITE,
    READS,
    RESET_NS,
    RESUME,
    STATUS_NS,
    STATUS_READS,
    STATUS_UNMODELLED,
    STATUS_WRITABLE,
    SUSPEND,
    SUSPEND_NS,
    VOLATILE_ENABLE,
    WAKE_NS,
    WIDE,
    WRITE_DISABLE,
    WRITE_ENABLE,
    Model,
)

BUSY, WEL, QE = 0x01, 0x02, 0x02
TB, SEC, SRL, CMP, SUS = 0x20, 0x40, 0x01, 0x40, 0x80
_SECURITY = b"SEC1"


class W25Q(Part):
    """One of the family; ``dump`` and ``load`` keep its content over a restart of the bench.

    ``busy_scale`` multiplies every busy time: 0 for programs that wait on the wall clock.
    """

    MODEL: ClassVar[Model]

    spi_modes: frozenset[int] = frozenset({0, 3})
    spi_max_hz = 133_000_000
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {}
    PARAMS: ClassVar[Mapping[str, Param]] = {"busy_scale": Param(None, 1.0)}

    def __init__(self, name: str, seed: int = 0, busy_scale: float = 1.0) -> None:
        super().__init__(name, seed)
        check_limits(name, {"busy_scale": (busy_scale, 0.0, 100.0)})
        self.busy_scale = busy_scale
        self.size = self.MODEL.size
        self.store = FlashStore(self.size)
        #: security register n is the first page of sector n
        self.security = FlashStore(4 * SECTOR)
        self._parameters = self.MODEL.parameters()
        self.unique_id = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        #: instructions ignored, by reason: busy, asleep, not enabled, protected, wrong length,
        #: wrong lines, unknown
        self.ignored: Counter[str] = Counter()
        # Status 2 leaves the factory with QE set (-IQ), status 3 with the output drive at 25 %.
        self._kept = [0x00, 0x02, 0x60]
        self.status = list(self._kept)
        self._busy_until_ns = 0
        self._working = 0  # the instruction that makes it busy, or that is suspended
        self._left_ns = 0  # of what is suspended
        self._asleep = False
        self._reset_armed = False
        self._volatile = False
        self._command = -1
        self._refused = False
        self._taken = bytearray()  # what came in since chip select, for instructions that act
        self._count = 0  # how much came in since chip select

    # Bus face -----------------------------------------------------------------------------------

    def guide(self) -> Guide:
        """Return its identity, its status, and how its octets are read."""
        jedec, device = bytes((0xEF, 0x40, self.MODEL.capacity)), bytes((0xEF, self.MODEL.device))
        questions: dict[str, tuple[str, int, str, bytes | None]] = {
            "jedec_id": ("9f", 3, "manufacturer, type, capacity", jedec),
            "device_id": ("90000000", 2, "manufacturer, device", device),
            "sfdp": ("5a00000000", 8, "head of the parameter table", b"SFDP\x05\x01\x00\xff"),
            "unique_id": ("4b00000000", 8, "unique to each part", None),
            "status1": ("05", 1, "SRP 7, SEC 6, TB 5, BP 4:2, WEL 1, BUSY 0", None),
            "status2": ("35", 1, "SUS 7, CMP 6, LB 5:3, QE 1, SRL 0", None),
            "status3": ("15", 1, "DRV 6:5, WPS 2", None),
        }
        commands = {
            name: Command(bytes.fromhex(send), nread, about, expect)
            for name, (send, nread, about, expect) in questions.items()
        }
        note = "erase and program it with flashrom: `hil run -- flashrom ...`"
        return Guide(commands=commands, memory=Memory(self.size, 3, b"\x03"), note=note)

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active: the next octet is an instruction."""
        self._command = -1
        self._refused = False
        self._taken.clear()
        self._count = 0

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Take instruction, address and data on one line, and answer what is read."""
        return self.spi_exchange_wide(t_ns, tx, 1)

    def spi_exchange_wide(self, t_ns: int, tx: bytes, lanes: int) -> bytes:
        """The same on so many lines, one way at a time; section 6.1."""
        if not tx:
            return b""
        if self._command < 0:
            self._command = tx[0]
            self._refused = self._refuses(t_ns, tx[0])
        start, self._count = self._count, self._count + len(tx)
        read = READS.get(self._command)
        self._check_lanes(start, lanes)
        room = 4 + PAGE if read is None else read.head
        if self._command in PROGRAMS:
            self._taken += tx  # more than a page wraps, so all of it matters
        elif len(self._taken) < room:
            self._taken += tx[: room - len(self._taken)]
        if read is None or self._refused or self._count <= read.head:
            return b"\xff" * len(tx)
        silent = max(read.head - start, 0)
        return b"\xff" * silent + self._serve(t_ns, start + silent - read.head, len(tx) - silent)

    def _check_lanes(self, start: int, lanes: int) -> None:
        """Refuse the instruction when one of its phases comes on another number of lines."""
        if lanes == 1 and self._command not in WIDE:
            return
        read = QUAD_WRITE if self._command == QUAD_PROGRAM else READS.get(self._command, NARROW)
        end = self._count
        phases = ((0, 1, 1), (1, read.head, read.address_lanes), (read.head, end, read.data_lanes))
        wanted = {lines for lower, upper, lines in phases if max(start, lower) < min(end, upper)}
        if wanted != {lanes} and not self._refused:
            self.ignored["wrong lines"] += 1
            self._refused = True

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
        if command not in READS and command not in ACTIONS:
            self.touch(f"instruction {command:02X}h")
            reason = "unknown"
        elif busy and command not in ANY_TIME:
            reason = "busy"
        elif self._asleep and command != 0xAB:
            reason = "asleep"
        elif command in NEED_QE and not self.status[1] & QE:
            reason = "quad disabled"
        elif self.status[1] & SUS and (
            command in NOT_SUSPENDED or (command in PROGRAMS and self._working in PROGRAMS)
        ):
            reason = "suspended"
        if reason:
            self.ignored[reason] += 1
        return bool(reason)

    def _serve(self, t_ns: int, offset: int, nbytes: int) -> bytes:
        """Return what the instruction reads, ``offset`` octets into its data."""
        command, taken = self._command, self._taken
        if command in ARRAY_READS:
            if offset == 0 and command in (0xBB, 0xEB) and taken[4] & 0x30 == 0x20:
                self.touch("continuous read mode")
            return self.store.read(int.from_bytes(taken[1:4], "big") + offset, nbytes)
        if command == 0x48:
            register, at = taken[2] >> 4 & 3, (taken[3] + offset) % PAGE
            page = self.security.read(register * SECTOR, PAGE)
            return (page * (2 + nbytes // PAGE))[at : at + nbytes]
        if command in STATUS_READS:
            if t_ns >= self._busy_until_ns and self.status[0] & BUSY:
                self.status[0] &= ~(BUSY | WEL)
            return bytes((self.status[STATUS_READS.index(command)],)) * nbytes
        if command == 0x9F:
            identity = bytes((0xEF, 0x40, self.MODEL.capacity))
            return identity.ljust(offset + nbytes, b"\xff")[offset : offset + nbytes]
        if command == 0x5A:
            at = (taken[3] + offset) % 256
            return (self._parameters * (2 + nbytes // 256))[at : at + nbytes]
        device = bytes((self.MODEL.device,))
        answer = {0x90: b"\xef" + device, 0xAB: device, 0x4B: self.unique_id}[command]
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
        elif command in (PROGRAM, QUAD_PROGRAM):
            address = int.from_bytes(taken[1:4], "big")
            if self._may_change(address, 1):
                self._program(self.store, address, taken[4:])
                self._work(t_ns, PROGRAM_NS, command)
        elif command in (0x42, 0x44):
            self._change_security(t_ns, command, taken)
        elif command == SUSPEND:
            self._suspend(t_ns)
        elif command == RESUME and self.status[1] & SUS:
            self.status[1] &= ~SUS
            self.status[0] |= BUSY
            self._busy_until_ns = t_ns + self._left_ns
        elif command in (0x20, 0x52, 0xD8, 0xC7, 0x60):
            self._erase(t_ns, 0xC7 if command == 0x60 else command, taken)

    def _suspend(self, t_ns: int) -> None:
        """Section 8.2.24: an erase of a block or a program stops, to go on later."""
        if t_ns < self._busy_until_ns and self._working in ERASES | PROGRAMS:
            self.status[1] |= SUS
            self._left_ns = self._busy_until_ns - t_ns
            self._busy_until_ns = t_ns + SUSPEND_NS

    def _change_security(self, t_ns: int, command: int, taken: bytes) -> None:
        """Sections 8.2.29 and 30: one of three registers, unless its lock bit is set."""
        register = taken[2] >> 4 & 3
        if not self.status[0] & WEL:
            self.ignored["not enabled"] += 1
        elif not register or self.status[1] >> (2 + register) & 1:
            self.ignored["protected"] += 1
            self.status[0] &= ~WEL
        elif command == 0x44:
            self.security.erase(register * SECTOR, SECTOR)
            self._work(t_ns, self.MODEL.erase_ns[0x20], command)
        else:
            self._program(self.security, register * SECTOR + taken[3], taken[4:])
            self._work(t_ns, PROGRAM_NS, command)

    def _work(self, t_ns: int, duration_ns: int, command: int = 0) -> None:
        if not self.status[1] & SUS:
            self._working = command
        self._busy_until_ns = t_ns + round(duration_ns * self.busy_scale)
        self.status[0] |= BUSY

    def _program(self, store: FlashStore, address: int, data: bytes) -> None:
        """Program within one page: past its end data goes on at its start (section 8.2.15)."""
        base, at = address & ~(PAGE - 1), address & (PAGE - 1)
        page = bytearray(b"\xff" * PAGE)
        at = (at + max(len(data) - PAGE, 0)) % PAGE
        data = data[-PAGE:]
        first = data[: PAGE - at]
        page[at : at + len(first)] = first
        page[: len(data) - len(first)] = data[len(first) :]
        store.program(base, bytes(page))

    def _erase(self, t_ns: int, command: int, taken: bytes) -> None:
        nbytes = self.MODEL.erase_nbytes[command]
        address = 0 if command == 0xC7 else int.from_bytes(taken[1:4], "big") & ~(nbytes - 1)
        if self._may_change(address, nbytes):
            self.store.erase(address, nbytes)
            self._work(t_ns, self.MODEL.erase_ns[command], command)

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
            nbytes = self.size
        elif one & SEC:
            nbytes = min(SECTOR << (code - 1), 8 * SECTOR)
        else:
            nbytes = min(self.MODEL.protection_unit << (code - 1), self.size)
        lower = 0 if one & TB else self.size - nbytes
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
            changed = (self.status[number] ^ octet) & STATUS_UNMODELLED[number]
            if changed:
                self.touch(f"write status {number + 1} bits {changed:02X}h")
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
        security = self.security.dump() if self.security.wear or self.security.sectors else b""
        head = _SECURITY + len(security).to_bytes(4, "little") if security else b""
        return bytes(self._kept) + head + security + self.store.dump()

    def load(self, image: bytes) -> None:
        """Take over what :meth:`dump` returned and power up with it.

        Raises :class:`hil.errors.ConfigError` when the image is damaged.
        """
        security, at = FlashStore(4 * SECTOR), 3
        if image[3:7] == _SECURITY:
            at = 11 + int.from_bytes(image[7:11], "little")
            security.load(image[11:at])
        self.store.load(image[at:])
        self.security = security
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


class W25Q16(W25Q):
    """W25Q16JV, 2 MiB."""

    MODEL = w25q_data.W25Q16


class W25Q32(W25Q):
    """W25Q32JV, 4 MiB."""

    MODEL = w25q_data.W25Q32


class W25Q64(W25Q):
    """W25Q64JV, 8 MiB."""

    MODEL = w25q_data.W25Q64


class W25Q128(W25Q):
    """W25Q128JV, 16 MiB."""

    MODEL = w25q_data.W25Q128
