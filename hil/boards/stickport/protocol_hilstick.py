"""Where pySerial looks for the scheme ``hilstick``; see :mod:`hil.boards.stickport`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hil.boards.stickport import MemoryPort, open_port


def serial_class_for_url(url: str) -> tuple[str, Callable[..., MemoryPort]]:
    """Return (address, what makes a port of it); the settings of a line mean nothing here."""

    def made(*settings: Any, **more: Any) -> MemoryPort:
        return open_port(url)

    return url, made
