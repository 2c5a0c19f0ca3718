"""CAN: overload frames, listen-only, one-shot, faults of senders, interceptors, the wire record."""

from __future__ import annotations

import pytest
from can_bench import FDBench, Listener

from flightsw.codec.wire import Flag, Kind, Status
from flightsw.hal.bench import DirectHal
from hil.buses.can_errors import ERR_BUS_OFF
from hil.buses.can_faults import CANFault
from hil.buses.can_frame import BRS_FLAG, FD_FLAG, INTERFRAME_NBITS
from hil.buses.can_length import frame_nbits
from hil.buses.can_node import State
from hil.buses.intercept import BLOCKED, Crossing, Forward, Interceptor, Result
from hil.errors import ConfigError
from hil.testing.small_rig import CAN, SmallRig
from hil.time.transports.direct import DirectPort

BIT_NS = 2_000


@pytest.mark.parametrize(("times", "given"), [(1, 1), (2, 2), (5, 2)])
def test_an_overload_frame_delays_the_next_frame_and_nothing_else(times: int, given: int) -> None:
    """6 + 1 + 8 bits each, two at the most, no counter moves (ISO 11898-1, overload frame)."""
    bench = FDBench(Listener())
    bench.bus.faults.add(CANFault("overload", 0, 1, times=times))
    for _ in range(2):
        bench.bus.send(0, 0x100, b"\x55")
    bench.run()
    first, second = bench.records
    pause_nbits = INTERFRAME_NBITS + given * 15
    assert second[0] == first[0] + first[1] + pause_nbits * BIT_NS
    assert bench.bus.counters["overload"] == given
    assert {(node.tec, node.rec) for node in bench.bus.nodes} == {(0, 0)}


def test_a_listen_only_node_hears_but_does_not_acknowledge() -> None:
    """Alone with one, a sender meets missing acknowledgements; with a third node both hear."""
    silent = Listener("silent", listen_only=True)
    bench = FDBench(silent)
    bench.bus.send(0, 0x100, b"x")
    bench.run(5_000_000)
    assert silent.heard == []
    assert bench.bus.counters["ack_error"] > 0
    bench.bus.attach(Listener("third"))
    bench.run()
    assert [one[1:] for one in silent.heard] == [(0x100, b"x")]


def test_a_listen_only_node_keeps_its_counters_and_sends_nothing() -> None:
    """Errors on the bus leave REC of a listen-only node alone; what it would send is refused."""
    silent, other = Listener("silent", listen_only=True), Listener("other")
    bench = FDBench(silent, other)
    bench.bus.faults.add(CANFault("crc", 0, 1))
    bench.bus.send(0, 0x100, b"x")
    silent.can_send(0, 0x1, b"")
    bench.run()
    assert bench.bus.nodes[1].rec == 0
    assert bench.bus.nodes[2].rec == 8
    assert bench.bus.counters["refused_listen_only"] == 1
    assert len(silent.heard) == 1


def test_a_listen_only_payload_computer_is_told_unsupported() -> None:
    """Its frames come back as UNSUPPORTED, and it still hears the others."""
    one, two = Listener("one"), Listener("two")
    bench = FDBench(one, two, listen_only=True)
    bench.bus.send(0, 0x100, b"x")
    one.can_send(10, 0x200, b"y")
    bench.run()
    assert [(r[2], r[3], r[4]) for r in bench.records] == [
        (0, Status.UNSUPPORTED, 0x100),
        (Flag.INPUT, 0, 0x200),
    ]


def test_one_shot_gives_up_a_frame_that_met_an_error() -> None:
    """One attempt, a record DAMAGED, and nothing more on the bus."""
    bench = FDBench(Listener(), one_shot=True)
    bench.bus.faults.add(CANFault("bit", 0, 1))
    bench.bus.send(0, 0x100, b"x")
    bench.run()
    assert [record[3] for record in bench.records] == [Status.DAMAGED]
    assert bench.nodes[0].heard == []
    assert bench.bus.counters["one_shot_lost"] == 1


def test_one_shot_gives_up_a_frame_that_lost_arbitration() -> None:
    """The loser is told ARBITRATION_LOST and does not try again."""
    one, two = Listener("one"), Listener("two")
    bench = FDBench(one, two, one_shot=True)
    bench.bus.send(0, 0x200, b"x")
    one.can_send(0, 0x100, b"y")
    bench.run()
    assert [(record[3], record[4]) for record in bench.records] == [
        (Status.ARBITRATION_LOST, 0x200),
        (0, 0x100),
    ]
    assert [heard[1] for heard in two.heard] == [0x100]


