"""One line of the codec's benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Units in which less is better; of the others, more is.
COSTS = frozenset({"MiB", "ns/packet", "ns/frame", "ns/block", "ns/call", "us/call", "ns"})


@dataclass(frozen=True)
class Row:
    """Figures of one operation, all in ``unit``: ours by tier, memcpy of the same octets, peers."""

    op: str
    unit: str
    tiers: Mapping[str, float]
    memcpy: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> float:
        """The best of our tiers."""
        best = min if self.unit in COSTS else max
        return best(self.tiers.values())

    def times(self, other: float) -> float:
        """How many times better than ``other`` ours is."""
        return other / self.ours if self.unit in COSTS else self.ours / other

    def as_object(self) -> dict[str, Any]:
        """Return the row for JSON; ``times_memcpy`` is our time by that of memcpy."""
        return {
            "op": self.op,
            "unit": self.unit,
            "ours": self.ours,
            "tiers": dict(self.tiers),
            "memcpy": self.memcpy,
            "times_memcpy": None if self.memcpy is None else 1 / self.times(self.memcpy),
            "peers": dict(self.peers),
            "times_peer": {name: self.times(value) for name, value in self.peers.items()},
        }
