"""What a frame costs through python-can: sent by one bus object and received by another.

Each pair sends other data than the one before it, so no length is known in advance. Ours charges
the exact time on the bus; python-can's own virtual bus hands the message over, its UDP multicast
bus takes it through the network of the machine. The figures of one row were taken by turns.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

TURNS = 5


def rows(count: int) -> list[dict[str, Any]]:
    """Return the rows of the table; none where python-can is not installed."""
    try:
        import can
    except ModuleNotFoundError:
        return []
    ours, virtual = by_turns(count, local, lambda: opened("virtual"))
    found = [row("python-can pair, in the process", ours, virtual, "python-can virtual")]
    ours, virtual = by_turns(count // 6, bench, lambda: opened("virtual"))
    peer, name = virtual, "python-can virtual"
    with suppress(can.CanError, OSError):  # no multicast here, or no msgpack
        ours, peer = by_turns(count // 6, bench, lambda: opened("udp_multicast"))
        name = "python-can udp_multicast"
    found.append(row("python-can pair, across the bench", ours, peer, name))
    return found


def row(op: str, ours: float, peer: float, name: str) -> dict[str, Any]:
    """Return a row of the table; costs in microseconds a pair of send and receive."""
    return {
        "op": op,
        "ours": ours,
        "unit": "us/pair",
        "floor": None,
        "peer": peer,
        "peer_name": name,
        "ratio_to_floor": None,
        "ratio_to_peer": ours / peer,
    }


#: Opens two buses that hear each other, and shuts them down.
Open = Callable[[], AbstractContextManager[tuple[Any, Any]]]


def by_turns(count: int, *ways: Open) -> list[float]:
    """Return the least of some medians for each way, in microseconds."""
    least = [float("inf")] * len(ways)
    for _ in range(TURNS):
        for nth, way in enumerate(ways):
            with way() as (one, two):
                least[nth] = min(least[nth], pair_us(one, two, max(count // TURNS, 1)))
    return least


def pair_us(one: Any, two: Any, count: int) -> float:
    """Return the median time from ``send`` on one bus to the message from ``recv`` of the other."""
    import can

    messages = [
        can.Message(arbitration_id=0x123, is_extended_id=False, data=nth.to_bytes(8, "big"))
        for nth in range(count)
    ]
    taken, clock = [], time.perf_counter_ns
    for message in messages:
        begin = clock()
        one.send(message)
        heard = two.recv(10)
        taken.append(clock() - begin)
        assert heard is not None, "what was sent arrives"
    return median(taken) / 1000


@contextmanager
def opened(interface: str, **options: Any) -> Any:
    """Open two buses of python-can on one channel."""
    import can
    from can.interfaces.udp_multicast import UdpMulticastBus

    group = UdpMulticastBus.DEFAULT_GROUP_IPv4
    channel = group if interface == "udp_multicast" else "bench"
    with ExitStack() as stack:
        pair = [
            stack.enter_context(can.Bus(interface=interface, channel=channel, **options))
            for _ in "ab"
        ]
        yield pair[0], pair[1]


_names = itertools.count()


@contextmanager
def local() -> Any:
    """Open two nodes of an emulated bus in this process."""
    from hil.faces.python_can import HilBus

    name = f"bench{next(_names)}"
    with HilBus(name, bench="") as one, HilBus(name, bench="") as two:
        yield one, two


@contextmanager
def bench() -> Any:
    """Open the controller and a node of a bus on a bench in another process."""
    from hil.faces.python_can import HilBus
    from hil.testing.can_rig import in_process

    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        path = Path(folder) / "bench"
        with (
            in_process(path),
            HilBus("can0", bench=str(path)) as one,
            HilBus("can0:node", bench=str(path)) as two,
        ):
            yield one, two