def test_a_fault_can_throw_a_node_off_the_bus_at_once() -> None:
    """TEC jumps to 256: the payload computer gets one error frame that says bus off."""
    bench = FDBench(Listener(), restart_ms=0)
    bench.bus.faults.add(CANFault("bus_off", 0, 1))
    bench.bus.send(0, 0x100, b"x")
    bench.run()
    assert bench.bus.controller.state == State.BUS_OFF
    assert [r[4] & ERR_BUS_OFF for r in bench.records if r[4] & 0x2000_0000] == [ERR_BUS_OFF]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (CANFault("drop"), []),
        (CANFault("duplicate"), [b"\x0f\xf0"] * 2),
        (CANFault("spam", times=5), [b"\x0f\xf0"] * 6),
        (CANFault("bit_flip", value_ns=9), [b"\x0f\xf2"]),
        (CANFault("truncate"), [b"\x0f"]),
        (CANFault("delay", value_ns=1_000_000), [b"\x0f\xf0"]),
    ],
)
def test_faults_of_a_sender_change_what_is_on_the_bus(
    fault: CANFault, expected: list[bytes]
) -> None:
    """Lost, doubled, babbled, flipped, cut or late frames are good frames, flagged and counted."""
    bench = FDBench(Listener())
    bench.bus.faults.add(fault)
    bench.bus.send(0, 0x100, b"\x0f\xf0")
    bench.run()
    assert [data for _, _, data in bench.nodes[0].heard] == expected
    assert {record[2] for record in bench.records} <= {Flag.FAULTED}
    assert bench.bus.counters[fault.kind] == 1
    if fault.kind == "delay":
        assert bench.records[0][0] == 1_000_000


def test_a_sender_fault_can_name_its_node() -> None:
    """Only the frames of the named node are lost."""
    one, two = Listener("one"), Listener("two")
    bench = FDBench(one, two)
    bench.bus.faults.add(CANFault("drop", node="one"))
    one.can_send(0, 0x100, b"")
    two.can_send(0, 0x101, b"")
    bench.run()
    assert [record[4] for record in bench.records] == [0x101]


# Interceptors


def _modify(crossing: Crossing, forward: Forward) -> Result:
    return forward(crossing._replace(content=b"other"))


def _mimic(crossing: Crossing, forward: Forward) -> Result:
    forward(crossing)
    return forward(crossing._replace(sender="node", address=0x300))


@pytest.mark.parametrize(
    ("interceptor", "heard", "flags"),
    [
        (lambda crossing, forward: None, [(0x100, b"data")], [0]),
        (lambda crossing, forward: BLOCKED, [], []),
        (_modify, [(0x100, b"other")], [Flag.FAULTED]),
        (_mimic, [(0x100, b"data")], [0, Flag.FAULTED | Flag.INPUT]),
    ],
)
def test_an_interceptor_passes_blocks_modifies_and_mimics(
    interceptor: Interceptor, heard: list[tuple[int, bytes]], flags: list[int]
) -> None:
    """What the node hears and what is recorded is what the interceptor let through."""
    bench = FDBench(Listener())
    bench.bus.intercept(interceptor)
    bench.bus.send(0, 0x100, b"data")
    bench.run()
    assert [one[1:] for one in bench.nodes[0].heard] == heard
    assert [record[2] for record in bench.records] == flags
    bench.bus.intercept(None)
    bench.bus.send(bench.scheduler.now_ns, 0x101, b"")
    bench.run()
    assert bench.nodes[0].heard[-1][1] == 0x101


def test_an_interceptor_cannot_speak_for_a_node_that_is_not_there() -> None:
    """An unknown sender is an error that names it."""
    bench = FDBench(Listener())
    bench.bus.intercept(lambda crossing, forward: forward(crossing._replace(sender="ghost")))
    with pytest.raises(ConfigError, match="no node is named 'ghost'"):
        bench.bus.send(0, 0x100, b"")


# Over the wire record


class Reverser(Listener):
    """A node that answers with the data backwards."""

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.can_send(t_ns, can_id + 1, data[::-1])


def test_fd_frames_cross_the_wire_record_both_ways() -> None:
    """64 octets with FDF and BRS leave flight code, reach a node, and its answer comes back."""
    rig = SmallRig(10**9)
    rig.can.data_bitrate_hz = 2_000_000
    rig.can.controller.fd = True
    other = Reverser("other", fd=True)
    rig.can.nodes.pop()
    rig.can.attach(other)
    hal = DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
    can = hal.can("can0")
    data = bytes(range(64))
    can.send(FD_FLAG | BRS_FLAG | 0x123, data)
    hal.clock.sleep_until(50_000_000)
    (frame,) = can.receive()
    assert (frame.can_id, frame.data) == (FD_FLAG | BRS_FLAG | 0x124, data[::-1])
    records = [record for record in rig.records() if record.kind == Kind.CAN]
    assert [(r.channel, r.flags & 0x70, r.address, len(r.payload)) for r in records] == [
        (CAN, Flag.CAN_FD | Flag.CAN_BRS, 0x123, 64),
        (CAN, Flag.CAN_FD | Flag.CAN_BRS, 0x124, 64),
    ]


def test_a_classic_frame_has_no_fd_flags_on_the_wire() -> None:
    """The record of a classic frame is what it always was."""
    bench = FDBench(Listener())
    bench.bus.send(0, 0x123, b"12345678")
    bench.run()
    assert bench.records == [
        (0, frame_nbits(0x123, b"12345678") * BIT_NS, 0, 0, 0x123, b"12345678")
    ]
