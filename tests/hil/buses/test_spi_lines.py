"""SPI beyond four wires and whole octets: words, bit order, polarity, lines, faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.faults import BusFault
from hil.buses.intercept import BLOCKED
from hil.buses.spi import DUAL, QUAD, RECEIVE, Segment, SPIBus
from hil.buses.spi_words import pack, unpack, word_nbytes

MHZ = 1_000_000
CLOCK_NS = 1_000


class Wire:
    """A peripheral that keeps the octets it sees and answers with their complement."""

    spi_modes = frozenset({0})

    def __init__(self, **attributes: object) -> None:
        self.seen = b""
        self.selects = 0
        for name, value in attributes.items():
            setattr(self, name, value)

    def spi_select(self, t_ns: int) -> None:
        self.selects += 1

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        self.seen += tx
        return bytes(octet ^ 0xFF for octet in tx)

    def spi_deselect(self, t_ns: int) -> None:
        self.selects -= 1


class WordPart(Wire):
    """A peripheral with words of its own, such as a display with nine bits."""

    def spi_exchange_words(self, t_ns: int, words: list[int], bits: int) -> list[int]:
        self.words = words
        return [word ^ 1 << (bits - 1) for word in words]


def make(part: Wire, profile: str = "ideal", **settings: int) -> SPIBus:
    bus = SPIBus("spi-0", profile)
    bus.attach(0, part, **{"speed_hz": MHZ, **settings})
    return bus


def send(bus: SPIBus, tx: bytes, bits: int = 0, flags: int = 0) -> tuple[int, int, bytes]:
    status, duration_ns, rx = bus.transfer_segments(0, 0, [(tx, 0, bits, flags, 0)])
    return status, duration_ns, rx[0] if rx else b""


@pytest.mark.parametrize(
    ("bits", "tx", "wire", "nbits"),
    [
        (8, b"\x12\x34", b"\x12\x34", 16),
        (16, b"\x34\x12", b"\x12\x34", 16),
        (32, b"\x78\x56\x34\x12", b"\x12\x34\x56\x78", 32),
        (12, b"\xbc\x0a\xef\x0d", b"\xab\xcd\xef", 24),
        (12, b"\xbc\xfa", b"\xab\xc0", 12),
        (24, b"\x56\x34\x12\xff", b"\x12\x34\x56", 24),
        (9, b"\xff\x01" + b"\x00\x00" * 7, b"\xff\x80" + bytes(7), 72),
        (4, b"\x0a\xfb", b"\xab", 8),
        (1, b"\x01\x00\x01\x00\x00\x00\x00\x01", b"\xa1", 8),
    ],
)
def test_words_go_out_bit_by_bit(bits: int, tx: bytes, wire: bytes, nbits: int) -> None:
    """The high bit of each word first, and the time is that of the bits and no more."""
    part = Wire()
    status, duration_ns, rx = send(make(part), tx, bits)
    assert (status, part.seen) == (Status.OK, wire)
    assert duration_ns == (nbits + 1) * CLOCK_NS
    mask = (1 << bits) - 1
    assert unpack(rx, bits) == [word ^ mask for word in unpack(tx, bits)]


@given(
    bits=st.integers(1, 32),
    values=st.lists(st.integers(0, 2**32 - 1), max_size=20),
    lsb=st.booleans(),
)
def test_every_word_size_comes_back(bits: int, values: list[int], lsb: bool) -> None:
    """Through a part that inverts what it sees, twice, every word is what it was."""
    words = [value & ((1 << bits) - 1) for value in values]
    bus = make(Wire(), lsb_first=lsb)
    _, _, once = send(bus, pack(words, bits), bits)
    _, _, twice = send(bus, once, bits)
    assert unpack(twice, bits) == words
    assert len(twice) == word_nbytes(bits) * len(words)


@pytest.mark.parametrize(
    ("bits", "tx", "wire"),
    [(8, b"\x01\x12", b"\x80\x48"), (16, b"\x34\x12", b"\x2c\x48"), (4, b"\x01\x03", b"\x8c")],
)
def test_least_significant_bit_first_turns_each_word(bits: int, tx: bytes, wire: bytes) -> None:
    """Of 1234h the low octet leaves first, each with its low bit first; so says mode 8."""
    for settings in ({"lsb_first": True}, {"mode": 8}):
        part = Wire()
        send(make(part, **settings), tx, bits)
        assert part.seen == wire


def test_a_part_that_shifts_the_low_bit_first_reads_such_a_controller() -> None:
    """Both ends turned round are as if none were."""
    part = Wire(spi_lsb_first=True)
    assert send(make(part, lsb_first=True), b"\x12\x34")[2] == b"\xed\xcb"
    assert part.seen == b"\x12\x34"


def test_a_part_with_words_gets_words() -> None:
    """Nine bits reach a display as nine bits, in 9 clocks a word."""
    part = WordPart()
    status, duration_ns, rx = send(make(part, bits=9), b"\x2c\x00\x55\x01")
    assert (status, duration_ns, part.words) == (Status.OK, 19 * CLOCK_NS, [0x2C, 0x155])
    assert rx == b"\x2c\x01\x55\x00"


@pytest.mark.parametrize(
    ("profile", "bits", "tx", "status"),
    [
        ("ideal", 9, b"\x00\x00\x00", Status.INVALID),
        ("ideal", 24, b"\x00\x00\x00", Status.INVALID),
        ("ideal", 33, b"\x00\x00\x00\x00", Status.UNSUPPORTED),
        ("bcm2835", 9, b"\x00\x00", Status.UNSUPPORTED),
    ],
)
def test_half_words_and_sizes_of_no_adapter_are_refused(
    profile: str, bits: int, tx: bytes, status: Status
) -> None:
    """Words take 1, 2 or 4 octets in memory; what the adapter cannot do it does not try."""
    part = Wire()
    assert send(make(part, profile), tx, bits) == (status, 0, b"")
    assert part.seen == b""


# Chip select


@pytest.mark.parametrize("cs_high", [False, True])
def test_a_part_answers_on_its_own_polarity_only(cs_high: bool) -> None:
    """Mode bit 4 and the part's ``spi_cs_high`` must agree; else it is deselected while we talk."""
    for mode in (0, 4):
        part = Wire(spi_cs_high=cs_high)
        bus = make(part, mode=mode)
        rx = send(bus, b"\x0f")[2]
        agree = bool(mode) == cs_high
        assert rx == (b"\xf0" if agree else b"\xff")
        assert part.seen == (b"\x0f" if agree else b"")
        assert bus.counters["wrong_select"] == (not agree)
        assert part.selects == 0


