"""CAN FD: the bits of a frame against a receiver built from the standard, times, mixed networks."""

from __future__ import annotations

import pytest
from can_bench import FDBench, Listener
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Flag, Status
from hil.buses.can_faults import CANFault
from hil.buses.can_fd import CRC17, CRC21, crc, frame_bits, stuff_count
from hil.buses.can_frame import (
    BRS_FLAG,
    ESI_FLAG,
    EXTENDED_FLAG,
    FD_FLAG,
    FD_LENGTHS,
    REMOTE_FLAG,
)
from hil.buses.can_length import extent
from hil.buses.can_node import State
from hil.errors import ConfigError

FAST = FD_FLAG | BRS_FLAG
#: Data without a run of five in the frame below: no dynamic stuff bit is needed.
PLAIN_ID, PLAIN_64 = 0x2AA, bytes((0x5A,)) * 64

fd_ids = st.builds(
    lambda identifier, flags: identifier | flags | FD_FLAG,
    st.integers(0, 0x7FF) | st.integers(0, 0x1FFF_FFFF).map(lambda value: value | EXTENDED_FLAG),
    st.sampled_from((0, BRS_FLAG, ESI_FLAG, BRS_FLAG | ESI_FLAG)),
)
fd_data = st.sampled_from(FD_LENGTHS).flatmap(
    lambda length: (
        st.binary(min_size=length, max_size=length)
        | st.lists(st.sampled_from((0x00, 0xFF, 0x0F, 0xF8)), min_size=length, max_size=length).map(
            bytes
        )
    )
)


def receive(wire: str) -> tuple[int, bytes]:
    """Read an FD frame bit by bit as ISO 11898-1:2015 has a receiver do; assert every check."""
    bits, crc_bits = iter(wire), []
    stuffed = run = 0
    last = ""

    def take(count: int) -> int:
        nonlocal run, last, stuffed
        value = 0
        for _ in range(count):
            if run == 5:
                stuff_bit = next(bits)
                assert stuff_bit != last, "stuffing rule broken"
                crc_bits.append(stuff_bit)
                stuffed, run, last = stuffed + 1, 1, stuff_bit
            bit = next(bits)
            crc_bits.append(bit)
            run, last = (run + 1, last) if bit == last else (1, bit)
            value = value << 1 | int(bit)
        return value

    assert take(1) == 0, "start of frame"
    identifier, rtr, ide = take(11), take(1), take(1)
    if ide:
        assert rtr == 1, "SRR"
        identifier, rtr = EXTENDED_FLAG | identifier << 18 | take(18), take(1)
    assert (rtr, take(1), take(1)) == (0, 1, 0), "RRS, FDF, res"
    brs, esi = take(1), take(1)
    length = FD_LENGTHS[take(4)]
    data = take(8 * length).to_bytes(length, "big")
    width, polynomial = (17, 0x1685B) if length <= 16 else (21, 0x102899)
    field = ""
    for number in range(4 + width):
        if number % 4 == 0:
            fixed = next(bits)
            assert fixed != last, "fixed stuff bit"
        last = next(bits)
        field += last
    register = 1 << (width - 1)
    for bit in "".join(crc_bits) + field[:4]:
        inverting = register >> (width - 1) ^ int(bit)
        register = (register << 1) & ((1 << width) - 1)
        register ^= polynomial if inverting else 0
    assert next(bits, "") == "", "nothing behind the CRC sequence"
    # Stuff count by the table of the standard: Gray code of three bits, then even parity.
    table = ("0000", "0011", "0110", "0101", "1100", "1111", "1010", "1001")
    assert field[:4] == table[stuffed % 8], "stuff count"
    assert int(field[4:], 2) == register, "CRC"
    return identifier | FD_FLAG | (BRS_FLAG if brs else 0) | (ESI_FLAG if esi else 0), data


def test_the_crcs_match_the_catalogue() -> None:
    """CRC-17/CAN-FD of 1 to 9 is 0x04F03, CRC-21/CAN-FD 0x0ED841, with a register of zeros."""
    bits = "".join(f"{octet:08b}" for octet in b"123456789")
    assert crc(bits, CRC17, 0) == 0x04F03
    assert crc(bits, CRC21, 0) == 0x0ED841


@given(bits=st.text("01", max_size=80), kind=st.sampled_from((CRC17, CRC21)))
def test_the_table_is_the_shift_register(bits: str, kind: tuple[int, int]) -> None:
    """The CRC by octets equals the register clocked bit by bit from 1 and zeros."""
    width, polynomial = kind
    register = 1 << (width - 1)
    for bit in bits:
        inverting = register >> (width - 1) ^ int(bit)
        register = (register << 1 & ((1 << width) - 1)) ^ (polynomial if inverting else 0)
    assert crc(bits, kind) == register


@given(can_id=fd_ids, data=fd_data)
def test_a_receiver_reads_every_frame(can_id: int, data: bytes) -> None:
    """Stuffing, fixed stuff bits, stuff count and CRC pass a receiver, which gets the data back."""
    assert receive(frame_bits(can_id, data)) == (can_id, data)


