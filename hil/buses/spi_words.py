"""SPI words: as they lie in memory, as they go out on the wire, and as a part gets octets of them.

In memory a word of up to 8, 16 or 32 bits takes one, two or four octets, little-endian, its value
in the low bits, as spidev of Linux has it. On the wire it is its bits, the high one first or, with
the least significant bit first, the low one. A part that knows words (``spi_exchange_words``) gets
them; any other gets the octets that the bits make up, one after the other, and of the last one that
is not whole it sees zeros for the bits that never come.
"""

from __future__ import annotations

from typing import Any, Final

REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def word_nbytes(bits: int) -> int:
    """Return how many octets a word takes in memory."""
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def unpack(octets: bytes, bits: int) -> list[int]:
    """Return the words that lie in ``octets``; what is above their bits is not looked at."""
    size, mask = word_nbytes(bits), (1 << bits) - 1
    return [
        int.from_bytes(octets[at : at + size], "little") & mask
        for at in range(0, len(octets), size)
    ]


def pack(words: list[int], bits: int) -> bytes:
    """Return words as they lie in memory."""
    size = word_nbytes(bits)
    return b"".join(word.to_bytes(size, "little") for word in words)


def reverse(word: int, bits: int) -> int:
    """Return a word with its bits the other way round."""
    return int(f"{word:0{bits}b}"[::-1], 2)


def exchange(part: Any, t_ns: int, tx: bytes, bits: int, lsb_first: bool, late: bool) -> bytes:
    """Exchange the words in ``tx`` with a part; ``late``: every bit is sampled one late."""
    words = unpack(tx, bits)
    if lsb_first:
        words = [reverse(word, bits) for word in words]
    native = getattr(part, "spi_exchange_words", None)
    if native is not None and not late:
        answer: list[int] = native(t_ns, words, bits)
    else:
        answer = _split(_through(part, t_ns, _join(words, bits), late), bits, len(words))
    if lsb_first:
        answer = [reverse(word, bits) for word in answer]
    return pack(answer, bits)


def _join(words: list[int], bits: int) -> bytes:
    """Return the bits of words as octets, the first bit on top, zeros behind the last."""
    total = bits * len(words)
    value = 0
    for word in words:
        value = value << bits | word
    return (value << -total % 8).to_bytes((total + 7) // 8, "big")


def _split(octets: bytes, bits: int, count: int) -> list[int]:
    value = int.from_bytes(octets, "big") >> (8 * len(octets) - bits * count)
    mask = (1 << bits) - 1
    return [value >> bits * (count - 1 - n) & mask for n in range(count)]


def _through(part: Any, t_ns: int, outgoing: bytes, late: bool) -> bytes:
    """Pass what is on the wire through a part."""
    backwards = getattr(part, "spi_lsb_first", False)
    if late:
        outgoing = shifted(outgoing)
    rx: bytes = part.spi_exchange(t_ns, outgoing.translate(REVERSED) if backwards else outgoing)
    rx = rx.translate(REVERSED) if backwards else rx
    return shifted(rx) if late else rx


def shifted(octets: bytes) -> bytes:
    """Return a bit stream sampled one bit late."""
    return (int.from_bytes(octets, "big") >> 1).to_bytes(len(octets), "big")
