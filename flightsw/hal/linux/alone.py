"""A hal whose every bus is this computer's own: flight software without a bench.

Which parts there are, and where, says a device table: a JSON file as ``hil devices`` writes it.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flightsw.closing import Closing
from flightsw.errors import BusError, DeviceTableError, StorageError
from flightsw.hal import CAN, GPIO, I2C, SPI, UART, Clock, Device, Image, Imager, OneWire, Processor
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import OwnProcessor, WallClock
from flightsw.hal.linux.local import KINDS, LocalBuses, default_device

TABLE_FORMAT = 1
#: Longest device table that is read.
TABLE_LIMIT_NBYTES = 1 << 20
_ROW: Mapping[str, type] = {
    "role": str,
    "driver": str,
    "channel": str,
    "address": int,
    "params": dict,
}


class NoImager:
    """The camera port of a computer whose camera cannot be reached, and why."""

    def __init__(self, why: str) -> None:
        self.why = why

    def capture(self, exposure_us: int) -> Image:
        """Raise ``BusError``: there is none."""
        raise BusError(errno.ENODEV, self.why)


class LinuxHal(Closing):
    """Everything on the computer's own buses. Mission time is CLOCK_MONOTONIC.

    ``table`` is a device table that has been read; ``local`` (bus -> device) takes the place of
    what it says of a bus.
    """

    def __init__(
        self, table: Mapping[str, Any], local: Mapping[str, str], boot_count: int = 1
    ) -> None:
        self.clock: Clock = WallClock(time.monotonic_ns())
        self.cpu: Processor = OwnProcessor()
        self.devices: Sequence[Device] = [Device(**row) for row in table["devices"]]
        self.config: Mapping[str, Any] = table["config"]
        self.boot_count = boot_count
        self.rig: str = table.get("rig", "")
        self.board: str = table.get("board", "")
        rows = {row["name"]: row for row in table["channels"]}
        #: what whoever starts us has named; a camera that is named must be there
        self._said = frozenset(local)
        for name in local:
            if name not in rows:
                raise DeviceTableError(
                    f"--local {name}: the device table has no such bus; it has {', '.join(rows)}"
                )
        self._own = LocalBuses(
            [
                LocalChannel(name, row["kind"], local.get(name, _device(row)), row)
                for name, row in rows.items()
                if row["kind"] in KINDS
            ],
            self.clock,
        )

    def i2c(self, channel: str) -> I2C:
        """Return an I2C controller by the name of its channel."""
        return self._own.i2c(channel)

    def spi(self, channel: str, chip_select: int) -> SPI:
        """Return one chip select of an SPI controller."""
        return self._own.spi(channel, chip_select)

    def uart(self, channel: str) -> UART:
        """Return a serial line."""
        return self._own.uart(channel)

    def can(self, channel: str) -> CAN:
        """Return a CAN controller."""
        return self._own.can(channel)

    def gpio(self, channel: str, line: int) -> GPIO:
        """Return one line of a GPIO chip."""
        return self._own.gpio(channel, line)

    def onewire(self, channel: str) -> OneWire:
        """Raise ``DeviceTableError``: 1-Wire is not reached through the kernel here."""
        raise DeviceTableError(
            f"1-Wire bus {channel!r}: not reached through the kernel; fly with a bench for one"
        )

    def imager(self, channel: str) -> Imager:
        """Return a camera port; one without a camera that can be reached fails every image."""
        try:
            return self._own.imager(channel)
        except DeviceTableError as error:
            if channel not in self._own or channel in self._said:
                raise
            return NoImager(str(error))

    def close(self) -> None:
        """Give every device back."""
        self._own.close()


def _device(row: Mapping[str, Any]) -> str:
    return str(row.get("device") or default_device(row["name"]))


def read_table(path: Path) -> dict[str, Any]:
    """Return a device table. Raises ``DeviceTableError`` naming file and place of what is wrong."""
    try:
        with path.open("rb") as file:
            octets = file.read(TABLE_LIMIT_NBYTES + 1)
    except OSError as error:
        raise DeviceTableError(
            f"{path}: no device table there ({error.strerror}); `hil devices BOARD` writes one"
        ) from None
    try:
        if len(octets) > TABLE_LIMIT_NBYTES:
            raise ValueError(f"is longer than {TABLE_LIMIT_NBYTES} octets")
        table = json.loads(octets)
        _check(table)
    except (ValueError, RecursionError) as error:
        raise DeviceTableError(f"{path}: {error}; `hil devices BOARD` writes a sound one") from None
    assert isinstance(table, dict), "it was checked"
    return table


def _check(table: Any) -> None:
    """Raise ``ValueError`` unless it is a device table."""
    if not isinstance(table, dict) or table.get("format") != TABLE_FORMAT:
        raise ValueError(f"is no device table of format {TABLE_FORMAT}")
    parts: tuple[tuple[str, type], ...] = (("devices", list), ("channels", list), ("config", dict))
    for name, kind in parts:
        if not isinstance(table.get(name), kind):
            raise ValueError(f"{name} is missing or is no {kind.__name__}")
    for at, row in enumerate(table["channels"]):
        fields = ("name", "kind")
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in fields):
            raise ValueError(f"channels[{at}] has no name and kind")
    for at, row in enumerate(table["devices"]):
        if not isinstance(row, dict) or row.keys() != _ROW.keys():
            raise ValueError(f"devices[{at}] must have {', '.join(_ROW)}")
        for key, kind in _ROW.items():
            if not isinstance(row[key], kind):
                raise ValueError(f"devices[{at}].{key} must be a {kind.__name__}")


def count_start(storage: Path) -> int:
    """Count a start of the flight software in its storage; return how many there were with it."""
    path = storage / "starts"
    try:
        storage.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else "0"
        count = (int(text) if text.strip().isdecimal() else 0) + 1
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(f"{count}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: starts cannot be counted ({error.strerror})") from None
    return count
