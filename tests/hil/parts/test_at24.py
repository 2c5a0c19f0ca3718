"""EEPROM and FRAM on I2C at message level, against their data sheets."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.i2c import I2CBus
from hil.parts.at24 import At24C02, At24C16, At24C256, I2CMemory, Lc2432
from hil.parts.mb85rc import Mb85rc64, Mb85rc256, Mb85rc512
from hil.testing.contracts.part import check_part
from hil.wiring import attach_i2c

MS = 1_000_000
EEPROMS = (At24C02, At24C16, Lc2432, At24C256)
FRAMS = (Mb85rc64, Mb85rc256, Mb85rc512)


class Memory:
    """The part on a bus at 50h, and the time."""

    def __init__(self, model: type[I2CMemory]) -> None:
        self.part = model("memory", 3)
        self.bus = I2CBus("i2c-1", 400_000, "ideal")
        attach_i2c(self.bus, 0x50, self.part)
        self.width = model.MODEL.address_nbytes
        self.t_ns = 0

    def head(self, at: int) -> tuple[int, bytes]:
        """Return device address and memory address of an octet."""
        if self.width == 2:
            return 0x50, at.to_bytes(2, "big")
        return 0x50 + (at >> 8), bytes((at & 0xFF,))

    def write(self, at: int, data: bytes, wait_ns: int = 5 * MS) -> int:
        address, head = self.head(at)
        status, _, _ = self.bus.transfer(self.t_ns, address, head + data, 0)
        self.t_ns += wait_ns
        return status

    def read(self, at: int, nread: int) -> bytes:
        address, head = self.head(at)
        return self.bus.transfer(self.t_ns, address, head, nread)[2]


@pytest.mark.parametrize("model", [*EEPROMS, *FRAMS])
def test_contract(model: type[I2CMemory]) -> None:
    """Each size passes the public contract suite."""
    check_part(lambda: model("memory", 3))


@pytest.mark.parametrize("model", EEPROMS)
def test_a_page_wraps(model: type[I2CMemory]) -> None:
    """Data past the end of a page goes on at its start; the neighbours stay erased."""
    memory, page = Memory(model), model.MODEL.page
    base = model.MODEL.size - 2 * page
    data = bytes(range(1, page + 3))
    assert memory.write(base + 3, data) == Status.OK
    expected = bytearray(b"\xff" * page)
    for n, octet in enumerate(data):
        expected[(3 + n) % page] = octet
    assert memory.read(base, page) == bytes(expected)
    assert memory.read(base - 1, 1) + memory.read(base + page, 1) == b"\xff\xff"


@pytest.mark.parametrize("model", EEPROMS)
def test_a_write_cycle_takes_5_ms(model: type[I2CMemory]) -> None:
    """From the stop on the part acknowledges nothing, neither write nor read, for 5 ms."""
    memory = Memory(model)
    memory.write(0, b"\x12", wait_ns=0)
    memory.t_ns = 5 * MS - 1
    assert memory.bus.transfer(memory.t_ns, 0x50, b"", 0)[0] == Status.NAK_ADDRESS
    assert memory.bus.transfer(memory.t_ns, 0x50, b"", 1)[0] == Status.NAK_ADDRESS
    memory.t_ns = 5 * MS
    assert memory.read(0, 1) == b"\x12"
    assert memory.part.ignored["busy"] == 2


def test_a_write_without_data_starts_no_cycle() -> None:
    """An address alone sets the counter, and the part answers at once."""
    memory = Memory(Lc2432)
    memory.write(0x123, b"", wait_ns=0)
    assert memory.bus.transfer(0, 0x50, b"", 2)[2] == b"\xff\xff"
    assert not memory.part.wear


def test_a_repeated_start_drops_the_page() -> None:
    """Without a stop nothing is stored; the drop is counted."""
    memory = Memory(Lc2432)
    status, _, data = memory.bus.transfer(0, 0x50, b"\x00\x10\xaa", 1)
    assert (status, data) == (Status.OK, b"\xff")
    assert memory.read(0x10, 1) == b"\xff"
    assert memory.part.ignored["dropped"] == 1


@pytest.mark.parametrize("model", [*EEPROMS, *FRAMS])
def test_reads_go_on_over_the_end(model: type[I2CMemory]) -> None:
    """The address counter keeps its place between reads and wraps at the end of the memory."""
    memory, size = Memory(model), model.MODEL.size
    memory.write(size - 1, b"\x01")
    memory.write(0, b"\x02\x03")
    assert memory.read(size - 1, 3) == b"\x01\x02\x03"
    if model is not At24C16:  # there the part's own address sets the high bits
        assert memory.bus.transfer(memory.t_ns, 0x50, b"", 1)[2] == b"\xff"
        memory.read(size - 1, 1)
        assert memory.bus.transfer(memory.t_ns, 0x50, b"", 2)[2] == b"\x02\x03"


def test_wp_protects() -> None:
    """With WP high writes are acknowledged and not stored, and no cycle runs."""
    for model in (At24C02, Mb85rc256):
        memory = Memory(model)
        memory.part.gpio_change(0, "wp", 1)
        assert memory.write(5, b"\x12", wait_ns=0) == Status.OK
        assert memory.read(5, 1) == b"\xff"
        assert memory.part.ignored["protected"] == 1


def test_wear_is_counted_by_page() -> None:
    """Each write cycle counts for its page."""
    memory = Memory(At24C02)
    for _ in range(3):
        memory.write(8, b"\x00\x01")
    memory.write(0, b"\x00")
    assert memory.part.wear == {1: 3, 0: 1}
    assert memory.part.snapshot()["most_written"] == 3


def test_a_cut_address_is_counted() -> None:
    """One octet of a two-octet address moves nothing."""
    memory = Memory(Lc2432)
    memory.read(0x20, 1)
    memory.bus.transfer(0, 0x50, b"\x01", 0)
    assert memory.part.ignored["cut"] == 1


@pytest.mark.parametrize("model", FRAMS)
def test_fram_stores_at_once_and_over_the_end(model: type[Mb85rc64]) -> None:
    """A write needs no time and goes on over the end of the memory."""
    memory, size = Memory(model), model.MODEL.size
    data = bytes(n % 251 for n in range(400))
    memory.write(size - 200, data, wait_ns=0)
    assert memory.read(size - 200, 400) == data
    assert memory.read(0, 200) == data[200:]


def test_identities_at_the_reserved_address() -> None:
    """UM10204 section 3.1.17: each part is told by its own address, others are not acknowledged."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(0x50, Mb85rc64("one"))
    bus.attach(0x51, Mb85rc256("two"))
    bus.attach(0x52, Lc2432("three"))
    assert bus.transfer(0, 0x7C, b"\xa0", 3)[2] == b"\x00\xa3\x58"
    assert bus.transfer(0, 0x7C, b"\xa2", 5)[2] == b"\x00\xa5\x10\x00\xa5"
    assert bus.transfer(0, 0x7C, b"\xa4", 3)[0] == Status.NAK_DATA
    assert bus.transfer(0, 0x7C, b"", 3)[0] == Status.NAK_ADDRESS
    bus.detach(0x51)
    assert bus.transfer(0, 0x7C, b"\xa2", 3)[0] == Status.NAK_DATA
