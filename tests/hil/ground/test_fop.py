"""COP-1, both ends, over a channel that loses frames and reports."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.link import cop1, tc_frame
from hil.ground.fop import Fop, State

SECOND = 1_000_000_000
TIMER = 5 * SECOND


def converse(fop: Fop, farm: cop1.Farm, seconds: int, lossy: random.Random, loss: float) -> list:
    """Run both ends for some seconds; each frame and each report is lost with probability loss."""
    taken = []
    for second in range(seconds):
        t_ns = second * SECOND
        for octets in fop.frames(t_ns):
            if lossy.random() < loss:
                continue
            frame = tc_frame.unpack(octets)
            if farm.accept(frame):
                taken.append(frame.data)
        if lossy.random() >= loss:
            fop.on_clcw(t_ns, farm.clcw())
    return taken


@given(
    seed=st.integers(0, 1 << 30),
    loss=st.sampled_from((0.0, 0.05, 0.3)),
    count=st.integers(1, 40),
    expected=st.integers(0, 255),
)
@settings(max_examples=60, deadline=None)
def test_everything_arrives_once_and_in_order(seed, loss, count, expected):
    """Whatever is lost on the way, each packet goes up once, in order, and the sender knows it."""
    fop, farm = Fop(261, timer_ns=TIMER, limit=50), cop1.Farm()
    farm.expected = expected
    packets = [bytes([i]) * (i + 1) for i in range(count)]
    for packet in packets:
        fop.enqueue(packet)
    assert converse(fop, farm, 3000, random.Random(seed), loss) == packets
    assert fop.idle
    assert fop.counters["acknowledged"] >= count


def test_a_restarted_spacecraft_is_noticed_and_served():
    """A FARM that starts again from zero makes the sender set V(R) anew and carry on."""
    fop = Fop(261, timer_ns=TIMER)
    for i in range(5):
        fop.enqueue(bytes([i]))
    assert len(converse(fop, cop1.Farm(), 20, random.Random(1), 0.0)) == 5
    for i in range(5, 9):
        fop.enqueue(bytes([i]))
    fresh = cop1.Farm()
    assert converse(fop, fresh, 60, random.Random(1), 0.0) == [bytes([i]) for i in range(5, 9)]
    assert fop.counters["resynchronised"] == 1


def test_lockout_is_unlocked():
    """A receiver in lockout gets an Unlock before anything else, and then the packets."""
    fop, farm = Fop(261, timer_ns=TIMER), cop1.Farm()
    farm.accept(tc_frame.unpack(tc_frame.pack(261, 0, 128, b"x")))
    assert farm.clcw().lockout
    fop.on_clcw(0, farm.clcw())
    fop.enqueue(b"packet")
    assert converse(fop, farm, 30, random.Random(1), 0.0) == [b"packet"]
    assert not farm.clcw().lockout


def test_loss_of_contact_keeps_what_was_not_acknowledged():
    """Packets under way when the pass ends go up in the next one, and none is forgotten."""
    fop, farm = Fop(261, timer_ns=TIMER), cop1.Farm()
    fop.frames(0)
    fop.on_clcw(0, farm.clcw())
    assert fop.state is State.ACTIVE
    for i in range(3):
        fop.enqueue(bytes([i]))
    assert len(fop.frames(SECOND)) == 3  # radiated, heard by nobody
    fop.lost_contact()
    assert not fop.idle
    assert converse(fop, farm, 30, random.Random(1), 0.0) == [b"\x00", b"\x01", b"\x02"]


def test_a_silent_spacecraft_does_not_make_it_send_without_end():
    """Without any report the sender repeats only the initialisation, once a timer."""
    fop = Fop(261, timer_ns=TIMER)
    fop.enqueue(b"packet")
    frames = [frame for second in range(60) for frame in fop.frames(second * SECOND)]
    assert len(frames) == 12
    assert all(tc_frame.unpack(frame).control for frame in frames)
