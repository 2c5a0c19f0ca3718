"""CAN bus: exact bits, arbitration, error confinement."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Flag, Status
from hil.buses.can import CANBus
from hil.buses.can_faults import CANFault
from hil.buses.can_frame import (
    EXTENDED_FLAG,
    INTERFRAME_NBITS,
    REMOTE_FLAG,
    arbitration_key,
    crc15,
    stuff,
    unstuffed_bits,
)
from hil.buses.can_length import frame_nbits
from hil.buses.can_node import State
from hil.errors import ConfigError
from hil.parts.base import CANNode
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]
BIT_NS = 2_000  # at 500 kbit/s

standard_ids = st.integers(0, 0x7FF)
extended_ids = st.integers(0, 0x1FFF_FFFF).map(lambda value: value | EXTENDED_FLAG)
can_ids = standard_ids | extended_ids


class Listener:
    """A node that keeps what it hears."""

    def __init__(self, name: str = "node") -> None:
        self.name = name
        self.heard: list[tuple[int, int, bytes]] = []
        self.can_send: Callable[[int, int, bytes], None] = lambda t_ns, can_id, data: None

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append((t_ns, can_id, data))


class Bench:
    """A bus of 500 kbit/s with some nodes and all that it emits."""

    def __init__(self, nodes: int = 1, restart_ms: int = 100, bus_errors: bool = False) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[Record] = []
        self.bus = CANBus(
            "can0",
            self.scheduler,
            1,
            self._emit,
            500_000,
            restart_ms=restart_ms,
            bus_errors=bus_errors,
        )
        self.nodes = [Listener(f"node{i}") for i in range(nodes)]
        for node in self.nodes:
            self.bus.attach(node)

    def _emit(self, *record: int) -> None:
        assert self.scheduler.now_ns == record[0] + record[1]
        self.records.append(record)  # type: ignore[arg-type]

    def run(self, for_ns: int = 10**9) -> Bench:
        self.scheduler.run_until(self.scheduler.now_ns + for_ns)
        return self

    def run_while(self, condition: Callable[[], bool]) -> None:
        """Run in steps of five bits until the condition no longer holds, for at most 1 s."""
        for _ in range(100_000):
            if not condition():
                return
            self.run(5 * BIT_NS)
        raise AssertionError("the bus never came to the state that the test waits for")

    @property
    def errors(self) -> list[Record]:
        """Error frames to the payload computer."""
        return [record for record in self.records if record[4] & 0x2000_0000]


# The bits of a frame


def test_crc_matches_the_catalogue() -> None:
    """CRC-15/CAN of the ASCII digits 1 to 9 is 0x059E (Bosch CAN 2.0, catalogued check value)."""
    assert crc15("".join(f"{octet:08b}" for octet in b"123456789")) == 0x059E


@given(bits=st.text("01", max_size=140))
def test_the_table_is_the_shift_register(bits: str) -> None:
    """The CRC by octets equals the register of ISO 11898-1, clocked bit by bit."""
    register = 0
    for bit in bits:
        inverting = (register >> 14 & 1) ^ int(bit)
        register = (register << 1 & 0x7FFF) ^ (0x4599 if inverting else 0)
    assert crc15(bits) == register


@given(can_id=can_ids, data=st.binary(max_size=8))
def test_the_crc_of_a_frame_with_its_crc_is_zero(can_id: int, data: bytes) -> None:
    """The receiver's check over everything from start of frame to CRC sequence leaves zero."""
    assert crc15(unstuffed_bits(can_id, data)) == 0


def test_an_eight_octet_frame_without_stuff_bits_takes_111_bits() -> None:
    """With interframe space, 111 bits: the shortest standard frame of eight octets."""
    assert frame_nbits(0x226, bytes.fromhex("5a55335569696996")) + INTERFRAME_NBITS == 111


def test_a_frame_of_long_runs_comes_close_to_the_bound() -> None:
    """A frame made of runs takes 132 bits; 135 is the bound that the layout cannot quite reach."""
    assert frame_nbits(0x078, bytes.fromhex("3c3c3c3c3c3cfbe1")) + INTERFRAME_NBITS == 132


