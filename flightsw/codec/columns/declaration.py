"""How one field of a layout is declared: name, construct type, unit, meaning, calibration.

The unit travels in construct's own ``docs`` as a trailing ``[unit]`` and the calibration beside it,
so that a Struct alone is enough to encode, decode, make columns and document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import construct

from flightsw.codec.errors import CodecError

if TYPE_CHECKING:
    from flightsw.codec.columns.calibration import Calibration


class LayoutError(CodecError):
    """A declaration asks for something that a layout cannot be."""


class Declared(construct.Renamed):  # type: ignore[misc]  # construct ships no types
    """A field with a name, docs and how its raw numbers become engineering units, or None."""

    def __init__(self, subcon: Any, name: str, docs: str, calibration: Calibration | None) -> None:
        super().__init__(subcon, newname=name, newdocs=docs)
        self.calibration = calibration


def field(
    name: str,
    subcon: Any,
    unit: str = "",
    doc: str = "",
    calibration: Calibration | None = None,
) -> Any:
    """Return the construct field ``name`` with its unit ("" if none) and its meaning.

    ``unit`` is that of the number on the wire; a calibration has its own.
    """
    docs = f"{doc} [{unit}]".strip() if unit else doc
    return Declared(subcon, name, docs, calibration)


def split_docs(docs: str) -> tuple[str, str]:
    """Return (meaning, unit) of the docs that :func:`field` wrote."""
    if not docs.endswith("]") or "[" not in docs:
        return docs, ""
    cut = docs.rindex("[")
    return docs[:cut].rstrip(), docs[cut + 1 : -1]
