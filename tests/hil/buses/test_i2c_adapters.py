"""Adapter profiles: what each refuses, and with which errno it reports a failure."""

from __future__ import annotations

import errno

import pytest

from flightsw.codec.wire import Status
from hil.buses.adapters import PROFILES, errno_for, profile_of
from hil.buses.i2c import READ, TEN_BIT, I2CBus, Message
from hil.errors import ConfigError
from hil.testing.contracts.bus import I2CMemory

WRITE_READ: list[Message] = [(0x50, 0, b"\x00"), (0x50, READ, 2)]
READ_FIRST: list[Message] = [(0x50, READ, 2), (0x50, 0, b"\x00")]
TWO_WRITES: list[Message] = [(0x50, 0, b"\x00"), (0x50, 0, b"\x01")]
TWO_PARTS: list[Message] = [(0x50, 0, b"\x00"), (0x52, READ, 1)]
THREE: list[Message] = [(0x50, 0, b"\x00"), (0x50, 0, b"\x01"), (0x50, READ, 1)]
QUICK: list[Message] = [(0x50, 0, b"")]
TEN: list[Message] = [(0x150, TEN_BIT, b"\x00")]

OK, NO = Status.OK, Status.UNSUPPORTED


def make(profile: str) -> tuple[I2CBus, I2CMemory]:
    bus = I2CBus("i2c-1", 400_000, profile)
    part = I2CMemory()
    bus.attach(0x50, part)
    bus.attach(0x52, I2CMemory())
    bus.attach(0x150, I2CMemory())
    return bus, part


ADAPTERS = ("ideal", "bcm2835", "tegra", "rp1", "mcp2221")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (WRITE_READ, (OK, OK, OK, OK, OK)),
        (READ_FIRST, (OK, NO, OK, OK, NO)),
        (TWO_WRITES, (OK, OK, OK, OK, NO)),
        (TWO_PARTS, (OK, OK, OK, Status.INVALID, NO)),
        (THREE, (OK, OK, OK, OK, NO)),
        (QUICK, (OK, OK, NO, OK, OK)),
        (TEN, (OK, NO, OK, OK, NO)),
    ],
)
def test_limits(messages: list[Message], expected: tuple[Status, ...]) -> None:
    """Each adapter runs or refuses exactly the transactions that its kernel driver does."""
    for profile, status in zip(ADAPTERS, expected, strict=True):
        bus, _ = make(profile)
        assert bus.transfer_messages(0, messages)[0] == status, profile


def test_refused_transaction_never_reaches_the_bus() -> None:
    """What the driver refuses takes no time, touches no part, and is counted."""
    bus, part = make("bcm2835")
    assert bus.transfer_messages(0, READ_FIRST) == (Status.UNSUPPORTED, 0, [])
    assert part.stops == 0
    assert bus.counters["refused"] == 1


def test_messages_that_make_no_sense_are_invalid() -> None:
    """No message at all, too many octets and an impossible address are refused as invalid."""
    bus, _ = make("ideal")
    assert bus.transfer_messages(0, [])[0] == Status.INVALID
    assert bus.transfer(0, 0x50, bytes(8193), 0)[0] == Status.INVALID
    assert bus.transfer(0, 0x50, b"", 8193)[0] == Status.INVALID
    assert bus.transfer(0, 0x400, b"\x00", 0)[0] == Status.INVALID
    assert bus.transfer_messages(0, QUICK * 43)[0] == Status.UNSUPPORTED


@pytest.mark.parametrize(
    ("status", "ideal", "bcm2835", "tegra", "mcp2221"),
    [
        (Status.OK, 0, 0, 0, 0),
        (Status.NAK_ADDRESS, errno.ENXIO, errno.EREMOTEIO, errno.EREMOTEIO, errno.ENXIO),
        (Status.NAK_DATA, errno.EIO, errno.EREMOTEIO, errno.EREMOTEIO, errno.ENXIO),
        (Status.ARBITRATION_LOST, errno.EAGAIN, errno.EIO, errno.EAGAIN, errno.EAGAIN),
        (Status.TIMEOUT, *[errno.ETIMEDOUT] * 4),
        (Status.STUCK, *[errno.ETIMEDOUT] * 4),
        (Status.UNSUPPORTED, *[errno.EOPNOTSUPP] * 4),
        (Status.OVERRUN, *[errno.EMSGSIZE] * 4),
        (99, *[errno.EIO] * 4),
    ],
)
def test_errno_is_that_of_the_linux_driver(
    status: int, ideal: int, bcm2835: int, tegra: int, mcp2221: int
) -> None:
    """The errno of a status depends on the adapter as it does under Linux."""
    names = ("ideal", "bcm2835", "tegra", "mcp2221")
    assert [errno_for(name, status) for name in names] == [ideal, bcm2835, tegra, mcp2221]


def test_every_profile_has_an_errno_for_every_status() -> None:
    """No status of the wire record is without an errno in any profile."""
    for profile in PROFILES.values():
        assert set(profile.errno) >= {int(status) for status in Status} - {int(Status.OK)}


def test_unknown_profile_names_the_known_ones() -> None:
    """A profile that is not there is a configuration error that lists those that are."""
    with pytest.raises(ConfigError, match=r"'arduino' is unknown; take one of bcm2835, ideal"):
        profile_of("arduino")
