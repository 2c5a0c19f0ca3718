"""Write ``randomiser.h``: the first octets of each pseudo-random sequence.

    python csrc/coding/tables/make_randomiser.py

CCSDS 131.0-B-5 section 10 and 231.0-B-4 section 6. A sequence obeys, bit by bit, s[n + degree] =
sum of s[n + t] over the exponents t of its polynomial below the degree.
"""

from __future__ import annotations

from pathlib import Path

HEADER = Path(__file__).with_name("randomiser.h")
#: Name in C, degree, exponents below it, first bits, octets wanted: one period, or what the
#: recurrence squared five times reaches back (17 * 32 octets).
SEQUENCES = (
    ("TM", 8, (7, 5, 3, 0), "11111111", 255),
    ("TC", 8, (6, 4, 3, 2, 1, 0), "11111111", 255),
    ("TM17", 17, (14, 0), "00011100011100011", 544),
)


def octets(degree: int, exponents: tuple[int, ...], first: str, nbytes: int) -> bytes:
    """Return the first octets of a sequence."""
    bits = [int(bit) for bit in first]
    while len(bits) < 8 * nbytes:
        start = len(bits) - degree
        bits.append(sum(bits[start + exponent] for exponent in exponents) & 1)
    return bytes(
        int("".join(str(bit) for bit in bits[i : i + 8]), 2) for i in range(0, 8 * nbytes, 8)
    )


def text() -> str:
    """Return the whole header."""
    lines = ["/* Written by make_randomiser.py. */"]
    for name, degree, exponents, first, nbytes in SEQUENCES:
        values = [f"0x{octet:02X}," for octet in octets(degree, exponents, first, nbytes)]
        lines += [f"static const uint8_t FS_PN_{name}_START[{nbytes}] = {{"]
        lines += ["    " + " ".join(values[i : i + 16]) for i in range(0, nbytes, 16)]
        lines += ["};"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    HEADER.write_text(text())
    print(HEADER)