@given(can_id=standard_ids, data=st.binary(min_size=8, max_size=8))
def test_an_eight_octet_standard_frame_takes_111_to_135_bits(can_id: int, data: bytes) -> None:
    """Stuffing adds at most one bit in four after the first of the 98 stuffed bits."""
    assert 111 <= frame_nbits(can_id, data) + INTERFRAME_NBITS <= 135


@given(can_id=extended_ids, data=st.binary(max_size=8))
def test_an_extended_frame_keeps_its_bounds(can_id: int, data: bytes) -> None:
    """54 + 8n stuffed bits, 10 fixed ones, 3 of interframe space, at most a quarter more."""
    plain = 54 + 8 * len(data)
    nbits = frame_nbits(can_id, data) + INTERFRAME_NBITS
    assert plain + 13 <= nbits <= plain + 13 + (plain - 1) // 4


@given(bits=st.text("01", max_size=140))
def test_stuffing_breaks_every_run_and_can_be_undone(bits: str) -> None:
    """No six equal bits in a row remain, and dropping each bit after five equal gives the input."""
    stuffed = stuff(bits)
    assert "000000" not in stuffed
    assert "111111" not in stuffed
    plain, run, last, skip = [], 0, "", False
    for bit in stuffed:
        run = run + 1 if bit == last else 1
        last = bit
        if not skip:
            plain.append(bit)
        skip = run == 5
    assert "".join(plain) == bits


@given(first=can_ids, second=can_ids)
def test_the_arbitration_key_orders_as_the_bits_do(first: int, second: int) -> None:
    """Comparing keys is comparing the bits on the wire, where 0 is dominant."""
    one, other = (unstuffed_bits(can_id, b"")[:33] for can_id in (first, second))
    if one != other and first != second:
        assert (arbitration_key(first) < arbitration_key(second)) == (one < other)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (0x123, 0x124),
        (0x123, 0x123 | REMOTE_FLAG),
        (0x123, EXTENDED_FLAG | 0x123 << 18),
        (0x123 | REMOTE_FLAG, EXTENDED_FLAG | 0x123 << 18),
        (EXTENDED_FLAG | 0x122 << 18 | 0x3FFFF, 0x123),
        (EXTENDED_FLAG | 5, EXTENDED_FLAG | REMOTE_FLAG | 5),
    ],
)
def test_dominant_bits_win(winner: int, loser: int) -> None:
    """Lower identifier, data before remote, standard before extended of the same eleven bits."""
    assert arbitration_key(winner) < arbitration_key(loser)


# Traffic


def test_a_frame_takes_its_bits_and_reaches_everyone_at_its_end() -> None:
    """The payload computer's frame is recorded without a flag and heard by both nodes."""
    bench = Bench(2)
    assert isinstance(bench.nodes[0], CANNode)
    bench.bus.send(5_000, 0x226, bytes.fromhex("5a55335569696996"))
    bench.run()
    duration_ns = 108 * BIT_NS
    assert bench.records == [(5_000, duration_ns, 0, 0, 0x226, bytes.fromhex("5a55335569696996"))]
    for node in bench.nodes:
        assert [t_ns for t_ns, *_ in node.heard] == [5_000 + duration_ns]


def test_a_node_is_heard_by_the_others_and_the_payload_computer_but_not_by_itself() -> None:
    """A part's frame is an input of the payload computer and reaches the other part."""
    bench = Bench(2)
    bench.nodes[0].can_send(0, 0x100, b"hello")
    bench.run()
    assert [record[2] for record in bench.records] == [Flag.INPUT]
    assert (len(bench.nodes[0].heard), len(bench.nodes[1].heard)) == (0, 1)


@settings(max_examples=60)
@given(
    frames=st.lists(
        st.tuples(st.integers(0, 3), can_ids), min_size=1, max_size=24, unique_by=lambda f: f[1]
    )
)
def test_pending_frames_leave_in_the_order_of_arbitration(frames: list[tuple[int, int]]) -> None:
    """Frames of any nodes pending at once leave lowest arbitration field first, back to back."""
    bench = Bench(4)
    bench.bus.send(0, 0, b"")  # occupies the bus while the rest queue up
    for sender, can_id in frames:
        bench.nodes[sender].can_send(1_000, can_id, b"\x55")
    bench.run()
    sent = [record[4] for record in bench.records[1:]]
    assert sent == sorted((can_id for _, can_id in frames), key=arbitration_key)
    for before, after in zip(bench.records, bench.records[1:], strict=False):
        assert after[0] == before[0] + before[1] + INTERFRAME_NBITS * BIT_NS


