"""Images as UF2, which a Raspberry Pi Pico takes when it shows itself as a disk.

``python -m hil.boards.uf2 IMAGE.hex IMAGE.uf2 [--uid HEX]``: hold BOOTSEL while the board is
plugged in, then copy the UF2 onto its disk. ``--uid`` gives the board 16 digits of its own, by
which it is known behind any serial adapter.

Source: github.com/microsoft/uf2; RP2040 data sheet 2.8.4.2.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import Final

from hil.boards import hexfile
from hil.boards.emulate_rp2040js import FLASH_END, UID_NBYTES

MAGIC: Final = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
FAMILY_PRESENT: Final = 0x2000
RP2040: Final = 0xE48BFF56
PAGE_NBYTES: Final = 256
_HEAD: Final = struct.Struct("<8I")


def pages(memory: dict[int, bytes]) -> dict[int, bytes]:
    """Return the flash by whole pages, what is not given erased: address -> 256 octets."""
    found: dict[int, bytearray] = {}
    for start, octets in memory.items():
        for address, octet in enumerate(octets, start):
            page = address - address % PAGE_NBYTES
            found.setdefault(page, bytearray(b"\xff" * PAGE_NBYTES))[address - page] = octet
    return {page: bytes(found[page]) for page in sorted(found)}


def uf2(memory: dict[int, bytes], family: int = RP2040) -> bytes:
    """Return the UF2 of a memory: a block of 512 octets for each page."""
    blocks = []
    wanted = pages(memory)
    for number, (address, octets) in enumerate(wanted.items()):
        counts = (PAGE_NBYTES, number, len(wanted), family)
        head = _HEAD.pack(*MAGIC[:2], FAMILY_PRESENT, address, *counts)
        blocks.append(head + octets.ljust(476, b"\0") + struct.pack("<I", MAGIC[2]))
    return b"".join(blocks)


def main(words: list[str] | None = None) -> int:
    """Convert an image; return 0."""
    parser = argparse.ArgumentParser(prog="python -m hil.boards.uf2", description=__doc__)
    parser.add_argument("image", type=Path, metavar="IMAGE.hex")
    parser.add_argument("made", type=Path, metavar="IMAGE.uf2")
    parser.add_argument("--uid", type=bytes.fromhex, default=b"", metavar="HEX")
    given = parser.parse_args(words)
    if given.uid and len(given.uid) != UID_NBYTES:
        parser.error(f"--uid takes {2 * UID_NBYTES} digits, not {2 * len(given.uid)}")
    pieces = {FLASH_END - UID_NBYTES: given.uid} if given.uid else {}
    text = hexfile.extended(given.image, pieces)
    given.made.write_bytes(uf2(hexfile.memory(text, given.image.name)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