# Lines


def test_three_wires_go_one_way_at_a_time() -> None:
    """Out: the controller reads itself. RECEIVE: it lets go, and the part drives the line."""
    part = Wire(spi_three_wire=True)
    bus = make(part, mode=0x10)
    segments: list[Segment] = [(b"\x8f", 0, 0, 0, 0), (b"\x00\x00", 0, 0, RECEIVE, 0)]
    status, duration_ns, rx = bus.transfer_segments(0, 0, segments)
    assert (status, rx) == (Status.OK, [b"\x8f", b"\x00\x00"])
    assert part.seen == b"\x8f\xff\xff", "while it reads the line is not driven low by us"
    assert duration_ns == 25 * CLOCK_NS


def test_a_four_wire_part_is_not_heard_on_three_wires() -> None:
    """Its answer is on a line that is not connected."""
    bus = make(Wire(), mode=0x10)
    assert send(bus, b"\x00", flags=RECEIVE)[2] == b"\xff"


@pytest.mark.parametrize(
    ("profile", "flags", "status"),
    [
        ("ideal", QUAD, Status.OK),
        ("tegra", DUAL, Status.OK),
        ("tegra", QUAD, Status.UNSUPPORTED),
        ("bcm2835", DUAL, Status.UNSUPPORTED),
    ],
)
def test_lines_are_those_of_the_adapter(profile: str, flags: int, status: Status) -> None:
    """A Raspberry Pi has one data line each way, a Jetson two; time is shared among the lines."""
    bus = make(Wire(), profile)
    found, duration_ns, _ = send(bus, bytes(8), flags=flags)
    assert found == status
    if status == Status.OK:
        assert duration_ns == (64 // (4 if flags == QUAD else 2) + 1) * CLOCK_NS


@pytest.mark.parametrize("profile", ["bcm2835", "tegra"])
def test_a_message_ends_at_the_buffer_of_spidev(profile: str) -> None:
    """4,096 octets over all segments pass, one more is OVERRUN (EMSGSIZE)."""
    bus = make(Wire(), profile)
    half: Segment = (bytes(2048), 0, 0, 0, 0)
    assert bus.transfer_segments(0, 0, [half, half])[0] == Status.OK
    more: Segment = (bytes(2049), 0, 0, 0, 0)
    assert bus.transfer_segments(0, 0, [half, more])[0] == Status.OVERRUN
    assert bus.profile.errno[Status.OVERRUN] == 90  # EMSGSIZE


# Faults and interceptors


@pytest.mark.parametrize(
    ("kind", "args", "seen", "clocks"),
    [
        ("wrong_mode", {}, b"\x07\xf8", 17),
        ("delay", {"ns": 5 * CLOCK_NS}, b"\x0f\xf0", 22),
        ("duplicate", {}, b"\x0f\xf0\x0f\xf0", 34),
        ("spam", {"times": 2}, b"\0\0\0\0\x0f\xf0", 51),
    ],
)
def test_faults_of_a_transaction(kind: str, args: dict[str, int], seen: bytes, clocks: int) -> None:
    """Each sampled bit late, the start late, twice, or behind traffic of zeros; all are counted."""
    part = Wire()
    bus = make(part)
    bus.add_fault(BusFault("spi-0", kind, args=args))
    status, duration_ns, _ = send(bus, b"\x0f\xf0")
    assert (status, part.seen, duration_ns) == (Status.OK, seen, clocks * CLOCK_NS)
    assert bus.faulted
    assert bus.counters["faulted"] == bus.faults.hits[kind] == 1


def test_a_blocked_transaction_reaches_nobody() -> None:
    """The interceptor's outcome is the bus's, and the part sees nothing."""
    part = Wire()
    bus = make(part)
    bus.intercept(lambda crossing, forward: BLOCKED)
    assert bus.transfer(0, 0, b"\x00") == (*BLOCKED[:2], b"")
    assert (part.seen, bus.faulted) == (b"", True)
