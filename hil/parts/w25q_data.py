"""The W25Q family as data: models, instructions, times, the parameter table.

Sources: data sheets W25Q16JV revision H, W25Q32JV revision G, W25Q64JV revision J and W25Q128JV
revision F, sections 8.1.2 (instructions) and 9.6 (busy times, typical column); JEDEC JESD216B for
the parameter table, whose words are those that a W25Q128JV answered in the Linux commit "mtd:
spi-nor: Correct flags for Winbond w25q128" (Linus Walleij, July 2023), with the density and the
time of a chip erase of the model.
"""

from __future__ import annotations

from typing import NamedTuple

from hil.parts.flash_store import SECTOR

PAGE = 256
WRITE_ENABLE, WRITE_DISABLE, VOLATILE_ENABLE = 0x06, 0x04, 0x50
PROGRAM, QUAD_PROGRAM = 0x02, 0x32
STATUS_READS = (0x05, 0x35, 0x15)
SUSPEND, RESUME = 0x75, 0x7A
ANY_TIME = frozenset((*STATUS_READS, 0x66, 0x99, SUSPEND))
ERASES = frozenset((0x20, 0x52, 0xD8, 0x44))
PROGRAMS = frozenset((PROGRAM, QUAD_PROGRAM, 0x42))
#: ignored while something is suspended (section 8.2.24)
NOT_SUSPENDED = ERASES | {0xC7, 0x60, 0x01, 0x31, 0x11, SUSPEND}

PROGRAM_NS = 400_000
STATUS_NS = 10_000_000
RESET_NS = 30_000
WAKE_NS = 3_000
SUSPEND_NS = 20_000


class Model(NamedTuple):
    """One size of the family."""

    size: int
    #: third octet of the JEDEC identity, and the device identity of 90h and ABh
    capacity: int
    device: int
    chip_erase_s: int
    #: typical time of a chip erase in the code of JESD216B, DWORD 11
    chip_erase_code: int

    @property
    def erase_ns(self) -> dict[int, int]:
        """Time of each erase, by instruction."""
        chip_ns = self.chip_erase_s * 1_000_000_000
        return {0x20: 45_000_000, 0x52: 120_000_000, 0xD8: 150_000_000, 0xC7: chip_ns}

    @property
    def erase_nbytes(self) -> dict[int, int]:
        """Octets of each erase, by instruction."""
        return {0x20: SECTOR, 0x52: 8 * SECTOR, 0xD8: 16 * SECTOR, 0xC7: self.size}

    @property
    def protection_unit(self) -> int:
        """Octets that the lowest block protection code covers (tables of section 7.2)."""
        return max(self.size // 64, 16 * SECTOR)

    def parameters(self) -> bytes:
        """Return the 256 octets of the parameter table."""
        head = bytes.fromhex("53464450050100ff00050110800000ff").ljust(0x80, b"\xff")
        words = bytearray.fromhex(
            "e520f9ffffffff0744eb086b083b42bbfeffffffffff0000ffff40eb0c200f52"
            "10d800003602a60082ea14c9e96376337a757a75f7a2d55c19f74dffe930f880"
        )
        words[4:8] = (self.size * 8 - 1).to_bytes(4, "little")
        words[43] = self.chip_erase_code
        return (head + bytes(words)).ljust(256, b"\xff")


W25Q16 = Model(1 << 21, 0x15, 0x14, 5, 0xB3)
W25Q32 = Model(1 << 22, 0x16, 0x15, 10, 0xC2)
W25Q64 = Model(1 << 23, 0x17, 0x16, 20, 0xC4)
W25Q128 = Model(1 << 24, 0x18, 0x17, 40, 0xC9)


class Read(NamedTuple):
    """An instruction that reads: what goes before its data, and on how many lines."""

    #: octets of instruction, address and dummies before data flows
    head: int
    #: lines of the address and the dummies, and of the data
    address_lanes: int = 1
    data_lanes: int = 1


READS = {
    0x03: Read(4),
    0x0B: Read(5),  # fast read
    0x3B: Read(5, 1, 2),  # dual output
    0xBB: Read(5, 2, 2),  # dual I/O: one octet of mode bits
    0x6B: Read(5, 1, 4),  # quad output
    0xEB: Read(7, 4, 4),  # quad I/O: mode bits, four dummy clocks
    0x05: Read(1),  # status 1, 2, 3
    0x35: Read(1),
    0x15: Read(1),
    0x9F: Read(1),  # JEDEC identity
    0x90: Read(4),  # manufacturer and device
    0xAB: Read(4),  # release power-down, device
    0x4B: Read(5),  # unique identity
    0x5A: Read(5),  # parameter table
    0x48: Read(5),  # security registers
}
ARRAY_READS = frozenset((0x03, 0x0B, 0x3B, 0xBB, 0x6B, 0xEB))
NEED_QE = frozenset((0x6B, 0xEB, QUAD_PROGRAM))
#: instructions with more than one line somewhere
WIDE = frozenset((0x3B, 0xBB, 0x6B, 0xEB, QUAD_PROGRAM))
NARROW, QUAD_WRITE = Read(1), Read(4, 1, 4)
_ANY = 1 << 24
#: instructions that act, and the least and most octets with which they do
ACTIONS = {
    WRITE_ENABLE: (1, 1),
    WRITE_DISABLE: (1, 1),
    VOLATILE_ENABLE: (1, 1),
    0x01: (2, 3),  # write status 1, or 1 and 2
    0x31: (2, 2),
    0x11: (2, 2),
    PROGRAM: (5, _ANY),
    QUAD_PROGRAM: (5, _ANY),
    0x42: (5, _ANY),  # security registers: program, erase
    0x44: (4, 4),
    SUSPEND: (1, 1),
    RESUME: (1, 1),
    0x20: (4, 4),  # erase 4 KiB, 32 KiB, 64 KiB, chip
    0x52: (4, 4),
    0xD8: (4, 4),
    0xC7: (1, 1),
    0x60: (1, 1),
    0xB9: (1, 1),  # power-down
    0xAB: (1, _ANY),  # release it
    0x66: (1, 1),  # enable reset, reset
    0x99: (1, 1),
}
#: bits of status 1, 2, 3 that a write changes; the rest are fixed or set by the part
STATUS_WRITABLE = (0xFC, 0x7B, 0x64)
#: of these, SRP, and DRV and WPS, which are stored and have no effect
STATUS_UNMODELLED = (0x80, 0x00, 0x64)
