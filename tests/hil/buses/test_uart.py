"""Serial line: exact times, full duplex, faults that are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Flag, Status
from hil.buses.line_faults import LineFault
from hil.buses.uart import UARTBus
from hil.buses.uart_wave import Setting, resample
from hil.errors import ConfigError
from hil.parts.base import UARTDevice
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]


class Listener:
    """A device that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.uart_send: Callable[[int, bytes], None] = lambda t_ns, data: None

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.heard.append((t_ns, data))


class Line:
    """A line with a listener on it and everything that it emits."""

    def __init__(
        self, baud: int = 115_200, device_baud: int | None = None, **settings: Any
    ) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[Record] = []
        self.bus = UARTBus("uart", self.scheduler, 1, self._emit, baud, **settings)
        self.device = Listener()
        self.bus.attach(self.device, device_baud)

    def _emit(self, *record: object) -> None:
        t_ns, duration_ns = record[:2]
        assert self.scheduler.now_ns == t_ns + duration_ns  # type: ignore[operator]
        self.records.append(record)  # type: ignore[arg-type]

    def run(self) -> Line:
        self.scheduler.run_until(self.scheduler.now_ns + 10**10)
        return self


def test_an_octet_takes_ten_bit_times() -> None:
    """At 115200 8N1 an octet takes 86.805 us and sixteen take 1.3889 ms, to the nanosecond."""
    line = Line()
    assert [line.bus.line_time_ns(n) for n in (1, 16)] == [86_806, 1_388_889]
    line.bus.write(1_000, b"U")
    line.run()
    assert line.records == [(1_000, 86_806, 0, 0, 0, b"U")]
    assert line.device.heard == [(87_806, b"U")]


@pytest.mark.parametrize(
    ("data_bits", "parity", "stop_bits", "half_bits"),
    [(8, "N", 1, 20), (7, "E", 2, 22), (8, "O", 1.5, 23), (5, "N", 2, 16)],
)
def test_the_format_sets_the_bits_of_an_octet(
    data_bits: int, parity: str, stop_bits: float, half_bits: int
) -> None:
    """Start, data, parity and stop bits each take their bit time."""
    line = Line(9_600, data_bits=data_bits, parity=parity, stop_bits=stop_bits)
    assert line.bus.line_time_ns(1) == (half_bits * 10**9 + 9_600) // 19_200


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_an_unbroken_burst_never_drifts(sizes: list[int]) -> None:
    """However a burst is cut into writes, its last bit ends at the line time of all its octets."""
    line = Line(921_600)
    for size in sizes:
        line.bus.write(0, bytes(size))
    assert line.bus.tx_backlog == sum(sizes)
    line.run()
    assert line.device.heard[-1][0] == line.bus.line_time_ns(sum(sizes)) == line.bus.tx_idle_ns
    assert all(len(record[5]) <= 64 for record in line.records)
    ends = [t_ns + duration_ns for t_ns, duration_ns, *_ in line.records]
    assert [record[0] for record in line.records[1:]] == ends[:-1]
    assert line.bus.tx_backlog == 0


def test_a_pause_starts_a_new_burst_at_its_own_time() -> None:
    """Octets written after the line went idle start when they are written."""
    line = Line()
    line.bus.write(0, b"a")
    line.bus.write(500_000, b"b")
    line.run()
    assert [record[0] for record in line.records] == [0, 500_000]


def test_both_directions_run_at_once() -> None:
    """A device's octets and the payload computer's do not wait for each other."""
    line = Line()
    line.bus.write(0, b"x" * 10)
    line.device.uart_send(0, b"y" * 10)
    line.run()
    duration_ns = line.bus.line_time_ns(10)
    assert sorted(line.records) == [
        (0, duration_ns, 0, 0, 0, b"x" * 10),
        (0, duration_ns, Flag.INPUT, 0, 0, b"y" * 10),
    ]


def test_a_request_for_the_past_is_counted_and_starts_now() -> None:
    """Nothing is sent before the present."""
    line = Line()
    line.scheduler.run_until(1_000_000)
    line.bus.write(0, b"a")
    line.run()
    assert line.records[0][0] == 1_000_000
    assert line.bus.counters["late"] == 1


@pytest.mark.parametrize(
    ("fault", "heard", "status", "count"),
    [
        (LineFault("bit_flip", bit=0), b"\x60\x63\x62\x65", Status.DAMAGED, 4),
        (LineFault("drop"), b"", Status.DAMAGED, 4),
        (LineFault("duplicate"), b"aabbccdd", Status.DAMAGED, 4),
        (LineFault("framing"), b"", Status.FRAMING, 4),
        (LineFault("overrun"), b"", Status.OVERRUN, 4),
        (LineFault("silence"), b"", Status.ABSENT, 4),
    ],
    ids=lambda value: value.kind if isinstance(value, LineFault) else None,
)
def test_each_fault_does_its_damage_and_is_counted(
    fault: LineFault, heard: bytes, status: Status, count: int
) -> None:
    """A fault changes what arrives, marks the record, and moves its own counter."""
    line = Line()
    line.bus.faults.add(fault)
    line.bus.write(0, b"abcd")
    line.run()
    assert b"".join(data for _, data in line.device.heard) == heard
    assert line.records[0][2:4] == (Flag.FAULTED, status)
    assert line.records[0][5] == b"abcd", "a record shows the payload computer's end of the line"
    assert line.bus.counters[fault.kind] == count


