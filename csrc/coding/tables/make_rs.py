"""Write ``rs.h``, ``rs_shuffle.h``, ``rs_gfni.h``, ``rs_fourier.h``: Reed-Solomon, CCSDS 131.0-B-5.

    python csrc/coding/tables/make_rs.py

The field is GF(256) of x^8 + x^7 + x^2 + x + 1 with alpha = x (clause 4.3.3), the roots of the
generator are powers 128-E .. 127+E of beta = alpha^11 (clause 4.3.4), and a symbol on the wire is
written in the dual basis, whose digits are traces (annex F). Everything below is derived from that.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent


def times(a: int, b: int, polynomial: int = 0x187) -> int:
    """Return the product of two field elements."""
    product = 0
    for bit in range(8):
        product ^= a << bit if b >> bit & 1 else 0
    for bit in range(14, 7, -1):
        product ^= polynomial << (bit - 8) if product >> bit & 1 else 0
    return product


def power(a: int, n: int) -> int:
    """Return ``a`` to the power ``n``."""
    result = 1
    for _ in range(n % 255):
        result = times(result, a)
    return result


BETA = power(2, 11)
EXP = [1]
for _ in range(254):
    EXP.append(times(EXP[-1], BETA))
LOG = {value: i for i, value in enumerate(EXP)}
#: of the generator for E = 16; those for E = 8 are the 16 in the middle
ROOTS = [EXP[112 + i] for i in range(32)]


def mul(a: int, b: int) -> int:
    """Return a product by logarithms to the base beta."""
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0


def trace(a: int) -> int:
    """Return a + a^2 + a^4 + ... + a^128, which is 0 or 1."""
    total = 0
    for _ in range(8):
        total ^= a
        a = times(a, a)
    return total


#: a symbol as it is written on the wire in the dual basis: digit i, the most significant first, is
#: the trace of the symbol times alpha^(117 i)
DUAL = [sum(trace(times(x, power(2, 117 * i))) << (7 - i) for i in range(8)) for x in range(256)]
PLAIN = [DUAL.index(x) for x in range(256)]
SAME = list(range(256))
BASES = ((SAME, SAME), (PLAIN, DUAL))


def generator(e: int) -> list[int]:
    """Return the generator polynomial, the coefficient of x^(2E), which is 1, first."""
    poly = [1]
    for j in range(128 - e, 128 + e):
        poly = [a ^ mul(EXP[j], b) for a, b in zip([*poly, 0], [0, *poly], strict=True)]
    return poly


def division_row(symbol: int, e: int, behind: int) -> list[int]:
    """Return symbol * x^(2E + behind) modulo the generator, the coefficient of x^(2E-1) first."""
    poly = generator(e)[1:]
    row = [mul(symbol, a) for a in poly]
    for _ in range(behind):
        row = [a ^ mul(row[0], b) for a, b in zip([*row[1:], 0], poly, strict=True)]
    return row


def words(octets: Iterable[int]) -> list[int]:
    """Return octets as 64-bit words, the first octet the least significant."""
    flat = bytes(octets)
    return [int.from_bytes(flat[i : i + 8], "little") for i in range(0, len(flat), 8)]


def linear(name: str, rows: list[list[int]]) -> str:
    """Return macros NAME_w_b: word w of the table row of the octet 1 << b."""
    lines = [
        f"#define {name}_{w}_{b} {word:#018x}ull"
        for w in range(len(rows[0]))
        for b, word in enumerate(row[w] for row in rows)
    ]
    return "\n".join(lines)


def array(head: str, values: list[int], per_line: int, form: str) -> str:
    """Return an array definition."""
    rows = [values[i : i + per_line] for i in range(0, len(values), per_line)]
    body = "\n".join("    " + ", ".join(form.format(v) for v in row) + "," for row in rows)
    return f"{head} = {{\n{body}\n}};"


def division() -> str:
    """Return the rows by which the remainder is taken, one and two octets at a time."""
    parts = []
    for e, behind in ((16, 0), (16, 1), (8, 0)):
        rows = [words(DUAL[v] for v in division_row(PLAIN[1 << b], e, behind)) for b in range(8)]
        parts.append(linear(f"FS_RS_{e}_{behind}", rows))
    return "\n".join(parts)


def chien() -> str:
    """Return, for each degree d, a coefficient times beta^d .. beta^(8 d) in one word."""
    parts = []
    for d in range(1, 17):
        rows = [words(mul(1 << b, EXP[d * k % 255]) for k in range(1, 9)) for b in range(8)]
        parts.append(linear(f"FS_RS_X{d}", rows))
    return "\n".join(parts)


PORTABLE = """\
/* Constants of the CCSDS Reed-Solomon code. Written by make_rs.py; do not edit. */
#ifndef FLATSAT_TABLES_RS_H
#define FLATSAT_TABLES_RS_H

