"""Foreign text as it may be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return foreign text as it may be shown: what would steer a terminal is shown by its value."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
