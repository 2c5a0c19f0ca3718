"""What a bench that listens is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hil.errors import UsageError

#: Where a bench listens unless it is told.
LISTEN = "tcp://127.0.0.1:5557"


@dataclass(frozen=True)
class Service:
    """What a listening bench is asked to be. ``patience_s``: see :class:`~hil.serving.link.Link`;
    ``once``: one run and no more."""

    listen: str = LISTEN
    keys: Path | None = None
    once: bool = False
    patience_s: float = 1.0
    #: what the flight software waits for a bus whose link is away, and how long a link may be away
    #: until its incarnation is given up
    bus_timeout_s: float = 1.0
    away_limit_s: float = 60.0

    def checked(self) -> Service:
        """Return it. Raises ``UsageError`` for what no bench can listen on."""
        scheme = self.listen.partition("://")[0]
        if scheme not in ("tcp", "ipc"):
            raise UsageError(
                f"listen address {self.listen!r}: give tcp://HOST:PORT, or ipc://PATH for "
                "flight software on this machine"
            )
        for what, value in (
            ("patience", self.patience_s),
            ("bus timeout", self.bus_timeout_s),
            ("away limit", self.away_limit_s),
        ):
            if not 0.0 < value <= 86400.0:
                raise UsageError(f"{what} {value:g} s: give a time up to 86400 s")
        return self
