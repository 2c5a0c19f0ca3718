"""Small pieces of HTML; everything that comes from a run is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["clock", "escape", "number", "octets", "section", "table", "tile"]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> str:
    """Return ``value`` as HTML: escaped, unless it is :class:`Html`."""
    return value if isinstance(value, Html) else escape(str(value))


def section(title: str, body: str, note: str = "", kind: str = "") -> str:
    """Return a card with a heading."""
    small = f"<p class='note'>{text(note)}</p>" if note else ""
    return f"<section class='card {kind}'><h2>{text(title)}</h2>{small}{body}</section>\n"


def tile(label: str, value: str, detail: str = "", mood: str = "") -> str:
    """Return one of the large figures at the top."""
    small = f"<small>{text(detail)}</small>" if detail else ""
    return f"<div class='tile {mood}'><span>{text(label)}</span><b>{text(value)}</b>{small}</div>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """Return a table. A head that ends in a space and ``#`` heads a column of figures."""
    right = [head.endswith(" #") for head in heads]
    tags = ["<th class='r'>" if is_right else "<th>" for is_right in right]
    top = "".join(
        f"{tag}{text(head.removesuffix(' #'))}</th>" for tag, head in zip(tags, heads, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, right)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table class='{kind}'><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[object], right: Sequence[bool]) -> str:
    return "".join(
        f"<td class='r'>{text(cell)}</td>" if is_right else f"<td>{text(cell)}</td>"
        for cell, is_right in zip(row, right, strict=True)
    )


def number(value: float, digits: int = 0) -> str:
    """Return a figure with groups of thousands."""
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def octets(nbytes: float) -> str:
    """Return an amount of data with a unit that suits it."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes:.0f} B"


def clock(t_s: float) -> str:
    """Return a time of the run as hours, minutes and seconds."""
    whole = round(t_s)
    hours, rest = divmod(abs(whole), 3600)
    sign = "-" if whole < 0 else ""
    return f"{sign}{hours}:{rest // 60:02}:{rest % 60:02}"