#include <stdint.h>

/* Powers of beta = alpha^11, twice, then zeros; logarithms, that of 0 being past all sums: so
 * RS_EXP[RS_LOG[a] + RS_LOG[b]] is the product of any two symbols. */
{exp}
{log}

/* A symbol of the wire in the dual basis, as a polynomial in alpha, and back. */
{plain}
{dual}

/* FS_RS_{{E}}_{{behind}}_w_b: what the octet 1 << b, with `behind` octets of the codeword behind
 * it, leaves when it is divided by the generator, in the dual basis: word w, its first octet the
 * least significant. */
{division}

/* FS_RS_X{{d}}_0_b: 1 << b times beta^d, beta^(2d), .. beta^(8d). */
{chien}

#endif
"""


def portable() -> str:
    """Return the text of ``rs.h``."""
    log = [512] + [LOG[x] for x in range(1, 256)]
    return PORTABLE.format(
        exp=array("static const uint8_t RS_EXP[1025]", EXP + EXP, 16, "0x{:02X}"),
        log=array("static const uint16_t RS_LOG[256]", log, 16, "{}"),
        plain=array("static const uint8_t RS_PLAIN[256]", PLAIN, 16, "0x{:02X}"),
        dual=array("static const uint8_t RS_DUAL[256]", DUAL, 16, "0x{:02X}"),
        division=division(),
        chien=chien(),
    )


SHUFFLE = """\
/* Constants of the CCSDS Reed-Solomon code for shuffles. Written by make_rs.py; do not edit. */
#ifndef FLATSAT_TABLES_RS_SHUFFLE_H
#define FLATSAT_TABLES_RS_SHUFFLE_H

#include <stdint.h>

/* FS_RS_N_w_b: 1 << b times 0 .. 15 in words 0 and 1, times 0, 16, .. 240 in words 2 and 3. */
{nibbles}

/* The 32 roots to the power n: by n, root. */
{roots}

/* beta^((p + 1) d), d = 1 .. 16: by d, position p. */
{powers}