def test_a_frame_for_later_does_not_hold_up_the_bus() -> None:
    """A scheduled frame starts at its time, and a frame that comes before goes first."""
    bench = Bench()
    bench.bus.send(9_000_000, 0x001, b"")
    bench.bus.send(1_000_000, 0x7FF, b"")
    bench.run()
    assert [(record[0], record[4]) for record in bench.records] == [
        (1_000_000, 0x7FF),
        (9_000_000, 0x001),
    ]


def test_losers_of_arbitration_are_counted() -> None:
    """Of three nodes that start together two lose, then one."""
    bench = Bench(3)
    for i, node in enumerate(bench.nodes):
        node.can_send(0, 0x100 + i, b"")
    bench.run()
    assert bench.bus.counters["arbitration_lost"] == 3


def test_equal_frames_of_two_nodes_merge() -> None:
    """Two nodes that send the same bits do not notice each other."""
    bench = Bench(2)
    for node in bench.nodes:
        node.can_send(0, 0x100, b"same")
    bench.run()
    assert bench.bus.counters["frames"] == 1
    assert bench.bus.counters["bit_error"] == 0


def test_one_identifier_with_two_contents_is_an_error_that_ends_in_bus_off() -> None:
    """Two nodes that share an identifier but not the data destroy each other's frames for good."""
    bench = Bench(2)
    for i, node in enumerate(bench.nodes):
        node.can_send(0, 0x100, bytes((i,)))
    bench.run(20_000_000)
    assert bench.bus.counters["collision"] == 32
    assert bench.bus.counters["bus_off"] == 2


@pytest.mark.parametrize(
    ("can_id", "data", "counter"),
    [
        (0x100, bytes(9), "refused_fd"),
        (0x800, b"", "refused_invalid"),
        (0x2000_0004, bytes(8), "refused_invalid"),
    ],
)
def test_what_classic_can_does_not_know_is_refused(can_id: int, data: bytes, counter: str) -> None:
    """CAN FD lengths, wide identifiers and error frames are counted and recorded as unsupported."""
    bench = Bench()
    bench.bus.send(0, can_id, data)
    bench.run()
    assert bench.bus.counters[counter] == 1
    assert [record[3] for record in bench.records] == [Status.UNSUPPORTED]


def test_a_bit_rate_beyond_classic_can_is_refused() -> None:
    """2 Mbit/s names the bus and the limit."""
    with pytest.raises(ConfigError, match="can can0: 2000000 bit/s"):
        CANBus("can0", SimpleScheduler(), 1, lambda *record: None, 2_000_000)


# Errors


def test_a_lone_node_goes_passive_and_never_bus_off() -> None:
    """Without anyone to acknowledge, TEC stops at 128: warning after 12 tries, passive after 16."""
    bench = Bench(0)
    bench.bus.send(0, 0x100, b"")
    bench.run(50_000_000)
    controller = bench.bus.controller
    assert (controller.tec, controller.state) == (128, State.PASSIVE)
    assert bench.bus.counters["ack_error"] > 100
    assert [(record[5][1], record[5][6]) for record in bench.errors] == [(0x08, 96), (0x20, 128)]
    assert sum(record[3] == Status.DAMAGED for record in bench.records) == 1


def test_a_second_node_lets_the_waiting_frame_through() -> None:
    """A frame that nobody acknowledged is sent as soon as somebody is there."""
    bench = Bench(0)
    bench.bus.send(0, 0x100, b"x")
    bench.run(1_000_000)
    late = Listener()
    bench.bus.attach(late)
    bench.run()
    assert [(can_id, data) for _, can_id, data in late.heard] == [(0x100, b"x")]


