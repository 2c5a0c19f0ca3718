"""Markdown as text: cells, tables, and words of others that must not be taken for marks."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARKS = re.compile(r"([\\*<>\[\]{}|])")


def plain(text: str) -> str:
    """Return a text on one line; what looks like a mark outside of backticks is taken as it is."""
    pieces = re.split(r"(`+[^`]+`+)", " ".join(text.split()))
    return "".join(
        piece.replace("``", "`") if at % 2 else _MARKS.sub(r"\\\1", piece)
        for at, piece in enumerate(pieces)
    )


def code(text: object) -> str:
    """Return a text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def cell(text: object) -> str:
    """Return a text that cannot end a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", str(text))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table, or a word that there is nothing in it."""
    names = list(header)
    body = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    if not body:
        return "None.\n"
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *body]) + "\n"


def number(value: float) -> str:
    """Return a number as people write it."""
    return f"{value:.10g}"