@given(can_id=fd_ids, data=fd_data)
def test_the_extent_is_the_bits_of_the_frame(can_id: int, data: bytes) -> None:
    """Nominal and data bits together are the bits on the wire and the ten behind the CRC."""
    slow, fast, _ = extent(can_id, data)
    assert slow + fast == len(frame_bits(can_id, data)) + 10
    assert (fast > 0) == bool(can_id & BRS_FLAG)
    if fast:
        # 17 (base) or 36 bits up to BRS and at most one stuff bit in five, and 9 behind.
        head = 36 if can_id & EXTENDED_FLAG else 17
        assert head + 9 <= slow <= head + 9 + head // 4


def test_stuff_counts_are_those_of_the_standard() -> None:
    """Gray code of the count modulo 8 and even parity."""
    table = ["0000", "0011", "0110", "0101", "1100", "1111", "1010", "1001"]
    assert [stuff_count(n) for n in range(16)] == table * 2


@pytest.mark.parametrize(
    ("length", "fast"), [(0, 33), (1, 41), (8, 97), (12, 129), (16, 161), (20, 198), (64, 550)]
)
def test_a_frame_without_dynamic_stuff_bits_has_its_fields(length: int, fast: int) -> None:
    """17 nominal bits to BRS, 9 behind the CRC delimiter; ESI, DLC, data, 27 or 32 and 1 fast."""
    data = PLAIN_64[:length]
    slow, data_phase, _ = extent(FAST | PLAIN_ID, data)
    dynamic = len(frame_bits(FAST | PLAIN_ID, data)) + 10 - 26 - fast
    assert slow == 26
    assert data_phase == fast + dynamic
    assert dynamic <= 1  # the DLC of 0 makes a run with the bits before it


def test_a_frame_takes_the_time_of_its_two_bit_rates() -> None:
    """26 bits at 500 kbit/s and 550 at 2 Mbit/s are 327 us; all at 500 kbit/s they are 1152 us."""
    slow, fast, _ = extent(FAST | PLAIN_ID, PLAIN_64)
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.send(0, FAST | PLAIN_ID, PLAIN_64)
    bench.bus.send(0, FD_FLAG | PLAIN_ID | 1, PLAIN_64)
    bench.run()
    (t_ns, duration_ns, flags, status, can_id, data), second = bench.records
    assert (t_ns, duration_ns) == (0, slow * 2_000 + fast * 500)
    assert (flags, status, can_id, data) == (Flag.CAN_FD | Flag.CAN_BRS, 0, PLAIN_ID, PLAIN_64)
    assert second[0] == duration_ns + 3 * 2_000
    assert second[1] == 2_000 * sum(extent(FD_FLAG | PLAIN_ID | 1, PLAIN_64)[:2])
    assert [one[1:] for one in bench.nodes[0].heard] == [
        (FAST | PLAIN_ID, PLAIN_64),
        (FD_FLAG | PLAIN_ID | 1, PLAIN_64),
    ]


def test_times_of_odd_rates_are_rounded_once() -> None:
    """At 333 333 and 1 234 567 bit/s a time is that of the exact sum of bits, to half a ns."""
    bench = FDBench()
    bench.bus.bitrate_hz, bench.bus.data_bitrate_hz = 333_333, 1_234_567
    for slow, fast in ((1, 1), (26, 550), (1000, 3)):
        exact = slow * 1e9 / 333_333 + fast * 1e9 / 1_234_567
        assert abs(bench.bus.time_ns(slow, fast) - exact) <= 0.51


@pytest.mark.parametrize("length", [9, 13, 25, 33, 49, 63])
def test_a_length_between_two_dlcs_is_filled_up(length: int) -> None:
    """The data goes out with zeros up to the next length that a DLC can say; that is counted."""
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.send(0, FD_FLAG | 1, b"\xaa" * length)
    bench.run()
    data = bench.nodes[0].heard[0][2]
    assert len(data) in FD_LENGTHS
    assert data.rstrip(b"\0") == b"\xaa" * length
    assert bench.bus.counters["filled"] == 1


@pytest.mark.parametrize(
    ("can_id", "data", "counter"),
    [
        (FD_FLAG | 1, bytes(65), "refused_invalid"),
        (FD_FLAG | REMOTE_FLAG | 1, b"", "refused_invalid"),
        (FD_FLAG | 0x800, b"", "refused_invalid"),
        (BRS_FLAG | 1, b"", "refused_invalid"),
        (1, bytes(9), "refused_fd"),
    ],
)
def test_what_no_fd_frame_can_be_is_refused(can_id: int, data: bytes, counter: str) -> None:
    """65 octets, a remote FD frame, a wide identifier, BRS without FDF, 9 octets without FDF."""
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.send(0, can_id, data)
    bench.run()
    assert bench.bus.counters[counter] == 1
    assert [record[3] for record in bench.records] == [Status.UNSUPPORTED]


