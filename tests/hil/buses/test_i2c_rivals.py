"""Several controllers on one I2C bus: waiting and arbitration (UM10204, section 3.1.8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.i2c import READ, I2CBus, Message
from hil.buses.i2c_rivals import lost_at, waveform
from hil.testing.contracts.bus import I2CMemory
from hil.testing.simple_scheduler import SimpleScheduler

BIT_NS = 2_500
Done = tuple[int, int, list[bytes]]


def make() -> tuple[I2CBus, list[Done]]:
    bus = I2CBus("i2c-1", 400_000, "ideal")
    for address in (0x50, 0x51):
        bus.attach(address, I2CMemory())
    return bus, []


def test_a_waveform_is_what_a_controller_drives() -> None:
    """Start, address and direction, acknowledges let go; of a read the last octet is not taken."""
    assert waveform([(0x50, 0, b"\x0f")]) == "S" + "10100000" + "1" + "00001111" + "1" + "P"
    assert waveform([(0x50, READ, 2)]) == "S" + "10100001" + "1" + "111111110" + "1" * 9 + "P"
    both, again = "S11110010" + "1" + "01010000" + "1", "S11110011" + "1" + "1" * 9
    assert waveform([(0x150, 2 | READ, 1)]) == both + again + "P"
    assert waveform([(0x150, 2, b""), (0x150, 2 | READ, 1)]) == both + again + "P"
    assert waveform([(0x150, 2, b"")]) == "S" + "11110010" + "1" + "01010000" + "1" + "P"


messages = st.lists(
    st.one_of(
        st.tuples(st.integers(0x08, 0x77), st.just(0), st.binary(max_size=3)),
        st.tuples(st.integers(0x08, 0x77), st.just(READ), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=2,
)


@given(one=messages, other=messages)
def test_of_two_different_controllers_exactly_one_loses(
    one: list[Message], other: list[Message]
) -> None:
    """Unless both send the same, one loses, at the first bit in which they differ."""
    ours, theirs = waveform(one), waveform(other)
    lost = [lost_at(ours, theirs), lost_at(theirs, ours)]
    if ours == theirs:
        assert lost == [None, None]
        return
    assert lost.count(None) == 1
    ((at, _),) = [found for found in lost if found]
    assert ours[: at - 1] == theirs[: at - 1]
    assert ours[at - 1] != theirs[at - 1]


@pytest.mark.parametrize(
    ("rival", "bits"),
    [
        ((0x50, 0, b"\x10\x00"), 8),  # address 1010000 beats 1010001 in its last bit
        ((0x51, 0, b"\x0f\x00"), 14),  # 10h and 0Fh differ in the fourth data bit
        ((0x51, 0, b"\x10\x0f"), 23),
    ],
)
def test_the_lower_bits_win_and_the_loser_is_told_at_the_bit(rival: Message, bits: int) -> None:
    """Start and the bits up to the lost one are charged; the rival's transaction goes through."""
    bus, done = make()
    bus.rivals.request(1_000, [rival], lambda *args: done.append(args))
    ours: list[Message] = [(0x51, 0, b"\x10\x10")]
    # Bit 1 is the start condition.
    assert bus.transfer_messages(1_000, ours) == (Status.ARBITRATION_LOST, bits * BIT_NS, [])
    ends_ns = 1_000 + 29 * BIT_NS if len(rival[2]) == 2 else 0  # type: ignore[arg-type]
    assert done == [(ends_ns, Status.OK, [])]
    status, duration_ns, _ = bus.transfer_messages(1_000 + bits * BIT_NS, ours)
    assert status == Status.OK
    assert duration_ns == (29 - bits) * BIT_NS + 29 * BIT_NS, "it waits for the end of the rival's"


def test_a_write_wins_against_a_read_of_the_same_part() -> None:
    """The direction bit is part of the arbitration."""
    bus, done = make()
    bus.rivals.request(0, [(0x50, READ, 1)], lambda *args: done.append(args))
    assert bus.transfer(0, 0x50, b"\x22", 0) == (Status.OK, 20 * BIT_NS, b"")
    assert bus.counters["rival_lost"] == 1
    bus.rivals.settle(10**9)
    assert done == [(40 * BIT_NS, Status.OK, [b"\x22"])], "the loser came when the bus was free"


def test_equal_controllers_do_not_notice_each_other() -> None:
    """One transaction on the wire serves both."""
    bus, done = make()
    both: list[Message] = [(0x50, 0, b"\x10"), (0x50, READ, 2)]
    bus.rivals.request(0, both, lambda *args: done.append(args))
    assert bus.transfer_messages(0, both) == (Status.OK, 48 * BIT_NS, [b"\x10\x11"])
    assert done == [(48 * BIT_NS, Status.OK, [b"\x10\x11"])]
    assert bus.counters["rival_transfers"] == 0


def test_a_condition_against_a_data_bit_is_counted_as_undefined() -> None:
    """One wants to stop where the other goes on: the specification does not allow it."""
    bus, _ = make()
    bus.rivals.request(0, [(0x50, 0, b"\x10\xff")])
    assert bus.transfer(0, 0x50, b"\x10", 0)[0] == Status.ARBITRATION_LOST
    assert bus.counters["undefined"] == 1


def test_a_busy_bus_is_waited_for() -> None:
    """A rival that started before holds the bus until its stop."""
    bus, done = make()
    bus.rivals.request(0, [(0x51, 0, b"\x00\x01")], lambda *args: done.append(args))
    status, duration_ns, _ = bus.transfer(10 * BIT_NS, 0x50, b"\x00", 0)
    assert (status, duration_ns) == (Status.OK, 19 * BIT_NS + 20 * BIT_NS)
    assert done[0][0] == 29 * BIT_NS


def test_rivals_arbitrate_among_themselves() -> None:
    """Three that start together leave in the order of their bits."""
    bus, _ = make()
    order: list[tuple[int, int, int]] = []

    def note(address: int) -> Callable[[int, int, list[bytes]], None]:
        return lambda t_ns, status, data: order.append((address, status, t_ns))

    for address in (0x51, 0x50, 0x52):
        bus.rivals.request(0, [(address, 0, b"\x00")], note(address))
    bus.rivals.settle(10**9)
    assert order == [
        (0x50, Status.OK, 20 * BIT_NS),
        (0x51, Status.OK, 40 * BIT_NS),
        (0x52, Status.NAK_ADDRESS, 51 * BIT_NS),
    ]
    assert bus.counters["lost"] == 0


def test_a_rival_with_a_scheduler_needs_no_traffic_of_ours() -> None:
    """Its transaction runs at the end of its instant."""
    bus, done = make()
    scheduler = SimpleScheduler()
    rival: list[Message] = [(0x50, 0, b"\x00")]
    bus.rivals.request(5_000, rival, lambda *args: done.append(args), scheduler)
    scheduler.run_until(5_000)
    assert done == [(5_000 + 20 * BIT_NS, Status.OK, [])]
