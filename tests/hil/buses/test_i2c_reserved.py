"""Reserved I2C addresses, high-speed mode and the stretching of parts."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.adapters import profile_of
from hil.buses.i2c import READ, I2CBus
from hil.errors import ConfigError
from hil.testing.contracts.bus import I2CMemory

BIT_NS = 2_500


class Called(I2CMemory):
    """A part that hears the general call, and may refuse octets behind its first."""

    i2c_device_id = 0x123456

    def __init__(self, takes: int = 9) -> None:
        super().__init__()
        self.takes = takes
        self.calls: list[bytes] = []

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        self.calls.append(data)
        return min(self.takes, len(data))


def make(*parts: I2CMemory, **settings: int) -> I2CBus:
    bus = I2CBus("i2c-1", 400_000, "ideal", **settings)
    for address, part in enumerate(parts, 0x50):
        bus.attach(address, part)
    return bus


def test_every_part_that_listens_hears_the_general_call() -> None:
    """Address 00h with 06h reaches both parts in 20 bits and passes the third one by."""
    one, two, deaf = Called(), Called(), I2CMemory()
    bus = make(one, two, deaf)
    assert bus.transfer(0, 0x00, b"\x06", 0) == (Status.OK, 20 * BIT_NS, b"")
    assert (one.calls, two.calls) == ([b"\x06"], [b"\x06"])
    assert deaf.stops == 0


def test_an_octet_of_a_general_call_is_acknowledged_if_one_part_does() -> None:
    """The line is low if any part pulls it: the most patient part decides."""
    bus = make(Called(takes=1), Called(takes=2))
    assert bus.transfer(0, 0x00, b"\x04\x01", 0)[0] == Status.OK
    assert bus.transfer(0, 0x00, b"\x04\x01\x02", 0)[:2] == (Status.NAK_DATA, 38 * BIT_NS)


@pytest.mark.parametrize("address", [*range(0x08), *range(0x78, 0x80)])
def test_nobody_answers_a_reserved_address_that_means_nothing_here(address: int) -> None:
    """A write to a bus of plain parts, and a read even of the general call, get no acknowledge."""
    bus = make(I2CMemory())
    assert bus.transfer(0, address, b"\x00", 0) == (Status.NAK_ADDRESS, 11 * BIT_NS, b"")
    bus = make(Called())
    if address != 0x7C:
        assert bus.transfer(0, address, b"", 1) == (Status.NAK_ADDRESS, 11 * BIT_NS, b"")


def test_the_device_id_is_read_in_three_octets() -> None:
    """7Ch with the address of the part, repeated start, 24 bits: 12, 9 and 3."""
    bus = make(I2CMemory(), Called())
    assert bus.transfer(0, 0x7C, b"\xa2", 3) == (Status.OK, 57 * BIT_NS, b"\x12\x34\x56")
    assert bus.transfer(0, 0x7C, b"\xa0", 3) == (Status.NAK_DATA, 20 * BIT_NS, b"")
    assert bus.transfer(0, 0x7C, b"", 3)[0] == Status.NAK_ADDRESS


@pytest.mark.parametrize(("nwrite", "nread", "bits"), [(1, 2, 48), (3, 0, 38), (0, 14, 137)])
def test_high_speed_transactions_pay_the_code_at_the_slow_rate(
    nwrite: int, nread: int, bits: int
) -> None:
    """10 bits at 400 kHz, then all of it at 3.4 MHz (UM10204, section 5.3.2)."""
    bus = make(I2CMemory(), high_speed_hz=3_400_000)
    _, duration_ns, _ = bus.transfer(0, 0x50, bytes(nwrite), nread)
    assert abs(duration_ns - (10 * BIT_NS + bits * 1e9 / 3.4e6)) <= 1
    assert bus.transfer(duration_ns, 0x50, bytes(nwrite), nread)[1] == duration_ns
    assert bus.describe()["high_speed_hz"] == 3_400_000


@pytest.mark.parametrize("high_speed_hz", [400_000, 3_400_001])
def test_a_high_speed_that_is_none_is_refused(high_speed_hz: int) -> None:
    """Not above the rate of the bus, or above 3.4 MHz."""
    with pytest.raises(ConfigError, match="high speed of"):
        make(high_speed_hz=high_speed_hz)


class Slow(I2CMemory):
    """A part that holds the clock before each octet that it serves."""

    i2c_stretch_ns = 1_000_000


@pytest.mark.parametrize(
    ("profile", "nread", "outcome"),
    [
        ("ideal", 3, (Status.OK, 57 * BIT_NS + 3_000_000, b"\x10\x11\x12")),
        ("bcm2835", 3, (Status.OK, 57 * BIT_NS + 3_000_000, b"\x90\x91\x92")),
        ("smbus", 25, (Status.OK, 255 * BIT_NS + 25_000_000, bytes(range(0x10, 0x29)))),
        ("smbus", 26, (Status.TIMEOUT, 25_000_000, b"")),
    ],
)
def test_what_a_stretching_part_costs_is_the_adapters(
    profile: str, nread: int, outcome: tuple[int, int, bytes]
) -> None:
    """It waits, garbles the first bit behind each stretch, or gives up at its limit."""
    bus = I2CBus("i2c-1", 400_000, profile)
    bus.attach(0x50, Slow())
    bus.attach(0x52, I2CMemory())
    for _ in range(2):
        assert bus.transfer(0, 0x50, b"\x10", nread) == outcome
        plain = bus.transfer(0, 0x52, b"\x10", nread)
        assert plain[1] == (30 + 9 * nread) * BIT_NS, "the part beside it is not slower"


def test_the_smbus_adapter_stops_where_smbus_does() -> None:
    """Two messages of up to 258 octets to one 7-bit address, and ENXIO for what is not there."""
    bus = I2CBus("i2c-1", 100_000, "smbus")
    bus.attach(0x50, I2CMemory())
    assert bus.transfer(0, 0x50, bytes(258), 0)[0] == Status.OK
    assert bus.transfer(0, 0x50, bytes(259), 0)[0] == Status.INVALID
    three = [(0x50, 0, b"a"), (0x50, 0, b"b"), (0x50, READ, 1)]
    assert bus.transfer_messages(0, three)[0] == Status.UNSUPPORTED  # type: ignore[arg-type]
    assert profile_of("smbus").errno[Status.NAK_ADDRESS] == 6