def test_data_rates_beyond_the_standard_are_refused() -> None:
    """A data bit rate below the nominal one or above 8 Mbit/s names the bus."""
    for data_bitrate_hz in (400_000, 8_000_001):
        with pytest.raises(ConfigError, match="can can0: data at"):
            FDBench(data_bitrate_hz=data_bitrate_hz)


def test_an_error_passive_sender_says_so() -> None:
    """ESI is dominant from an active node and recessive from a passive one."""
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.send(0, FD_FLAG | 1, b"")
    bench.run()
    bench.bus.controller.tec = 200
    bench.bus.controller.settle()
    bench.bus.send(bench.scheduler.now_ns, FD_FLAG | 2, b"")
    bench.run()
    assert [record[2] for record in bench.records] == [Flag.CAN_FD, Flag.CAN_FD | Flag.CAN_ESI]
    assert [one[1] & ESI_FLAG for one in bench.nodes[0].heard] == [0, ESI_FLAG]


# Mixed networks


def test_a_tolerant_classic_node_waits_through_fd_frames() -> None:
    """It neither hears nor disturbs the FD frame and hears the classic one behind it."""
    fd, old = Listener("fd", fd=True), Listener("old", fd_tolerant=True)
    bench = FDBench(fd, old)
    bench.bus.send(0, FAST | 1, bytes(64))
    bench.bus.send(0, 2, b"classic")
    bench.run()
    assert [one[1] for one in fd.heard] == [FAST | 1, 2]
    assert [one[1] for one in old.heard] == [2]
    assert bench.bus.counters["frames"] == 2


def test_only_a_tolerant_node_is_nobody_to_acknowledge() -> None:
    """With no other FD node on the bus an FD frame gets no ACK and its sender becomes passive."""
    bench = FDBench(Listener("old", fd_tolerant=True))
    bench.bus.send(0, FAST | 1, b"")
    bench.run(50_000_000)
    assert bench.bus.counters["ack_error"] > 16
    assert bench.bus.controller.state == State.PASSIVE


def test_a_classic_node_destroys_fd_frames_until_it_is_passive() -> None:
    """REC climbs by 9 an attempt; after 15 its flag is recessive, and the frame goes through."""
    fd, old = Listener("fd", fd=True), Listener("old")
    bench = FDBench(fd, old)
    bench.bus.send(0, FAST | 1, b"x")
    bench.run(50_000_000)
    assert bench.bus.counters["fdf_error"] == 15  # 15 * 9 = 135 > 127
    assert bench.bus.nodes[2].state == State.PASSIVE
    assert [one[2] for one in fd.heard] == [b"x"]
    assert old.heard == []
    assert bench.bus.controller.tec == 15 * 8 - 1
    # FDF is bit 15 of a standard frame: error flag 6, one behind, delimiter 8.
    assert bench.records[0][1] == (extent(FAST | 1, b"x").head + 15) * 2_000


def test_classic_and_fd_share_the_arbitration() -> None:
    """The lowest identifier wins whatever the format; the same one in both is an error."""
    fd = Listener("fd", fd=True)
    other = Listener("other", fd=True)
    bench = FDBench(fd, other)
    bench.bus.send(0, 0x10, b"")
    for node, can_id in ((fd, FAST | 0x11), (other, 0x12)):
        node.can_send(0, can_id, b"12345678")
    bench.run()
    assert [record[4] for record in bench.records] == [0x10, 0x11, 0x12]
    fd.can_send(bench.scheduler.now_ns, FAST | 0x20, b"")
    other.can_send(bench.scheduler.now_ns, 0x20, b"")
    bench.run(2_000_000)
    assert bench.bus.counters["collision"] > 0


def test_an_fd_frame_of_a_node_on_a_classic_bus_is_refused() -> None:
    """Without a data bit rate nobody sends FD frames."""
    fd = Listener("fd", fd=True)
    bench = FDBench(fd, data_bitrate_hz=0)
    fd.can_send(0, FD_FLAG | 1, b"")
    bench.run()
    assert bench.bus.counters["refused_fd"] == 1


@pytest.mark.parametrize(
    ("kind", "slow", "fast"),
    [("crc", 26 - 7, 550), ("form", 26 - 7, 550), ("ack", 26 - 8, 550), ("stuff", 26 - 9, 275)],
)
def test_errors_in_the_data_phase_fall_back_to_the_nominal_rate(
    kind: str, slow: int, fast: int
) -> None:
    """The error frame of 6 + 1 + 8 bits is at the nominal rate, wherever the error is."""
    bench = FDBench(Listener("fd", fd=True))
    bench.bus.faults.add(CANFault(kind, 0, 1))
    bench.bus.send(0, FAST | PLAIN_ID, PLAIN_64)
    bench.run()
    expected = extent(FAST | PLAIN_ID, PLAIN_64)
    assert (expected.slow, expected.fast) == (26, 550)
    assert bench.records[0][1] == (slow + 15) * 2_000 + fast * 500
    assert [record[3] for record in bench.records] == [Status.DAMAGED, 0]
