"""A frame that is carried in one step leaves everything as arbitration would have left it."""

from __future__ import annotations

from typing import Any

from can_bench import Listener
from hypothesis import given
from hypothesis import strategies as st

from hil.buses.can_calm import CalmCANBus
from hil.buses.can_frame import BRS_FLAG, EXTENDED_FLAG, FD_FLAG, REMOTE_FLAG
from hil.buses.can_node import State
from hil.time.kernel import NEVER_NS, Kernel


class Sender(Listener):
    """A listener that also keeps what it has sent."""

    def __init__(self, name: str, **modes: bool) -> None:
        super().__init__(name, **modes)
        self.sent: list[tuple[int, int, bytes]] = []

    def can_sent(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.sent.append((t_ns, can_id, data))


class Pair:
    """A bus with two nodes that know CAN FD, and everything that can be seen of it."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.records: list[tuple[Any, ...]] = []
        self.bus = CalmCANBus(
            "can0",
            self.kernel,
            1,
            lambda *record: self.records.append(record),
            500_000,
            data_bitrate_hz=2_000_000,
            listen_only=True,
        )
        self.parts = [Sender("one", fd=True), Sender("two", fd=True)]
        self.nodes = [self.bus.attach(part) for part in self.parts]

    def finish(self) -> None:
        """Let time pass until nothing is left to happen."""
        while self.kernel.next_key()[0] != NEVER_NS:
            self.kernel.run_until(self.kernel.next_key()[0])

    def seen(self) -> tuple[Any, ...]:
        """Return all that an observer can tell of what has been."""
        nodes = [(n.tec, n.rec, n.state, n.ready, n.waiting, n.sent_order) for n in self.nodes]
        parts = [(part.heard, part.sent) for part in self.parts]
        return self.records, self.bus.counters, nodes, parts, self.kernel.now_ns, self.bus.order


frames = st.tuples(
    st.integers(0, 1),
    st.integers(0, 300_000),
    st.sampled_from((0x123, EXTENDED_FLAG | 0x123456, FD_FLAG | 5, FD_FLAG | BRS_FLAG | 6))
    | st.just(REMOTE_FLAG | 7),
    st.binary(max_size=8),
)


@given(plan=st.lists(frames, max_size=8))
def test_one_step_is_the_same_as_all_of_them(plan: list[tuple[int, int, int, bytes]]) -> None:
    """Records, counters, nodes, deliveries and time agree, whatever the pauses between frames."""
    quick, usual = Pair(), Pair()
    for sender, pause_ns, can_id, data in plan:
        at_ns = quick.kernel.now_ns + pause_ns
        assert quick.bus.carry(quick.nodes[sender], at_ns, can_id, data)
        usual.parts[sender].can_send(at_ns, can_id, data)
        usual.finish()
        assert quick.seen() == usual.seen()


def test_what_may_go_wrong_is_left_to_the_usual_way() -> None:
    """With an error counted, a frame under way, or something due, nothing is done."""
    for disturb in (
        lambda pair: setattr(pair.nodes[1], "tec", 1),
        lambda pair: setattr(pair.nodes[1], "listen_only", True),
        lambda pair: pair.parts[1].can_send(0, 0x7FF, b""),
        lambda pair: pair.kernel.at(200_000, 0, 0, lambda t_ns: None),
        lambda pair: pair.bus.intercept(lambda crossing, forward: forward(crossing)),
    ):
        pair = Pair()
        disturb(pair)
        assert not pair.bus.carry(pair.nodes[0], 0, 0x123, bytes(8))
        assert pair.records == []
        assert pair.bus.counters["frames"] == 0


def test_a_passive_node_that_is_alone_rests() -> None:
    """It stops trying when only time would change, and goes on when somebody takes part."""
    pair = Pair()
    pair.nodes[1].listen_only = True
    pair.parts[0].can_send(0, 0x123, b"x")
    pair.finish()
    assert pair.bus.resting
    assert pair.nodes[0].state == State.PASSIVE
    assert not pair.bus.wake()
    pair.nodes[1].listen_only = False
    assert pair.bus.wake()
    pair.finish()
    assert [heard[1] for heard in pair.parts[1].heard] == [0x123]
    assert pair.nodes[0].tec == 127
