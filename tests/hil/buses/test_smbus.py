"""SMBus: protocols, packet error check, blocks, alert response."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.adapters import errno_for
from hil.buses.faults import BusFault
from hil.buses.i2c import I2CBus
from hil.buses.smbus import BLOCK, Answer, PECTarget, SMBus, pec
from hil.testing.contracts.bus import I2CMemory

BIT_NS = 10_000
ADDRESS = 0x2D
WRITES = {0x00: BLOCK, 0x10: 1, 0x20: 2, 0x30: BLOCK, 0x31: BLOCK}
READS = {0x10: 1, 0x20: 2, 0x30: BLOCK, 0x31: BLOCK, 0x32: BLOCK}


def make(checked: bool = True, profile: str = "ideal") -> tuple[I2CBus, SMBus, PECTarget]:
    bus = I2CBus("i2c-1", 100_000, profile)
    memory = I2CMemory()
    memory.cells[0x30:0x35] = b"\x04wxyz"
    memory.cells[0x31] = 40
    memory.cells[0x32] = 0
    part = PECTarget(memory, ADDRESS, WRITES, READS)
    bus.attach(ADDRESS, part)
    return bus, SMBus(bus, pec=checked), part


def test_pec_is_the_crc_of_the_catalogue() -> None:
    """CRC-8/SMBUS of the ASCII digits 1 to 9 is F4h."""
    assert pec(b"123456789") == 0xF4


@given(octets=st.binary(max_size=40))
def test_pec_of_a_message_with_its_pec_is_zero(octets: bytes) -> None:
    """The receiver's way to check is the register falling to zero."""
    assert pec(octets + bytes((pec(octets),))) == 0


def test_pec_goes_over_addresses_and_every_octet() -> None:
    """Read word: address W, command, address R, low, high, PEC, in 57 bits."""
    bus, smbus, _ = make()
    assert smbus.read(0, ADDRESS, 0x20, 2) == (Status.OK, 57 * BIT_NS, b"\x20\x21")
    seen = bus.transfer(0, ADDRESS, b"\x20", 3)[2]
    assert seen[2] == pec(bytes((0x5A, 0x20, 0x5B, 0x20, 0x21)))


@pytest.mark.parametrize("checked", [False, True])
def test_bytes_words_and_blocks_come_back(checked: bool) -> None:
    """Each protocol writes what the same protocol reads, with and without PEC."""
    _, smbus, part = make(checked)
    calls: list[tuple[Callable[[], Answer], bytes, int]] = [
        (lambda: smbus.write(0, ADDRESS, 0x10, b"\xa5"), b"", 29),
        (lambda: smbus.read(0, ADDRESS, 0x10, 1), b"\xa5", 39),
        (lambda: smbus.write(0, ADDRESS, 0x20, b"\x01\x02"), b"", 38),
        (lambda: smbus.read(0, ADDRESS, 0x20, 2), b"\x01\x02", 48),
        (lambda: smbus.write_block(0, ADDRESS, 0x30, b"abc"), b"", 56),
        (lambda: smbus.read_block(0, ADDRESS, 0x30), b"abc", 66),
    ]
    for call, data, bits in calls:
        assert call() == (Status.OK, (bits + 9 * checked) * BIT_NS, data)
    assert part.errors == 0


def test_a_word_process_call_answers_in_one_transaction() -> None:
    """Command and word go out, a repeated start, a word comes back."""
    _, smbus, _ = make(checked=False)
    status, duration_ns, _ = smbus.process_call(0, ADDRESS, 0x20, b"\x01\x02")
    assert (status, duration_ns) == (Status.OK, 66 * BIT_NS)


def test_send_and_receive_byte_and_quick() -> None:
    """One octet without a command in either direction, and none at all."""
    _, smbus, _ = make(checked=False)
    assert smbus.quick(0, ADDRESS) == (Status.OK, 11 * BIT_NS, b"")
    assert smbus.send_byte(0, ADDRESS, 0x10)[:2] == (Status.OK, 20 * BIT_NS)
    status, duration_ns, data = smbus.receive_byte(0, ADDRESS)
    assert (status, duration_ns, data) == (Status.OK, 20 * BIT_NS, b"\x10")