def test_a_disturbed_frame_is_sent_again() -> None:
    """One CRC error costs an error frame, 8 in TEC, 9 in REC, and the frame arrives after all."""
    bench = Bench()
    bench.bus.faults.add(CANFault("crc", 0, 1))
    bench.bus.send(0, 0x226, bytes.fromhex("5a55335569696996"))
    bench.run()
    damaged, sent = bench.records
    # 98 stuffed bits, CRC delimiter, ACK, ACK delimiter, flag of 6, one behind, delimiter of 8.
    assert damaged[:4] == (0, (98 + 3 + 6 + 1 + 8) * BIT_NS, Flag.FAULTED, Status.DAMAGED)
    assert sent[0] == damaged[1] + INTERFRAME_NBITS * BIT_NS
    assert (bench.bus.controller.tec, bench.bus.nodes[1].rec) == (7, 8)
    assert len(bench.nodes[0].heard) == 1


@pytest.mark.parametrize(
    ("kind", "tec", "rec"), [("crc", 8, 9), ("stuff", 8, 9), ("bit", 8, 1), ("ack", 8, 1)]
)
def test_each_error_moves_the_counters_of_its_side(kind: str, tec: int, rec: int) -> None:
    """A receiver that saw the error first adds 9, one that follows the transmitter's flag 1."""
    bench = Bench()
    bench.bus.faults.add(CANFault(kind, 0, 1))
    bench.bus.send(0, 0x100, b"")
    bench.run(130_000)
    assert (bench.bus.controller.tec, bench.bus.nodes[1].rec) == (tec, rec)
    assert bench.bus.counters[f"{kind}_error"] == 1


@pytest.mark.parametrize(
    ("kind", "error", "what", "where"),
    [
        ("crc", 0x288, 0x80, 0x08),
        ("stuff", 0x288, 0x84, 0x0A),
        ("bit", 0x288, 0x81, 0x0A),
        ("ack", 0x2A0, 0x80, 0x19),
    ],
)
def test_errors_are_reported_when_asked_for(kind: str, error: int, what: int, where: int) -> None:
    """With bus_errors each error is an error frame in the layout of linux/can/error.h."""
    bench = Bench(bus_errors=True)
    bench.bus.faults.add(CANFault(kind, 0, 1))
    bench.bus.send(0, 0x100, b"")
    bench.nodes[0].can_send(5_000_000, 0x200, b"")
    bench.bus.faults.add(CANFault(kind, 5_000_000, 5_000_001))
    bench.run()
    sending, hearing = bench.errors
    assert sending[4] == 0x2000_0000 | error
    assert (sending[5][2], sending[5][3]) == (what, where)
    assert hearing[5][2] == what & 0x7F


def test_an_error_at_one_receiver_charges_it_more() -> None:
    """The node that sees the error first adds 9 to REC, the one that follows adds 1."""
    bench = Bench(2)
    bench.bus.faults.add(CANFault("crc", 0, 1, node="node0"))
    bench.bus.send(0, 0x100, b"")
    bench.run(130_000)
    assert [node.rec for node in bench.bus.nodes] == [0, 9, 1]


def test_a_controller_goes_through_its_states_to_bus_off_and_back() -> None:
    """Warning, passive, bus off in 32 errors; recovery after 128 times 11 bits; then it sends."""
    bench = Bench(restart_ms=100)
    bench.bus.faults.add(CANFault("bit", 0, 50_000_000, can_id=0x100))
    bench.bus.send(0, 0x100, b"")
    bench.run(50_000_000)
    states = [(record[4] & 0x1FF, record[5][1], record[5][6]) for record in bench.errors]
    assert states == [(0x04, 0x08, 96), (0x04, 0x20, 128), (0x40, 0, 255)]
    assert bench.bus.counters["bit_error"] == 32
    assert bench.bus.counters["dropped_bus_off"] == 1
    bench.bus.send(bench.scheduler.now_ns, 0x101, b"")
    assert bench.bus.counters["refused_bus_off"] == 1
    bench.run()
    off, back = bench.errors[2], bench.errors[3]
    assert back[0] - off[0] == 100_000_000 + 128 * 11 * BIT_NS
    assert back[4] & 0x100
    assert back[5][1] == 0x40
    bench.bus.send(bench.scheduler.now_ns, 0x102, b"")
    bench.run()
    assert bench.nodes[0].heard[-1][1] == 0x102


