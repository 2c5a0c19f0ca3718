"""What may go wrong with a GPIO line, as data, and what it makes of an edge."""

from __future__ import annotations

from typing import Final, NamedTuple

from hil.parts.fault_windows import FOREVER_NS

#: What a line fault may be, and the counter that it moves.
FAULT_KINDS: Final = ("stuck", "missing_edge", "delay", "duplicate", "bounce", "inverted")
#: Those that change an edge of a part before it reaches the line.
EDGE_FAULTS: Final = ("delay", "bounce", "inverted")


class PinFault(NamedTuple):
    """One fault of a line.

    ``stuck`` holds it at ``level``. Of the edges that parts make ``missing_edge`` hides each from
    the payload computer, ``delay`` brings it ``value_ns`` late, ``duplicate`` reports it twice,
    ``bounce`` has it followed by ``times`` pulses back and forth of ``value_ns`` (1) each half,
    ``inverted`` turns it round.
    """

    kind: str
    line: int
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    level: int = 0
    times: int = 1
    value_ns: int = 1


def spoil(fault: PinFault, edges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what a fault makes of edges, each a time and a level."""
    if fault.kind == "inverted":
        return [(t_ns, 1 - level) for t_ns, level in edges]
    if fault.kind == "delay":
        return [(t_ns + fault.value_ns, level) for t_ns, level in edges]
    t_ns, level = edges[-1]
    halves = range(1, 2 * fault.times + 1)
    return edges + [(t_ns + n * fault.value_ns, level ^ (n & 1)) for n in halves]
