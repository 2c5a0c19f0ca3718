"""The SPI bus: chip select, mode, bit order, word size, time, limits, faults."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.faults import BusFault
from hil.buses.intercept import Crossing, Forward, Result
from hil.buses.spi import CS_CHANGE, DUAL, QUAD, Segment, SPIBus
from hil.errors import ConfigError
from hil.parts.base import SPIPeripheral
from hil.testing.contracts.bus import SPIShifter, check_spi_controller


class Listener:
    """A peripheral that notes what it sees and answers with fixed octets."""

    def __init__(self, answer: bytes = b"\x80\x01\xff\x00", modes: frozenset[int] = frozenset({0})):
        self.spi_modes = modes
        self.answer = answer
        self.log: list[tuple[str, int, bytes]] = []

    def spi_select(self, t_ns: int) -> None:
        self.log.append(("select", t_ns, b""))

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        self.log.append(("exchange", t_ns, tx))
        return (self.answer * len(tx))[: len(tx)]

    def spi_deselect(self, t_ns: int) -> None:
        self.log.append(("deselect", t_ns, b""))


def make(part: SPIPeripheral | None = None, profile: str = "ideal", **settings: int) -> SPIBus:
    bus = SPIBus("spi-0", profile)
    bus.attach(0, part or SPIShifter(), **settings)  # type: ignore[arg-type]
    return bus


@pytest.mark.parametrize("profile", ["ideal", "bcm2835", "tegra", "mcp2221"])
def test_contract(profile: str) -> None:
    """The bus passes the public contract suite whatever adapter is in the way."""
    check_spi_controller(lambda part: make(part, profile))


def test_time_is_bits_and_half_a_clock_on_either_side() -> None:
    """Four octets at 10 MHz take 3.2 us and one clock period; the part sees the edges then."""
    part = Listener()
    bus = make(part, speed_hz=10_000_000)
    assert bus.transfer(1000, 0, bytes(4))[1] == 3200 + 100
    assert part.log == [
        ("select", 1000, b""),
        ("exchange", 1050, bytes(4)),
        ("deselect", 4300, b""),
    ]


def test_segments_have_their_own_clock_and_delay() -> None:
    """A segment runs at its own clock, waits its delay, and 0 Hz means the device's clock."""
    bus = make(speed_hz=1_000_000)
    segments: list[Segment] = [(b"\x01", 2_000_000, 0, 0, 3), (b"\x02\x03", 0, 8, 0, 0)]
    status, duration_ns, rx = bus.transfer_segments(0, 0, segments)
    assert (status, rx) == (Status.OK, [b"\x00", b"\x01\x02"])
    assert duration_ns == 250 + 4000 + 3000 + 16_000 + 500


def test_cs_change_on_the_last_segment_keeps_the_part_selected() -> None:
    """The next message goes on under the same chip select; another one lets it go first."""
    one, other = Listener(), Listener()
    bus = make(one)
    bus.attach(1, other)
    bus.transfer_segments(0, 0, [(b"\x0b", 0, 0, CS_CHANGE, 0)])
    bus.transfer_segments(9000, 0, [(b"\x0c", 0, 0, CS_CHANGE, 0)])
    assert [what for what, _, _ in one.log] == ["select", "exchange", "exchange"]
    bus.transfer(20_000, 1, b"\x0d")
    assert one.log[-1] == ("deselect", 20_000, b"")
    assert [what for what, _, _ in other.log] == ["select", "exchange", "deselect"]


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_wrong_mode_corrupts(mode: int) -> None:
    """A mode that the part does not take shifts both directions by one bit, every time."""
    part = Listener(b"\x80\x01")
    bus = make(part, mode=mode)
    for _ in range(2):
        assert bus.transfer(0, 0, b"\x9f\x00")[2] == b"\x40\x00"
    assert part.log[1][2] == b"\x4f\x80"
    assert bus.counters["misread"] == 2


def test_clock_above_the_parts_limit_corrupts() -> None:
    """A part that states its highest clock is misread above it and well at it."""
    part = Listener(b"\x80\x01")
    part.spi_max_hz = 20_000_000  # type: ignore[attr-defined]
    bus = make(part)
    assert bus.transfer_segments(0, 0, [(bytes(2), 20_000_000, 0, 0, 0)])[2] == [b"\x80\x01"]
    assert bus.transfer_segments(0, 0, [(bytes(2), 20_000_001, 0, 0, 0)])[2] == [b"\x40\x00"]


