"""The cells of a NOR flash, kept sparse: a sector takes memory from its first programming on."""

from __future__ import annotations

import struct
import zlib
from collections import Counter

from hil.errors import ConfigError

SECTOR = 4096
_ERASED = b"\xff" * SECTOR
_HEAD = struct.Struct("<4sIII")  # magic, size, number of rows, CRC-32 of the rows
_ROW = struct.Struct("<IIB")  # sector, erases, whether content follows
_MAGIC = b"NOR1"


class FlashStore:
    """Octets that programming can only clear and erasing sets, by sectors of 4 KiB."""

    def __init__(self, size: int) -> None:
        assert size % SECTOR == 0, "a flash is whole sectors"
        self.size = size
        #: content of the sectors that are not erased
        self.sectors: dict[int, bytearray] = {}
        #: erases of each sector
        self.wear: Counter[int] = Counter()

    def read(self, address: int, nbytes: int) -> bytes:
        """Return octets; past the end it goes on at the start."""
        out = []
        while nbytes > 0:
            sector, at = divmod(address % self.size, SECTOR)
            part = self.sectors.get(sector, _ERASED)[at : at + nbytes]
            out.append(part)
            address += len(part)
            nbytes -= len(part)
        return b"".join(out)

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in ``data``; it must not cross a sector."""
        sector, at = divmod(address % self.size, SECTOR)
        assert at + len(data) <= SECTOR, "programming goes page by page"
        cells = self.sectors.setdefault(sector, bytearray(_ERASED))
        old = int.from_bytes(cells[at : at + len(data)], "big")
        new = old & int.from_bytes(data, "big")
        cells[at : at + len(data)] = new.to_bytes(len(data), "big")

    def erase(self, address: int, nbytes: int) -> None:
        """Set all bits of whole sectors, and count their wear."""
        assert address % SECTOR == nbytes % SECTOR == 0, "erasing goes by whole sectors"
        for sector in range(address // SECTOR, (address + nbytes) // SECTOR):
            self.sectors.pop(sector, None)
            self.wear[sector] += 1

    def dump(self) -> bytes:
        """Return content and wear as octets."""
        rows = bytearray()
        used = sorted(self.sectors.keys() | self.wear.keys())
        for sector in used:
            cells = self.sectors.get(sector)
            rows += _ROW.pack(sector, self.wear[sector], cells is not None)
            rows += cells or b""
        return _HEAD.pack(_MAGIC, self.size, len(used), zlib.crc32(rows)) + bytes(rows)

    def load(self, image: bytes) -> None:
        """Take over what :meth:`dump` returned; the store stays as it was if that is damaged."""
        if len(image) < _HEAD.size or image[:4] != _MAGIC:
            raise ConfigError("flash image: not an image of a flash; start without it")
        _, size, number, crc = _HEAD.unpack_from(image)
        rows = image[_HEAD.size :]
        if size != self.size or zlib.crc32(rows) != crc:
            raise ConfigError(
                f"flash image: damaged, or of a flash of {size} octets where the part has "
                f"{self.size}; start without it"
            )
        sectors, wear, at = {}, Counter[int](), 0
        for _ in range(number):
            sector, erases, filled = _ROW.unpack_from(rows, at)
            at += _ROW.size
            if erases:
                wear[sector] = erases
            if filled:
                sectors[sector] = bytearray(rows[at : at + SECTOR])
                at += SECTOR
        self.sectors, self.wear = sectors, wear
