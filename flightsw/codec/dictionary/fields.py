"""What the number types of declared fields are to :mod:`struct`: code, limits; and their names."""

from __future__ import annotations

from typing import Any

import construct


def names_of(struct: Any) -> tuple[str, ...]:
    """Return the field names of a Struct in wire order."""
    return tuple(subcon.name for subcon in struct.subcons)


def code_of(kind: Any) -> str:
    """Return the :mod:`struct` code of a plain number type, big-endian: ``"H"`` for Int16ub."""
    while isinstance(kind, construct.Renamed):
        kind = kind.subcon
    code = str(kind.fmtstr)
    assert code[0] == ">", f"{kind!r} is not a big-endian number"
    return code[1:]


def limits_of(kind: Any) -> tuple[int, int]:
    """Return the least and greatest value of an integer type: (0, 65535) for Int16ub."""
    code = code_of(kind)
    nbits = 8 * {"b": 1, "h": 2, "i": 4, "l": 4, "q": 8}[code.lower()]
    return (
        (0, (1 << nbits) - 1) if code.isupper() else (-(1 << (nbits - 1)), (1 << (nbits - 1)) - 1)
    )
