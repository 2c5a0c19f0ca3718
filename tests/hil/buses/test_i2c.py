"""The I2C bus: timing to the bit, acknowledgement, addresses, and one meaning on both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.i2c import READ, TEN_BIT, I2CBus, Message
from hil.errors import ConfigError
from hil.parts.ina3221 import Ina3221
from hil.parts.lsm6dsox import Lsm6dsox
from hil.parts.tmp117 import Tmp117
from hil.testing.contracts.bus import I2CMemory, check_i2c_controller


class Picky:
    """A target that acknowledges ``octets`` octets of a write, and reads only if ``readable``."""

    def __init__(self, octets: int, readable: bool = True) -> None:
        self.octets = octets
        self.readable = readable
        self.stops = 0

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        return min(self.octets, len(data))

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        return bytes(nbytes) if self.readable else None

    def i2c_stop(self, t_ns: int) -> None:
        self.stops += 1


@pytest.fixture
def bus() -> I2CBus:
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x50, I2CMemory())
    return bus


@pytest.mark.parametrize("profile", ["ideal", "bcm2835", "tegra", "mcp2221"])
def test_contract(profile: str) -> None:
    """The bus passes the public contract suite whatever adapter is in the way."""

    def make(target: I2CMemory, address: int) -> I2CBus:
        bus = I2CBus("i2c-1", 100_000, profile)
        bus.attach(address, target)
        return bus

    check_i2c_controller(make)


@pytest.mark.parametrize(
    ("nread", "bits", "us_100k", "us_400k", "us_1m"),
    [(2, 48, 480, 120, 48), (6, 84, 840, 210, 84), (14, 156, 1560, 390, 156)],
)
def test_register_read_takes_its_bits(
    nread: int, bits: int, us_100k: int, us_400k: int, us_1m: int
) -> None:
    """A pointer write, repeated start and read charge exactly their bit times."""
    for bitrate_hz, us in ((100_000, us_100k), (400_000, us_400k), (1_000_000, us_1m)):
        bus = I2CBus("i2c-1", bitrate_hz, "bcm2835")
        bus.attach(0x50, I2CMemory())
        for _ in range(2):
            assert bus.transfer(0, 0x50, b"\x00", nread)[1] == us * 1000 == bus.duration_ns(bits)


def test_bit_time_is_rounded_once_for_the_whole_transaction() -> None:
    """A bit rate that does not divide a second costs at most half a nanosecond per transaction."""
    bus = I2CBus("i2c-1", 399_361, "ideal")
    bus.attach(0x50, I2CMemory())
    assert bus.transfer(0, 0x50, b"\x00", 2)[1] == round(48e9 / 399_361)


def test_address_nobody_has_is_not_acknowledged(bus: I2CBus) -> None:
    """An absent part costs start, one octet and stop, and reads nothing."""
    assert bus.transfer(0, 0x51, b"\x00\x01", 4) == (Status.NAK_ADDRESS, 11 * 2500, b"")
    assert bus.counters["naks"] == 1


def test_quick_write_probes(bus: I2CBus) -> None:
    """A zero-length write is acknowledged by a part that is there, and by no other."""
    assert bus.transfer(0, 0x50, b"", 0) == (Status.OK, 11 * 2500, b"")
    assert bus.transfer(0, 0x50, b"", 0) == (Status.OK, 11 * 2500, b"")
    assert bus.transfer(0, 0x51, b"", 0) == (Status.NAK_ADDRESS, 11 * 2500, b"")


def test_data_nak_ends_the_write_after_the_octet_that_was_refused() -> None:
    """The octet without acknowledge is on the wire, those behind it are not."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    part = Picky(2)
    bus.attach(0x50, part)
    expected = (Status.NAK_DATA, (1 + 9 + 3 * 9 + 1) * 2500, b"")
    assert bus.transfer(0, 0x50, b"\x00\x01\x02\x03", 0) == expected
    status, duration_ns, _ = bus.transfer_messages(0, [(0x50, 0, b"\x00\x01\x02\x03")])
    assert (status, duration_ns) == expected[:2]
    assert bus.transfer(0, 0x50, b"\x00\x01\x02\x03", 0) == expected
    assert part.stops == 3
    assert bus.counters["naks"] == 3


