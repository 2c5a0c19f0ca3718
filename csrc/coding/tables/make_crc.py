"""Write ``crc.h``: the constants by which CRCs are folded (``crc_fold.h`` says what they are for).

    python csrc/coding/tables/make_crc.py

All are powers of x modulo a polynomial P of degree 32, and the quotient of x^64 by P. The CRC-16 is
carried in the upper half of 32 bits: modulo P * x^16 instead of P, a remainder r becomes r * x^16,
so one kernel serves both widths. Likewise a CRC that takes the least significant bit of an octet
first is one that takes it last, over mirrored octets.
"""

from __future__ import annotations

from pathlib import Path

HEADER = Path(__file__).with_name("crc.h")
#: Name in C, polynomial without its term of degree 32.
POLYNOMIALS = {
    "FS_FOLD_CRC16": 0x1021 << 16,
    "FS_FOLD_CRC32_USLP": 0x00A00805,
    "FS_FOLD_CRC32C": 0x1EDC6F41,
}
#: Distances in bits over which 128 bits are moved.
DISTANCES = (256, 512, 1024, 2048)
#: Distances in bits over which octets are moved, each as one of its own (CRC-16 only).
OCTET_DISTANCES = (512, 1024, 2048)
#: Octets of each of three streams that the CRC-32C instruction takes side by side.
STREAMS = (128, 1024)


def divide(dividend: int, divisor: int) -> tuple[int, int]:
    """Return quotient and remainder of two polynomials over GF(2), bit i the term of degree i."""
    quotient, degree = 0, divisor.bit_length()
    while dividend.bit_length() >= degree:
        shift = dividend.bit_length() - degree
        quotient |= 1 << shift
        dividend ^= divisor << shift
    return quotient, dividend


def mirrored(value: int) -> int:
    """Return 32 bits in reverse order."""
    return int(f"{value:032b}"[::-1], 2)


def octet_matrices(distance: int) -> dict[str, int]:
    """Return the four bit matrices that multiply a CRC-16, as two octets, by x^distance.

    In the form of GF2P8AFFINEQB: the row that makes bit i of the result is octet 7 - i.
    """
    matrices = {}
    for source, above in (("low", 0), ("high", 8)):
        columns = [divide(1 << (distance + above + bit), 1 << 16 | 0x1021)[1] for bit in range(8)]
        for target, shift in (("low", 0), ("high", 8)):
            rows = bytes(
                sum((column >> shift + i & 1) << bit for bit, column in enumerate(columns))
                for i in range(8)
            )
            matrices[f"{source}_to_{target}"] = int.from_bytes(rows, "big")
    return matrices


def text() -> str:
    """Return the whole header."""
    lines = ["/* Written by make_crc.py. */"]
    for name, low in POLYNOMIALS.items():
        p = 1 << 32 | low
        power = {n: divide(1 << n, p)[1] for d in DISTANCES for n in (d, d + 64)}
        weights = [divide(1 << (64 * (14 - i + 2 * (i & 1)) + 32), p)[1] for i in range(16)]
        lines += [f"static const fs_crc_fold {name} = {{"]
        lines += [f"    .by{d} = {{0x{power[d]:08X}, 0x{power[d + 64]:08X}}}," for d in DISTANCES]
        rows = [", ".join(f"0x{w:08X}" for w in weights[i : i + 4]) for i in range(0, 16, 4)]
        lines += ["    .weight = {" + (",\n" + " " * 15).join(rows) + "},"]
        lines += [f"    .x64 = 0x{divide(1 << 64, p)[1]:08X},"]
        lines += [f"    .mu = {{0x{divide(1 << 64, p)[0]:09X}, 0x{p:09X}}},", "};"]
    p = 1 << 32 | POLYNOMIALS["FS_FOLD_CRC16"]
    weights = [divide(1 << (64 * (6 - i + 2 * (i & 1)) + 40), p)[1] for i in range(8)]
    lines += ["static const uint64_t FS_CRC16_HIGH_WEIGHT[8] = {"]
    lines += ["    " + ", ".join(f"0x{w:08X}" for w in weights[i : i + 4]) + "," for i in (0, 4)]
    lines += ["};"]
    for distance in OCTET_DISTANCES:
        lines += [f"static const fs_crc_move FS_CRC16_MOVE_{distance} = {{"]
        matrices = octet_matrices(distance)
        lines += [f"    .{key} = 0x{value:016X}," for key, value in matrices.items()]
        lines += ["};"]
    for nbytes in STREAMS:
        p = 1 << 32 | POLYNOMIALS["FS_FOLD_CRC32C"]
        far, near = (mirrored(divide(1 << (8 * n * nbytes - 33), p)[1]) for n in (2, 1))
        lines += [f"static const uint64_t FS_CRC32C_{nbytes}[2] = {{0x{far:08X}, 0x{near:08X}}};"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    HEADER.write_text(text())
    print(HEADER)
