"""The bus time of every kind of transaction is within one bit of what its standard says.

The formulas are written here once more, from the standards, and share nothing with the buses.
"""

from __future__ import annotations

from typing import Any

import pytest
from can_bench import FDBench, Listener
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.i2c import READ, TEN_BIT, I2CBus
from hil.buses.onewire import READ as READ_BITS
from hil.buses.onewire import RESET, TRIPLET, WRITE, OneWireBus
from hil.buses.smbus import PECTarget, SMBus
from hil.buses.spi import CS_CHANGE, DUAL, QUAD, SPIBus
from hil.buses.uart import UARTBus
from hil.testing.contracts.bus import I2CMemory, SPIShifter
from hil.testing.simple_scheduler import SimpleScheduler

SECOND = 1_000_000_000


def off_by_bits(duration_ns: float, nbits: float, rate_hz: float) -> float:
    return abs(duration_ns - nbits * SECOND / rate_hz) * rate_hz / SECOND


# --- I2C: UM10204 3.1: a bit for S, Sr and P, nine for an octet with its acknowledge -------------


def i2c_nbits(messages: list[tuple[int, int, Any]]) -> int:
    """S, then each message behind Sr: address octets, data octets; P."""
    nbits = 1 + len(messages)  # S or Sr of each, and P
    written_to = -1
    for address, flags, what in messages:
        noctets = what if isinstance(what, int) else len(what)
        head = 1
        if flags & TEN_BIT:
            # 3.1.11: a read is addressed by two octets, Sr, and the first of them once more; where
            # the part has been written to just before, Sr and the first octet do.
            head = 2
            if flags & READ:
                head = 1 if written_to == address else 3
                nbits += written_to != address
        nbits += 9 * (head + noctets)
        written_to = address
    return nbits


MESSAGES = st.lists(
    st.tuples(st.booleans(), st.binary(max_size=40), st.integers(1, 40)), min_size=1, max_size=5
)


@given(MESSAGES, st.sampled_from([100_000, 400_000, 1_000_000]))
def test_i2c_messages(plan: list[tuple[bool, bytes, int]], rate: int) -> None:
    """Any messages to a 7-bit address."""
    bus = I2CBus("i2c-1", rate, "ideal")
    bus.attach(0x50, I2CMemory())
    messages = [(0x50, READ, n) if read else (0x50, 0, data) for read, data, n in plan]
    status, duration_ns, _ = bus.transfer_messages(0, messages)
    assert status == Status.OK
    assert off_by_bits(duration_ns, i2c_nbits(messages), rate) <= 1


@given(st.binary(max_size=8), st.integers(0, 8))
def test_i2c_with_ten_bits(write: bytes, nread: int) -> None:
    """A write, a read and both at a 10-bit address."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x250, I2CMemory())
    messages: list[tuple[int, int, Any]] = []
    if write or not nread:
        messages.append((0x250, TEN_BIT, write))
    if nread:
        messages.append((0x250, TEN_BIT | READ, nread))
    status, duration_ns, _ = bus.transfer_messages(0, messages)
    assert status == Status.OK
    assert off_by_bits(duration_ns, i2c_nbits(messages), 400_000) <= 1


def test_i2c_forgets_who_was_selected() -> None:
    """3.1.11: once another address has come, a 10-bit part must be selected by both octets."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x250, I2CMemory())
    bus.attach(0x50, I2CMemory())
    messages: list[tuple[int, int, Any]] = [
        (0x250, TEN_BIT, b"\1"),
        (0x50, 0, b"\2"),
        (0x250, TEN_BIT | READ, 1),
    ]
    assert off_by_bits(bus.transfer_messages(0, messages)[1], i2c_nbits(messages), 400_000) <= 1


