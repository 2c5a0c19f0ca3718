"""TT&C transceiver: buffer, carrier, pace in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.parts.base import Active, GPIODevice, UARTDevice
from hil.parts.ttc import SYNC_MARKER, Ttc
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9
CADU_NBYTES = 60
CADU_NS = CADU_NBYTES * 8 * SECOND_NS // 9600


def cadu(number: int) -> bytes:
    """Return a CADU of 60 octets that holds no second marker."""
    return SYNC_MARKER + bytes((number,)) * (CADU_NBYTES - 4)


class Bench:
    """A started radio with what leaves it on every side."""

    def __init__(self, locked: bool = True, **params: int) -> None:
        self.scheduler = SimpleScheduler()
        self.radio = Ttc("ttc", cadu_nbytes=CADU_NBYTES, **params)
        self.down: list[tuple[int, int, bytes]] = []
        self.up: list[tuple[int, bytes]] = []
        self.carrier: list[tuple[int, int]] = []
        self.radio.on_downlink = lambda *unit: self.down.append(unit)
        self.radio.uart_send = lambda t_ns, data: self.up.append((t_ns, data))
        self.radio.gpio_drive = lambda t_ns, pin, level: self.carrier.append((t_ns, level))
        self.radio.start(self.scheduler, 1)
        if locked:
            self.radio.set("locked", 1)

    def send(self, data: bytes) -> None:
        """Hand octets to the radio in pieces of 7, as a serial line might."""
        for i in range(0, len(data), 7):
            self.radio.uart_receive(self.scheduler.now_ns, data[i : i + 7])

    def run(self, for_ns: int = 10 * SECOND_NS) -> None:
        self.scheduler.run_until(self.scheduler.now_ns + for_ns)


def test_cadus_leave_one_after_the_other_at_the_downlink_rate() -> None:
    """Each CADU is reported at its last bit with its time on the air."""
    bench = Bench()
    assert isinstance(bench.radio, UARTDevice)
    assert isinstance(bench.radio, GPIODevice)
    assert isinstance(bench.radio, Active)
    bench.send(cadu(1) + cadu(2) + cadu(3))
    assert bench.radio.backlog == 180
    bench.run()
    assert bench.down == [(i * CADU_NS, CADU_NS, cadu(i + 1)) for i in range(3)]
    assert bench.radio.counters["cadus"] == 3
    assert bench.radio.backlog == 0


def test_octets_outside_cadus_take_their_time_and_are_counted() -> None:
    """Junk goes on the air, is reported to nobody, and the next marker is found behind it."""
    bench = Bench()
    bench.send(b"\x1a\xcf" + b"junk" + cadu(1) + b"x" + cadu(2))
    bench.run()
    assert [data for _, _, data in bench.down] == [cadu(1), cadu(2)]
    assert bench.radio.counters["junk_octets"] == 7


def test_without_lock_octets_are_refused() -> None:
    """Nothing is kept for later: the payload computer must look at the carrier."""
    bench = Bench(locked=False)
    bench.send(cadu(1))
    bench.radio.set("locked", 1)
    bench.run()
    assert bench.down == []
    assert bench.radio.counters["refused_octets"] == CADU_NBYTES


def test_the_buffer_overflows_into_a_counter() -> None:
    """What does not fit the buffer is dropped, counted, and the stream recovers afterwards."""
    bench = Bench(tx_buffer=150)
    bench.send(cadu(1) + cadu(2) + cadu(3))
    assert bench.radio.counters["overflow_octets"] == 30
    bench.run(SECOND_NS)
    assert [data for _, _, data in bench.down] == [cadu(1), cadu(2)]
    bench.send(cadu(4))
    bench.run(SECOND_NS)
    # The 30 octets left of the third and 30 of the fourth make one damaged unit.
    assert bench.down[-1][2] == cadu(3)[:30] + cadu(4)[:30]
    bench.send(cadu(5))
    bench.run()
    assert bench.down[-1][2] == cadu(5)
    assert bench.radio.counters["junk_octets"] == 30


def test_a_lost_carrier_cuts_the_unit_on_the_air_and_holds_the_rest() -> None:
    """The CADU on the air is lost and counted; those behind it wait for the next lock."""
    bench = Bench()
    bench.send(cadu(1) + cadu(2) + cadu(3)[:20])
    bench.run(CADU_NS // 2)
    bench.radio.set("locked", 0)
    bench.run()
    assert bench.down == []
    assert bench.radio.counters["cadus_cut"] == 1
    assert bench.radio.counters["junk_octets"] == 20
    again_ns = bench.scheduler.now_ns
    bench.radio.set("locked", 1)
    bench.run()
    assert bench.down == [(again_ns, CADU_NS, cadu(2))]


def test_the_carrier_pin_follows_the_lock() -> None:
    """Each change is one edge at the instant of the change; the same level again is none."""
    bench = Bench(locked=False)
    for t_ns, locked in ((1_000, 1), (2_000, 1), (3_000, 0)):
        bench.scheduler.run_until(t_ns)
        bench.radio.set("locked", locked)
    assert bench.carrier == [(1_000, 1), (3_000, 0)]


def test_a_radio_that_starts_in_lock_shows_it() -> None:
    """A lock set before the start is an edge at the start."""
    scheduler = SimpleScheduler(5_000)
    radio = Ttc("ttc")
    radio.set("locked", 1)
    edges: list[tuple[int, str, int]] = []
    radio.gpio_drive = lambda t_ns, pin, level: edges.append((t_ns, pin, level))
    radio.start(scheduler, 1)
    assert edges == [(5_000, "carrier", 1)]


def test_uplink_octets_arrive_at_the_uplink_rate() -> None:
    """Pieces of 32 octets come out as their last bit is demodulated, units one after the other."""
    bench = Bench(uplink_bps=8_000)
    bench.radio.uplink(1_000, bytes(40))
    bench.radio.uplink(2_000, b"next")
    bench.run()
    assert [(t_ns, len(data)) for t_ns, data in bench.up] == [
        (32_001_000, 32),
        (40_001_000, 8),
        (44_001_000, 4),
    ]


def test_uplink_without_lock_is_lost() -> None:
    """What ends while the carrier is away never reaches the serial line."""
    bench = Bench(uplink_bps=8_000)
    bench.radio.uplink(0, bytes(64))
    bench.run(40_000_000)
    bench.radio.set("locked", 0)
    bench.run()
    assert len(bench.up) == 1
    assert bench.radio.counters["uplink_lost_octets"] == 32


@pytest.mark.parametrize("split", range(1, 8))
def test_a_marker_across_two_reads_is_found(split: int) -> None:
    """Where the serial line cuts the stream does not matter."""
    bench = Bench()
    stream = b"\x1a" + cadu(9)
    bench.radio.uart_receive(0, stream[:split])
    bench.radio.uart_receive(0, stream[split:])
    bench.run()
    assert [data for _, _, data in bench.down] == [cadu(9)]


def test_half_a_cadu_from_before_a_restart_does_not_spoil_the_next() -> None:
    """If the rest does not come within a second, the beginning is junk and the next CADU whole."""
    bench = Bench()
    bench.send(cadu(1)[:30])
    bench.run(2 * SECOND_NS)
    bench.send(cadu(2))
    bench.run()
    assert [data for _, _, data in bench.down] == [cadu(2)]
    assert bench.radio.counters["junk_octets"] == 30


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.binary(max_size=90) | st.integers(1, 255).map(cadu),
            st.integers(0, 2 * CADU_NS),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_every_octet_is_accounted_for(steps: list[tuple[bytes, int, bool]]) -> None:
    """Whatever comes in, octets sent, cut, junk, refused and overflowed add up to it."""
    bench = Bench(tx_buffer=200)
    total = 0
    for data, wait_ns, locked in steps:
        bench.send(data)
        total += len(data)
        bench.run(wait_ns)
        bench.radio.set("locked", float(locked))
    bench.radio.set("locked", 1)
    bench.run()
    counters = bench.radio.counters
    whole = (counters["cadus"] + counters["cadus_cut"]) * CADU_NBYTES
    dropped = sum(counters[f"{what}_octets"] for what in ("junk", "refused", "overflow"))
    assert whole + dropped + bench.radio.backlog == total
    assert bench.radio.backlog < CADU_NBYTES
    assert len(bench.down) == counters["cadus"]