def test_faults_hold_in_their_window_and_direction_only() -> None:
    """A fault of the receive direction between two instants leaves everything else alone."""
    line = Line()
    line.bus.faults.add(LineFault("silence", 1_000_000, 2_000_000, "rx"))
    for t_ns in (0, 1_000_000, 2_000_000):
        line.bus.write(t_ns, b"t")
        line.device.uart_send(t_ns, b"r")
    line.run()
    assert len(line.device.heard) == 3
    assert [record[0] for record in line.records if record[2] & Flag.INPUT] == [0, 2_000_000]
    assert line.bus.counters["silence"] == 1


def test_partial_faults_hit_the_same_octets_for_the_same_seed() -> None:
    """What a rate hits comes from the seed alone."""

    def heard(seed: int) -> bytes:
        line = Line(seed=seed)
        line.bus.faults.add(LineFault("bit_flip", rate=0.1))
        line.bus.write(0, bytes(1000))
        line.run()
        assert 60 < line.bus.counters["bit_flip"] < 140
        return b"".join(data for _, data in line.device.heard)

    assert heard(1) == heard(1) != heard(2)


def test_another_bit_rate_garbles_the_same_way_each_time() -> None:
    """A device set to half the rate reads other octets than were sent, and always the same ones."""

    def heard() -> bytes:
        line = Line(115_200, 57_600)
        line.bus.write(0, bytes(range(64)))
        line.run()
        assert line.bus.counters["baud_mismatch"] == 1
        assert line.records[0][2] == Flag.FAULTED
        return b"".join(data for _, data in line.device.heard)

    assert heard() == heard() != bytes(range(64))


def test_rates_close_enough_understand_each_other() -> None:
    """A rate within the tolerance of a UART is no mismatch."""
    line = Line(115_200, 117_000)
    line.bus.write(0, b"ok")
    line.run()
    assert line.device.heard[-1][1] == b"ok"
    assert line.bus.counters["baud_mismatch"] == 0


@given(
    data=st.binary(max_size=64), parity=st.sampled_from("NEO"), stop=st.sampled_from([1, 1.5, 2])
)
def test_sampling_at_the_sent_rate_reads_what_was_sent(
    data: bytes, parity: str, stop: float
) -> None:
    """The wave form and the receiver that samples it are inverses, also a little off the rate."""
    for read_baud in (9_600, 9_900, 9_300):
        sent = Setting(9_600, 8, parity, stop)
        assert resample(data, sent, sent._replace(baud=read_baud)) == (data, 0, 0)


def test_a_slower_receiver_reads_known_garbage() -> None:
    """0x00 at double rate is four and a half of the reader's bits low: its start and three bits."""
    assert resample(b"\x00", Setting(19_200), Setting(9_600)) == (b"\xf8", 0, 0)
    assert resample(b"\x00", Setting(9_600), Setting(19_200)) == (b"", 1, 0)


def test_a_line_has_one_device_and_a_real_format() -> None:
    """A second device and a format that no UART has are refused with the name of the line."""
    line = Line()
    assert isinstance(line.device, UARTDevice)
    with pytest.raises(ConfigError, match="uart uart: two devices"):
        line.bus.attach(Listener())
    for settings in ({"data_bits": 9}, {"parity": "X"}, {"stop_bits": 3}):
        with pytest.raises(ConfigError, match="uart uart"):
            Line(**settings)


def test_an_empty_line_still_sends_and_counts() -> None:
    """Octets to a line with no device leave, are recorded, and are counted as unheard."""
    scheduler = SimpleScheduler()
    records: list[object] = []
    bus = UARTBus("uart", scheduler, 1, lambda *record: records.append(record), 9_600)
    bus.write(0, b"abc")
    scheduler.run_until(10**9)
    assert len(records) == 1
    assert bus.counters["unattached"] == 3


def test_a_power_cut_loses_what_has_not_left() -> None:
    """Octets still in the payload computer are lost and counted; the line works on afterwards."""
    line = Line()
    line.bus.write(0, bytes(200))
    line.device.uart_send(0, b"r")
    line.scheduler.run_until(line.bus.line_time_ns(100))
    line.bus.power_off()
    line.bus.write(line.scheduler.now_ns, b"again")
    line.run()
    assert [data for _, data in line.device.heard] == [bytes(64), b"again"]
    assert line.device.heard[1][0] == line.bus.line_time_ns(100) + line.bus.line_time_ns(5)
    assert line.bus.counters["cut_octets"] == 136
    assert line.bus.counters["rx_octets"] == 1