#endif
"""


def nibbles() -> str:
    """Return the products of an octet by all low and by all high halves of an octet."""
    halves = [*range(16), *range(0, 256, 16)]
    return linear("FS_RS_N", [words(mul(1 << b, x) for x in halves) for b in range(8)])


def shuffle() -> str:
    """Return the text of ``rs_shuffle.h``."""

    def table(name: str, octets: list[int]) -> str:
        values = words(octets)
        head = f"const uint64_t {name}[{len(values)}] __attribute__((aligned(32)))"
        return array(head, values, 5, "{:#018x}ull")

    return SHUFFLE.format(
        nibbles=nibbles(),
        roots=table("fs_rs_roots", [power(root, n) for n in range(32) for root in ROOTS]),
        powers=table(
            "fs_rs_powers", [EXP[(p + 1) * d % 255] for d in range(1, 17) for p in range(256)]
        ),
    )


# What follows is for processors with GFNI, which multiply in the field of AES, that of x^8 + x^4 +
# x^3 + x + 1, and by any 8 x 8 matrix of bits. Fields of one size are the same but for names: let
# alpha be a zero of its polynomial in the other field.

AES = 0x11B


def aes_powers(t: int) -> list[int]:
    """Return t^0 .. t^8 in the field of AES."""
    result = [1]
    for _ in range(8):
        result.append(times(result[-1], t, AES))
    return result


def image_by(powers: list[int], a: int) -> int:
    """Return the sum of those powers whose bits are set in a."""
    total = 0
    for bit in range(8):
        total ^= powers[bit] if a >> bit & 1 else 0
    return total


ALPHA = next(p for t in range(2, 256) if (p := aes_powers(t))[8] == p[7] ^ p[2] ^ p[1] ^ p[0])
IMAGE = [image_by(ALPHA, a) for a in range(256)]
BACK = [IMAGE.index(a) for a in range(256)]

#: interleaving: quadwords in a group, rows of the block in a group
GROUPS = {1: (4, 32), 2: (4, 16), 3: (3, 8), 4: (4, 8), 5: (5, 8), 8: (4, 4)}


def matrix(images: list[int]) -> int:
    """Return a linear map, given where each single bit goes, as GF2P8AFFINEQB takes it: row i,
    which makes bit i, is octet 7 - i."""
    word = 0
    for i in range(8):
        for j in range(8):
            word |= (images[j] >> i & 1) << (8 * (7 - i) + j)
    return word


def horner() -> list[int]:
    """Return the matrices of a root to the power 4, 8, 16, 32, for each root, in each basis."""
    factors = [power(root, n) for n in (4, 8, 16, 32) for root in ROOTS]
    return [
        matrix([wire[mul(plain[1 << j], factor)] for j in range(8)])
        for plain, wire in BASES
        for factor in factors
    ]


def weights() -> list[int]:
    """Return what each octet of a group counts, by interleaving, quadword and root."""
    return [
        words(IMAGE[power(root, rows - 1 - (8 * u + b) // interleave)] for b in range(8))[0]
        for interleave, (count, rows) in GROUPS.items()
        for u in range(count)
        for root in ROOTS
    ]


def gather() -> list[int]:
    """Return the shuffles that bring the n-th octet of codeword c in a quadword to octet c."""
    found = []
    for interleave, (count, _) in GROUPS.items():
        for u in range(1 if 8 % interleave == 0 else count):
            at = [[b for b in range(8) if (8 * u + b) % interleave == c] for c in range(8)]
            for n in range(-(-8 // interleave)):
                one = [a[n] if c < interleave and n < len(a) else 0x80 for c, a in enumerate(at)]
                found += words(one + [b + 8 & 0x8F for b in one])
    return found


def inverse(e: int) -> list[list[int]]:
    """Return row i, what the data's value at root i adds to each octet of parity."""
    roots = ROOTS[16 - e : 16 + e]
    n = 2 * e
    rows = [
        [power(root, n - 1 - r) for r in range(n)] + [int(i == r) for r in range(n)]
        for i, root in enumerate(roots)
    ]
    for c in range(n):
        pivot = next(r for r in range(c, n) if rows[r][c])
        rows[c], rows[pivot] = rows[pivot], rows[c]
        scale = EXP[-LOG[rows[c][c]] % 255]
        rows[c] = [mul(scale, a) for a in rows[c]]
        for r in range(n):
            if r != c and (f := rows[r][c]):
                rows[r] = [a ^ mul(f, b) for a, b in zip(rows[r], rows[c], strict=True)]
    return [[mul(rows[r][n + i], power(roots[i], n)) for r in range(n)] for i in range(n)]


def position_powers(n: int) -> list[int]:
    """Return beta^((p + 1) n) for the positions 0 .. 255 of a codeword."""
    return words(IMAGE[EXP[(p + 1) * n % 255]] for p in range(256))


GFNI = """\
/* Constants of the CCSDS Reed-Solomon code for GFNI. Written by make_rs.py; do not edit. */
#ifndef FLATSAT_TABLES_RS_GFNI_H
#define FLATSAT_TABLES_RS_GFNI_H

#include <stdint.h>

#define LINE __attribute__((aligned(64)))
#define EIGHT(a) 0x##a * 0x0101010101010101ull

/* From the wire into the field of AES and back, as matrices, by basis. */
{to_aes}
{from_aes}

/* Times a root to the power 4, 8, 16, 32: by basis, power, root. */
{horner}

/* What the octets of a group count: by interleaving, quadword, root. */
{weights}

/* The n-th octet of codeword c goes to octet c: by interleaving, quadword, n. */
{gather}

/* Parity by values at the roots: row i is what root i adds, each octet eight times. */
{parity_16}
{parity_8}

/* beta^((p + 1) d), d = 1 .. 16, by position p. */
{powers}

/* beta^((p + 1) (128 + E)), E = 16 and 8. */
{factors}

#endif
"""


