"""Lists of faults that hold in a window of virtual time, where things happen by themselves.

A fault is a tuple with at least ``kind``, ``from_ns`` and ``until_ns`` (exclusive). The list keeps
order, refuses what makes no sense when it is added, and costs a clean run one truth test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

from hil.errors import ConfigError

FOREVER_NS: Final = 1 << 63
#: longest time, and most repetitions, that a fault may be given
_LONGEST_NS, _MOST = 10**15, 10_000
#: the least and the greatest value of the numbers that say more of a fault, by their name; those of
#: transactions, then those of lines
ARGUMENT_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "after": (0, 1 << 31),
    "octet": (0, 1 << 31),
    "octets": (0, _MOST),
    "write": (0, 1),
    "ns": (0, _LONGEST_NS),
    "times": (0, _MOST),
    "level": (0, 1),
    "bit": (0, 7),
    "value_ns": (0, _LONGEST_NS),
    "value": (0, _LONGEST_NS),
}
_DIRECTIONS: Final = ("rx", "tx", "both")


def check_argument(what: str, name: str, value: int, limits: tuple[int, int] | None = None) -> None:
    """Raise :class:`~hil.errors.ConfigError` for a number that a fault cannot have.

    ``what`` is the fault in words; ``limits`` stand in for those of ``ARGUMENT_LIMITS``.
    """
    lower, upper = limits or ARGUMENT_LIMITS[name]
    if not lower <= value <= upper:
        raise ConfigError(f"{what} has {name} {value}; give {lower} to {upper}")


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
    """The faults of one bus or pin; ``where`` names it in errors.

    ``limits`` are those of its own for numbers of a fault, beside ``ARGUMENT_LIMITS``.
    """

    __slots__ = ("_rows", "kinds", "limits", "where")

    def __init__(
        self,
        where: str,
        kinds: tuple[str, ...],
        limits: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.where = where
        self.kinds = kinds
        self.limits = {**ARGUMENT_LIMITS, "bit": (-1, 7), **(limits or {})}  # -1: a drawn one
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
        for name, limits in self.limits.items():
            if hasattr(fault, name):
                check_argument(what, name, getattr(fault, name), limits)
        direction = getattr(fault, "direction", "both")
        if direction not in _DIRECTIONS:
            known = ", ".join(_DIRECTIONS)
            raise ConfigError(f"{what} has direction {direction!r}; give one of {known}")
        self._rows.append(fault)

    def remove(self, fault: F) -> None:
        """Take a fault out. Raises :class:`~hil.errors.ConfigError` when it is not in."""
        if fault not in self._rows:
            raise ConfigError(f"{self.where}: fault {fault.kind!r} is not there to be removed")
        self._rows.remove(fault)

    def at(self, t_ns: int) -> list[F]:
        """Return the faults that hold at ``t_ns``, in the order in which they were added."""
        return [row for row in self._rows if row.from_ns <= t_ns < row.until_ns]
