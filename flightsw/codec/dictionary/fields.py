"""How a field of telemetry or of a telecommand is declared: name, construct type, unit, meaning.

The unit travels in construct's own ``docs`` as a trailing ``[unit]``, so that a Struct alone is
enough to encode, decode and document.
"""

from __future__ import annotations

from typing import Any

import construct


def field(name: str, kind: Any, unit: str, doc: str) -> Any:
    """Return the field ``name`` of type ``kind`` with its unit ("" if none) and its meaning."""
    return construct.Renamed(kind, newname=name, newdocs=f"{doc} [{unit}]" if unit else doc)


def unit_of(subcon: Any) -> str:
    """Return the unit that :func:`field` gave to a subconstruct, "" if none."""
    docs = subcon.docs or ""
    return docs[docs.rindex("[") + 1 : -1] if docs.endswith("]") else ""


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
