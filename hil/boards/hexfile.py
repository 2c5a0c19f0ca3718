"""Images in Intel HEX: read, and given further octets, such as a number of the board's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hil.errors import BoardError

DATA, END, SEGMENT, START_SEGMENT, LINEAR, START_LINEAR = range(6)
_END_LINE: Final = ":00000001FF"


def record(kind: int, address: int, octets: bytes) -> str:
    """Return one line: ``address`` has 16 bits, and there are at most 255 octets."""
    body = bytes((len(octets), address >> 8, address & 0xFF, kind)) + octets
    return f":{body.hex()}{-sum(body) & 0xFF:02x}".upper()


def records(text: str, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Return (kind, address, octets) of each line.

    Raises :class:`~hil.errors.BoardError` that names the line which is not Intel HEX.
    """
    for number, line in enumerate(text.split(), 1):
        try:
            octets = bytes.fromhex(line.removeprefix(":"))
        except ValueError:
            octets = b""
        good = line.startswith(":") and len(octets) > 4 and len(octets) == octets[0] + 5
        if not good or sum(octets) & 0xFF:
            raise BoardError(f"{name}: line {number} is no Intel HEX; build the image anew")
        yield octets[3], octets[1] << 8 | octets[2], octets[4:-1]


def extended(path: Path, pieces: dict[int, bytes]) -> str:
    """Return the text of an image with further octets at the given addresses of 32 bits."""
    text = read_image(path)
    lines = [line for line in text.split() if line.upper() != _END_LINE]
    for address, octets in pieces.items():
        lines.append(record(LINEAR, 0, (address >> 16).to_bytes(2, "big")))
        lines.append(record(DATA, address & 0xFFFF, octets))
    return "\n".join([*lines, _END_LINE, ""])


def read_image(path: Path) -> str:
    """Return the text of an image. Raises BoardError if it cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BoardError(f"image {path}: {why}; `make -C boards/firmware` builds images") from None


def memory(text: str, name: str) -> dict[int, bytes]:
    """Return the octets of an image, joined where they touch: address -> octets."""
    found: dict[int, bytearray] = {}
    base, at = 0, -1
    for kind, address, octets in records(text, name):
        if kind == LINEAR:
            base = int.from_bytes(octets, "big") << 16
        elif kind == SEGMENT:
            base = int.from_bytes(octets, "big") << 4
        elif kind == DATA:
            start = base + address
            last = next(reversed(found), None)
            if last is not None and last + len(found[last]) == start:
                at = last
            else:
                at = start
                found[at] = bytearray()
            found[at] += octets
    return {start: bytes(octets) for start, octets in found.items()}
