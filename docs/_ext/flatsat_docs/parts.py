"""What each part can be told and can show: quantities, parameters, addresses, bus faces."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from flatsat_docs.markdown import code, number, plain, table
from hil.parts.base import Part


def faces(part: type[Part]) -> str:
    """Return the kinds of bus that a part can sit on."""
    from hil.boardparts import KINDS

    return ", ".join(name for name, kind in KINDS.items() if hasattr(part, kind.face))


def types() -> Iterator[tuple[str, type[Part]]]:
    """Yield the built-in types and their classes."""
    from hil.parts import PART_TYPES, part_class

    for name in sorted(PART_TYPES):
        yield name, part_class(name)


def page() -> str:
    """Return the tables of all parts."""
    return "\n".join(_section(name, part) for name, part in types())


def _section(name: str, part: type[Part]) -> str:
    doc = inspect.getdoc(inspect.getmodule(part)) or ""
    lines = [f"## {code(name)}", "", plain(doc.split("\n\n")[0]), ""]
    addresses = ", ".join(f"{address:#04x}" for address in part.ADDRESSES)
    lines += [f"Bus: {faces(part)}." + (f" Addresses: {addresses}." if addresses else ""), ""]
    lines += [f"Class: {code(f'{part.__module__}.{part.__name__}')}.", ""]
    if part.QUANTITIES:
        lines.append(
            table(
                ("quantity", "unit", "lowest", "highest", "a driver reads it within"),
                (
                    (code(key), q.unit, number(q.lower), number(q.upper), number(q.epsilon))
                    for key, q in part.QUANTITIES.items()
                ),
            )
        )
    if part.PARAMS:
        lines.append(
            table(
                ("key in a board file", "unit", "default"),
                (
                    (
                        code(key),
                        p.unit or "",
                        "must be given" if p.default is None else code(p.default),
                    )
                    for key, p in part.PARAMS.items()
                ),
            )
        )
    return "\n".join(lines)
