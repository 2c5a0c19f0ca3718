"""Winbond W25Q128JV serial flash: read, page program, sector erase (data sheet rev. F, section 8).

Busy is polled through the mission clock with a bound: longer is ``BusTimeoutError``.
"""

from __future__ import annotations

import errno

from flightsw.drivers.base import SPICommands, expect
from flightsw.errors import BusTimeoutError
from flightsw.hal import Device, Hal

PAGE_NBYTES = 256
SECTOR_NBYTES = 4096

_WRITE_ENABLE = b"\x06"
_STATUS_1 = b"\x05\x00"
_JEDEC_ID = b"\x9f\x00\x00\x00"
_RELEASE_POWER_DOWN = b"\xab"
_BUSY = 0x01
#: longest times of table 9.6: page program 3 ms, sector erase 400 ms; polled with this step
_PROGRAM_LIMIT_NS = 6_000_000
_ERASE_LIMIT_NS = 800_000_000
_PROGRAM_STEP_NS = 400_000
_ERASE_STEP_NS = 15_000_000


class W25q:
    """Driver; addresses are octets from the start of the part."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self._device = device
        self._clock = hal.clock
        self._commands = SPICommands(hal.spi(device.channel, device.address))
        self.traffic = self._commands.traffic

    def start(self) -> None:
        """Wake the part and check manufacturer, type and capacity."""
        self._commands.transfer(_RELEASE_POWER_DOWN)
        found = int.from_bytes(self._commands.transfer(_JEDEC_ID)[1:], "big")
        expect(self._device, "JEDEC id", found, 0xEF4018)

    def read(self, address: int, nbytes: int) -> bytes:
        """Return ``nbytes`` octets from ``address``; raises ``BusError``."""
        head = b"\x03" + address.to_bytes(3, "big")
        return self._commands.transfer(head + bytes(nbytes))[4:]

    def begin_erase(self, address: int) -> None:
        """Start to erase the sector that holds ``address``; it is busy for up to 400 ms."""
        self._commands.transfer(_WRITE_ENABLE)
        self._commands.transfer(b"\x20" + address.to_bytes(3, "big"))

    def busy(self) -> bool:
        """Return whether an erase or program is still going on; raises ``BusError``."""
        return bool(self._commands.transfer(_STATUS_1)[1] & _BUSY)

    def erase_sector(self, address: int) -> None:
        """Erase the 4 KiB sector that holds ``address`` and wait; raises ``BusError``."""
        self.begin_erase(address)
        self._wait(_ERASE_STEP_NS, _ERASE_LIMIT_NS, "erase", address)

    def program(self, address: int, data: bytes) -> None:
        """Program erased octets, page by page; raises ``BusError``."""
        at = 0
        while at < len(data):
            room = PAGE_NBYTES - (address + at) % PAGE_NBYTES
            page = data[at : at + room]
            self._commands.transfer(_WRITE_ENABLE)
            self._commands.transfer(b"\x02" + (address + at).to_bytes(3, "big") + page)
            self._wait(_PROGRAM_STEP_NS, _PROGRAM_LIMIT_NS, "program", address + at)
            at += len(page)

    def _wait(self, step_ns: int, limit_ns: int, operation: str, address: int) -> None:
        clock = self._clock
        end_ns = clock.now_ns() + limit_ns
        while self.busy():
            now_ns = clock.now_ns()
            if now_ns >= end_ns:
                self.traffic.errors += 1
                raise BusTimeoutError(
                    errno.ETIMEDOUT,
                    f"flash: {operation} at 0x{address:06X} still busy after "
                    f"{limit_ns // 1_000_000} ms; the part may be worn or away",
                )
            clock.sleep_until(now_ns + step_ns)