@pytest.mark.parametrize("octet", [0, 1, 2])
@pytest.mark.parametrize("bit", [0, 7])
def test_every_flipped_bit_of_an_answer_is_found(octet: int, bit: int) -> None:
    """A damaged word or PEC is DAMAGED, which Linux calls EBADMSG, and is counted."""
    bus, smbus, _ = make()
    bus.add_fault(BusFault("i2c-1", "bit_flip", args={"octet": octet, "bit": bit}))
    status, _, data = smbus.read(0, ADDRESS, 0x20, 2)
    assert (status, data) == (Status.DAMAGED, b"")
    assert errno_for(bus.profile, status) == 74  # EBADMSG
    assert smbus.counters["pec_errors"] == 1


def test_a_part_does_not_acknowledge_a_wrong_pec_and_keeps_its_state() -> None:
    """A bit flipped on the way out ends in NAK_DATA at the PEC octet; nothing is stored."""
    bus, smbus, part = make()
    bus.add_fault(BusFault("i2c-1", "bit_flip", args={"octet": 1, "bit": 3, "write": 1}))
    assert smbus.write(0, ADDRESS, 0x10, b"\xa5")[0] == Status.NAK_DATA
    assert part.errors == 1
    bus.remove_fault(next(iter(bus.faults)))
    assert smbus.read(0, ADDRESS, 0x10, 1)[2] == b"\x10"


@pytest.mark.parametrize("command", [0x31, 0x32])
def test_a_block_of_no_length_that_there_is_breaks_the_protocol(command: int) -> None:
    """40 and 0 octets are PROTOCOL, which Linux calls EPROTO, and are counted."""
    bus, smbus, _ = make(checked=False)
    status, _, data = smbus.read_block(0, ADDRESS, command)
    assert (status, data) == (Status.PROTOCOL, b"")
    assert errno_for(bus.profile, status) == 71  # EPROTO
    assert smbus.counters["bad_blocks"] == 1


@pytest.mark.parametrize("length", [0, 33])
def test_a_block_to_write_has_1_to_32_octets(length: int) -> None:
    """Nothing is sent of any other."""
    bus, smbus, _ = make()
    assert smbus.write_block(0, ADDRESS, 0x30, bytes(length)) == (Status.INVALID, 0, b"")
    assert smbus.block_process_call(0, ADDRESS, 0x30, bytes(length))[0] == Status.INVALID
    assert bus.counters["transfers"] == 0


def test_a_raspberry_pi_refuses_to_read_a_block() -> None:
    """Its controller cannot learn the length in the middle of a read."""
    _, smbus, _ = make(profile="bcm2835")
    assert smbus.read_block(0, ADDRESS, 0x30)[0] == Status.UNSUPPORTED


class Alerting(I2CMemory):
    """A part that pulls SMBALERT# until its address went out."""

    def __init__(self) -> None:
        super().__init__()
        self.pulls = True

    def smbus_alert(self, t_ns: int) -> bool:
        return self.pulls

    def smbus_alert_served(self, t_ns: int) -> None:
        self.pulls = False


@pytest.mark.parametrize("checked", [False, True])
def test_the_lowest_alerting_address_answers_first(checked: bool) -> None:
    """Two parts alert: one response each, lowest first, then nobody acknowledges 0Ch."""
    bus = I2CBus("i2c-1", 100_000, "ideal")
    bus.attach(0x4A, Alerting())
    bus.attach(0x49, Alerting())
    bus.attach(0x48, I2CMemory())
    smbus = SMBus(bus)
    assert smbus.alert_response(0) == (Status.OK, 20 * BIT_NS, 0x49)
    assert smbus.alert_response(0)[2] == 0x4A
    assert smbus.alert_response(0) == (Status.NAK_ADDRESS, 11 * BIT_NS, -1)
