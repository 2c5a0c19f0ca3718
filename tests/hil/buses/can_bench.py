"""What tests of the CAN bus share: a bus with some nodes on a scheduler of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hil.buses.can import CANBus
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]


class Listener:
    """A node that keeps what it hears; ``modes`` are its ``can_`` attributes."""

    def __init__(self, name: str = "node", **modes: bool) -> None:
        self.name = name
        self.heard: list[tuple[int, int, bytes]] = []
        self.can_send: Callable[[int, int, bytes], None] = lambda t_ns, can_id, data: None
        for mode, value in modes.items():
            setattr(self, f"can_{mode}", value)

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append((t_ns, can_id, data))


class FDBench:
    """A bus at 500 kbit/s and 2 Mbit/s with the given nodes and all that it emits."""

    def __init__(self, *nodes: Listener, **settings: Any) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[Record] = []
        settings = {"data_bitrate_hz": 2_000_000, **settings}
        self.bus = CANBus("can0", self.scheduler, 1, self._emit, 500_000, **settings)
        self.nodes = nodes
        for node in nodes:
            self.bus.attach(node)

    def _emit(self, *record: int) -> None:
        assert self.scheduler.now_ns == record[0] + record[1]
        self.records.append(record)  # type: ignore[arg-type]

    def run(self, for_ns: int = 10**9) -> FDBench:
        self.scheduler.run_until(self.scheduler.now_ns + for_ns)
        return self