def gfni() -> str:
    """Return the text of ``rs_gfni.h``."""
    hexadecimal = "{:#018x}"

    def table(name: str, values: list[int]) -> str:
        head = f"static const uint64_t {name}[{len(values)}] LINE"
        return array(head, values, 5, hexadecimal + "ull")

    def eight(e: int) -> str:
        values = [IMAGE[a] for row in inverse(e) for a in row]
        return array(
            f"static const uint64_t RS_PARITY_{e}[{len(values)}] LINE", values, 10, "EIGHT({:02X})"
        )

    return GFNI.format(
        to_aes=table(
            "RS_TO_AES", [matrix([IMAGE[plain[1 << j]] for j in range(8)]) for plain, _ in BASES]
        ),
        from_aes=table(
            "RS_FROM_AES", [matrix([wire[BACK[1 << j]] for j in range(8)]) for _, wire in BASES]
        ),
        horner=table("RS_HORNER", horner()),
        weights=table("RS_WEIGHTS", weights()),
        gather=table("RS_GATHER", gather()),
        parity_16=eight(16),
        parity_8=eight(8),
        powers=table("RS_POWERS", [w for d in range(1, 17) for w in position_powers(d)]),
        factors=table("RS_FACTORS", position_powers(144) + position_powers(136)),
    )


FOURIER = """\
/* Constants of the check of clean blocks, I = 5. Written by make_rs.py; do not edit. */
#ifndef FLATSAT_TABLES_RS_FOURIER_H
#define FLATSAT_TABLES_RS_FOURIER_H

#include <stdint.h>

/* w = beta^85; with h = beta^51: h + h^4, h^2, h + h^2, h^2 + h^4; in the field of AES. */
{factors}

/* What the octets of a row count at a root: by root, half of the row. */
{weights}

/* Octets of two registers (from 64 on: of the second) to be added, as the halves, then the thirds
 * of their sums: 9 octets of each codeword to 5, 5 to 3, 3 to 1. Octet 63 is always zero. */
{folds}

#endif
"""


def fourier_factors() -> list[int]:
    """Return the constants of the transforms of 3 and of 5 points."""
    h = EXP[51]
    h2, h4 = power(h, 2), power(h, 4)
    return [IMAGE[a] for a in (EXP[85], h ^ h4, h2, h ^ h2, h2 ^ h4)]


def fourier_weights() -> list[int]:
    """Return, by root, the powers that 9 and then 8 symbols of each codeword of a row count."""
    found = []
    for root in ROOTS:
        powers = [IMAGE[power(root, 16 - b)] for b in range(17) for _ in range(5)]
        found += words([*powers[:45], *[0] * 19, *powers[45:], *[0] * 24])
    return found


def fourier_folds() -> list[int]:
    """Return the shuffles that bring together what is to be added."""
    found = []
    for groups, count, parts in ((1, 9, 2), (2, 5, 2), (4, 3, 3)):
        size = -(-count // parts)
        for part in range(parts):
            at = [
                64 * register + 5 * (group * count + part * size + i) + c
                if part * size + i < count
                else 63
                for register in range(2)
                for group in range(groups)
                for i in range(size)
                for c in range(5)
            ]
            found += words([*at, *[63] * (64 - len(at))])
    return found


def fourier() -> str:
    """Return the text of ``rs_fourier.h``."""

    def table(name: str, values: list[int]) -> str:
        head = f"static const uint64_t {name}[{len(values)}] __attribute__((aligned(64)))"
        return array(head, values, 5, "{:#018x}ull")

    return FOURIER.format(
        factors=array(
            "static const uint8_t RS_FOURIER_FACTORS[5]", fourier_factors(), 5, "0x{:02X}"
        ),
        weights=table("RS_FOURIER_WEIGHTS", fourier_weights()),
        folds=table("RS_FOURIER_FOLDS", fourier_folds()),
    )


def main() -> None:
    """Write the files beside this one."""
    (HERE / "rs.h").write_text(portable())
    (HERE / "rs_shuffle.h").write_text(shuffle())
    (HERE / "rs_gfni.h").write_text(gfni())
    (HERE / "rs_fourier.h").write_text(fourier())


if __name__ == "__main__":
    main()
