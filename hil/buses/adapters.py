"""What the controller and its Linux driver allow, and which errno they answer with, as data.

A driver sees a bus through an adapter. The same NAK is EREMOTEIO on a Raspberry Pi and ENXIO on
an MCP2221, and a transaction that one adapter runs another refuses. Each profile is one row; the
sources are the drivers of the Linux kernel named beside it and ``Documentation/i2c/fault-codes``.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import NamedTuple

from flightsw.codec.wire import Status
from hil.errors import ConfigError


class AdapterProfile(NamedTuple):
    """One adapter: I2C limits, SPI limits, and its errno for each :class:`Status`."""

    name: str
    errno: Mapping[int, int]
    #: I2C: most messages in one transaction (``I2C_RDWR`` itself stops at 42)
    i2c_max_messages: int = 42
    #: I2C: most octets in one message (i2c-dev refuses more than 8192)
    i2c_max_octets: int = 8192
    #: I2C: quick write (address only) works
    i2c_zero_length: bool = True
    #: I2C: at most one read message, and that the last
    i2c_one_read_last: bool = False
    #: I2C: only ``write``, ``read``, or ``write, read`` to one address
    i2c_write_read_only: bool = False
    #: I2C: all messages of a transaction go to one address
    i2c_one_address: bool = False
    #: I2C: 10-bit addresses work
    i2c_ten_bit: bool = True
    #: I2C: a read whose first octet says how many follow works (``I2C_M_RECV_LEN``)
    i2c_length_first: bool = True
    #: I2C: what a stretched clock does to the next octet: ``wait`` or ``corrupt``
    i2c_stretch: str = "wait"
    #: I2C: longest stretch that it waits for; 0: ``timeout_ns``
    i2c_stretch_ns: int = 0
    #: I2C: what ``I2C_FUNCS`` says (linux/i2c.h)
    i2c_functions: int = 0x0FFF_800B
    #: the driver gives up on a stuck or endlessly stretched line after this long
    timeout_ns: int = 1_000_000_000
    #: SPI: most octets in one message (spidev's ``bufsiz``)
    spi_max_octets: int = 4096
    #: SPI: the slowest clock, which is taken for one still slower, Hz; 1: there is no limit
    spi_min_hz: int = 1
    #: SPI: bits per word that the controller can do
    spi_bits: frozenset[int] = frozenset({8})
    #: SPI: most data lines on which it sends or receives at once
    spi_lanes: int = 1
    #: SPI: one line for both directions works (``SPI_3WIRE``)
    spi_three_wire: bool = False
    #: SPI: the controller shifts the least significant bit first on request
    spi_lsb_first: bool = False


#: What the I2C core returns by itself, and what most adapters share.
_COMMON = {
    Status.NAK_ADDRESS: errno.ENXIO,
    Status.NAK_DATA: errno.EIO,
    Status.ARBITRATION_LOST: errno.EAGAIN,
    Status.TIMEOUT: errno.ETIMEDOUT,
    Status.STUCK: errno.ETIMEDOUT,
    Status.UNSUPPORTED: errno.EOPNOTSUPP,
    Status.INVALID: errno.EINVAL,
    Status.BUS_OFF: errno.ENETDOWN,
    Status.OVERRUN: errno.EMSGSIZE,
    Status.FRAMING: errno.EIO,
    Status.DAMAGED: errno.EBADMSG,
    Status.ABSENT: errno.ENXIO,
    Status.BUSY: errno.EBUSY,
    Status.PROTOCOL: errno.EPROTO,
}


def _codes(**changes: int) -> dict[int, int]:
    return {int(status): changes.get(status.name, code) for status, code in _COMMON.items()}


PROFILES: Mapping[str, AdapterProfile] = {
    profile.name: profile
    for profile in (
        # No adapter in the way: everything that the I2C specification allows (UM10204).
        AdapterProfile(
            "ideal",
            _codes(),
            spi_bits=frozenset(range(1, 33)),
            spi_lanes=4,
            spi_three_wire=True,
            spi_lsb_first=True,
            spi_max_octets=1 << 20,
        ),
        # drivers/i2c/busses/i2c-bcm2835.c: any NAK sets S_ERR and returns EREMOTEIO; the transfer
        # function refuses a read that is not last; quirk I2C_AQ_NO_CLK_STRETCH, and the silicon
        # bug behind it spoils the bit after the stretch (raspberrypi/linux 254).
        # drivers/spi/spi-bcm2835.c: 8 bits per word, most significant bit first, one data line each
        # way or one for both (SPI_3WIRE). Its divider is 65536 at most (BCM2835 ARM Peripherals,
        # 10.5, CLK), of a core clock of 250 MHz; the driver takes that for any slower clock.
        AdapterProfile(
            "bcm2835",
            _codes(
                NAK_ADDRESS=errno.EREMOTEIO,
                NAK_DATA=errno.EREMOTEIO,
                ABSENT=errno.EREMOTEIO,
                ARBITRATION_LOST=errno.EIO,
            ),
            i2c_one_read_last=True,
            i2c_ten_bit=False,
            i2c_length_first=False,
            i2c_functions=0x0EFF_0009,
            i2c_stretch="corrupt",
            spi_min_hz=3815,
            spi_three_wire=True,
        ),
        # drivers/i2c/busses/i2c-tegra.c: NAK is EREMOTEIO, lost arbitration EAGAIN; quirk
        # I2C_AQ_NO_ZERO_LEN (the I2C core answers EOPNOTSUPP) and 4096 octets a message.
        AdapterProfile(
            "tegra",
            _codes(
                NAK_ADDRESS=errno.EREMOTEIO,
                NAK_DATA=errno.EREMOTEIO,
                ABSENT=errno.EREMOTEIO,
            ),
            i2c_zero_length=False,
            i2c_functions=0x0EFE_000B,
            i2c_max_octets=4096,
            spi_bits=frozenset({8, 16, 32}),
            spi_lanes=2,
            spi_three_wire=True,
        ),
        # RP1 of the Raspberry Pi 5, as raspberrypi/linux drives it. i2c-designware-common.c: every
        # NAK is EREMOTEIO, lost arbitration EAGAIN; i2c-designware-master.c: a message to another
        # address than the first is EINVAL, quick commands, 10 bits and I2C_M_RECV_LEN work.
        # spi-dw-core.c: 4 to 16 bits per word (more where it finds a later controller), most
        # significant bit first, one line each way. Its even divider is at most 65534, of 200 MHz;
        # what the driver makes of a slower clock wraps around, and is not modelled.
        AdapterProfile(
            "rp1",
            _codes(
                NAK_ADDRESS=errno.EREMOTEIO,
                NAK_DATA=errno.EREMOTEIO,
                ABSENT=errno.EREMOTEIO,
            ),
            i2c_one_address=True,
            i2c_functions=0x0F7F_0003,
            spi_min_hz=3052,
            spi_bits=frozenset(range(4, 17)),
        ),
        # drivers/hid/hid-mcp2221.c: one message, or a write and a read to one address.
        AdapterProfile(
            "mcp2221",
            _codes(NAK_DATA=errno.ENXIO),
            i2c_max_messages=2,
            i2c_write_read_only=True,
            i2c_functions=0x0FFF_8001,
            i2c_ten_bit=False,
            i2c_max_octets=0xFFFF,
        ),
        # No chip, but any host that keeps to SMBus 3.1: write, read or both to one 7-bit address,
        # a clock held for at most tTIMEOUT,MIN of 25 ms (table 2), blocks of up to 255 octets with
        # command, count and PEC. drivers/i2c/busses/i2c-i801.c is such a one: NAK is ENXIO.
        AdapterProfile(
            "smbus",
            _codes(NAK_DATA=errno.ENXIO),
            i2c_max_messages=2,
            i2c_write_read_only=True,
            i2c_ten_bit=False,
            i2c_functions=0x0F7F_0008,
            i2c_max_octets=258,
            i2c_stretch_ns=25_000_000,
            timeout_ns=35_000_000,
        ),
    )
}


def profile_of(profile: AdapterProfile | str) -> AdapterProfile:
    """Return the profile of that name; a profile is returned as it is.

    Raises :class:`hil.errors.ConfigError` for a name that is not there.
    """
    if isinstance(profile, AdapterProfile):
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        known = ", ".join(sorted(PROFILES))
        raise ConfigError(f"adapter profile {profile!r} is unknown; take one of {known}") from None


def errno_for(profile: AdapterProfile | str, status: int) -> int:
    """Return the errno with which this adapter reports ``status``; 0 for OK, EIO for the rest."""
    if status == Status.OK:
        return 0
    return profile_of(profile).errno.get(int(status), errno.EIO)