@pytest.mark.parametrize(("profile", "clock_hz"), [("bcm2835", 3815), ("ideal", 1)])
def test_a_clock_that_the_adapter_cannot_do_is_its_slowest(profile: str, clock_hz: int) -> None:
    """An octet at 1 Hz takes 9 clocks of the slowest there is, also if it is cut short."""
    want_ns = pytest.approx(9e9 / clock_hz, abs=2)
    bus = make(profile=profile, speed_hz=1)
    assert bus.transfer(0, 0, b"\x01")[1] == want_ns
    assert bus.transfer_segments(0, 0, [(b"\x01", 1, 0, 0, 0)])[1] == want_ns
    bus.add_fault(BusFault("spi-0", "truncate", args={"after": 0}))
    assert bus.transfer(0, 0, b"\x01")[1] == want_ns


def test_low_bit_first_reverses_each_octet() -> None:
    """A controller set to the low bit first talks past a part that is not."""
    part = Listener(b"\x01\x03")
    bus = make(part, lsb_first=True)
    assert bus.transfer(0, 0, b"\x9f\x80")[2] == b"\x80\xc0"
    assert part.log[1][2] == b"\xf9\x01"


def test_words_go_out_most_significant_octet_first() -> None:
    """16- and 32-bit words lie little-endian in memory and are swapped on the wire."""
    part = Listener(b"\x01\x02\x03\x04")
    bus = make(part)
    segments: list[Segment] = [(b"\x34\x12\x78\x56", 0, 16, 0, 0)]
    assert bus.transfer_segments(0, 0, segments)[2] == [b"\x02\x01\x04\x03"]
    assert part.log[1][2] == b"\x12\x34\x56\x78"
    bus.transfer_segments(0, 0, [(b"\x78\x56\x34\x12", 0, 32, 0, 0)])
    assert part.log[4][2] == b"\x12\x34\x56\x78"


@pytest.mark.parametrize(
    ("profile", "segments", "status"),
    [
        ("bcm2835", [], Status.INVALID),
        ("bcm2835", [(bytes(4000), 0, 0, 0, 0), (bytes(97), 0, 0, 0, 0)], Status.OVERRUN),
        ("bcm2835", [(bytes(4000), 0, 0, 0, 0), (bytes(96), 0, 0, 0, 0)], Status.OK),
        ("bcm2835", [(bytes(2), 0, 16, 0, 0)], Status.UNSUPPORTED),
        ("tegra", [(bytes(2), 0, 16, 0, 0)], Status.OK),
        ("tegra", [(bytes(3), 0, 16, 0, 0)], Status.INVALID),
        ("ideal", [(bytes(5000), 0, 0, 0, 0)], Status.OK),
    ],
)
def test_limits(profile: str, segments: list[Segment], status: Status) -> None:
    """Each adapter refuses what its driver refuses, before the bus moves."""
    bus = make(profile=profile)
    outcome = bus.transfer_segments(0, 0, segments)
    assert outcome[0] == status
    assert bus.counters["refused"] == (status != Status.OK)
    if status != Status.OK:
        assert outcome[1:] == (0, [])


def test_empty_chip_select_reads_ones() -> None:
    """Where no part sits the line is pulled up, and that is counted."""
    bus = make()
    assert bus.transfer(0, 1, bytes(3)) == (Status.OK, 2400 + 100, b"\xff\xff\xff")
    bus.detach(0)
    assert bus.transfer(0, 0, bytes(1))[2] == b"\xff"
    assert bus.counters["unanswered"] == 2


