"""How one field of a layout is declared: name, construct type, unit, meaning.

The unit travels in construct's own ``docs`` as a trailing ``[unit]``, so that a Struct alone is
enough to encode, decode, make columns and document.
"""

from __future__ import annotations

from typing import Any

import construct


def field(name: str, subcon: Any, unit: str = "", doc: str = "") -> Any:
    """Return the construct field ``name`` with its unit ("" if none) and its meaning."""
    docs = f"{doc} [{unit}]".strip() if unit else doc
    return construct.Renamed(subcon, newname=name, newdocs=docs)


def split_docs(docs: str) -> tuple[str, str]:
    """Return (meaning, unit) of the docs that :func:`field` wrote."""
    if not docs.endswith("]") or "[" not in docs:
        return docs, ""
    cut = docs.rindex("[")
    return docs[:cut].rstrip(), docs[cut + 1 : -1]
