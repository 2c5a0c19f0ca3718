"""Times on a command line: a plain number of seconds, or a quantity with its unit."""

from __future__ import annotations

import contextlib

from hil.errors import ConfigError, UsageError
from hil.units import parse_quantity


def seconds(text: str, what: str) -> float:
    """Return seconds of ``text``; ``UsageError``, which names ``what``, for what is no time."""
    with contextlib.suppress(ValueError):
        return float(text)
    try:
        return parse_quantity(text, "s")
    except ConfigError as wrong:
        raise UsageError(f"{what}: {wrong}; a plain number is seconds") from None
