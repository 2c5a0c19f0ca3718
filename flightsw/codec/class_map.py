"""Class maps in few octets, and the same octets on every machine.

A general compressor gives other octets in another version or build of its library; a product must
not. A class map is mostly like its own row above, so each pixel is coded as its difference from the
pixel above (modulo 4, the row above the first being 0), and only differences that are not 0 are
written: the distance to it in row-major order in Elias' gamma code (P. Elias, "Universal codeword
sets", 1975), then the difference: ``0`` for 1, ``10`` for 2, ``11`` for 3. A last distance that
leads behind the end closes the map; the octet it ends in is filled with zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError

Classes = NDArray[np.uint8]

LEVELS = 4
_DIFFERENCE = ("", "0", "10", "11")


def encode(classes: Classes) -> bytes:
    """Return the octets of a map, uint8 of shape (height, width) with values 0 to 3."""
    if classes.ndim != 2 or not classes.size or int(classes.max()) >= LEVELS:
        raise FieldRangeError(
            f"class map of shape {classes.shape}: needs two dimensions and values 0 to {LEVELS - 1}"
        )
    above = np.zeros_like(classes)
    above[1:] = classes[:-1]
    difference = ((classes - above) & (LEVELS - 1)).reshape(-1)
    places = np.flatnonzero(difference)
    distances = np.diff(places, prepend=-1).tolist()
    bits = [
        _gamma(distance) + _DIFFERENCE[value]
        for distance, value in zip(distances, difference[places].tolist(), strict=True)
    ]
    last = int(places[-1]) if len(places) else -1
    bits.append(_gamma(classes.size - last))
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def decode(octets: bytes, height: int, width: int) -> Classes:
    """Return the map, uint8 of shape (height, width); the inverse of :func:`encode`.

    Raises TruncatedError if octets are missing and SyncError if any are left over.
    """
    text = format(int.from_bytes(octets, "big"), f"0{len(octets) * 8}b") if octets else ""
    difference = np.zeros(height * width, np.uint8)
    at, place = 0, -1
    while True:
        one = text.find("1", at)
        end = 2 * one - at + 1
        if one < 0 or end > len(text):
            raise TruncatedError(
                f"class map {height} x {width}: {len(octets)} octets end inside it"
            )
        place += int(text[one:end], 2)
        at = end
        if place >= difference.size:
            break
        if text[at : at + 1] == "0":
            difference[place], at = 1, at + 1
        else:
            difference[place], at = 3 if text[at + 1 : at + 2] == "1" else 2, at + 2
    if place > difference.size or len(text) - at >= 8 or "1" in text[at:]:
        raise SyncError(f"class map {height} x {width}: does not end where its octets do")
    rows = difference.reshape(height, width)
    totals = np.cumsum(rows, axis=0, dtype=np.uint64)
    return (totals & np.uint64(LEVELS - 1)).astype(np.uint8)


def _gamma(number: int) -> str:
    """Return Elias' gamma code of a number from 1: its length in zeros, then its bits."""
    return "0" * (number.bit_length() - 1) + format(number, "b")