def test_without_automatic_restart_a_controller_stays_off() -> None:
    """With restart_ms 0 the controller is deaf until an explicit restart brings it back."""
    bench = Bench(2, restart_ms=0)
    bench.bus.faults.add(CANFault("bit", can_id=0x100))
    bench.bus.send(0, 0x100, b"")
    bench.run()
    bench.nodes[0].can_send(bench.scheduler.now_ns, 0x300, b"")
    bench.run()
    assert bench.bus.controller.state == State.BUS_OFF
    assert bench.records[-1][2:5] == (0, Status.BUS_OFF, 0x300)
    assert bench.bus.counters["unheard"] == 1
    bench.bus.restart(bench.scheduler.now_ns)
    bench.run()
    assert bench.bus.controller.state == State.ACTIVE


def test_traffic_of_others_counts_towards_recovery() -> None:
    """On a busy bus each frame ends in 11 recessive bits, so 128 frames bring a node back."""
    bench = Bench(3)
    bench.bus.faults.add(CANFault("bit", can_id=0x100))
    bench.nodes[0].can_send(0, 0x100, b"")
    node = bench.bus.nodes[1]
    bench.run_while(lambda: node.state != State.BUS_OFF)
    already = bench.bus.counters["frames"]
    for _ in range(400):
        bench.nodes[1].can_send(bench.scheduler.now_ns, 0x200, bytes(8))
    bench.run_while(lambda: node.state == State.BUS_OFF)
    assert 100 <= bench.bus.counters["frames"] - already <= 130


def test_good_frames_heal_the_counters() -> None:
    """Each frame that goes well takes one off TEC and REC; a passive receiver falls to 119."""
    bench = Bench()
    controller, node = bench.bus.nodes
    controller.tec, node.rec = 5, 130
    node.settle()
    bench.bus.send(0, 0x100, b"")
    bench.run()
    assert (controller.tec, node.rec, node.state) == (4, 119, State.WARNING)


def test_a_passive_transmitter_lets_others_go_first() -> None:
    """After its frame a passive node waits 8 bits more, so a lower priority frame passes it."""
    bench = Bench(2)
    bench.bus.controller.tec = 200
    bench.bus.controller.settle()
    bench.bus.send(0, 0x100, b"")
    bench.bus.send(0, 0x100, b"")
    bench.nodes[0].can_send(1_000, 0x700, b"")
    bench.run()
    assert [record[4] for record in bench.records] == [0x100, 0x700, 0x100]


def test_a_power_cut_loses_pending_frames_but_not_the_one_on_the_bus() -> None:
    """The frame on the bus ends well, the two behind it are lost and counted, TEC is zero."""
    bench = Bench()
    bench.bus.controller.tec = 50
    for i in range(3):
        bench.bus.send(0, 0x100 + i, b"")
    bench.run(20_000)
    bench.bus.power_off()
    assert bench.bus.controller.tec == 0
    bench.run()
    assert [can_id for _, can_id, _ in bench.nodes[0].heard] == [0x100]
    assert bench.bus.counters["cut_frames"] == 2
    bench.bus.send(bench.scheduler.now_ns, 0x200, b"")
    bench.run()
    assert bench.nodes[0].heard[-1][1] == 0x200


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1 << 32),
    kind=st.sampled_from(["crc", "stuff", "bit", "ack"]),
    frames=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 0x7F0)), max_size=30),
)
def test_errors_delay_frames_but_neither_lose_nor_double_them(
    seed: int, kind: str, frames: list[tuple[int, int]]
) -> None:
    """With one frame in ten disturbed, every node hears each frame of the others exactly once."""
    bench = Bench(3)
    bench.bus = CANBus("can0", bench.scheduler, 1, bench._emit, 500_000, seed=seed)
    for node in bench.nodes:
        bench.bus.attach(node)
    bench.bus.faults.add(CANFault(kind, rate=0.1))
    sent: list[list[tuple[int, bytes]]] = [[], [], []]
    for number, (sender, can_id) in enumerate(frames):
        data = bytes((number,))
        # One identifier has one sender, as on a bus that is laid out well.
        bench.nodes[sender].can_send(0, can_id // 3 * 3 + sender, data)
        sent[sender].append((can_id // 3 * 3 + sender, data))
    bench.run()
    for i, node in enumerate(bench.nodes):
        expected = sorted(f for j, some in enumerate(sent) if j != i for f in some)
        assert sorted((can_id, data) for _, can_id, data in node.heard) == expected
    assert bench.bus.counters["frames"] == len(frames)
