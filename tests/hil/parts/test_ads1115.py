"""ADS1115 at register level, against its data sheet (SBAS444E)."""

from __future__ import annotations

import pytest

from hil.parts.ads1115 import RATES_HZ, Ads1115
from hil.testing.contracts.part import check_part
from hil.testing.simple_scheduler import SimpleScheduler

SECOND = 1_000_000_000


def word(part: Ads1115, t_ns: int, address: int) -> int:
    answer = part.i2c_write_read(t_ns, bytes((address,)), 2)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Ads1115, t_ns: int, address: int, value: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *value.to_bytes(2, "big")))) == 3


@pytest.fixture
def part() -> Ads1115:
    part = Ads1115("adc", seed=1)
    for n, volts in enumerate((1.0, 0.25, 2.0, 0.5)):
        part.set(f"ain{n}_v", volts)
    return part


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ads1115("adc", 3))


def test_reset_values(part: Ads1115) -> None:
    """Section 8.1: the four registers after power-up; the part is at rest, OS reads 1."""
    assert [word(part, 0, address) for address in range(4)] == [0, 0x8583, 0x8000, 0x7FFF]


@pytest.mark.parametrize("rate", range(8))
def test_single_shot_takes_one_period(part: Ads1115, rate: int) -> None:
    """OS reads 0 for 25 us of power-up and one data period; then the result is there."""
    write(part, 100, 1, 0xC103 | rate << 5 | 1 << 9)
    due_ns = 100 + 25_000 + SECOND // RATES_HZ[rate]
    assert not word(part, due_ns - 1, 1) & 0x8000
    assert word(part, due_ns - 1, 0) == 0
    assert word(part, due_ns, 1) & 0x8000
    assert word(part, due_ns, 0) == 8000


@pytest.mark.parametrize(
    ("mux", "volts"),
    [(0, 0.75), (1, 0.5), (2, -0.25), (3, 1.5), (4, 1.0), (5, 0.25), (6, 2.0), (7, 0.5)],
)
def test_multiplexer(part: Ads1115, mux: int, volts: float) -> None:
    """Section 8.1.3: MUX chooses one of four differences or an input against ground."""
    write(part, 0, 1, 0x8183 | mux << 12 | 1 << 9)
    assert word(part, SECOND, 0) == round(volts * 8000) & 0xFFFF


def test_gain_saturates(part: Ads1115) -> None:
    """Beyond full scale the result is 7FFFh or 8000h."""
    write(part, 0, 1, 0xE183 | 5 << 9)
    assert word(part, SECOND, 0) == 0x7FFF
    part.set("ain0_v", 0.0)
    part.set("ain1_v", 3.0)
    write(part, SECOND, 1, 0x8183 | 5 << 9)
    assert word(part, 2 * SECOND, 0) == 0x8000


def test_writing_os_while_converting_does_nothing(part: Ads1115) -> None:
    """A conversion under way ends when it would have, with the settings it began with."""
    write(part, 0, 1, 0xC383)
    write(part, 7_000_000, 1, 0xD383)
    assert word(part, 7_837_500, 1) & 0x8000
    assert word(part, 7_837_500, 0) == 8000


def test_continuous_mode_changes_after_the_conversion_under_way(part: Ads1115) -> None:
    """Section 7.4.2.2: new settings take effect when the conversion under way has ended."""
    write(part, 0, 1, 0x4283)
    assert word(part, 7_812_500, 0) == 8000
    write(part, 8_000_000, 1, 0x6283)
    assert word(part, 15_625_000, 0) == 8000
    assert word(part, 2 * 7_812_500 + 7_812_499, 0) == 8000
    assert word(part, 3 * 7_812_500, 0) == 16000


def test_leaving_continuous_mode_ends_with_the_last_conversion(part: Ads1115) -> None:
    """After MODE goes to single the conversion under way is the last."""
    write(part, 0, 1, 0x4283)
    write(part, 1000, 1, 0x4383)
    assert not word(part, 7_812_499, 1) & 0x8000
    assert word(part, 7_812_500, 1) & 0x8000
    part.set("ain0_v", 2.0)
    assert word(part, SECOND, 0) == 8000


