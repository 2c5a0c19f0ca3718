"""Contract suites of buses: every back end of a kind of bus must pass that of its kind.

:func:`check_bus` runs the suite of a kind; those of I2C and SPI are here, the others in
``hil.testing.contracts.lines``.

Public on purpose: whoever writes another back end (a bridge to a real bus, a replayed one) runs
the same checks on it. A suite raises AssertionError with what was promised and what came instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flightsw.codec.wire import Status
from hil.buses.base import I2CController, SPIController
from hil.buses.i2c import READ
from hil.parts.base import I2CTarget, SPIPeripheral, stream
from hil.testing.contracts.lines import (
    check_can_controller,
    check_frame_grabber,
    check_gpio_controller,
    check_onewire_controller,
    check_serial_line,
)

ADDRESS, ABSENT = 0x50, 0x51
CHIP_SELECT = 0


class I2CMemory:
    """The target of the suite: 256 octets, a pointer that the first octet written sets."""

    def __init__(self) -> None:
        self.cells = bytearray(range(256))
        self.pointer = 0
        self.stops = 0

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Set the pointer, then store; every octet is acknowledged."""
        if data:
            self.pointer = data[0]
        for octet in data[1:]:
            self.cells[self.pointer] = octet
            self.pointer = (self.pointer + 1) & 0xFF
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve from the pointer on."""
        out = bytes(self.cells[(self.pointer + n) & 0xFF] for n in range(nbytes))
        self.pointer = (self.pointer + nbytes) & 0xFF
        return out

    def i2c_stop(self, t_ns: int) -> None:
        """Count stops."""
        self.stops += 1


class SPIShifter:
    """The peripheral of the suite: answers each octet with the one before it, 00h first."""

    spi_modes: frozenset[int] = frozenset({0, 1, 2, 3})

    def __init__(self) -> None:
        self.selects = 0
        self.deselects = 0
        self.last = 0

    def spi_select(self, t_ns: int) -> None:
        """Start over."""
        self.selects += 1
        self.last = 0

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Answer one octet late."""
        rx = bytes((self.last, *tx[:-1])) if tx else b""
        if tx:
            self.last = tx[-1]
        return rx

    def spi_deselect(self, t_ns: int) -> None:
        """Count."""
        self.deselects += 1


def check_i2c_controller(make: Callable[[I2CTarget, int], I2CController]) -> None:
    """Run the suite; ``make(target, address)`` returns a fresh controller with it attached."""
    _i2c_reads_what_was_written(make)
    _i2c_reports_absence(make)
    _i2c_charges_bit_times(make)
    _i2c_messages_agree_with_transfer(make)


def _i2c_reads_what_was_written(make: Callable[[I2CTarget, int], I2CController]) -> None:
    bus = make(I2CMemory(), ADDRESS)
    before = dict(bus.counters)
    status, duration_ns, data = bus.transfer(0, ADDRESS, b"\x10\xaa\x55", 0)
    assert (status, data) == (Status.OK, b""), f"a write ended {Status(status).name} with {data!r}"
    assert duration_ns > 0, "a write took no time"
    status, _, data = bus.transfer(duration_ns, ADDRESS, b"\x10", 2)
    assert (status, data) == (Status.OK, b"\xaa\x55"), f"read back {data!r} for aa 55"
    status, _, data = bus.transfer(2 * duration_ns, ADDRESS, b"", 1)
    assert (status, data) == (Status.OK, b"\x12"), "a read without write goes on at the pointer"
    for name, count in bus.counters.items():
        assert count >= before.get(name, 0), f"counter {name} went down"


def _i2c_reports_absence(make: Callable[[I2CTarget, int], I2CController]) -> None:
    bus = make(I2CMemory(), ADDRESS)
    status, duration_ns, data = bus.transfer(0, ABSENT, b"\x00", 1)
    assert status == Status.NAK_ADDRESS, f"an absent address ended {Status(status).name}"
    assert data == b"", f"an absent address read {data!r}"
    assert duration_ns > 0, "a probe of an absent address took no time"
    status, _, _ = bus.transfer(duration_ns, ADDRESS, b"", 0)
    assert status in (Status.OK, Status.UNSUPPORTED), "a quick write is answered or refused"


def _i2c_charges_bit_times(make: Callable[[I2CTarget, int], I2CController]) -> None:
    bus = make(I2CMemory(), ADDRESS)
    bitrate_hz = int(bus.describe()["bitrate_hz"])
    for nwrite, nread in ((1, 0), (3, 0), (0, 1), (0, 14), (1, 2), (1, 6), (1, 14), (2, 32)):
        bits = 2 + 9 * (bool(nwrite) + nwrite + bool(nread) + nread) + bool(nwrite and nread)
        _, duration_ns, _ = bus.transfer(0, ADDRESS, bytes(nwrite), nread)
        off_ns = abs(duration_ns - bits * 1_000_000_000 / bitrate_hz)
        assert off_ns <= 1, f"write {nwrite}, read {nread}: {duration_ns} ns for {bits} bits"


