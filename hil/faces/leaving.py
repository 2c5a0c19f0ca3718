"""What programs have written that is still on its way when they are gone."""

from __future__ import annotations

from hil.exchange import Exchange
from hil.transactions import Lane

#: How long it may take to get out, virtual time: on a serial line what ``closing_wait`` of Linux
#: says, on a CAN bus, where it may never get out, less.
LIMITS_NS = {"uart": 30_000_000_000, "can": 1_000_000_000}


def let_leave(exchange: Exchange) -> int:
    """Let virtual time pass until octets and frames are out; return how many something holds back.

    Nothing passes the end of the run.
    """
    kernel, lanes = exchange.kernel, exchange.lanes.values()
    began_ns = kernel.now_ns
    while any(_leaves(lane, kernel.now_ns - began_ns) for lane in lanes):
        due_ns = kernel.next_key()[0]
        if due_ns >= exchange.end_ns:
            break
        kernel.run_until(due_ns)
    return sum(map(_waiting, lanes))


def _leaves(lane: Lane, passed_ns: int) -> bool:
    """Tell whether something leaves, or may leave, that was written ``passed_ns`` ago."""
    held = lane.kind == "uart" and lane.bus.tx_held
    return passed_ns < LIMITS_NS.get(lane.kind, 0) and _waiting(lane) > 0 and not held


def _waiting(lane: Lane) -> int:
    """Return how much a program has sent on a bus, octets or frames, that has not left."""
    if lane.kind == "uart":
        return int(lane.bus.tx_backlog)
    if lane.kind == "can":
        node = lane.bus.controller
        return len(node.ready) + len(node.waiting)
    return 0
