"""What a comparison lets pass: fields that may differ, and by how much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.board import Board

#: fields of the header of a wire record, in the order of a line
HEADER_FIELDS = ("t_ns", "duration_ns", "flags", "status", "address")
#: what the names of fields begin with that belong to frames, packets and messages
UNIT_FIELDS = ("tm", "tc", "frame", "tcframe", "ubx", "nmea", "idle", "octets")
_INDEX = re.compile(r"\[\d+\]")


def plain(name: str) -> str:
    """Return the name of a field without the numbers of repeated things: ``tm.a[2].b`` is
    ``tm.a.b``."""
    return _INDEX.sub("", name)


@dataclass(frozen=True)
class Rules:
    """Which differences do not count.

    A field is ``name`` on every topic or ``topic:name`` on one; the name is as the decoder gives
    it, and a name stands for everything below it: ``tm.power`` covers ``tm.power.bus_mv``.
    """

    ignore: tuple[str, ...] = ()
    #: greatest difference of a field that still counts as equal, in the field's own unit
    tolerate: Mapping[str, float] = field(default_factory=dict)
    #: only these topics; None: all
    topics: tuple[str, ...] | None = None
    #: none of these topics
    without: tuple[str, ...] = ()
    #: the global number counts too
    compare_seq: bool = False

    def compares(self, topic: str) -> bool:
        """Tell whether records of a topic are compared at all."""
        return topic not in self.without and (self.topics is None or topic in self.topics)

    def ignores(self, topic: str, name: str) -> bool:
        """Tell whether a field may be anything."""
        return any(covers(rule, topic, name) for rule in self.ignore)

    def amount(self, topic: str, name: str) -> float:
        """Return by how much a field may differ; 0 where nothing is said."""
        return max((a for rule, a in self.tolerate.items() if covers(rule, topic, name)), default=0)

    def passes(self, topic: str, name: str, old: object, new: object) -> bool:
        """Tell whether a difference of one field does not count."""
        if self.ignores(topic, name):
            return True
        if not isinstance(old, int | float) or not isinstance(new, int | float):
            return False
        amount = self.amount(topic, name)
        try:
            return amount > 0 and abs(new - old) <= amount
        except OverflowError:  # a whole number that is larger than any float
            return False

    @classmethod
    def of(
        cls,
        board: Board,
        ignore: Iterable[str] = (),
        tolerate: Mapping[str, float] = MappingProxyType({}),
        topics: Iterable[str] | None = None,
    ) -> Rules:
        """Return the rules of a board file, and those that somebody gave besides."""
        amounts = {**board.tolerate, **tolerate}
        only = None if topics is None else tuple(topics)
        return cls((*board.ignore, *ignore), amounts, only)

    @property
    def about_units(self) -> bool:
        """Tell whether a rule is about what spans records, such as a packet: then such records
        are judged by what they carry and not octet by octet."""
        rules = (*self.ignore, *self.tolerate)
        return any(rule.rpartition(":")[2].partition(".")[0] in UNIT_FIELDS for rule in rules)


def tolerance(text: str) -> tuple[str, float]:
    """Return field and amount of ``FIELD=AMOUNT``; raises UsageError for anything else."""
    name, equals, amount = text.partition("=")
    try:
        value = float(amount)
    except ValueError:
        value = -1.0
    if not name or not equals or not 0 <= value < float("inf"):
        raise UsageError(f"--tolerate {text}: give a field and an amount, as in t_ns=1000")
    return name, value


def covers(rule: str, topic: str, name: str) -> bool:
    """Tell whether a rule is about a field of a topic."""
    where, colon, what = rule.rpartition(":")
    if colon and where != topic:
        return False
    return any(n == what or n.startswith((what + ".", what + "[")) for n in (name, plain(name)))
