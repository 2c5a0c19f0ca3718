"""Lists of faults that hold in a window of virtual time, where things happen by themselves.

A fault is a tuple with at least ``kind``, ``from_ns`` and ``until_ns`` (exclusive). The list keeps
order, refuses what makes no sense when it is added, and costs a clean run one truth test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from hil.errors import ConfigError

FOREVER_NS: Final = 1 << 63


class Windowed(Protocol):
    """What every fault of this sort has."""

    @property
    def kind(self) -> str: ...
    @property
    def from_ns(self) -> int: ...
    @property
    def until_ns(self) -> int: ...


F = TypeVar("F", bound=Windowed)


class FaultWindows(Generic[F]):
    """The faults of one bus or pin; ``where`` names it in errors."""

    __slots__ = ("_rows", "kinds", "where")

    def __init__(self, where: str, kinds: tuple[str, ...]) -> None:
        self.where = where
        self.kinds = kinds
        self._rows: list[F] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __iter__(self) -> Iterator[F]:
        return iter(self._rows)

    def add(self, fault: F) -> None:
        """Append a fault. Raises :class:`~hil.errors.ConfigError` when it makes no sense here."""
        what = f"{self.where}: fault {fault.kind!r}"
        if fault.kind not in self.kinds:
            raise ConfigError(f"{what} is not known here; take one of {', '.join(self.kinds)}")
        if fault.from_ns >= fault.until_ns:
            raise ConfigError(
                f"{what} ends at {fault.until_ns} ns before it starts; swap the times"
            )
        rate = getattr(fault, "rate", 1.0)
        if not 0.0 < rate <= 1.0:
            raise ConfigError(f"{what} has rate {rate}; give more than 0 and at most 1")
        self._rows.append(fault)

    def remove(self, fault: F) -> None:
        """Take a fault out. Raises :class:`~hil.errors.ConfigError` when it is not in."""
        if fault not in self._rows:
            raise ConfigError(f"{self.where}: fault {fault.kind!r} is not there to be removed")
        self._rows.remove(fault)

    def at(self, t_ns: int) -> list[F]:
        """Return the faults that hold at ``t_ns``, in the order in which they were added."""
        return [row for row in self._rows if row.from_ns <= t_ns < row.until_ns]