def test_read_refused_after_repeated_start() -> None:
    """A part that takes the pointer and not the read ends in an address NAK after both."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x50, Picky(9, readable=False))
    expected = (Status.NAK_ADDRESS, (1 + 18 + 1 + 9 + 1) * 2500, b"")
    bus.transfer(0, 0x50, b"", 0)
    for _ in range(2):
        assert bus.transfer(0, 0x50, b"\x00", 3) == expected
    messages: list[Message] = [(0x50, 0, b"\x00"), (0x50, READ, 3)]
    assert bus.transfer_messages(0, messages)[:2] == expected[:2]


def test_ten_bit_addresses_are_a_space_of_their_own() -> None:
    """A 10-bit part answers with two address octets; the same 7-bit address is another part."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x150, I2CMemory())
    bus.attach(0x50, I2CMemory(), ten_bit=True)
    assert bus.transfer(0, 0x150, b"\x07", 1) == (Status.OK, (2 + 9 * 3 + 1 + 18) * 2500, b"\x07")
    assert bus.transfer(0, 0x150, b"", 1)[1] == (2 + 9 * 2 + 1 + 18) * 2500
    assert bus.transfer(0, 0x50, b"\x07", 1)[0] == Status.NAK_ADDRESS
    messages: list[Message] = [(0x50, TEN_BIT, b"\x07"), (0x50, TEN_BIT | READ, 1)]
    assert bus.transfer_messages(0, messages)[2] == [b"\x07"]


def test_messages_may_go_to_several_parts(bus: I2CBus) -> None:
    """Repeated starts reach every part addressed, and all of them see the stop."""
    other = I2CMemory()
    bus.attach(0x52, other)
    messages: list[Message] = [
        (0x50, 0, b"\x03"),
        (0x50, READ, 2),
        (0x52, 0, b"\x10\x99"),
        (0x50, READ, 1),
    ]
    status, duration_ns, data = bus.transfer_messages(0, messages)
    assert (status, data) == (Status.OK, [b"\x03\x04", b"\x05"])
    assert duration_ns == (4 * 10 + 9 * (1 + 2 + 2 + 1) + 1) * 2500
    assert (other.cells[0x10], other.stops) == (0x99, 1)


def test_wiring_errors_name_both_parts() -> None:
    """A clash, a reserved and an impossible address are refused with what to do."""
    bus = I2CBus("i2c-1", 400_000, "bcm2835")
    bus.attach(0x40, Ina3221("power"))
    with pytest.raises(ConfigError, match=r"'i2c-1', address 0x40: 'temp' clashes with 'power'"):
        bus.attach(0x40, Tmp117("temp"))
    for address in (0x00, 0x07, 0x78, 0x7F):
        with pytest.raises(ConfigError, match="reserved"):
            bus.attach(address, Tmp117("temp"))
    for address in (-1, 0x400):
        with pytest.raises(ConfigError, match="out of range"):
            bus.attach(address, Tmp117("temp"))
    with pytest.raises(ConfigError, match="no part at address 0x41"):
        bus.detach(0x41)
    with pytest.raises(ConfigError, match="must be positive"):
        I2CBus("i2c-1", 0, "ideal")


def test_detached_part_is_gone(bus: I2CBus) -> None:
    """After detach the address is not acknowledged any more, on either way."""
    assert bus.transfer(0, 0x50, b"\x00", 1)[0] == Status.OK
    bus.detach(0x50)
    assert bus.transfer(0, 0x50, b"\x00", 1)[0] == Status.NAK_ADDRESS
    assert bus.transfer_messages(0, [(0x50, 0, b"\x00")])[0] == Status.NAK_ADDRESS


def test_counters_count_every_transaction_once(bus: I2CBus) -> None:
    """Transfers, octets and NAKs add up whichever way a transaction went."""
    for _ in range(3):
        bus.transfer(0, 0x50, b"\x00", 4)
    bus.transfer(0, 0x51, b"\x00", 4)
    bus.transfer_messages(0, [(0x50, 0, b"\x00\x01")])
    assert bus.counters == {"transfers": 5, "octets": 17, "naks": 1, "refused": 0, "faulted": 0}


TRANSACTIONS = st.lists(
    st.tuples(
        st.sampled_from([0x40, 0x48, 0x6A, 0x6B]),
        st.binary(max_size=4),
        st.integers(0, 15),
        st.integers(0, 400_000_000),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(TRANSACTIONS)
def test_both_ways_agree(transactions: list[tuple[int, bytes, int, int]]) -> None:
    """``transfer`` and the same as messages give the same outcome, parts' state included."""
    buses = []
    for _ in range(2):
        bus = I2CBus("i2c-1", 400_000, "ideal")
        for address, part in ((0x40, Ina3221("p")), (0x48, Tmp117("t")), (0x6A, Lsm6dsox("i"))):
            bus.attach(address, part)
            if address == 0x6A:
                bus.transfer(0, 0x6A, b"\x10\x48\x40\x44", 0)
        buses.append(bus)
    t_ns = 0
    for address, write, nread, pause_ns in [*transactions, (0x6A, b"\x20", 14, 0)]:
        t_ns += pause_ns
        messages: list[Message] = []
        if write or not nread:
            messages.append((address, 0, write))
        if nread:
            messages.append((address, READ, nread))
        status, duration_ns, data = buses[0].transfer(t_ns, address, write, nread)
        other = buses[1].transfer_messages(t_ns, messages)
        assert (status, duration_ns, data) == (*other[:2], b"".join(other[2]))
    assert buses[0].counters == buses[1].counters