def test_i2c_that_nobody_answers() -> None:
    """An address without acknowledge takes S, nine bits and P."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    status, duration_ns, _ = bus.transfer(0, 0x51, b"\0\0", 4)
    assert status == Status.NAK_ADDRESS
    assert off_by_bits(duration_ns, 11, 400_000) <= 1


def test_i2c_high_speed() -> None:
    """5.3: S, controller code and missing acknowledge at the bus rate, the rest at 3.4 MHz."""
    bus = I2CBus("i2c-1", 400_000, "ideal", high_speed_hz=3_400_000)
    bus.attach(0x50, I2CMemory())
    duration_ns = bus.transfer(0, 0x50, b"\0", 2)[1]
    code_ns = 10 * SECOND / 400_000
    assert off_by_bits(duration_ns - code_ns, 1 + 9 * 2 + 1 + 9 * 3 + 1, 3_400_000) <= 1


#: SMBus 3.1 section 6.5: (call, octets with an address or data, starts) without PEC
SMBUS = {
    "quick": (lambda bus: bus.quick(0, 0x50), 1, 1),
    "send byte": (lambda bus: bus.send_byte(0, 0x50, 3), 2, 1),
    "receive byte": (lambda bus: bus.receive_byte(0, 0x50), 2, 1),
    "write byte": (lambda bus: bus.write(0, 0x50, 3, b"\1"), 3, 1),
    "write word": (lambda bus: bus.write(0, 0x50, 3, b"\1\2"), 4, 1),
    "read byte": (lambda bus: bus.read(0, 0x50, 3, 1), 4, 2),
    "read word": (lambda bus: bus.read(0, 0x50, 3, 2), 5, 2),
    "process call": (lambda bus: bus.process_call(0, 0x50, 3, b"\1\2"), 7, 2),
    "write block": (lambda bus: bus.write_block(0, 0x50, 3, b"\1\2\3"), 6, 1),
    # the memory's octet 8 is 8: that many data octets follow
    "read block": (lambda bus: bus.read_block(0, 0x50, 8), 2 + 1 + 1 + 8, 2),
}


@pytest.mark.parametrize("name", SMBUS)
def test_smbus(name: str) -> None:
    """Every protocol without packet error check."""
    call, noctets, nstarts = SMBUS[name]
    bus = I2CBus("i2c-1", 100_000, "ideal")
    bus.attach(0x50, I2CMemory())
    answer = call(SMBus(bus))
    assert answer[0] == Status.OK
    assert off_by_bits(answer[1], 9 * noctets + nstarts + 1, 100_000) <= 1


@pytest.mark.parametrize(
    "name", ["send byte", "write byte", "write word", "read byte", "read word"]
)
def test_smbus_with_packet_error_check(name: str) -> None:
    """The check is one octet more."""
    call, noctets, nstarts = SMBUS[name]
    bus = I2CBus("i2c-1", 100_000, "ideal")
    commands = {3: 2 if "word" in name else 1}
    bus.attach(0x50, PECTarget(I2CMemory(), 0x50, writes=commands, reads=commands))
    answer = call(SMBus(bus, pec=True))
    assert off_by_bits(answer[1], 9 * (noctets + 1) + nstarts + 1, 100_000) <= 1


# --- SPI: bits at the clock, chip select half a clock period before and after ---------------------

SEGMENTS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=64),
        st.sampled_from([0, CS_CHANGE, DUAL, QUAD]),
        st.integers(0, 50),
    ),
    min_size=1,
    max_size=5,
)


@given(SEGMENTS, st.sampled_from([500_000, 1_000_000, 10_000_000]))
def test_spi_segments(plan: list[tuple[bytes, int, int]], rate: int) -> None:
    """Segments on one, two and four lines, with delays and moves of chip select in between."""
    bus = SPIBus("spi-0", "ideal")
    bus.attach(0, SPIShifter(), speed_hz=rate)
    segments = [(data, rate, 8, flags, delay) for data, flags, delay in plan]
    status, duration_ns, _ = bus.transfer_segments(0, 0, segments)
    assert status == Status.OK
    lines = {DUAL: 2, QUAD: 4}
    nbits = sum(8 * len(data) / lines.get(flags, 1) for data, flags, _ in plan)
    # A chip select that moves between two segments ends one frame and begins the next; behind the
    # last segment the flag has it stay.
    nbits += 1 + sum(flags == CS_CHANGE for _, flags, _ in plan[:-1])
    delays_ns = 1000 * sum(delay for *_, delay in plan)
    assert off_by_bits(duration_ns - delays_ns, nbits, rate) <= 1


@pytest.mark.parametrize("width", [4, 7, 9, 12, 16, 24, 32])
def test_spi_words(width: int) -> None:
    """Words of any size take their own bits, not those of the octets that hold them."""
    bus = SPIBus("spi-0", "ideal")
    bus.attach(0, SPIShifter(), speed_hz=1_000_000)
    noctets = 1 if width <= 8 else 2 if width <= 16 else 4
    segments = [(bytes(10 * noctets), 1_000_000, width, 0, 0)]
    duration_ns = bus.transfer_segments(0, 0, segments)[1]
    assert off_by_bits(duration_ns, 10 * width + 1, 1_000_000) <= 1


# --- UART: start, data, parity, stop --------------------------------------------------------------


@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from([1200, 9600, 115_200, 921_600, 3_000_000]),
    st.integers(5, 8),
    st.sampled_from("NEO"),
    st.sampled_from([1, 2]),
)
@settings(max_examples=60)
def test_uart(data: bytes, baud: int, nbits: int, parity: str, stop: int) -> None:
    """Both ways the last stop bit ends at the time of all frames, whichever their form."""
    ended: list[int] = []

    class Device:
        uart_send: Any = None

        def uart_receive(self, t_ns: int, octets: bytes) -> None:
            ended.append(t_ns)

    scheduler = SimpleScheduler()
    emitted: list[int] = []
    bus = UARTBus(
        *("uart", scheduler, 1, lambda *record: emitted.append(record[0] + record[1]), baud),
        *(nbits, parity, stop),
    )
    device = Device()
    bus.attach(device)
    bus.write(0, data)
    device.uart_send(0, data)
    scheduler.run_until(60 * SECOND)
    frame = 1 + nbits + (parity != "N") + stop
    for last_ns in (max(ended), max(emitted)):
        assert off_by_bits(last_ns, frame * len(data), baud) <= 1


# --- CAN: ISO 11898-1 -----------------------------------------------------------------------------


def with_stuffing(bits: str) -> int:
    """Length of a bit string with a complement behind five equal bits, itself counted."""
    length, run, last = 0, 0, ""
    for bit in bits:
        run = run + 1 if bit == last else 1
        last, length = bit, length + 1
        if run == 5:
            length, last, run = length + 1, "10"[int(bit)], 1
    return length


def crc(bits: str, width: int, polynomial: int, register: int = 0) -> str:
    for bit in bits:
        carry = register >> width - 1 ^ int(bit)
        register = register << 1 & (1 << width) - 1
        register ^= polynomial if carry else 0
    return f"{register:0{width}b}"


def octets(data: bytes) -> str:
    return "".join(f"{octet:08b}" for octet in data)


IDS = st.one_of(st.integers(0, 0x7FF), st.integers(0, 0x1FFF_FFFF).map(lambda n: n | 1 << 31))


@given(IDS, st.binary(max_size=8))
def test_can(can_id: int, data: bytes) -> None:
    """10.4: a classic frame from start of frame to end of frame, its stuff bits with it."""
    bench = FDBench(Listener())
    bench.bus.send(0, can_id, data)
    bench.run(10_000_000)
    if can_id >> 31:
        number = f"{can_id & 0x1FFF_FFFF:029b}"
        head = "0" + number[:11] + "11" + number[11:] + "000"
    else:
        head = "0" + f"{can_id:011b}" + "000"
    bits = head + f"{len(data):04b}" + octets(data)
    bits += crc(bits, 15, 0x4599)
    nbits = with_stuffing(bits) + 1 + 2 + 7
    assert off_by_bits(bench.records[0][1], nbits, 500_000) <= 1


@given(
    st.integers(0, 0x7FF),
    st.sampled_from([*range(9), 12, 16, 20, 24, 32, 48, 64]),
    st.randoms(use_true_random=False),
)
def test_can_fd(can_id: int, length: int, random: Any) -> None:
    """10.4: head and end at the nominal rate; ESI, length, data and CRC field at the data rate."""
    data = random.randbytes(length)
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.send(0, can_id | 0x5 << 32, data)  # FDF and BRS
    bench.run(10_000_000)
    code = [*range(9), 12, 16, 20, 24, 32, 48, 64].index(length)
    slow = "0" + f"{can_id:011b}" + "00" + "1" + "0" + "1"
    fast = "0" + f"{code:04b}" + octets(data)
    nslow = with_stuffing(slow)
    nfast = with_stuffing(slow + fast) - nslow
    width = 17 if length <= 16 else 21
    # The stuff count of four bits and the CRC have a fixed stuff bit in front and behind each four;
    # one that follows five equal bits has taken the place of a dynamic one.
    guarded = 4 + width
    nfast += guarded + 1 + (guarded - 1) // 4
    nfast -= ends_with_stuffing(slow + fast)
    # CRC delimiter, then ACK, its delimiter and end of frame at the nominal rate
    expected_ns = (nslow + 2 + 7) * SECOND / 500_000 + (nfast + 1) * SECOND / 2_000_000
    assert abs(bench.records[0][1] - expected_ns) <= SECOND / 500_000


def ends_with_stuffing(bits: str) -> bool:
    """Tell whether the last bit is followed by a dynamic stuff bit."""
    return with_stuffing(bits) > with_stuffing(bits[:-1]) + 1


def test_the_stuffing_of_these_formulas_is_that_of_the_standard() -> None:
    """Behind five equal bits comes a complement, which begins the next run."""
    assert with_stuffing("0" * 5) == 6
    assert with_stuffing("00000" + "1111") == 11
    assert with_stuffing("01" * 30) == 60


# --- 1-Wire: Maxim application note 126, table 1 --------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "slot_us", "reset_us"), [("standard", 70.0, 960.0), ("overdrive", 9.0, 121.0)]
)
def test_onewire(speed: str, slot_us: float, reset_us: float) -> None:
    """A reset, sixteen written, eight read bits and a triplet of three slots."""

    class Part:
        def onewire_reset(self, t_ns: int) -> bool:
            return True

        def onewire_write(self, t_ns: int, bit: int) -> None:
            pass

        def onewire_read(self, t_ns: int) -> int:
            return 1

    bus = OneWireBus("w1", speed=speed)
    bus.attach(Part())
    steps = [(RESET, b""), (WRITE, b"\xcc\x55"), (READ_BITS, 1)]
    _, duration_ns, _ = bus.transfer(0, steps)
    ones, zeros = 8, 8
    written_us = 16 * 70.0 if speed == "standard" else ones * 8.5 + zeros * 10.0
    expected_us = reset_us + written_us + 8 * slot_us
    assert abs(duration_ns / 1000 - expected_us) <= slot_us
    _, triplet_ns, _ = bus.transfer(0, [(TRIPLET, 1)])
    assert abs(triplet_ns / 1000 - 3 * slot_us) <= slot_us