def _i2c_messages_agree_with_transfer(make: Callable[[I2CTarget, int], I2CController]) -> None:
    one, two = make(I2CMemory(), ADDRESS), make(I2CMemory(), ADDRESS)
    random = stream(0, "check_bus")
    t_ns = 0
    for number in range(64):
        address = ABSENT if number % 9 == 8 else ADDRESS
        write = bytes(random.integers(0, 256, number % 4, dtype="u1"))
        nread = int(random.integers(0, 9)) or (not write)
        status, duration_ns, data = one.transfer(t_ns, address, write, nread)
        messages: list[tuple[int, int, bytes | int]] = [(address, 0, write)] if write else []
        if nread:
            messages.append((address, READ, nread))
        other = two.transfer_messages(t_ns, messages)
        assert other[:2] == (status, duration_ns), f"transfer {number}: the two ways disagree"
        assert b"".join(other[2]) == data, f"transfer {number}: {other[2]} against {data!r}"
        t_ns += duration_ns


def check_spi_controller(make: Callable[[SPIPeripheral], SPIController]) -> None:
    """Run the suite; ``make(peripheral)`` returns a controller with it at chip select 0."""
    _spi_exchanges(make)
    _spi_moves_chip_select(make)
    _spi_refuses_what_is_too_long(make)


def _spi_exchanges(make: Callable[[SPIPeripheral], SPIController]) -> None:
    bus = make(SPIShifter())
    status, duration_ns, rx = bus.transfer(0, CHIP_SELECT, b"\x9f\x01\x02")
    assert (status, rx) == (Status.OK, b"\x00\x9f\x01"), f"exchanged {rx!r}"
    longer_ns = bus.transfer(duration_ns, CHIP_SELECT, bytes(300))[1]
    assert longer_ns > duration_ns > 0, "more octets take more time"
    again = bus.transfer(0, CHIP_SELECT, b"\x9f\x01\x02")
    assert again == (status, duration_ns, rx), "the same transaction came out differently"
    assert len(bus.transfer(0, CHIP_SELECT + 1, b"\x00\x00")[2]) == 2, "an empty socket answers"


def _spi_moves_chip_select(make: Callable[[SPIPeripheral], SPIController]) -> None:
    part = SPIShifter()
    bus = make(part)
    whole = [(b"\x01\x02", 0, 0, 0, 0), (b"\x03", 0, 0, 0, 0)]
    status, _, rx = bus.transfer_segments(0, CHIP_SELECT, whole)
    assert (status, rx) == (Status.OK, [b"\x00\x01", b"\x02"]), f"one chip select: {rx!r}"
    assert (part.selects, part.deselects) == (1, 1), "segments share one chip select"
    split = [(b"\x01\x02", 0, 0, 1, 0), (b"\x03", 0, 0, 0, 0)]
    status, _, rx = bus.transfer_segments(0, CHIP_SELECT, split)
    assert (status, rx) == (Status.OK, [b"\x00\x01", b"\x00"]), f"cs_change: {rx!r}"
    assert (part.selects, part.deselects) == (3, 3), "cs_change moves chip select in between"


def _spi_refuses_what_is_too_long(make: Callable[[SPIPeripheral], SPIController]) -> None:
    part = SPIShifter()
    bus = make(part)
    limit = int(bus.describe()["max_octets"])
    status, duration_ns, rx = bus.transfer(0, CHIP_SELECT, bytes(limit + 1))
    assert status == Status.OVERRUN, f"{limit + 1} octets ended {Status(status).name}"
    assert (duration_ns, rx, part.selects) == (0, b"", 0), "a refused transfer touched the bus"
    assert bus.transfer(0, CHIP_SELECT, bytes(limit))[0] == Status.OK, f"{limit} octets must pass"


#: kind of bus -> its suite; each takes what makes a fresh bus
CHECKS: dict[str, Callable[[Callable[..., Any]], None]] = {
    "i2c": check_i2c_controller,
    "spi": check_spi_controller,
    "uart": check_serial_line,
    "can": check_can_controller,
    "gpio": check_gpio_controller,
    "frames": check_frame_grabber,
    "onewire": check_onewire_controller,
}


def check_bus(kind: str, make: Callable[..., Any]) -> None:
    """Run the contract suite of a kind of bus on what ``make`` makes."""
    CHECKS[kind](make)