class Wired:
    """A part that runs on its own, and what its pin does."""

    def __init__(self, low: int, high: int, config: int) -> None:
        self.part = Ads1115("adc", seed=1)
        self.clock = SimpleScheduler()
        self.edges: list[tuple[int, int]] = []
        self.part.gpio_drive = lambda t_ns, pin, level: self.edges.append((t_ns, level))
        self.part.start(self.clock, 200)
        write(self.part, 0, 2, low & 0xFFFF)
        write(self.part, 0, 3, high & 0xFFFF)
        write(self.part, 0, 1, config)

    def after(self, periods: int, volts: float) -> list[int]:
        """Set the input, let conversions of 7.8125 ms pass; return the levels that came."""
        self.edges.clear()
        self.part.set("ain0_v", volts)
        self.clock.run_until(self.clock.now_ns + periods * 7_812_500)
        return [level for _, level in self.edges]


def test_comparator_with_hysteresis() -> None:
    """Section 7.3.8: asserted above the high threshold, until below the low one."""
    wired = Wired(4000, 8000, 0x4280)
    assert wired.after(2, 0.9) == []
    assert wired.after(2, 1.1) == [0]
    assert wired.edges == [(3 * 7_812_500, 0)]
    assert wired.after(2, 0.6) == []
    assert wired.after(2, 0.4) == [1]


def test_comparator_window_queue_and_polarity() -> None:
    """In window mode both sides count, four in a row with COMP_QUE 2; COMP_POL turns the level."""
    wired = Wired(4000, 8000, 0x429A)
    assert [level for _, level in wired.edges] == [0]
    assert wired.after(3, 0.4) == []
    assert wired.after(1, 1.1) == [1]
    assert wired.after(1, 0.7) == [0]


def test_latched_alert_waits_for_a_read_or_the_alert_response() -> None:
    """With COMP_LAT the pin stays until the result is read, or the alert response is sent."""
    wired = Wired(4000, 8000, 0x4284)
    assert wired.after(1, 1.1) == [0]
    assert wired.after(3, 0.4) == []
    word(wired.part, wired.clock.now_ns, 0)
    assert [level for _, level in wired.edges] == [1]
    assert wired.after(1, 1.1) == [0]
    assert wired.part.smbus_alert(wired.clock.now_ns)
    wired.part.set("ain0_v", 0.4)
    wired.part.smbus_alert_served(wired.clock.now_ns)
    assert not wired.part.smbus_alert(wired.clock.now_ns)
    assert [level for _, level in wired.edges] == [0, 1]


def test_ready_pulses() -> None:
    """Section 7.3.9: with the threshold signs set so, each conversion ends in a pulse of 8 us."""
    wired = Wired(0, -1, 0x4280)
    wired.clock.run_until(2 * 7_812_500 + 8_000)
    first_ns, second_ns = 7_812_500, 15_625_000
    assert wired.edges == [
        *((first_ns, 0), (first_ns + 8_000, 1)),
        *((second_ns, 0), (second_ns + 8_000, 1)),
    ]


def test_ready_in_single_mode() -> None:
    """A single conversion leaves the pin asserted until the next one starts."""
    wired = Wired(0, -1, 0xC380)
    wired.clock.run_until(SECOND)
    assert wired.edges == [(7_837_500, 0)]
    write(wired.part, SECOND, 1, 0xC380)
    assert wired.edges[1:] == [(SECOND, 1)]


def test_a_comparator_that_is_off_costs_nothing() -> None:
    """With COMP_QUE 3 nothing is scheduled and the pin stays as it is."""
    wired = Wired(4000, 8000, 0x4283)
    assert wired.clock.pending == 0
    assert wired.after(9, 2.0) == []


def test_general_call_resets(part: Ads1115) -> None:
    """Section 7.5.1.2: 06h to the general call is a power-up reset; other calls do nothing."""
    write(part, 0, 1, 0x4083)
    write(part, 0, 2, 0x1234)
    assert part.i2c_general_call(0, b"\x04") == 0
    assert word(part, 0, 2) == 0x1234
    assert part.i2c_general_call(0, b"\x06") == 1
    assert [word(part, SECOND, address) for address in range(4)] == [0, 0x8583, 0x8000, 0x7FFF]
