"""Write ``rs.h``, the constants of the Reed-Solomon code, from the clauses of CCSDS 131.0-B-5.

    python csrc/tables/make_rs.py

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
BASES = (("C", SAME, SAME), ("D", PLAIN, DUAL))


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
    for e in (16, 8):
        for letter, plain, wire in BASES:
            for behind in (0, 1):
                rows = [
                    words(wire[v] for v in division_row(plain[1 << b], e, behind)) for b in range(8)
                ]
                parts.append(linear(f"FS_RS_{e}{letter}{behind}", rows))
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

/* FS_RS_{{E}}{{basis}}{{behind}}_w_b: what the octet 1 << b, with `behind` octets of the codeword
 * behind it, leaves when it is divided by the generator: word w, its first octet the least
 * significant. */
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


def main() -> None:
    """Write the files beside this one."""
    (HERE / "rs.h").write_text(portable())


if __name__ == "__main__":
    main()