@pytest.mark.parametrize(
    ("chip_select", "profile", "settings", "message"),
    [
        (0, "ideal", {}, "another part is there"),
        (-1, "ideal", {}, "mode of 0..3"),
        (1, "ideal", {"mode": 32}, "mode of 0..3"),
        (1, "mcp2221", {"mode": 0x10}, "no three-wire mode"),
        (1, "ideal", {"speed_hz": 0}, "above 0 Hz"),
        (1, "bcm2835", {"bits": 16}, "bcm2835 cannot do 16 bits"),
        (1, "bcm2835", {"lsb_first": True}, "low bit first"),
    ],
)
def test_wiring_errors(
    chip_select: int, profile: str, settings: dict[str, int], message: str
) -> None:
    """A clash and settings that cannot be are refused with what to do."""
    bus = make(profile=profile)
    with pytest.raises(ConfigError, match=message):
        bus.attach(chip_select, SPIShifter(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "args", "rx", "seen", "extra_ns"),
    [
        ("absent", {}, b"\xff\xff\xff\xff", None, 0),
        ("stuck_miso", {"level": 0}, b"\x00\x00\x00\x00", b"\x01\x02\x03\x04", 0),
        ("stuck_miso", {"level": 1}, b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", 0),
        ("bit_flip", {"octet": 1, "bit": 1}, b"\x80\x03\xff\x00", b"\x01\x02\x03\x04", 0),
        (
            "bit_flip",
            {"octet": 3, "bit": 7, "write": 1},
            b"\x80\x01\xff\x00",
            b"\x01\x02\x03\x84",
            0,
        ),
        ("truncate", {"after": 1}, b"\x80\xff\xff\xff", b"\x01", 0),
        ("stretch", {"ns": 77}, b"\x80\x01\xff\x00", b"\x01\x02\x03\x04", 77),
    ],
)
def test_faults(
    kind: str, args: dict[str, int], rx: bytes, seen: bytes | None, extra_ns: int
) -> None:
    """Each kind has its effect on what both sides see, takes its time, and is marked."""
    part = Listener()
    bus = make(part)
    fault = BusFault("spi-0", kind, 0, args=args)
    bus.add_fault(fault)
    assert bus.transfer(0, 0, b"\x01\x02\x03\x04") == (Status.OK, 3300 + extra_ns, rx)
    assert bus.faulted
    assert [tx for what, _, tx in part.log if what == "exchange"] == (
        [] if seen is None else [seen]
    )
    bus.remove_fault(fault)
    assert bus.transfer(0, 0, bytes(4))[2] == b"\x80\x01\xff\x00"
    assert not bus.faulted


def test_truncate_counts_over_segments() -> None:
    """A cut falls into the segment that holds it, and all later ones read ones."""
    bus = make(Listener())
    bus.add_fault(BusFault("spi-0", "truncate", args={"after": 3}))
    segments: list[Segment] = [
        (bytes(2), 0, 0, 0, 0),
        (bytes(2), 0, 0, 0, 0),
        (b"\x00", 0, 0, 0, 0),
    ]
    status, duration_ns, rx = bus.transfer_segments(0, 0, segments)
    assert (status, duration_ns) == (Status.OK, 4100)
    assert rx == [b"\x80\x01", b"\x80\xff", b"\xff"]


def test_faults_of_another_kind_of_bus_are_refused() -> None:
    """A fault that has no meaning on SPI is a configuration error."""
    with pytest.raises(ConfigError, match="not a fault of this kind of bus"):
        make().add_fault(BusFault("spi-0", "nak_address"))


def test_interceptor_modifies_and_passes() -> None:
    """An interceptor sees every transaction; one that returns None leaves it unmarked."""

    def invert(crossing: Crossing, forward: Forward) -> Result | None:
        if crossing.content[0][0] == b"\x00":
            return None
        status, duration_ns, rx = forward(crossing)
        return status, duration_ns, [bytes(octet ^ 0xFF for octet in part) for part in rx]

    bus = make(Listener())
    bus.intercept(invert)
    assert bus.transfer(0, 0, b"\x01")[2] == b"\x7f"
    assert bus.faulted
    assert bus.transfer(0, 0, b"\x00")[2] == b"\x80"
    assert not bus.faulted
    bus.intercept(None)
    assert bus.transfer(0, 0, b"\x01")[2] == b"\x80"


def test_settings_of_a_chip_select_can_change() -> None:
    """``configure`` holds from then on; a setting that cannot be leaves all as it was."""
    bus = SPIBus("spi-0", "bcm2835")
    bus.attach(0, SPIShifter(), mode=0, speed_hz=1_000_000)
    bus.configure(0, speed_hz=2_000_000, mode=3)
    bus.configure(7, mode=1)
    with pytest.raises(ConfigError, match="bits a word"):
        bus.configure(0, bits=13)
    assert bus.describe()["chip_selects"] == {"0": {"mode": 3, "speed_hz": 2_000_000}}


def test_a_part_without_more_lines_misreads() -> None:
    """A dual or quad segment to a part of one line reads ones, is counted, and takes less time."""
    bus = SPIBus("spi-0", "ideal")
    bus.attach(0, SPIShifter(), speed_hz=1_000_000)
    for flags, ns in ((0, 33_000), (DUAL, 17_000), (QUAD, 9_000)):
        status, duration_ns, rx = bus.transfer_segments(0, 0, [(bytes(4), 0, 0, flags, 0)])
        assert (status, duration_ns) == (Status.OK, ns)
        assert (rx[0] == b"\xff" * 4) == bool(flags)
    assert bus.counters["misread"] == 2
