"""When the results of a converter are there: after a start, over and over or once."""

from __future__ import annotations

from collections.abc import Mapping

NEVER_NS = 1 << 63


class Converter:
    """The timing of one converter. It starts stopped.

    A single conversion measures what was there when it was asked for, which :attr:`held` keeps;
    over and over, a result shows the input as it is when the result is first asked for.
    """

    __slots__ = ("due_ns", "held", "period_ns")

    def __init__(self) -> None:
        #: when the next result will be there
        self.due_ns = NEVER_NS
        #: time between results; 0 when there is one only
        self.period_ns = 0
        #: inputs of a single conversion
        self.held: dict[str, float] | None = None

    @property
    def busy(self) -> bool:
        """Whether a result is still to come."""
        return self.due_ns != NEVER_NS

    def start(self, t_ns: int, period_ns: int, first_ns: int | None = None) -> None:
        """Convert over and over, the first result after ``first_ns`` (as long as the others)."""
        assert period_ns > 0, "a conversion takes time"
        self.due_ns = t_ns + (period_ns if first_ns is None else first_ns)
        self.period_ns = period_ns
        self.held = None

    def once(self, t_ns: int, time_ns: int, inputs: Mapping[str, float]) -> None:
        """Convert ``inputs``, once."""
        self.due_ns, self.period_ns = t_ns + time_ns, 0
        self.held = dict(inputs)

    def stop(self) -> None:
        """Give up what is under way."""
        self.due_ns = NEVER_NS

    def ended(self, t_ns: int) -> int:
        """Return how many conversions ended since the last call."""
        if t_ns < self.due_ns:
            return 0
        if not self.period_ns:
            self.due_ns = NEVER_NS
            return 1
        count = 1 + (t_ns - self.due_ns) // self.period_ns
        self.due_ns += count * self.period_ns
        return count
